#include "report/roadmap_page.h"

#include <gtest/gtest.h>

#include "report/roadmap_words.h"

namespace dovetail::report {
namespace {

Json alternative(double saved, double low, double high) {
  return {{"feasible", true},           {"chip", "c"},
          {"saved_frac", saved},        {"saved_low_frac", low},
          {"saved_high_frac", high},    {"saved_latency_frac", saved},
          {"saved_energy_frac", 0.015}, {"saved_area_frac", 0.0}};
}

Json sample() {
  Json used = {
      {"technique", "int4_g64<b>"},
      {"kind", "weight format"},
      {"place", "used"},
      {"share_frac", 0.625},
      {"added_nats", 0.04},
      {"added_low_nats", 0.03},
      {"added_high_nats", 0.05},
      {"saved_frac_per_nat", 3.0},
      {"saved_low_frac_per_nat", 2.0},
      {"saved_high_frac_per_nat", 4.0},
      {"without", alternative(0.12, 0.08, 0.16)},
      {"equal_loss", alternative(0.034, 0.01, 0.05)},
      {"silicon",
       {{"pairs", {{{"weight", "int5"}, {"activation", "int8"}, {"own", true}, {"decoded", true}}}},
        {"hadamard_unit", false},
        {"resident_bytes", 524288.0},
        {"own_area_mm2", 0.25}}},
      {"confidence", "established"},
      {"falsified_by", {"KL above 0.2 nats"}}};
  Json needed = used;
  needed["technique"] = "a:int8_token";
  needed.erase("saved_frac_per_nat");
  needed["without"] = {{"feasible", false}};
  needed["equal_loss"] = {{"feasible", false}};
  Json idle = {{"technique", "nvfp4"},
               {"kind", "weight format"},
               {"place", "not used"},
               {"share_frac", 0},
               {"enters_at_frac", 0.5},
               {"confidence", "not established"},
               {"falsified_by", {"KL of uniform nvfp4 below 0.1 nats"}}};
  Json absent = {{"technique", "a:fp8_token"},
                 {"kind", "activation format"},
                 {"place", "not on this chip"},
                 {"share_frac", 0},
                 {"wanted_pairs", {"int8 x fp8_e4m3fn"}},
                 {"confidence", "not established"},
                 {"falsified_by", Json::array()}};
  return {{"roadmap_version", 1},
          {"name", "tiny & <study>"},
          {"question", "?"},
          {"space_searched", false},
          {"prediction", {{"none", {{"bias_ratio", 1.3}, {"spread_ratio", 1.1}}}}},
          {"scenarios",
           {{{"objective", "latency"},
             {"kl_cap_nats", 0.15},
             {"feasible", true},
             {"why_not", ""},
             {"answer",
              {{"chip", {{"node", "n7"}, {"cores", 1}}}, {"latency_ns", 2e8}, {"area_mm2", 9.5}}},
             {"rows", {needed, used, idle, absent}}},
            {{"objective", "latency"},
             {"kl_cap_nats", 0.01},
             {"feasible", false},
             {"why_not", "area <x>"}}}},
          {"unpriced",
           {{{"technique", "gptq"},
             {"kind", "algorithm"},
             {"status", "not priced in this study"},
             {"how", "menu.weights: \"int4_g64_gptq\""}},
            {{"technique", "QAT"}, {"kind", "training"}, {"status", "not built"}, {"how", ""}}}}};
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST(RoadmapText, SaysEveryRowOnce) {
  const auto text = roadmap_text(sample());
  ASSERT_TRUE(text.has_value()) << text.error().message;
  EXPECT_TRUE(has(*text, "latency within 0.15 nats")) << *text;
  EXPECT_TRUE(has(*text, "   62 %       0.04    12.0 %           3 %     3.40 %  established"))
      << *text;
  EXPECT_TRUE(has(
      *text, "int5 x int8 (its own, through the decoder); 0.25 mm² of its own; 0.5 MiB in SRAM"))
      << *text;
  EXPECT_TRUE(has(*text, "wrong if: KL above 0.2 nats")) << *text;
  EXPECT_TRUE(has(*text, "a:int8_token: needs")) << *text;
  EXPECT_TRUE(has(*text, "no answer without it on this chip within this loss")) << *text;
  EXPECT_TRUE(has(*text, "nvfp4: enters where it adds 0.5 of what is predicted [not established]"))
      << *text;
  EXPECT_TRUE(has(*text, "no pair for int8 x fp8_e4m3fn")) << *text;
  EXPECT_TRUE(has(*text, "no point fits: area <x>")) << *text;
  EXPECT_TRUE(has(*text, "gptq: not priced in this study; menu.weights: \"int4_g64_gptq\""))
      << *text;
  EXPECT_TRUE(has(*text, "QAT: not built\n")) << *text;
}

TEST(RoadmapHtml, EscapesWhatItShowsAndHasEveryPart) {
  const auto html = roadmap_html(sample());
  ASSERT_TRUE(html.has_value()) << html.error().message;
  EXPECT_TRUE(has(*html, "int4_g64&lt;b&gt;"));
  EXPECT_FALSE(has(*html, "int4_g64<b>"));
  EXPECT_TRUE(has(*html, "tiny &amp; &lt;study&gt;"));
  EXPECT_TRUE(has(*html, "8 to 16 %"));
  EXPECT_TRUE(has(*html, "2 to 4 %"));
  EXPECT_TRUE(has(*html, "Saves: latency 12.0 %, energy 1.50 %, area 0.00 %"));
  EXPECT_TRUE(has(*html, "No point fits: area &lt;x&gt;"));
  EXPECT_FALSE(has(*html, "any chip"));
  EXPECT_TRUE(has(*html, "spread ×1.1"));
}

TEST(RoadmapHtml, WithTheSpaceThereIsAColumnForIt) {
  Json roadmap = sample();
  roadmap["space_searched"] = true;
  roadmap["scenarios"][0]["rows"][1]["space"] = alternative(0.021, 0.01, 0.03);
  const auto html = roadmap_html(roadmap);
  ASSERT_TRUE(html.has_value());
  EXPECT_TRUE(has(*html, "any chip"));
  EXPECT_TRUE(has(*html, "2.10 %"));
}

TEST(RoadmapHtml, WithoutBandsNoneIsShown) {
  Json roadmap = sample();
  roadmap["prediction"] = Json::object();
  for (const char* key : {"saved_low_frac", "saved_high_frac"})
    roadmap["scenarios"][0]["rows"][1]["without"][key] = nullptr;
  const auto html = roadmap_html(roadmap);
  ASSERT_TRUE(html.has_value());
  EXPECT_FALSE(has(*html, "8 to 16 %"));
  EXPECT_TRUE(has(*html, "there are no bands"));
}

TEST(RoadmapHtml, OtherVersionsAndOtherKindsAreRefused) {
  Json roadmap = sample();
  roadmap["roadmap_version"] = 9;
  const auto other = roadmap_html(roadmap);
  ASSERT_FALSE(other.has_value());
  EXPECT_EQ(other.error().message, "roadmap: roadmap_version = 9, want 1");
  EXPECT_FALSE(roadmap_text(Json(3)).has_value());
  roadmap = sample();
  roadmap["scenarios"][0]["rows"][1]["falsified_by"] = {3};
  EXPECT_FALSE(roadmap_html(roadmap).has_value());
}

}  // namespace
}  // namespace dovetail::report
