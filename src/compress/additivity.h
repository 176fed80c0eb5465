// Does the loss add up? Whole recipes are drawn, predicted from the profile and measured, and the
// two are compared: the check behind every search that adds losses over sites.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/config.h"
#include "base/progress.h"
#include "base/result.h"
#include "compress/loss_profile.h"
#include "compress/treat.h"
#include "host/host_model.h"
#include "recipe/site.h"

namespace dovetail::compress {

struct RandomRecipe {
  std::string name;  // "uniform int4_g128", "mixed near 4.2 bits #3"
  recipe::Recipe recipe;
};

struct RecipeDrawParams {
  int64_t num_mixed = 18;
  int64_t num_uniform = 6;
  double min_bits = 3.0;     // treatments of fewer stored bits per weight are not drawn
  double spread_bits = 1.0;  // a site draws among the treatments within this of the recipe's level
  uint64_t seed = 1;
};

// Uniform recipes spread over the menu's bits (linears of the blocks alone), and mixed ones at
// levels spread over the same range: every site draws its own treatment, the head and kv included.
// bf16 weights are not drawn. The same seed gives the same recipes. Errors: kInvalidArgument if the
// menu holds no treatment of min_bits or more besides bf16.
[[nodiscard]] Result<std::vector<RandomRecipe>> draw_recipes(const model::ModelShape& shape,
                                                             const recipe::Menu& menu,
                                                             const RecipeDrawParams& params);

// Predicted loss of a recipe by what made its weights: "nearest", "gptq", "awq_gptq"; of the linear
// sites and the head, activations included. Errors: as predict_loss.
[[nodiscard]] Result<LossByName> loss_by_algorithm(const LossProfile& profile,
                                                   const recipe::Recipe& recipe);

struct AdditivitySample {
  std::string name;
  double bits_per_weight = 0;
  double predicted_nats_per_token = 0;
  double measured_nats_per_token = 0;
  LossByName by_algorithm = {};  // parts of the prediction; empty: not asked
};

// measured / predicted of one class of algorithms. A recipe mixes classes, so each recipe counts by
// the class's share of its predicted loss.
struct AlgorithmBias {
  double num_recipes = 0;   // sum of the shares
  double bias_ratio = 0;    // geometric mean
  double spread_ratio = 0;  // geometric standard deviation
};

struct AdditivityStats {
  std::vector<AdditivitySample> samples;
  double spearman = 0;  // rank correlation of predicted and measured, ties share their mean rank
  double r2_log = 0;    // squared correlation of their logarithms
  // measured / predicted: geometric mean, geometric standard deviation (1: none), extremes.
  double bias_ratio = 0;
  double bias_spread_ratio = 0;
  double bias_min_ratio = 0;
  double bias_max_ratio = 0;
  std::map<std::string, AlgorithmBias> by_algorithm = {};
};

// Samples with a prediction or measurement of 0 count for the ranks alone.
// Errors: kInvalidArgument for fewer than 3 samples, or fewer than 3 with both above 0.
[[nodiscard]] Result<AdditivityStats> additivity_of(std::vector<AdditivitySample> samples);

[[nodiscard]] Json additivity_to_json(const AdditivityStats& stats);

// KL of a treated model against the reference, on whatever text the caller keeps.
using MeasureKl = std::function<Result<double>(const host::HostModel& treated)>;

// Predicts and measures every recipe. Errors: of predict_loss, TreatedModel::apply, `measure`.
[[nodiscard]] Result<AdditivityStats> measure_additivity(const LossProfile& profile,
                                                         const std::vector<RandomRecipe>& recipes,
                                                         TreatedModel& treated,
                                                         const MeasureKl& measure,
                                                         const ProgressSink& progress = {});

}  // namespace dovetail::compress
