#include "host/vocabulary_scores.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include <fmt/format.h>

#include "base/parallel.h"
#include "host/lanes.h"
#include "host/transformer_layer.h"

namespace dovetail::host {
namespace {

constexpr float kLowest = std::numeric_limits<float>::lowest();

// e^(x - offset), sixteen floats as two times eight doubles. Lanes that hold kLowest give e^-700.
void exp_of_difference(const FloatLanes& x, double offset, DoubleLanes& low, DoubleLanes& high) {
  widen_lanes(x, 0, low);
  widen_lanes(x, 1, high);
  low -= offset;
  high -= offset;
  exp_lanes(low);
  exp_lanes(high);
}

Status check_hidden(const HostModel& model, const model::Matrix& hidden, const char* what) {
  const int64_t h = model.shape().hidden_size;
  if (hidden.cols != h || static_cast<int64_t>(hidden.values.size()) != hidden.rows * h) {
    return invalid_argument(fmt::format("{} is ({}, {}) with {} values, want {} columns", what,
                                        hidden.rows, hidden.cols, hidden.values.size(), h));
  }
  return {};
}

// Scores `rows` rows of both logits into `result` from position `first`.
void score_chunk(int64_t rows, int64_t vocab, int64_t first, const float* reference,
                 const float* treated, KlResult& result) {
  std::vector<int64_t> agree(static_cast<size_t>(rows));
  parallel_for(rows, [&](int64_t row, int64_t) {
    const float* p = reference + row * vocab;
    const float* q = treated + row * vocab;
    const RowSummary p_summary = summarize_row(vocab, p);
    const RowSummary q_summary = summarize_row(vocab, q);
    agree[static_cast<size_t>(row)] = p_summary.best == q_summary.best ? 1 : 0;
    result.kl_nats_per_position[static_cast<size_t>(first + row)] =
        row_kl(vocab, p, p_summary, q, q_summary);
  });
  for (const int64_t one : agree) result.top1_agree += one;
}

}  // namespace

void head_logits(const HostModel& model, int64_t rows, const float* hidden, float* logits) {
  const InputNumerics& input = model.numerics().head;
  if (input == InputNumerics{}) {
    return apply_linear(model.head(), rows, hidden, logits);
  }
  const int64_t h = model.shape().hidden_size;
  const Buffer rounded = make_buffer(rows * h);
  std::memcpy(rounded.get(), hidden, static_cast<size_t>(rows * h) * sizeof(float));
  treat_input(input, rows, h, rounded.get());
  apply_linear(model.head(), rows, rounded.get(), logits);
}

RowSummary summarize_row(int64_t n, const float* logits) {
  FloatLanes largest_lanes = FloatLanes{} + kLowest;
  for (int64_t i = 0; i < n; i += kFloatLanes) {
    FloatLanes x;
    load_lanes(logits + i, n - i, kLowest, x);
    largest_lanes = x > largest_lanes ? x : largest_lanes;
  }
  const float largest = max_lanes(largest_lanes);
  DoubleLanes sum{};
  for (int64_t i = 0; i < n; i += kFloatLanes) {
    FloatLanes x;
    DoubleLanes low, high;
    load_lanes(logits + i, n - i, kLowest, x);
    exp_of_difference(x, static_cast<double>(largest), low, high);
    sum += low + high;
  }
  return {std::find(logits, logits + n, largest) - logits,
          static_cast<double>(largest) + std::log(sum_lanes(sum))};
}

double row_kl(int64_t n, const float* p, const RowSummary& p_summary, const float* q,
              const RowSummary& q_summary) {
  // With x_i = log p_i - log q_i: KL = sum p_i (x_i + e^-x_i - 1), since the p_i e^-x_i = q_i sum
  // to
  // 1. No term is negative, so small divergences do not drown in cancellation.
  DoubleLanes sum{};
  const double offset = p_summary.log_sum_exp - q_summary.log_sum_exp;
  const auto add = [&](const FloatLanes& pl, const FloatLanes& ql, int64_t part) {
    DoubleLanes a, b;
    widen_lanes(pl, part, a);
    widen_lanes(ql, part, b);
    const DoubleLanes x = a - b - offset;
    DoubleLanes weight = a - p_summary.log_sum_exp;
    exp_lanes(weight);
    DoubleLanes ratio = -x;
    exp_lanes(ratio);
    // Below |x| = 1e-3, e^-x - 1 + x loses digits; its series does not.
    const DoubleLanes series = x * x * (0.5 - x * (1.0 / 6.0) + x * x * (1.0 / 24.0));
    const DoubleLanes small = x < 0.0 ? -x : x;
    sum += weight * (small < 1e-3 ? series : x + ratio - 1.0);
  };
  for (int64_t i = 0; i < n; i += kFloatLanes) {
    FloatLanes pl, ql;
    // Padding has no weight: p is e^-700 there.
    load_lanes(p + i, n - i, -1e30F, pl);
    load_lanes(q + i, n - i, -1e30F, ql);
    add(pl, ql, 0);
    add(pl, ql, 1);
  }
  return std::max(0.0, sum_lanes(sum));
}

int64_t sample_row(int64_t n, const float* logits, double temperature, double uniform) {
  const float largest = *std::max_element(logits, logits + n);
  // Pass one sums blocks, pass two walks the one block where the wanted mass lies.
  constexpr int64_t kBlock = 1024;
  const auto mass = [&](int64_t begin, int64_t end) {
    DoubleLanes sum{};
    for (int64_t i = begin; i < end; i += kDoubleLanes) {
      DoubleLanes x{};
      x -= 1e30;
      for (int64_t j = 0; j < std::min(kDoubleLanes, end - i); ++j) {
        x[j] = (static_cast<double>(logits[i + j]) - static_cast<double>(largest)) / temperature;
      }
      exp_lanes(x);
      sum += x;
    }
    return sum_lanes(sum);
  };
  std::vector<double> masses;
  double total = 0.0;
  for (int64_t begin = 0; begin < n; begin += kBlock) {
    masses.push_back(mass(begin, std::min(n, begin + kBlock)));
    total += masses.back();
  }
  double left = uniform * total;
  size_t block = 0;
  while (block + 1 < masses.size() && left >= masses[block]) left -= masses[block++];
  const int64_t begin = static_cast<int64_t>(block) * kBlock;
  const int64_t end = std::min(n, begin + kBlock);
  for (int64_t i = begin; i < end; ++i) {
    left -= mass(i, i + 1);
    if (left < 0.0) return i;
  }
  return end - 1;
}

Result<model::Matrix> HostModel::logits(const model::Matrix& hidden) const {
  DOVETAIL_TRY_STATUS(check_hidden(*this, hidden, "hidden"));
  model::Matrix out{hidden.rows, shape_.vocab_size, {}};
  out.values.resize(static_cast<size_t>(out.rows * out.cols));
  head_logits(*this, hidden.rows, hidden.values.data(), out.values.data());
  return out;
}

Result<std::vector<double>> HostModel::nll(const TokenBatch& tokens) const {
  DOVETAIL_TRY(const model::Matrix hidden, hidden_states(tokens));
  const int64_t vocab = shape_.vocab_size;
  const int64_t scored = tokens.seq - 1;
  std::vector<double> result(static_cast<size_t>(tokens.batch * scored));
  const Buffer chunk = make_buffer(kLogitRows * vocab);
  for (int64_t first = 0; first < hidden.rows; first += kLogitRows) {
    const int64_t rows = std::min(kLogitRows, hidden.rows - first);
    head_logits(*this, rows, hidden.values.data() + first * hidden.cols, chunk.get());
    parallel_for(rows, [&](int64_t row, int64_t) {
      const int64_t position = (first + row) % tokens.seq;
      if (position == scored) return;  // nothing follows the last token
      const float* x = chunk.get() + row * vocab;
      const auto target = tokens.ids[static_cast<size_t>(first + row + 1)];
      result[static_cast<size_t>((first + row) / tokens.seq * scored + position)] =
          summarize_row(vocab, x).log_sum_exp - static_cast<double>(x[target]);
    });
  }
  return result;
}

Result<KlResult> kl_divergence(const HostModel& reference, const model::Matrix& reference_hidden,
                               const HostModel& treated, const model::Matrix& treated_hidden) {
  DOVETAIL_TRY_STATUS(check_hidden(reference, reference_hidden, "reference_hidden"));
  DOVETAIL_TRY_STATUS(check_hidden(treated, treated_hidden, "treated_hidden"));
  const int64_t vocab = treated.shape().vocab_size;
  const int64_t n = treated_hidden.rows;
  if (reference.shape().vocab_size != vocab || reference_hidden.rows != n) {
    return invalid_argument(
        fmt::format("reference has {} positions and {} tokens, want {} and {} as the treated model",
                    reference_hidden.rows, reference.shape().vocab_size, n, vocab));
  }
  KlResult result{std::vector<double>(static_cast<size_t>(n)), 0};
  const Buffer p = make_buffer(kLogitRows * vocab);
  const Buffer q = make_buffer(kLogitRows * vocab);
  for (int64_t first = 0; first < n; first += kLogitRows) {
    const int64_t rows = std::min(kLogitRows, n - first);
    head_logits(reference, rows, reference_hidden.values.data() + first * reference_hidden.cols,
                p.get());
    head_logits(treated, rows, treated_hidden.values.data() + first * treated_hidden.cols, q.get());
    score_chunk(rows, vocab, first, p.get(), q.get(), result);
  }
  return result;
}

Result<KlResult> kl_divergence(const model::Matrix& reference_logits, const HostModel& treated,
                               const model::Matrix& treated_hidden) {
  DOVETAIL_TRY_STATUS(check_hidden(treated, treated_hidden, "treated_hidden"));
  const int64_t vocab = treated.shape().vocab_size;
  const int64_t n = treated_hidden.rows;
  if (reference_logits.cols != vocab || reference_logits.rows != n ||
      static_cast<int64_t>(reference_logits.values.size()) != n * vocab) {
    return invalid_argument(fmt::format("reference_logits is ({}, {}), want ({}, {})",
                                        reference_logits.rows, reference_logits.cols, n, vocab));
  }
  KlResult result{std::vector<double>(static_cast<size_t>(n)), 0};
  const Buffer q = make_buffer(kLogitRows * vocab);
  for (int64_t first = 0; first < n; first += kLogitRows) {
    const int64_t rows = std::min(kLogitRows, n - first);
    head_logits(treated, rows, treated_hidden.values.data() + first * treated_hidden.cols, q.get());
    score_chunk(rows, vocab, first, reference_logits.values.data() + first * vocab, q.get(),
                result);
  }
  return result;
}

}  // namespace dovetail::host
