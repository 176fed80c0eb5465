#include "study/study_config.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/test_folder.h"

namespace dovetail::study {
namespace {

constexpr const char* kGood = R"(
name = "s"
objectives = ["latency"]
kl_caps_nats = [0.1]
[[products]]
name = "p"
model = "m"
workload = "w"
[budget]
max_area_mm2 = 10
max_peak_power_w = 5
max_sustained_power_w = 5
max_power_density_w_per_mm2 = 0.5
)";
constexpr const char* kSpace = R"(
[space]
nodes = ["n7"]
clock_mhz = [1000]
cores = [1]
rows = [4]
cols = [16]
depth = [16]
vector_lanes = [16]
decoder_values_per_cycle = [128]
weight_buffer_kib = [32]
activation_buffer_kib = [32]
accumulator_kib = [8]
sram_mib = [1]
dram_kinds = ["lpddr5"]
dram_channels = [2]
dram_capacity_gib = 4
[[space.format_sets]]
name = "i9"
pairs = [{ weight = "int9", activation = "int8" }]
)";

class StudyConfigTest : public ::testing::Test {
 protected:
  void TearDown() override { std::filesystem::remove(path_); }
  std::string error_of(const std::string& text) {
    std::ofstream(path_) << text;
    const auto config = load_study(path_);
    if (config.has_value()) return "no error";
    const std::string& message = config.error().message;
    EXPECT_EQ(message.substr(0, path_.size()), path_) << message;
    return message.substr(path_.size() + 2);
  }
  std::string path_ = (test_folder() / "study_config_.toml").string();
};

TEST_F(StudyConfigTest, ReadsAWholeStudy) {
  EXPECT_EQ(error_of(std::string(kGood) + kSpace), "no error");
}

TEST_F(StudyConfigTest, TooFewValidationRecipesAreRefusedBeforeTheWork) {
  for (const char* few : {"1", "2"}) {
    EXPECT_EQ(error_of(std::string("validation_recipes = ") + few + kGood + kSpace),
              std::string("validation_recipes = ") + few + ", want 0 (none) or at least 3");
  }
  EXPECT_EQ(error_of(std::string("validation_recipes = 0") + kGood + kSpace), "no error");
  EXPECT_EQ(error_of(std::string("validation_recipes = 3") + kGood + kSpace), "no error");
}

TEST_F(StudyConfigTest, EveryStudyInTheRepositoryIsValid) {
  for (const auto& entry : std::filesystem::directory_iterator("studies")) {
    if (entry.path().extension() != ".toml") continue;
    const auto config = load_study(entry.path().string());
    EXPECT_TRUE(config.has_value()) << config.error().message;
  }
}

TEST_F(StudyConfigTest, TheNameIsAFolderThatStaysBelowOut) {
  for (const std::string name : {"", "../x", "a/b", ".hidden", "a b"}) {
    std::string text = std::string(kGood) + kSpace;
    text.replace(text.find("\"s\""), 3, "\"" + name + "\"");
    EXPECT_EQ(error_of(text).rfind("name = \"" + name + "\", want 1 to 100 letters", 0), 0U)
        << name;
  }
}

TEST_F(StudyConfigTest, AnAccuracyTargetHasOneLimitThatItsVerdictKnows) {
  const auto error = [&](const std::string& target) {
    return error_of(std::string(kGood) + "[[accuracy]]\nbenchmark = \"mmlu\"\n" + target + kSpace);
  };
  EXPECT_EQ(error("margin_frac = 0.03\nquestions_per_task = 20\n"), "no error");
  EXPECT_EQ(error("margin_questions = 5\nverdict = \"benchmark\"\n"), "no error");
  EXPECT_EQ(error("floor_frac = 0.4\n"), "no error");
  const std::string where = "accuracy, benchmark = \"mmlu\": ";
  EXPECT_EQ(error(""),
            where + "0 of margin_frac, margin_questions and floor_frac are set, want one");
  EXPECT_EQ(error("margin_frac = 0.1\nfloor_frac = 0.2\n"),
            where + "2 of margin_frac, margin_questions and floor_frac are set, want one");
  EXPECT_EQ(
      error("margin_frac = 0.1\nverdict = \"benchmark\"\nquestions_per_task = 3\n"),
      where + "questions_per_task = 3 with verdict = \"benchmark\", which asks all questions");
  EXPECT_EQ(error("margin_questions = 3\n").rfind(where + "margin_questions = 3 counts", 0), 0U);
  EXPECT_EQ(error("margin_frac = 0.1\nproduct = \"q\"\n").rfind(where + "product = \"q\", want", 0),
            0U);
}

TEST_F(StudyConfigTest, ErrorsSayWhatIsWrongAndWhatIsWanted) {
  EXPECT_EQ(error_of(kGood),
            "space is missing, want [space], or chip = \"FILE\" to freeze the chip");
  EXPECT_EQ(error_of("chip = \"c\"\n" + std::string(kGood) + kSpace),
            "chip = \"c\" freezes the chip, but [space] is there too; want only one");
  EXPECT_EQ(error_of(std::string(kGood) + "max_area = 3\n" + kSpace),
            "budget.max_area: unknown key, did you mean max_area_mm2?");
  EXPECT_EQ(error_of(std::string(kGood) + kSpace + "[menu]\nweights = [\"int4\", \"int4\"]\n"),
            "menu.weights = \"int4\" appears twice, want each once");
  const std::string unknown =
      error_of(std::string(kGood) + kSpace + "[menu]\nweights = [\"int44\"]\n");
  EXPECT_NE(unknown.find("menu.weights"), std::string::npos);
  EXPECT_NE(unknown.find("int44"), std::string::npos);
}

TEST_F(StudyConfigTest, RotationsAreKnownOnceAndFew) {
  const auto with = [](const std::string& rotations) {
    return std::string(kGood) + kSpace + "[menu]\nrotations = [" + rotations + "]\n";
  };
  EXPECT_EQ(error_of(with("\"none\", \"r1r2\"")), "no error");
  EXPECT_EQ(error_of(with("")), "menu.rotations is empty, want \"none\" at least");
  EXPECT_EQ(error_of(with("\"r1\", \"r1\"")),
            "menu.rotations = \"r1\" appears twice, want each once");
  EXPECT_NE(error_of(with("\"r3\"")).find("r3"), std::string::npos);
  std::string many = kGood;
  for (const char* name : {"b", "c"})
    many.insert(many.find("[budget]"), std::string("[[products]]\nname = \"") + name +
                                           "\"\nmodel = \"m\"\nworkload = \"w\"\n");
  EXPECT_EQ(error_of(many + kSpace + "[menu]\nrotations = [\"none\", \"r1\", \"r1r2\"]\n"),
            "menu.rotations: 3 rotations of each of 3 products are 27 global choices, want at "
            "most 16");
}

TEST(MakeMenu, HoldsEveryPairAndTheReferenceFirst) {
  MenuConfig config;
  config.weights = {"int4_g32", "int8"};
  config.activations = {"bf16", "int8_token"};
  config.kv = {"int8"};
  const auto menu = make_menu(config);
  ASSERT_TRUE(menu.has_value());
  EXPECT_EQ(menu->linear[0], recipe::LinearTreatment{});
  EXPECT_EQ(menu->kv[0], recipe::KvTreatment{});
  EXPECT_EQ(menu->linear.size(), 6U);  // (bf16, int4_g32, int8) x (bf16, int8_token)
  EXPECT_EQ(menu->kv.size(), 2U);
}

TEST(MakeMenuError, AFormatThatNoProfilePricesIsRefusedBeforeTheWork) {
  MenuConfig config;
  config.weights = {"int4_g16"};
  const auto menu = make_menu(config);
  ASSERT_FALSE(menu.has_value());
  EXPECT_TRUE(menu.error().message.starts_with(
      "menu.weights: int4_g16 is a format, but not one that profiles price; want one of bf16"))
      << menu.error().message;
}

TEST(StudyMenu, TakesAlgorithmsWithItsWeights) {
  MenuConfig config;
  config.weights = {"int4_g64", "int4_g64_gptq"};
  config.activations = {"bf16", "int8_token"};
  const auto menu = make_menu(config);
  ASSERT_TRUE(menu.has_value()) << menu.error().message;
  EXPECT_EQ(recipe::treatment_name(menu->linear.back()), "int4_g64_gptq+a:int8_token");
  config.weights = {"int4_g64_gptq+a:int8_token"};
  EXPECT_EQ(make_menu(config).error().message,
            "menu.weights: int4_g64_gptq+a:int8_token, want weights alone; activations have a list "
            "of their own");
}

}  // namespace
}  // namespace dovetail::study
