#include "model/safetensors.h"

#include <gtest/gtest.h>

#include "base/random.h"
#include "base/test_folder.h"
#include "model/test_files.h"

namespace dovetail::model {
namespace {

namespace fs = std::filesystem;

std::string folder_with(const std::string& file, const std::string& bytes) {
  const fs::path folder = test_folder() / "safetensors";
  fs::remove_all(folder);
  fs::create_directories(folder);
  std::ofstream(folder / file, std::ios::binary) << bytes;
  return folder.string();
}

// "a": F16 (2, 2) at 0..8, "b": BF16 (3) at 8..14
const std::string kHeader =
    R"({"a":{"dtype":"F16","shape":[2,2],"data_offsets":[0,8]},"b":{"dtype":"BF16","shape":[3],"data_offsets":[8,14]}})";
// 1, -2, 0.5, 65504 in half precision; 1, -2, 3 in bfloat16
const std::string kData("\x00\x3c\x00\xc0\x00\x38\xff\x7b\x80\x3f\x00\xc0\x40\x40", 14);

TEST(Safetensors, HalfAndBrainFloatsAreExact) {
  const auto source = open_safetensors_folder(
      folder_with("model.safetensors", safetensors_with_header(kHeader, kData)));
  ASSERT_TRUE(source.has_value()) << source.error().message;
  EXPECT_EQ((*source)->read("a", 2, 2).value(), (std::vector<float>{1, -2, 0.5, 65504}));
  EXPECT_EQ((*source)->read("b", 1, 3).value(), (std::vector<float>{1, -2, 3}));
  EXPECT_EQ((*source)->names(), (std::set<std::string>{"a", "b"}));
  EXPECT_NE((*source)->read("a", 4, 1).error().message.find("shape (2, 2), want (4, 1)"),
            std::string::npos);
  EXPECT_NE((*source)->read("c", 4, 1).error().message.find("tensor c is missing"),
            std::string::npos);
}

TEST(SafetensorsError, InfinitiesAreNamed) {
  std::string data = kData;
  data[5] = '\x7c';
  data[4] = '\0';
  const auto source = open_safetensors_folder(
      folder_with("model.safetensors", safetensors_with_header(kHeader, data)));
  ASSERT_TRUE(source.has_value());
  EXPECT_NE((*source)->read("a", 2, 2).error().message.find("row 1 holds an infinity or a NaN"),
            std::string::npos);
}

std::string error_of_file(const std::string& bytes) {
  const auto source = open_safetensors_folder(folder_with("model.safetensors", bytes));
  return source.has_value() ? "(no error)" : source.error().message;
}

void expect_header_error(const std::string& header, const std::string& part) {
  const std::string message = error_of_file(safetensors_with_header(header, kData));
  EXPECT_NE(message.find(part), std::string::npos) << message;
  EXPECT_NE(message.find("model.safetensors: "), std::string::npos) << message;
}

TEST(SafetensorsError, EveryTruncationIsRefused) {
  const std::string whole = safetensors_with_header(kHeader, kData);
  ASSERT_EQ(error_of_file(whole), "(no error)");
  for (size_t size = 0; size < whole.size(); ++size) {
    ASSERT_NE(error_of_file(whole.substr(0, size)), "(no error)") << size;
  }
}

TEST(SafetensorsError, HeadersAreChecked) {
  std::string bytes;
  put<uint64_t>(bytes, ~uint64_t{0});
  EXPECT_NE(error_of_file(bytes + kHeader).find("header of 18446744073709551615 bytes"),
            std::string::npos);
  expect_header_error("[1]", "no JSON object");
  expect_header_error("{", "parse error");
  expect_header_error(std::string(100, '[') + std::string(100, ']'), "nested more than 32 deep");
  expect_header_error(std::string(100'000, '{'), "nested more than 32 deep");
  const auto tensor = [](const std::string& body) { return "{\"a\":" + body + "}"; };
  expect_header_error(tensor("7"), "want an object");
  expect_header_error(tensor(R"({"dtype":"F16","shape":[7],"data_offsets":[0]})"),
                      "data_offsets (0)");
  expect_header_error(tensor(R"({"dtype":"F16","shape":[7],"data_offsets":[14,0]})"),
                      "begin <= end <= 14");
  expect_header_error(tensor(R"({"dtype":"F16","shape":[8],"data_offsets":[0,16]})"),
                      "begin <= end <= 14");
  expect_header_error(tensor(R"({"dtype":"F16","shape":[-7],"data_offsets":[0,14]})"),
                      "counts of at least 0");
  expect_header_error(tensor(R"({"dtype":"F16","shape":[1e3],"data_offsets":[0,14]})"),
                      "counts of at least 0");
  expect_header_error(tensor(R"({"dtype":"F16","shape":[8],"data_offsets":[0,14]})"),
                      "needs 16 bytes");
  expect_header_error(
      tensor(R"({"dtype":"F16","shape":[4611686018427387904,4],"data_offsets":[0,14]})"),
      "overflows");
  expect_header_error(tensor(R"({"dtype":"F17","shape":[7],"data_offsets":[0,14]})"),
                      "unknown dtype F17");
  expect_header_error(tensor(R"({"shape":[7],"data_offsets":[0,14]})"), "unknown dtype (missing)");
  expect_header_error(tensor(R"({"dtype":"F16","shape":[6],"data_offsets":[0,12]})"),
                      "tensors end at 12");
  expect_header_error(tensor(R"({"dtype":"F16","shape":[6],"data_offsets":[2,14]})"),
                      "leave a hole");
  expect_header_error(
      R"({"a":{"dtype":"F16","shape":[4],"data_offsets":[0,8]},"b":{"dtype":"F16","shape":[4],"data_offsets":[6,14]}})",
      "overlap");
}

TEST(SafetensorsError, RandomDamageNeverCrashes) {
  const std::string whole = safetensors_with_header(kHeader, kData);
  Random random(5);
  for (int round = 0; round < 2000; ++round) {
    std::string damaged = whole;
    for (int64_t i = 0; i <= random.below(3); ++i) {
      damaged[static_cast<size_t>(random.below(static_cast<int64_t>(whole.size())))] =
          static_cast<char>(random.below(256));
    }
    const auto source = open_safetensors_folder(folder_with("model.safetensors", damaged));
    if (source.has_value()) (void)(*source)->read("a", 2, 2);
  }
}

TEST(Safetensors, ShardsAreFoundThroughTheIndex) {
  const std::string one = safetensors_with_header(
      R"({"a":{"dtype":"F16","shape":[4],"data_offsets":[0,8]}})", kData.substr(0, 8));
  const std::string two = safetensors_with_header(
      R"({"b":{"dtype":"BF16","shape":[3],"data_offsets":[0,6]}})", kData.substr(8));
  const auto open_with_index = [&](const std::string& index) {
    const std::string folder = folder_with("one.safetensors", one);
    std::ofstream(folder + "/two.safetensors", std::ios::binary) << two;
    std::ofstream(folder + "/model.safetensors.index.json") << index;
    return open_safetensors_folder(folder);
  };
  const auto source =
      open_with_index(R"({"weight_map":{"a":"one.safetensors","b":"two.safetensors"}})");
  ASSERT_TRUE(source.has_value()) << source.error().message;
  EXPECT_EQ((*source)->read("b", 1, 3).value(), (std::vector<float>{1, -2, 3}));
  const auto expect_error = [&](const std::string& index, const std::string& part) {
    const auto bad = open_with_index(index);
    ASSERT_FALSE(bad.has_value()) << index;
    EXPECT_NE(bad.error().message.find(part), std::string::npos) << bad.error().message;
  };
  expect_error(R"({"weight_map":{"a":"two.safetensors"}})", "tensor a is not in two.safetensors");
  expect_error(R"({"weight_map":{"a":"../one.safetensors"}})", "want a file name in this folder");
  expect_error(R"({"weight_map":{"a":7}})", "want a file name in this folder");
  expect_error(R"({"weight_map":[]})", "weight_map is missing or no object");
  expect_error(R"({"weight_map":{"a":"three.safetensors"}})", "cannot be opened");
}

}  // namespace
}  // namespace dovetail::model
