#include "checkpoint/folder_writer.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>

#include "base/paths.h"
#include "base/test_folder.h"
#include "checkpoint/round_to_nearest.h"
#include "checkpoint/verify.h"

namespace dovetail::checkpoint {
namespace {

namespace fs = std::filesystem;

class FolderWriterTest : public ::testing::Test {
 protected:
  FolderWriterTest() : root_((test_folder() / "checkpoint").string()) {
    fs::remove_all(root_);
    fs::create_directories(root_);
  }
  ~FolderWriterTest() override { fs::remove_all(root_); }

  std::string out() const { return root_ + "/out"; }

  // Writes, and gives what the folder should decode to.
  model::Weights write(const std::string& treatment, bool tied = true,
                       int64_t max_shard_bytes = int64_t{1} << 30) {
    return write(treatment, small_shape(tied), max_shard_bytes);
  }
  model::Weights write(const std::string& treatment, const model::ModelShape& shape,
                       int64_t max_shard_bytes = int64_t{1} << 30) {
    const recipe::Recipe recipe = recipe::parse_uniform_recipe(shape, treatment).value();
    WriteRequest request = request_for(out(), shape, recipe);
    request.max_shard_bytes = max_shard_bytes;
    auto writer = FolderWriter::create(request);
    EXPECT_TRUE(writer.has_value()) << writer.error().message;
    auto emulated = write_round_to_nearest(*writer, small_weights(shape), recipe);
    EXPECT_TRUE(emulated.has_value()) << emulated.error().message;
    const auto summary = writer->finish();
    EXPECT_TRUE(summary.has_value()) << summary.error().message;
    return *std::move(emulated);
  }

  std::string root_;
};

void expect_same(const model::Weights& read, model::Weights wanted) {
  const recipe::Recipe none{.layers = std::vector<recipe::LayerRecipe>(wanted.layers.size()),
                            .head = {}};
  model::Weights copy = read;
  const std::vector<ModelTensor> tensors = model_tensors(wanted.shape, none).value();
  for (const ModelTensor& tensor : tensors) {
    const std::vector<float>& a = values_of(copy, tensor.name);
    const std::vector<float>& b = values_of(wanted, tensor.name);
    ASSERT_EQ(a.size(), b.size()) << tensor.name;
    EXPECT_EQ(std::memcmp(a.data(), b.data(), a.size() * sizeof(float)), 0) << tensor.name;
  }
}

TEST_F(FolderWriterTest, EveryFormatThatTheLayoutHasReadsBackBitForBit) {
  for (const char* treatment : {"int2_g32",
                                "int3",
                                "int3_asym_g64",
                                "int4_g64",
                                "int4_asym_g16",
                                "int5_asym",
                                "int6_tensor",
                                "int7_asym_tensor",
                                "int8",
                                "int8_asym_g32",
                                "int8+a:int8_token",
                                "int8_asym+a:int8_token",
                                "int4_b128",
                                "int4_asym_b128",
                                "fp8_e4m3fn",
                                "fp8_e4m3fn_tensor+a:fp8_token",
                                "fp8_e4m3fn_b128",
                                "fp8_e4m3fn_g32",
                                "mxfp8_e4m3fn",
                                "mxfp6_e2m3",
                                "mxfp4",
                                "nvfp4",
                                "nvfp4+head:nvfp4",
                                "bf16"}) {
    SCOPED_TRACE(treatment);
    fs::remove_all(out());
    const model::Weights wanted = write(treatment, false);
    const auto read = model::load_weights(out());
    ASSERT_TRUE(read.has_value()) << read.error().message;
    expect_same(*read, wanted);
    const auto report = verify_checkpoint(out());
    ASSERT_TRUE(report.has_value()) << report.error().message;
    for (const TensorFailure& failure : report->failures)
      ADD_FAILURE() << failure.tensor << ": " << failure.problem;
    EXPECT_EQ(report->tensors, std::ssize(report->manifest.tensors));
  }
}

TEST_F(FolderWriterTest, NormsOfHeadsReadBack) {
  const model::Weights wanted = write("int4_g64", small_qwen3_shape());
  const auto read = model::load_weights(out());
  ASSERT_TRUE(read.has_value()) << read.error().message;
  EXPECT_EQ(read->shape.family, model::Family::kQwen3);
  EXPECT_EQ(read->shape.head_dim, 32);
  expect_same(*read, wanted);
}

TEST_F(FolderWriterTest, LinearRotaryScalingReadsBackAndDivisorsAloneAreRefused) {
  model::ModelShape shape = small_shape();
  shape.rope_divisors.assign(8, 4.0F);
  write("int4_g64", shape);
  const auto read = model::load_weights(out());
  ASSERT_TRUE(read.has_value()) << read.error().message;
  EXPECT_EQ(read->shape.rope_divisors, shape.rope_divisors);
  shape.rope_divisors.back() = 8;
  const recipe::Recipe recipe = recipe::parse_uniform_recipe(shape, "int4_g64").value();
  fs::remove_all(out());
  auto writer = FolderWriter::create(request_for(out(), shape, recipe));
  std::string error = writer.has_value() ? "" : writer.error().message;
  if (writer.has_value()) {
    ASSERT_TRUE(write_round_to_nearest(*writer, small_weights(shape), recipe).has_value());
    const auto finished = writer->finish();
    ASSERT_FALSE(finished.has_value());
    error = finished.error().message;
  }
  EXPECT_NE(error.find("config.json has no form"), std::string::npos) << error;
}

TEST_F(FolderWriterTest, ATiedHeadThatIsTreatedIsWrittenTwiceAndSaysSo) {
  const model::Weights wanted = write("int4_g64+head:int8");
  const auto read = model::load_weights(out());
  ASSERT_TRUE(read.has_value()) << read.error().message;
  EXPECT_FALSE(read->shape.tied_embedding);
  EXPECT_EQ(read->embedding.values, wanted.embedding.values);
  EXPECT_EQ(read->head.values, wanted.embedding.values);
  const auto report = verify_checkpoint(out());
  ASSERT_TRUE(report.has_value());
  EXPECT_TRUE(report->failures.empty());
  ASSERT_EQ(report->manifest.notes.size(), 1U);
  EXPECT_NE(report->manifest.notes[0].find("the tied head is written twice"), std::string::npos);
}

TEST_F(FolderWriterTest, ShardsAreNoLargerThanAskedForAndIndexed) {
  const model::Weights wanted = write("int4_asym_g32", true, 40'000);
  EXPECT_FALSE(fs::exists(out() + "/model.safetensors"));
  EXPECT_TRUE(fs::exists(out() + "/model.safetensors.index.json"));
  int shards = 0;
  for (const auto& entry : fs::directory_iterator(out()))
    shards += entry.path().extension() == ".safetensors" ? 1 : 0;
  EXPECT_GE(shards, 3);
  const auto read = model::load_weights(out());
  ASSERT_TRUE(read.has_value()) << read.error().message;
  expect_same(*read, wanted);
}

TEST_F(FolderWriterTest, MixedRecipesHaveAGroupForEachFormat) {
  const model::ModelShape shape = small_shape();
  const recipe::Recipe recipe =
      recipe::parse_recipe(shape,
                           "head = \"bf16\"\nlayers = [\n"
                           "\"attn_qkv=int4_g32 attn_o=nvfp4 mlp_gate_up=mxfp4 mlp_down=int8\",\n"
                           "\"attn_qkv=int4_g32 mlp_down=fp8_e4m3fn+a:fp8_token kv=int8\"]\n",
                           "recipe")
          .value();
  auto writer = FolderWriter::create(request_for(out(), shape, recipe)).value();
  const model::Weights wanted =
      write_round_to_nearest(writer, small_weights(shape), recipe).value();
  const WriteSummary summary = writer.finish().value();
  ASSERT_EQ(summary.notes.size(), 1U);
  EXPECT_NE(summary.notes[0].find("keys, values"), std::string::npos);
  const Json config = Json::parse(read_text_file(out() + "/config.json", 1 << 20).value());
  EXPECT_EQ(config["quantization_config"]["format"], "mixed-precision");
  EXPECT_EQ(config["quantization_config"]["config_groups"].size(), 5U);
  expect_same(model::load_weights(out()).value(), wanted);
  EXPECT_TRUE(verify_checkpoint(out()).value().failures.empty());
}

std::string error_of(const std::string& out, const std::string& treatment) {
  const model::ModelShape shape = small_shape();
  const recipe::Recipe recipe = recipe::parse_uniform_recipe(shape, treatment).value();
  const auto writer = FolderWriter::create(request_for(out, shape, recipe));
  EXPECT_FALSE(writer.has_value()) << treatment;
  EXPECT_FALSE(fs::exists(out + ".partial"));
  return writer.has_value() ? "" : writer.error().message;
}

TEST_F(FolderWriterTest, WhatTheLayoutCannotExpressIsAnErrorThatNamesAnother) {
  const std::pair<const char*, const char*> cases[] = {
      {"nf4_g64",
       "layers.0.attn_qkv: nf4_g64 of model.layers.0.self_attn.q_proj: "
       "compressed-tensors has no codebooks; what it has is int4_asym_g64"},
      {"lut3_g32", "what it has is int3_asym_g32"},
      {"int4_qoq_g64", "no two levels of scales; what it has is int4_asym_g64"},
      {"ternary_g64", "what it has is int2_g64"},
      {"mxint8", "what it has is int8_g32"},
      {"fp8_e5m2", "what it has is fp8_e4m3fn"},
      {"mxfp6_e3m2", "what it has is mxfp6_e2m3"},
      {"int4_g32_2:4", "no sparse weights; what it has is int4_g32"},
      {"int4_g128", "128 does not divide 64; int4_g64 does"}};
  for (const auto& [treatment, message] : cases) {
    EXPECT_NE(error_of(out(), treatment).find(message), std::string::npos)
        << error_of(out(), treatment);
  }
}

TEST_F(FolderWriterTest, AnOutputThatExistsOrIsBeingWrittenIsLeftAlone) {
  const model::ModelShape shape = small_shape();
  const recipe::Recipe recipe = recipe::parse_uniform_recipe(shape, "int4_g32").value();
  {
    const auto first = FolderWriter::create(request_for(out(), shape, recipe));
    ASSERT_TRUE(first.has_value());
    const auto second = FolderWriter::create(request_for(out(), shape, recipe));
    ASSERT_FALSE(second.has_value());
    EXPECT_NE(second.error().message.find("another process is writing it"), std::string::npos);
  }
  EXPECT_FALSE(fs::exists(out() + ".partial")) << "what was not finished is removed";
  fs::create_directories(out());
  const auto third = FolderWriter::create(request_for(out() + "/", shape, recipe));
  ASSERT_FALSE(third.has_value());
  EXPECT_NE(third.error().message.find("exists already"), std::string::npos);
}

TEST_F(FolderWriterTest, WrongTensorsAreRefused) {
  const model::ModelShape shape = small_shape();
  const recipe::Recipe recipe = recipe::parse_uniform_recipe(shape, "int4_g32").value();
  auto writer = FolderWriter::create(request_for(out(), shape, recipe)).value();
  const std::vector<float> values(64 * 64, 1.0F);
  const std::string q = "model.layers.0.self_attn.q_proj.weight";
  const auto packed =
      formats::encode_rows(formats::int_format(4, false, 64), {}, 64, 64, values.data());
  EXPECT_NE(writer.add_linear(q, packed, {})
                .error()
                .message.find("(64, 64) of int4_g64, want (64, 64) of int4_g32"),
            std::string::npos);
  EXPECT_NE(writer.add_linear(q, packed, {}).error().message.find("given twice"),
            std::string::npos);
  EXPECT_NE(writer.add_plain("model.layers.1.self_attn.q_proj.weight", values)
                .error()
                .message.find("want packed codes"),
            std::string::npos);
  EXPECT_NE(writer.add_plain("model.norm.weight", values).error().message.find("4096 values"),
            std::string::npos);
  EXPECT_NE(writer.add_plain("model.rotary", values).error().message.find("no such tensor"),
            std::string::npos);
  EXPECT_NE(writer.finish().error().message.find("was not given"), std::string::npos);
}

TEST_F(FolderWriterTest, AfterAKillThereIsNoFolderAndTheNextWriterStartsAnew) {
  const model::ModelShape shape = small_shape();
  const recipe::Recipe recipe = recipe::parse_uniform_recipe(shape, "int4_g32").value();
  const pid_t child = ::fork();
  if (child == 0) {
    auto writer = FolderWriter::create(request_for(out(), shape, recipe));
    const std::vector<float> norm(64, 1.0F);
    if (writer.has_value() && writer->add_plain("model.norm.weight", norm).has_value())
      ::raise(SIGKILL);
    ::_exit(1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status));
  EXPECT_FALSE(fs::exists(out()));
  EXPECT_TRUE(fs::exists(out() + ".partial"));
  const model::Weights wanted = write("int4_g32");
  expect_same(model::load_weights(out()).value(), wanted);
  EXPECT_FALSE(fs::exists(out() + ".partial"));
  EXPECT_FALSE(fs::exists(out() + ".partial.lock"));
}

TEST_F(FolderWriterTest, AFullDiskIsAnErrorThatNamesTheFileAndLeavesNothing) {
  const model::ModelShape shape = small_shape();
  const recipe::Recipe recipe = recipe::parse_uniform_recipe(shape, "int4_g32").value();
  const pid_t child = ::fork();
  if (child == 0) {
    // A limit on the size of a file stands for a disk that fills up.
    const rlimit limit{40'000, 40'000};
    ::signal(SIGXFSZ, SIG_IGN);
    ::setrlimit(RLIMIT_FSIZE, &limit);
    {
      auto writer = FolderWriter::create(request_for(out(), shape, recipe));
      if (!writer.has_value()) ::_exit(2);
      const auto written = write_round_to_nearest(*writer, small_weights(shape), recipe);
      if (written.has_value() || written.error().code != ErrorCode::kIo) ::_exit(3);
      if (written.error().message.find(out() + ".partial/") == std::string::npos) ::_exit(4);
    }
    ::_exit(fs::exists(out() + ".partial") || fs::exists(out()) ? 5 : 0);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
}  // namespace dovetail::checkpoint
