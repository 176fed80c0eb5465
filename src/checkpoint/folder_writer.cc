#include "checkpoint/folder_writer.h"

#include <algorithm>
#include <bit>
#include <filesystem>
#include <map>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "base/hash.h"
#include "base/paths.h"
#include "checkpoint/model_tensors.h"
#include "checkpoint/packed_tensors.h"
#include "checkpoint/plain_values.h"
#include "checkpoint/safetensors_writer.h"
#include "checkpoint/source_files.h"
#include "checkpoint/staged_output.h"
#include "checkpoint/tensor_list.h"
#include "model/compressed_tensors.h"
#include "model/tensor_blocks.h"

namespace dovetail::checkpoint {
namespace {

constexpr int64_t kPartsPerTensor = 4;

// One group of quantization_config: how weights are stored and what meets them.
struct ConfigGroup {
  PackedLayout layout;
  Json activations;
  std::vector<std::string> targets;
};

std::string hash_of_bytes(const std::vector<uint8_t>& bytes) {
  Sha256 hash;
  hash.update(bytes.data(), bytes.size());
  return hash.hex();
}

int64_t folder_bytes(const std::string& folder) {
  int64_t bytes = 0;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(folder, ignored))
    bytes += static_cast<int64_t>(entry.file_size(ignored));
  return bytes;
}

}  // namespace

struct FolderWriter::Impl {
  WriteRequest request;
  StagedOutput staged;
  TensorList list;
  std::map<std::string, PackedLayout> layouts;  // by tensor
  SafetensorsWriter writer;
  std::map<std::string, std::string> header_texts;
  std::map<std::string, std::vector<float>> tensor_scales;  // NVFP4, by site

  bool head_is_written_twice() const {
    return request.shape.tied_embedding && layouts.contains(kHeadName);
  }

  Status write_packed(const std::string& module, const PackedLayout& layout,
                      const formats::PackedRows& packed) {
    for (PackedPart& part : to_parts(layout, packed)) {
      DOVETAIL_TRY_STATUS(writer.add({.name = module + "." + part.suffix,
                                      .dtype = part.dtype,
                                      .dims = part.dims,
                                      .bytes = std::move(part.bytes)}));
    }
    if (packed.format.scale == formats::ScaleType::kE4m3) {
      header_texts[std::string(model::kTensorScaleKey) + module] =
          fmt::format("{:08x}", std::bit_cast<uint32_t>(packed.tensor_scale));
    }
    return {};
  }

  Status write_decoded_embedding(int64_t rows, int64_t cols, const std::vector<float>& values) {
    DOVETAIL_TRY(PlainBytes plain, plain_bytes(kEmbeddingName, values, PlainType::kExact, false));
    return writer.add({.name = kEmbeddingName,
                       .dtype = std::string(model::facts_of(plain.type).name),
                       .dims = {rows, cols},
                       .bytes = std::move(plain.bytes)});
  }

  std::vector<ConfigGroup> config_groups() const {
    std::map<std::string, ConfigGroup> groups;
    for (const ModelTensor& tensor : list.tensors()) {
      const auto found = layouts.find(tensor.name);
      if (found == layouts.end()) continue;
      const Json activations = activation_args(tensor.treatment->activation);
      ConfigGroup& group =
          groups[found->second.format + found->second.weights.dump() + activations.dump()];
      group.layout = found->second;
      group.activations = activations;
      group.targets.push_back(module_of(tensor.name));
    }
    std::vector<ConfigGroup> listed;
    for (auto& [key, group] : groups) listed.push_back(std::move(group));
    return listed;
  }

  std::vector<std::string> untreated_linears() const {
    std::vector<std::string> names;
    for (const ModelTensor& tensor : list.tensors())
      if (tensor.treatment.has_value() && !tensor.is_treated())
        names.push_back(module_of(tensor.name));
    if (request.shape.tied_embedding && !layouts.contains(kHeadName)) names.emplace_back("lm_head");
    return names;
  }

  Json quantization_config() const {
    std::vector<ConfigGroup> groups = config_groups();
    const std::vector<std::string> ignored = untreated_linears();
    // All linears of the blocks alike: their class says it shorter, and the head is ignored.
    const bool only_head_is_left =
        ignored.empty() || (ignored.size() == 1 && ignored[0] == "lm_head");
    if (groups.size() == 1 && only_head_is_left) groups[0].targets = {"Linear"};
    Json listed = Json::object();
    std::string format = groups.front().layout.format;
    for (size_t i = 0; i < groups.size(); ++i) {
      if (groups[i].layout.format != format) format = "mixed-precision";
      listed[fmt::format("group_{}", i)] = {{"targets", groups[i].targets},
                                            {"weights", groups[i].layout.weights},
                                            {"input_activations", groups[i].activations},
                                            {"output_activations", nullptr},
                                            {"format", groups[i].layout.format}};
    }
    return Json{{"quant_method", "compressed-tensors"},
                {"format", format},
                {"quantization_status", "compressed"},
                {"config_groups", listed},
                {"ignore", ignored},
                {"kv_cache_scheme", nullptr},
                {"global_compression_ratio", nullptr}};
  }

  std::vector<std::string> notes() const {
    std::vector<std::string> notes = runtime_notes(request.recipe, true);
    if (head_is_written_twice()) {
      notes.emplace_back(
          "the tied head is written twice, packed as lm_head and decoded as model.embed_tokens: "
          "the "
          "layout has no packed embedding");
    }
    const bool unequal = std::ranges::any_of(tensor_scales, [](const auto& site) {
      return std::ranges::adjacent_find(site.second, std::not_equal_to{}) != site.second.end();
    });
    if (unequal) {
      notes.emplace_back(
          "matrices of one site have different NVFP4 tensor scales: programs that fuse q, k, v or "
          "gate, up and want one will round anew");
    }
    return notes;
  }

  Status write_config() const {
    model::ModelShape shape = request.shape;
    if (head_is_written_twice()) shape.tied_embedding = false;
    DOVETAIL_TRY(Json config, config_json(request.source, shape));
    if (!layouts.empty()) config["quantization_config"] = quantization_config();
    return write_text_file(staged.path() + "/config.json", config.dump(2) + "\n");
  }

  Status write_manifest() const {
    const Manifest manifest{.program = fmt::format("dovetail {}", DOVETAIL_VERSION),
                            .recipe_toml = recipe::recipe_to_toml(request.recipe),
                            .provenance = request.provenance,
                            .notes = notes(),
                            .tensors = list.records()};
    return write_text_file(staged.path() + "/" + kManifestFile,
                           manifest_to_json(manifest).dump(1) + "\n");
  }
};

FolderWriter::FolderWriter(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
FolderWriter::FolderWriter(FolderWriter&&) noexcept = default;
FolderWriter::~FolderWriter() = default;

Result<FolderWriter> FolderWriter::create(WriteRequest request) {
  DOVETAIL_TRY(std::vector<ModelTensor> tensors, model_tensors(request.shape, request.recipe));
  std::map<std::string, PackedLayout> layouts;
  for (const ModelTensor& tensor : tensors) {
    if (!tensor.is_treated()) continue;
    DOVETAIL_TRY(PackedLayout layout, packed_layout(tensor));
    layouts.emplace(tensor.name, std::move(layout));
  }
  DOVETAIL_TRY(StagedOutput staged, StagedOutput::create_folder(request.out));
  DOVETAIL_TRY_STATUS(write_source_files(request.source, staged.path()));
  const auto max_parts = static_cast<int64_t>(tensors.size() + 1) * kPartsPerTensor;
  SafetensorsWriter writer(staged.path(), max_parts, request.max_shard_bytes);
  return FolderWriter(std::unique_ptr<Impl>(new Impl{.request = std::move(request),
                                                     .staged = std::move(staged),
                                                     .list = TensorList(std::move(tensors)),
                                                     .layouts = std::move(layouts),
                                                     .writer = std::move(writer),
                                                     .header_texts = {},
                                                     .tensor_scales = {}}));
}

Status FolderWriter::add_linear(const std::string& name, const formats::PackedRows& packed,
                                const formats::Rounding& rounding) {
  DOVETAIL_TRY(const std::vector<float> values, impl_->list.add_packed(name, packed, rounding));
  const auto layout = impl_->layouts.find(name);
  DOVETAIL_CHECK(layout != impl_->layouts.end());
  for (const ModelTensor& tensor : impl_->list.tensors()) {
    if (tensor.name == name && packed.format.scale == formats::ScaleType::kE4m3)
      impl_->tensor_scales[tensor.site].push_back(packed.tensor_scale);
  }
  DOVETAIL_TRY_STATUS(impl_->write_packed(module_of(name), layout->second, packed));
  if (name == kHeadName && impl_->head_is_written_twice())
    return impl_->write_decoded_embedding(packed.rows, packed.k, values);
  return {};
}

Status FolderWriter::add_plain(const std::string& name, std::span<const float> values,
                               PlainType type) {
  DOVETAIL_TRY(const ModelTensor* tensor, impl_->list.take_values(name, values, false));
  DOVETAIL_TRY(PlainBytes plain, plain_bytes(name, values, type, false));
  const std::string dtype(model::facts_of(plain.type).name);
  impl_->list.record({.name = name,
                      .format = dtype,
                      .rounding = {},
                      .rows = tensor->rows,
                      .cols = tensor->cols,
                      .packed_sha256 = hash_of_bytes(plain.bytes),
                      .decoded_sha256 = values_sha256(plain.decoded)});
  std::vector<int64_t> dims = {tensor->rows, tensor->cols};
  if (tensor->is_vector) dims = {tensor->cols};
  return impl_->writer.add(
      {.name = name, .dtype = dtype, .dims = dims, .bytes = std::move(plain.bytes)});
}

Result<WriteSummary> FolderWriter::finish() {
  DOVETAIL_TRY_STATUS(impl_->list.check_complete());
  DOVETAIL_TRY_STATUS(impl_->writer.finish(impl_->header_texts));
  DOVETAIL_TRY_STATUS(impl_->write_config());
  DOVETAIL_TRY_STATUS(impl_->write_manifest());
  DOVETAIL_TRY_STATUS(impl_->staged.publish());
  return WriteSummary{.path = impl_->staged.out(),
                      .bytes = folder_bytes(impl_->staged.out()),
                      .notes = impl_->notes()};
}

}  // namespace dovetail::checkpoint
