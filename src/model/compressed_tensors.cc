#include "model/compressed_tensors.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstring>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <fmt/format.h>
#include <pcre2.h>

#include "base/parallel.h"
#include "formats/element.h"
#include "model/bounded_json.h"
#include "model/tensor_blocks.h"

namespace dovetail::model {
namespace {

using nlohmann::json;

constexpr int64_t kMaxGranule = int64_t{1} << 30;

// A format and the elements that it may hold.
struct FormatFacts {
  std::string_view name;
  bool ints = false;
  int64_t float_bits = 0;  // 0: no floats
};
constexpr FormatFacts kFormats[] = {
    {"pack-quantized", true, 0},        {"int-quantized", true, 0},
    {"float-quantized", false, 8},      {"naive-quantized", true, 8},
    {"nvfp4-pack-quantized", false, 4}, {"mxfp4-pack-quantized", false, 4},
    {"mxfp6-pack-quantized", false, 6}, {"mxfp8-quantized", false, 8}};

Status check_format(const QuantizationScheme& scheme, const std::string& where) {
  std::string known;
  for (const FormatFacts& facts : kFormats) {
    known += (known.empty() ? "" : ", ") + std::string(facts.name);
    if (facts.name != scheme.format) continue;
    const bool fits =
        scheme.is_float ? facts.float_bits == scheme.bits && scheme.symmetric : facts.ints;
    if (fits) return {};
    return invalid_argument(fmt::format("{}: format {} cannot hold {}{}-bit {}s", where,
                                        scheme.format, scheme.symmetric ? "" : "asymmetric ",
                                        scheme.bits, scheme.is_float ? "float" : "integer"));
  }
  return invalid_argument(
      fmt::format("{}.format = {}, want one of {}", where, scheme.format, known));
}

std::string member_text(const json& value) {
  return value.dump(-1, ' ', true, json::error_handler_t::replace).substr(0, 100);
}

Result<ScaleStrategy> read_strategy(const json& weights, const std::string& where) {
  DOVETAIL_TRY(const auto named, json_text(weights, "strategy", where));
  DOVETAIL_TRY(const auto group, json_integer(weights, "group_size", where));
  const std::string name = named.value_or(!group.has_value() ? "tensor"
                                          : *group == -1     ? "channel"
                                                             : "group");
  if (name == "tensor") return ScaleStrategy::kTensor;
  if (name == "channel") return ScaleStrategy::kChannel;
  if (name == "group") return ScaleStrategy::kGroup;
  if (name == "block") return ScaleStrategy::kBlock;
  if (name == "tensor_group") return ScaleStrategy::kTensorGroup;
  return invalid_argument(fmt::format(
      "{}.strategy = {}, want tensor, channel, group, block or tensor_group", where, name));
}

Status read_granule(const json& weights, const std::string& where, QuantizationScheme& scheme) {
  DOVETAIL_TRY(scheme.strategy, read_strategy(weights, where));
  if (scheme.strategy == ScaleStrategy::kGroup || scheme.strategy == ScaleStrategy::kTensorGroup) {
    DOVETAIL_TRY(const auto group, json_integer(weights, "group_size", where));
    scheme.group_size = group.value_or(0);
    if (scheme.group_size < 1 || scheme.group_size > kMaxGranule) {
      return invalid_argument(
          fmt::format("{}.group_size = {}, want 1..{}", where, scheme.group_size, kMaxGranule));
    }
  }
  if (scheme.strategy == ScaleStrategy::kBlock) {
    const json block = weights.value("block_structure", json());
    const bool is_pair = block.is_array() && block.size() == 2 && block[0].is_number_unsigned() &&
                         block[1].is_number_unsigned() && block[0] != 0 && block[1] != 0 &&
                         block[0] <= kMaxGranule && block[1] <= kMaxGranule;
    if (!is_pair) {
      return invalid_argument(
          fmt::format("{}.block_structure = {}, want [rows, columns]", where, member_text(block)));
    }
    scheme.block_rows = block[0].get<int64_t>();
    scheme.block_cols = block[1].get<int64_t>();
  }
  return {};
}

Status read_weights_entry(const json& weights, const std::string& where,
                          QuantizationScheme& scheme) {
  DOVETAIL_TRY(const auto bits, json_integer(weights, "num_bits", where));
  DOVETAIL_TRY(const auto type, json_text(weights, "type", where));
  DOVETAIL_TRY(const auto symmetric, json_bool(weights, "symmetric", where));
  scheme.bits = bits.value_or(8);
  scheme.is_float = type.value_or("int") == "float";
  scheme.symmetric = symmetric.value_or(true);
  if (type.value_or("int") != "int" && !scheme.is_float) {
    return invalid_argument(fmt::format("{}.type = {}, want int or float", where, *type));
  }
  const bool bits_fit = scheme.is_float ? scheme.bits == 4 || scheme.bits == 6 || scheme.bits == 8
                                        : scheme.bits >= 1 && scheme.bits <= 8;
  if (!bits_fit) {
    return invalid_argument(fmt::format("{}.num_bits = {}, want {}", where, scheme.bits,
                                        scheme.is_float ? "4, 6 or 8" : "1..8"));
  }
  return read_granule(weights, where, scheme);
}

Result<QuantizationScheme> read_group(const json& group, const std::string& global_format,
                                      const std::string& where) {
  QuantizationScheme scheme;
  if (!group.is_object() || !group.contains("weights") || !group["weights"].is_object()) {
    return invalid_argument(fmt::format("{}.weights is missing or no object", where));
  }
  DOVETAIL_TRY(const auto format, json_text(group, "format", where));
  scheme.format = format.value_or(global_format);
  const json targets = group.value("targets", json());
  if (!targets.is_array()) return invalid_argument(where + ".targets is missing or no list");
  for (const json& target : targets) {
    if (!target.is_string()) return invalid_argument(where + ".targets holds no texts");
    scheme.targets.push_back(target.get<std::string>());
  }
  DOVETAIL_TRY_STATUS(read_weights_entry(group["weights"], where + ".weights", scheme));
  DOVETAIL_TRY_STATUS(check_format(scheme, where));
  return scheme;
}

struct CodeDeleter {
  void operator()(pcre2_code* code) const { pcre2_code_free(code); }
  void operator()(pcre2_match_data* data) const { pcre2_match_data_free(data); }
  void operator()(pcre2_match_context* context) const { pcre2_match_context_free(context); }
};

// True if the expression matches from the start of `name`. One that does not compile, or takes too
// long, matches nothing.
bool matches(std::string_view expression, const std::string& name) {
  int error = 0;
  PCRE2_SIZE offset = 0;
  const std::unique_ptr<pcre2_code, CodeDeleter> code(
      pcre2_compile(reinterpret_cast<PCRE2_SPTR>(expression.data()), expression.size(),
                    PCRE2_ANCHORED, &error, &offset, nullptr));
  if (code == nullptr) return false;
  const std::unique_ptr<pcre2_match_data, CodeDeleter> data(pcre2_match_data_create(1, nullptr));
  const std::unique_ptr<pcre2_match_context, CodeDeleter> context(
      pcre2_match_context_create(nullptr));
  pcre2_set_match_limit(context.get(), 100'000);
  return pcre2_match(code.get(), reinterpret_cast<PCRE2_SPTR>(name.data()), name.size(), 0, 0,
                     data.get(), context.get()) >= 0;
}

// The stored parts of one weight, read as numbers.
class WeightReader {
 public:
  WeightReader(const SafetensorsSource& folder, const QuantizationScheme& scheme,
               std::string module, int64_t rows, int64_t cols)
      : folder_(folder), scheme_(scheme), module_(std::move(module)), rows_(rows), cols_(cols) {}

  Result<std::vector<float>> read() {
    DOVETAIL_TRY_STATUS(find_codes());
    DOVETAIL_TRY_STATUS(set_granules());
    DOVETAIL_TRY_STATUS(read_scales());
    if (!scheme_.symmetric) DOVETAIL_TRY_STATUS(read_zeros());
    std::vector<float> values(static_cast<size_t>(rows_ * cols_));
    parallel_for(rows_,
                 [&](int64_t row, int64_t) { decode_row(row, values.data() + row * cols_); });
    const bool finite = std::ranges::all_of(values, [](float v) { return std::isfinite(v); });
    if (!finite) return invalid_argument(where("weight") + " holds an infinity or a NaN");
    return values;
  }

 private:
  [[nodiscard]] std::string where(const std::string& part) const {
    const StoredTensor* tensor = folder_.find(module_ + "." + part);
    return fmt::format("{}: tensor {}.{}", tensor == nullptr ? "safetensors" : tensor->file,
                       module_, part);
  }

  // The tensor of that name with exactly these dims and one of these types.
  Result<const StoredTensor*> take(const std::string& part, const std::vector<int64_t>& dims,
                                   std::initializer_list<std::string_view> dtypes) const {
    const StoredTensor* tensor = folder_.find(module_ + "." + part);
    if (tensor == nullptr) return invalid_argument(where(part) + " is missing");
    if (tensor->dims != dims) {
      return invalid_argument(fmt::format("{} has shape ({}), want ({})", where(part),
                                          fmt::join(tensor->dims, ", "), fmt::join(dims, ", ")));
    }
    if (std::ranges::find(dtypes, std::string_view(tensor->dtype)) == dtypes.end()) {
      return invalid_argument(fmt::format("{} has dtype {}, want {}", where(part), tensor->dtype,
                                          fmt::join(dtypes, " or ")));
    }
    return tensor;
  }

  Status find_codes() {
    const std::string& format = scheme_.format;
    if (format == "pack-quantized") {
      DOVETAIL_TRY_STATUS(check_stored_shape());
      const int64_t words = (cols_ * scheme_.bits + 31) / 32;
      DOVETAIL_TRY(codes_, take("weight_packed", {rows_, words}, {"I32"}));
      row_bytes_ = words * 4;
    } else if (format.ends_with("pack-quantized")) {
      const int64_t row_bits = cols_ * scheme_.bits;
      if (row_bits % 8 != 0) {
        return invalid_argument(fmt::format("{}: rows of {} codes of {} bits, want whole bytes",
                                            where("weight_packed"), cols_, scheme_.bits));
      }
      DOVETAIL_TRY(codes_, take("weight_packed", {rows_, row_bits / 8}, {"U8"}));
      row_bytes_ = row_bits / 8;
    } else {
      const std::string_view dtype = scheme_.is_float ? "F8_E4M3" : "I8";
      DOVETAIL_TRY(codes_, take("weight", {rows_, cols_}, {dtype}));
      row_bytes_ = cols_;
    }
    return {};
  }

  [[nodiscard]] Status check_stored_shape() const {
    DOVETAIL_TRY(const StoredTensor* shape, take("weight_shape", {2}, {"I64"}));
    int64_t dims[2] = {};
    std::memcpy(dims, shape->bytes.data(), sizeof(dims));
    if (dims[0] == rows_ && dims[1] == cols_) return {};
    return invalid_argument(fmt::format("{} = ({}, {}), want ({}, {})", where("weight_shape"),
                                        dims[0], dims[1], rows_, cols_));
  }

  Status set_granules() {
    switch (scheme_.strategy) {
      case ScaleStrategy::kTensor:
        granule_rows_ = rows_;
        granule_cols_ = cols_;
        scale_dims_ = {1};
        break;
      case ScaleStrategy::kChannel:
        granule_cols_ = cols_;
        scale_dims_ = {rows_, 1};
        break;
      case ScaleStrategy::kGroup:
      case ScaleStrategy::kTensorGroup:
        granule_cols_ = scheme_.group_size;
        scale_dims_ = {rows_, (cols_ + granule_cols_ - 1) / granule_cols_};
        break;
      case ScaleStrategy::kBlock:
        granule_rows_ = scheme_.block_rows;
        granule_cols_ = scheme_.block_cols;
        scale_dims_ = {(rows_ + granule_rows_ - 1) / granule_rows_,
                       (cols_ + granule_cols_ - 1) / granule_cols_};
        break;
    }
    groups_ = scale_dims_.size() == 2 ? scale_dims_[1] : 1;
    return {};
  }

  Status read_scales() {
    if (scheme_.format == "nvfp4-pack-quantized") return read_two_level_scales();
    const bool is_power = scheme_.format.starts_with("mxfp");
    if (is_power) {
      DOVETAIL_TRY(const StoredTensor* stored, take("weight_scale", scale_dims_, {"U8"}));
      for (const uint8_t code : stored->bytes) scales_.push_back(formats::decode_e8m0(code));
      return {};
    }
    DOVETAIL_TRY(const StoredTensor* stored,
                 take("weight_scale", scale_dims_, {"F16", "BF16", "F32"}));
    scales_ = floats_of(*stored);
    return {};
  }

  static std::vector<float> floats_of(const StoredTensor& stored) {
    const TensorType type = stored.dtype == "F32"   ? TensorType::kF32
                            : stored.dtype == "F16" ? TensorType::kF16
                                                    : TensorType::kBf16;
    std::vector<float> values(stored.bytes.size() /
                              static_cast<size_t>(facts_of(type).block_bytes));
    decode_blocks(type, stored.bytes, values);
    return values;
  }

  Status read_two_level_scales() {
    DOVETAIL_TRY(const StoredTensor* global, take("weight_global_scale", {1}, {"F32"}));
    DOVETAIL_TRY(const StoredTensor* stored, take("weight_scale", scale_dims_, {"F8_E4M3"}));
    const float inverse = floats_of(*global)[0];
    if (!(inverse > 0) || !std::isfinite(inverse)) {
      return invalid_argument(
          fmt::format("{} = {}, want a positive number", where("weight_global_scale"), inverse));
    }
    DOVETAIL_TRY(const float tensor_scale, exact_tensor_scale(inverse));
    for (const uint8_t code : stored->bytes) {
      scales_.push_back(formats::decode_fp8_e4m3fn(code) * tensor_scale);
    }
    return {};
  }

  [[nodiscard]] Result<float> exact_tensor_scale(float inverse) const {
    const auto entry = folder_.metadata().find(std::string(kTensorScaleKey) + module_);
    if (entry == folder_.metadata().end()) return 1 / inverse;
    const std::string& text = entry->second;
    uint32_t bits = 0;
    const auto parsed = std::from_chars(text.data(), text.data() + text.size(), bits, 16);
    const auto scale = std::bit_cast<float>(bits);
    const bool whole = parsed.ec == std::errc() && parsed.ptr == text.data() + text.size();
    if (!whole || !(std::fabs(double{scale} * inverse - 1) <= 0x1p-22)) {
      return invalid_argument(fmt::format("{}: {} = {}, want the bits of 1 / {}",
                                          where("weight_global_scale"), entry->first, text,
                                          inverse));
    }
    return scale;
  }

  Status read_zeros() {
    const bool packed =
        scheme_.format == "pack-quantized" &&
        (scheme_.strategy == ScaleStrategy::kGroup || scheme_.strategy == ScaleStrategy::kChannel);
    if (!packed) {
      DOVETAIL_TRY(const StoredTensor* stored, take("weight_zero_point", scale_dims_, {"I8"}));
      for (const uint8_t byte : stored->bytes) zeros_.push_back(static_cast<int8_t>(byte));
      return {};
    }
    // Packed along the rows: word w of column g holds the bits of rows above one another.
    const int64_t words = (rows_ * scheme_.bits + 31) / 32;
    DOVETAIL_TRY(const StoredTensor* stored, take("weight_zero_point", {words, groups_}, {"I32"}));
    zeros_.resize(static_cast<size_t>(rows_ * groups_));
    std::vector<uint8_t> column(static_cast<size_t>(words * 4));
    for (int64_t g = 0; g < groups_; ++g) {
      for (int64_t w = 0; w < words; ++w)
        std::memcpy(column.data() + 4 * w, stored->bytes.data() + 4 * (w * groups_ + g), 4);
      for (int64_t row = 0; row < rows_; ++row)
        zeros_[static_cast<size_t>(row * groups_ + g)] =
            static_cast<int32_t>(code_at(column.data(), row)) - half_range();
    }
    return {};
  }

  [[nodiscard]] int32_t half_range() const { return 1 << (scheme_.bits - 1); }

  // Code number i of a dense stream of `bits`-bit codes, lowest bit first.
  [[nodiscard]] uint32_t code_at(const uint8_t* stream, int64_t i) const {
    const int64_t first = i * scheme_.bits;
    const int64_t shift = first % 8;
    uint32_t both = stream[first / 8];
    if (shift + scheme_.bits > 8) both |= static_cast<uint32_t>(stream[first / 8 + 1]) << 8;
    return (both >> shift) & ((1U << scheme_.bits) - 1);
  }

  [[nodiscard]] float element(const uint8_t* row, int64_t i) const {
    if (scheme_.is_float) {
      using formats::Element;
      const Element kind = scheme_.bits == 4   ? Element::kFp4E2m1
                           : scheme_.bits == 6 ? Element::kFp6E2m3
                                               : Element::kFp8E4m3Fn;
      const uint32_t code = scheme_.bits == 8 ? row[i] : code_at(row, i);
      return formats::decode_float(kind, static_cast<uint8_t>(code));
    }
    if (scheme_.format != "pack-quantized") return static_cast<int8_t>(row[i]);
    return static_cast<float>(static_cast<int32_t>(code_at(row, i)) - half_range());
  }

  void decode_row(int64_t row, float* out) const {
    const uint8_t* codes = codes_->bytes.data() + row * row_bytes_;
    for (int64_t i = 0; i < cols_; ++i) {
      const auto at = static_cast<size_t>(row / granule_rows_ * groups_ + i / granule_cols_);
      const float zero = zeros_.empty() ? 0 : static_cast<float>(zeros_[at]);
      const float code = element(codes, i);
      out[i] = (zeros_.empty() ? code : code - zero) * scales_[at];
    }
  }

  const SafetensorsSource& folder_;
  const QuantizationScheme& scheme_;
  const std::string module_;
  const int64_t rows_;
  const int64_t cols_;
  const StoredTensor* codes_ = nullptr;
  int64_t row_bytes_ = 0;
  int64_t granule_rows_ = 1;
  int64_t granule_cols_ = 1;
  int64_t groups_ = 1;
  std::vector<int64_t> scale_dims_;
  std::vector<float> scales_;
  std::vector<int32_t> zeros_;
};

constexpr std::string_view kWeight = ".weight";
constexpr std::string_view kParts[] = {"_packed", "_scale", "_zero_point", "_shape",
                                       "_global_scale"};

class CompressedSource final : public TensorSource {
 public:
  CompressedSource(std::unique_ptr<SafetensorsSource> folder,
                   std::vector<QuantizationScheme> schemes)
      : folder_(std::move(folder)), schemes_(std::move(schemes)) {}

  [[nodiscard]] std::set<std::string> names() const override {
    std::set<std::string> names;
    for (const std::string& stored : folder_->names()) {
      std::string name = stored;
      for (const std::string_view part : kParts) {
        if (stored.ends_with(std::string(kWeight) + std::string(part)))
          name.resize(stored.size() - part.size());
      }
      names.insert(name);
    }
    return names;
  }

  [[nodiscard]] Result<std::vector<float>> read(const std::string& name, int64_t rows,
                                                int64_t cols) const override {
    const bool quantized = name.ends_with(kWeight) && (folder_->find(name + "_packed") != nullptr ||
                                                       folder_->find(name + "_scale") != nullptr);
    if (!quantized) return folder_->read(name, rows, cols);
    const std::string module = name.substr(0, name.size() - kWeight.size());
    const QuantizationScheme* scheme = scheme_of(schemes_, module);
    if (scheme == nullptr) {
      return invalid_argument(fmt::format(
          "safetensors: {} is quantised, but no group of quantization_config targets it", module));
    }
    return WeightReader(*folder_, *scheme, module, rows, cols).read();
  }

 private:
  const std::unique_ptr<SafetensorsSource> folder_;
  const std::vector<QuantizationScheme> schemes_;
};

}  // namespace

Result<std::vector<QuantizationScheme>> read_quantization_config(const json& config,
                                                                 const std::string& path) {
  std::vector<QuantizationScheme> schemes;
  if (!config.contains("quantization_config") || config["quantization_config"].is_null())
    return schemes;
  const json& entry = config["quantization_config"];
  const std::string where = path + ": quantization_config";
  if (!entry.is_object()) return invalid_argument(where + " is no object");
  DOVETAIL_TRY(const auto method, json_text(entry, "quant_method", where));
  if (method.value_or("(missing)") != "compressed-tensors") {
    return invalid_argument(fmt::format("{}.quant_method = {}, want compressed-tensors", where,
                                        method.value_or("(missing)")));
  }
  DOVETAIL_TRY(const auto format, json_text(entry, "format", where));
  const json groups = entry.value("config_groups", json());
  if (!groups.is_object() || groups.empty()) {
    return invalid_argument(where + ".config_groups is missing or no object");
  }
  for (const auto& [name, group] : groups.items()) {
    DOVETAIL_TRY(QuantizationScheme scheme,
                 read_group(group, format.value_or("(missing)"), where + ".config_groups." + name));
    schemes.push_back(std::move(scheme));
  }
  return schemes;
}

const QuantizationScheme* scheme_of(const std::vector<QuantizationScheme>& schemes,
                                    const std::string& module) {
  const std::string kind = module.ends_with("embed_tokens") ? "Embedding" : "Linear";
  const QuantizationScheme* by_expression = nullptr;
  const QuantizationScheme* by_kind = nullptr;
  for (const QuantizationScheme& scheme : schemes) {
    for (const std::string& target : scheme.targets) {
      if (target == module) return &scheme;
      if (target.starts_with("re:")) {
        if (by_expression == nullptr && matches(std::string_view(target).substr(3), module))
          by_expression = &scheme;
      } else if (target == kind && by_kind == nullptr) {
        by_kind = &scheme;
      }
    }
  }
  return by_expression != nullptr ? by_expression : by_kind;
}

Result<std::unique_ptr<TensorSource>> open_folder_tensors(const std::string& folder) {
  DOVETAIL_TRY(auto source, open_safetensors_folder(folder));
  const std::string config_path = folder + "/config.json";
  DOVETAIL_TRY(const json config, read_bounded_json(config_path));
  DOVETAIL_TRY(auto schemes, read_quantization_config(config, config_path));
  if (schemes.empty()) return source;
  return compressed_tensors_source(std::move(source), std::move(schemes));
}

std::unique_ptr<TensorSource> compressed_tensors_source(std::unique_ptr<SafetensorsSource> folder,
                                                        std::vector<QuantizationScheme> schemes) {
  return std::make_unique<CompressedSource>(std::move(folder), std::move(schemes));
}

}  // namespace dovetail::model
