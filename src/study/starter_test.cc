#include "study/starter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/config_keys.h"
#include "base/paths.h"
#include "base/test_folder.h"
#include "model/zoo.h"
#include "silicon/estimate.h"

namespace dovetail::study {
namespace {

using testing::HasSubstr;

// SmolLM2-135M, whose file need not be here.
model::ModelShape small_shape() {
  model::ModelShape shape;
  shape.name = "small";
  shape.num_layers = 30;
  shape.hidden_size = 576;
  shape.intermediate_size = 1536;
  shape.num_heads = 9;
  shape.num_kv_heads = 3;
  shape.head_dim = 64;
  shape.vocab_size = 49152;
  shape.max_positions = 8192;
  return shape;
}

class StarterTest : public ::testing::Test {
 protected:
  void SetUp() override { std::filesystem::create_directories(folder_); }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  // Writes the study as `dovetail init` does and reads it as `dovetail optimize` does.
  Result<StudyConfig> written_and_loaded(const Wishes& wishes) {
    DOVETAIL_TRY(const StudyConfig config, start_study(wishes));
    const std::string path = folder_ + "/" + config.name + ".toml";
    std::ofstream(path) << study_text(config);
    DOVETAIL_TRY(StudyConfig loaded, load_study(path));
    EXPECT_EQ(to_json(loaded), to_json(config));
    return loaded;
  }
  std::string folder_ = (test_folder() / "starter_").string();
};

// Whether some chip of the space, looked at one after the other in steps that hit every axis, runs
// the model at four bits everywhere inside the budget.
bool some_chip_fits(const StudyConfig& config, const model::ModelShape& shape) {
  const auto technology = silicon::Technology::load(data_folder() + "/technology");
  EXPECT_TRUE(technology.has_value());
  const auto workload_file = data_file("workloads", config.products[0].workload);
  const auto workload = read_config<recipe::Workload>(*workload_file);
  EXPECT_TRUE(workload.has_value());
  const auto recipe = recipe::parse_uniform_recipe(shape, "int4_g32+a:int8_token+kv:int8");
  EXPECT_TRUE(recipe.has_value());
  const int64_t num_chips = search::num_chips(*config.space);
  constexpr int64_t kTried =
      60000;  // the first that fits ends it; about one in 10,000 does at the tightest
  constexpr int64_t kStep = 1000003;  // prime, larger than any axis: visits all over the space
  for (int64_t i = 0; i < kTried; ++i) {
    const chip::Chip chip = search::chip_at(*config.space, (i * kStep) % num_chips);
    const auto cost = silicon::estimate_cost(chip, *technology, shape, *workload, *recipe, {});
    if (!cost.has_value() || !cost->fits) continue;
    const double area_mm2 = cost->area.total_mm2();
    const double peak_w = cost->peak_power.total_mw() / 1e3;
    if (area_mm2 <= config.budget.max_area_mm2 && peak_w <= config.budget.max_peak_power_w &&
        cost->sustained_power_mw / 1e3 <= config.budget.max_sustained_power_w &&
        peak_w / area_mm2 <= config.budget.max_power_density_w_per_mm2) {
      return true;
    }
  }
  return false;
}

TEST_F(StarterTest, EveryClassGivesAStudyThatLoadsAndHasAChipInItsBudget) {
  for (const std::string& name : data_names("classes")) {
    const bool small = name.find("edge") == 0 && name != "edge_large";
    const std::string model = small ? "smollm2-135m" : "llama-3-8b";
    const auto config = written_and_loaded({.name = name,
                                            .model = model,
                                            .class_name = name,
                                            .workload = "",
                                            .objectives = {},
                                            .kl_caps_nats = {},
                                            .max_area_mm2 = {},
                                            .max_power_w = {},
                                            .max_dram_gb_per_s = {},
                                            .loss_profile = ""});
    ASSERT_TRUE(config.has_value()) << name << ": " << config.error().message;
    const auto shape =
        small ? Result<model::ModelShape>(small_shape()) : model::resolve_shape(model);
    ASSERT_TRUE(shape.has_value());
    EXPECT_TRUE(some_chip_fits(*config, *shape)) << name;
    for (const std::string& chip : config->reference_chips) {
      EXPECT_TRUE(data_file("chips", chip).has_value()) << chip;
    }
  }
}

TEST_F(StarterTest, WishesReachTheFile) {
  Wishes wishes;
  wishes.name = "mine";
  for (const auto& [field, answer] :
       std::vector<std::pair<Field, std::string>>{{Field::kModel, "llama-3-8b"},
                                                  {Field::kClass, "cloud"},
                                                  {Field::kWorkload, "cloud_2048_128_b16"},
                                                  {Field::kObjectives, "energy, latency"},
                                                  {Field::kKlCaps, "0.05 0.4"},
                                                  {Field::kArea, "250.5"},
                                                  {Field::kPower, "120"},
                                                  {Field::kDram, "1700"},
                                                  {Field::kLossProfile, "qwen2.5-coder-0.5b"}}) {
    const Status taken = set_answer(wishes, field, answer);
    ASSERT_TRUE(taken.has_value()) << taken.error().message;
  }
  const auto config = written_and_loaded(wishes);
  ASSERT_TRUE(config.has_value()) << config.error().message;
  EXPECT_EQ(config->name, "mine");
  EXPECT_EQ(config->products[0].model, "llama-3-8b");
  EXPECT_EQ(config->products[0].workload, "cloud_2048_128_b16");
  EXPECT_EQ(config->products[0].loss_profile, "qwen2.5-coder-0.5b");
  EXPECT_THAT(config->objectives, testing::ElementsAre("energy", "latency"));
  EXPECT_THAT(config->kl_caps_nats, testing::ElementsAre(0.05, 0.4));
  EXPECT_EQ(config->budget.max_area_mm2, 250.5);
  EXPECT_EQ(config->budget.max_peak_power_w, 120);
  EXPECT_EQ(config->budget.max_sustained_power_w, 120);
  EXPECT_EQ(config->budget.max_dram_gb_per_s, 1700);
}

TEST_F(StarterTest, AClassMayBeAFile) {
  const auto text = read_text_file(*data_file("classes", "edge_large"), 1 << 20);
  ASSERT_TRUE(text.has_value());
  std::ofstream(folder_ + "/mine.toml") << *text;
  Wishes wishes;
  wishes.name = "custom";
  ASSERT_TRUE(set_answer(wishes, Field::kModel, "llama-3-8b").has_value());
  ASSERT_TRUE(set_answer(wishes, Field::kClass, folder_ + "/mine.toml").has_value());
  const auto config = written_and_loaded(wishes);
  ASSERT_TRUE(config.has_value()) << config.error().message;
  EXPECT_EQ(config->budget.max_area_mm2, 120);
}

TEST_F(StarterTest, EveryKeyOfAStudyIsExplainedInTheFile) {
  Wishes wishes;
  wishes.name = "s";
  const auto config = start_study(wishes);
  ASSERT_TRUE(config.has_value()) << config.error().message;
  std::string text = study_text(*config);
  for (size_t at = text.find("\n# "); at != std::string::npos; at = text.find("\n# ", at)) {
    text.replace(at, 3, " ");  // joins broken comments
  }
  for (const ConfigKey& key : describe_config<StudyConfig>()) {
    EXPECT_THAT(text, HasSubstr(key.help.substr(1))) << key.path;
    EXPECT_THAT(text, HasSubstr(key.path.substr(key.path.rfind('.') + 1))) << key.path;
  }
}

TEST_F(StarterTest, WrongAnswersSayWhatIsWantedAndTheNearest) {
  Wishes wishes;
  const auto error_of = [&](Field field, const std::string& answer) {
    const Status taken = set_answer(wishes, field, answer);
    return taken.has_value() ? std::string("taken") : taken.error().message;
  };
  EXPECT_THAT(error_of(Field::kModel, "llama-3-8x"), HasSubstr("llama-3-8b"));
  EXPECT_THAT(error_of(Field::kClass, "egde"), HasSubstr("class \"egde\" is not in data/classes"));
  EXPECT_THAT(error_of(Field::kClass, "clod"), HasSubstr("did you mean cloud?"));
  EXPECT_THAT(error_of(Field::kWorkload, "chat_512"), HasSubstr("chat_512_256"));
  EXPECT_THAT(error_of(Field::kObjectives, "latncy"), HasSubstr("did you mean \"latency\""));
  EXPECT_THAT(error_of(Field::kObjectives, " , "), HasSubstr("at least one"));
  EXPECT_THAT(error_of(Field::kKlCaps, "0.1,x"), HasSubstr("\"x\", want 1e-05..20"));
  EXPECT_THAT(error_of(Field::kKlCaps, "nan"), HasSubstr("want 1e-05..20"));
  EXPECT_THAT(error_of(Field::kArea, "0"), HasSubstr("want 0.1..1000 (die area)"));
  EXPECT_THAT(error_of(Field::kArea, "40mm2"), HasSubstr("want 0.1..1000 (die area)"));
  EXPECT_THAT(error_of(Field::kPower, "-1"), HasSubstr("want 0.01..5000"));
  EXPECT_THAT(error_of(Field::kLossProfile, "llama-3-8b"), HasSubstr("a shape without weights"));
  EXPECT_EQ(to_json(*start_study({.name = "s",
                                  .model = "",
                                  .class_name = "",
                                  .workload = "",
                                  .objectives = {},
                                  .kl_caps_nats = {},
                                  .max_area_mm2 = {},
                                  .max_power_w = {},
                                  .max_dram_gb_per_s = {},
                                  .loss_profile = ""})),
            to_json(*start_study([&] {
              Wishes same = wishes;
              same.name = "s";
              return same;
            }())));  // nothing wrong was kept
}

TEST_F(StarterTest, AModelThatNoDramHoldsIsRefusedWithTheClassesThatDo) {
  Wishes wishes;
  wishes.name = "s";
  ASSERT_TRUE(set_answer(wishes, Field::kModel, "llama-3-70b").has_value());
  ASSERT_TRUE(set_answer(wishes, Field::kClass, "edge").has_value());
  const auto config = start_study(wishes);
  ASSERT_FALSE(config.has_value());
  EXPECT_THAT(config.error().message, HasSubstr("--class edge has 4 GiB of DRAM"));
  EXPECT_THAT(config.error().message, HasSubstr("want one of cloud, cloud_large"));
}

TEST_F(StarterTest, ALossProfileForAModelWithWeightsIsRefused) {
  Wishes wishes;
  wishes.name = "s";
  ASSERT_TRUE(set_answer(wishes, Field::kLossProfile, "qwen2.5-coder-0.5b").has_value());
  const auto config = start_study(wishes);
  ASSERT_FALSE(config.has_value());
  EXPECT_THAT(config.error().message, HasSubstr("has weights of its own"));
}

}  // namespace
}  // namespace dovetail::study
