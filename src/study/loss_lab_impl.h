// What LossLab keeps, for the sources of this folder.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "compress/kv_injection.h"
#include "compress/saved_block.h"
#include "compress/site_versions.h"
#include "eval/scorer.h"
#include "study/loss_lab.h"

namespace dovetail::study {

// The model under one rotation, and what is at hand while its losses are learnt.
struct Turned {
  recipe::Rotation rotation = recipe::Rotation::kNone;
  std::shared_ptr<const model::Weights> weights;
  host::HostModel model;
  std::optional<compress::TreatedModel> treated = {};
  std::optional<compress::KvInjector> injector = {};            // while the profile is made
  std::optional<std::vector<model::Matrix>> layer_inputs = {};  // while versions are made
  std::map<int64_t, compress::SavedBlock> blocks = {};  // by layer, the head behind the last
};

// Learnt of one rotation.
struct Learnt {
  compress::LossProfile profile;              // with the versions' losses
  std::map<std::string, double> algorithm_s;  // by treatment, all sites
};

struct LossLab::Impl {
  std::shared_ptr<const model::Weights> weights;
  std::string model_path;
  std::string digest;
  // Before anything was permuted, as `dovetail eval` knows the model; of studies with benchmarks.
  std::string released_digest;
  TextConfig text;
  uint64_t off_grid_seed = 0;
  int64_t validation_recipes = 0;
  Memory* memory = nullptr;
  ProgressSink progress;
  std::optional<host::HostModel> reference;
  std::map<eval::TextPart, eval::TextWindows> texts;
  std::map<eval::TextPart, eval::KlReference> references;
  // Treatments of the menu that need calibration text.
  std::vector<recipe::LinearTreatment> calibrated;
  std::optional<Turned> turned;
  std::map<recipe::Rotation, Learnt> learnt;

  Result<Turned*> turn(recipe::Rotation rotation);
  Result<eval::TextWindows> make_text(eval::TextPart part);
  Result<const eval::KlReference*> reference_of(eval::TextPart part);
  // The model under a recipe, until the next one. Takes the rotation off the recipe.
  Result<const host::HostModel*> treat(recipe::Recipe& recipe);
  Result<std::unique_ptr<eval::Scorer>> released_scorer() const;
  Result<std::unique_ptr<eval::Scorer>> treated_scorer(recipe::Recipe recipe);
  Result<eval::KlStats> measure_now(recipe::Recipe recipe, eval::TextPart part);
  Result<Json> measure_chip_sums_now(recipe::Recipe recipe, const host::AlignedSums& sums);
  Piece linears_piece(const Json& input, const eval::TextWindows& profile_text,
                      recipe::Rotation rotation);
  Piece kv_piece(const Json& input, const eval::TextWindows& profile_text,
                 recipe::Rotation rotation, int64_t layer);
  Json versions_key(recipe::Rotation rotation, int64_t layer) const;
  std::string versions_file(recipe::Rotation rotation, int64_t layer) const;
  Result<compress::SiteVersions> make_versions(recipe::Rotation rotation, int64_t layer);
  Piece versions_piece(recipe::Rotation rotation, int64_t layer);
  Result<compress::SiteWeights> values_of(Turned& from, int64_t site,
                                          const recipe::LinearTreatment& treatment);
  std::vector<Piece> parts_of_profile(const Json& input, const eval::TextWindows& profile_text,
                                      recipe::Rotation rotation);
  Result<std::vector<compress::RandomRecipe>> validation(const recipe::Menu& menu,
                                                         recipe::Rotation rotation) const;
};

}  // namespace dovetail::study
