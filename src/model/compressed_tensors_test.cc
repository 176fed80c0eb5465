#include "model/compressed_tensors.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/test_folder.h"
#include "model/test_files.h"

namespace dovetail::model {
namespace {

using nlohmann::json;

struct Part {
  std::string name, dtype;
  std::vector<int64_t> dims;
  std::string bytes;
};

template <typename T>
std::string raw(const std::vector<T>& values) {
  std::string bytes;
  for (const T value : values) put<T>(bytes, value);
  return bytes;
}

// A folder of one linear "m" as a file says it, right or wrong.
std::string folder_of(const std::vector<Part>& parts, const json& config,
                      const std::string& extra = "") {
  const std::string folder = (test_folder() / "compressed").string();
  std::filesystem::create_directories(folder);
  std::string header = R"({"__metadata__":{"format":"pt")" + extra + "}";
  std::string data;
  for (const Part& part : parts) {
    header += fmt::format(R"(,"{}":{{"dtype":"{}","shape":[{}],"data_offsets":[{},{}]}})",
                          part.name, part.dtype, fmt::join(part.dims, ","), data.size(),
                          data.size() + part.bytes.size());
    data += part.bytes;
  }
  std::ofstream(folder + "/model.safetensors", std::ios::binary)
      << safetensors_with_header(header + "}", data);
  std::ofstream(folder + "/config.json") << config.dump();
  return folder;
}

json config_of(const std::string& format, const json& weights) {
  return {{"quantization_config",
           {{"quant_method", "compressed-tensors"},
            {"format", format},
            {"config_groups", {{"group_0", {{"targets", {"Linear"}}, {"weights", weights}}}}}}}};
}

Result<std::vector<float>> read_linear(const std::string& folder, int64_t rows, int64_t cols) {
  DOVETAIL_TRY(const auto source, open_folder_tensors(folder));
  return source->read("m.weight", rows, cols);
}

const json kInt4Groups = {
    {"num_bits", 4}, {"type", "int"}, {"strategy", "group"}, {"group_size", 2}};
// Codes -8, 7, 0, 1 and -1, -2, 3, 4 plus 8, lowest nibble first; scales .5, 2 and 1, -1.
const std::vector<Part> kInt4Parts = {
    {"m.weight_packed", "I32", {2, 1}, raw<uint32_t>({0x98f0, 0xcb67})},
    {"m.weight_shape", "I64", {2}, raw<int64_t>({2, 4})},
    {"m.weight_scale", "F16", {2, 2}, raw<uint16_t>({0x3800, 0x4000, 0x3c00, 0xbc00})}};

TEST(CompressedTensors, PackedIntegersByHand) {
  const auto values =
      read_linear(folder_of(kInt4Parts, config_of("pack-quantized", kInt4Groups)), 2, 4);
  ASSERT_TRUE(values.has_value()) << values.error().message;
  EXPECT_EQ(*values, (std::vector<float>{-4, 3.5, 0, 2, -1, -2, -3, -4}));
}

TEST(CompressedTensors, ZeroPointsArePackedAlongTheRows) {
  json weights = kInt4Groups;
  weights["symmetric"] = false;
  std::vector<Part> parts = kInt4Parts;
  // Of the first group: 8 - 8 and 15 - 8; of the second: 9 - 8 and 0 - 8.
  parts.push_back({"m.weight_zero_point", "I32", {1, 2}, raw<uint32_t>({0xf8, 0x09})});
  const auto values = read_linear(folder_of(parts, config_of("pack-quantized", weights)), 2, 4);
  ASSERT_TRUE(values.has_value()) << values.error().message;
  EXPECT_EQ(*values, (std::vector<float>{-4, 3.5, -2, 0, -8, -9, -11, -12}));
}

TEST(CompressedTensors, BytesAndFloatsByHand) {
  const json channel = {{"num_bits", 8}, {"type", "int"}, {"strategy", "channel"}};
  const auto ints =
      read_linear(folder_of({{"m.weight", "I8", {2, 2}, raw<int8_t>({-128, 127, 1, 2})},
                             {"m.weight_scale", "BF16", {2, 1}, raw<uint16_t>({0x3f80, 0x4000})}},
                            config_of("int-quantized", channel)),
                  2, 2);
  ASSERT_TRUE(ints.has_value()) << ints.error().message;
  EXPECT_EQ(*ints, (std::vector<float>{-128, 127, 2, 4}));
  const json block = {
      {"num_bits", 8}, {"type", "float"}, {"strategy", "block"}, {"block_structure", {2, 1}}};
  const auto floats = read_linear(
      folder_of({{"m.weight", "F8_E4M3", {2, 2}, raw<uint8_t>({0x38, 0x7e, 0xb8, 0x01})},
                 {"m.weight_scale", "F32", {1, 2}, raw<float>({1, 2})}},
                config_of("float-quantized", block)),
      2, 2);
  ASSERT_TRUE(floats.has_value()) << floats.error().message;
  EXPECT_EQ(*floats, (std::vector<float>{1, 896, -1, 0x1p-8F}));
}

const json kNvfp4 = {
    {"num_bits", 4}, {"type", "float"}, {"strategy", "tensor_group"}, {"group_size", 16}};
std::vector<Part> nvfp4_parts(float global) {
  return {{"m.weight_packed", "U8", {1, 8}, raw<uint8_t>({0x7f, 1, 2, 3, 4, 5, 6, 0x80})},
          {"m.weight_scale", "F8_E4M3", {1, 1}, raw<uint8_t>({0x40})},
          {"m.weight_global_scale", "F32", {1}, raw<float>({global})}};
}

TEST(CompressedTensors, Nvfp4HasTheEvenColumnInTheLowNibble) {
  const auto values =
      read_linear(folder_of(nvfp4_parts(4), config_of("nvfp4-pack-quantized", kNvfp4)), 1, 16);
  ASSERT_TRUE(values.has_value()) << values.error().message;
  // Scale 2 / 4; codes 15, 7, 1, 0, 2, 0, ...
  EXPECT_EQ(*values,
            (std::vector<float>{-3, 3, .25, 0, .5, 0, .75, 0, 1, 0, 1.5, 0, 2, 0, 0, -0.0F}));
}

TEST(CompressedTensors, AnExactTensorScaleMustAgreeWithTheGlobalOne) {
  const json config = config_of("nvfp4-pack-quantized", kNvfp4);
  // The bits of .25 and one further; then of 1.
  for (const auto& [bits, good] : {std::pair{"3e800000", true},
                                   {"3e800001", true},
                                   {"3f800000", false},
                                   {"nonsense", false}}) {
    const auto values = read_linear(
        folder_of(nvfp4_parts(4), config, fmt::format(R"(,"dovetail.tensor_scale.m":"{}")", bits)),
        1, 16);
    EXPECT_EQ(values.has_value(), good) << bits;
  }
  EXPECT_NE(read_linear(folder_of(nvfp4_parts(0), config), 1, 16)
                .error()
                .message.find("want a positive number"),
            std::string::npos);
}

TEST(CompressedTensors, SchemesAreChosenByNameThenExpressionThenClass) {
  const std::vector<QuantizationScheme> schemes = {
      {.targets = {"Linear"}, .format = "a"},
      {.targets = {"re:.*mlp"}, .format = "b"},
      {.targets = {"model.layers.1.mlp.up_proj"}, .format = "c"},
      {.targets = {"re:((((((x*)*)*)*)*)*)y"}, .format = "d"}};
  EXPECT_EQ(scheme_of(schemes, "model.layers.1.mlp.up_proj")->format, "c");
  EXPECT_EQ(scheme_of(schemes, "model.layers.0.mlp.up_proj")->format, "b");
  EXPECT_EQ(scheme_of(schemes, "model.layers.0.self_attn.q_proj")->format, "a");
  EXPECT_EQ(scheme_of(schemes, "model.embed_tokens"), nullptr);
  EXPECT_EQ(scheme_of(schemes, std::string(200, 'x'))->format, "a") << "gives up, does not hang";
}

void expect_error(const Result<std::vector<float>>& values, const std::string& part) {
  ASSERT_FALSE(values.has_value());
  EXPECT_EQ(values.error().code, ErrorCode::kInvalidArgument);
  EXPECT_NE(values.error().message.find(part), std::string::npos) << values.error().message;
}

TEST(CompressedTensorsError, EveryPartIsCheckedForShapeAndType) {
  const json config = config_of("pack-quantized", kInt4Groups);
  for (size_t missing = 0; missing < kInt4Parts.size(); ++missing) {
    std::vector<Part> file = kInt4Parts;
    file[missing] = {kInt4Parts[missing].name, "U8", {3}, "abc"};
    expect_error(read_linear(folder_of(file, config), 2, 4), "has shape (3), want (");
    file.erase(file.begin() + static_cast<int64_t>(missing));
    const auto values = read_linear(folder_of(file, config), 2, 4);
    EXPECT_FALSE(values.has_value()) << kInt4Parts[missing].name;
  }
  std::vector<Part> parts = kInt4Parts;
  parts[1].bytes = raw<int64_t>({2, 3});
  expect_error(read_linear(folder_of(parts, config), 2, 4), "weight_shape = (2, 3), want (2, 4)");
  parts = kInt4Parts;
  parts[2].dtype = "I16";
  expect_error(read_linear(folder_of(parts, config), 2, 4),
               "has dtype I16, want F16 or BF16 or F32");
  parts = kInt4Parts;
  parts[2].bytes = raw<uint16_t>({0x7c00, 0x4000, 0x3c00, 0xbc00});
  expect_error(read_linear(folder_of(parts, config), 2, 4), "an infinity or a NaN");
}

TEST(CompressedTensorsError, ConfigsThatSayNothingUsableAreRefused) {
  const auto with = [&](const char* key, const json& value, const char* format = "pack-quantized") {
    json weights = kInt4Groups;
    weights[key] = value;
    return read_linear(folder_of(kInt4Parts, config_of(format, weights)), 2, 4);
  };
  expect_error(with("group_size", 0), "group_size = 0, want 1..");
  expect_error(with("group_size", int64_t{1} << 62), "want 1..1073741824");
  expect_error(with("num_bits", 9), "num_bits = 9, want 1..8");
  expect_error(with("num_bits", int64_t{1} << 40), "want 1..8");
  expect_error(with("type", "complex"), "type = complex, want int or float");
  expect_error(with("type", "float"), "format pack-quantized cannot hold 4-bit floats");
  expect_error(with("num_bits", 4, "nvfp4-pack-quantized"), "cannot hold 4-bit integers");
  expect_error(with("num_bits", 4, "marlin-24"), "format = marlin-24, want one of pack-quantized");
  expect_error(with("strategy", "token"), "strategy = token, want tensor");
  expect_error(with("strategy", "block"), "block_structure = null, want [rows, columns]");
  json method = config_of("pack-quantized", kInt4Groups);
  method["quantization_config"]["quant_method"] = "gptq";
  expect_error(read_linear(folder_of(kInt4Parts, method), 2, 4), "quant_method = gptq, want");
  json untargeted = config_of("pack-quantized", kInt4Groups);
  untargeted["quantization_config"]["config_groups"]["group_0"]["targets"] = {"other"};
  expect_error(read_linear(folder_of(kInt4Parts, untargeted), 2, 4),
               "m is quantised, but no group of quantization_config targets it");
}

}  // namespace
}  // namespace dovetail::model
