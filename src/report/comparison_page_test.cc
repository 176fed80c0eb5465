#include "report/comparison_page.h"

#include <functional>

#include <gtest/gtest.h>

#include "report/page_test_record.h"

namespace dovetail::report {
namespace {

Json base_record() {
  Json record = page_test_record();
  record["space"] = {{"cores", {1, 2, 4}}};
  record["run"] = {{"version", "0.1.0"}, {"prepare_s", 3}};
  record["scenarios"][0]["recommendation"]["objective_value"] = 1e8;
  return record;
}

Comparison compare(const Json& from, const Json& to) {
  auto comparison = compare_records(from, to);
  EXPECT_TRUE(comparison.has_value());
  return comparison.has_value() ? *comparison : Comparison{};
}

struct Cause {
  const char* title;
  std::function<void(Json&)> change;
};

// Every cause that a record can show, alone.
std::vector<Cause> causes() {
  return {
      {"Budget", [](Json& r) { r["budget"]["max_area_mm2"] = 30; }},
      {"Space", [](Json& r) { r["space"]["cores"] = {1, 2}; }},
      {"Technology constants", [](Json& r) { r["constants"][0]["value"] = 1.2; }},
      {"Menu of treatments", [](Json& r) { r["menu"]["linear"].push_back("nvfp4"); }},
      {"Texts", [](Json& r) { r["texts"]["select"]["digest"] = "other"; }},
      {"Products", [](Json& r) { r["products"][0]["workload"]["name"] = "w2"; }},
      {"Scenarios asked", [](Json& r) { r["scenarios"].erase(1); }},
      {"Program", [](Json& r) { r["run"]["version"] = "0.2.0"; }},
      {"Loss table", [](Json& r) { r["loss_table"][0]["loss_nats"][0][2] = 0.05; }},
      {"Prediction bias", [](Json& r) { r["additivity"]["bias_ratio"] = 1.4; }},
  };
}

TEST(CauseWords, OneCauseIsNamedAndNoOther) {
  for (const Cause& cause : causes()) {
    Json after = base_record();
    cause.change(after);
    after["scenarios"][0]["recommendation"]["objective_value"] = 1.1e8;
    const Comparison comparison = compare(base_record(), after);
    const std::string words = cause_words(comparison);
    const std::string opening = comparison.groups.front().role == Role::kInput
                                    ? "One input changed: "
                                    : "No input changed, but what the study measured did: ";
    EXPECT_TRUE(words.starts_with(opening + cause.title + " (")) << words;
    for (const Cause& other : causes()) {
      if (other.title == cause.title) continue;
      EXPECT_EQ(words.find(std::string(other.title) + " ("), std::string::npos) << words;
    }
    EXPECT_NE(comparison_text(comparison).find(words), std::string::npos);
    EXPECT_EQ(to_json(comparison)["cause"], words);
  }
}

TEST(CauseWords, WhatWasMeasuredFollowsFromTheInput) {
  Json after = base_record();
  after["texts"]["profile"]["num_tokens"] = 20;
  after["additivity"]["bias_ratio"] = 1.4;
  EXPECT_EQ(cause_words(compare(base_record(), after)),
            "One input changed: Texts (profile.num_tokens 10 → 20), which also moved Prediction "
            "bias (bias_ratio 1.3 → 1.4).");
}

TEST(CauseWords, ABudgetDoesNotMoveLosses) {
  Json after = base_record();
  after["budget"]["max_area_mm2"] = 30;
  after["loss_table"][0]["loss_nats"][0][2] = 0.05;
  EXPECT_TRUE(cause_words(compare(base_record(), after)).starts_with("Several causes at once"));
}

TEST(CauseWords, SeveralCausesAreNotTakenForOne) {
  Json after = base_record();
  after["budget"]["max_area_mm2"] = 30;
  after["constants"][0]["value"] = 1.2;
  const std::string words = cause_words(compare(base_record(), after));
  EXPECT_TRUE(words.starts_with("Several causes at once")) << words;
  EXPECT_NE(words.find("Budget (max_area_mm2 20 → 30)"), std::string::npos) << words;
  EXPECT_NE(words.find("Technology constants (k.value 1 → 1.2)"), std::string::npos) << words;
}

TEST(CauseWords, NoneInTheRecordsIsSaid) {
  Json after = base_record();
  after["scenarios"][0]["recommendation"]["objective_value"] = 1.1e8;
  EXPECT_TRUE(cause_words(compare(base_record(), after)).starts_with("The records hold no cause"));
}

TEST(EffectWords, SaysHowManyAndByHowMuch) {
  Json after = base_record();
  EXPECT_EQ(effect_words(compare(base_record(), after)), "No answer changed.");
  after["scenarios"][0]["recommendation"]["objective_value"] = 1.1e8;
  EXPECT_EQ(effect_words(compare(base_record(), after)),
            "The answer changed in 1 scenario; for request latency, loss <= 0.1 the objective "
            "moved by +10 %.");
}

TEST(ComparisonText, NothingChangedIsSaid) {
  const Comparison comparison = compare(base_record(), base_record());
  EXPECT_NE(comparison_text(comparison).find("Nothing changed"), std::string::npos);
  EXPECT_NE(comparison_html(comparison)->find("Nothing changed"), std::string::npos);
}

TEST(ComparisonHtml, HoldsEveryChangeEscapedAndNothingFromOutside) {
  Json after = base_record();
  after["name"] = "<b>";
  after["question"] = "<script>";
  after["scenarios"][0]["recommendation"]["objective_value"] = 0.9e8;
  const auto html = comparison_html(compare(base_record(), after));
  ASSERT_TRUE(html.has_value());
  EXPECT_EQ(html->find("<script>"), std::string::npos);
  EXPECT_EQ(html->find("<b>"), std::string::npos);
  EXPECT_NE(html->find("&lt;script&gt;"), std::string::npos);
  EXPECT_NE(html->find("class=\"better\" style=\"width:50.00%"), std::string::npos);
  EXPECT_NE(html->find("-10.00&#160;%"), std::string::npos);
  for (const char* outside : {" src=", "@import", "<link", "url(http"}) {
    EXPECT_EQ(html->find(outside), std::string::npos) << outside;
  }
}

}  // namespace
}  // namespace dovetail::report
