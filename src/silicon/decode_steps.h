// Quadrature over the growing context of decode: a few nodes stand for all steps.
#pragma once

#include <cstdint>
#include <vector>

namespace dovetail::silicon {

struct ContextNode {
  double tokens = 0;  // context of the node, may be a half
  double steps = 0;   // how many steps it stands for
};

inline constexpr int64_t kMaxContextNodes = 8;

// Steps i = 0..num_steps-1 have context first_context + i. They are cut into at most `max_nodes`
// runs of equal length (one step of difference); a run is priced at its mean context. Exact for
// costs linear in the context; a maximum of linear costs comes out slightly low (it is convex), at
// most by the bend inside one run. A test states the error on whole requests.
[[nodiscard]] inline std::vector<ContextNode> decode_nodes(int64_t first_context, int64_t num_steps,
                                                           int64_t max_nodes) {
  std::vector<ContextNode> nodes;
  const int64_t count = num_steps < max_nodes ? num_steps : max_nodes;
  for (int64_t i = 0; i < count; ++i) {
    const int64_t begin = num_steps * i / count;
    const int64_t end = num_steps * (i + 1) / count;
    nodes.push_back(
        {.tokens = static_cast<double>(first_context) + static_cast<double>(begin + end - 1) / 2,
         .steps = static_cast<double>(end - begin)});
  }
  return nodes;
}

// Pages of `page_tokens` that hold the context, mean over the steps that the node stands for: their
// contexts are `steps` whole numbers in a row around `tokens`.
[[nodiscard]] inline double mean_pages(const ContextNode& node, int64_t page_tokens) {
  // Sum of ceil(t / page) over t = 1..last.
  const auto sum_to = [page_tokens](int64_t last) {
    const int64_t whole = last / page_tokens;
    const int64_t rest = last % page_tokens;
    return static_cast<double>(page_tokens) * static_cast<double>(whole * (whole + 1)) / 2 +
           static_cast<double>(rest * (whole + 1));
  };
  const auto steps = static_cast<int64_t>(node.steps);
  const auto first = static_cast<int64_t>(node.tokens - (node.steps - 1) / 2);
  return (sum_to(first + steps - 1) - sum_to(first - 1)) / node.steps;
}

}  // namespace dovetail::silicon
