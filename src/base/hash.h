// SHA-256 (FIPS 180-4) by OpenSSL, which knows the processor's own instructions for it: keys of
// stored results, sums of fetched files, digests of tensors.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

struct evp_md_ctx_st;

namespace dovetail {

class Sha256 {
 public:
  Sha256();
  void update(const void* bytes, size_t size);
  void update(std::string_view text) { update(text.data(), text.size()); }
  [[nodiscard]] std::string hex();  // 64 lower-case digits; ends the hash

 private:
  struct Free {
    void operator()(evp_md_ctx_st* context) const;
  };
  std::unique_ptr<evp_md_ctx_st, Free> context_;
};

[[nodiscard]] std::string sha256_hex(std::string_view text);
// Errors: kNotFound, kIo.
[[nodiscard]] Result<std::string> sha256_file(const std::string& path);

}  // namespace dovetail
