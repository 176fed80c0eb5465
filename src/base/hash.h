// SHA-256: keys of stored results and sums of fetched files.
// Source: FIPS 180-4.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace dovetail {

class Sha256 {
 public:
  Sha256();
  void update(const void* bytes, size_t size);
  void update(std::string_view text) { update(text.data(), text.size()); }
  [[nodiscard]] std::string hex();  // 64 lower-case digits; ends the hash

 private:
  void compress(const uint8_t* block);
  std::array<uint32_t, 8> state_;
  std::array<uint8_t, 64> buffer_{};
  uint64_t total_bytes_ = 0;
};

[[nodiscard]] std::string sha256_hex(std::string_view text);
// Errors: kNotFound, kIo.
[[nodiscard]] Result<std::string> sha256_file(const std::string& path);

}  // namespace dovetail
