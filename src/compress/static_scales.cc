#include "compress/static_scales.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "formats/activation.h"
#include "host/transformer_layer.h"

namespace dovetail::compress {
namespace {

using host::Buffer;
using host::InputNumerics;

bool waits(const InputNumerics& input) {
  return formats::is_static(input.format) && input.static_scale == 0;
}

bool any_waits(const host::Numerics& numerics) {
  return waits(numerics.head) ||
         std::ranges::any_of(numerics.layers, [](const host::LayerNumerics& layer) {
           return std::ranges::any_of(layer.linear, waits);
         });
}

class Calibration {
 public:
  Calibration(const host::HostModel& model, host::Numerics numerics, const host::TokenBatch& tokens,
              int64_t rows_at_once)
      : model_(model),
        numerics_(std::move(numerics)),
        tokens_(tokens),
        rope_(tokens.seq, model.shape()),
        per_piece_(std::clamp<int64_t>(rows_at_once / tokens.seq, 1, tokens.batch)),
        scratch_(model.shape(), per_piece_ * tokens.seq) {}

  host::Numerics run() {
    embed();
    for (layer_ = 0; layer_ < model_.shape().num_layers; ++layer_) {
      run_attention();
      run_mlp();
    }
    const int64_t h = model_.shape().hidden_size;
    host::rms_norm(tokens_.rows(), h, hidden_.get(), model_.final_norm().data(),
                   model_.shape().rms_norm_eps, hidden_.get());
    settle(numerics_.head, h, hidden_.get());
    return std::move(numerics_);
  }

 private:
  template <typename Body>
  void for_pieces(const Body& body) {
    for (int64_t first = 0; first < tokens_.batch; first += per_piece_) {
      const int64_t count = std::min(per_piece_, tokens_.batch - first);
      const host::LayerRun run{model_.shape(),
                               model_.layer(layer_),
                               numerics_.layers[static_cast<size_t>(layer_)],
                               rope_,
                               count,
                               tokens_.seq};
      body(run, first * tokens_.seq);
    }
  }

  // x (rows, n): inputs after the Hadamard transform, rounded already unless the scale waits.
  void settle(InputNumerics& input, int64_t n, float* x) {
    if (!waits(input)) return;
    float absmax = 0;
    for (int64_t i = 0; i < tokens_.rows() * n; ++i) absmax = std::max(absmax, std::fabs(x[i]));
    input.static_scale = formats::static_scale(input.format, absmax);
    host::treat_input({.format = input.format, .static_scale = input.static_scale}, tokens_.rows(),
                      n, x);
  }
  InputNumerics& input_of(recipe::SiteKind kind) {
    return numerics_.layers[static_cast<size_t>(layer_)].linear[static_cast<size_t>(kind)];
  }

  void embed() {
    const int64_t h = model_.shape().hidden_size;
    hidden_ = host::make_buffer(tokens_.rows() * h);
    for (int64_t row = 0; row < tokens_.rows(); ++row)
      std::copy_n(
          model_.embedding().values.data() + int64_t{tokens_.ids[static_cast<size_t>(row)]} * h, h,
          hidden_.get() + row * h);
  }

  void run_attention() {
    const int64_t h = model_.shape().hidden_size;
    const int64_t q = model_.shape().q_size();
    const Buffer normed = host::make_buffer(tokens_.rows() * h);
    for_pieces([&](const host::LayerRun& run, int64_t row) {
      host::attention_input(run, hidden_.get() + row * h, normed.get() + row * h);
    });
    settle(input_of(recipe::SiteKind::kAttnQkv), h, normed.get());
    const Buffer attended = host::make_buffer(tokens_.rows() * q);
    for_pieces([&](const host::LayerRun& run, int64_t row) {
      host::attend(run, normed.get() + row * h, scratch_);
      std::copy_n(scratch_.attended.get(), run.rows() * q, attended.get() + row * q);
    });
    settle(input_of(recipe::SiteKind::kAttnO), q, attended.get());
    for_pieces([&](const host::LayerRun& run, int64_t row) {
      host::add_attention(run, attended.get() + row * q, hidden_.get() + row * h);
    });
  }

  void run_mlp() {
    const int64_t h = model_.shape().hidden_size;
    const int64_t width = model_.shape().intermediate_size;
    const Buffer normed = host::make_buffer(tokens_.rows() * h);
    for_pieces([&](const host::LayerRun& run, int64_t row) {
      host::mlp_input(run, hidden_.get() + row * h, normed.get() + row * h);
    });
    settle(input_of(recipe::SiteKind::kMlpGateUp), h, normed.get());
    const Buffer activated = host::make_buffer(tokens_.rows() * width);
    for_pieces([&](const host::LayerRun& run, int64_t row) {
      host::project_mlp(run, normed.get() + row * h, scratch_);
      host::activate_mlp(run, scratch_);
      std::copy_n(scratch_.gate.get(), run.rows() * width, activated.get() + row * width);
    });
    settle(input_of(recipe::SiteKind::kMlpDown), width, activated.get());
    for_pieces([&](const host::LayerRun& run, int64_t row) {
      host::add_mlp(run, activated.get() + row * width, hidden_.get() + row * h);
    });
  }

  const host::HostModel& model_;
  host::Numerics numerics_;
  const host::TokenBatch& tokens_;
  host::RopeTable rope_;
  int64_t per_piece_;  // sequences
  host::LayerScratch scratch_;
  int64_t layer_ = 0;
  Buffer hidden_;  // (rows, h) the residual stream
};

}  // namespace

Result<host::Numerics> with_static_scales(const host::HostModel& model, host::Numerics numerics,
                                          const host::TokenBatch& tokens, int64_t rows_at_once) {
  DOVETAIL_TRY_STATUS(host::check_tokens(model.shape(), tokens));
  if (numerics.layers.empty())
    numerics.layers.resize(static_cast<size_t>(model.shape().num_layers));
  const bool fits = std::ssize(numerics.layers) == model.shape().num_layers;
  if (fits && any_waits(numerics))
    numerics = Calibration(model, std::move(numerics), tokens, rows_at_once).run();
  DOVETAIL_TRY_STATUS(host::check_numerics(model.shape(), numerics));
  return numerics;
}

}  // namespace dovetail::compress
