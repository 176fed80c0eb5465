// How fast this machine multiplies matrices, for predicting how long work takes.
#pragma once

namespace dovetail::host {

struct MatmulRate {
  double fp32_flops_per_s = 0;  // multiply and add count as two
};

// Multiplies for about a fifth of a second on all cores.
[[nodiscard]] MatmulRate measure_matmul_rate();

}  // namespace dovetail::host
