// The model that recipes are read for.
#pragma once

#include "model/model.h"

namespace dovetail::fuzz {

inline model::ModelShape small_shape(int64_t num_layers) {
  return {.name = "m",
          .num_layers = num_layers,
          .hidden_size = 96,
          .intermediate_size = 100,
          .num_heads = 4,
          .num_kv_heads = 2,
          .head_dim = 24,
          .vocab_size = 50};
}

}  // namespace dovetail::fuzz
