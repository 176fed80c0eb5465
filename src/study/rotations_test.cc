// Studies whose menu has several rotations (products.h, scenario.h).
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <vector>

#include "compress/treat.h"
#include "eval/kl.h"
#include "eval/text.h"
#include "model/off_grid.h"
#include "model/tokenizer.h"
#include "study/study_fixture.h"

namespace dovetail::study {
namespace {

using RotationsTest = StudyTest;

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
TEST_F(RotationsTest, TheRotationThatPaysIsRecommended) {
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

TEST_F(RotationsTest, BaselinesAreAsFreeToRotate) {
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

}  // namespace
}  // namespace dovetail::study
