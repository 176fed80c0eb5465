#include "compress/saved_block.h"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>
#include <span>

#include <fmt/format.h>

#include "base/durable_file.h"
#include "base/hash.h"
#include "model/mapped_file.h"

namespace dovetail::compress {
namespace {

// The file: this line, the length of the JSON as u64, the JSON, the bytes that it lists one after
// the other, 64 digits of SHA-256 over all before.
constexpr std::string_view kFirstLine = "dovetail block 1\n";
constexpr size_t kSumDigits = 64;

using Bytes = std::span<const uint8_t>;

template <typename T>
Bytes bytes_of(const std::vector<T>& values) {
  return {reinterpret_cast<const uint8_t*>(values.data()), values.size() * sizeof(T)};
}

// The buffers of a packed matrix, in the order of the file.
std::vector<Bytes> buffers_of(const formats::PackedRows& rows) {
  return {bytes_of(rows.payload), bytes_of(rows.mask),       bytes_of(rows.scales),
          bytes_of(rows.zeros),   bytes_of(rows.row_scales), bytes_of(rows.levels)};
}

Json header_of(const SavedBlock& block) {
  Json header = {{"notes", block.notes}, {"packed", Json::array()}, {"plain", Json::array()}};
  for (const SavedBlock::Packed& packed : block.packed) {
    Json sizes = Json::array();
    for (const Bytes buffer : buffers_of(packed.rows)) sizes.push_back(buffer.size());
    uint32_t tensor_scale = 0;
    std::memcpy(&tensor_scale, &packed.rows.tensor_scale, sizeof(tensor_scale));
    header["packed"].push_back({{"name", packed.name},
                                {"format", formats::format_name(packed.rows.format)},
                                {"rows", packed.rows.rows},
                                {"k", packed.rows.k},
                                {"tensor_scale_bits", tensor_scale},
                                {"num_bytes", sizes}});
  }
  for (const SavedBlock::Plain& plain : block.plain)
    header["plain"].push_back({{"name", plain.name}, {"count", plain.values.size()}});
  return header;
}

// Takes bytes from the front; a wrong length is an error, never a read beyond.
class Cursor {
 public:
  Cursor(Bytes bytes, std::string path) : bytes_(bytes), path_(std::move(path)) {}
  Result<Bytes> take(uint64_t count) {
    if (count > bytes_.size())
      return invalid_argument(
          fmt::format("{}: {} bytes are wanted where {} are left", path_, count, bytes_.size()));
    const Bytes taken = bytes_.first(count);
    bytes_ = bytes_.subspan(count);
    return taken;
  }
  template <typename T>
  Status take_values(uint64_t num_bytes, std::vector<T>& values) {
    DOVETAIL_TRY(const Bytes taken, take(num_bytes));
    if (num_bytes % sizeof(T) != 0)
      return invalid_argument(fmt::format("{}: {} bytes are no whole values", path_, num_bytes));
    values.resize(num_bytes / sizeof(T));
    if (!taken.empty()) std::memcpy(values.data(), taken.data(), taken.size());
    return {};
  }

 private:
  Bytes bytes_;
  std::string path_;
};

Result<SavedBlock::Packed> take_packed(const Json& entry, Cursor& cursor, const std::string& path) {
  SavedBlock::Packed packed;
  packed.name = entry.at("name").get<std::string>();
  DOVETAIL_TRY(packed.rows.format,
               formats::parse_weight_format(entry.at("format").get<std::string>()));
  packed.rows.rows = entry.at("rows").get<int64_t>();
  packed.rows.k = entry.at("k").get<int64_t>();
  const auto tensor_scale = entry.at("tensor_scale_bits").get<uint32_t>();
  std::memcpy(&packed.rows.tensor_scale, &tensor_scale, sizeof(tensor_scale));
  const auto sizes = entry.at("num_bytes").get<std::vector<uint64_t>>();
  if (sizes.size() != 6)
    return invalid_argument(fmt::format("{}: {} has {} buffers", path, packed.name, sizes.size()));
  DOVETAIL_TRY_STATUS(cursor.take_values(sizes[0], packed.rows.payload));
  DOVETAIL_TRY_STATUS(cursor.take_values(sizes[1], packed.rows.mask));
  DOVETAIL_TRY_STATUS(cursor.take_values(sizes[2], packed.rows.scales));
  DOVETAIL_TRY_STATUS(cursor.take_values(sizes[3], packed.rows.zeros));
  DOVETAIL_TRY_STATUS(cursor.take_values(sizes[4], packed.rows.row_scales));
  DOVETAIL_TRY_STATUS(cursor.take_values(sizes[5], packed.rows.levels));
  const Status checked = formats::check_packed(packed.rows);
  if (!checked.has_value())
    return with_context(checked.error(), fmt::format("{}: {}", path, packed.name));
  return packed;
}

// The JSON was written by save_block, as the sum says; a wrong kind is caught all the same.
Result<SavedBlock> read_block(const Json& header, Cursor& cursor, const std::string& path) {
  try {
    SavedBlock block;
    block.notes = header.at("notes");
    for (const Json& entry : header.at("packed")) {
      DOVETAIL_TRY(SavedBlock::Packed packed, take_packed(entry, cursor, path));
      block.packed.push_back(std::move(packed));
    }
    for (const Json& entry : header.at("plain")) {
      SavedBlock::Plain& plain = block.plain.emplace_back();
      plain.name = entry.at("name").get<std::string>();
      const auto count = entry.at("count").get<uint64_t>();
      if (count > std::numeric_limits<uint64_t>::max() / sizeof(float))
        return invalid_argument(fmt::format("{}: {} values of {}", path, count, plain.name));
      DOVETAIL_TRY_STATUS(cursor.take_values(count * sizeof(float), plain.values));
    }
    return block;
  } catch (const Json::exception& error) {
    return invalid_argument(fmt::format("{}: {}", path, error.what()));
  }
}

}  // namespace

Status save_block(const std::string& path, const SavedBlock& block) {
  const std::string part = path + ".part";
  const std::string header = header_of(block).dump();
  std::ofstream file(part, std::ios::binary | std::ios::trunc);
  Sha256 sum;
  const auto put = [&](const void* bytes, size_t size) {
    file.write(static_cast<const char*>(bytes), static_cast<std::streamsize>(size));
    sum.update(bytes, size);
  };
  const uint64_t header_bytes = header.size();
  put(kFirstLine.data(), kFirstLine.size());
  put(&header_bytes, sizeof(header_bytes));
  put(header.data(), header.size());
  for (const SavedBlock::Packed& packed : block.packed)
    for (const Bytes buffer : buffers_of(packed.rows)) put(buffer.data(), buffer.size());
  for (const SavedBlock::Plain& plain : block.plain)
    put(plain.values.data(), plain.values.size() * sizeof(float));
  file << sum.hex();
  file.close();
  if (!file) {
    const std::string reason = std::strerror(errno);
    std::error_code ignored;
    std::filesystem::remove(part, ignored);
    return io_error(fmt::format("{}: writing failed: {}", path, reason));
  }
  return publish_file(part, path);
}

Result<SavedBlock> load_block(const std::string& path) {
  DOVETAIL_TRY(const auto file, model::map_file(path));
  const Bytes bytes = file->bytes();
  const std::string_view text = file->text();
  if (!text.starts_with(kFirstLine) || bytes.size() < kFirstLine.size() + 8 + kSumDigits)
    return invalid_argument(fmt::format("{}: is no saved block", path));
  const Bytes body = bytes.first(bytes.size() - kSumDigits);
  Sha256 sum;
  sum.update(body.data(), body.size());
  if (sum.hex() != text.substr(body.size()))
    return invalid_argument(fmt::format("{}: its SHA-256 is not the one at its end", path));
  Cursor cursor(body.subspan(kFirstLine.size()), path);
  DOVETAIL_TRY(const Bytes length, cursor.take(8));
  uint64_t header_bytes = 0;
  std::memcpy(&header_bytes, length.data(), sizeof(header_bytes));
  DOVETAIL_TRY(const Bytes header_text, cursor.take(header_bytes));
  const Json header = Json::parse(header_text.begin(), header_text.end(), nullptr, false);
  if (header.is_discarded())
    return invalid_argument(fmt::format("{}: its header is no JSON", path));
  return read_block(header, cursor, path);
}

}  // namespace dovetail::compress
