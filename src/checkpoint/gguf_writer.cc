#include "checkpoint/gguf_writer.h"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>

#include <fmt/format.h>

#include "base/hash.h"
#include "checkpoint/block_encoders.h"
#include "checkpoint/gguf_blocks.h"
#include "checkpoint/model_tensors.h"
#include "checkpoint/plain_values.h"
#include "checkpoint/staged_output.h"
#include "checkpoint/tensor_list.h"
#include "model/gguf_model.h"
#include "model/rope_scaling.h"
#include "model/tokenizer_export.h"

namespace dovetail::checkpoint {
namespace {

using model::TensorType;

constexpr int64_t kAlignment = 32;
constexpr int64_t kRecordBytes = 640;    // of one tensor in the manifest, at most
constexpr int64_t kDirectoryBytes = 96;  // of one tensor in the directory, at most
constexpr int64_t kFixedBytes = 8192;

enum : uint32_t { kU32 = 4, kI32 = 5, kF32 = 6, kBool = 7, kText = 8, kArray = 9 };

// Bytes of a GGUF file in the order in which they are put.
class GgufBytes {
 public:
  template <typename T>
  void put(T value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof(T));
  }
  void put_text(std::string_view text) {
    put<uint64_t>(text.size());
    bytes_ += text;
  }
  template <typename T>
  void value(const std::string& key, uint32_t type, T number) {
    begin(key);
    put<uint32_t>(type);
    put<T>(number);
  }
  void text(const std::string& key, std::string_view text) {
    begin(key);
    put<uint32_t>(kText);
    put_text(text);
  }
  void texts(const std::string& key, const std::vector<std::string>& list) {
    begin_array(key, kText, list.size());
    for (const std::string& item : list) put_text(item);
  }
  void numbers(const std::string& key, const std::vector<int32_t>& list) {
    begin_array(key, kI32, list.size());
    for (const int32_t item : list) put<int32_t>(item);
  }
  [[nodiscard]] const std::string& bytes() const { return bytes_; }
  [[nodiscard]] uint64_t values() const { return values_; }

 private:
  void begin(const std::string& key) {
    put_text(key);
    ++values_;
  }
  void begin_array(const std::string& key, uint32_t type, size_t count) {
    begin(key);
    put<uint32_t>(kArray);
    put<uint32_t>(type);
    put<uint64_t>(count);
  }
  std::string bytes_;
  uint64_t values_ = 0;
};

void put_shape(const model::ModelShape& s, GgufBytes& out) {
  const std::string arch(model::family_name(s.family));
  const auto count = [&](const char* key, int64_t value) {
    out.value<uint32_t>(arch + key, kU32, static_cast<uint32_t>(value));
  };
  out.text("general.architecture", arch);
  out.text("general.type", "model");
  out.text("general.name", s.name);
  out.value<uint32_t>("general.alignment", kU32, kAlignment);
  out.value<uint32_t>("general.quantization_version", kU32, 2);
  count(".block_count", s.num_layers);
  count(".context_length", s.max_positions);
  count(".embedding_length", s.hidden_size);
  count(".feed_forward_length", s.intermediate_size);
  count(".attention.head_count", s.num_heads);
  count(".attention.head_count_kv", s.num_kv_heads);
  count(".attention.key_length", s.head_dim);
  count(".attention.value_length", s.head_dim);
  count(".rope.dimension_count", s.head_dim);
  count(".vocab_size", s.vocab_size);
  if (const float factor = model::linear_factor(s.rope_divisors); factor != 0 && factor != 1) {
    out.text(arch + ".rope.scaling.type", "linear");
    out.value<float>(arch + ".rope.scaling.factor", kF32, factor);
  }
  out.value<float>(arch + ".rope.freq_base", kF32, static_cast<float>(s.rope_theta));
  out.value<float>(arch + ".attention.layer_norm_rms_epsilon", kF32,
                   static_cast<float>(s.rms_norm_eps));
}

Status put_vocabulary(const std::string& source, const model::ModelShape& shape, GgufBytes& out) {
  if (source.empty()) {
    out.text("tokenizer.ggml.model", "none");
    return {};
  }
  DOVETAIL_TRY(const model::GgufVocabulary vocabulary,
               model::gguf_vocabulary(source, shape.vocab_size));
  out.text("tokenizer.ggml.model", "gpt2");
  out.text("tokenizer.ggml.pre", vocabulary.pre);
  out.texts("tokenizer.ggml.tokens", vocabulary.tokens);
  out.numbers("tokenizer.ggml.token_type", vocabulary.types);
  out.texts("tokenizer.ggml.merges", vocabulary.merges);
  if (vocabulary.bos_id >= 0) {
    out.value<uint32_t>("tokenizer.ggml.bos_token_id", kU32,
                        static_cast<uint32_t>(vocabulary.bos_id));
  }
  if (vocabulary.eos_id >= 0) {
    out.value<uint32_t>("tokenizer.ggml.eos_token_id", kU32,
                        static_cast<uint32_t>(vocabulary.eos_id));
  }
  out.value<uint8_t>("tokenizer.ggml.add_bos_token", kBool, 0);
  out.value<uint8_t>("tokenizer.ggml.add_space_prefix", kBool, 0);
  if (!vocabulary.chat_template.empty())
    out.text("tokenizer.chat_template", vocabulary.chat_template);
  return {};
}

int64_t aligned(int64_t bytes) {
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

std::unexpected<Error> failed(const std::string& path) {
  return io_error(fmt::format("{}: writing failed: {}", path, std::strerror(errno)));
}

}  // namespace

struct GgufWriter::Impl {
  WriteRequest request;
  StagedOutput staged;
  TensorList list;
  GgufBytes metadata;      // without the manifest
  int64_t data_start = 0;  // in the file
  int64_t data_bytes = 0;  // written so far, aligned
  GgufBytes directory = {};
  uint64_t num_tensors = 0;

  [[nodiscard]] Manifest manifest() const {
    return {.program = fmt::format("dovetail {}", DOVETAIL_VERSION),
            .recipe_toml = recipe::recipe_to_toml(request.recipe),
            .provenance = request.provenance,
            .notes = notes(),
            .tensors = list.records()};
  }
  [[nodiscard]] std::vector<std::string> notes() const {
    return runtime_notes(request.recipe, false);
  }

  // Room for header, metadata, manifest and directory.
  [[nodiscard]] int64_t front_bytes() const {
    const auto count = std::ssize(list.tensors());
    const auto fixed = std::ssize(manifest_to_json(manifest()).dump());
    return aligned(std::ssize(metadata.bytes()) + fixed + kFixedBytes +
                   count * (kRecordBytes + kDirectoryBytes));
  }

  // `bytes`: rows of the tensor, in the order of Hugging Face.
  Status write_rows(const ModelTensor& tensor, TensorType type, const std::vector<uint8_t>& bytes) {
    const int64_t rows = tensor.is_vector ? tensor.cols : tensor.rows;
    const auto row_bytes = static_cast<size_t>(std::ssize(bytes) / rows);
    std::vector<uint8_t> stored = bytes;
    if (model::has_rotary_rows(request.shape, tensor.name)) {
      for (int64_t row = 0; row < rows; ++row) {
        const int64_t from = model::rotary_source_row(row, request.shape.head_dim);
        std::memcpy(stored.data() + static_cast<size_t>(row) * row_bytes,
                    bytes.data() + static_cast<size_t>(from) * row_bytes, row_bytes);
      }
    }
    const bool is_head = tensor.name == kHeadName && request.shape.tied_embedding;
    directory.put_text(model::gguf_name(is_head ? kEmbeddingName : tensor.name));
    directory.put<uint32_t>(tensor.is_vector ? 1 : 2);
    directory.put<uint64_t>(static_cast<uint64_t>(tensor.cols));
    if (!tensor.is_vector) directory.put<uint64_t>(static_cast<uint64_t>(tensor.rows));
    directory.put<uint32_t>(model::facts_of(type).ggml_id);
    directory.put<uint64_t>(static_cast<uint64_t>(data_bytes));
    ++num_tensors;
    stored.resize(static_cast<size_t>(aligned(std::ssize(stored))));
    std::ofstream file(staged.path(), std::ios::binary | std::ios::in | std::ios::out);
    file.seekp(data_start + data_bytes);
    file.write(reinterpret_cast<const char*>(stored.data()), std::ssize(stored));
    file.close();
    data_bytes += std::ssize(stored);
    return file ? Status() : Status(failed(staged.path()));
  }

  Status add_values(const ModelTensor& tensor, TensorType type, const std::vector<uint8_t>& bytes) {
    std::vector<float> decoded(static_cast<size_t>(tensor.rows * tensor.cols));
    model::decode_blocks(type, bytes, decoded);
    Sha256 hash;
    hash.update(bytes.data(), bytes.size());
    list.record({.name = tensor.name,
                 .format = std::string(model::facts_of(type).name),
                 .rounding = {},
                 .rows = tensor.rows,
                 .cols = tensor.cols,
                 .packed_sha256 = hash.hex(),
                 .decoded_sha256 = values_sha256(decoded)});
    return write_rows(tensor, type, bytes);
  }

  // Divisors of rotary frequencies that differ have no key, but a tensor.
  Status write_rope_divisors() {
    const std::vector<float>& divisors = request.shape.rope_divisors;
    if (model::linear_factor(divisors) != 0) return {};
    std::vector<uint8_t> bytes(divisors.size() * sizeof(float));
    std::memcpy(bytes.data(), divisors.data(), bytes.size());
    return write_rows({.name = model::kRopeDivisorsName,
                       .cols = std::ssize(divisors),
                       .is_vector = true,
                       .treatment = {}},
                      TensorType::kF32, bytes);
  }

  // Fills the front of the file exactly: the manifest's text ends in blanks.
  Status write_front() {
    GgufBytes head;
    head.put<uint32_t>(0x46554747);  // "GGUF"
    head.put<uint32_t>(3);
    head.put<uint64_t>(num_tensors);
    head.put<uint64_t>(metadata.values() + 1);
    std::string text = manifest_to_json(manifest()).dump();
    const int64_t key_bytes = 8 + std::ssize(std::string(kManifestKey)) + 4 + 8;
    const int64_t rest = data_start - std::ssize(head.bytes()) - std::ssize(metadata.bytes()) -
                         key_bytes - std::ssize(directory.bytes());
    DOVETAIL_CHECK(rest >= std::ssize(text));
    text.resize(static_cast<size_t>(rest), ' ');
    GgufBytes last;
    last.text(kManifestKey, text);
    std::ofstream file(staged.path(), std::ios::binary | std::ios::in | std::ios::out);
    file << head.bytes() << metadata.bytes() << last.bytes() << directory.bytes();
    file.close();
    return file ? Status() : Status(failed(staged.path()));
  }
};

GgufWriter::GgufWriter(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
GgufWriter::GgufWriter(GgufWriter&&) noexcept = default;
GgufWriter::~GgufWriter() = default;

Result<GgufWriter> GgufWriter::create(WriteRequest request) {
  DOVETAIL_TRY_STATUS(check_runs_elsewhere(request.recipe));
  DOVETAIL_TRY(std::vector<ModelTensor> tensors, model_tensors(request.shape, request.recipe));
  for (const ModelTensor& tensor : tensors) {
    if (!tensor.is_treated()) continue;
    const std::string where = fmt::format("{}: {}", tensor.site, module_of(tensor.name));
    DOVETAIL_TRY([[maybe_unused]] const TensorType type,
                 gguf_type_of(tensor.treatment->weight, tensor.cols, where));
  }
  if (request.shape.family != model::Family::kLlama &&
      model::linear_factor(request.shape.rope_divisors) == 0) {
    return invalid_argument(
        fmt::format("{}: GGUF has no form for llama3 rotary scaling in the {} family; a folder has",
                    request.shape.name, model::family_name(request.shape.family)));
  }
  GgufBytes metadata;
  put_shape(request.shape, metadata);
  DOVETAIL_TRY_STATUS(put_vocabulary(request.source, request.shape, metadata));
  DOVETAIL_TRY(StagedOutput staged, StagedOutput::create_file(request.out));
  auto impl = std::unique_ptr<Impl>(new Impl{.request = std::move(request),
                                             .staged = std::move(staged),
                                             .list = TensorList(std::move(tensors)),
                                             .metadata = std::move(metadata)});
  impl->data_start = impl->front_bytes();
  return GgufWriter(std::move(impl));
}

Status GgufWriter::add_linear(const std::string& name, const formats::PackedRows& packed,
                              const formats::Rounding& rounding) {
  const formats::PackedRows stored = without_negative_zeros(packed);
  DOVETAIL_TRY([[maybe_unused]] const std::vector<float> values,
               impl_->list.add_packed(name, stored, rounding));
  DOVETAIL_TRY(const std::vector<uint8_t> blocks, to_blocks(stored, name));
  DOVETAIL_TRY(const TensorType type, gguf_type_of(stored.format, stored.k, name));
  for (const ModelTensor& tensor : impl_->list.tensors())
    if (tensor.name == name) return impl_->write_rows(tensor, type, blocks);
  return {};
}

Status GgufWriter::add_encoded(const std::string& name, std::span<const float> values,
                               TensorType type, const float* importance) {
  DOVETAIL_TRY(const ModelTensor* tensor, impl_->list.take_values(name, values, false));
  if (tensor->is_vector) return invalid_argument(name + ": vectors are F32, want a matrix");
  DOVETAIL_TRY(const std::vector<uint8_t> blocks,
               encode_blocks(type, tensor->rows, tensor->cols, values.data(), importance, name));
  return impl_->add_values(*tensor, type, blocks);
}

Status GgufWriter::add_plain(const std::string& name, std::span<const float> values,
                             PlainType type) {
  DOVETAIL_TRY(const ModelTensor* tensor, impl_->list.take_values(name, values, false));
  DOVETAIL_TRY(const PlainBytes plain,
               plain_bytes(name, values, tensor->is_vector ? PlainType::kF32 : type, true));
  return impl_->add_values(*tensor, plain.type, plain.bytes);
}

Result<WriteSummary> GgufWriter::finish() {
  DOVETAIL_TRY_STATUS(impl_->list.check_complete());
  DOVETAIL_TRY_STATUS(impl_->write_rope_divisors());
  DOVETAIL_TRY_STATUS(impl_->write_front());
  DOVETAIL_TRY_STATUS(impl_->staged.publish());
  return WriteSummary{.path = impl_->staged.out(),
                      .bytes = impl_->data_start + impl_->data_bytes,
                      .notes = impl_->notes()};
}

}  // namespace dovetail::checkpoint
