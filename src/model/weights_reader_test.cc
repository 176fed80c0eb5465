#include "model/weights_reader.h"

#include <gtest/gtest.h>

#include "base/test_folder.h"
#include "model/model.h"
#include "model/reference_forward.h"
#include "model/test_data.h"
#include "model/test_files.h"

namespace dovetail::model {
namespace {

namespace fs = std::filesystem;

std::vector<ModelShape> tiny_shapes() {
  ModelShape qwen = tiny_shape();
  ModelShape llama = tiny_shape();
  llama.family = Family::kLlama;
  llama.qkv_bias = false;
  llama.tied_embedding = true;
  return {qwen, llama, tiny_qwen3_shape()};
}

std::string write_folder(const Weights& weights) {
  const fs::path folder = test_folder() / "checkpoint";
  fs::remove_all(folder);
  fs::create_directories(folder);
  std::ofstream(folder / "config.json") << config_json_of(weights.shape);
  std::ofstream(folder / "model.safetensors", std::ios::binary)
      << safetensors_of(hugging_face_tensors(weights));
  return folder.string();
}

TEST(LoadWeights, GgufGivesBackWhatWasWritten) {
  for (const ModelShape& shape : tiny_shapes()) {
    Weights written = random_weights(shape, 3);
    written.shape.rms_norm_eps = static_cast<double>(static_cast<float>(shape.rms_norm_eps));
    const auto read = load_weights(write_temporary("tiny.gguf", gguf_of(written).bytes()));
    ASSERT_TRUE(read.has_value()) << read.error().message;
    EXPECT_EQ(read->shape.name, "tiny");
    EXPECT_EQ(weights_digest(*read), weights_digest(written));
  }
}

TEST(LoadWeights, GgufOfLlamaWithBiasesIsPutInOrderToo) {
  ModelShape shape = tiny_shapes()[1];
  shape.qkv_bias = true;
  const Weights written = random_weights(shape, 3);
  const auto read = load_weights(write_temporary("tiny.gguf", gguf_of(written).bytes()));
  ASSERT_TRUE(read.has_value()) << read.error().message;
  EXPECT_EQ(read->layers[1].q_bias, written.layers[1].q_bias);
  EXPECT_EQ(read->layers[1].k_bias, written.layers[1].k_bias);
  EXPECT_EQ(read->layers[1].q.values, written.layers[1].q.values);
}

TEST(LoadWeights, GgufSaysHowRotaryFrequenciesAreScaled) {
  GgufParts parts = gguf_of(random_weights(tiny_shapes()[1], 3));
  parts.number("llama.rope.scaling.factor", 4);
  const std::vector<float> fours(8, 4.0F);
  EXPECT_EQ(load_weights(write_temporary("tiny.gguf", parts.bytes()))->shape.rope_divisors, fours);
  parts.tensor_f32("rope_freqs.weight", {8}, {1, 1, 1, 1.5F, 2, 4, 8, 8});
  const std::vector<float> both = {4, 4, 4, 6, 8, 16, 32, 32};
  EXPECT_EQ(load_weights(write_temporary("tiny.gguf", parts.bytes()))->shape.rope_divisors, both);
  parts.text("llama.rope.scaling.type", "none");
  const auto read = load_weights(write_temporary("tiny.gguf", parts.bytes()));
  ASSERT_TRUE(read.has_value()) << read.error().message;
  EXPECT_EQ(read->shape.rope_divisors, (std::vector<float>{1, 1, 1, 1.5F, 2, 4, 8, 8}));
}

TEST(WeightsReader, PiecesAreThoseOfTheWhole) {
  for (const ModelShape& shape : tiny_shapes()) {
    const Weights whole = random_weights(shape, 5);
    for (const std::string& path :
         {write_folder(whole), write_temporary("tiny.gguf", gguf_of(whole).bytes())}) {
      const auto reader = WeightsReader::open(path);
      ASSERT_TRUE(reader.has_value()) << reader.error().message;
      const std::vector<int32_t> ids = {7, 0, 7, 3};
      const auto rows = reader->embedding_of(ids);
      ASSERT_TRUE(rows.has_value()) << rows.error().message;
      for (size_t i = 0; i < ids.size(); ++i)
        for (int64_t j = 0; j < shape.hidden_size; ++j)
          EXPECT_EQ(
              rows->values[i * static_cast<size_t>(shape.hidden_size) + static_cast<size_t>(j)],
              whole.embedding.values[static_cast<size_t>(ids[i] * shape.hidden_size + j)]);
      Weights read{.shape = whole.shape,
                   .embedding = reader->embedding().value(),
                   .head = reader->head().value(),
                   .final_norm = reader->final_norm().value(),
                   .layers = {}};
      // Backwards: no piece depends on another.
      for (int64_t i = shape.num_layers - 1; i >= 0; --i)
        read.layers.insert(read.layers.begin(), reader->layer(i).value());
      EXPECT_EQ(weights_digest(read), weights_digest(whole));
      EXPECT_TRUE(reader->check_no_tensor_is_left().has_value());
    }
  }
}

TEST(LoadWeights, FolderGivesBackWhatWasWritten) {
  for (const ModelShape& shape : tiny_shapes()) {
    const Weights written = random_weights(shape, 4);
    const auto read = load_weights(write_folder(written));
    ASSERT_TRUE(read.has_value()) << read.error().message;
    EXPECT_EQ(read->shape.name, "checkpoint");
    EXPECT_EQ(weights_digest(*read), weights_digest(written));
  }
}

TEST(LoadShape, CountsParametersLikeTheTensorsThemselves) {
  for (const ModelShape& shape : tiny_shapes()) {
    const Weights weights = random_weights(shape, 4);
    int64_t total = 0;
    for (const NamedTensor& tensor : hugging_face_tensors(weights)) {
      total += static_cast<int64_t>(tensor.values->size());
    }
    EXPECT_EQ(shape.num_parameters(), total);
    int64_t linears = 0;
    for (const LayerWeights& layer : weights.layers) {
      for (const Matrix* m :
           {&layer.q, &layer.k, &layer.v, &layer.o, &layer.gate, &layer.up, &layer.down}) {
        linears += static_cast<int64_t>(m->values.size());
      }
    }
    EXPECT_EQ(shape.num_block_linear_weights(), linears);
  }
}

TEST(LoadShape, OfLargeModelsNeedsNoWeights) {
  const std::string folder = data_folder() + "/models/llama-3-8b";
  const auto small = load_shape(folder);
  ASSERT_TRUE(small.has_value()) << small.error().message;
  EXPECT_EQ(small->name, "llama-3-8b");
  EXPECT_EQ(small->num_parameters(), 8030261248);  // as published: 8.03 billion
  const auto large = load_shape(data_folder() + "/models/llama-3-70b/config.json");
  ASSERT_TRUE(large.has_value()) << large.error().message;
  EXPECT_EQ(large->num_parameters(), 70553706496);  // as published: 70.6 billion
  const auto largest = load_shape(data_folder() + "/models/llama-3-405b/config.json");
  ASSERT_TRUE(largest.has_value()) << largest.error().message;
  EXPECT_EQ(largest->num_parameters(), 405853388800);  // as published: 405.9 billion
  EXPECT_NE(load_weights(folder).error().message.find("neither model.safetensors"),
            std::string::npos);
  EXPECT_NE(load_weights(folder + "/config.json").error().message.find("holds no weights"),
            std::string::npos);
}

TEST(LoadWeightsError, SaysWhatIsMissingOrLeftOver) {
  EXPECT_EQ(load_weights("no/such").error().code, ErrorCode::kNotFound);
  const Weights weights = random_weights(tiny_shape(), 3);
  const auto expect_error = [](const GgufParts& parts, const std::string& part) {
    const auto read = load_weights(write_temporary("tiny.gguf", parts.bytes()));
    ASSERT_FALSE(read.has_value()) << part;
    EXPECT_NE(read.error().message.find(part), std::string::npos) << read.error().message;
  };
  GgufParts parts = gguf_of(weights);
  parts.tensors.back().name = "blk.1.ffn_other.weight";
  expect_error(parts, "tiny.gguf: tensor blk.1.ffn_down.weight is missing");
  parts = gguf_of(weights);
  parts.tensor_f32("blk.0.attn_post_norm.weight", {4}, {1, 2, 3, 4});
  expect_error(parts, "tensor blk.0.attn_post_norm.weight belongs to no supported architecture");
  parts = gguf_of(weights);
  parts.integer("qwen2.rope.dimension_count", 8);
  expect_error(parts, "qwen2.rope.dimension_count = 8, want the head dimension 16");
  parts = gguf_of(weights);
  parts.text("qwen2.rope.scaling.type", "yarn");
  expect_error(parts, "rope.scaling.type = yarn, want none or linear");
  parts = gguf_of(weights);
  parts.number("qwen2.rope.scaling.attn_factor", 1.5F);
  expect_error(parts, "rope.scaling.attn_factor = 1.5, want 1");
  parts = gguf_of(weights);
  parts.tensor_f32("rope_freqs.weight", {4}, {1, 2, 3, 4});
  expect_error(parts, "tensor rope_freqs.weight belongs to no supported architecture");
  parts = gguf_of(random_weights(tiny_shapes()[1], 3));
  parts.tensor_f32("rope_freqs.weight", {4}, {1, 2, 3, 4});
  expect_error(parts, "tensor rope_freqs.weight has 4 values, want 8");
  parts = gguf_of(random_weights(tiny_shapes()[1], 3));
  parts.tensor_f32("rope_freqs.weight", {8}, {1, 2, 3, 4, 5, 6, 7, 0});
  expect_error(parts, "a divisor of rotary frequencies is 0, want a positive number");
  parts = gguf_of(weights);
  parts.values[0].second.back() = '4';
  expect_error(parts, "general.architecture = qwen4, want llama, qwen2 or qwen3");
  // The norms of heads belong to one family: elsewhere they would be left out of the product.
  parts = gguf_of(random_weights(tiny_qwen3_shape(), 3));
  for (auto& [key, value] : parts.values) {
    if (key == "general.architecture") value.back() = '2';
    if (key.starts_with("qwen3.")) key[4] = '2';
  }
  expect_error(parts, "_norm.weight belongs to no supported architecture");
  parts = gguf_of(random_weights(tiny_qwen3_shape(), 3));
  std::erase_if(parts.tensors, [](const GgufParts::Tensor& tensor) {
    return tensor.name == "blk.1.attn_k_norm.weight";
  });
  expect_error(parts, "tensor blk.1.attn_k_norm.weight is missing");
  parts = gguf_of(weights);
  const float nan = std::nanf("");
  std::memcpy(parts.data.data() + parts.tensors[5].offset, &nan, sizeof(nan));
  expect_error(parts, "row 0 holds an infinity or a NaN");
  parts = gguf_of(weights);
  parts.values[1].second[4] = 100;  // block_count
  expect_error(parts, "tensor blk.2.attn_norm.weight is missing");
}

TEST(WeightsDigest, SeesEveryTensorAndTheShape) {
  const Weights weights = random_weights(tiny_shape(), 3);
  const std::string digest = weights_digest(weights);
  Weights changed = weights;
  changed.layers[1].v_bias[0] += 1;
  EXPECT_NE(weights_digest(changed), digest);
  changed = weights;
  changed.head.values.back() += 1;
  EXPECT_NE(weights_digest(changed), digest);
  changed = weights;
  changed.shape.rope_theta += 1;
  EXPECT_NE(weights_digest(changed), digest);
  changed = weights;
  changed.shape.rope_divisors.assign(8, 2.0F);
  EXPECT_NE(weights_digest(changed), digest);
  Weights normed = random_weights(tiny_qwen3_shape(), 3);
  const std::string normed_digest = weights_digest(normed);
  normed.layers[0].k_norm[2] += 1;
  EXPECT_NE(weights_digest(normed), normed_digest);
  changed = weights;
  changed.shape.name = "renamed";
  EXPECT_EQ(weights_digest(changed), digest);
}

TEST(LoadRealModel, SmolLm2HasItsPublishedShape) {
  const std::string path = zoo_file("smollm2-135m");
  DOVETAIL_SKIP_WITHOUT(path);
  const auto weights = load_weights(path);
  ASSERT_TRUE(weights.has_value()) << weights.error().message;
  const ModelShape& shape = weights->shape;
  EXPECT_EQ(shape.name, "smollm2-135m");
  EXPECT_EQ(shape.num_layers, 30);
  EXPECT_EQ(shape.head_dim, 64);
  EXPECT_EQ(shape.num_kv_heads, 3);
  EXPECT_TRUE(shape.tied_embedding);
  EXPECT_EQ(shape.num_parameters(), 134515008);  // the model card's count
}

TEST(LoadRealModel, QwenHasBiasesAndItsOwnHead) {
  const std::string path = zoo_file("qwen2.5-coder-0.5b");
  DOVETAIL_SKIP_WITHOUT(path);
  const auto shape = load_shape(path);
  ASSERT_TRUE(shape.has_value()) << shape.error().message;
  EXPECT_EQ(shape->name, "qwen2.5-coder-0.5b");
  EXPECT_EQ(shape->family, Family::kQwen2);
  EXPECT_FALSE(shape->tied_embedding);
  EXPECT_TRUE(shape->qkv_bias);
  EXPECT_EQ(shape->vocab_size, 151936);
}

}  // namespace
}  // namespace dovetail::model
