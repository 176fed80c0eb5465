// Writes a Hugging Face folder in compressed-tensors layout: sharded safetensors, config.json with
// its quantization_config, tokenizer, dovetail.json.
//
// Streams: memory holds one tensor. Written aside and renamed at the end (staged_output.h): after
// a kill there is no folder, and the next writer starts anew.
//
// A tied head that is treated has no words in this layout, which knows packed linears and no packed
// embeddings: it is written twice, packed as lm_head and decoded as model.embed_tokens, and
// config.json says that they are not tied. The function is the same; a note says so.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "checkpoint/manifest.h"
#include "formats/codec.h"
#include "formats/rounding.h"
#include "model/model.h"
#include "recipe/site.h"

namespace dovetail::checkpoint {

struct WriteRequest {
  std::string out = {};     // must not exist
  model::ModelShape shape;  // of the weights that are written
  std::string source = {};  // where config and tokenizer come from: a Hugging Face folder, a GGUF
                            // file, or empty
  recipe::Recipe recipe;    // what was done to the weights
  Provenance provenance;
  int64_t max_shard_bytes = int64_t{4} << 30;  // folders
};

struct WriteSummary {
  std::string path = {};
  int64_t bytes = 0;                    // of all files
  std::vector<std::string> notes = {};  // what other programs are not told; also in the manifest
};

// How values that have no format are stored.
enum class PlainType : uint8_t {
  kExact,  // the first of BF16 (GGUF: F16), F16 (BF16), F32 that holds them all without rounding
  kBf16,   // rounds to nearest even
  kF16,    // the same; an overflow is an error
  kF32,
};

class FolderWriter {
 public:
  FolderWriter(FolderWriter&&) noexcept;
  ~FolderWriter();  // removes what was not finished

  // Errors, before anything is written: kInvalidArgument if `out` exists, naming site, format and
  // what could be written instead if the layout cannot express one, or the recipe does not fit;
  // kIo.
  [[nodiscard]] static Result<FolderWriter> create(WriteRequest request);

  // A treated matrix: name of model_tensors.h. Errors: kInvalidArgument, kIo.
  [[nodiscard]] Status add_linear(const std::string& name, const formats::PackedRows& packed,
                                  const formats::Rounding& rounding);
  // Any other tensor, (rows, cols) values. Errors: kInvalidArgument, kIo.
  [[nodiscard]] Status add_plain(const std::string& name, std::span<const float> values,
                                 PlainType type = PlainType::kExact);
  // Errors: kInvalidArgument naming a tensor that was not given; kIo.
  [[nodiscard]] Result<WriteSummary> finish();

 private:
  struct Impl;
  explicit FolderWriter(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace dovetail::checkpoint
