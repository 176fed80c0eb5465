// Structured pruning of MLP channels and attention heads without healing: what stays is copied, in
// its order, the rest is gone. First pass over a source, before anything is turned or rounded.
//
//   kept   = choose_kept(source, recipe, tokens)   by Fisher scores of masks (mask_fisher.h)
//   source = pruned(source, recipe.pruning, kept)  smaller matrices, every layer of one shape
//
// Every layer keeps as many channels and heads as the recipe says, each its own best ones: a
// checkpoint's shape has one number for all layers. Of key heads those of highest score stay, with
// their query heads; of each key head's query heads those of highest score, as many of each.
// Equal scores: the first ones stay.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/config.h"
#include "base/progress.h"
#include "base/result.h"
#include "compress/layer_compressor.h"
#include "compress/mask_fisher.h"
#include "compress/model_source.h"
#include "host/host_model.h"
#include "model/model.h"
#include "recipe/site.h"

namespace dovetail::compress {

// Indices into the unpruned model, ascending.
struct KeptLayer {
  std::vector<int64_t> channels;
  std::vector<int64_t> heads;
  std::vector<int64_t> key_heads;
  // Score that went over score that was there, 0..1.
  double lost_channels_frac = 0;
  double lost_heads_frac = 0;
  bool operator==(const KeptLayer&) const = default;
};
struct Kept {
  std::vector<KeptLayer> layers;  // empty: nothing is pruned
  double seconds = 0;             // of scoring
};

// What stays under given scores, by layer. Needs recipe::check_recipe of the shape.
[[nodiscard]] std::vector<KeptLayer> keep_best(const model::ModelShape& shape,
                                               const recipe::Pruning& pruning,
                                               const std::vector<MaskScores>& scores);

// Scores and keeps; no layers if the recipe leaves the model's shape. Errors: those of shape_after
// and mask_fisher.
[[nodiscard]] Result<Kept> choose_kept(const ModelSource& source, const recipe::Recipe& recipe,
                                       const host::TokenBatch& tokens, const FisherParams& params,
                                       const ProgressSink& progress = {});

[[nodiscard]] Json to_json(const Kept& kept);
// Errors: kInvalidArgument (not what to_json writes).
[[nodiscard]] Result<Kept> kept_from_json(const Json& json);

// What went of each layer; empty if nothing did.
[[nodiscard]] std::vector<SiteReport> pruning_reports(const recipe::Pruning& pruning,
                                                      const Kept& kept);

// Drops what is not kept. `shape`: before.
void prune_layer(const model::ModelShape& shape, const KeptLayer& kept, model::LayerWeights& layer);

// The source of the smaller model. Without layers in `kept` the source itself.
[[nodiscard]] ModelSource pruned(ModelSource from, const recipe::Pruning& pruning, Kept kept);

}  // namespace dovetail::compress
