// A small study of a tiny model in a folder of its own, for tests that run whole studies.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "base/paths.h"
#include "base/test_folder.h"
#include "compress/tiny_model.h"
#include "model/test_files.h"
#include "study/study.h"

namespace dovetail::study {

namespace fs = std::filesystem;

// The bytes '!'..'~' and a few more as single tokens, and one that ends a text: 101 in all.
inline std::string tiny_tokenizer_json() {
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

inline constexpr const char* kStudy = R"(
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

inline Result<Json> run(const std::string& study_path, const std::string& out) {
  DOVETAIL_TRY(const StudyConfig config, load_study(study_path));
  return run_study(config, study_path, out, {});
}

inline std::string with_line(std::string study, const std::string& before,
                             const std::string& line) {
  return study.insert(study.find(before), line + "\n");
}

// The study without its [space], with `chip` frozen to a file.
inline std::string with_frozen_chip(std::string study, const std::string& chip) {
  study.resize(study.find("[space]"));
  return "chip = \"" + chip + "\"\n" + study;
}

}  // namespace dovetail::study
