// Reader of safetensors files: one file, or shards listed by model.safetensors.index.json.
//
// Source of the layout: huggingface/safetensors, README "Format": u64 header length, JSON header,
// data; offsets are relative to the data, without holes or overlaps.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "model/tensor_source.h"

namespace dovetail::model {

// folder: holds model.safetensors, or model.safetensors.index.json and its shards.
// Element types F32, F16, BF16; another type is an error only when that tensor is read.
// Errors: kNotFound, kInvalidArgument naming the file and the tensor.
[[nodiscard]] Result<std::unique_ptr<TensorSource>> open_safetensors_folder(
    const std::string& folder);

}  // namespace dovetail::model
