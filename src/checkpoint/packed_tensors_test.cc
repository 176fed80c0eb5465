#include "checkpoint/packed_tensors.h"

#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <map>
#include <sstream>

namespace dovetail::checkpoint {
namespace {

// What the compressed-tensors package made of the same weights:
// tools/make_compressed_tensors_golden.py.
struct GoldenFormat {
  std::string name;
  std::string layout;
  std::map<std::string, std::vector<uint8_t>> parts;
  std::vector<float> values;
};

struct Golden {
  int64_t rows = 0;
  int64_t cols = 0;
  std::vector<float> weight;
  std::vector<GoldenFormat> formats;
};

std::vector<uint8_t> bytes_of_hex(const std::string& text) {
  std::vector<uint8_t> bytes;
  for (size_t i = 0; i + 1 < text.size(); i += 2)
    bytes.push_back(static_cast<uint8_t>(std::stoul(text.substr(i, 2), nullptr, 16)));
  return bytes;
}

std::vector<float> floats_of_hex(const std::string& text) {
  const std::vector<uint8_t> bytes = bytes_of_hex(text);
  std::vector<float> values(bytes.size() / sizeof(float));
  std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

Golden read_golden() {
  Golden golden;
  std::ifstream file("src/checkpoint/testdata/compressed_tensors.txt");
  EXPECT_TRUE(file) << "run from the repository root";
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string kind;
    std::string hex;
    words >> kind;
    if (kind == "weight") {
      words >> golden.rows >> golden.cols >> hex;
      golden.weight = floats_of_hex(hex);
    } else if (kind == "format") {
      GoldenFormat& format = golden.formats.emplace_back();
      words >> format.name >> format.layout;
    } else if (kind == "part") {
      std::string suffix;
      words >> suffix >> hex;
      golden.formats.back().parts[suffix] = bytes_of_hex(hex);
    } else if (kind == "values") {
      words >> hex;
      golden.formats.back().values = floats_of_hex(hex);
    }
  }
  return golden;
}

formats::PackedRows read_parts(const Golden& golden, const GoldenFormat& made) {
  float global_scale = 1;
  if (const auto found = made.parts.find("weight_global_scale"); found != made.parts.end())
    std::memcpy(&global_scale, found->second.data(), sizeof global_scale);
  const auto read = from_parts({.format = made.layout, .weights = {}},
                               formats::parse_weight_format(made.name).value(), golden.rows,
                               golden.cols, 1 / global_scale, [&](const std::string& suffix) {
                                 const auto found = made.parts.find(suffix);
                                 return found == made.parts.end() ? nullptr : &found->second;
                               });
  EXPECT_TRUE(read.has_value()) << made.name << ": " << read.error().message;
  return read.has_value() ? *read : formats::PackedRows{};
}

TEST(PackedTensorsGolden, EncodeDecodeAndPackAsCompressedTensorsDoes) {
  const Golden golden = read_golden();
  ASSERT_EQ(golden.formats.size(), 16);
  for (const GoldenFormat& made : golden.formats) {
    const formats::PackedRows packed = read_parts(golden, made);
    const auto values = formats::decode_rows(packed);
    ASSERT_TRUE(values.has_value()) << made.name << ": " << values.error().message;
    EXPECT_EQ(*values, made.values) << made.name;

    const formats::MatrixScales scales = formats::unpack_scales(packed);
    EXPECT_EQ(formats::encode_with(packed.format, formats::Ties::kEven, scales, golden.rows,
                                   golden.cols, golden.weight.data()),
              packed)
        << made.name;

    std::map<std::string, std::vector<uint8_t>> parts;
    for (PackedPart& part : to_parts({.format = made.layout, .weights = {}}, packed))
      parts[part.suffix] = std::move(part.bytes);
    EXPECT_EQ(parts, made.parts) << made.name;
  }
}

}  // namespace
}  // namespace dovetail::checkpoint
