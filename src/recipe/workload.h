// What a product does: prompt and output lengths, the batch, and the mix of requests.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/config.h"

namespace dovetail::recipe {

// Requests of other lengths than the workload's own.
struct RequestClass {
  int64_t prompt_tokens = 512;
  int64_t output_tokens = 256;
  double share_frac = 0;  // of all requests

  template <typename V, typename S>
  static void visit(V& v, S& s) {
    v.number("prompt_tokens", s.prompt_tokens,
             {.min = 1, .max = 1 << 20, .required = true, .help = "tokens of the prompt"});
    v.number("output_tokens", s.output_tokens,
             {.min = 1, .max = 1 << 20, .required = true, .help = "tokens generated per request"});
    v.number("share_frac", s.share_frac,
             {.min = 1e-6, .max = 0.999999, .required = true, .help = "share of all requests"});
  }
};

// A batch of requests starts together. Prefill of `prompt_tokens` gives the first token; decode
// step i = 1..output_tokens-1 reads prompt_tokens + i tokens of KV.
//
// With a mix, requests of several classes come in these shares, and a batch has one class. Costs
// are means over batches, weighted with the shares. Decode of batches that are kept full from a
// queue costs the same, but for steps whose contexts differ inside a batch.
struct Workload {
  std::string name;
  int64_t prompt_tokens = 512;
  int64_t output_tokens = 256;
  int64_t batch = 1;
  std::vector<RequestClass> mix = {};  // beside the lengths above, which have what is left

  template <typename V, typename S>
  static void visit(V& v, S& s) {
    v.text("name", s.name, {.required = true, .help = "short name used in reports"});
    v.number("prompt_tokens", s.prompt_tokens,
             {.min = 1, .max = 1 << 20, .required = true, .help = "tokens of the prompt"});
    v.number("output_tokens", s.output_tokens,
             {.min = 1, .max = 1 << 20, .required = true, .help = "tokens generated per request"});
    v.number("batch", s.batch, {.min = 1, .max = 4096, .help = "requests that run together"});
    v.list(
        "mix", s.mix,
        {.help = "requests of other lengths; the lengths above have what is left of the shares"});
  }
};

}  // namespace dovetail::recipe
