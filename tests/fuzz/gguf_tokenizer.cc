// The tokenizer inside a GGUF file, and texts of any bytes through it.
#include "fuzz_target.h"
#include "model_checks.h"

namespace dovetail::fuzz {

void fuzz_gguf_tokenizer(std::string_view input) {
  const std::string path = write_scratch("tokenizer.gguf", input);
  const auto parts = model::read_gguf_tokenizer(path);
  // Two texts of the input's own bytes: its names, and its last bytes, which no reader looks at.
  const std::string_view end = input.substr(input.size() - std::min<size_t>(input.size(), 64));
  require_sound_tokenizer(path, parts, input.substr(0, 256));
  require_sound_tokenizer(path, parts, end);
}

}  // namespace dovetail::fuzz
