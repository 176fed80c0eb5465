// Reader of GGUF v3 files (v2 has the same layout): metadata and the tensor directory, both checked
// against the size of the file before anything is used.
//
// Source of the layout: ggml's docs/gguf.md. Little endian only.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/mapped_file.h"
#include "model/tensor_blocks.h"

namespace dovetail::model {

// One metadata value. Texts are views into the mapped file. Nested arrays are checked, not kept.
struct GgufValue {
  enum class Kind : uint8_t { kInteger, kFloat, kBool, kText, kNumbers, kTexts, kNestedArray };
  Kind kind = Kind::kInteger;
  int64_t integer = 0;  // also a bool as 0 or 1; an unsigned value above 2^63 - 1 is refused
  double number = 0;    // an integer too
  std::string_view text;
  std::vector<double> numbers;  // array of integers, floats or bools
  std::vector<std::string_view> texts;
};

struct GgufTensor {
  TensorType type = TensorType::kF32;
  std::vector<int64_t> dims;  // 1..4, contiguous dimension first, as in the file
  int64_t elements = 0;       // product of dims
  std::span<const uint8_t> bytes;
};

class GgufFile {
 public:
  [[nodiscard]] const std::string& path() const { return file_->path(); }
  [[nodiscard]] const std::map<std::string, GgufValue, std::less<>>& metadata() const {
    return metadata_;
  }
  [[nodiscard]] const std::map<std::string, GgufTensor, std::less<>>& tensors() const {
    return tensors_;
  }

  void release_pages() const { file_->release_pages(); }

  // Typed look-up; errors name file, key and what was wanted. The optional forms return nothing
  // for an absent key and an error for a wrong type.
  [[nodiscard]] Result<std::optional<int64_t>> find_integer(std::string_view key) const;
  [[nodiscard]] Result<std::optional<bool>> find_bool(std::string_view key) const;
  [[nodiscard]] Result<std::optional<double>> find_number(std::string_view key) const;
  [[nodiscard]] Result<std::optional<std::string_view>> find_text(std::string_view key) const;
  [[nodiscard]] Result<int64_t> integer(std::string_view key) const;
  [[nodiscard]] Result<double> number(std::string_view key) const;
  [[nodiscard]] Result<std::string_view> text(std::string_view key) const;
  // Null if absent or of another kind.
  [[nodiscard]] const std::vector<std::string_view>* find_texts(std::string_view key) const;
  [[nodiscard]] const std::vector<double>* find_numbers(std::string_view key) const;

 private:
  std::shared_ptr<const MappedFile> file_;
  std::map<std::string, GgufValue, std::less<>> metadata_;
  std::map<std::string, GgufTensor, std::less<>> tensors_;
  friend Result<GgufFile> open_gguf(const std::string& path);
};

// True if the file begins with the four letters GGUF.
[[nodiscard]] bool looks_like_gguf(const std::string& path);

// Errors: kNotFound, kInvalidArgument (what is wrong, at which byte or key, what was wanted).
[[nodiscard]] Result<GgufFile> open_gguf(const std::string& path);

}  // namespace dovetail::model
