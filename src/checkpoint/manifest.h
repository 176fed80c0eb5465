// What a checkpoint says of itself: the recipe, where its weights come from, and digests. The file
// dovetail.json of a folder; the metadata key dovetail.manifest of a GGUF file.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/config.h"
#include "base/result.h"
#include "formats/codec.h"
#include "formats/rounding.h"

namespace dovetail::checkpoint {

inline constexpr int64_t kManifestVersion = 1;
inline constexpr const char* kManifestFile = "dovetail.json";
inline constexpr const char* kManifestKey = "dovetail.manifest";

// What the caller knows and no writer can find out.
struct Provenance {
  std::string source = {};         // model name or path, as the user wrote it
  std::string source_sha256 = {};  // model::weights_digest of the weights that were treated
  std::string text_sha256 = {};    // of the calibration text; empty: none was used
  uint64_t off_grid_seed = 0;  // model/off_grid.h: the permutation of the treated weights; 0: none
  Json details = Json::object();  // whatever else is to be kept: reports of the algorithms
};

struct TensorRecord {
  std::string name = {};    // "model.layers.3.self_attn.q_proj.weight"
  std::string format = {};  // a weight format, or what it is stored as: "F32", "Q4_K"
  std::optional<formats::Rounding> rounding = {};  // of a weight format
  int64_t rows = 1;
  int64_t cols = 0;
  std::string packed_sha256 = {};  // packed_sha256() of a weight format, else of the stored bytes
  std::string decoded_sha256 =
      {};  // values_sha256() of the values that it decodes to, (rows, cols)
};

struct Manifest {
  std::string program = {};  // "dovetail 0.1.0"
  std::string recipe_toml = {};
  Provenance provenance = {};
  std::vector<std::string> notes = {};  // what the layout does not say to other programs
  std::vector<TensorRecord> tensors = {};
};

[[nodiscard]] Json manifest_to_json(const Manifest& manifest);
// `name` stands in front of every error message. Errors: kInvalidArgument.
[[nodiscard]] Result<Manifest> parse_manifest(std::string_view text, const std::string& name);

// The manifest of a folder or a GGUF file; none if the checkpoint has none.
// Errors: kNotFound (no such file), kInvalidArgument.
[[nodiscard]] Result<std::optional<Manifest>> find_manifest(const std::string& path);

// SHA-256 over payload, mask, scales, zero points, row scales, tensor scale (its FP32 bits) and
// levels, each preceded by its length in bytes as a little-endian u64: the same in every container.
[[nodiscard]] std::string packed_sha256(const formats::PackedRows& packed);
// SHA-256 over FP32 values, little-endian.
[[nodiscard]] std::string values_sha256(std::span<const float> values);

}  // namespace dovetail::checkpoint
