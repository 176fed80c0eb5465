#include "study/study.h"

#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

#include <fmt/format.h>

#include "base/paths.h"
#include "chip/chip.h"
#include "record/sqlite_file.h"
#include "study/study_fixture.h"

extern char** environ;

namespace dovetail::study {
namespace {

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

TEST_F(StudyTest, ANameThatIsAPathLeadsNoRecipeOutOfTheFolder) {
  std::string study = read_text_file(at("study.toml"), 1 << 20).value();
  study.replace(study.find("name = \"p\""), 10, "name = \"../../p\\nhead = 1\"");
  write("study.toml", study);
  const auto record = run(at("study.toml"), at("out"));
  ASSERT_TRUE(record.has_value()) << record.error().message;
  const auto recipe = recipe::load_recipe(model::load_shape(at("model")).value(),
                                          at("out/recipes/latency_area@0.02.#1.toml"));
  ASSERT_TRUE(recipe.has_value()) << recipe.error().message;
  const Json& product = record->at("scenarios")[0].at("recommendation").at("products")[0];
  EXPECT_EQ(recipe::treatment_name(recipe->head), product.at("recipe").at("head"));
}

TEST_F(StudyTest, LeavesTheRecipesOfItsAnswersAsFiles) {
  fs::create_directories(at("out/recipes"));
  write("out/recipes/latency@9.p.toml", "# of an earlier run");
  const auto record = run(at("study.toml"), at("out"));
  ASSERT_TRUE(record.has_value()) << record.error().message;
  const auto shape = model::load_shape(at("model"));
  ASSERT_TRUE(shape.has_value()) << shape.error().message;
  size_t num_files = 0;
  for ([[maybe_unused]] const auto& entry : fs::directory_iterator(at("out/recipes"))) ++num_files;
  EXPECT_EQ(num_files, record->at("scenarios").size());
  for (const Json& scenario : record->at("scenarios")) {
    const std::string file = fmt::format("{}/{}@{:g}.p.toml", at("out/recipes"),
                                         scenario.at("objective").get<std::string>(),
                                         scenario.at("kl_cap_nats").get<double>());
    const auto recipe = recipe::load_recipe(*shape, file);
    ASSERT_TRUE(recipe.has_value()) << recipe.error().message;
    const Json& product = scenario.at("recommendation").at("products")[0];
    EXPECT_EQ(recipe::treatment_name(recipe->head), product.at("recipe").at("head"));
    EXPECT_DOUBLE_EQ(recipe::bits_per_weight(*shape, *recipe), product.at("bits_per_weight"));
    EXPECT_NE(read_text_file(file, 1 << 20)->find("dovetail compress "), std::string::npos);
  }
}

TEST_F(StudyTest, NumericsOfTheChipAreMeasuredOnTheThirdText) {
  write("study.toml", "numerics = \"chip\"\n" + read_text_file(at("study.toml"), 1 << 20).value());
  const auto record = run(at("study.toml"), at("out"));
  ASSERT_TRUE(record.has_value()) << record.error().message;
  const Json& scenario = record->at("scenarios")[0];
  const Json& product = scenario.at("recommendation").at("products")[0];
  ASSERT_TRUE(product.contains("chip_sums")) << product.dump();
  const Json& sums = product.at("chip_sums");
  EXPECT_EQ(sums.at("depth"), 16);
  EXPECT_GT(sums.at("matrices"), 0) << "no bf16 input: the test shows nothing";
  const double with = sums.at("kl").at("kl_nats_per_token").get<double>();
  const double without = product.at("certified_kl_nats").get<double>();
  EXPECT_NE(with, without);
  EXPECT_NEAR(with, without, 0.2 * without);
  for (const Json& baseline : scenario.at("baselines")) {
    if (!baseline.at("feasible").get<bool>()) continue;
    EXPECT_FALSE(baseline.at("point").at("products")[0].contains("chip_sums"));
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
  std::string text = with_frozen_chip(read_text_file(at("study.toml"), 1 << 20).value(),
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
