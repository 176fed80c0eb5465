// Applies a recipe: checkpoint + recipe -> a model that runs with the rounded weights and numerics.
//
// Round to nearest with the least-squared-error scale (formats::Rounding{}); sites are stacked as
// site_matrix.h says.
// A tied head is one stored matrix: treating it treats the input embedding too. An untied
// embedding, norms and biases are never treated. Weights are first turned where the recipe rotates
// (rotate.h), which unties a tied head.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "base/result.h"
#include "host/host_model.h"
#include "model/model.h"
#include "recipe/site.h"

namespace dovetail::compress {

// A turned and rounded copy of all weights. Errors: kInvalidArgument if the recipe has other layers
// or breaks recipe::check_recipe, or something that needs calibration text (compress_model.h).
[[nodiscard]] Result<model::Weights> apply_recipe(const model::Weights& weights,
                                                  const recipe::Recipe& recipe);

// A site by an algorithm that needs inputs (site_versions.h).
struct SiteWeights {
  std::vector<float> values;  // its matrices stacked
  // Of a fold: s by input channel. The site runs with its columns times s, and what produces its
  // inputs divides by s, after that was rounded itself (fold.h). Empty: none.
  std::vector<float> fold = {};
};
using SiteValues =
    std::function<Result<SiteWeights>(int64_t site, const recipe::LinearTreatment& treatment)>;

struct TreatStats {
  int64_t rounded_weights = 0;  // weights that were rounded anew
  int64_t reused_weights = 0;   // taken from what this object had rounded before
};

// One treated copy beside the reference, moved from recipe to recipe: only the sites whose format
// differs are rounded again, and recent roundings are kept; other rotations start anew. Memory: the
// treated copy (as large as the weights), the turned weights if a recipe rotates, and at most
// `cache_bytes`.
class TreatedModel {
 public:
  // versions: gives the sites whose treatment has an algorithm; without it such recipes are
  // refused. Errors: as HostModel::create.
  [[nodiscard]] static Result<TreatedModel> create(
      const std::shared_ptr<const model::Weights>& weights,
      int64_t cache_bytes = int64_t{256} << 20, SiteValues versions = {});

  // Errors: as apply_recipe; those of `versions`.
  [[nodiscard]] Result<TreatStats> apply(const recipe::Recipe& recipe);

  // The model as last treated (at first: the reference). It changes with the next apply(), and so
  // do copies of it: they share the treated weights.
  [[nodiscard]] const host::HostModel& model() const { return model_; }

 private:
  TreatedModel(std::shared_ptr<const model::Weights> weights, host::HostModel model,
               int64_t cache_bytes);

  struct Rounded {
    int64_t site = 0;
    recipe::LinearTreatment treatment;  // of the weights alone
    SiteWeights weights;
  };
  // Of a linear site or the head, the treated ones.
  [[nodiscard]] std::vector<model::Matrix*> matrices_of(int64_t site);
  void write(int64_t site, const std::vector<float>& values);
  // Returns the scales to fold in, once the sites of the layer are written.
  [[nodiscard]] Result<std::vector<float>> treat(int64_t site,
                                                 const recipe::LinearTreatment& wanted,
                                                 TreatStats& stats);
  [[nodiscard]] Status treat_layer(int64_t layer, const recipe::Recipe& recipe, TreatStats& stats);
  void remember(Rounded rounded);
  [[nodiscard]] const Rounded* recall(int64_t site, const recipe::LinearTreatment& wanted);

  // Turns the reference's weights as the recipe asks, if they are not.
  [[nodiscard]] Status turn(const recipe::Recipe& recipe);
  // Starts from weights_, nothing rounded.
  [[nodiscard]] Status copy_weights();

  std::shared_ptr<const model::Weights> reference_;
  std::shared_ptr<const model::Weights> weights_;  // turned; the reference's if nothing rotates
  recipe::Recipe transforms_;                      // its rotation and Hadamard blocks alone
  std::vector<std::shared_ptr<model::LayerWeights>> layers_;  // treated copies
  std::shared_ptr<model::Matrix> head_;
  std::vector<recipe::LinearTreatment> applied_;  // by site index; kv entries unused
  host::HostModel model_;
  SiteValues versions_;
  std::list<Rounded> cache_;  // most recently used first
  int64_t cached_bytes_ = 0;
  int64_t cache_bytes_ = 0;
};

}  // namespace dovetail::compress
