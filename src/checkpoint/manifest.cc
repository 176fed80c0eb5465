#include "checkpoint/manifest.h"

#include <filesystem>

#include <fmt/format.h>

#include "base/hash.h"
#include "base/json_text.h"
#include "base/paths.h"
#include "model/gguf.h"

namespace dovetail::checkpoint {
namespace {

constexpr int64_t kMaxManifestBytes = int64_t{256} << 20;

template <typename T>
void hash_part(Sha256& hash, const T* values, size_t count) {
  const uint64_t bytes = count * sizeof(T);
  hash.update(&bytes, sizeof(bytes));
  hash.update(values, bytes);
}

Result<std::string> text_at(const Json& object, const char* key, const std::string& where) {
  if (object.is_object() && object.contains(key) && object[key].is_string())
    return object[key].get<std::string>();
  return invalid_argument(fmt::format("{}: {} is missing or no text", where, key));
}

Result<int64_t> count_at(const Json& object, const char* key, const std::string& where) {
  if (object.contains(key) && object[key].is_number_unsigned() &&
      object[key].get<uint64_t>() <= uint64_t{formats::kMaxPackedElements})
    return object[key].get<int64_t>();
  return invalid_argument(fmt::format("{}: {} is missing or no count up to {}", where, key,
                                      formats::kMaxPackedElements));
}

Result<formats::Rounding> parse_rounding(const Json& entry, const std::string& where) {
  formats::Rounding rounding;
  DOVETAIL_TRY(const std::string scale, text_at(entry, "scale", where));
  DOVETAIL_TRY(const std::string ties, text_at(entry, "ties", where));
  DOVETAIL_TRY(const std::string zero_block, text_at(entry, "zero_block", where));
  DOVETAIL_TRY(rounding.scale, formats::parse_scale_rule(scale));
  DOVETAIL_TRY(rounding.ties, formats::parse_ties(ties));
  DOVETAIL_TRY(rounding.zero_block, formats::parse_zero_block(zero_block));
  return rounding;
}

Result<TensorRecord> parse_record(const Json& entry, const std::string& where) {
  TensorRecord record;
  DOVETAIL_TRY(record.name, text_at(entry, "name", where));
  const std::string at = where + ": " + record.name;
  DOVETAIL_TRY(record.format, text_at(entry, "format", at));
  DOVETAIL_TRY(record.rows, count_at(entry, "rows", at));
  DOVETAIL_TRY(record.cols, count_at(entry, "cols", at));
  DOVETAIL_TRY(record.packed_sha256, text_at(entry, "packed_sha256", at));
  DOVETAIL_TRY(record.decoded_sha256, text_at(entry, "decoded_sha256", at));
  if (entry.contains("rounding")) {
    DOVETAIL_TRY(record.rounding, parse_rounding(entry["rounding"], at + ": rounding"));
  }
  return record;
}

Result<Provenance> parse_provenance(const Json& json, const std::string& name) {
  Provenance made;
  const std::string where = name + ": provenance";
  if (!json.contains("provenance")) return invalid_argument(where + " is missing");
  const Json& entry = json["provenance"];
  DOVETAIL_TRY(made.source, text_at(entry, "source", where));
  DOVETAIL_TRY(made.source_sha256, text_at(entry, "source_sha256", where));
  DOVETAIL_TRY(made.text_sha256, text_at(entry, "text_sha256", where));
  if (!entry.contains("off_grid_seed") || !entry["off_grid_seed"].is_number_unsigned())
    return invalid_argument(where + ".off_grid_seed is missing or no count");
  made.off_grid_seed = entry["off_grid_seed"].get<uint64_t>();
  if (entry.contains("details")) made.details = entry["details"];
  return made;
}

}  // namespace

Json manifest_to_json(const Manifest& manifest) {
  Json tensors = Json::array();
  for (const TensorRecord& record : manifest.tensors) {
    Json entry = {{"name", record.name},
                  {"format", record.format},
                  {"rows", record.rows},
                  {"cols", record.cols}};
    if (record.rounding.has_value()) {
      entry["rounding"] = {{"scale", formats::rule_name(record.rounding->scale)},
                           {"ties", formats::rule_name(record.rounding->ties)},
                           {"zero_block", formats::rule_name(record.rounding->zero_block)}};
    }
    entry["packed_sha256"] = record.packed_sha256;
    entry["decoded_sha256"] = record.decoded_sha256;
    tensors.push_back(std::move(entry));
  }
  const Provenance& p = manifest.provenance;
  return Json{{"schema_version", kManifestVersion},
              {"program", manifest.program},
              {"recipe_toml", manifest.recipe_toml},
              {"provenance",
               {{"source", p.source},
                {"source_sha256", p.source_sha256},
                {"text_sha256", p.text_sha256},
                {"off_grid_seed", p.off_grid_seed},
                {"details", p.details}}},
              {"notes", manifest.notes},
              {"tensors", std::move(tensors)}};
}

Result<Manifest> parse_manifest(std::string_view text, const std::string& name) {
  DOVETAIL_TRY(const Json json, parse_json(text, name));
  if (!json.is_object()) return invalid_argument(name + ": want one JSON object");
  if (!json.contains("schema_version") || json["schema_version"] != kManifestVersion) {
    return invalid_argument(
        fmt::format("{}: schema_version is missing or not {}: written by "
                    "another version of the program",
                    name, kManifestVersion));
  }
  Manifest made;
  DOVETAIL_TRY(made.program, text_at(json, "program", name));
  DOVETAIL_TRY(made.recipe_toml, text_at(json, "recipe_toml", name));
  DOVETAIL_TRY(made.provenance, parse_provenance(json, name));
  if (!json.contains("tensors") || !json["tensors"].is_array())
    return invalid_argument(name + ": tensors is missing or no list");
  for (const Json& entry : json["tensors"]) {
    DOVETAIL_TRY(TensorRecord record, parse_record(entry, name));
    made.tensors.push_back(std::move(record));
  }
  if (json.contains("notes") && json["notes"].is_array()) {
    for (const Json& note : json["notes"])
      if (note.is_string()) made.notes.push_back(note.get<std::string>());
  }
  return made;
}

Result<std::optional<Manifest>> find_manifest(const std::string& path) {
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) return not_found(path + ": no such file or folder");
  if (std::filesystem::is_directory(path, ignored)) {
    const std::string file = path + "/" + kManifestFile;
    if (!std::filesystem::exists(file, ignored)) return std::nullopt;
    DOVETAIL_TRY(const std::string text, read_text_file(file, kMaxManifestBytes));
    return parse_manifest(text, file);
  }
  if (!model::looks_like_gguf(path)) return std::nullopt;
  DOVETAIL_TRY(const model::GgufFile file, model::open_gguf(path));
  DOVETAIL_TRY(const auto text, file.find_text(kManifestKey));
  if (!text.has_value()) return std::nullopt;
  return parse_manifest(*text, fmt::format("{}: {}", path, kManifestKey));
}

std::string packed_sha256(const formats::PackedRows& packed) {
  Sha256 hash;
  hash_part(hash, packed.payload.data(), packed.payload.size());
  hash_part(hash, packed.mask.data(), packed.mask.size());
  hash_part(hash, packed.scales.data(), packed.scales.size());
  hash_part(hash, packed.zeros.data(), packed.zeros.size());
  hash_part(hash, packed.row_scales.data(), packed.row_scales.size());
  hash_part(hash, &packed.tensor_scale, 1);
  hash_part(hash, packed.levels.data(), packed.levels.size());
  return hash.hex();
}

std::string values_sha256(std::span<const float> values) {
  Sha256 hash;
  hash.update(values.data(), values.size_bytes());
  return hash.hex();
}

}  // namespace dovetail::checkpoint
