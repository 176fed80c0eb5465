// A study of one small layer, and the slow way to every answer about it: looking through all of its
// recipes, one by one.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/paths.h"
#include "roadmap/tables.h"
#include "search/synthetic_case.h"
#include "silicon/estimate.h"

namespace dovetail::roadmap {

namespace synthetic = search::synthetic;

inline constexpr double kInfinity = std::numeric_limits<double>::infinity();

// A recipe of the whole model by menu indices, sites in order, the head last.
struct PricedRecipe {
  std::vector<int32_t> choice;
  double cost = 0;
  std::vector<double> losses;  // per site
};

class RoadmapTest : public ::testing::Test {
 protected:
  static constexpr double kPredicted = 0.12;  // cap of the answer, predicted nats
  static constexpr double kBias = 1.25;

  static void SetUpTestSuite() {
    tables_ = new Tables(make_tables());
    recipes_ = new std::vector<PricedRecipe>(price_all(*tables_));
    tables_->answers.push_back(make_answer());
  }
  static void TearDownTestSuite() {
    delete recipes_;
    delete tables_;
  }

  static chip::Chip small_chip() {
    chip::Chip chip = chip::load_chip(data_folder() + "/chips/reference_edge_small.toml").value();
    chip.sram_mib = 0;  // nothing is resident: a recipe is its treatments
    return chip;
  }

  static Tables make_tables() {
    Tables tables;
    tables.name = "one layer";
    tables.technology = silicon::Technology::load(data_folder() + "/technology").value();
    tables.menu =
        synthetic::make_menu({"bf16", "bf16+a:int8_token", "int8+a:int8_token",
                              "int4_g32+a:int8_token", "int4_g32_gptq+a:int8_token", "int3_g32"},
                             {"bf16", "int8"});
    tables.rotations = {recipe::Rotation::kNone};
    tables.budget = synthetic::edge_budget();
    tables.bands[recipe::Rotation::kNone] = {.bias_ratio = kBias, .spread_ratio = 1.1};
    TableProduct product{.name = "p", .weight = 1, .by_rotation = {}};
    RotatedProduct& own = product.by_rotation[recipe::Rotation::kNone];
    own.losses = synthetic::make_losses(shape(), tables.menu, 3);
    for (std::vector<double>& row : own.losses.loss)
      if (row.size() > 4) row[4] = 0.45 * row[3];  // what GPTQ does for int4_g32
    own.costs = std::make_shared<const silicon::CostModel>(
        silicon::CostModel::create(shape(), workload(), tables.menu, tables.technology).value());
    tables.products.push_back(std::move(product));
    return tables;
  }

  static model::ModelShape shape() { return synthetic::small_shape(1); }
  static recipe::Workload workload() {
    return {.name = "w", .prompt_tokens = 64, .output_tokens = 16};
  }
  static const search::LossTable& losses() {
    return tables_->products[0].by_rotation.at(recipe::Rotation::kNone).losses;
  }

  static double price(const Tables& tables, const chip::Chip& chip,
                      const std::vector<int32_t>& choice) {
    const auto report =
        silicon::estimate_cost(chip, tables.technology, shape(), workload(),
                               recipe::make_recipe(shape(), tables.menu, choice), {});
    return report.has_value() ? report->latency_ns : kInfinity;
  }

  static std::vector<PricedRecipe> price_all(const Tables& tables) {
    const auto& table = tables.products[0].by_rotation.at(recipe::Rotation::kNone).losses.loss;
    std::vector<PricedRecipe> recipes = {{}};
    for (const std::vector<double>& site : table) {
      std::vector<PricedRecipe> longer;
      for (const PricedRecipe& recipe : recipes) {
        for (size_t t = 0; t < site.size(); ++t) {
          PricedRecipe& more = longer.emplace_back(recipe);
          more.choice.push_back(static_cast<int32_t>(t));
          more.losses.push_back(site[t]);
        }
      }
      recipes = std::move(longer);
    }
    // Without residency a recipe costs what bf16 everywhere costs and what each site changes of it;
    // a test holds that to the slow sum over ops.
    std::vector<int32_t> base(table.size(), 0);
    const double plain = price(tables, small_chip(), base);
    std::vector<std::vector<double>> changes;
    for (size_t s = 0; s < table.size(); ++s) {
      std::vector<double>& site = changes.emplace_back();
      for (size_t t = 0; t < table[s].size(); ++t) {
        std::vector<int32_t> choice = base;
        choice[s] = static_cast<int32_t>(t);
        site.push_back(price(tables, small_chip(), choice) - plain);
      }
    }
    for (PricedRecipe& recipe : recipes) {
      recipe.cost = plain;
      for (size_t s = 0; s < table.size(); ++s)
        recipe.cost += changes[s][static_cast<size_t>(recipe.choice[s])];
    }
    return recipes;
  }

  // Whether a site's treatment, by name, belongs to a technique.
  using Uses = std::function<bool(const std::string&)>;
  static std::string treatment_at(const PricedRecipe& recipe, size_t site) {
    const auto index = static_cast<size_t>(recipe.choice[site]);
    return site == 4 ? "kv:" + recipe::treatment_name(tables_->menu.kv[index])
                     : recipe::treatment_name(tables_->menu.linear[index]);
  }
  static bool uses(const PricedRecipe& recipe, const Uses& belongs) {
    for (size_t s = 0; s < recipe.choice.size(); ++s)
      if (belongs(treatment_at(recipe, s))) return true;
    return false;
  }
  static double loss_of(const PricedRecipe& recipe) {
    double sum = 0;
    for (const double loss : recipe.losses) sum += loss;
    return sum;
  }
  // The cheapest within a cap that does not use the technique.
  static PricedRecipe cheapest(double cap, const Uses& left_out) {
    PricedRecipe best{.choice = {}, .cost = kInfinity, .losses = {}};
    for (const PricedRecipe& recipe : *recipes_) {
      if (loss_of(recipe) > cap * (1 + 1e-8) || recipe.cost >= best.cost) continue;
      if (!uses(recipe, left_out)) best = recipe;
    }
    return best;
  }
  static bool nothing(const std::string&) { return false; }

  static Answer make_answer() {
    const PricedRecipe best = cheapest(kPredicted, nothing);
    Answer answer{
        .scenario = {{search::Metric::kLatency, search::Scale::kNone}, kPredicted * kBias},
        .why_not = "",
        .chip = small_chip(),
        .products = {},
        .objective = best.cost,
        .gap_frac = 0,
        .elasticity = 0.3};
    AnswerProduct product;
    product.treatments = best.choice;
    product.resident_frac.assign(best.choice.size(), 0);
    product.predicted_nats = loss_of(best);
    product.loss_nats = 1.3 * product.predicted_nats;
    product.measured = true;
    product.certified_nats = 1.4 * product.predicted_nats;
    product.certified_stderr_nats = 0.01;
    answer.products.push_back(std::move(product));
    return answer;
  }
  static const Answer& answer() { return tables_->answers.front(); }

  static inline Tables* tables_ = nullptr;
  static inline std::vector<PricedRecipe>* recipes_ = nullptr;
};

}  // namespace dovetail::roadmap
