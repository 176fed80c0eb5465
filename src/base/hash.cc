#include "base/hash.h"

#include <array>
#include <fstream>
#include <vector>

#include <fmt/format.h>
#include <openssl/evp.h>

namespace dovetail {

void Sha256::Free::operator()(evp_md_ctx_st* context) const {
  EVP_MD_CTX_free(context);
}

Sha256::Sha256() : context_(EVP_MD_CTX_new()) {
  DOVETAIL_CHECK(context_ != nullptr);
  DOVETAIL_CHECK(EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) == 1);
}

void Sha256::update(const void* bytes, size_t size) {
  DOVETAIL_CHECK(EVP_DigestUpdate(context_.get(), bytes, size) == 1);
}

std::string Sha256::hex() {
  std::array<unsigned char, 32> sum;
  DOVETAIL_CHECK(EVP_DigestFinal_ex(context_.get(), sum.data(), nullptr) == 1);
  return fmt::format("{:02x}", fmt::join(sum, ""));
}

std::string sha256_hex(std::string_view text) {
  Sha256 hash;
  hash.update(text);
  return hash.hex();
}

Result<std::string> sha256_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return not_found(fmt::format("{}: cannot be opened", path));
  Sha256 hash;
  std::vector<char> chunk(1 << 20);
  while (file) {
    file.read(chunk.data(), static_cast<std::streamsize>(chunk.size()));
    hash.update(chunk.data(), static_cast<size_t>(file.gcount()));
  }
  if (file.bad()) return io_error(fmt::format("{}: could not be read to its end", path));
  return hash.hex();
}

}  // namespace dovetail
