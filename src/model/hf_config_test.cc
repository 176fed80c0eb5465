#include "model/hf_config.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "model/reference_forward.h"
#include "model/test_files.h"

namespace dovetail::model {
namespace {

using nlohmann::json;

json base_config() {
  return json::parse(config_json_of(tiny_shape()));
}

Result<ModelShape> read(const json& config) {
  return read_hf_config(write_temporary("config.json", config.dump()));
}

void expect_error(const std::string& key, const json& value, const std::string& part) {
  json config = base_config();
  config[key] = value;
  const auto shape = read(config);
  ASSERT_FALSE(shape.has_value()) << key;
  EXPECT_EQ(shape.error().code, ErrorCode::kInvalidArgument);
  EXPECT_NE(shape.error().message.find("config.json: "), std::string::npos)
      << shape.error().message;
  EXPECT_NE(shape.error().message.find(part), std::string::npos) << shape.error().message;
}

TEST(HfConfig, ReadsEveryField) {
  const auto shape = read(base_config());
  ASSERT_TRUE(shape.has_value()) << shape.error().message;
  const ModelShape want = tiny_shape();
  EXPECT_EQ(shape->family, Family::kQwen2);
  EXPECT_EQ(shape->num_layers, want.num_layers);
  EXPECT_EQ(shape->hidden_size, want.hidden_size);
  EXPECT_EQ(shape->intermediate_size, want.intermediate_size);
  EXPECT_EQ(shape->num_heads, want.num_heads);
  EXPECT_EQ(shape->num_kv_heads, want.num_kv_heads);
  EXPECT_EQ(shape->head_dim, want.head_dim);
  EXPECT_EQ(shape->vocab_size, want.vocab_size);
  EXPECT_EQ(shape->max_positions, want.max_positions);
  EXPECT_EQ(shape->rope_theta, want.rope_theta);
  EXPECT_EQ(shape->rms_norm_eps, want.rms_norm_eps);
  EXPECT_FALSE(shape->tied_embedding);
  EXPECT_TRUE(shape->qkv_bias);
}

TEST(HfConfig, AbsentKeysHaveTheDefaultsOfTheFamily) {
  json config = base_config();
  for (const char* key : {"num_key_value_heads", "max_position_embeddings", "rope_theta",
                          "rms_norm_eps", "tie_word_embeddings"}) {
    config.erase(key);
  }
  config["model_type"] = "llama";
  const auto shape = read(config);
  ASSERT_TRUE(shape.has_value()) << shape.error().message;
  EXPECT_EQ(shape->num_kv_heads, shape->num_heads);
  EXPECT_EQ(shape->head_dim, 16);
  EXPECT_EQ(shape->max_positions, 2048);
  EXPECT_EQ(shape->rope_theta, 10000.0);
  EXPECT_EQ(shape->rms_norm_eps, 1e-6);
  EXPECT_FALSE(shape->tied_embedding);
  EXPECT_FALSE(shape->qkv_bias);
}

TEST(HfConfig, Qwen3HasNormsInPlaceOfBiasesAndHeadsOf128) {
  json config = base_config();
  config["model_type"] = "qwen3";
  for (const char* key : {"max_position_embeddings", "head_dim"}) config.erase(key);
  config["attention_bias"] = false;
  config["layer_types"] = {"full_attention", "full_attention"};
  const auto shape = read(config);
  ASSERT_TRUE(shape.has_value()) << shape.error().message;
  EXPECT_EQ(shape->family, Family::kQwen3);
  EXPECT_TRUE(shape->qk_norm);
  EXPECT_FALSE(shape->qkv_bias);
  EXPECT_EQ(shape->head_dim, 128);
  EXPECT_EQ(shape->max_positions, 32768);
  config["head_dim"] = 24;
  EXPECT_EQ(read(config)->head_dim, 24);
  config["attention_bias"] = true;
  EXPECT_NE(read(config).error().message.find("attention_bias = true, want false: in the qwen3"),
            std::string::npos);
}

TEST(HfConfig, RopeThetaStandsInEitherPlace) {
  json config = base_config();
  config["rope_scaling"] = nullptr;
  EXPECT_TRUE(read(config).has_value());
  config.erase("rope_theta");
  config["rope_parameters"] = {{"rope_type", "default"}, {"rope_theta", 5e5}};
  EXPECT_EQ(read(config)->rope_theta, 5e5);
  EXPECT_TRUE(read(config)->rope_divisors.empty());
}

TEST(HfConfigError, NamesKeyValueAndWhatWasWanted) {
  expect_error("model_type", "mamba", "model_type = mamba, want llama, qwen2 or qwen3");
  expect_error("layer_types", json{"full_attention", "sliding_attention"},
               "layer_types has \"sliding_attention\", want full_attention");
  expect_error("hidden_size", "64", "hidden_size = \"64\", want an integer");
  expect_error("hidden_size", 64.5, "hidden_size = 64.5, want an integer");
  expect_error("hidden_size", nullptr, "hidden_size is missing");
  expect_error("hidden_size", -64, "hidden size = -64, want 1..2^31");
  expect_error("hidden_size", 65, "no multiple of num_attention_heads");
  expect_error("vocab_size", 18446744073709551615ULL, "want an integer");
  expect_error("num_hidden_layers", int64_t{1} << 40,
               "number of layers = 1099511627776, want 1..2^31");
  // Every recipe has an entry for each layer: two billion were 400 GiB.
  expect_error("num_hidden_layers", int64_t{1} << 31,
               "number of layers = 2147483648, want 1..16384");
  expect_error("num_attention_heads", 0, "num_attention_heads = 0");
  expect_error("num_key_value_heads", 3, "want a divisor of the 4 heads");
  expect_error("head_dim", 15, "want an even number");
  expect_error("rms_norm_eps", 0, "want a positive number");
  expect_error("rope_theta", -1, "want a positive number");
  expect_error("hidden_act", "gelu", "want silu");
  expect_error("mlp_bias", true, "mlp_bias = true");
  expect_error("use_sliding_window", true, "use_sliding_window = true");
  expect_error("use_sliding_window", 1, "want true or false");
  expect_error("quantization_config", json{{"bits", 4}}, "want an unquantised");
  json huge = base_config();
  for (const char* key : {"hidden_size", "intermediate_size", "num_attention_heads"}) {
    huge[key] = int64_t{1} << 30;
  }
  huge["num_key_value_heads"] = 1;
  huge["head_dim"] = 2;
  EXPECT_NE(read(huge).error().message.find("parameters, want at most 2^60"), std::string::npos);
}

}  // namespace
}  // namespace dovetail::model
