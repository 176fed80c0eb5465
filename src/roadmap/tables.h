// What a study's record holds of its allocation: losses, costs, limits, answers, as search reads
// it.
//
// Everything is made again from the record; nothing is profiled, measured or looked up in a model's
// weights. Costs come from this program under the record's own constants, and every recommendation
// is priced again: a record whose numbers this program does not reproduce is refused.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/config.h"
#include "base/result.h"
#include "search/enumerate.h"
#include "silicon/cost_table.h"
#include "silicon/technology.h"

namespace dovetail::roadmap {

// One product under one rotation.
struct RotatedProduct {
  search::LossTable losses = {};
  std::shared_ptr<const silicon::CostModel> costs = {};  // of the rotated shape
};

struct TableProduct {
  std::string name = {};
  double weight = 1;
  std::map<recipe::Rotation, RotatedProduct> by_rotation = {};  // those of the menu
};

// How predictions of whole recipes came out when they were measured.
struct PredictionBand {
  double bias_ratio = 1;    // measured over predicted
  double spread_ratio = 1;  // its geometric standard deviation, >= 1
};

struct AnswerProduct {
  recipe::Rotation rotation = recipe::Rotation::kNone;
  std::vector<int32_t> treatments = {};  // menu index per site
  std::vector<float> resident_frac = {};
  double predicted_nats = 0;
  double loss_nats = 0;  // measured on the selection text, or expected where there are no weights
  bool measured = false;
  std::optional<double> certified_nats = {};
  double certified_stderr_nats = 0;
};

struct Answer {
  search::Scenario scenario = {};  // max_loss: of the study, measured nats
  std::string why_not = {};        // not empty: infeasible, and what follows is empty
  chip::Chip chip = {};
  std::vector<AnswerProduct> products = {};
  double objective = 0;
  double gap_frac = 0;
  double elasticity = 0;  // -d log cost / d log loss
};

struct Tables {
  std::string name = {};
  std::string question = {};
  silicon::Technology technology = {};
  recipe::Menu menu = {};
  std::vector<recipe::Rotation> rotations = {};
  std::vector<TableProduct> products = {};
  search::Budget budget = {};
  std::optional<search::Space> space = {};  // absent: the chip was frozen
  bool exact_search = true;
  std::map<recipe::Rotation, PredictionBand> bands =
      {};  // empty: the study did not test its prediction
  std::map<std::string, PredictionBand> algorithm_bands = {};  // by algorithm, as "gptq"
  std::vector<Answer> answers = {};                            // one per scenario
};

// Reads technology and shapes of models from data_folder(). Errors: kInvalidArgument (a record of
// another version, a frozen recipe, numbers that this program does not reproduce, a missing or
// wrong key), kNotFound (the model's shape).
[[nodiscard]] Result<Tables> read_tables(const Json& record);

}  // namespace dovetail::roadmap
