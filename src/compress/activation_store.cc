#include "compress/activation_store.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include <fmt/format.h>

namespace dovetail::compress {
namespace {

// pread and pwrite move as much as they like at a time.
template <typename Move>
Status move_all(const std::string& folder, int64_t bytes, int64_t offset, const Move& move) {
  int64_t done = 0;
  while (done < bytes) {
    const ssize_t moved = move(done, static_cast<size_t>(bytes - done), offset + done);
    if (moved < 0 && errno == EINTR) continue;
    if (moved <= 0) {
      const std::string reason = moved < 0 ? std::strerror(errno) : "the file is too short";
      return io_error(fmt::format("{}: activations cannot be kept there: {}", folder, reason));
    }
    done += moved;
  }
  return {};
}

}  // namespace

Result<ActivationStore> ActivationStore::create(int64_t rows, int64_t width,
                                                const std::string& folder) {
  ActivationStore store;
  store.rows_ = rows;
  store.width_ = width;
  store.created_width_ = width;
  store.folder_ = folder;
  if (folder.empty()) {
    store.memory_ = host::make_buffer(rows * width);
    return store;
  }
  std::string name = folder + "/activations.XXXXXX";
  store.file_ = mkostemp(name.data(), O_CLOEXEC);
  if (store.file_ < 0) {
    const std::string reason = std::strerror(errno);
    return io_error(fmt::format("{}: activations cannot be kept there: {}", folder, reason));
  }
  unlink(name.c_str());
  const int failed = posix_fallocate(store.file_, 0, rows * width * int64_t{sizeof(float)});
  if (failed != 0 && failed != EOPNOTSUPP && failed != EINVAL) {
    return io_error(fmt::format("{}: {} bytes of activations cannot be kept there: {}", folder,
                                rows * width * int64_t{sizeof(float)}, std::strerror(failed)));
  }
  return store;
}

ActivationStore::ActivationStore(ActivationStore&& other) noexcept {
  *this = std::move(other);
}
ActivationStore& ActivationStore::operator=(ActivationStore&& other) noexcept {
  std::swap(rows_, other.rows_);
  std::swap(width_, other.width_);
  std::swap(created_width_, other.created_width_);
  std::swap(folder_, other.folder_);
  std::swap(memory_, other.memory_);
  std::swap(file_, other.file_);
  return *this;
}
ActivationStore::~ActivationStore() {
  if (file_ >= 0) close(file_);
}

void ActivationStore::reuse(int64_t width) {
  DOVETAIL_CHECK(width >= 0 && width <= created_width_);
  width_ = width;
}

Status ActivationStore::write(int64_t first, int64_t count, const float* x) {
  DOVETAIL_CHECK(first >= 0 && first + count <= rows_);
  if (memory_ != nullptr) {
    float* rows = memory_.get() + first * width_;
    if (x != rows) std::copy_n(x, count * width_, rows);
    return {};
  }
  const auto* bytes = reinterpret_cast<const char*>(x);
  const int64_t row_bytes = width_ * int64_t{sizeof(float)};
  return move_all(folder_, count * row_bytes, first * row_bytes,
                  [&](int64_t done, size_t left, int64_t offset) {
                    return pwrite(file_, bytes + done, left, offset);
                  });
}

Status ActivationStore::read(int64_t first, int64_t count, float* x) const {
  DOVETAIL_CHECK(first >= 0 && first + count <= rows_);
  if (memory_ != nullptr) {
    std::copy_n(memory_.get() + first * width_, count * width_, x);
    return {};
  }
  auto* bytes = reinterpret_cast<char*>(x);
  const int64_t row_bytes = width_ * int64_t{sizeof(float)};
  return move_all(folder_, count * row_bytes, first * row_bytes,
                  [&](int64_t done, size_t left, int64_t offset) {
                    return pread(file_, bytes + done, left, offset);
                  });
}

Result<float*> ActivationStore::fetch(int64_t first, int64_t count, float* scratch) {
  DOVETAIL_CHECK(first >= 0 && first + count <= rows_);
  if (memory_ != nullptr) return memory_.get() + first * width_;
  DOVETAIL_TRY_STATUS(read(first, count, scratch));
  return scratch;
}

}  // namespace dovetail::compress
