// model.safetensors.index.json beside two sound shards.
#include <cstring>

#include "fuzz_target.h"
#include "model/safetensors.h"

namespace dovetail::fuzz {
namespace {

std::string shard_of(const std::string& tensor) {
  const std::string header =
      R"({")" + tensor + R"(":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})";
  const uint64_t length = header.size();
  std::string bytes(sizeof(length), '\0');
  std::memcpy(bytes.data(), &length, sizeof(length));
  return bytes + header + std::string(4, '\0');
}

}  // namespace

void fuzz_safetensors_index(std::string_view input) {
  static const std::string a = write_scratch("index/a.safetensors", shard_of("a"));
  static const std::string b = write_scratch("index/b.safetensors", shard_of("b"));
  write_scratch("index/model.safetensors.index.json", input);
  const std::string folder = scratch_folder() + "/index";
  const auto source = model::open_safetensors_folder(folder);
  if (!source.has_value()) {
    require_good_error(source.error(), folder);
    return;
  }
  note_accepted();
  for (const std::string& name : (*source)->names()) {
    require(name == "a" || name == "b", "only tensors of shards in the folder are found");
    require((*source)->read(name, 1, 1).has_value(), "a listed tensor can be read");
  }
}

}  // namespace dovetail::fuzz
