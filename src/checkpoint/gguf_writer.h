// Writes a GGUF file: metadata, vocabulary and tensors, one at a time, in llama.cpp's naming and
// row order, with the manifest under "dovetail.manifest".
//
// Streams: memory holds one tensor. Directory and manifest stand in front of the data and are known
// last, so room is left for them and filled with blanks behind the manifest's JSON. Written aside
// and renamed at the end (staged_output.h): after a kill there is no file, and the next writer
// starts anew.
//
// Activation, key and value formats have no words in GGUF: llama.cpp runs with its own.
//
// Source of the layout: ggml's docs/gguf.md; llama.cpp, gguf-py (0.19.0).
#pragma once

#include <memory>
#include <span>
#include <string>

#include "base/result.h"
#include "checkpoint/folder_writer.h"
#include "formats/codec.h"
#include "formats/rounding.h"
#include "model/tensor_blocks.h"

namespace dovetail::checkpoint {

class GgufWriter {
 public:
  GgufWriter(GgufWriter&&) noexcept;
  ~GgufWriter();  // removes what was not finished

  // request.out: a file. Errors, before anything is written: kInvalidArgument if it exists, naming
  // site, format and what could be written instead if GGUF has no type for one, or the recipe does
  // not fit; kIo.
  [[nodiscard]] static Result<GgufWriter> create(WriteRequest request);

  // A treated matrix, code by code (gguf_blocks.h). Errors: kInvalidArgument, kIo.
  [[nodiscard]] Status add_linear(const std::string& name, const formats::PackedRows& packed,
                                  const formats::Rounding& rounding);
  // A matrix that the recipe does not treat, as a GGUF type (block_encoders.h): whole-model exports
  // have the recipe bf16. importance: (cols) or null. Errors: kInvalidArgument, kIo.
  [[nodiscard]] Status add_encoded(const std::string& name, std::span<const float> values,
                                   model::TensorType type, const float* importance = nullptr);
  // Any other tensor; vectors are always F32, as llama.cpp wants them. Errors: as add_encoded.
  [[nodiscard]] Status add_plain(const std::string& name, std::span<const float> values,
                                 PlainType type = PlainType::kExact);
  // Errors: kInvalidArgument naming a tensor that was not given; kIo.
  [[nodiscard]] Result<WriteSummary> finish();

 private:
  struct Impl;
  explicit GgufWriter(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace dovetail::checkpoint
