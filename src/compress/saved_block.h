// A finished piece of a compression on disk: packed matrices, other tensors, reports. What is
// written is on disk before it has its name, and ends in its SHA-256: a piece is whole or absent.
#pragma once

#include <string>
#include <vector>

#include "base/config.h"
#include "base/result.h"
#include "formats/codec.h"

namespace dovetail::compress {

struct SavedBlock {
  struct Packed {
    std::string name;  // "model.layers.3.mlp.down_proj.weight"
    formats::PackedRows rows;
  };
  struct Plain {
    std::string name;
    std::vector<float> values;
  };
  std::vector<Packed> packed;
  std::vector<Plain> plain;
  Json notes = Json::object();  // reports; whatever the writer wants back
};

// Errors: kIo naming the file.
[[nodiscard]] Status save_block(const std::string& path, const SavedBlock& block);
// Errors: kNotFound; kInvalidArgument naming the file (its sum is wrong, or it is none of these).
[[nodiscard]] Result<SavedBlock> load_block(const std::string& path);

}  // namespace dovetail::compress
