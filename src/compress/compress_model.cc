#include "compress/compress_model.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include <fmt/format.h>

#include "compress/prune.h"
#include "compress/round_matrix.h"

namespace dovetail::compress {
namespace {

Result<CompressedHead> round_head(const recipe::LinearTreatment& treatment,
                                  const GptqParams& params, model::Matrix head,
                                  const std::vector<float>& moments) {
  const auto start = std::chrono::steady_clock::now();
  DOVETAIL_TRY_STATUS(check_finite(head, "head"));
  auto written = round_matrix(treatment, params, head, moments);
  if (!written.has_value()) return with_context(written.error(), "head");
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
  SiteReport report{.site = "head",
                    .treatment = recipe::weight_treatment_name(treatment),
                    .damping_frac = written->stats.damping_frac,
                    .num_dead_columns = written->stats.num_dead_columns,
                    .rounded_error_frac = written->stats.rounded_error_frac,
                    .error_frac = written->stats.error_frac,
                    .seconds = taken.count()};
  head.values = std::move(written->values);
  return CompressedHead{std::move(head), std::move(written->scales), std::move(report)};
}

Result<model::Matrix> head_of(const ModelSource& source) {
  return source.shape.tied_embedding ? source.embedding() : source.head();
}

// The head without an algorithm, then the embedding.
Status write_beginning(const ModelSource& source, const recipe::Recipe& recipe,
                       const host::TokenBatch& tokens, const LayerParams& params,
                       const CompressSink& sink, const CompressStart& start,
                       LayerCompressor& compressor) {
  const bool rounds_head = is_treated(recipe.head) && !needs_moments(recipe.head);
  const bool tied = source.shape.tied_embedding;
  CompressedHead head;
  if (rounds_head && (!start.head_is_written || (tied && start.first_layer == 0))) {
    DOVETAIL_TRY(model::Matrix matrix, head_of(source));
    DOVETAIL_TRY(head, round_head(recipe.head, params.gptq, std::move(matrix), {}));
  }
  if (start.first_layer == 0) {
    const bool rounded = rounds_head && tied;
    DOVETAIL_TRY_STATUS(
        embed(source, rounded ? &head.values : nullptr, tokens, compressor.hidden()));
  } else {
    DOVETAIL_TRY_STATUS(start.load_hidden(compressor.hidden()));
  }
  if (rounds_head && !start.head_is_written) return sink.head(std::move(head));
  return {};
}

}  // namespace

Status compress_model(const ModelSource& source, const recipe::Recipe& recipe,
                      const host::TokenBatch& tokens, const LayerParams& params,
                      const CompressSink& sink, const CompressStart& start,
                      const ProgressSink& progress) {
  DOVETAIL_TRY(LayerCompressor compressor,
               LayerCompressor::create(source.shape, recipe, tokens, params));
  DOVETAIL_TRY_STATUS(write_beginning(source, recipe, tokens, params, sink, start, compressor));
  if (compressor.follows_original()) {
    DOVETAIL_TRY_STATUS(embed(source, nullptr, tokens, compressor.original()));
    for (int64_t index = 0; index < start.first_layer; ++index) {
      DOVETAIL_TRY(const model::LayerWeights weights, source.layer(index));
      DOVETAIL_TRY_STATUS(compressor.follow(index, weights));
    }
  }
  const auto steps = static_cast<double>(source.shape.num_layers);
  for (int64_t index = start.first_layer; index < source.shape.num_layers; ++index) {
    DOVETAIL_TRY(model::LayerWeights weights, source.layer(index));
    const auto heard = [&](double done_frac) {
      report_progress(progress, "compressing", (static_cast<double>(index) + done_frac) / steps);
    };
    DOVETAIL_TRY(CompressedLayer layer, compressor.compress(index, std::move(weights), heard));
    DOVETAIL_TRY_STATUS(sink.layer(index, std::move(layer), compressor.hidden()));
  }
  if (!is_treated(recipe.head) || !needs_moments(recipe.head) || start.head_is_written) return {};
  DOVETAIL_TRY(const std::vector<float> final_norm, source.final_norm());
  DOVETAIL_TRY(const std::vector<float> moments, compressor.head_moments(final_norm));
  DOVETAIL_TRY(model::Matrix matrix, head_of(source));
  DOVETAIL_TRY(CompressedHead head,
               round_head(recipe.head, params.gptq, std::move(matrix), moments));
  return sink.head(std::move(head));
}

Result<Compressed> compress_in_memory(const std::shared_ptr<const model::Weights>& weights,
                                      const recipe::Recipe& recipe, const host::TokenBatch& tokens,
                                      const LayerParams& params, const ProgressSink& progress) {
  const ModelSource original = source_of(weights);
  DOVETAIL_TRY(const Kept kept, choose_kept(original, recipe, tokens,
                                            {params.rows_at_once, params.spill_folder}, progress));
  DOVETAIL_TRY(const ModelSource source, rotated(pruned(original, recipe.pruning, kept), recipe));
  Compressed made;
  made.reports = pruning_reports(recipe.pruning, kept);
  made.weights.shape = source.shape;
  DOVETAIL_TRY(made.weights.embedding, source.embedding());
  DOVETAIL_TRY(made.weights.head, source.head());
  DOVETAIL_TRY(made.weights.final_norm, source.final_norm());
  made.numerics = host::numerics_of(recipe);
  CompressSink sink;
  sink.layer = [&](int64_t index, CompressedLayer layer, const ActivationStore&) -> Status {
    made.weights.layers.push_back(std::move(layer.weights));
    made.numerics.layers[static_cast<size_t>(index)] = layer.numerics;
    std::ranges::move(layer.reports, std::back_inserter(made.reports));
    return {};
  };
  sink.head = [&](CompressedHead head) -> Status {
    (made.weights.shape.tied_embedding ? made.weights.embedding : made.weights.head) =
        std::move(head.values);
    made.reports.push_back(std::move(head.report));
    return {};
  };
  const bool pruned_alone = !kept.layers.empty() && !recipe::sites_need_calibration(recipe);
  DOVETAIL_TRY_STATUS(compress_model(source, recipe, pruned_alone ? host::TokenBatch{} : tokens,
                                     params, sink, {}, progress));
  return made;
}

}  // namespace dovetail::compress
