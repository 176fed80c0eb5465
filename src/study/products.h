// The products of a study, ready for the search: shapes, workloads, losses, costs.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/progress.h"
#include "base/result.h"
#include "compress/loss_profile.h"
#include "model/model.h"
#include "recipe/site.h"
#include "recipe/workload.h"
#include "search/enumerate.h"
#include "search/loss_table.h"
#include "silicon/cost_table.h"
#include "silicon/technology.h"
#include "study/loss_lab.h"
#include "study/memory.h"
#include "study/study_config.h"

namespace dovetail::study {

struct ProductState {
  ProductConfig config;
  recipe::Rotation rotation = recipe::Rotation::kNone;
  model::ModelShape shape;  // as it is under the rotation
  recipe::Workload workload;
  compress::LossProfile profile;
  search::LossTable losses;
  std::shared_ptr<const silicon::CostModel> costs;
  LossLab* lab = nullptr;                   // where its losses come from
  bool measurable = false;                  // its own weights are here
  std::vector<int32_t> frozen_choice = {};  // menu index per site of a frozen recipe, else empty
};

// What all global choices of a study share; the labs stay where they are, products point to them.
struct StudyState {
  StudyConfig config;
  std::shared_ptr<Memory> memory;
  silicon::Technology technology;
  recipe::Menu menu;
  std::map<std::string, std::shared_ptr<LossLab>> labs;  // by model name
  bool recipe_frozen = false;
  // Under one global choice: a rotation of each product.
  std::vector<ProductState> products;
};

// The study under each of its global choices, in order: those of the last product change first.
// Choices touch every site at once, so each has loss tables and costs of its own, and the search is
// solved for each.
using StudyStates = std::vector<StudyState>;

// Loads models, workloads and technology; profiles what was not profiled yet.
[[nodiscard]] Result<StudyStates> prepare(const StudyConfig& config, const std::string& out_folder,
                                          const ProgressSink& progress);

// "r1r2"; of several products "none,r1r2".
[[nodiscard]] std::string global_choice_name(const StudyState& state);

// The rotations of a product in any of the states, in order.
[[nodiscard]] std::vector<recipe::Rotation> rotations_of(const StudyStates& states, size_t product);

// What a choice from the product's menu makes of its model.
[[nodiscard]] recipe::Recipe recipe_of(const ProductState& product,
                                       const std::vector<int32_t>& treatments);

// The products as the search wants them, with costs under `technology`.
[[nodiscard]] std::vector<search::Product> search_products(const StudyState& state);

}  // namespace dovetail::study
