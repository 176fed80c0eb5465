#include "roadmap/roadmap.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "roadmap/asker.h"
#include "roadmap/band.h"
#include "roadmap/roadmap_fixture.h"

namespace dovetail::roadmap {
namespace {

// The solver closes its answers to 0.1 %, and its tables hold single precision.
constexpr double kTolerance = 2e-3;

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

// What each technique of the fixture's menu is, in terms of names alone.
std::map<std::string, std::function<bool(const std::string&)>> techniques_by_name() {
  return {{"int8", [](const std::string& t) { return t.starts_with("int8+"); }},
          {"int4_g32", [](const std::string& t) { return has(t, "int4_g32"); }},
          {"int4_g32_gptq", [](const std::string& t) { return has(t, "_gptq"); }},
          {"int3_g32", [](const std::string& t) { return has(t, "int3_g32"); }},
          {"a:int8_token", [](const std::string& t) { return has(t, "+a:int8"); }},
          {"kv:int8", [](const std::string& t) { return t == "kv:int8"; }}};
}

class Ranking : public RoadmapTest {
 protected:
  void SetUp() override {
    const auto ranked = rank_techniques(*tables_, answer(), {}, {});
    ASSERT_TRUE(ranked.has_value()) << ranked.error().message;
    rows_ = ranked->rows;
  }
  static PricedRecipe answer_recipe() { return cheapest(kPredicted, nothing); }

  // What a technique adds, from the names of treatments: the site's loss less that of bf16 weights
  // with the same activations, of bf16 activations, of an uncompressed cache.
  static double added(const std::string& name, const PricedRecipe& recipe) {
    const auto belongs = techniques_by_name().at(name);
    double sum = 0;
    for (size_t s = 0; s < recipe.choice.size(); ++s) {
      const std::string treatment = treatment_at(recipe, s);
      if (!belongs(treatment)) continue;
      const bool weights = !name.starts_with("a:") && !name.starts_with("kv:");
      const double rest = weights && has(treatment, "+a:int8") ? losses().loss[s][1] : 0;
      sum += recipe.losses[s] - rest;
    }
    return sum;
  }
  std::vector<Row> rows_;
};

TEST_F(Ranking, PricesOfTheSlowWayAreThoseOfTheSumOverOps) {
  constexpr size_t kEvery = 53;  // no divisor of a menu's size: every treatment of every site
  int num_finite = 0;
  for (size_t i = 0; i < recipes_->size(); i += kEvery) {
    const PricedRecipe& recipe = (*recipes_)[i];
    const double cost = price(*tables_, small_chip(), recipe.choice);
    if (std::isinf(recipe.cost)) {  // does not fit this chip
      ASSERT_TRUE(std::isinf(cost));
      continue;
    }
    ASSERT_NEAR(recipe.cost, cost, 1e-9 * recipe.cost);
    ++num_finite;
  }
  EXPECT_GT(num_finite, 50) << "too few to compare";
}

TEST_F(Ranking, EveryTechniqueOfTheMenuHasOneRow) {
  std::vector<std::string> names;
  for (const Row& row : rows_) names.push_back(row.technique.name);
  std::ranges::sort(names);
  std::vector<std::string> expected;
  for (const auto& [name, belongs] : techniques_by_name()) expected.push_back(name);
  EXPECT_EQ(names, expected);
}

TEST_F(Ranking, SavingsAreThoseOfAllRecipesPricedOneByOne) {
  const PricedRecipe best = answer_recipe();
  int used = 0;
  for (const Row& row : rows_) {
    const auto belongs = techniques_by_name().at(row.technique.name);
    ASSERT_EQ(row.place == Place::kUsed, uses(best, belongs)) << row.technique.name;
    if (row.place != Place::kUsed) continue;
    ++used;
    const double spent = added(row.technique.name, best);
    EXPECT_NEAR(row.added_nats->value, 1.3 * spent, 1e-9) << row.technique.name;
    const PricedRecipe equal = cheapest(loss_of(best), belongs);
    const PricedRecipe unspent = cheapest(loss_of(best) - spent, belongs);
    ASSERT_EQ(row.equal_loss.has_value(), std::isfinite(equal.cost)) << row.technique.name;
    ASSERT_EQ(row.without.has_value(), std::isfinite(unspent.cost)) << row.technique.name;
    if (row.equal_loss.has_value()) {
      EXPECT_NEAR(row.equal_loss->saved.value, 1 - best.cost / equal.cost, kTolerance)
          << row.technique.name;
    }
    if (!row.without.has_value()) continue;
    const double saved = 1 - best.cost / unspent.cost;
    EXPECT_NEAR(row.without->saved.value, saved, kTolerance) << row.technique.name;
    if (spent > 0) {
      EXPECT_NEAR(row.saved_per_nat->value, saved / (1.3 * spent), kTolerance / (1.3 * spent));
    }
  }
  EXPECT_GE(used, 3);  // otherwise the case says little
}

TEST_F(Ranking, OrderFollowsTheSavingPerNat) {
  const PricedRecipe best = answer_recipe();
  double last = kInfinity;
  int compared = 0;
  for (const Row& row : rows_) {
    if (!row.saved_per_nat.has_value()) continue;
    const auto belongs = techniques_by_name().at(row.technique.name);
    const double spent = added(row.technique.name, best);
    const double slow =
        (1 - best.cost / cheapest(loss_of(best) - spent, belongs).cost) / (1.3 * spent);
    EXPECT_LE(slow, last + kTolerance / (1.3 * spent)) << row.technique.name;
    last = slow;
    ++compared;
  }
  EXPECT_GE(compared, 2);
  const auto group = [](const Row& row) { return static_cast<int>(row.place); };
  EXPECT_TRUE(std::ranges::is_sorted(rows_, {}, group));
}

// At which share of what it adds the cheapest recipe of all becomes cheaper than the answer.
TEST_F(Ranking, WhatIsNotUsedEntersWhereTheCheapestRecipeOfAllSaysSo) {
  const PricedRecipe best = answer_recipe();
  for (const Row& row : rows_) {
    if (row.place != Place::kNotUsed) continue;
    const auto belongs = techniques_by_name().at(row.technique.name);
    const auto saves_at = [&](double frac) {
      for (const PricedRecipe& recipe : *recipes_) {
        const double relieved = loss_of(recipe) - (1 - frac) * added(row.technique.name, recipe);
        if (relieved <= loss_of(best) && recipe.cost < best.cost * (1 - 2e-3)) return true;
      }
      return false;
    };
    if (!row.enters_at_frac.has_value()) {
      EXPECT_FALSE(saves_at(0)) << row.technique.name;
      continue;
    }
    constexpr double kStep = 2.0 / 256;
    EXPECT_TRUE(saves_at(std::max(0.0, *row.enters_at_frac - kStep))) << row.technique.name;
    EXPECT_FALSE(saves_at(*row.enters_at_frac + kStep + 0.02)) << row.technique.name;
  }
}

TEST_F(Ranking, TheFalsifyingLossIsThatOfTheCheapestEqualRecipe) {
  const PricedRecipe best = answer_recipe();
  const auto asker = Asker::open(*tables_, answer());
  ASSERT_TRUE(asker.has_value());
  int found = 0;
  for (const Row& row : rows_) {
    if (row.place != Place::kUsed) continue;
    const auto belongs = techniques_by_name().at(row.technique.name);
    double least = kInfinity;
    for (const PricedRecipe& recipe : *recipes_)
      if (recipe.cost <= best.cost * (1 + 1e-3) && !uses(recipe, belongs))
        least = std::min(least, loss_of(recipe));
    const auto factor = asker->equal_cost_factor(row.technique, row.silicon);
    ASSERT_TRUE(factor.has_value());
    ASSERT_EQ(factor->has_value(), std::isfinite(least)) << row.technique.name;
    if (!factor->has_value()) continue;
    EXPECT_NEAR(**factor, std::max(1.0, least / loss_of(best)), 0.02 * **factor)
        << row.technique.name;
    ++found;
  }
  EXPECT_GE(found, 1);
}

TEST_F(Ranking, WithoutWeightsOrTestNothingIsEstablished) {
  Answer unmeasured = answer();
  unmeasured.products[0].measured = false;
  const auto ranked = rank_techniques(*tables_, unmeasured, {}, {});
  ASSERT_TRUE(ranked.has_value());
  for (const Row& row : ranked->rows) EXPECT_EQ(row.confidence, "predicted only");
  Tables untested = *tables_;
  untested.bands.clear();
  const auto again = rank_techniques(untested, answer(), {}, {});
  ASSERT_TRUE(again.has_value());
  for (const Row& row : again->rows) EXPECT_EQ(row.confidence, "predicted only");
}

TEST_F(Ranking, ConfidenceIsTheBandsLowEnd) {
  for (const Row& row : rows_) {
    if (!row.equal_loss.has_value()) continue;
    EXPECT_EQ(row.confidence, row.equal_loss->saved.low > 0 ? "established" : "not established");
  }
  Tables wild = *tables_;  // a prediction that may be wrong by a factor of a hundred
  wild.bands[recipe::Rotation::kNone].spread_ratio = 10;
  const auto ranked = rank_techniques(wild, answer(), {}, {});
  ASSERT_TRUE(ranked.has_value());
  for (const Row& row : ranked->rows) {
    if (row.equal_loss.has_value() && row.equal_loss->saved.value < 0.3) {
      EXPECT_EQ(row.confidence, "not established") << row.technique.name;
    }
  }
}

TEST_F(Ranking, TheBandIsWorkedByHand) {
  const auto asker = Asker::open(*tables_, answer());
  ASSERT_TRUE(asker.has_value());
  Point other = asker->point();
  other.objective *= 1.1;
  other.gap_frac = 0;
  // Nothing differs: nothing is uncertain.
  Band band = saved_band(*tables_, answer(), asker->point(), other);
  EXPECT_NEAR(band.value, 1 - 1 / 1.1, 1e-12);
  EXPECT_NEAR(band.low, band.value, 1e-12);
  // One site differs: its share of the loss, two deviations of 1.1, to the power 0.3.
  const size_t site = 0;
  other.treatments[0][site] = other.treatments[0][site] == 2 ? 3 : 2;
  const auto share = [&](const std::vector<int32_t>& choice) {
    double all = 0;
    for (size_t s = 0; s < choice.size(); ++s)
      all += losses().loss[s][static_cast<size_t>(choice[s])];
    return losses().loss[site][static_cast<size_t>(choice[site])] / all;
  };
  const double changed = std::max(share(asker->point().treatments[0]), share(other.treatments[0]));
  const double ratio = std::pow(1 + changed * (1.1 * 1.1 - 1), 0.3);
  band = saved_band(*tables_, answer(), asker->point(), other);
  EXPECT_NEAR(band.low, 1 - ratio / 1.1, 1e-12);
  EXPECT_NEAR(band.high, 1 - 1 / (1.1 * ratio), 1e-12);
}

// A rotated answer against the best recipe of the model as it is, at the loss that the latter's own
// bias allows.
TEST_F(Ranking, ARotationIsComparedAtMeasuredLoss) {
  Tables tables = *tables_;
  constexpr auto kTurned = recipe::Rotation::kR1;
  tables.rotations.push_back(kTurned);
  tables.bands[kTurned] = {.bias_ratio = 2, .spread_ratio = 1.2};
  RotatedProduct& turned = tables.products[0].by_rotation[kTurned];
  turned.losses = losses();
  for (std::vector<double>& row : turned.losses.loss)
    for (double& loss : row) loss *= 0.5;
  turned.costs = std::make_shared<const silicon::CostModel>(
      silicon::CostModel::create(recipe::rotated_shape(shape(), kTurned), workload(), tables.menu,
                                 tables.technology)
          .value());
  Answer rotated = answer();
  AnswerProduct& own = rotated.products[0];
  own.rotation = kTurned;
  own.predicted_nats *= 0.5;
  own.loss_nats = 0.08;
  const auto ranked = rank_techniques(tables, rotated, {}, {});
  ASSERT_TRUE(ranked.has_value()) << ranked.error().message;
  const auto row = std::ranges::find(ranked->rows, TechniqueKind::kRotation,
                                     [](const Row& one) { return one.technique.kind; });
  ASSERT_NE(row, ranked->rows.end());
  ASSERT_EQ(row->place, Place::kUsed);
  ASSERT_TRUE(row->equal_loss.has_value());
  const double slow = cheapest(own.loss_nats / kBias, nothing).cost;
  EXPECT_NEAR(row->equal_loss->point.objective, slow, kTolerance * slow);
  EXPECT_NEAR(row->equal_loss->saved.value, 1 - rotated.objective / slow, kTolerance);
  EXPECT_FALSE(row->saved_per_nat.has_value());
  // The other way round it enters where its bias lets a cheaper recipe in.
  const auto plain = rank_techniques(tables, answer(), {}, {});
  ASSERT_TRUE(plain.has_value()) << plain.error().message;
  const auto idle = std::ranges::find(plain->rows, TechniqueKind::kRotation,
                                      [](const Row& one) { return one.technique.kind; });
  ASSERT_NE(idle, plain->rows.end());
  EXPECT_EQ(idle->place, Place::kNotUsed);
}

TEST_F(Ranking, AnInfeasibleScenarioHasNoRows) {
  Tables tables = *tables_;
  tables.answers = {Answer{.why_not = "area rejected 9 chips"}};
  const auto roadmap = make_roadmap(tables, {}, {});
  ASSERT_TRUE(roadmap.has_value()) << roadmap.error().message;
  EXPECT_FALSE(roadmap->at("scenarios").at(0).at("feasible").get<bool>());
  EXPECT_EQ(roadmap->at("scenarios").at(0).at("why_not"), "area rejected 9 chips");
  EXPECT_TRUE(roadmap->at("scenarios").at(0).at("rows").empty());
}

TEST_F(Ranking, EveryUsedRowSaysWhatWouldShowItWrong) {
  for (const Row& row : rows_) {
    if (row.place == Place::kUsed) {
      EXPECT_FALSE(row.falsified_by.empty()) << row.technique.name;
    }
  }
}

}  // namespace
}  // namespace dovetail::roadmap
