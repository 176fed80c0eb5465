// Text to the ids of a SentencePiece model, through its library in a process of its own
// (piece_main.cc).
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/piece_model.h"

namespace dovetail::model {

class PieceEncoder {
 public:
  // Errors: kInvalidArgument with what the library says about the model; kUnavailable if the
  // program dovetail_pieces is not beside this one.
  [[nodiscard]] static Result<PieceEncoder> create(const PieceModel& model);
  PieceEncoder(PieceEncoder&&) noexcept;
  ~PieceEncoder();

  // `at_start`: the model's space stands before the text, if it has one. Bytes that are not UTF-8
  // become the pieces of single bytes, or the unknown one.
  void append(std::string_view text, bool at_start, std::vector<int32_t>& ids) const;

 private:
  struct Impl;
  explicit PieceEncoder(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace dovetail::model
