#include "checkpoint/gguf_writer.h"

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>

#include "base/test_folder.h"
#include "checkpoint/block_encoders.h"
#include "checkpoint/round_to_nearest.h"
#include "checkpoint/verify.h"
#include "model/gguf.h"

namespace dovetail::checkpoint {
namespace {

namespace fs = std::filesystem;

class GgufWriterTest : public ::testing::Test {
 protected:
  GgufWriterTest() : root_((test_folder() / "checkpoint").string()) {
    fs::remove_all(root_);
    fs::create_directories(root_);
  }
  ~GgufWriterTest() override { fs::remove_all(root_); }
  std::string out() const { return root_ + "/model.gguf"; }
  std::string root_;
};

// Equal as numbers: GGUF has one zero where MXFP4 has two.
void expect_equal(model::Weights read, model::Weights wanted) {
  const recipe::Recipe none{.layers = std::vector<recipe::LayerRecipe>(wanted.layers.size()),
                            .head = {}};
  const std::vector<ModelTensor> tensors = model_tensors(wanted.shape, none).value();
  for (const ModelTensor& tensor : tensors)
    EXPECT_EQ(values_of(read, tensor.name), values_of(wanted, tensor.name)) << tensor.name;
}

TEST_F(GgufWriterTest, EveryFormatThatIsAGgufTypeReadsBackAsItWas) {
  for (const bool tied : {true, false}) {
    for (const char* treatment : {"int4_g32", "int4_g64", "int5_g32", "int8_g32", "int8",
                                  "int4_tensor", "mxfp4", "mxfp4+head:int8_g32", "bf16"}) {
      SCOPED_TRACE(treatment);
      fs::remove_all(out());
      const model::ModelShape shape = small_shape(tied);
      const recipe::Recipe recipe = recipe::parse_uniform_recipe(shape, treatment).value();
      auto writer = GgufWriter::create(request_for(out(), shape, recipe));
      ASSERT_TRUE(writer.has_value()) << writer.error().message;
      const auto wanted = write_round_to_nearest(*writer, small_weights(shape), recipe);
      ASSERT_TRUE(wanted.has_value()) << wanted.error().message;
      const auto summary = writer->finish();
      ASSERT_TRUE(summary.has_value()) << summary.error().message;
      EXPECT_EQ(summary->bytes, static_cast<int64_t>(fs::file_size(out())));
      const auto read = model::load_weights(out());
      ASSERT_TRUE(read.has_value()) << read.error().message;
      EXPECT_EQ(read->shape.tied_embedding, tied);
      expect_equal(*read, *wanted);
      const auto report = verify_checkpoint(out());
      ASSERT_TRUE(report.has_value()) << report.error().message;
      for (const TensorFailure& failure : report->failures)
        ADD_FAILURE() << failure.tensor << ": " << failure.problem;
    }
  }
}

TEST_F(GgufWriterTest, NormsOfHeadsReadBack) {
  const model::ModelShape shape = small_qwen3_shape();
  const recipe::Recipe recipe = recipe::parse_uniform_recipe(shape, "int4_g32").value();
  auto writer = GgufWriter::create(request_for(out(), shape, recipe)).value();
  const auto wanted = write_round_to_nearest(writer, small_weights(shape), recipe);
  ASSERT_TRUE(wanted.has_value()) << wanted.error().message;
  ASSERT_TRUE(writer.finish().has_value());
  const auto read = model::load_weights(out());
  ASSERT_TRUE(read.has_value()) << read.error().message;
  EXPECT_EQ(read->shape.family, model::Family::kQwen3);
  EXPECT_EQ(read->layers[1].k_norm.size(), 32U);
  expect_equal(*read, *wanted);
  EXPECT_TRUE(verify_checkpoint(out()).value().failures.empty());
}

TEST_F(GgufWriterTest, ScaledRotaryFrequenciesReadBack) {
  for (const std::vector<float>& divisors :
       {std::vector<float>(8, 4.0F), std::vector<float>{1, 1, 1.25F, 2, 3, 5, 8, 8}}) {
    fs::remove_all(out());
    model::ModelShape shape = small_shape();
    shape.rope_divisors = divisors;
    const recipe::Recipe recipe = recipe::parse_uniform_recipe(shape, "int4_g32").value();
    auto writer = GgufWriter::create(request_for(out(), shape, recipe)).value();
    ASSERT_TRUE(write_round_to_nearest(writer, small_weights(shape), recipe).has_value());
    ASSERT_TRUE(writer.finish().has_value());
    const auto read = model::load_weights(out());
    ASSERT_TRUE(read.has_value()) << read.error().message;
    EXPECT_EQ(read->shape.rope_divisors, divisors);
    EXPECT_TRUE(verify_checkpoint(out()).value().failures.empty());
  }
  model::ModelShape shape = small_qwen3_shape();
  shape.rope_divisors.assign(16, 1.0F);
  shape.rope_divisors.back() = 8;
  const recipe::Recipe recipe = recipe::parse_uniform_recipe(shape, "int4_g32").value();
  const auto refused = GgufWriter::create(request_for(out(), shape, recipe));
  ASSERT_FALSE(refused.has_value());
  EXPECT_NE(refused.error().message.find("no form for llama3 rotary scaling in the qwen3 family"),
            std::string::npos);
}

TEST_F(GgufWriterTest, AWholeModelIsEncodedAsAnyType) {
  const model::ModelShape shape = small_shape(true, 256);
  const recipe::Recipe recipe = recipe::parse_uniform_recipe(shape, "bf16").value();
  model::Weights weights = small_weights(shape);
  for (const char* name : {"q4_0", "q4_1", "q5_0", "q8_0", "q4_k", "q6_k", "mxfp4", "f16", "f32"}) {
    SCOPED_TRACE(name);
    fs::remove_all(out());
    auto writer = GgufWriter::create(request_for(out(), shape, recipe)).value();
    const std::vector<ModelTensor> tensors = model_tensors(shape, recipe).value();
    for (const ModelTensor& tensor : tensors) {
      const std::vector<float>& values = values_of(weights, tensor.name);
      const Status status =
          tensor.is_vector ? writer.add_plain(tensor.name, values)
                           : writer.add_encoded(tensor.name, values, parse_gguf_type(name).value());
      ASSERT_TRUE(status.has_value()) << status.error().message;
    }
    ASSERT_TRUE(writer.finish().has_value());
    const auto read = model::load_weights(out());
    ASSERT_TRUE(read.has_value()) << read.error().message;
    double error = 0;
    double power = 0;
    for (size_t i = 0; i < read->layers[1].q.values.size(); ++i) {
      const double w = weights.layers[1].q.values[i];
      error += std::pow(w - read->layers[1].q.values[i], 2);
      power += w * w;
    }
    EXPECT_LT(error / power, std::string(name) == "mxfp4" ? 0.03 : 0.01);
    EXPECT_TRUE(verify_checkpoint(out()).value().failures.empty());
  }
}

TEST_F(GgufWriterTest, WhatGgufCannotExpressIsAnErrorThatNamesAnother) {
  const model::ModelShape shape = small_shape();
  const std::pair<const char*, const char*> cases[] = {
      {"int3_g32", "no GGUF type is int3_g32; int4_g32 is one"},
      {"nvfp4", "no GGUF type is nvfp4"},
      {"int4_g16", "groups that are no whole blocks; int4_g32 has"},
      {"fp8_e4m3fn", "int8_g32 is one"}};
  for (const auto& [treatment, message] : cases) {
    const recipe::Recipe recipe = recipe::parse_uniform_recipe(shape, treatment).value();
    const auto writer = GgufWriter::create(request_for(out(), shape, recipe));
    ASSERT_FALSE(writer.has_value()) << treatment;
    EXPECT_NE(writer.error().message.find(message), std::string::npos) << writer.error().message;
  }
  auto writer = GgufWriter::create(
                    request_for(out(), shape, recipe::parse_uniform_recipe(shape, "bf16").value()))
                    .value();
  const std::vector<float> values(64 * 64, 0.5F);
  const auto status = writer.add_encoded("model.layers.0.self_attn.q_proj.weight", values,
                                         model::TensorType::kQ4_K);
  ASSERT_FALSE(status.has_value());
  EXPECT_NE(status.error().message.find("q4_k blocks are 256 long, which does not divide rows of "
                                        "64; q4_0, q4_1, q5_0, q8_0 can be written"),
            std::string::npos)
      << status.error().message;
}

TEST_F(GgufWriterTest, ADamagedFileIsFound) {
  const model::ModelShape shape = small_shape();
  const recipe::Recipe recipe = recipe::parse_uniform_recipe(shape, "int4_g32").value();
  auto writer = GgufWriter::create(request_for(out(), shape, recipe)).value();
  ASSERT_TRUE(write_round_to_nearest(writer, small_weights(shape), recipe).has_value());
  ASSERT_TRUE(writer.finish().has_value());
  const auto size = fs::file_size(out());
  {
    FILE* file = std::fopen(out().c_str(), "r+b");
    ASSERT_EQ(std::fseek(file, -40, SEEK_END), 0);
    std::fputc(0x5a, file);
    std::fclose(file);
  }
  const auto damaged = verify_checkpoint(out());
  ASSERT_TRUE(damaged.has_value()) << damaged.error().message;
  ASSERT_EQ(damaged->failures.size(), 1U);
  fs::resize_file(out(), size - 64);
  EXPECT_FALSE(verify_checkpoint(out()).has_value());
}

}  // namespace
}  // namespace dovetail::checkpoint
