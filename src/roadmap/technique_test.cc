#include "roadmap/technique.h"

#include <gtest/gtest.h>

#include "search/synthetic_case.h"

namespace dovetail::roadmap {
namespace {

recipe::Menu menu() {
  return search::synthetic::make_menu(
      {"bf16", "bf16+a:int8_token", "int4_g64", "int4_g64+a:int8_token", "int4_g64_gptq",
       "int4_g32", "nvfp4_awq_gptq", "int8"},
      {"bf16", "int8", "int8+q:int8_token", "int4"});
}

std::vector<std::string> names_of(const std::vector<Technique>& techniques) {
  std::vector<std::string> names;
  for (const Technique& technique : techniques)
    names.push_back(std::string(kind_words(technique.kind)) + " " + technique.name);
  return names;
}

TEST(Techniques, EachSetOfTreatmentsHasOneName) {
  const std::vector<std::string> expected = {"weight format int4_g64",
                                             "weight format int4_g32",
                                             "weight format nvfp4_awq_gptq",
                                             "weight format int8",
                                             "weight format with algorithm int4_g64_gptq",
                                             "weight bits int4*",
                                             "activation format a:int8_token",
                                             "kv treatment kv:int8",
                                             "kv treatment kv:int8+q:int8_token",
                                             "kv treatment kv:int4",
                                             "kv bits kv:int8*",
                                             "rotation r:r1r2"};
  EXPECT_EQ(names_of(techniques_of(menu(), {recipe::Rotation::kNone, recipe::Rotation::kR1R2})),
            expected);
}

TEST(Techniques, AFormatIsItsTreatmentsInAllActivationsAndAlgorithms) {
  for (const Technique& technique : techniques_of(menu(), {})) {
    if (technique.name != "int4_g64") continue;
    EXPECT_EQ(technique.linear, (std::vector<uint8_t>{0, 0, 1, 1, 1, 0, 0, 0}));
    EXPECT_EQ(technique.kv, (std::vector<uint8_t>{0, 0, 0, 0}));
  }
}

TEST(TreatmentWithout, LeavesTheRestOfATreatment) {
  const auto all = techniques_of(menu(), {});
  const auto named = [&](const std::string& name) {
    return *std::ranges::find(all, name, &Technique::name);
  };
  const auto site = recipe::SiteKind::kAttnO;
  EXPECT_EQ(treatment_without(named("int4_g64"), menu(), site, 3), 1);      // its activations
  EXPECT_EQ(treatment_without(named("int4_g64"), menu(), site, 4), 0);      // bf16
  EXPECT_EQ(treatment_without(named("a:int8_token"), menu(), site, 3), 2);  // its weights
  EXPECT_EQ(treatment_without(named("kv:int4"), menu(), recipe::SiteKind::kKv, 3), 0);
}

}  // namespace
}  // namespace dovetail::roadmap
