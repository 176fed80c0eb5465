#include "compress/saved_block.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "base/random.h"
#include "base/test_folder.h"
#include "compress/tiny_model.h"
#include "formats/quantize.h"

namespace dovetail::compress {
namespace {

SavedBlock sample() {
  Random random(1);
  SavedBlock block;
  for (const std::string name :
       {"int4_g32", "int3_asym_g16", "nvfp4", "int4_qoq_g32", "lut4_g64", "ternary", "int4_2:4"}) {
    const auto format = formats::parse_weight_format(name).value();
    const model::Matrix w = random_matrix(6, 64, 1, random);
    block.packed.push_back({name, formats::encode_rows(format, {}, 6, 64, w.values.data())});
  }
  block.plain = {{"norm", {1, 2.5, -3}}, {"empty", {}}};
  block.notes = {{"seconds", 1.5}};
  return block;
}

std::string path_of(const std::string& name) {
  return (test_folder() / name).string();
}

std::string content(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST(SavedBlock, GivesBackWhatWasSaved) {
  const SavedBlock block = sample();
  const std::string path = path_of("block");
  ASSERT_TRUE(save_block(path, block).has_value());
  const auto loaded = load_block(path);
  ASSERT_TRUE(loaded.has_value()) << loaded.error().message;
  EXPECT_EQ(loaded->notes, block.notes);
  ASSERT_EQ(loaded->packed.size(), block.packed.size());
  for (size_t i = 0; i < block.packed.size(); ++i) {
    EXPECT_EQ(loaded->packed[i].name, block.packed[i].name);
    EXPECT_EQ(formats::decode_rows(loaded->packed[i].rows).value(),
              formats::decode_rows(block.packed[i].rows).value());
    EXPECT_EQ(loaded->packed[i].rows.payload, block.packed[i].rows.payload);
  }
  ASSERT_EQ(loaded->plain.size(), 2U);
  EXPECT_EQ(loaded->plain[0].values, block.plain[0].values);
  EXPECT_FALSE(std::filesystem::exists(path + ".part"));
}

// Any bit that is not as written, and any length.
TEST(SavedBlockError, DamageIsNoticed) {
  const std::string path = path_of("damaged");
  ASSERT_TRUE(save_block(path, sample()).has_value());
  const std::string whole = content(path);
  for (size_t at = 0; at < whole.size(); at += 1 + whole.size() / 97) {
    std::string spoilt = whole;
    spoilt[at] = static_cast<char>(spoilt[at] ^ 0x10);
    std::ofstream(path, std::ios::binary) << spoilt;
    EXPECT_FALSE(load_block(path).has_value()) << at;
    std::ofstream(path, std::ios::binary) << whole.substr(0, at);
    EXPECT_FALSE(load_block(path).has_value()) << at;
  }
  EXPECT_EQ(load_block(path_of("absent")).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(save_block("/no/such/folder/block", sample()).error().code, ErrorCode::kIo);
}

}  // namespace
}  // namespace dovetail::compress
