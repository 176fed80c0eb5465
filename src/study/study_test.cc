#include "study/study.h"

#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <limits>
#include <thread>

#include "base/paths.h"
#include "base/test_folder.h"
#include "chip/chip.h"
#include "compress/tiny_model.h"
#include "compress/treat.h"
#include "eval/kl.h"
#include "eval/text.h"
#include "model/off_grid.h"
#include "model/test_files.h"
#include "model/tokenizer.h"
#include "record/sqlite_file.h"

extern char** environ;

namespace dovetail::study {
namespace {

namespace fs = std::filesystem;

// The bytes '!'..'~' and a few more as single tokens, and one that ends a text: 101 in all.
std::string tiny_tokenizer_json() {
  Json vocab = Json::object();
  for (int i = 0; i < 100; ++i) {
    const int point = i < 94 ? '!' + i : 0x100 + (i - 94);
    const std::string text = point < 0x80 ? std::string(1, static_cast<char>(point))
                                          : std::string{static_cast<char>(0xC0 | (point >> 6)),
                                                        static_cast<char>(0x80 | (point & 0x3F))};
    vocab[text] = i;
  }
  vocab["<|endoftext|>"] = 100;
  const Json json = {
      {"added_tokens",
       {{{"id", 100},
         {"content", "<|endoftext|>"},
         {"special", true},
         {"normalized", false},
         {"single_word", false},
         {"lstrip", false},
         {"rstrip", false}}}},
      {"normalizer", nullptr},
      {"pre_tokenizer", {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", true}}},
      {"model", {{"type", "BPE"}, {"vocab", vocab}, {"merges", Json::array()}}}};
  return json.dump();
}

constexpr const char* kStudy = R"(
name = "tiny"
objectives = ["latency_area"]
kl_caps_nats = [0.02]
reference_chips = ["reference_edge"]
confirmations = 3
validation_recipes = 6
[[products]]
name = "p"
model = "MODEL"
workload = "WORKLOAD"
[text]
profile_sequences = 2
select_sequences = 2
certify_sequences = 2
sequence_tokens = 48
[menu]
weights = ["int4_g32", "int6_g32", "int8"]
activations = ["bf16", "int8_token"]
kv = ["int8"]
[budget]
max_area_mm2 = 30
max_peak_power_w = 6
max_sustained_power_w = 6
max_power_density_w_per_mm2 = 1
[space]
nodes = ["n7"]
clock_mhz = [600, 1000]
cores = [1]
rows = [1, 4]
cols = [16, 32]
depth = [16]
vector_lanes = [16]
decoder_values_per_cycle = [128]
weight_buffer_kib = [32]
activation_buffer_kib = [32]
accumulator_kib = [8]
sram_mib = [0.0625, 0.125]
dram_kinds = ["lpddr5"]
dram_channels = [1, 2]
dram_capacity_gib = 1
[[space.format_sets]]
name = "i9+bf16"
pairs = [{ weight = "int9", activation = "int8" }, { weight = "bf16", activation = "bf16" }]
[[space.format_sets]]
name = "bf16"
pairs = [{ weight = "bf16", activation = "bf16" }]
)";

// A folder with a tiny model, a study of it and a cache of its own.
class StudyTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = test_folder() / "study_test";
    fs::create_directories(folder_ / "model");
    write_model(*compress::tiny_weights(7));
    write("model/tokenizer.json", tiny_tokenizer_json());
    std::string study = kStudy;
    study.replace(study.find("MODEL"), 5, (folder_ / "model").string());
    study.replace(study.find("WORKLOAD"), 8, at("workload.toml"));
    write("workload.toml", "name = \"short\"\nprompt_tokens = 64\noutput_tokens = 32\n");
    write("study.toml", study);
    ::setenv("DOVETAIL_CACHE", (folder_ / "cache").c_str(), 1);
  }
  void TearDown() override {
    ::unsetenv("DOVETAIL_CACHE");
    fs::remove_all(folder_);
  }
  void write_model(const model::Weights& weights) {
    write("model/config.json", model::config_json_of(weights.shape));
    write("model/model.safetensors", model::safetensors_of(model::hugging_face_tensors(weights)));
  }
  void write(const std::string& name, const std::string& text) {
    std::ofstream(folder_ / name, std::ios::binary) << text;
  }
  std::string at(const std::string& name) const { return (folder_ / name).string(); }
  fs::path folder_;
};

Result<Json> run(const std::string& study_path, const std::string& out) {
  DOVETAIL_TRY(const StudyConfig config, load_study(study_path));
  return run_study(config, study_path, out, {});
}

std::string with_line(std::string study, const std::string& before, const std::string& line) {
  return study.insert(study.find(before), line + "\n");
}

// The study without its [space], with `chip` frozen to a file.
std::string with_frozen_chip(std::string study, const std::string& chip) {
  study.resize(study.find("[space]"));
  return "chip = \"" + chip + "\"\n" + study;
}

TEST_F(StudyTest, AnswersEveryScenarioWithinTheMeasuredCap) {
  const auto record = run(at("study.toml"), at("out"));
  ASSERT_TRUE(record.has_value()) << record.error().message;
  ASSERT_EQ(record->at("scenarios").size(), 1U);
  EXPECT_EQ(record->at("num_chips"), 64);
  for (const Json& scenario : record->at("scenarios")) {
    ASSERT_TRUE(scenario.at("feasible").get<bool>()) << scenario.at("why_not");
    const Json& product = scenario.at("recommendation").at("products").at(0);
    EXPECT_LE(product.at("measured_kl_nats").get<double>(), 0.02);
    EXPECT_GT(product.at("certified_kl_nats").get<double>(), 0.0);
    EXPECT_LE(product.at("cost").at("bound_latency_ns").get<double>(),
              product.at("cost").at("latency_ns").get<double>());
    EXPECT_EQ(scenario.at("baselines").size(), 5U);
    for (const Json& baseline : scenario.at("baselines")) {
      if (!baseline.at("feasible").get<bool>()) continue;
      // Every confirmed baseline is a candidate of the joint answer.
      EXPECT_GE(baseline.at("ratio").get<double>(), 1.0 - 1e-9) << baseline.at("name");
      EXPECT_LE(baseline.at("point").at("products").at(0).at("measured_kl_nats").get<double>(),
                0.02);
    }
  }
  for (const char* file :
       {"report.html", "targets.json", "record.json", "canonical.json", "study.db", "study.toml"}) {
    EXPECT_TRUE(fs::exists(at("out") + "/" + file)) << file;
  }
}

// Runs in a process of its own, so that it can be killed.
TEST(StudyChild, Run) {
  const char* folder = std::getenv("DOVETAIL_STUDY_CHILD");
  if (folder == nullptr) GTEST_SKIP() << "only as a child of StudyTest.AKilledStudy...";
  const std::string at = folder;
  ASSERT_TRUE(run(at + "/study.toml", at + "/killed").has_value());
}

pid_t start_child(const std::string& folder) {
  ::setenv("DOVETAIL_STUDY_CHILD", folder.c_str(), 1);
  std::string program = fs::read_symlink("/proc/self/exe").string();
  std::string filter = "--gtest_filter=StudyChild.Run";
  char* argv[] = {program.data(), filter.data(), nullptr};
  pid_t child = 0;
  EXPECT_EQ(::posix_spawn(&child, program.c_str(), nullptr, nullptr, argv, environ), 0);
  ::unsetenv("DOVETAIL_STUDY_CHILD");
  return child;
}

TEST_F(StudyTest, AKilledStudyContinuesToTheSameCanonicalExport) {
  const std::string study = read_text_file(at("study.toml"), 1 << 20).value();
  write("study.toml", with_line(study, "[budget]", "rotations = [\"none\", \"r1r2\"]"));
  ASSERT_TRUE(run(at("study.toml"), at("whole")).has_value());
  ::setenv("DOVETAIL_CACHE", at("other_cache").c_str(), 1);
  constexpr int kKillAfterMs[] = {60, 150, 300, 500, 800};
  int killed = 0;
  for (const int delay_ms : kKillAfterMs) {
    const pid_t child = start_child(folder_.string());
    std::this_thread::sleep_for(std::chrono::milliseconds(delay_ms));
    ::kill(child, SIGKILL);
    int state = 0;
    ::waitpid(child, &state, 0);
    killed += WIFSIGNALED(state) ? 1 : 0;
  }
  EXPECT_GT(killed, 0) << "the study was over before any kill: shorten the delays";
  ASSERT_TRUE(run(at("study.toml"), at("killed")).has_value());
  EXPECT_EQ(read_text_file(at("killed/canonical.json"), 1 << 28).value(),
            read_text_file(at("whole/canonical.json"), 1 << 28).value());
}

TEST_F(StudyTest, AFinishedStudyIsNotComputedAgain) {
  const auto first = run(at("study.toml"), at("out"));
  ASSERT_TRUE(first.has_value());
  const auto second = run(at("study.toml"), at("out"));
  ASSERT_TRUE(second.has_value());
  EXPECT_TRUE(canonical(*first).dump() == canonical(*second).dump());
  EXPECT_LT(second->at("run").at("search_s").get<double>(),
            0.2 * first->at("run").at("search_s").get<double>());
}

// The allocator takes the algorithm where it may, what it measures is the algorithm's version, and
// the answer is the same whether versions are remembered or their files were lost.
TEST_F(StudyTest, ChoosesAmongAlgorithms) {
  std::string text = read_text_file(at("study.toml"), 1 << 20).value();
  const std::string menu = "\"int4_g32\", ";
  text.replace(text.find(menu), menu.size(), "\"int4_g32\", \"int4_g32_gptq\", ");
  text.replace(text.find("kl_caps_nats = [0.02]"), 21, "kl_caps_nats = [0.1]");
  write("algorithms.toml", text);
  const auto record = run(at("algorithms.toml"), at("out"));
  ASSERT_TRUE(record.has_value()) << record.error().message;
  const Json& scenario = record->at("scenarios").at(0);
  ASSERT_TRUE(scenario.at("feasible").get<bool>()) << scenario.at("why_not");
  EXPECT_NE(scenario.at("recommendation").dump().find("int4_g32_gptq"), std::string::npos);
  EXPECT_GT(record->at("run").at("compress_int4_g32_gptq_s").get<double>(), 0);
  EXPECT_TRUE(record->at("texts").contains("calibrate"));
  const Json& table = record->at("loss_table").at(0);
  const Json& linear = record->at("menu").at("linear");
  size_t nearest = 0;
  size_t gptq = 0;
  for (size_t i = 0; i < linear.size(); ++i) {
    if (linear[i] == "int4_g32") nearest = i;
    if (linear[i] == "int4_g32_gptq") gptq = i;
  }
  for (size_t site = 0; site < table.at("sites").size(); ++site) {
    if (table.at("sites")[site].get<std::string>().ends_with(".kv")) continue;
    EXPECT_LT(table.at("loss_nats")[site][gptq].get<double>(),
              table.at("loss_nats")[site][nearest].get<double>())
        << table.at("sites")[site];
  }
  fs::remove_all(at("cache") + "/versions");
  fs::remove(at("cache") + "/results.db");
  const auto again = run(at("algorithms.toml"), at("again"));
  ASSERT_TRUE(again.has_value()) << again.error().message;
  EXPECT_TRUE(canonical(*record).dump() == canonical(*again).dump());
}

// Whatever acts on one site alone: priced at every site by output error, its seconds reported.
TEST_F(StudyTest, EveryAlgorithmOfASiteMayStandInTheMenu) {
  const std::vector<std::string> names = {
      "int4_g32_imatrix", "int4_g32_gptq", "int4_g32_gptq_cd", "int4_g32_awq", "int4_g32_awq_gptq",
      "int8_smooth",      "nf4_g64_gptq",  "lut4_g64_gptq_cd", "nvfp4_gptq",   "mxfp4_gptq"};
  std::string text =
      with_frozen_chip(read_text_file(at("study.toml"), 1 << 20).value(),
                       data_folder() + "/chips/reference_edge.toml");
  std::string menu;
  for (const std::string& name : names) menu += "\"" + name + "\", ";
  text.insert(text.find("\"int4_g32\""), menu);
  write("algorithms.toml", text);
  const auto record = run(at("algorithms.toml"), at("out"));
  ASSERT_TRUE(record.has_value()) << record.error().message;
  EXPECT_TRUE(record->at("scenarios").at(0).at("feasible").get<bool>());
  const Json& table = record->at("loss_table").at(0);
  const Json& linear = record->at("menu").at("linear");
  for (size_t t = 0; t < linear.size(); ++t) {
    const auto treatment = recipe::parse_linear_treatment(linear[t].get<std::string>()).value();
    for (size_t site = 0; site < table.at("sites").size(); ++site) {
      const std::string at = table.at("sites")[site].get<std::string>();
      if (at.ends_with(".kv")) continue;
      const bool folds_at_head = at == "head" && treatment.fold != recipe::Fold::kNone;
      EXPECT_EQ(table.at("loss_nats")[site][t].is_null(), folds_at_head) << linear[t] << " " << at;
    }
  }
  for (const std::string& name : names)
    EXPECT_GT(record->at("run").at("compress_" + name + "_s").get<double>(), 0) << name;
}

TEST_F(StudyTest, WhatCannotStandAloneIsRefused) {
  const std::string text = read_text_file(at("study.toml"), 1 << 20).value();
  const auto error_of = [&](const std::string& from, const std::string& to) {
    std::string changed = text;
    changed.replace(changed.find(from), from.size(), to);
    write("refused.toml", changed);
    const auto record = run(at("refused.toml"), at("out"));
    return record.has_value() ? "" : record.error().message;
  };
  EXPECT_NE(error_of("\"int4_g32\"", "\"int4_g32_signround\"")
                .find("signround learns all sites of a layer together; want imatrix, gptq"),
            std::string::npos);
  EXPECT_NE(error_of("\"int4_g32\"", "\"int4_g32+h:32\"").find("want weights alone"),
            std::string::npos);
  EXPECT_NE(error_of("kv = [\"int8\"]", "kv = [\"k:int4_c32+v:int4\"]")
                .find("chips have no price for keys per channel"),
            std::string::npos);
  EXPECT_NE(error_of("\"bf16\", \"int8_token\"", "\"bf16\", \"int4_token\"").find("int4_token"),
            std::string::npos);
}

// The tiny model with a channel that enters every site large and meets small weights: rounding them
// hurts, and a rotation spreads the channel.
model::Weights model_with_outliers() {
  model::Weights weights = *compress::tiny_weights(7);
  constexpr float kGain = 12;
  constexpr size_t kChannel = 5;
  for (model::LayerWeights& layer : weights.layers) {
    layer.attn_norm[kChannel] *= kGain;
    layer.mlp_norm[kChannel] *= kGain;
    for (model::Matrix* w : {&layer.q, &layer.k, &layer.v, &layer.gate, &layer.up})
      for (int64_t row = 0; row < w->rows; ++row)
        w->values[static_cast<size_t>(row * w->cols) + kChannel] /= kGain;
  }
  return weights;
}

// KL of a recorded point, measured by the other way to a turned and rounded model.
double measure_point(const std::string& folder, const Json& product) {
  const auto weights = std::make_shared<const model::Weights>([&] {
    model::Weights loaded = model::load_weights(folder + "/model").value();
    model::permute_off_grid(loaded, StudyConfig{}.off_grid_seed);
    return loaded;
  }());
  std::string text = "head = \"" + product.at("recipe").at("head").get<std::string>() + "\"\n";
  text += "rotation = \"" + product.at("rotation").get<std::string>() + "\"\nlayers = [\n";
  for (int64_t layer = 0; layer < weights->shape.num_layers; ++layer) {
    text += "\"";
    for (const char* site : {"attn_qkv", "attn_o", "mlp_gate_up", "mlp_down", "kv"}) {
      const std::string name = "layers." + std::to_string(layer) + "." + site;
      text += std::string(site) + "=" + product.at("recipe").at(name).get<std::string>() + " ";
    }
    text += "\",\n";
  }
  const auto recipe = recipe::parse_recipe(weights->shape, text + "]\n", "recorded");
  EXPECT_TRUE(recipe.has_value()) << recipe.error().message;
  auto treated = compress::TreatedModel::create(weights).value();
  const auto applied = treated.apply(*recipe);
  EXPECT_TRUE(applied.has_value()) << applied.error().message;
  const auto reference = host::HostModel::create(weights).value();
  const auto sampled =
      eval::sample_text(reference, model::load_tokenizer(folder + "/model").value().bos_id(),
                        eval::TextPart::kSelect, {.num_sequences = 2, .length = 48, .seed = 1}, {});
  return eval::measure_kl(reference, treated.model(), sampled.value()).value().kl_nats_per_token;
}

// A study under each rotation of the list alone, then under all of them.
Result<std::vector<Json>> run_turned(const std::string& folder, const std::string& study) {
  std::vector<Json> records;
  for (const std::string rotations : {R"("none")", R"("r1r2")", R"("none", "r1r2")"}) {
    const std::string path = folder + "/turned.toml";
    std::ofstream(path) << with_line(study, "[budget]", "rotations = [" + rotations + "]");
    DOVETAIL_TRY(Json record, run(path, folder + "/out_" + std::to_string(records.size())));
    records.push_back(std::move(record));
  }
  return records;
}

double objective_of(const Json& point) {
  return point.at("objective_value").get<double>();
}

// On a chip that streams most weights every bit counts. Each rotation tried alone, with all else
// equal, is the brute force over them; what is recorded is what was measured.
TEST_F(StudyTest, TheRotationThatPaysIsRecommended) {
  write_model(model_with_outliers());
  std::string chip = read_text_file(data_folder() + "/chips/reference_edge.toml", 1 << 20).value();
  const size_t sram = chip.find("sram_mib");
  chip.replace(sram, chip.find('\n', sram) - sram, "sram_mib = 0.03125");
  write("chip.toml", chip);
  std::string study =
      with_frozen_chip(read_text_file(at("study.toml"), 1 << 20).value(), at("chip.toml"));
  study.replace(study.find("latency_area"), 12, "latency");
  study.replace(study.find("[0.02]"), 6, "[0.0005, 0.002, 0.02]");
  const auto records = run_turned(folder_.string(), study);
  ASSERT_TRUE(records.has_value()) << records.error().message;
  int64_t turned_wins = 0;
  for (size_t s = 0; s < 3; ++s) {
    const auto point = [&](size_t record) {
      return records->at(record).at("scenarios").at(s).at("recommendation");
    };
    const double whole = objective_of(point(0));
    const double turned = objective_of(point(1));
    EXPECT_EQ(objective_of(point(2)), std::min(whole, turned));
    turned_wins += turned < whole ? 1 : 0;
    const Json product = point(2).at("products").at(0);
    EXPECT_EQ(product.at("rotation"), turned < whole ? "r1r2" : "none");
    const double measured = product.at("measured_kl_nats").get<double>();
    EXPECT_NEAR(measured, measure_point(folder_.string(), product), 1e-4 * measured);
  }
  EXPECT_GT(turned_wins, 0);
  const Json& both = records->at(2);
  EXPECT_EQ(both.at("menu").at("rotations"), Json::array({"none", "r1r2"}));
  EXPECT_EQ(both.at("loss_table").size(), 2U);
  EXPECT_EQ(both.at("additivity").at("num_recipes"), 12);
  EXPECT_EQ(both.at("additivity").at("by_rotation").size(), 2U);
}

TEST_F(StudyTest, BaselinesAreAsFreeToRotate) {
  write_model(model_with_outliers());
  const auto records =
      run_turned(folder_.string(), read_text_file(at("study.toml"), 1 << 20).value());
  ASSERT_TRUE(records.has_value()) << records.error().message;
  const auto scenario = [&](size_t record) { return records->at(record).at("scenarios").at(0); };
  EXPECT_EQ(objective_of(scenario(2).at("recommendation")),
            std::min(objective_of(scenario(0).at("recommendation")),
                     objective_of(scenario(1).at("recommendation"))));
  for (size_t i = 0; i < 5; ++i) {
    double best = std::numeric_limits<double>::infinity();
    for (size_t alone = 0; alone < 2; ++alone) {
      const Json baseline = scenario(alone).at("baselines").at(i);
      if (baseline.at("feasible").get<bool>())
        best = std::min(best, objective_of(baseline.at("point")));
    }
    const Json baseline = scenario(2).at("baselines").at(i);
    ASSERT_EQ(baseline.at("feasible").get<bool>(), std::isfinite(best)) << baseline.at("name");
    if (std::isfinite(best)) {
      EXPECT_EQ(objective_of(baseline.at("point")), best) << baseline.at("name");
    }
  }
  // No point of either front beats one of the joined front, and all of it is from them.
  const Json& front = records->at(2).at("front");
  EXPECT_LE(front.size(), records->at(0).at("front").size() + records->at(1).at("front").size());
  for (const Json& point : front) {
    for (size_t alone = 0; alone < 2; ++alone) {
      for (const Json& other : records->at(alone).at("front")) {
        EXPECT_FALSE(other.at("limits").at("area_mm2") < point.at("limits").at("area_mm2") &&
                     other.at("products")[0].at("latency_ns") <
                         point.at("products")[0].at("latency_ns"));
      }
    }
  }
  EXPECT_EQ(records->at(2).at("rows").count("sweep_r1r2"), 1U);
}

// All three layers of the tiny model alike, kv apart.
std::string all_layers(const std::string& linear) {
  std::string layer = "\"";
  for (const char* site : {"attn_qkv", "attn_o", "mlp_gate_up", "mlp_down"}) {
    layer += std::string(site) + "=" + linear + " ";
  }
  layer += "kv=int8\"";
  return layer + ", " + layer + ", " + layer;
}

TEST_F(StudyTest, AFrozenChipGetsItsBestRecipe) {
  const std::string study = read_text_file(at("study.toml"), 1 << 20).value();
  const std::string chip = data_folder() + "/chips/reference_edge.toml";
  write("frozen_chip.toml", with_frozen_chip(study, chip));
  const auto record = run(at("frozen_chip.toml"), at("out"));
  ASSERT_TRUE(record.has_value()) << record.error().message;
  EXPECT_EQ(record->at("num_chips"), 1);
  EXPECT_FALSE(record->contains("space"));
  const Json& scenario = record->at("scenarios").at(0);
  ASSERT_TRUE(scenario.at("feasible").get<bool>()) << scenario.at("why_not");
  EXPECT_TRUE(scenario.at("baselines").empty());  // no order of work is left
  const Json& point = scenario.at("recommendation");
  const auto loaded = chip::load_chip(chip);
  ASSERT_TRUE(loaded.has_value());
  EXPECT_EQ(point.at("chip"), to_json(*loaded));
  EXPECT_LE(point.at("products").at(0).at("measured_kl_nats").get<double>(), 0.02);
  EXPECT_GT(point.at("objective_value").get<double>(), 0);
  EXPECT_FALSE(scenario.at("shadow_prices").empty());
  EXPECT_TRUE(fs::exists(at("out") + "/report.html"));
}

TEST_F(StudyTest, AFrozenRecipeGetsItsBestChip) {
  write("recipe.toml", "head = \"int8\"\nlayers = [" + all_layers("int6_g32") + "]\n");
  const std::string study = read_text_file(at("study.toml"), 1 << 20).value();
  write("frozen_recipe.toml", "recipe = \"" + at("recipe.toml") + "\"\n" + study);
  const auto record = run(at("frozen_recipe.toml"), at("out"));
  ASSERT_TRUE(record.has_value()) << record.error().message;
  const Json& scenario = record->at("scenarios").at(0);
  ASSERT_TRUE(scenario.at("feasible").get<bool>()) << scenario.at("why_not");
  EXPECT_TRUE(scenario.at("baselines").empty());
  const Json& product = scenario.at("recommendation").at("products").at(0);
  for (const auto& [site, treatment] : product.at("recipe").items()) {
    if (site.ends_with(".kv")) {
      EXPECT_EQ(treatment, "int8") << site;
    } else {
      EXPECT_EQ(treatment, site == "head" ? "int8" : "int6_g32") << site;
    }
  }
  EXPECT_LE(product.at("measured_kl_nats").get<double>(), 0.02);
  // No chip of the space runs this recipe at a better objective: every one, on its own.
  const auto free = run(at("study.toml"), at("free"));
  ASSERT_TRUE(free.has_value());
  EXPECT_LE(free->at("scenarios").at(0).at("recommendation").at("objective_value").get<double>(),
            scenario.at("recommendation").at("objective_value").get<double>() * (1 + 2e-3));
}

TEST_F(StudyTest, TwoProductsShareOneChip) {
  std::string study = read_text_file(at("study.toml"), 1 << 20).value();
  write("reader.toml", "name = \"reader\"\nprompt_tokens = 128\noutput_tokens = 4\n");
  study.insert(study.find("[text]"), "weight = 2\n[[products]]\nname = \"reader\"\nmodel = \"" +
                                         at("model") + "\"\nworkload = \"" + at("reader.toml") +
                                         "\"\nweight = 0.5\n");
  write("two.toml", study);
  const auto record = run(at("two.toml"), at("out"));
  ASSERT_TRUE(record.has_value()) << record.error().message;
  const Json& scenario = record->at("scenarios").at(0);
  ASSERT_TRUE(scenario.at("feasible").get<bool>()) << scenario.at("why_not");
  const Json& point = scenario.at("recommendation");
  ASSERT_EQ(point.at("products").size(), 2U);
  double weighted = 0;
  for (size_t p = 0; p < 2; ++p) {
    const Json& product = point.at("products").at(p);
    EXPECT_LE(product.at("measured_kl_nats").get<double>(), 0.02);
    weighted += (p == 0 ? 2 : 0.5) * product.at("cost").at("latency_ns").get<double>();
  }
  const double area = point.at("limits").at("area_mm2").get<double>();
  EXPECT_NEAR(point.at("objective_value").get<double>(), weighted * area, 1e-3 * weighted * area);
  EXPECT_EQ(scenario.at("baselines").size(), 5U);
  for (const Json& baseline : scenario.at("baselines")) {
    if (!baseline.at("feasible").get<bool>()) continue;
    EXPECT_GE(baseline.at("ratio").get<double>(), 1.0 - 1e-9) << baseline.at("name");
    for (const Json& product : baseline.at("point").at("products")) {
      EXPECT_LE(product.at("measured_kl_nats").get<double>(), 0.02) << baseline.at("name");
    }
  }
}

TEST_F(StudyTest, NsgaSaysWhatItIs) {
  std::string study = read_text_file(at("study.toml"), 1 << 20).value();
  study += "[search]\nmethod = \"nsga2\"\nevaluations = 300\nseed = 5\n";
  write("nsga.toml", study);
  const auto record = run(at("nsga.toml"), at("out"));
  ASSERT_TRUE(record.has_value()) << record.error().message;
  const Json& search = record->at("search");
  EXPECT_EQ(search.at("exact"), false);
  EXPECT_EQ(search.at("method"), "nsga2");
  EXPECT_EQ(search.at("seeds"), Json::array({5}));
  EXPECT_GT(search.at("evaluations").get<int64_t>(), 0);
  EXPECT_GE(search.at("bound_gap_frac").get<double>(), 0.0);
  EXPECT_LT(search.at("bound_gap_frac").get<double>(), 1.0);
  // The space is small enough for the coarse grid to be all of it: the same answer.
  const auto exact = run(at("study.toml"), at("exact"));
  ASSERT_TRUE(exact.has_value());
  EXPECT_EQ(exact->at("search").at("method"), "exact");
  EXPECT_EQ(exact->at("scenarios").at(0).at("recommendation").at("objective_value"),
            record->at("scenarios").at(0).at("recommendation").at("objective_value"));
}

TEST_F(StudyTest, AFolderThatCannotBeWrittenIsNamed) {
  write("blocked", "a file where the folder should be");
  const auto failed = run(at("study.toml"), at("blocked"));
  ASSERT_FALSE(failed.has_value());
  EXPECT_NE(failed.error().message.find("blocked"), std::string::npos);
}

TEST_F(StudyTest, AnImpossibleBudgetSaysWhatKilledTheCandidates) {
  std::string study = read_text_file(at("study.toml"), 1 << 20).value();
  study.replace(study.find("max_area_mm2 = 30"), 17, "max_area_mm2 = 1.0");
  write("study.toml", study);
  const auto record = run(at("study.toml"), at("out"));
  ASSERT_TRUE(record.has_value()) << record.error().message;
  for (const Json& scenario : record->at("scenarios")) {
    EXPECT_FALSE(scenario.at("feasible").get<bool>());
    EXPECT_NE(scenario.at("why_not").get<std::string>().find("area"), std::string::npos)
        << scenario.at("why_not");
  }
}

// The rows that a record names hold the numbers that it names them for.
TEST_F(StudyTest, RowsBehindTheNumbersAreInTheDatabase) {
  const auto record = run(at("study.toml"), at("out"));
  ASSERT_TRUE(record.has_value()) << record.error().message;
  const auto file = record::SqliteFile::open_for_reading(at("out") + "/study.db");
  ASSERT_TRUE(file.has_value()) << file.error().message;
  const auto stored = [&](const Json& name) -> Json {
    const std::string row = name.get<std::string>();
    const size_t slash = row.find('/');
    auto statement = file->prepare("SELECT value FROM results WHERE kind = ? AND key = ?");
    const auto found =
        statement->bind(1, row.substr(0, slash)).bind(2, row.substr(slash + 1)).step();
    EXPECT_TRUE(found.has_value() && *found) << row;
    return found.has_value() && *found ? Json::parse(statement->text(0)) : Json();
  };
  const Json& scenario = record->at("scenarios")[0];
  const Json& product = scenario.at("recommendation").at("products")[0];
  EXPECT_EQ(stored(product.at("measured_row")).at("kl_nats_per_token"),
            product.at("measured_kl_nats"));
  EXPECT_EQ(stored(product.at("certified_row")).at("kl_nats_per_token"),
            product.at("certified_kl_nats"));
  EXPECT_EQ(stored(scenario.at("row")).at("objective"), "latency_area");
  EXPECT_EQ(stored(record->at("rows").at("sweep")).at("front").size(), record->at("front").size());
  EXPECT_EQ(stored(record->at("rows").at("study")).at("name"), "tiny");
  EXPECT_FALSE(stored(record->at("products")[0].at("profile_row")).is_null());
  for (const Json& recipe : record->at("additivity").at("recipes")) {
    EXPECT_EQ(stored(recipe.at("row")).at("kl_nats_per_token"),
              recipe.at("measured_nats_per_token"));
  }
}

}  // namespace
}  // namespace dovetail::study
