#include "study/tornado.h"

#include <string>

#include "study/explanation_fixture.h"

namespace dovetail::study {
namespace {

using TornadoTest = ExplanationTest;

TEST_P(TornadoTest, SearchedTornadoRowsAreTheBestOfAllChipsUnderTheMovedConstant) {
  const auto rows = tornado_to_json(state_, answer_, {});
  ASSERT_TRUE(rows.has_value()) << rows.error().message;
  const double base = answer_.joint.settled.candidate.objective;
  int num_searched = 0;
  for (const Json& row : *rows) {
    EXPECT_EQ(row.at("winner_changes").get<bool>(),
              row.at("chip_low") != answer_.joint.settled.candidate.chip.name ||
                  row.at("chip_high") != answer_.joint.settled.candidate.chip.name);
    if (row.at("searched") != "space") continue;
    ++num_searched;
    for (const std::string side : {"low", "high"}) {
      const silicon::Technology moved =
          state_.technology.with(row.at("constant"), row.at(side).get<double>());
      const double best = best_chip(moved, state_.config.budget).objective;
      const Json& change = row.at("objective_change_" + side + "_frac");
      if (std::isinf(best)) {
        EXPECT_TRUE(change.is_null()) << row.at("constant") << " " << side;
      } else {
        EXPECT_NEAR(change.get<double>(), best / base - 1.0, kTolerance * best / base)
            << row.at("constant") << " " << side;
      }
    }
  }
  EXPECT_EQ(num_searched, 4);
}

TEST_P(TornadoTest, ContendersNeverClaimLessThanTheTruth) {
  // A row from the contenders alone may miss a better chip, never invent one.
  const auto rows = tornado_to_json(state_, answer_, {});
  ASSERT_TRUE(rows.has_value());
  const double base = answer_.joint.settled.candidate.objective;
  int num_checked = 0;
  for (const Json& row : *rows) {
    if (row.at("searched") != "contenders" || num_checked == 3) continue;
    if (row.at("objective_change_low_frac").is_null()) continue;
    ++num_checked;
    const silicon::Technology moved =
        state_.technology.with(row.at("constant"), row.at("low").get<double>());
    const double truth = best_chip(moved, state_.config.budget).objective / base - 1.0;
    EXPECT_GE(row.at("objective_change_low_frac").get<double>(), truth - 2 * kTolerance);
  }
  EXPECT_GT(num_checked, 0);
}

INSTANTIATE_TEST_SUITE_P(Seeds, TornadoTest, ::testing::Values(1, 2));

}  // namespace
}  // namespace dovetail::study
