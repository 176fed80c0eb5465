// A GGUF file: directory, shape, decoding of every tensor, weights.
#include "model/gguf.h"

#include <algorithm>

#include "fuzz_target.h"
#include "model/gguf_model.h"
#include "model_checks.h"

namespace dovetail::fuzz {
namespace {

void require_sound_directory(const model::GgufFile& file, size_t file_bytes) {
  size_t tensor_bytes = 0;
  for (const auto& [name, tensor] : file.tensors()) {
    int64_t elements = 1;
    for (const int64_t dim : tensor.dims) {
      require(dim >= 1 && !__builtin_mul_overflow(elements, dim, &elements),
              "dimensions multiply without overflow");
    }
    const model::TensorTypeFacts& facts = model::facts_of(tensor.type);
    require(tensor.elements == elements, "elements are the product of the dimensions");
    require(static_cast<int64_t>(tensor.bytes.size()) ==
                elements / facts.block_elements * facts.block_bytes,
            "a tensor has the bytes of its type");
    tensor_bytes += tensor.bytes.size();
  }
  require(tensor_bytes <= file_bytes, "tensors do not overlap");
  size_t kept = 0;  // what metadata takes in memory, in elements; one takes at least a byte
  for (const auto& [key, value] : file.metadata())
    kept += value.numbers.size() + value.texts.size();
  require(kept <= file_bytes, "metadata is bounded by the file");
}

// Each tensor decodes to as many finite numbers as it has elements, or says why not.
void decode_all(const model::GgufFile& file, const model::ModelShape& shape) {
  const auto source = model::gguf_tensor_source(file, shape);
  for (const std::string& name : source->names()) {
    const auto wrong = source->read(name, 1, 3);
    if (!wrong.has_value()) require_good_error(wrong.error(), file.path());
  }
  for (const auto& [name, tensor] : file.tensors()) {
    const auto values = source->read(name, tensor.elements / tensor.dims[0], tensor.dims[0]);
    if (!values.has_value()) {
      require_good_error(values.error(), file.path());
      continue;
    }
    require(static_cast<int64_t>(values->size()) == tensor.elements, "all elements are decoded");
  }
}

}  // namespace

void fuzz_gguf(std::string_view input) {
  const std::string path = write_scratch("model.gguf", input);
  const auto file = model::open_gguf(path);
  const auto weights = model::load_weights(path);
  if (!file.has_value()) {
    require_good_error(file.error(), path);
    require(!weights.has_value(), "a file that cannot be opened gives no weights");
    return;
  }
  require_sound_directory(*file, input.size());
  const auto shape = model::gguf_shape(*file);
  if (!shape.has_value()) {
    require_good_error(shape.error(), path);
  } else {
    require_sound(*shape);
    decode_all(*file, *shape);
  }
  if (!weights.has_value()) {
    require_good_error(weights.error(), path);
    return;
  }
  note_accepted();
  require_sound(*weights);
  const auto again = model::load_weights(path);
  require(again.has_value() && model::weights_digest(*again) == model::weights_digest(*weights),
          "loading twice gives the same weights");
}

}  // namespace dovetail::fuzz
