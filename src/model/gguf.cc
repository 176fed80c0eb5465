#include "model/gguf.h"

#include <algorithm>
#include <cstring>
#include <fstream>
#include <limits>

#include <fmt/format.h>

namespace dovetail::model {
namespace {

constexpr int kMaxArrayDepth = 4;
constexpr int64_t kMaxDim = int64_t{1} << 31;
constexpr int64_t kDefaultAlignment = 32;
constexpr int64_t kMaxAlignment = int64_t{1} << 20;
constexpr uint64_t kMaxNameBytes = 1024;

// Value types of the format, by their number in the file.
enum : uint32_t { kU8, kI8, kU16, kI16, kU32, kI32, kF32, kBool, kText, kArray, kU64, kI64, kF64 };

// Smallest number of bytes that one value of the type can take; 0 for an unknown type.
uint64_t min_value_bytes(uint32_t type) {
  switch (type) {
    case kU8:
    case kI8:
    case kBool:
      return 1;
    case kU16:
    case kI16:
      return 2;
    case kU32:
    case kI32:
    case kF32:
      return 4;
    case kU64:
    case kI64:
    case kF64:
    case kText:
      return 8;
    case kArray:
      return 12;
    default:
      return 0;
  }
}

// Reads forward through the file; never past its end.
class Cursor {
 public:
  explicit Cursor(std::span<const uint8_t> bytes) : bytes_(bytes) {}

  [[nodiscard]] uint64_t position() const { return position_; }
  [[nodiscard]] uint64_t left() const { return bytes_.size() - position_; }

  template <typename T>
  Result<T> read(std::string_view what) {
    if (left() < sizeof(T)) return truncated(what, sizeof(T));
    T value;
    std::memcpy(&value, bytes_.data() + position_, sizeof(T));
    position_ += sizeof(T);
    return value;
  }

  Result<std::string_view> read_text(std::string_view what) {
    DOVETAIL_TRY(const uint64_t length, read<uint64_t>(what));
    if (length > left()) return truncated(what, length);
    const std::string_view text(reinterpret_cast<const char*>(bytes_.data()) + position_, length);
    position_ += length;
    return text;
  }

  [[nodiscard]] std::unexpected<Error> truncated(std::string_view what, uint64_t wanted) const {
    return invalid_argument(fmt::format("{} at byte {}: wants {} bytes, the file has {} left", what,
                                        position_, wanted, left()));
  }

 private:
  std::span<const uint8_t> bytes_;
  uint64_t position_ = 0;
};

template <typename T>
Status read_integer(Cursor& cursor, std::string_view what, GgufValue& value) {
  DOVETAIL_TRY(const T raw, cursor.read<T>(what));
  if constexpr (std::is_same_v<T, uint64_t>) {
    if (raw > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
      return invalid_argument(fmt::format("{} = {}, want at most 2^63 - 1", what, raw));
    }
  }
  value.integer = static_cast<int64_t>(raw);
  value.number = static_cast<double>(raw);
  return {};
}

template <typename T>
Status read_float(Cursor& cursor, std::string_view what, GgufValue& value) {
  DOVETAIL_TRY(const T raw, cursor.read<T>(what));
  value.kind = GgufValue::Kind::kFloat;
  value.number = static_cast<double>(raw);
  return {};
}

Status read_scalar(Cursor& cursor, uint32_t type, std::string_view what, GgufValue& value) {
  value.kind = GgufValue::Kind::kInteger;
  switch (type) {
    case kU8:
      return read_integer<uint8_t>(cursor, what, value);
    case kI8:
      return read_integer<int8_t>(cursor, what, value);
    case kU16:
      return read_integer<uint16_t>(cursor, what, value);
    case kI16:
      return read_integer<int16_t>(cursor, what, value);
    case kU32:
      return read_integer<uint32_t>(cursor, what, value);
    case kI32:
      return read_integer<int32_t>(cursor, what, value);
    case kU64:
      return read_integer<uint64_t>(cursor, what, value);
    case kI64:
      return read_integer<int64_t>(cursor, what, value);
    case kF32:
      return read_float<float>(cursor, what, value);
    case kF64:
      return read_float<double>(cursor, what, value);
    case kBool: {
      DOVETAIL_TRY_STATUS(read_integer<uint8_t>(cursor, what, value));
      if (value.integer > 1) {
        return invalid_argument(fmt::format("{} = {}, want a bool, 0 or 1", what, value.integer));
      }
      value.kind = GgufValue::Kind::kBool;
      return {};
    }
    case kText: {
      DOVETAIL_TRY(value.text, cursor.read_text(what));
      value.kind = GgufValue::Kind::kText;
      return {};
    }
    default:
      return invalid_argument(fmt::format("{} has value type {}, want 0..12", what, type));
  }
}

Status read_array(Cursor& cursor, std::string_view what, int depth, GgufValue& value) {
  if (depth > kMaxArrayDepth) {
    return invalid_argument(
        fmt::format("{}: arrays nested more than {} deep", what, kMaxArrayDepth));
  }
  DOVETAIL_TRY(const uint32_t type, cursor.read<uint32_t>(what));
  DOVETAIL_TRY(const uint64_t count, cursor.read<uint64_t>(what));
  const uint64_t each = min_value_bytes(type);
  if (each == 0) {
    return invalid_argument(fmt::format("{} has element type {}, want 0..12", what, type));
  }
  if (count > cursor.left() / each) {
    return invalid_argument(
        fmt::format("{}: {} elements of at least {} bytes do not fit in the {} "
                    "bytes left",
                    what, count, each, cursor.left()));
  }
  value.kind = type == kArray  ? GgufValue::Kind::kNestedArray
               : type == kText ? GgufValue::Kind::kTexts
                               : GgufValue::Kind::kNumbers;
  if (type == kText) value.texts.reserve(count);
  if (type != kText && type != kArray) value.numbers.reserve(count);
  for (uint64_t i = 0; i < count; ++i) {
    GgufValue element;
    if (type == kArray) {
      DOVETAIL_TRY_STATUS(read_array(cursor, what, depth + 1, element));
      continue;
    }
    DOVETAIL_TRY_STATUS(read_scalar(cursor, type, what, element));
    if (type == kText) {
      value.texts.push_back(element.text);
    } else {
      value.numbers.push_back(element.number);
    }
  }
  return {};
}

Result<std::string> read_name(Cursor& cursor, std::string_view what) {
  const uint64_t start = cursor.position();
  DOVETAIL_TRY(const std::string_view name, cursor.read_text(what));
  if (name.empty() || name.size() > kMaxNameBytes) {
    return invalid_argument(fmt::format("{} at byte {} has {} bytes, want 1..{}", what, start,
                                        name.size(), kMaxNameBytes));
  }
  return std::string(name);
}

struct TensorEntry {
  std::string name;
  GgufTensor tensor;
  uint64_t offset = 0;  // from the start of the data section
  uint64_t bytes = 0;
};

// Fills elements and bytes from dims and type, every product checked.
Status measure_tensor(TensorEntry& entry) {
  GgufTensor& tensor = entry.tensor;
  const TensorTypeFacts& facts = facts_of(tensor.type);
  int64_t elements = 1;
  for (const int64_t dim : tensor.dims) {
    if (__builtin_mul_overflow(elements, dim, &elements) ||
        elements > std::numeric_limits<int64_t>::max() / 8) {
      return invalid_argument(
          fmt::format("tensor {}: its dimensions ({}) multiply to more than 2^60", entry.name,
                      fmt::join(tensor.dims, ", ")));
    }
  }
  if (tensor.dims[0] % facts.block_elements != 0) {
    return invalid_argument(
        fmt::format("tensor {}: first dimension {} of type {}, want a multiple of {}", entry.name,
                    tensor.dims[0], facts.name, facts.block_elements));
  }
  tensor.elements = elements;
  entry.bytes = static_cast<uint64_t>(elements / facts.block_elements) *
                static_cast<uint64_t>(facts.block_bytes);
  return {};
}

Result<TensorEntry> read_tensor_entry(Cursor& cursor) {
  TensorEntry entry;
  DOVETAIL_TRY(entry.name, read_name(cursor, "tensor name"));
  DOVETAIL_TRY(const uint32_t num_dims, cursor.read<uint32_t>("number of dimensions"));
  if (num_dims < 1 || num_dims > 4) {
    return invalid_argument(
        fmt::format("tensor {}: {} dimensions, want 1..4", entry.name, num_dims));
  }
  for (uint32_t d = 0; d < num_dims; ++d) {
    DOVETAIL_TRY(const uint64_t dim, cursor.read<uint64_t>("dimension"));
    if (dim < 1 || dim > static_cast<uint64_t>(kMaxDim)) {
      return invalid_argument(
          fmt::format("tensor {}: dimension {} = {}, want 1..2^31", entry.name, d, dim));
    }
    entry.tensor.dims.push_back(static_cast<int64_t>(dim));
  }
  DOVETAIL_TRY(const uint32_t type_id, cursor.read<uint32_t>("tensor type"));
  const auto type = tensor_type_of_ggml(type_id);
  if (!type.has_value()) {
    return invalid_argument(fmt::format("tensor {}: ggml type {}, want one of {}", entry.name,
                                        type_id, known_tensor_types()));
  }
  entry.tensor.type = *type;
  DOVETAIL_TRY(entry.offset, cursor.read<uint64_t>("tensor offset"));
  DOVETAIL_TRY_STATUS(measure_tensor(entry));
  return entry;
}

Status check_overlaps(std::vector<TensorEntry>& entries) {
  std::sort(entries.begin(), entries.end(),
            [](const TensorEntry& a, const TensorEntry& b) { return a.offset < b.offset; });
  for (size_t i = 1; i < entries.size(); ++i) {
    if (entries[i].offset < entries[i - 1].offset + entries[i - 1].bytes) {
      return invalid_argument(fmt::format("tensors {} and {} overlap at data offset {}",
                                          entries[i - 1].name, entries[i].name, entries[i].offset));
    }
  }
  return {};
}

// Turns offsets into spans, each checked to lie inside the data section.
Status place_tensors(std::vector<TensorEntry>& entries, std::span<const uint8_t> file,
                     uint64_t directory_end, uint64_t alignment) {
  const uint64_t padding = (alignment - directory_end % alignment) % alignment;
  if (!entries.empty() && padding > file.size() - directory_end) {
    return invalid_argument(fmt::format("the tensor data would start at byte {}, the file has {}",
                                        directory_end + padding, file.size()));
  }
  const uint64_t data_start = std::min<uint64_t>(directory_end + padding, file.size());
  const uint64_t data_bytes = file.size() - data_start;
  for (TensorEntry& entry : entries) {
    if (entry.offset % alignment != 0) {
      return invalid_argument(fmt::format("tensor {}: offset {}, want a multiple of {}", entry.name,
                                          entry.offset, alignment));
    }
    if (entry.offset > data_bytes || entry.bytes > data_bytes - entry.offset) {
      return invalid_argument(
          fmt::format("tensor {}: {} bytes at data offset {} do not fit in the {} "
                      "bytes of tensor data: the file is cut off",
                      entry.name, entry.bytes, entry.offset, data_bytes));
    }
    entry.tensor.bytes = file.subspan(data_start + entry.offset, entry.bytes);
  }
  return check_overlaps(entries);
}

struct Header {
  uint64_t num_tensors = 0;
  uint64_t num_values = 0;
};

Result<Header> read_header(Cursor& cursor) {
  DOVETAIL_TRY(const uint32_t magic, cursor.read<uint32_t>("magic"));
  if (magic != 0x46554747) return invalid_argument("does not begin with GGUF");
  DOVETAIL_TRY(const uint32_t version, cursor.read<uint32_t>("version"));
  if (version != 2 && version != 3) {
    const bool swapped = version == 0x02000000 || version == 0x03000000;
    return invalid_argument(fmt::format("GGUF version {}, want 2 or 3{}", version,
                                        swapped ? " in little-endian byte order" : ""));
  }
  Header header;
  DOVETAIL_TRY(header.num_tensors, cursor.read<uint64_t>("tensor count"));
  DOVETAIL_TRY(header.num_values, cursor.read<uint64_t>("metadata count"));
  // A metadata entry takes at least 8 + 1 + 4 + 1 bytes, a tensor entry 8 + 1 + 4 + 8 + 4 + 8.
  if (header.num_values > cursor.left() / 14) {
    return invalid_argument(fmt::format("metadata count {} does not fit in the {} bytes left",
                                        header.num_values, cursor.left()));
  }
  if (header.num_tensors > cursor.left() / 33) {
    return invalid_argument(fmt::format("tensor count {} does not fit in the {} bytes left",
                                        header.num_tensors, cursor.left()));
  }
  return header;
}

using Metadata = std::map<std::string, GgufValue, std::less<>>;

Result<Metadata> read_metadata(Cursor& cursor, uint64_t count) {
  Metadata metadata;
  for (uint64_t i = 0; i < count; ++i) {
    DOVETAIL_TRY(const std::string key, read_name(cursor, "metadata key"));
    DOVETAIL_TRY(const uint32_t type, cursor.read<uint32_t>(key));
    GgufValue value;
    if (type == kArray) {
      DOVETAIL_TRY_STATUS(read_array(cursor, key, 1, value));
    } else {
      DOVETAIL_TRY_STATUS(read_scalar(cursor, type, key, value));
    }
    if (!metadata.emplace(key, std::move(value)).second) {
      return invalid_argument(fmt::format("metadata key {} occurs twice", key));
    }
  }
  return metadata;
}

Result<uint64_t> alignment_of(const Metadata& metadata) {
  const auto entry = metadata.find("general.alignment");
  if (entry == metadata.end()) return static_cast<uint64_t>(kDefaultAlignment);
  const int64_t alignment = entry->second.integer;
  const bool power_of_two = alignment > 0 && (alignment & (alignment - 1)) == 0;
  if (entry->second.kind != GgufValue::Kind::kInteger || !power_of_two || alignment < 8 ||
      alignment > kMaxAlignment) {
    return invalid_argument(fmt::format("general.alignment = {}, want a power of two in 8..{}",
                                        alignment, kMaxAlignment));
  }
  return static_cast<uint64_t>(alignment);
}

struct Contents {
  Metadata metadata;
  std::vector<TensorEntry> tensors;
};

Result<Contents> read_contents(std::span<const uint8_t> bytes) {
  Cursor cursor(bytes);
  DOVETAIL_TRY(const Header header, read_header(cursor));
  Contents contents;
  DOVETAIL_TRY(contents.metadata, read_metadata(cursor, header.num_values));
  for (uint64_t i = 0; i < header.num_tensors; ++i) {
    DOVETAIL_TRY(TensorEntry entry, read_tensor_entry(cursor));
    contents.tensors.push_back(std::move(entry));
  }
  DOVETAIL_TRY(const uint64_t alignment, alignment_of(contents.metadata));
  DOVETAIL_TRY_STATUS(place_tensors(contents.tensors, bytes, cursor.position(), alignment));
  return contents;
}

std::unexpected<Error> missing(const std::string& path, std::string_view key) {
  return invalid_argument(fmt::format("{}: metadata key {} is missing", path, key));
}

}  // namespace

bool looks_like_gguf(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  char magic[4] = {};
  file.read(magic, 4);
  return file.gcount() == 4 && std::memcmp(magic, "GGUF", 4) == 0;
}

Result<GgufFile> open_gguf(const std::string& path) {
  GgufFile gguf;
  DOVETAIL_TRY(gguf.file_, map_file(path));
  auto contents = read_contents(gguf.file_->bytes());
  if (!contents.has_value()) return with_context(std::move(contents).error(), path);
  gguf.metadata_ = std::move(contents->metadata);
  for (TensorEntry& entry : contents->tensors) {
    if (!gguf.tensors_.emplace(entry.name, std::move(entry.tensor)).second) {
      return invalid_argument(fmt::format("{}: tensor {} occurs twice", path, entry.name));
    }
  }
  return gguf;
}

Result<std::optional<int64_t>> GgufFile::find_integer(std::string_view key) const {
  const auto entry = metadata_.find(key);
  if (entry == metadata_.end()) return std::nullopt;
  if (entry->second.kind != GgufValue::Kind::kInteger) {
    return invalid_argument(fmt::format("{}: metadata key {} is not one integer", path(), key));
  }
  return entry->second.integer;
}

Result<std::optional<bool>> GgufFile::find_bool(std::string_view key) const {
  const auto entry = metadata_.find(key);
  if (entry == metadata_.end()) return std::nullopt;
  if (entry->second.kind != GgufValue::Kind::kBool) {
    return invalid_argument(fmt::format("{}: metadata key {} is not a bool", path(), key));
  }
  return entry->second.integer != 0;
}

Result<std::optional<double>> GgufFile::find_number(std::string_view key) const {
  const auto entry = metadata_.find(key);
  if (entry == metadata_.end()) return std::nullopt;
  if (entry->second.kind != GgufValue::Kind::kInteger &&
      entry->second.kind != GgufValue::Kind::kFloat) {
    return invalid_argument(fmt::format("{}: metadata key {} is not one number", path(), key));
  }
  return entry->second.number;
}

Result<std::optional<std::string_view>> GgufFile::find_text(std::string_view key) const {
  const auto entry = metadata_.find(key);
  if (entry == metadata_.end()) return std::nullopt;
  if (entry->second.kind != GgufValue::Kind::kText) {
    return invalid_argument(fmt::format("{}: metadata key {} is not a text", path(), key));
  }
  return entry->second.text;
}

Result<int64_t> GgufFile::integer(std::string_view key) const {
  DOVETAIL_TRY(const auto value, find_integer(key));
  if (!value.has_value()) return missing(path(), key);
  return *value;
}

Result<double> GgufFile::number(std::string_view key) const {
  DOVETAIL_TRY(const auto value, find_number(key));
  if (!value.has_value()) return missing(path(), key);
  return *value;
}

Result<std::string_view> GgufFile::text(std::string_view key) const {
  DOVETAIL_TRY(const auto value, find_text(key));
  if (!value.has_value()) return missing(path(), key);
  return *value;
}

const std::vector<std::string_view>* GgufFile::find_texts(std::string_view key) const {
  const auto entry = metadata_.find(key);
  const bool found = entry != metadata_.end() && entry->second.kind == GgufValue::Kind::kTexts;
  return found ? &entry->second.texts : nullptr;
}

const std::vector<double>* GgufFile::find_numbers(std::string_view key) const {
  const auto entry = metadata_.find(key);
  const bool found = entry != metadata_.end() && entry->second.kind == GgufValue::Kind::kNumbers;
  return found ? &entry->second.numbers : nullptr;
}

}  // namespace dovetail::model
