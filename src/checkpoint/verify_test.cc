#include "checkpoint/verify.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "base/paths.h"
#include "base/test_folder.h"
#include "checkpoint/round_to_nearest.h"

namespace dovetail::checkpoint {
namespace {

namespace fs = std::filesystem;

class Verify : public ::testing::Test {
 protected:
  Verify() : out_((test_folder() / "verified").string()) {
    fs::remove_all(out_);
    const model::ModelShape shape = small_shape();
    const recipe::Recipe recipe = recipe::parse_uniform_recipe(shape, "int4_asym_g32").value();
    auto writer = FolderWriter::create(request_for(out_, shape, recipe)).value();
    EXPECT_TRUE(write_round_to_nearest(writer, small_weights(shape), recipe).has_value());
    EXPECT_TRUE(writer.finish().has_value());
  }
  ~Verify() override { fs::remove_all(out_); }

  std::string text(const std::string& name) const {
    return read_text_file(out_ + "/" + name, 1 << 26).value();
  }
  void put(const std::string& name, const std::string& text) const {
    std::ofstream(out_ + "/" + name, std::ios::binary) << text;
  }
  std::vector<TensorFailure> failures() const {
    const auto report = verify_checkpoint(out_);
    EXPECT_TRUE(report.has_value()) << report.error().message;
    return report.has_value() ? report->failures : std::vector<TensorFailure>();
  }
  std::string out_;
};

TEST_F(Verify, ASoundCheckpointHasNothingToSay) {
  EXPECT_TRUE(failures().empty());
}

TEST_F(Verify, OneChangedByteIsFoundInTheTensorThatHoldsIt) {
  std::string file = text("model.safetensors");
  uint64_t header = 0;
  file.copy(reinterpret_cast<char*>(&header), 8);
  const Json directory = Json::parse(file.substr(8, header));
  for (const char* part : {"weight_packed", "weight_scale", "weight_zero_point"}) {
    const std::string name = std::string("model.layers.1.mlp.down_proj.") + part;
    const auto at = 8 + header + directory[name]["data_offsets"][0].get<uint64_t>();
    std::string damaged = file;
    damaged[at] = static_cast<char>(damaged[at] ^ 1);
    put("model.safetensors", damaged);
    const auto found = failures();
    ASSERT_EQ(found.size(), 1U) << part;
    EXPECT_EQ(found[0].tensor, "model.layers.1.mlp.down_proj.weight");
    EXPECT_EQ(found[0].problem, "packed codes differ from the digest");
  }
  std::string damaged = file;
  const auto at = 8 + header + directory["model.norm.weight"]["data_offsets"][0].get<uint64_t>();
  damaged[at] = static_cast<char>(damaged[at] ^ 1);
  put("model.safetensors", damaged);
  ASSERT_EQ(failures().size(), 1U);
  EXPECT_EQ(failures()[0].problem, "stored bytes differ from the digest");
}

TEST_F(Verify, AWrongDigestIsFound) {
  Json manifest = Json::parse(text(kManifestFile));
  manifest["tensors"][3]["decoded_sha256"] = std::string(64, '0');
  put(kManifestFile, manifest.dump());
  ASSERT_EQ(failures().size(), 1U);
  EXPECT_EQ(failures()[0].problem, "decoded values differ from the digest");
  manifest["tensors"].erase(3);
  put(kManifestFile, manifest.dump());
  ASSERT_EQ(failures().size(), 1U);
  EXPECT_EQ(failures()[0].problem, "is not in the manifest");
}

TEST_F(Verify, BrokenFilesAreErrors) {
  const std::string file = text("model.safetensors");
  put("model.safetensors", file.substr(0, file.size() - 1));
  EXPECT_FALSE(verify_checkpoint(out_).has_value());
  put("model.safetensors", file);
  const std::string manifest = text(kManifestFile);
  put(kManifestFile, manifest.substr(0, manifest.size() / 2));
  EXPECT_NE(verify_checkpoint(out_).error().message.find(kManifestFile), std::string::npos);
  fs::remove(out_ + "/" + kManifestFile);
  EXPECT_NE(verify_checkpoint(out_).error().message.find("nothing says what it should hold"),
            std::string::npos);
  EXPECT_EQ(verify_checkpoint(out_ + "/gone").error().code, ErrorCode::kNotFound);
}

TEST_F(Verify, AManifestOfAnyShapeIsAnErrorAndNoCrash) {
  const Json whole = Json::parse(text(kManifestFile));
  for (const char* key : {"schema_version", "program", "recipe_toml", "provenance", "tensors"}) {
    for (const Json& value : {Json(), Json(7), Json("x"), Json::array({1}), Json::object()}) {
      Json changed = whole;
      changed[key] = value;
      put(kManifestFile, changed.dump());
      const auto report = verify_checkpoint(out_);
      if (report.has_value() && value.is_string()) continue;  // another text
      EXPECT_FALSE(report.has_value()) << key << " = " << value;
    }
  }
}

}  // namespace
}  // namespace dovetail::checkpoint
