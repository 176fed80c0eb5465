#include "compress/compress_checkpoint.h"

#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "base/hash.h"
#include "base/test_folder.h"
#include "checkpoint/verify.h"
#include "compress/compress_model.h"
#include "compress/tiny_model.h"
#include "compress/treat.h"
#include "model/test_files.h"

extern char** environ;

namespace dovetail::compress {
namespace {

namespace fs = std::filesystem;

// A folder with a tiny model in it.
class CompressCheckpointTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = test_folder() / "compress_checkpoint";
    fs::create_directories(folder_ / "model");
    weights_ = tiny_weights(7);
    std::ofstream(folder_ / "model/config.json") << model::config_json_of(weights_->shape);
    std::ofstream(folder_ / "model/model.safetensors", std::ios::binary)
        << model::safetensors_of(model::hugging_face_tensors(*weights_));
  }
  void TearDown() override { fs::remove_all(folder_); }
  std::string at(const std::string& name) const { return (folder_ / name).string(); }

  fs::path folder_;
  std::shared_ptr<const model::Weights> weights_;
};

CompressRequest request_in(const std::string& folder, const std::string& treatment,
                           const std::string& out) {
  CompressRequest request;
  request.model = folder + "/model";
  request.model_name = "tiny";
  request.recipe = recipe::parse_uniform_recipe(tiny_weights(7)->shape, treatment).value();
  request.tokens = random_tokens(8, 32, 101, 3);
  request.text_sha256 = "text";
  request.out = folder + "/" + out;
  request.memory_bytes = int64_t{8} << 30;
  request.save_every_s = 0;
  return request;
}

// Every file of a folder by name; the manifest names times of algorithms and is left out.
std::string digest_of_folder(const std::string& folder) {
  std::map<std::string, std::string> sums;
  for (const auto& entry : fs::directory_iterator(folder))
    sums[entry.path().filename().string()] = sha256_file(entry.path().string()).value();
  std::string all;
  for (const auto& [name, sum] : sums) all += name + " " + sum + "\n";
  return all;
}

TEST_F(CompressCheckpointTest, HoldsWhatIsCompressedInMemory) {
  for (const std::string treatment :
       {"int4_g32_gptq+head:int8", "nvfp4_imatrix+a:int8_token", "mxfp4+head:int4_g32_gptq",
        "int3_asym_g32_gptq+r:r1r2", "bf16+mlp:64", "int4_g32_gptq+mlp:64+heads:2+r:r1r2"}) {
    CompressRequest request = request_in(folder_.string(), treatment, "out");
    request.off_grid_seed = 5;
    const auto stats = compress_to_checkpoint(request);
    ASSERT_TRUE(stats.has_value()) << treatment << ": " << stats.error().message;
    const auto read = model::load_weights(at("out"));
    ASSERT_TRUE(read.has_value()) << read.error().message;

    const auto permuted =
        std::make_shared<const model::Weights>(collect(off_grid(source_of(weights_), 5)).value());
    const auto emulated = compress_in_memory(permuted, request.recipe, request.tokens).value();
    EXPECT_EQ(read->layers[1].gate.values, emulated.weights.layers[1].gate.values) << treatment;
    EXPECT_EQ(read->layers[2].v.values, emulated.weights.layers[2].v.values) << treatment;
    EXPECT_EQ(read->head_matrix().values, emulated.weights.head_matrix().values) << treatment;
    EXPECT_EQ(read->embedding.values, emulated.weights.embedding.values) << treatment;

    const auto verified = checkpoint::verify_checkpoint(at("out"));
    ASSERT_TRUE(verified.has_value()) << verified.error().message;
    EXPECT_TRUE(verified->failures.empty()) << treatment;
    EXPECT_FALSE(fs::exists(at("out.work"))) << treatment;
    EXPECT_EQ(stats->sites.size(), emulated.reports.size());
    fs::remove_all(at("out"));
  }
}

TEST_F(CompressCheckpointTest, RoundingAloneNeedsNoText) {
  CompressRequest request = request_in(folder_.string(), "int4_g32+head:int8", "out");
  request.tokens = {};
  const auto stats = compress_to_checkpoint(request);
  ASSERT_TRUE(stats.has_value()) << stats.error().message;
  EXPECT_EQ(model::load_weights(at("out"))->layers[2].down.values,
            apply_recipe(*weights_, request.recipe)->layers[2].down.values);
}

// Killed in a process of its own when the work is so far done.
TEST(CompressChild, Run) {
  const char* folder = std::getenv("DOVETAIL_COMPRESS_CHILD");
  if (folder == nullptr) GTEST_SKIP() << "only as a child of CompressCheckpointTest";
  const double stop = std::atof(std::getenv("DOVETAIL_COMPRESS_STOP"));
  const CompressRequest request =
      request_in(folder, std::getenv("DOVETAIL_COMPRESS_TREATMENT"), "killed");
  const std::string stop_in = std::getenv("DOVETAIL_COMPRESS_STOP_IN");
  const ProgressSink progress = [&](const Progress& heard) {
    if (heard.what == stop_in && heard.done_frac >= stop) ::raise(SIGKILL);
  };
  ASSERT_TRUE(compress_to_checkpoint(request, progress).has_value());
}

// A stream that is kept seldom costs work when killed, not bits.
TEST_F(CompressCheckpointTest, GoesOnFromTheLastStreamThatWasKept) {
  CompressRequest request = request_in(folder_.string(), "int4_g32_gptq", "out");
  request.save_every_s = 1e9;
  const ProgressSink stop = [&](const Progress& heard) {
    if (heard.what == "compressing" && heard.done_frac >= 0.8) fs::create_directory(at("out"));
  };
  // What appears at OUT meanwhile stops it at the end, with all layers saved.
  ASSERT_FALSE(compress_to_checkpoint(request, stop).has_value());
  ASSERT_TRUE(fs::exists(at("out.work/layer_0001")));
  fs::remove_all(at("out"));
  const auto stats = compress_to_checkpoint(request);
  ASSERT_TRUE(stats.has_value()) << stats.error().message;
  EXPECT_EQ(stats->resumed_layers, 0);
  ASSERT_TRUE(compress_to_checkpoint(request_in(folder_.string(), "int4_g32_gptq", "other")));
  for (const char* name : {"out/dovetail.json", "other/dovetail.json"}) fs::remove(at(name));
  EXPECT_EQ(digest_of_folder(at("out")), digest_of_folder(at("other")));
}

// Runs CompressChild until it is killed.
void run_killed(const std::string& folder, const std::string& treatment, const char* stop_in,
                const char* stop) {
  ::setenv("DOVETAIL_COMPRESS_CHILD", folder.c_str(), 1);
  ::setenv("DOVETAIL_COMPRESS_TREATMENT", treatment.c_str(), 1);
  ::setenv("DOVETAIL_COMPRESS_STOP_IN", stop_in, 1);
  ::setenv("DOVETAIL_COMPRESS_STOP", stop, 1);
  std::string program = fs::read_symlink("/proc/self/exe").string();
  std::string filter = "--gtest_filter=CompressChild.Run";
  char* argv[] = {program.data(), filter.data(), nullptr};
  pid_t child = 0;
  ASSERT_EQ(::posix_spawn(&child, program.c_str(), nullptr, nullptr, argv, environ), 0);
  int state = 0;
  ::waitpid(child, &state, 0);
  EXPECT_TRUE(WIFSIGNALED(state)) << stop_in << " " << stop;
  EXPECT_FALSE(fs::exists(folder + "/killed")) << stop_in << " " << stop;
  ::unsetenv("DOVETAIL_COMPRESS_CHILD");
}

TEST_F(CompressCheckpointTest, KilledAtAnyLayerItGoesOnToTheSameBits) {
  for (const std::string treatment :
       {"int4_g32_gptq+qep:0.5+head:int8", "int4_g32_gptq+mlp:64+heads:2"}) {
    ASSERT_TRUE(
        compress_to_checkpoint(request_in(folder_.string(), treatment, "whole")).has_value());
    if (treatment.find("mlp:") != std::string::npos) {
      for (const char* stop : {"0.2", "0.7"})
        run_killed(folder_.string(), treatment, "scoring channels and heads", stop);
    }
    for (const char* stop : {"0.1", "0.4", "0.8"})
      run_killed(folder_.string(), treatment, "compressing", stop);
    const auto stats = compress_to_checkpoint(request_in(folder_.string(), treatment, "killed"));
    ASSERT_TRUE(stats.has_value()) << stats.error().message;
    EXPECT_EQ(stats->resumed_layers, 2);
    fs::remove(at("whole/dovetail.json"));
    fs::remove(at("killed/dovetail.json"));
    EXPECT_EQ(digest_of_folder(at("killed")), digest_of_folder(at("whole")));
    fs::remove_all(at("whole"));
    fs::remove_all(at("killed"));
  }
}

TEST_F(CompressCheckpointTest, SpillingChangesNoBit) {
  CompressRequest request = request_in(folder_.string(), "int3_g32_gptq", "roomy");
  request.tokens = random_tokens(400, 32, 101, 4);
  ASSERT_TRUE(compress_to_checkpoint(request).has_value());
  request.out = at("tight");
  const CompressPlan roomy = plan_checkpoint(request).value();
  request.memory_bytes = roomy.peak_bytes - 1;
  const auto tight = compress_to_checkpoint(request);
  ASSERT_TRUE(tight.has_value()) << tight.error().message;
  EXPECT_TRUE(tight->plan.spills);
  EXPECT_EQ(model::weights_digest(model::load_weights(at("tight")).value()),
            model::weights_digest(model::load_weights(at("roomy")).value()));
}

TEST_F(CompressCheckpointTest, RefusesBeforeItWorks) {
  CompressRequest request = request_in(folder_.string(), "int4_g32_gptq", "out");
  request.tokens = {};
  EXPECT_EQ(compress_to_checkpoint(request).error().message,
            "the recipe's algorithms need calibration text, which is not given");
  request = request_in(folder_.string(), "lut4_g64", "out");
  EXPECT_FALSE(compress_to_checkpoint(request).has_value());
  EXPECT_FALSE(fs::exists(at("out.work")));
  request = request_in(folder_.string(), "int4_g32+h:16", "out");
  EXPECT_NE(compress_to_checkpoint(request).error().message.find("Hadamard"), std::string::npos);
  request = request_in(folder_.string(), "int4_g32", "out");
  fs::create_directories(at("out"));
  EXPECT_FALSE(compress_to_checkpoint(request).has_value());
  request.memory_bytes = 1000;
  request.out = at("other");
  EXPECT_TRUE(compress_to_checkpoint(request).error().message.starts_with("memory: "));
}

}  // namespace
}  // namespace dovetail::compress
