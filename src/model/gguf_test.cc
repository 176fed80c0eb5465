#include "model/gguf.h"

#include <gtest/gtest.h>

#include <limits>

#include "base/paths.h"
#include "base/random.h"
#include "model/reference_forward.h"
#include "model/test_files.h"

namespace dovetail::model {
namespace {

const std::string kGolden = std::string(DOVETAIL_SOURCE_DIR) + "/tests/golden/gguf_types.gguf";

TEST(Gguf, EveryTypeDecodesBitForBitAsTheReferencePackage) {
  const auto file = open_gguf(kGolden);
  ASSERT_TRUE(file.has_value()) << file.error().message;
  const std::string expected =
      read_text_file(std::string(DOVETAIL_SOURCE_DIR) + "/tests/golden/gguf_types.f32", 1 << 20)
          .value();
  constexpr size_t kElements = 1024;
  ASSERT_EQ(expected.size(), std::size(kTensorTypes) * kElements * sizeof(float));
  for (size_t t = 0; t < std::size(kTensorTypes); ++t) {
    const TensorTypeFacts& facts = kTensorTypes[t];
    const auto entry = file->tensors().find("tensor." + std::string(facts.name));
    ASSERT_NE(entry, file->tensors().end()) << facts.name;
    EXPECT_EQ(entry->second.type, facts.type);
    EXPECT_EQ(entry->second.dims, (std::vector<int64_t>{512, 2}));
    std::vector<float> values(kElements);
    decode_blocks(facts.type, entry->second.bytes, values);
    EXPECT_EQ(std::memcmp(values.data(), expected.data() + t * kElements * sizeof(float),
                          kElements * sizeof(float)),
              0)
        << facts.name;
  }
}

TEST(Gguf, MetadataKeepsItsTypes) {
  const auto file = open_gguf(kGolden);
  ASSERT_TRUE(file.has_value());
  EXPECT_EQ(file->text("general.architecture").value(), "none");
  EXPECT_EQ(file->integer("test.negative").value(), -(int64_t{1} << 40));
  EXPECT_EQ(file->number("test.float64").value(), 0.1);
  EXPECT_EQ(file->metadata().find("test.yes")->second.integer, 1);
  EXPECT_EQ(*file->find_texts("test.texts"), (std::vector<std::string_view>{"", "one", "zwölf"}));
  EXPECT_EQ(*file->find_numbers("test.numbers"), (std::vector<double>{1, 2, 3}));
  EXPECT_FALSE(file->find_integer("test.absent").value().has_value());
  EXPECT_NE(file->integer("test.absent").error().message.find("test.absent is missing"),
            std::string::npos);
  EXPECT_NE(file->integer("test.texts").error().message.find("is not one integer"),
            std::string::npos);
}

GgufParts small_file() {
  GgufParts parts;
  parts.integer("a.count", 7);
  parts.text("a.text", "hello");
  parts.tensor_f32("first", {4, 2}, std::vector<float>(8, 1.5F));
  parts.tensor_f32("second", {3}, std::vector<float>(3, 2.5F));
  return parts;
}

std::string error_of(const std::string& bytes) {
  const auto file = open_gguf(write_temporary("hostile.gguf", bytes));
  if (file.has_value()) return "(no error)";
  EXPECT_EQ(file.error().code, ErrorCode::kInvalidArgument);
  EXPECT_NE(file.error().message.find("hostile.gguf: "), std::string::npos) << file.error().message;
  return file.error().message;
}

void expect_error(const GgufParts& parts, const std::string& part) {
  const std::string message = error_of(parts.bytes());
  EXPECT_NE(message.find(part), std::string::npos) << message;
}

TEST(GgufError, EveryTruncationIsRefused) {
  const std::string whole = small_file().bytes();
  ASSERT_EQ(error_of(whole), "(no error)");
  for (size_t size = 0; size < whole.size(); ++size) {
    ASSERT_NE(error_of(whole.substr(0, size)), "(no error)") << size;
  }
}

TEST(GgufError, CountsAreCheckedBeforeUse) {
  for (const int64_t extra :
       {int64_t{1}, int64_t{1000}, int64_t{1} << 40, std::numeric_limits<int64_t>::max() - 9}) {
    GgufParts values = small_file();
    values.extra_values = extra;
    EXPECT_NE(error_of(values.bytes()), "(no error)");
    GgufParts tensors = small_file();
    tensors.extra_tensors = extra;
    EXPECT_NE(error_of(tensors.bytes()), "(no error)");
  }
  GgufParts huge = small_file();
  huge.extra_tensors = int64_t{1} << 50;
  expect_error(huge, "tensor count 1125899906842626 does not fit");
}

std::string array_header(uint32_t type, uint64_t count) {
  std::string bytes;
  put<uint32_t>(bytes, 9);
  put<uint32_t>(bytes, type);
  put<uint64_t>(bytes, count);
  return bytes;
}

TEST(GgufError, ArraysAreCheckedBeforeUse) {
  GgufParts parts = small_file();
  parts.values[0].second = array_header(4, uint64_t{1} << 62);
  expect_error(parts, "a.count: 4611686018427387904 elements of at least 4 bytes do not fit");
  parts.values[0].second = array_header(8, 1000);
  expect_error(parts, "do not fit");
  parts.values[0].second = array_header(13, 1);
  expect_error(parts, "element type 13");
  std::string nested = array_header(9, 1);
  for (int depth = 0; depth < 1000; ++depth) nested += array_header(9, 1).substr(4);
  parts.values[0].second = nested;
  expect_error(parts, "nested more than 4 deep");
}

TEST(GgufError, ValuesAreChecked) {
  GgufParts parts = small_file();
  parts.values[0].second = std::string("\x0d\0\0\0", 4) + std::string(8, '\0');
  expect_error(parts, "value type 13");
  parts.values[0].second = std::string("\x07\0\0\0\x02", 5);
  expect_error(parts, "want a bool");
  parts = small_file();
  parts.values[0].first = "";
  expect_error(parts, "has 0 bytes");
  parts.values[0].first = "a.text";
  expect_error(parts, "a.text occurs twice");
  parts = small_file();
  parts.version = 0x03000000;
  expect_error(parts, "little-endian");
  parts.version = 1;
  expect_error(parts, "GGUF version 1");
  EXPECT_NE(error_of("GGML....................").find("does not begin with GGUF"),
            std::string::npos);
  for (const uint32_t alignment : {0U, 1U, 33U, 0x80000000U}) {
    parts = small_file();
    parts.integer("general.alignment", alignment);
    expect_error(parts, "general.alignment");
  }
}

TEST(GgufError, TensorsAreChecked) {
  GgufParts parts = small_file();
  parts.tensors[0].dims = {4, 0};
  expect_error(parts, "dimension 1 = 0");
  parts.tensors[0].dims = {4, uint64_t{1} << 63};
  expect_error(parts, "want 1..2^31");
  parts.tensors[0].dims = {uint64_t{1} << 31, uint64_t{1} << 31, 4};
  expect_error(parts, "multiply to more than 2^60");
  parts.tensors[0].dims = {uint64_t{1} << 31, uint64_t{1} << 28};
  expect_error(parts, "do not fit");
  parts.tensors[0].dims = {};
  expect_error(parts, "0 dimensions");
  parts.tensors[0].dims = {1, 1, 1, 1, 1};
  expect_error(parts, "5 dimensions");
  parts = small_file();
  parts.tensors[0].type = 2;
  expect_error(parts, "want a multiple of 32");
  parts.tensors[0].type = 16;
  expect_error(parts, "ggml type 16, want one of F32, F16");
  parts = small_file();
  parts.tensors[0].offset = 8;
  expect_error(parts, "want a multiple of 32");
  parts.tensors[0].offset = ~uint64_t{31};
  expect_error(parts, "do not fit");
  parts.tensors[0].offset = 0;
  parts.tensors[1].offset = 0;
  expect_error(parts, "overlap");
  parts = small_file();
  parts.tensors[1].name = "first";
  expect_error(parts, "first occurs twice");
}

TEST(GgufError, RandomDamageNeverCrashes) {
  const std::string whole = gguf_of(random_weights(tiny_shape(), 1)).bytes();
  const size_t directory = gguf_of(random_weights(tiny_shape(), 1)).directory().size();
  Random random(17);
  for (int round = 0; round < 800; ++round) {
    std::string damaged = whole;
    for (int64_t i = 0; i <= random.below(3); ++i) {
      damaged[static_cast<size_t>(random.below(static_cast<int64_t>(directory)))] =
          static_cast<char>(random.below(2) == 0 ? 0xff : random.below(256));
    }
    const std::string path = write_temporary("damaged.gguf", damaged);
    (void)load_shape(path);
    (void)load_weights(path);
  }
}

}  // namespace
}  // namespace dovetail::model
