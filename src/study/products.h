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
  model::ModelShape shape;
  recipe::Workload workload;
  compress::LossProfile profile;
  search::LossTable losses;
  std::unique_ptr<silicon::CostModel> costs;
  LossLab* lab = nullptr;                   // where its losses come from
  bool measurable = false;                  // its own weights are here
  std::vector<int32_t> frozen_choice = {};  // menu index per site of a frozen recipe, else empty
};

// Shared by all products; the labs stay where they are, products point to them.
struct StudyState {
  StudyConfig config;
  std::unique_ptr<Memory> memory;
  silicon::Technology technology;
  recipe::Menu menu;
  std::map<std::string, std::unique_ptr<LossLab>> labs;  // by model name
  std::vector<ProductState> products;
  bool recipe_frozen = false;
};

// Loads models, workloads and technology; profiles what was not profiled yet.
[[nodiscard]] Result<StudyState> prepare(const StudyConfig& config, const std::string& out_folder,
                                         const ProgressSink& progress);

// The products as the search wants them, with costs under `technology`.
[[nodiscard]] std::vector<search::Product> search_products(const StudyState& state);

}  // namespace dovetail::study
