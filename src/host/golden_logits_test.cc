// Real models: logits against stored ones of transformers, and the likelihood of WikiText-2.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <numeric>
#include <sstream>

#include "base/paths.h"
#include "host/host_model.h"
#include "model/tokenizer.h"

namespace dovetail::host {
namespace {

struct RealModel {
  const char* name;
  double wikitext_nll;  // mean over the first 2,048 tokens without BOS
};

class GoldenLogits : public testing::TestWithParam<RealModel> {
 protected:
  std::string path_ = cache_folder() + "/models/" + GetParam().name + "/model.gguf";

  void SetUp() override {
    if (!std::filesystem::exists(path_)) {
      GTEST_SKIP() << path_ << " is missing; run: dovetail pull " << GetParam().name;
    }
  }
  HostModel load() const {
    auto weights = model::load_weights(path_);
    EXPECT_TRUE(weights.has_value()) << weights.error().message;
    auto model =
        HostModel::create(std::make_shared<const model::Weights>(std::move(weights).value()));
    EXPECT_TRUE(model.has_value()) << model.error().message;
    return std::move(model).value();
  }
};

TEST_P(GoldenLogits, AgreeWithTransformers) {
  std::ifstream file(std::string("tests/golden/logits_") + GetParam().name + ".json");
  ASSERT_TRUE(file) << "run from the repository root";
  const auto golden = nlohmann::json::parse(file);
  const HostModel model = load();
  double worst = 0.0;
  int64_t compared = 0;
  for (const auto& prompt : golden.at("prompts")) {
    const auto ids = prompt.at("ids").get<std::vector<int32_t>>();
    const auto hidden = model.hidden_states({1, static_cast<int64_t>(ids.size()), ids});
    ASSERT_TRUE(hidden.has_value()) << hidden.error().message;
    const auto logits = model.logits(hidden.value());
    ASSERT_TRUE(logits.has_value());
    for (const auto& position : prompt.at("positions")) {
      const float* row =
          logits->values.data() + position.at("position").get<int64_t>() * logits->cols;
      for (const char* kind : {"top", "fixed"}) {
        const auto at = position.at(std::string(kind) + "_ids").get<std::vector<int64_t>>();
        const auto want = position.at(std::string(kind) + "_logits").get<std::vector<double>>();
        for (size_t i = 0; i < at.size(); ++i, ++compared) {
          worst = std::max(worst, std::abs(static_cast<double>(row[at[i]]) - want[i]));
        }
      }
    }
  }
  EXPECT_EQ(compared, 3 * 3 * 84);
  EXPECT_LE(worst, 1e-3);
  RecordProperty("worst_logit_difference", std::to_string(worst));
}

TEST_P(GoldenLogits, WikiTextLikelihood) {
  const char* data = std::getenv("DOVETAIL_DATA");
  const std::string text_path = std::string(data != nullptr ? data : "../shared/data") +
                                "/eval/text/wikitext-2-raw.wiki.test.raw";
  if (!std::filesystem::exists(text_path)) GTEST_SKIP() << text_path << " is missing";
  const auto tokenizer = model::load_tokenizer(path_);
  ASSERT_TRUE(tokenizer.has_value()) << tokenizer.error().message;
  std::ifstream file(text_path);
  std::stringstream text;
  text << file.rdbuf();
  // Some four bytes a token; enough for 2,048 of them wherever the cut falls.
  std::vector<int32_t> ids = tokenizer->encode(text.str().substr(0, 20000));
  ASSERT_GT(ids.size(), 2048U);
  ids.resize(2048);
  const auto nll = load().nll({1, 2048, ids});
  ASSERT_TRUE(nll.has_value()) << nll.error().message;
  const double mean =
      std::accumulate(nll->begin(), nll->end(), 0.0) / static_cast<double>(nll->size());
  EXPECT_NEAR(mean, GetParam().wikitext_nll, 1e-4);
}

// Small random models as transformers stored and computed them (tools/make_tiny_model_golden.py).
class GoldenTinyModel : public testing::TestWithParam<const char*> {
 protected:
  const std::string folder_ = std::string("tests/golden/tiny_models/") + GetParam();

  // Largest difference of the stored logits from those of `weights`.
  double worst(const model::Weights& weights) const {
    std::ifstream file(folder_ + "/logits.json");
    const auto golden = nlohmann::json::parse(file);
    const auto ids = golden.at("ids").get<std::vector<int32_t>>();
    const auto model = HostModel::create(std::make_shared<const model::Weights>(weights)).value();
    const auto hidden = model.hidden_states({1, std::ssize(ids), ids});
    const model::Matrix logits = model.logits(hidden.value()).value();
    double largest = 0;
    for (size_t i = 0; i < golden.at("positions").size(); ++i) {
      const auto want = golden.at("logits").at(i).get<std::vector<double>>();
      const float* row =
          logits.values.data() + golden.at("positions").at(i).get<int64_t>() * logits.cols;
      for (size_t j = 0; j < want.size(); ++j)
        largest = std::max(largest, std::abs(static_cast<double>(row[j]) - want[j]));
    }
    return largest;
  }
};

TEST_P(GoldenTinyModel, AgreesWithTransformers) {
  auto weights = model::load_weights(folder_);
  ASSERT_TRUE(weights.has_value()) << weights.error().message;
  EXPECT_LE(worst(*weights), 2e-5);
  // What each model is there for is visible in these logits.
  weights->shape.qk_norm = false;
  weights->shape.rope_divisors.clear();
  EXPECT_GT(worst(*weights), 1e-2);
}

INSTANTIATE_TEST_SUITE_P(TinyModels, GoldenTinyModel,
                         testing::Values("qwen3", "llama3_rope", "linear_rope"),
                         [](const auto& param) { return std::string(param.param); });

INSTANTIATE_TEST_SUITE_P(RealModels, GoldenLogits,
                         testing::Values(RealModel{"smollm2-135m", 2.714844},
                                         RealModel{"qwen2.5-coder-0.5b", 3.033711}),
                         [](const auto& param) {
                           std::string name = param.param.name;
                           for (char& c : name) c = std::isalnum(c) != 0 ? c : '_';
                           return name;
                         });

}  // namespace
}  // namespace dovetail::host
