// Tests only: the same transformer once more, in double, one token and one element at a time,
// sharing no code with host_model.cc. Also tiny random models to run it on.
#pragma once

#include <cstdint>
#include <vector>

#include "host/host_model.h"

namespace dovetail::host {

enum class SlowLinear : uint8_t { kQ, kK, kV, kO, kGate, kUp, kDown, kHead };

// Adds `amount` to one output of one linear: the probe of finite differences.
struct SlowProbe {
  SlowLinear linear = SlowLinear::kQ;
  int64_t layer = -1;  // 0 for the head; -1: no probe
  int64_t position = 0;
  int64_t output = 0;
  double amount = 0.0;
};

using DoubleRows = std::vector<std::vector<double>>;  // (positions, n)

struct SlowRun {
  DoubleRows logits;               // (positions, v)
  std::vector<DoubleRows> inputs;  // [layer * 8 + linear]: what enters the linear
};

// One sequence from position 0.
[[nodiscard]] SlowRun slow_forward(const model::Weights& weights, const Numerics& numerics,
                                   const std::vector<int32_t>& ids, const SlowProbe& probe = {});

// log softmax(x)[i]
[[nodiscard]] double slow_log_probability(const std::vector<double>& x, int64_t i);

struct TinyModel {
  int64_t num_layers = 2;
  int64_t hidden = 12;
  int64_t intermediate = 20;
  int64_t heads = 4;
  int64_t kv_heads = 2;
  int64_t head_dim = 6;
  int64_t vocab = 37;
  bool tied = true;
  bool bias = false;
  bool qk_norm = false;
  std::vector<float> rope_divisors = {};
};
[[nodiscard]] model::Weights make_tiny_weights(const TinyModel& tiny, uint64_t seed);
[[nodiscard]] std::vector<int32_t> random_ids(int64_t count, int64_t vocab, uint64_t seed);

}  // namespace dovetail::host
