#include "roadmap/known_techniques.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "search/synthetic_case.h"

namespace dovetail::roadmap {
namespace {

std::vector<std::string> named(const Json& rows, const std::string& status) {
  std::vector<std::string> names;
  for (const Json& row : rows)
    if (row.at("status") == status) names.push_back(row.at("technique").get<std::string>());
  return names;
}

bool lists(const std::vector<std::string>& names, const std::string& name) {
  return std::ranges::find(names, name) != names.end();
}

TEST(UnpricedTechniques, WhatTheMenuHoldsIsNotListed) {
  const recipe::Menu menu = search::synthetic::make_menu(
      {"bf16", "int4_g64_gptq+a:int8_token", "nvfp4_awq"}, {"bf16", "int8+q:int8_token"});
  const auto names =
      named(unpriced_techniques(menu, {recipe::Rotation::kR1}), "not priced in this study");
  for (const char* held :
       {"gptq", "awq", "int4_g64", "nvfp4", "bf16", "a:int8_token", "kv:int8", "r:r1"})
    EXPECT_FALSE(lists(names, held)) << held;
  for (const char* absent :
       {"imatrix", "gptq_cd", "smooth", "int4_g32", "mxfp4", "a:fp8_token", "kv:int4", "r:r1r2"})
    EXPECT_TRUE(lists(names, absent)) << absent;
}

// The keys that it names are such as a study file may hold.
TEST(UnpricedTechniques, KeysParse) {
  const Json rows = unpriced_techniques(search::synthetic::small_menu(), {});
  int parsed = 0;
  for (const Json& row : rows) {
    const auto how = row.at("how").get<std::string>();
    const auto quoted = [&](const std::string& key) {
      const size_t from = key.size() + 3;
      return how.starts_with(key + ": \"") ? how.substr(from, how.size() - from - 1) : "";
    };
    if (const std::string weights = quoted("menu.weights"); !weights.empty()) {
      EXPECT_TRUE(recipe::parse_linear_treatment(weights).has_value()) << weights;
      ++parsed;
    }
    if (const std::string kv = quoted("menu.kv"); !kv.empty()) {
      EXPECT_TRUE(recipe::parse_kv_treatment(kv).has_value()) << kv;
      ++parsed;
    }
  }
  EXPECT_GT(parsed, 20);
}

TEST(UnpricedTechniques, WhatIsNotBuiltIsSaidSo) {
  EXPECT_EQ(named(unpriced_techniques({}, {}), "not built"),
            (std::vector<std::string>{"QAT", "distillation"}));
}

}  // namespace
}  // namespace dovetail::roadmap
