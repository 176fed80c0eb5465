#include "checkpoint/verify.h"

#include <charconv>
#include <cstring>
#include <filesystem>
#include <map>
#include <memory>
#include <set>
#include <span>

#include <fmt/format.h>

#include "base/hash.h"
#include "checkpoint/gguf_blocks.h"
#include "checkpoint/model_tensors.h"
#include "checkpoint/packed_tensors.h"
#include "formats/unpack.h"
#include "model/compressed_tensors.h"
#include "model/gguf_model.h"
#include "model/hf_config.h"
#include "model/model.h"
#include "recipe/site.h"

namespace dovetail::checkpoint {
namespace {

// The file that stands behind a checkpoint: what a record's tensor is stored as.
class StoredCheckpoint {
 public:
  StoredCheckpoint() = default;
  StoredCheckpoint(const StoredCheckpoint&) = delete;
  StoredCheckpoint& operator=(const StoredCheckpoint&) = delete;
  virtual ~StoredCheckpoint() = default;
  [[nodiscard]] virtual Result<formats::PackedRows> packed(const TensorRecord& record,
                                                           const ModelTensor& tensor) const = 0;
  // Bytes of a tensor without a format, in Hugging Face order.
  [[nodiscard]] virtual Result<std::vector<uint8_t>> bytes(const TensorRecord& record) const = 0;
  // As load_weights reads it.
  [[nodiscard]] virtual Result<std::vector<float>> values(const std::string& name, int64_t rows,
                                                          int64_t cols) const = 0;
  [[nodiscard]] virtual std::set<std::string> names() const = 0;
};

class StoredFolder final : public StoredCheckpoint {
 public:
  StoredFolder(std::unique_ptr<model::SafetensorsSource> raw,
               std::unique_ptr<model::TensorSource> decoded)
      : raw_(std::move(raw)), decoded_(std::move(decoded)) {}

  Result<formats::PackedRows> packed(const TensorRecord& record,
                                     const ModelTensor& tensor) const override {
    DOVETAIL_TRY(const PackedLayout layout, packed_layout(tensor));
    const std::string module = module_of(record.name);
    std::map<std::string, std::vector<uint8_t>> parts;
    for (const char* suffix : {"weight", "weight_packed", "weight_scale", "weight_zero_point"}) {
      const model::StoredTensor* stored = raw_->find(module + "." + suffix);
      if (stored != nullptr)
        parts.emplace(suffix, std::vector<uint8_t>(stored->bytes.begin(), stored->bytes.end()));
    }
    return from_parts(layout, tensor.treatment->weight, record.rows, record.cols,
                      tensor_scale_of(module), [&](const std::string& suffix) {
                        const auto found = parts.find(suffix);
                        return found == parts.end() ? nullptr : &found->second;
                      });
  }
  Result<std::vector<uint8_t>> bytes(const TensorRecord& record) const override {
    const model::StoredTensor* stored = raw_->find(record.name);
    if (stored == nullptr) return invalid_argument("is missing");
    if (stored->dtype != record.format) {
      return invalid_argument(
          fmt::format("has dtype {}, the manifest says {}", stored->dtype, record.format));
    }
    return std::vector<uint8_t>(stored->bytes.begin(), stored->bytes.end());
  }
  Result<std::vector<float>> values(const std::string& name, int64_t rows,
                                    int64_t cols) const override {
    return decoded_->read(name, rows, cols);
  }
  std::set<std::string> names() const override { return decoded_->names(); }

 private:
  float tensor_scale_of(const std::string& module) const {
    const auto entry = raw_->metadata().find(std::string(model::kTensorScaleKey) + module);
    uint32_t bits = 0x3f800000;
    if (entry != raw_->metadata().end()) {
      const std::string& text = entry->second;
      std::from_chars(text.data(), text.data() + text.size(), bits, 16);
    }
    float scale = 1;
    std::memcpy(&scale, &bits, sizeof(scale));
    return scale;
  }

  std::unique_ptr<model::SafetensorsSource> raw_;
  std::unique_ptr<model::TensorSource> decoded_;
};

class StoredGguf final : public StoredCheckpoint {
 public:
  StoredGguf(model::GgufFile file, model::ModelShape shape)
      : file_(std::move(file)),
        shape_(std::move(shape)),
        decoded_(model::gguf_tensor_source(file_, shape_)) {}

  Result<formats::PackedRows> packed(const TensorRecord& record,
                                     const ModelTensor& tensor) const override {
    DOVETAIL_TRY(const std::vector<uint8_t> blocks, rows_of(record, tensor.name));
    return from_blocks(tensor.treatment->weight, record.rows, record.cols, blocks, record.name);
  }
  Result<std::vector<uint8_t>> bytes(const TensorRecord& record) const override {
    return rows_of(record, record.name);
  }
  Result<std::vector<float>> values(const std::string& name, int64_t rows,
                                    int64_t cols) const override {
    return decoded_->read(stored_name(name), rows, cols);
  }
  std::set<std::string> names() const override { return decoded_->names(); }

 private:
  std::string stored_name(const std::string& name) const {
    return name == kHeadName && shape_.tied_embedding ? kEmbeddingName : name;
  }
  Result<std::vector<uint8_t>> rows_of(const TensorRecord& record, const std::string& name) const {
    const auto entry = file_.tensors().find(model::gguf_name(stored_name(name)));
    if (entry == file_.tensors().end()) return invalid_argument("is missing");
    const std::span<const uint8_t> stored = entry->second.bytes;
    const std::string type(model::facts_of(entry->second.type).name);
    const bool is_type = !record.rounding.has_value();
    if (is_type && type != record.format)
      return invalid_argument(
          fmt::format("has type {}, the manifest says {}", type, record.format));
    std::vector<uint8_t> bytes(stored.begin(), stored.end());
    const bool is_vector = entry->second.dims.size() == 1;
    const int64_t rows = is_vector ? record.cols : record.rows;
    if (!model::has_rotary_rows(shape_, name) || rows < 1 || rows % shape_.head_dim != 0)
      return bytes;
    const size_t row_bytes = stored.size() / static_cast<size_t>(rows);
    for (int64_t row = 0; row < rows; ++row) {
      const auto to = static_cast<size_t>(model::rotary_source_row(row, shape_.head_dim));
      std::memcpy(bytes.data() + to * row_bytes,
                  stored.data() + static_cast<size_t>(row) * row_bytes, row_bytes);
    }
    return bytes;
  }

  model::GgufFile file_;
  model::ModelShape shape_;
  std::unique_ptr<model::TensorSource> decoded_;
};

Result<std::unique_ptr<StoredCheckpoint>> open_stored(const std::string& path) {
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) {
    DOVETAIL_TRY(auto raw, model::open_safetensors_folder(path));
    DOVETAIL_TRY(auto decoded, model::open_folder_tensors(path));
    return std::make_unique<StoredFolder>(std::move(raw), std::move(decoded));
  }
  DOVETAIL_TRY(model::GgufFile file, model::open_gguf(path));
  DOVETAIL_TRY(model::ModelShape shape, model::gguf_shape(file));
  return std::make_unique<StoredGguf>(std::move(file), std::move(shape));
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

// What is wrong with one tensor; empty if nothing is.
Result<std::string> check_packed(const StoredCheckpoint& stored, const TensorRecord& record,
                                 const std::vector<float>& read) {
  DOVETAIL_TRY(const formats::WeightFormat format, formats::parse_weight_format(record.format));
  const ModelTensor tensor{.name = record.name,
                           .rows = record.rows,
                           .cols = record.cols,
                           .treatment = recipe::LinearTreatment{.weight = format}};
  // INT8 and FP8 have a layout of their own where their activations are quantised too.
  std::string problem;
  for (const auto activation :
       {formats::ActivationFormat::kBf16, formats::ActivationFormat::kInt8Token}) {
    ModelTensor tried = tensor;
    tried.treatment->activation = activation;
    const auto packed = stored.packed(record, tried);
    if (!packed.has_value()) {
      problem = packed.error().message;
      continue;
    }
    DOVETAIL_TRY(const std::vector<float> golden, formats::decode_rows(*packed));
    DOVETAIL_TRY(const std::vector<float> quick, formats::unpack_rows(*packed));
    if (packed_sha256(*packed) != record.packed_sha256)
      return "packed codes differ from the digest";
    if (!same_bits(golden, quick)) return "golden codec and quick unpacker decode differently";
    if (!same_bits(golden, read)) return "codec and reader of the file decode differently";
    return std::string();
  }
  return problem;
}

Result<std::string> check_bytes(const StoredCheckpoint& stored, const TensorRecord& record) {
  DOVETAIL_TRY(const std::vector<uint8_t> bytes, stored.bytes(record));
  Sha256 hash;
  hash.update(bytes.data(), bytes.size());
  return hash.hex() == record.packed_sha256 ? "" : "stored bytes differ from the digest";
}

Result<std::string> check_tensor(const StoredCheckpoint& stored, const TensorRecord& record) {
  DOVETAIL_TRY(const std::vector<float> read, stored.values(record.name, record.rows, record.cols));
  DOVETAIL_TRY(const std::string problem, record.rounding.has_value()
                                              ? check_packed(stored, record, read)
                                              : check_bytes(stored, record));
  if (!problem.empty()) return problem;
  if (values_sha256(read) != record.decoded_sha256) return "decoded values differ from the digest";
  return std::string();
}

// A tied head that is packed stands a second time, decoded, as the embedding.
std::string check_second_copy(const StoredCheckpoint& stored, const TensorRecord& head) {
  const auto copy = stored.values(kEmbeddingName, head.rows, head.cols);
  if (!copy.has_value()) return copy.error().message;
  return values_sha256(*copy) == head.decoded_sha256 ? "" : "differs from the packed head";
}

}  // namespace

Result<VerifyReport> verify_checkpoint(const std::string& path) {
  DOVETAIL_TRY(std::optional<Manifest> manifest, find_manifest(path));
  if (!manifest.has_value()) {
    return invalid_argument(
        fmt::format("{}: has no {} or metadata {}: nothing says what it should hold", path,
                    kManifestFile, kManifestKey));
  }
  DOVETAIL_TRY(const std::unique_ptr<StoredCheckpoint> stored, open_stored(path));
  VerifyReport report{.manifest = std::move(*manifest), .failures = {}};
  std::set<std::string> left = stored->names();
  const TensorRecord* head = nullptr;
  for (const TensorRecord& record : report.manifest.tensors) {
    ++report.tensors;
    left.erase(record.name);
    if (record.name == kHeadName) head = &record;
    const auto problem = check_tensor(*stored, record);
    const std::string text = problem.has_value() ? *problem : problem.error().message;
    if (!text.empty()) report.failures.push_back({record.name, text});
  }
  if (left.erase(kEmbeddingName) > 0 && head != nullptr) {
    const std::string text = check_second_copy(*stored, *head);
    if (!text.empty()) report.failures.push_back({kEmbeddingName, text});
  }
  for (const std::string& name : left) report.failures.push_back({name, "is not in the manifest"});
  return report;
}

}  // namespace dovetail::checkpoint
