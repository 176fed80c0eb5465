// Reader of safetensors files: one file, or shards listed by model.safetensors.index.json.
//
// Source of the layout: huggingface/safetensors, README "Format": u64 header length, JSON header,
// data; offsets are relative to the data, without holes or overlaps.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "model/tensor_source.h"

namespace dovetail::model {

// One tensor as it is stored; its bytes are exactly as long as dims and dtype say.
struct StoredTensor {
  std::string file;
  std::string dtype;  // "F32", "I32", "F8_E4M3", ...
  std::vector<int64_t> dims;
  std::span<const uint8_t> bytes;
};

// The tensors of a folder; their bytes are mapped as long as this lives.
class SafetensorsSource : public TensorSource {
 public:
  // Null if there is none of that name.
  [[nodiscard]] virtual const StoredTensor* find(const std::string& name) const = 0;
  // Texts that the headers carry under __metadata__.
  [[nodiscard]] virtual const std::map<std::string, std::string>& metadata() const = 0;
};

// folder: holds model.safetensors, or model.safetensors.index.json and its shards.
// Element types F32, F16, BF16; another type is an error only when that tensor is read.
// Errors: kNotFound, kInvalidArgument naming the file and the tensor.
[[nodiscard]] Result<std::unique_ptr<SafetensorsSource>> open_safetensors_folder(
    const std::string& folder);

}  // namespace dovetail::model
