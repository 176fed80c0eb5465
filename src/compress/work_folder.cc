#include "compress/work_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/durable_file.h"
#include "base/hash.h"
#include "base/paths.h"
#include "model/mapped_file.h"

namespace dovetail::compress {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kMaxIdentityBytes = 1 << 24;
constexpr const char* kIdentityFile = "/compression.json";
constexpr const char* kHiddenFile = "/hidden";
constexpr const char* kHeadFile = "/head";
constexpr const char* kKeptFile = "/kept";

Result<int> take_lock(const std::string& folder) {
  const std::string name = folder + "/lock";
  const int lock = ::open(name.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (lock < 0) {
    const std::string reason = std::strerror(errno);
    return io_error(fmt::format("{}: cannot be written: {}", name, reason));
  }
  if (::flock(lock, LOCK_EX | LOCK_NB) == 0) return lock;
  ::close(lock);
  return invalid_argument(
      fmt::format("{}: another process works here, want one at a time", folder));
}

// The first key in which two identities differ.
Status check_identity(const std::string& folder, const Json& identity) {
  const std::string name = folder + kIdentityFile;
  std::error_code ignored;
  if (!fs::exists(name, ignored)) return write_text_file(name, identity.dump(2) + "\n");
  DOVETAIL_TRY(const std::string text, read_text_file(name, kMaxIdentityBytes));
  const Json found = Json::parse(text, nullptr, false);
  if (found == identity) return {};
  std::string key = "content";
  if (found.is_object()) {
    for (const auto& [name_of, value] : identity.items())
      if (!found.contains(name_of) || found[name_of] != value) key = name_of;
  }
  return invalid_argument(
      fmt::format("{}: holds the unfinished work of another compression (its {} differs); remove "
                  "that folder or name another output",
                  folder, key));
}

// Where the stream was when it was saved: 8 bytes, the number of layers behind it; then the rows,
// then 64 digits of SHA-256 over both.
constexpr int64_t kRowsAtOnce = 2048;

}  // namespace

Result<WorkFolder> WorkFolder::open(const std::string& path, const Json& identity) {
  std::error_code code;
  fs::create_directories(path, code);
  if (code) return io_error(fmt::format("{}: cannot be created: {}", path, code.message()));
  DOVETAIL_TRY(const int lock, take_lock(path));
  WorkFolder folder(path, lock);
  DOVETAIL_TRY_STATUS(check_identity(path, identity));
  folder.count_finished();
  return folder;
}

WorkFolder::WorkFolder(WorkFolder&& other) noexcept
    : path_(std::move(other.path_)),
      lock_(std::exchange(other.lock_, -1)),
      num_finished_(other.num_finished_),
      has_head_(other.has_head_) {}

WorkFolder::~WorkFolder() {
  if (lock_ >= 0) ::close(lock_);
}

std::string WorkFolder::layer_file(int64_t index) const {
  return fmt::format("{}/layer_{:04}", path_, index);
}

// The stream says how far the work came; a damaged piece before that sends it back to the start,
// since the stream cannot go back.
void WorkFolder::count_finished() {
  has_head_ = load_block(path_ + kHeadFile).has_value();
  const auto file = model::map_file(path_ + kHiddenFile);
  if (!file.has_value()) return;
  const auto bytes = (*file)->bytes();
  if (bytes.size() < 8 + 64) return;
  Sha256 sum;
  sum.update(bytes.data(), bytes.size() - 64);
  if (sum.hex() != (*file)->text().substr(bytes.size() - 64)) return;
  uint64_t layers = 0;
  std::memcpy(&layers, bytes.data(), sizeof(layers));
  for (uint64_t index = 0; index < layers; ++index)
    if (!load_block(layer_file(static_cast<int64_t>(index))).has_value()) return;
  num_finished_ = static_cast<int64_t>(layers);
}

Status WorkFolder::save_layer(int64_t index, const SavedBlock& block) {
  return save_block(layer_file(index), block);
}

Status WorkFolder::save_hidden(int64_t layers, const ActivationStore& hidden) {
  const std::string name = path_ + kHiddenFile;
  std::ofstream file(name + ".part", std::ios::binary | std::ios::trunc);
  Sha256 sum;
  const auto put = [&](const void* bytes, size_t size) {
    file.write(static_cast<const char*>(bytes), static_cast<std::streamsize>(size));
    sum.update(bytes, size);
  };
  const auto count_behind = static_cast<uint64_t>(layers);
  put(&count_behind, sizeof(count_behind));
  std::vector<float> piece(static_cast<size_t>(kRowsAtOnce * hidden.width()));
  for (int64_t row = 0; row < hidden.rows(); row += kRowsAtOnce) {
    const int64_t count = std::min(kRowsAtOnce, hidden.rows() - row);
    DOVETAIL_TRY_STATUS(hidden.read(row, count, piece.data()));
    put(piece.data(), static_cast<size_t>(count * hidden.width()) * sizeof(float));
  }
  file << sum.hex();
  file.close();
  if (!file) {
    const std::string reason = std::strerror(errno);
    return io_error(fmt::format("{}: writing failed: {}", name, reason));
  }
  return publish_file(name + ".part", name);
}

Status WorkFolder::save_kept(const Json& kept) {
  SavedBlock block;
  block.notes = kept;
  return save_block(path_ + kKeptFile, block);
}

Json WorkFolder::kept() const {
  const auto block = load_block(path_ + kKeptFile);
  return block.has_value() ? block->notes : Json();
}

Status WorkFolder::save_head(const SavedBlock& block) {
  DOVETAIL_TRY_STATUS(save_block(path_ + kHeadFile, block));
  has_head_ = true;
  return {};
}

Result<SavedBlock> WorkFolder::layer(int64_t index) const {
  return load_block(layer_file(index));
}
Result<SavedBlock> WorkFolder::head() const {
  return load_block(path_ + kHeadFile);
}

Status WorkFolder::load_hidden(ActivationStore& hidden) const {
  const std::string name = path_ + kHiddenFile;
  const int64_t row_bytes = hidden.width() * int64_t{sizeof(float)};
  std::error_code code;
  const auto size = fs::file_size(name, code);
  if (code || size != static_cast<uint64_t>(8 + 64 + hidden.rows() * row_bytes))
    return invalid_argument(fmt::format("{}: holds another text", name));
  std::ifstream file(name, std::ios::binary);
  file.seekg(8);
  std::vector<float> piece(static_cast<size_t>(kRowsAtOnce * hidden.width()));
  for (int64_t row = 0; row < hidden.rows(); row += kRowsAtOnce) {
    const int64_t count = std::min(kRowsAtOnce, hidden.rows() - row);
    file.read(reinterpret_cast<char*>(piece.data()), count * row_bytes);
    if (!file) return io_error(fmt::format("{}: reading failed", name));
    DOVETAIL_TRY_STATUS(hidden.write(row, count, piece.data()));
  }
  return {};
}

Status WorkFolder::remove() && {
  std::error_code code;
  fs::remove_all(path_, code);
  if (code) return io_error(fmt::format("{}: cannot be removed: {}", path_, code.message()));
  return {};
}

}  // namespace dovetail::compress
