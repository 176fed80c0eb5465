#include "model/safetensors.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <limits>
#include <map>
#include <span>

#include <fmt/format.h>

#include "model/bounded_json.h"
#include "model/decode_rows.h"
#include "model/mapped_file.h"
#include "model/tensor_blocks.h"

namespace dovetail::model {
namespace {

constexpr uint64_t kMaxHeaderBytes = 100'000'000;  // the limit of the format's own reader

struct Shard {
  std::shared_ptr<const MappedFile> file;
  std::map<std::string, StoredTensor> tensors;
  std::map<std::string, std::string> metadata;
};

// Bits of one element, 0 for a type that we do not know the size of.
int64_t element_bits(const std::string& dtype) {
  if (dtype == "F64" || dtype == "I64" || dtype == "U64") return 64;
  if (dtype == "F32" || dtype == "I32" || dtype == "U32") return 32;
  if (dtype == "F16" || dtype == "BF16" || dtype == "I16" || dtype == "U16") return 16;
  if (dtype == "I8" || dtype == "U8" || dtype == "BOOL" || dtype.starts_with("F8_")) return 8;
  return 0;
}

Result<std::vector<int64_t>> read_counts(const nlohmann::json& entry, const char* key,
                                         const std::string& where) {
  if (!entry.contains(key) || !entry[key].is_array()) {
    return invalid_argument(fmt::format("{}: {} is missing or no list", where, key));
  }
  std::vector<int64_t> counts;
  for (const nlohmann::json& item : entry[key]) {
    const bool fits = item.is_number_unsigned() &&
                      item.get<uint64_t>() <= uint64_t{std::numeric_limits<int64_t>::max()};
    if (!fits)
      return invalid_argument(fmt::format("{}: {} wants counts of at least 0", where, key));
    counts.push_back(item.get<int64_t>());
  }
  return counts;
}

Status check_size(const StoredTensor& tensor, int64_t bytes, const std::string& where) {
  int64_t bits = element_bits(tensor.dtype);
  if (bits == 0) return invalid_argument(fmt::format("{}: unknown dtype {}", where, tensor.dtype));
  for (const int64_t dim : tensor.dims) {
    if (__builtin_mul_overflow(bits, dim, &bits)) {
      return invalid_argument(
          fmt::format("{}: shape ({}) overflows", where, fmt::join(tensor.dims, ", ")));
    }
  }
  if (bits / 8 != bytes) {
    return invalid_argument(fmt::format("{}: shape ({}) of {} needs {} bytes, its offsets give {}",
                                        where, fmt::join(tensor.dims, ", "), tensor.dtype, bits / 8,
                                        bytes));
  }
  return {};
}

Result<StoredTensor> read_entry(const nlohmann::json& entry, std::span<const uint8_t> body,
                                const std::string& where) {
  if (!entry.is_object()) return invalid_argument(where + ": want an object");
  StoredTensor tensor;
  DOVETAIL_TRY(const auto dtype, json_text(entry, "dtype", where));
  tensor.dtype = dtype.value_or("(missing)");
  DOVETAIL_TRY(tensor.dims, read_counts(entry, "shape", where));
  DOVETAIL_TRY(const auto offsets, read_counts(entry, "data_offsets", where));
  const auto body_bytes = static_cast<int64_t>(body.size());
  if (offsets.size() != 2 || offsets[0] > offsets[1] || offsets[1] > body_bytes) {
    return invalid_argument(fmt::format("{}: data_offsets ({}), want begin <= end <= {}", where,
                                        fmt::join(offsets, ", "), body_bytes));
  }
  DOVETAIL_TRY_STATUS(check_size(tensor, offsets[1] - offsets[0], where));
  tensor.bytes =
      body.subspan(static_cast<size_t>(offsets[0]), static_cast<size_t>(offsets[1] - offsets[0]));
  return tensor;
}

// The tensors must tile the data: an overlap or a hole means a wrong header.
Status check_tiling(const std::map<std::string, StoredTensor>& tensors,
                    std::span<const uint8_t> body, const std::string& path) {
  std::vector<std::pair<std::span<const uint8_t>, std::string>> parts;
  for (const auto& [name, tensor] : tensors) parts.emplace_back(tensor.bytes, name);
  std::sort(parts.begin(), parts.end(), [](const auto& a, const auto& b) {
    return std::pair(a.first.data(), a.first.size()) < std::pair(b.first.data(), b.first.size());
  });
  size_t end = 0;
  for (const auto& [bytes, name] : parts) {
    const auto begin = static_cast<size_t>(bytes.data() - body.data());
    if (begin != end) {
      return invalid_argument(fmt::format("{}: tensor {} begins at {}, want {}: tensors {}", path,
                                          name, begin, end,
                                          begin < end ? "overlap" : "leave a hole"));
    }
    end = begin + bytes.size();
  }
  if (end != body.size()) {
    return invalid_argument(
        fmt::format("{}: tensors end at {}, the data at {}", path, end, body.size()));
  }
  return {};
}

Result<Shard> open_shard(const std::string& path) {
  Shard shard;
  DOVETAIL_TRY(shard.file, map_file(path));
  const std::span<const uint8_t> bytes = shard.file->bytes();
  uint64_t header_bytes = 0;
  if (bytes.size() < sizeof(header_bytes)) {
    return invalid_argument(fmt::format("{}: {} bytes, want at least 8", path, bytes.size()));
  }
  std::memcpy(&header_bytes, bytes.data(), sizeof(header_bytes));
  if (header_bytes > kMaxHeaderBytes || header_bytes > bytes.size() - 8) {
    return invalid_argument(fmt::format("{}: header of {} bytes, want at most {}", path,
                                        header_bytes,
                                        std::min<uint64_t>(kMaxHeaderBytes, bytes.size() - 8)));
  }
  DOVETAIL_TRY(const nlohmann::json header,
               parse_bounded_json(shard.file->text().substr(8, header_bytes), path));
  if (!header.is_object()) return invalid_argument(path + ": the header is no JSON object");
  const std::span<const uint8_t> body = bytes.subspan(8 + header_bytes);
  for (const auto& [name, entry] : header.items()) {
    if (name == "__metadata__") {
      for (const auto& [key, value] : entry.items()) {
        if (value.is_string()) shard.metadata.emplace(key, value.get<std::string>());
      }
      continue;
    }
    DOVETAIL_TRY(StoredTensor tensor,
                 read_entry(entry, body, fmt::format("{}: tensor {}", path, name)));
    tensor.file = path;
    shard.tensors.emplace(name, std::move(tensor));
  }
  DOVETAIL_TRY_STATUS(check_tiling(shard.tensors, body, path));
  return shard;
}

class FolderSource final : public SafetensorsSource {
 public:
  Status add(Shard shard) {
    for (auto& [name, tensor] : shard.tensors) {
      const std::string file = tensor.file;
      if (!tensors_.emplace(name, std::move(tensor)).second) {
        return invalid_argument(fmt::format("{}: tensor {} is also in another shard", file, name));
      }
    }
    files_.push_back(std::move(shard.file));
    metadata_.merge(shard.metadata);
    return {};
  }

  [[nodiscard]] std::set<std::string> names() const override {
    std::set<std::string> names;
    for (const auto& [name, tensor] : tensors_) names.insert(name);
    return names;
  }

  [[nodiscard]] const StoredTensor* find(const std::string& name) const override {
    const auto entry = tensors_.find(name);
    return entry == tensors_.end() ? nullptr : &entry->second;
  }
  [[nodiscard]] const std::map<std::string, std::string>& metadata() const override {
    return metadata_;
  }

  [[nodiscard]] Result<std::vector<float>> read(const std::string& name, int64_t rows,
                                                int64_t cols) const override {
    return read_rows(name, rows, cols, 0, rows);
  }

  [[nodiscard]] Result<std::vector<float>> read_rows(const std::string& name, int64_t rows,
                                                     int64_t cols, int64_t first,
                                                     int64_t count) const override {
    DOVETAIL_CHECK(first >= 0 && count >= 0 && first + count <= rows);
    const auto entry = tensors_.find(name);
    if (entry == tensors_.end()) {
      return invalid_argument(fmt::format(
          "{}: tensor {} is missing", files_.empty() ? "safetensors" : files_[0]->path(), name));
    }
    const StoredTensor& tensor = entry->second;
    const std::string where = fmt::format("{}: tensor {}", tensor.file, name);
    const bool is_vector = rows == 1 && tensor.dims == std::vector<int64_t>{cols};
    if (!is_vector && tensor.dims != std::vector<int64_t>{rows, cols}) {
      return invalid_argument(fmt::format("{} has shape ({}), want ({}, {})", where,
                                          fmt::join(tensor.dims, ", "), rows, cols));
    }
    for (const TensorType type : {TensorType::kF32, TensorType::kF16, TensorType::kBf16}) {
      if (tensor.dtype != facts_of(type).name) continue;
      const auto row_bytes = static_cast<size_t>(cols * facts_of(type).block_bytes);
      return decode_rows(type,
                         tensor.bytes.subspan(static_cast<size_t>(first) * row_bytes,
                                              static_cast<size_t>(count) * row_bytes),
                         count, cols, where);
    }
    return invalid_argument(
        fmt::format("{} has dtype {}, want F32, F16 or BF16", where, tensor.dtype));
  }

  void release() const override {
    for (const auto& file : files_) file->release_pages();
  }

 private:
  std::vector<std::shared_ptr<const MappedFile>> files_;
  std::map<std::string, StoredTensor> tensors_;
  std::map<std::string, std::string> metadata_;
};

// Shard names come from a file: a path that leaves the folder is refused.
Result<std::map<std::string, std::string>> read_index(const std::string& path) {
  DOVETAIL_TRY(const nlohmann::json index, read_bounded_json(path));
  if (!index.is_object() || !index.contains("weight_map") || !index["weight_map"].is_object()) {
    return invalid_argument(fmt::format("{}: weight_map is missing or no object", path));
  }
  std::map<std::string, std::string> shard_of;
  for (const auto& [name, shard] : index["weight_map"].items()) {
    const std::string file = shard.is_string() ? shard.get<std::string>() : "";
    if (file.empty() || file.find('/') != std::string::npos || file.starts_with('.')) {
      return invalid_argument(
          fmt::format("{}: weight_map.{} = {}, want a file name in this folder", path, name, file));
    }
    shard_of.emplace(name, file);
  }
  return shard_of;
}

}  // namespace

Result<std::unique_ptr<SafetensorsSource>> open_safetensors_folder(const std::string& folder) {
  auto source = std::make_unique<FolderSource>();
  const std::string single = folder + "/model.safetensors";
  const std::string index = folder + "/model.safetensors.index.json";
  std::error_code ignored;
  if (std::filesystem::exists(single, ignored)) {
    DOVETAIL_TRY(Shard shard, open_shard(single));
    DOVETAIL_TRY_STATUS(source->add(std::move(shard)));
    return source;
  }
  if (!std::filesystem::exists(index, ignored)) {
    return not_found(
        fmt::format("{}: holds neither model.safetensors nor "
                    "model.safetensors.index.json",
                    folder));
  }
  DOVETAIL_TRY(const auto shard_of, read_index(index));
  std::set<std::string> files;
  for (const auto& [name, file] : shard_of) files.insert(file);
  for (const std::string& file : files) {
    DOVETAIL_TRY(Shard shard, open_shard(folder + "/" + file));
    DOVETAIL_TRY_STATUS(source->add(std::move(shard)));
  }
  for (const auto& [name, file] : shard_of) {
    const StoredTensor* found = source->find(name);
    if (found == nullptr || found->file != folder + "/" + file) {
      return invalid_argument(fmt::format("{}: tensor {} is not in {}", index, name, file));
    }
  }
  return source;
}

}  // namespace dovetail::model
