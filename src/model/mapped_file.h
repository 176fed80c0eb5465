// A read-only memory-mapped file that stays mapped as long as somebody holds it.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace dovetail::model {

class MappedFile {
 public:
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile();

  [[nodiscard]] std::span<const uint8_t> bytes() const { return {start_, size_}; }
  [[nodiscard]] std::string_view text() const {
    return {reinterpret_cast<const char*>(start_), size_};
  }
  [[nodiscard]] const std::string& path() const { return path_; }
  // The pages that were read leave this process's memory; reading them again loads them again.
  void release_pages() const;

 private:
  MappedFile(std::string path, const uint8_t* start, size_t size)
      : path_(std::move(path)), start_(start), size_(size) {}
  std::string path_;
  const uint8_t* start_;  // null when the file is empty
  size_t size_;
  friend Result<std::shared_ptr<const MappedFile>> map_file(const std::string& path);
};

// Errors: kNotFound if there is no such file, kInvalidArgument if it is not a regular file, kIo.
[[nodiscard]] Result<std::shared_ptr<const MappedFile>> map_file(const std::string& path);

}  // namespace dovetail::model
