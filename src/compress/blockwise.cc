#include "compress/blockwise.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>

#include <fmt/format.h>

#include "compress/treat.h"
#include "formats/quantize.h"
#include "host/symmetric.h"
#include "host/transformer_layer.h"

namespace dovetail::compress {
namespace {

using host::Buffer;
using model::Matrix;
using recipe::SiteKind;

// Names of site_matrices(kind), in its order.
std::vector<std::string_view> matrix_names(SiteKind kind) {
  switch (kind) {
    case SiteKind::kAttnQkv:
      return {"q", "k", "v"};
    case SiteKind::kAttnO:
      return {"o"};
    case SiteKind::kMlpGateUp:
      return {"gate", "up"};
    case SiteKind::kMlpDown:
      return {"down"};
    default:
      return {};
  }
}

Status check_finite(const Matrix& matrix, const std::string& name) {
  const auto wrong = std::ranges::find_if(matrix.values, [](float w) { return !std::isfinite(w); });
  if (wrong == matrix.values.end()) return {};
  const int64_t at = wrong - matrix.values.begin();
  return invalid_argument(fmt::format("{}: weight ({}, {}) is {}, want a finite number", name,
                                      at / matrix.cols, at % matrix.cols, *wrong));
}

// The scales weighed by the mean square of the inputs, no weight moved.
Result<GptqResult> round_weighed(const recipe::LinearTreatment& treatment,
                                 const BlockwiseParams& params, const Matrix& w,
                                 const std::vector<float>& h) {
  std::vector<float> importance;
  for (int64_t j = 0; j < w.cols; ++j) importance.push_back(h[static_cast<size_t>(j * w.cols + j)]);
  GptqResult result;
  result.values.resize(w.values.size());
  formats::quantize_rows(treatment.weight, params.gptq.rounding, w.rows, w.cols, w.values.data(),
                         result.values.data(), importance.data());
  result.stats.error_frac = output_error_frac(w, result.values, h);
  result.stats.rounded_error_frac = result.stats.error_frac;
  return result;
}

class Walk {
 public:
  Walk(const model::Weights& weights, const recipe::Recipe& recipe, const host::TokenBatch& tokens,
       const BlockwiseParams& params, const ProgressSink& progress)
      : recipe_(recipe),
        tokens_(tokens),
        params_(params),
        progress_(progress),
        numerics_(host::numerics_of(recipe)),
        rope_(tokens.seq, weights.shape.head_dim, weights.shape.rope_theta) {
    result_.weights = weights;
    result_.numerics = numerics_;
    per_piece_ = std::clamp<int64_t>(params.rows_at_once / tokens.seq, 1, tokens.batch);
  }

  Result<Compressed> run() {
    DOVETAIL_TRY_STATUS(round_head());
    embed();
    for (layer_ = 0; layer_ < shape().num_layers; ++layer_) DOVETAIL_TRY_STATUS(run_layer());
    return std::move(result_);
  }

 private:
  const model::ModelShape& shape() const { return result_.weights.shape; }
  model::LayerWeights& layer_weights() {
    return result_.weights.layers[static_cast<size_t>(layer_)];
  }
  // Sequences first .. first + count - 1 of the current layer.
  host::LayerRun piece(int64_t count) {
    return {shape(), layer_weights(), numerics_.layers[static_cast<size_t>(layer_)],
            rope_,   count,           tokens_.seq};
  }
  template <typename Body>
  void for_pieces(const Body& body) {
    for (int64_t first = 0; first < tokens_.batch; first += per_piece_) {
      const int64_t count = std::min(per_piece_, tokens_.batch - first);
      body(piece(count), first * tokens_.seq);
    }
  }

  Status round_head() {
    const recipe::LinearTreatment& head = recipe_.head;
    if (head.algorithm != recipe::Algorithm::kNearest) {
      return invalid_argument(fmt::format(
          "head: treatment {}, want one without an algorithm: the head is rounded to nearest",
          recipe::treatment_name(head)));
    }
    if (head.weight.element == formats::Element::kBf16) return {};
    Matrix& to = shape().tied_embedding ? result_.weights.embedding : result_.weights.head;
    DOVETAIL_TRY_STATUS(check_finite(to, "head"));
    formats::quantize_rows(head.weight, params_.gptq.rounding, to.rows, to.cols, to.values.data(),
                           to.values.data());
    return {};
  }

  void embed() {
    const int64_t h = shape().hidden_size;
    hidden_ = host::make_buffer(tokens_.rows() * h);
    for (int64_t row = 0; row < tokens_.rows(); ++row)
      std::copy_n(result_.weights.embedding.values.data() +
                      int64_t{tokens_.ids[static_cast<size_t>(row)]} * h,
                  h, hidden_.get() + row * h);
  }

  Status run_layer() {
    host::LayerScratch scratch(shape(), per_piece_ * tokens_.seq);
    DOVETAIL_TRY_STATUS(run_attention(scratch));
    return run_mlp(scratch);
  }

  Status run_attention(host::LayerScratch& scratch) {
    const int64_t h = shape().hidden_size;
    const int64_t q = shape().q_size();
    const Buffer normed = host::make_buffer(tokens_.rows() * h);
    for_pieces([&](const host::LayerRun& run, int64_t row) {
      host::attention_input(run, hidden_.get() + row * h, normed.get() + row * h);
    });
    DOVETAIL_TRY_STATUS(compress_site(SiteKind::kAttnQkv, h, normed.get()));
    const Buffer attended = host::make_buffer(tokens_.rows() * q);
    for_pieces([&](const host::LayerRun& run, int64_t row) {
      host::attend(run, normed.get() + row * h, scratch);
      std::copy_n(scratch.attended.get(), run.rows() * q, attended.get() + row * q);
    });
    DOVETAIL_TRY_STATUS(compress_site(SiteKind::kAttnO, q, attended.get()));
    for_pieces([&](const host::LayerRun& run, int64_t row) {
      host::add_attention(run, attended.get() + row * q, hidden_.get() + row * h);
    });
    return {};
  }

  Status run_mlp(host::LayerScratch& scratch) {
    const int64_t h = shape().hidden_size;
    const int64_t width = shape().intermediate_size;
    const Buffer normed = host::make_buffer(tokens_.rows() * h);
    for_pieces([&](const host::LayerRun& run, int64_t row) {
      host::mlp_input(run, hidden_.get() + row * h, normed.get() + row * h);
    });
    DOVETAIL_TRY_STATUS(compress_site(SiteKind::kMlpGateUp, h, normed.get()));
    const Buffer activated = host::make_buffer(tokens_.rows() * width);
    for_pieces([&](const host::LayerRun& run, int64_t row) {
      host::project_mlp(run, normed.get() + row * h, scratch);
      host::activate_mlp(run, scratch);
      std::copy_n(scratch.gate.get(), run.rows() * width, activated.get() + row * width);
    });
    DOVETAIL_TRY_STATUS(compress_site(SiteKind::kMlpDown, width, activated.get()));
    for_pieces([&](const host::LayerRun& run, int64_t row) {
      host::add_mlp(run, activated.get() + row * width, hidden_.get() + row * h);
    });
    return {};
  }

  // inputs: (rows, k), what the site's matrices multiply.
  Status compress_site(SiteKind kind, int64_t k, const float* inputs) {
    const recipe::LinearTreatment& treatment =
        recipe_.layers[static_cast<size_t>(layer_)].linear[static_cast<size_t>(kind)];
    const double steps = 4.0 * static_cast<double>(shape().num_layers);
    report_progress(progress_, "compressing",
                    static_cast<double>(layer_ * 4 + static_cast<int64_t>(kind)) / steps);
    if (treatment.weight.element == formats::Element::kBf16) return {};
    std::vector<float> moments;
    if (treatment.algorithm != recipe::Algorithm::kNearest) {
      host::Gram gram(k);
      gram.add(tokens_.rows(), inputs);
      moments = gram.mean();
    }
    const auto members = site_matrices(kind);
    const auto names = matrix_names(kind);
    for (size_t i = 0; i < members.size(); ++i) {
      const std::string name =
          fmt::format("{}.{}", recipe::site_name({.kind = kind, .layer = layer_}), names[i]);
      DOVETAIL_TRY_STATUS(compress_matrix(treatment, moments, name, layer_weights().*members[i]));
    }
    return {};
  }

  Status compress_matrix(const recipe::LinearTreatment& treatment,
                         const std::vector<float>& moments, const std::string& name, Matrix& w) {
    const auto start = std::chrono::steady_clock::now();
    DOVETAIL_TRY_STATUS(check_finite(w, name));
    MatrixReport report{.matrix = name, .treatment = recipe::weight_treatment_name(treatment)};
    if (treatment.algorithm == recipe::Algorithm::kNearest) {
      formats::quantize_rows(treatment.weight, params_.gptq.rounding, w.rows, w.cols,
                             w.values.data(), w.values.data());
    } else {
      auto written = treatment.algorithm == recipe::Algorithm::kGptq
                         ? gptq(treatment.weight, params_.gptq, w, moments)
                         : round_weighed(treatment, params_, w, moments);
      if (!written.has_value()) return with_context(written.error(), name);
      report.damping_frac = written->stats.damping_frac;
      report.num_dead_columns = written->stats.num_dead_columns;
      report.rounded_error_frac = written->stats.rounded_error_frac;
      report.error_frac = written->stats.error_frac;
      w.values = std::move(written->values);
    }
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
    report.seconds = taken.count();
    result_.reports.push_back(std::move(report));
    return {};
  }

  const recipe::Recipe& recipe_;
  const host::TokenBatch& tokens_;
  const BlockwiseParams& params_;
  const ProgressSink& progress_;
  host::Numerics numerics_;
  host::RopeTable rope_;
  int64_t per_piece_ = 1;  // sequences
  int64_t layer_ = 0;
  Buffer hidden_;  // (rows, h) the residual stream
  Compressed result_;
};

}  // namespace

Result<Compressed> compress_blockwise(const model::Weights& weights, const recipe::Recipe& recipe,
                                      const host::TokenBatch& tokens, const BlockwiseParams& params,
                                      const ProgressSink& progress) {
  if (static_cast<int64_t>(recipe.layers.size()) != weights.shape.num_layers) {
    return invalid_argument(fmt::format("recipe has {} layers, the model {} has {}",
                                        recipe.layers.size(), weights.shape.name,
                                        weights.shape.num_layers));
  }
  DOVETAIL_TRY_STATUS(host::check_tokens(weights.shape, tokens));
  // Sizes of all matrices, and threads of the products.
  DOVETAIL_TRY([[maybe_unused]] const host::HostModel checked,
               host::HostModel::create(std::make_shared<const model::Weights>(weights)));
  return Walk(weights, recipe, tokens, params, progress).run();
}

Json to_json(const MatrixReport& report) {
  return {{"matrix", report.matrix},
          {"treatment", report.treatment},
          {"damping_frac", report.damping_frac},
          {"num_dead_columns", report.num_dead_columns},
          {"rounded_error_frac", report.rounded_error_frac},
          {"error_frac", report.error_frac},
          {"duration_s", report.seconds}};
}

}  // namespace dovetail::compress
