#include "report/comparison.h"

#include <gtest/gtest.h>

#include "report/page_test_record.h"

namespace dovetail::report {
namespace {

const Change* find_change(const Comparison& comparison, const std::string& what) {
  for (const ChangeGroup& group : comparison.groups) {
    for (const Change& change : group.changes) {
      if (change.what == what) return &change;
    }
  }
  return nullptr;
}

TEST(CompareRecords, NothingChangedIsSaid) {
  Json again = page_test_record();
  again["run"] = {{"seconds", 3}};
  const auto comparison = compare_records(page_test_record(), again);
  ASSERT_TRUE(comparison.has_value());
  EXPECT_TRUE(comparison->groups.empty());
}

TEST(CompareRecords, InputsComeFirstAndAnswersSayByHowMuch) {
  Json after = page_test_record();
  after["budget"]["max_area_mm2"] = 30;
  after["constants"][0]["value"] = 1.5;
  Json& scenario = after["scenarios"][0];
  scenario["recommendation"]["chip"]["cores"] = 4;
  scenario["recommendation"]["limits"]["area_mm2"] = 21;
  scenario["recommendation"]["products"][0]["recipe"]["head"] = "int8";
  scenario["baselines"][0]["verdict"] = "not established";
  const auto comparison = compare_records(page_test_record(), after);
  ASSERT_TRUE(comparison.has_value());
  ASSERT_FALSE(comparison->groups.empty());
  EXPECT_EQ(comparison->groups.front().role, Role::kInput);
  EXPECT_EQ(comparison->groups.back().role, Role::kAnswer);
  ASSERT_NE(find_change(*comparison, "max_area_mm2"), nullptr);
  EXPECT_EQ(find_change(*comparison, "max_area_mm2")->note, "+50 %");
  EXPECT_EQ(find_change(*comparison, "k.value")->to, "1.5");
  EXPECT_EQ(find_change(*comparison, "chip: cores")->to, "4");
  EXPECT_EQ(find_change(*comparison, "area_mm2")->note, "+50 %");
  EXPECT_EQ(find_change(*comparison, "chat: recipe")->to, "1 of 6 sites changed");
  EXPECT_EQ(find_change(*comparison, "chat: recipe")->note, "1 x fp8_e4m3fn -> int8");
  EXPECT_EQ(find_change(*comparison, "against \"compress first, then build\": verdict")->to,
            "not established");
}

TEST(CompareRecords, AddedAndDroppedScenariosAreInputs) {
  Json after = page_test_record();
  after["scenarios"][1]["objective"] = "latency";
  after["scenarios"][1]["kl_cap_nats"] = 0.3;
  const auto comparison = compare_records(page_test_record(), after);
  ASSERT_TRUE(comparison.has_value());
  EXPECT_EQ(find_change(*comparison, "request latency, loss <= 0.3")->to, "asked");
  EXPECT_EQ(find_change(*comparison, "energy per request, loss <= 0.1")->from, "asked");
}

TEST(CompareRecords, AnAnswerThatNoLongerFits) {
  Json after = page_test_record();
  after["scenarios"][0] = {
      {"objective", "latency"}, {"kl_cap_nats", 0.1}, {"feasible", false}, {"why_not", "power"}};
  const auto comparison = compare_records(page_test_record(), after);
  ASSERT_TRUE(comparison.has_value());
  EXPECT_EQ(find_change(*comparison, "fits")->to, "false");
  EXPECT_EQ(find_change(*comparison, "why not")->to, "power");
}

TEST(CompareRecords, LossesAreCountedAndOnlyUnderOneMenu) {
  Json after = page_test_record();
  after["loss_table"][0]["loss_nats"][0] = {0, 0.00246912, 0.03};
  auto comparison = compare_records(page_test_record(), after);
  ASSERT_TRUE(comparison.has_value());
  const Change* losses = find_change(*comparison, "chat: losses of single sites");
  ASSERT_NE(losses, nullptr);
  EXPECT_EQ(losses->to, "2 losses changed, median x2");
  EXPECT_EQ(losses->note, "x1.5 to x2");
  after["menu"]["linear"] = {"bf16", "int8", "int3_g64"};
  comparison = compare_records(page_test_record(), after);
  ASSERT_TRUE(comparison.has_value());
  EXPECT_EQ(find_change(*comparison, "chat: losses of single sites"), nullptr);
}

TEST(CompareRecords, ValuesCarryTheirUnit) {
  Json after = page_test_record();
  Json& point = after["scenarios"][0]["recommendation"];
  point["products"][0]["cost"]["latency_ns"] = 2e8;
  point["limits"]["peak_power_mw"] = 4500;
  const auto comparison = compare_records(page_test_record(), after);
  ASSERT_TRUE(comparison.has_value());
  EXPECT_EQ(find_change(*comparison, "chat: latency_ns")->from, "100 ms");
  EXPECT_EQ(find_change(*comparison, "peak_power_mw")->to, "4.5 W");
}

TEST(CompareRecordsError, NamesTheKey) {
  Json after = page_test_record();
  after.erase("budget");
  EXPECT_EQ(compare_records(page_test_record(), after).error().message,
            "record: budget is missing, want the record of a study");
}

}  // namespace
}  // namespace dovetail::report
