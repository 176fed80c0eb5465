// Folding of channel scales: a linear's input is divided by s and its weights are multiplied by s,
// channel by channel, and the division moves into whatever produces the input. The function stays;
// what is rounded becomes easier.
//
//   site          consumers       producer that takes 1 / s
//   attn_qkv      q, k, v         gain of the norm before
//   attn_o        o               rows of v (and its bias); query heads that share a value head
//                                 share its scales
//   mlp_gate_up   gate, up        gain of the norm before
//   mlp_down      down            rows of up
//
// AWQ looks for scales under which rounded weights change the output least:
//   s_j = mean|x_j|^alpha, divided by sqrt(max s min s), alpha of a grid over 0..1 with the least
//   sum over the site's matrices of E |(W - Q(W s) / s) x|^2
// SmoothQuant moves outliers of activations into weights:
//   s_j = max|x_j|^alpha / max|W_j|^(1 - alpha), the maximum over the site's matrices
//
// Sources: Lin et al., AWQ, arXiv:2306.00978; Xiao et al., SmoothQuant, arXiv:2211.10438.
#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "formats/format.h"
#include "formats/rounding.h"
#include "model/model.h"
#include "recipe/site.h"

namespace dovetail::compress {

// Statistics of what enters a site, k channels.
struct SiteInputs {
  std::vector<float> moments;   // (k, k) E[x x^T]
  std::vector<float> mean_abs;  // (k)
  std::vector<float> max_abs;   // (k)
  model::Matrix sample = {};    // (some rows, k), spread over the text
};

// For every input channel of a site which channel of the producer it is: 0..k-1 itself, but for
// attn_o the row of v. Channels with one producer have one scale. Errors: kInvalidArgument for
// sites that cannot be folded (kv, head).
[[nodiscard]] Result<std::vector<int64_t>> producer_channels(const model::ModelShape& shape,
                                                             recipe::SiteKind kind);

struct AwqParams {
  formats::Rounding rounding = {};
  int64_t grid = 20;         // alphas 0, 1/grid, .. 1; 1..1000
  bool weigh_scales = true;  // the search of scales counts a column's error as the output does
};

struct AwqScales {
  std::vector<float> scales;  // (k), > 0
  double alpha = 0;
  // E |(W - Q(W s) / s) x|^2 over E |W x|^2, all matrices together.
  double plain_error_frac = 0;  // s = 1
  double error_frac = 0;        // of what was chosen; at most the plain one
};

// matrices: those of the site, each (n, k). producer: of producer_channels. Errors:
// kInvalidArgument (sizes, statistics that are not finite or negative, a grid out of range).
[[nodiscard]] Result<AwqScales> awq_scales(const formats::WeightFormat& format,
                                           const AwqParams& params,
                                           const std::vector<const model::Matrix*>& matrices,
                                           const SiteInputs& inputs,
                                           const std::vector<int64_t>& producer);

// alpha: 0..1. A channel that is never active or has no weights keeps 1; channels of one producer
// take their largest maximum. Reads inputs.max_abs alone. Errors: as awq_scales.
[[nodiscard]] Result<std::vector<float>> smooth_scales(
    double alpha, const std::vector<const model::Matrix*>& matrices, const SiteInputs& inputs,
    const std::vector<int64_t>& producer);

// Applies s to the site and 1 / s to its producer, before anything of the layer is rounded: v and
// up are producers too. Errors: kInvalidArgument, nothing changed (sites that cannot be folded,
// sizes, scales that are not finite and positive or differ within one producer channel).
[[nodiscard]] Status fold(const model::ModelShape& shape, recipe::SiteKind kind,
                          const std::vector<float>& s, model::LayerWeights& layer);

}  // namespace dovetail::compress
