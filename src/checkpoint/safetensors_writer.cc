#include "checkpoint/safetensors_writer.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>

#include <fmt/format.h>

#include "base/config.h"
#include "base/paths.h"

namespace dovetail::checkpoint {
namespace {

// What one tensor's entry takes at most: names of this folder have up to 60 letters.
constexpr int64_t kEntryBytes = 256;
constexpr int64_t kFixedBytes = 4096;

int64_t element_bytes(const std::string& dtype) {
  if (dtype.ends_with("64")) return 8;
  if (dtype.ends_with("32")) return 4;
  return dtype.ends_with("16") ? 2 : 1;
}

std::unexpected<Error> failed(const std::string& path) {
  return io_error(fmt::format("{}: writing failed: {}", path, std::strerror(errno)));
}

}  // namespace

SafetensorsWriter::SafetensorsWriter(std::string folder, int64_t max_tensors,
                                     int64_t max_shard_bytes)
    : folder_(std::move(folder)),
      room_bytes_((max_tensors * kEntryBytes + kFixedBytes + 7) / 8 * 8),
      max_shard_bytes_(max_shard_bytes) {}

std::string SafetensorsWriter::shard_path(size_t shard) const {
  return fmt::format("{}/shard-{}.safetensors", folder_, shard);
}

Status SafetensorsWriter::write_data(const TensorToWrite& tensor) {
  const std::string path = shard_path(shards_.size() - 1);
  std::ofstream file(path, std::ios::binary | std::ios::in | std::ios::out);
  file.seekp(8 + room_bytes_ + written_bytes_);
  file.write(reinterpret_cast<const char*>(tensor.bytes.data()), std::ssize(tensor.bytes));
  file.close();
  if (!file) return failed(path);
  const int64_t end = written_bytes_ + std::ssize(tensor.bytes);
  shards_.back().push_back({tensor.name, tensor.dtype, tensor.dims, written_bytes_, end});
  written_bytes_ = end;
  return {};
}

Status SafetensorsWriter::close_data() {
  std::ranges::stable_sort(kept_, std::ranges::greater{},
                           [](const TensorToWrite& t) { return element_bytes(t.dtype); });
  for (const TensorToWrite& tensor : kept_) DOVETAIL_TRY_STATUS(write_data(tensor));
  kept_.clear();
  return {};
}

Status SafetensorsWriter::add(TensorToWrite tensor) {
  const int64_t size = std::ssize(tensor.bytes);
  if (shards_.empty() || (shard_bytes_ > 0 && shard_bytes_ + size > max_shard_bytes_)) {
    if (!shards_.empty()) DOVETAIL_TRY_STATUS(close_data());
    shards_.emplace_back();
    shard_bytes_ = written_bytes_ = 0;
    const std::string path = shard_path(shards_.size() - 1);
    if (!std::ofstream(path, std::ios::binary)) return failed(path);
  }
  shard_bytes_ += size;
  if (size % 8 == 0) return write_data(tensor);
  kept_.push_back(std::move(tensor));
  return {};
}

Status SafetensorsWriter::write_header(size_t shard,
                                       const std::map<std::string, std::string>& texts) {
  Json header = {{"__metadata__", {{"format", "pt"}}}};
  for (const auto& [key, text] : texts) header["__metadata__"][key] = text;
  for (const Entry& entry : shards_[shard]) {
    header[entry.name] = {
        {"dtype", entry.dtype}, {"shape", entry.dims}, {"data_offsets", {entry.begin, entry.end}}};
  }
  std::string text = header.dump();
  DOVETAIL_CHECK(std::ssize(text) <= room_bytes_);
  text.resize(static_cast<size_t>(room_bytes_), ' ');
  const auto size = static_cast<uint64_t>(room_bytes_);
  std::ofstream file(shard_path(shard), std::ios::binary | std::ios::in | std::ios::out);
  file.write(reinterpret_cast<const char*>(&size), sizeof(size));
  file << text;
  file.close();
  return file ? Status() : Status(failed(shard_path(shard)));
}

Status SafetensorsWriter::write_index() const {
  int64_t total = 0;
  Json map = Json::object();
  std::map<std::string, std::string> sorted;
  for (size_t shard = 0; shard < shards_.size(); ++shard) {
    const std::string name =
        fmt::format("model-{:05}-of-{:05}.safetensors", shard + 1, shards_.size());
    for (const Entry& entry : shards_[shard]) {
      sorted.emplace(entry.name, name);
      total += entry.end - entry.begin;
    }
  }
  for (const auto& [name, file] : sorted) map[name] = file;
  const Json index = {{"metadata", {{"total_size", total}}}, {"weight_map", map}};
  return write_text_file(folder_ + "/model.safetensors.index.json", index.dump(2) + "\n");
}

Status SafetensorsWriter::finish(const std::map<std::string, std::string>& metadata) {
  DOVETAIL_TRY_STATUS(close_data());
  for (size_t shard = 0; shard < shards_.size(); ++shard) {
    DOVETAIL_TRY_STATUS(
        write_header(shard, shard == 0 ? metadata : std::map<std::string, std::string>()));
    const std::string name = shards_.size() == 1 ? "model.safetensors"
                                                 : fmt::format("model-{:05}-of-{:05}.safetensors",
                                                               shard + 1, shards_.size());
    std::error_code code;
    std::filesystem::rename(shard_path(shard), folder_ + "/" + name, code);
    if (code) return io_error(fmt::format("{}/{}: {}", folder_, name, code.message()));
  }
  return shards_.size() == 1 ? Status() : write_index();
}

}  // namespace dovetail::checkpoint
