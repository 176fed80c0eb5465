#include "study/side_json.h"

#include <gtest/gtest.h>

namespace dovetail::study {
namespace {

chip::Chip chip_of(int64_t index) {
  chip::Chip chip;
  chip.name = "chip " + std::to_string(index);
  return chip;
}

SideAnswer feasible_side() {
  SideAnswer side;
  side.name = "size_first";
  side.fixed_first = "int4_g32";
  side.settled.feasible = true;
  side.settled.predicted_cap = 0.1 + 0.2;  // needs all 17 digits
  side.settled.steps = {{1.0 / 3, 0.999999999999999, 1e300}, {5e-324, 2, 3}};
  side.settled.candidate.chip_index = 7;
  side.settled.candidate.treatments = {{0, 3, 2}, {1}};
  side.settled.candidate.resident_frac = {{0.1F, 1.0F, 0.0F}, {1.0F / 3}};
  side.settled.candidate.metric = 1.0 / 7;
  side.settled.candidate.objective = 2.0 / 7;
  side.settled.candidate.gap_frac = 1e-4;
  side.settled.losses = {{.kl_nats = 0.07,
                          .kl_stderr_nats = 0.01,
                          .window_kl_nats = {0.1 / 3, 0.2 / 3},
                          .top1_agreement_frac = 0.9,
                          .measured = true},
                         {.kl_nats = 0.5}};
  return side;
}

TEST(SideJson, EveryNumberComesBackBitForBit) {
  const SideAnswer side = feasible_side();
  // Through text, as the database keeps it.
  const auto back = side_from_json(Json::parse(side_to_json(side).dump()), chip_of);
  ASSERT_TRUE(back.has_value()) << back.error().message;
  EXPECT_EQ(back->name, side.name);
  EXPECT_EQ(back->fixed_first, side.fixed_first);
  EXPECT_EQ(back->settled.predicted_cap, side.settled.predicted_cap);
  ASSERT_EQ(back->settled.steps.size(), 2U);
  EXPECT_EQ(back->settled.steps[1].predicted_cap, 5e-324);
  EXPECT_EQ(back->settled.steps[0].worst_ratio, side.settled.steps[0].worst_ratio);
  EXPECT_EQ(back->settled.candidate.chip.name, "chip 7");
  EXPECT_EQ(back->settled.candidate.treatments, side.settled.candidate.treatments);
  EXPECT_EQ(back->settled.candidate.resident_frac, side.settled.candidate.resident_frac);
  EXPECT_EQ(back->settled.candidate.metric, side.settled.candidate.metric);
  EXPECT_EQ(back->settled.candidate.objective, side.settled.candidate.objective);
  EXPECT_EQ(back->settled.candidate.gap_frac, side.settled.candidate.gap_frac);
  ASSERT_EQ(back->settled.losses.size(), 2U);
  EXPECT_EQ(back->settled.losses[0].window_kl_nats, side.settled.losses[0].window_kl_nats);
  EXPECT_TRUE(back->settled.losses[0].measured);
  EXPECT_FALSE(back->settled.losses[1].measured);
  EXPECT_EQ(side_to_json(*back), side_to_json(side));
}

TEST(SideJson, ASideThatFitsNothingKeepsItsReason) {
  SideAnswer side;
  side.name = "joint";
  side.why_not = "area";
  side.settled.steps = {{0.1, 2, 3}};
  const auto back = side_from_json(side_to_json(side), chip_of);
  ASSERT_TRUE(back.has_value()) << back.error().message;
  EXPECT_FALSE(back->settled.feasible);
  EXPECT_EQ(back->why_not, "area");
  EXPECT_EQ(back->settled.steps.size(), 1U);
}

TEST(SideJson, CandidatesKeepTheirOrder) {
  search::Candidate one = feasible_side().settled.candidate;
  search::Candidate other = one;
  other.chip_index = 3;
  other.objective = 1.0 / 3;
  const auto back =
      candidates_from_json(Json::parse(candidates_to_json({one, other}).dump()), chip_of);
  ASSERT_TRUE(back.has_value()) << back.error().message;
  ASSERT_EQ(back->size(), 2U);
  EXPECT_EQ((*back)[0].chip.name, "chip 7");
  EXPECT_EQ((*back)[1].chip.name, "chip 3");
  EXPECT_EQ((*back)[1].objective, 1.0 / 3);
  EXPECT_FALSE(candidates_from_json(Json::array({1}), chip_of).has_value());
}

TEST(SideJson, AForeignRowIsAnError) {
  for (const char* key : {"name", "steps", "candidate", "losses"}) {
    Json json = side_to_json(feasible_side());
    json.erase(key);
    const auto back = side_from_json(json, chip_of);
    ASSERT_FALSE(back.has_value()) << key;
    EXPECT_EQ(back.error().code, ErrorCode::kInvalidArgument);
    EXPECT_NE(back.error().message.find(key), std::string::npos) << back.error().message;
  }
}

}  // namespace
}  // namespace dovetail::study
