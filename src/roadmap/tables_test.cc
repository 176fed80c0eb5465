#include "roadmap/tables.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <functional>

#include "base/test_folder.h"
#include "model/test_files.h"
#include "record/schema.h"
#include "roadmap/roadmap.h"
#include "roadmap/roadmap_fixture.h"
#include "silicon/cost_json.h"

namespace dovetail::roadmap {
namespace {

class TablesTest : public RoadmapTest {
 protected:
  void SetUp() override {
    const auto folder = test_folder() / "roadmap_model";
    std::filesystem::create_directories(folder);
    model_ = (folder / "config.json").string();
    std::ofstream(model_) << model::config_json_of(shape());
  }

  // The fixture's study as its record.
  Json record() const {
    Json record = {{"schema_version", record::kSchemaVersion},
                   {"name", "one layer"},
                   {"question", "?"},
                   {"search", Json::object()},
                   {"budget", to_json(tables_->budget)}};
    record["products"] = {{{"name", "p"},
                           {"model", model_},
                           {"shape", shape_json()},
                           {"workload", to_json(workload())},
                           {"weight", 1.0}}};
    record["menu"] = {{"linear", Json::array()}, {"kv", Json::array()}};
    for (const auto& linear : tables_->menu.linear)
      record["menu"]["linear"].push_back(recipe::treatment_name(linear));
    for (const auto& kv : tables_->menu.kv)
      record["menu"]["kv"].push_back(recipe::treatment_name(kv));
    record["loss_table"] = {{{"product", "p"}, {"rotation", "none"}, {"loss_nats", losses().loss}}};
    record["additivity"] = {{"bias_ratio", kBias}, {"bias_spread_ratio", 1.1}};
    record["constants"] = Json::array();
    for (const auto& [key, constant] : tables_->technology.constants())
      record["constants"].push_back({{"key", key}, {"value", constant.value}});
    record["scenarios"] = {{{"objective", "latency"},
                            {"kl_cap_nats", answer().scenario.max_loss},
                            {"feasible", true},
                            {"why_not", ""},
                            {"elasticity", answer().elasticity},
                            {"recommendation", point()}}};
    return record;
  }
  static Json shape_json() {
    const model::ModelShape s = shape();
    return {{"num_layers", s.num_layers},     {"hidden_size", s.hidden_size},
            {"num_heads", s.num_heads},       {"intermediate_size", s.intermediate_size},
            {"num_kv_heads", s.num_kv_heads}, {"head_dim", s.head_dim},
            {"vocab_size", s.vocab_size}};
  }
  static Json point() {
    const AnswerProduct& own = answer().products[0];
    const auto report =
        silicon::estimate_cost(answer().chip, tables_->technology, shape(), workload(),
                               recipe::make_recipe(shape(), tables_->menu, own.treatments), {});
    Json recipe = Json::object();
    for (int64_t s = 0; s < recipe::num_sites(shape()); ++s) {
      const recipe::Site site = recipe::site_at(shape(), s);
      const auto t = static_cast<size_t>(own.treatments[static_cast<size_t>(s)]);
      recipe[recipe::site_name(site)] = site.kind == recipe::SiteKind::kKv
                                            ? recipe::treatment_name(tables_->menu.kv[t])
                                            : recipe::treatment_name(tables_->menu.linear[t]);
    }
    Json product = {{"name", "p"},
                    {"rotation", "none"},
                    {"recipe", recipe},
                    {"resident_frac", Json::object()},
                    {"predicted_kl_nats", own.predicted_nats},
                    {"measured_kl_nats", own.loss_nats},
                    {"certified_kl_nats", *own.certified_nats},
                    {"certified_kl_stderr_nats", own.certified_stderr_nats},
                    {"cost", silicon::cost_to_json(*report)}};
    return {{"chip", to_json(answer().chip)},
            {"limits", {{"area_mm2", report->area_mm2()}}},
            {"objective_value", answer().objective},
            {"gap_frac", 0.0},
            {"products", {product}}};
  }
  std::string error_after(const std::function<void(Json&)>& change) const {
    Json changed = record();
    change(changed);
    const auto tables = read_tables(changed);
    return tables.has_value() ? "" : tables.error().message;
  }
  std::string model_;
};

TEST_F(TablesTest, ARecordGivesWhatTheStudyHad) {
  const auto read = read_tables(record());
  ASSERT_TRUE(read.has_value()) << read.error().message;
  EXPECT_EQ(read->menu.linear, tables_->menu.linear);
  EXPECT_EQ(read->menu.kv, tables_->menu.kv);
  EXPECT_EQ(read->products[0].by_rotation.at(recipe::Rotation::kNone).losses.loss, losses().loss);
  EXPECT_EQ(read->bands.at(recipe::Rotation::kNone).spread_ratio, 1.1);
  ASSERT_EQ(read->answers.size(), 1U);
  const AnswerProduct& own = read->answers[0].products[0];
  EXPECT_EQ(own.treatments, answer().products[0].treatments);
  EXPECT_EQ(own.loss_nats, answer().products[0].loss_nats);
  EXPECT_EQ(own.certified_nats, answer().products[0].certified_nats);
  EXPECT_FALSE(read->space.has_value());
}

TEST_F(TablesTest, TheRankingOfARecordIsThatOfItsTables) {
  const auto read = read_tables(record());
  ASSERT_TRUE(read.has_value()) << read.error().message;
  const auto from_record = make_roadmap(*read, {}, {});
  Tables tables = *tables_;
  tables.question = "?";
  const auto from_tables = make_roadmap(tables, {}, {});
  ASSERT_TRUE(from_record.has_value() && from_tables.has_value());
  EXPECT_EQ(from_record->dump(1), from_tables->dump(1));
}

TEST_F(TablesTest, NumbersThatThisProgramDoesNotReproduceAreRefused) {
  const std::string latency = error_after([](Json& r) {
    Json& value = r["scenarios"][0]["recommendation"]["products"][0]["cost"]["latency_ns"];
    value = value.get<double>() * 1.001;
  });
  EXPECT_NE(latency.find("latency_ns of the recommendation is"), std::string::npos) << latency;
  EXPECT_NE(latency.find("run dovetail optimize again"), std::string::npos) << latency;
  const std::string area =
      error_after([](Json& r) { r["scenarios"][0]["recommendation"]["limits"]["area_mm2"] = 3.0; });
  EXPECT_NE(area.find("area_mm2 of the recommendation is 3 there"), std::string::npos) << area;
}

// Costs come from the constants that the study had, not from those of today.
TEST_F(TablesTest, TheRecordsConstantsCount) {
  const std::string moved = error_after([](Json& r) {
    for (Json& constant : r["constants"])
      if (constant["key"] == "dram.lpddr5.channel_gb_per_s")
        constant["value"] = constant["value"].get<double>() / 2;
  });
  EXPECT_NE(moved.find("latency_ns of the recommendation"), std::string::npos) << moved;
  const std::string unknown = error_after([](Json& r) {
    r["constants"].push_back({{"key", "dram.lpddr9.channel_gb_per_s"}, {"value", 1.0}});
  });
  EXPECT_NE(unknown.find("dram.lpddr9.channel_gb_per_s"), std::string::npos) << unknown;
}

TEST_F(TablesTest, OtherVersionsAndFrozenRecipesAreRefused) {
  const std::string older = error_after([](Json& r) { r["schema_version"] = 1; });
  EXPECT_NE(older.find("schema_version = 1, want 2"), std::string::npos) << older;
  const std::string frozen = error_after([](Json& r) {
    for (Json& site : r["loss_table"][0]["loss_nats"])
      for (size_t t = 1; t < site.size(); ++t) site[t] = nullptr;
  });
  EXPECT_NE(frozen.find("froze the recipe"), std::string::npos) << frozen;
}

TEST_F(TablesTest, WhatIsMissingOrOfAnotherKindIsAnErrorAndNoCrash) {
  EXPECT_NE(error_after([](Json& r) { r.erase("loss_table"); }).find("loss_table"),
            std::string::npos);
  EXPECT_NE(error_after([](Json& r) { r["loss_table"] = Json::array(); }).find("no losses"),
            std::string::npos);
  EXPECT_NE(error_after([](Json& r) {
              r["loss_table"][0]["loss_nats"].erase(0);
            }).find("loss has 5 sites, want 6"),
            std::string::npos);
  EXPECT_FALSE(error_after([](Json& r) { r["menu"]["linear"][1] = "int9_g7"; }).empty());
  EXPECT_NE(error_after([](Json& r) {
              r["products"][0]["shape"]["num_layers"] = 7;
            }).find("has num_layers = 7"),
            std::string::npos);
  EXPECT_NE(error_after([](Json& r) {
              r["scenarios"][0]["recommendation"]["products"][0]["recipe"]["head"] = "nvfp4";
            }).find("a treatment that its menu lacks"),
            std::string::npos);
  EXPECT_FALSE(read_tables(Json(3)).has_value());
  EXPECT_FALSE(error_after([](Json& r) { r["scenarios"] = 3; }).empty());
}

TEST_F(TablesTest, AnInfeasibleStudyNeedsNothingElse) {
  const auto read = read_tables(Json{{"schema_version", record::kSchemaVersion},
                                     {"name", "s"},
                                     {"scenarios",
                                      {{{"objective", "latency"},
                                        {"kl_cap_nats", 0.1},
                                        {"feasible", false},
                                        {"why_not", "area"}}}}});
  ASSERT_TRUE(read.has_value()) << read.error().message;
  EXPECT_EQ(read->answers.at(0).why_not, "area");
}

}  // namespace
}  // namespace dovetail::roadmap
