// Writes checkpoints of a small random model, and what Dovetail computes with them, for
// check_transformers.py and check_llama_cpp.py.
//
//   checkpoint_oracle folder OUT TREATMENT [tied|untied] [SOURCE]
//     OUT/model, OUT/logits.f32 (tokens, vocabulary), OUT/values/<tensor>.f32, OUT/tokens.json
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

#include <fmt/format.h>

#include "checkpoint/folder_writer.h"
#include "checkpoint/round_to_nearest.h"
#include "host/host_model.h"

namespace dovetail::checkpoint {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kTokens = 48;

void write_floats(const std::string& path, const std::vector<float>& values) {
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(values.data()),
             static_cast<std::streamsize>(values.size() * sizeof(float)));
}

host::TokenBatch some_tokens(const model::ModelShape& shape) {
  Random random(7);
  host::TokenBatch tokens{.batch = 1, .seq = kTokens, .ids = {}};
  for (int64_t i = 0; i < kTokens; ++i)
    tokens.ids.push_back(static_cast<int32_t>(random.below(shape.vocab_size)));
  return tokens;
}

Status write_answers(const std::string& out, model::Weights weights, const recipe::Recipe& recipe) {
  fs::create_directories(out + "/values");
  DOVETAIL_TRY(const std::vector<ModelTensor> tensors, model_tensors(weights.shape, recipe));
  for (const ModelTensor& tensor : tensors)
    write_floats(out + "/values/" + module_of(tensor.name) + ".f32",
                 values_of(weights, tensor.name));
  const host::TokenBatch tokens = some_tokens(weights.shape);
  DOVETAIL_TRY(host::HostModel model,
               host::HostModel::create(std::make_shared<const model::Weights>(std::move(weights))));
  DOVETAIL_TRY_STATUS(model.set_numerics(host::numerics_of(recipe)));
  DOVETAIL_TRY(const model::Matrix hidden, model.hidden_states(tokens));
  DOVETAIL_TRY(const model::Matrix logits, model.logits(hidden));
  write_floats(out + "/logits.f32", logits.values);
  std::ofstream(out + "/tokens.json") << "[" << fmt::format("{}", fmt::join(tokens.ids, ",")) << "]";
  return {};
}

Status write_folder(const std::string& out, const std::string& treatment, bool tied,
                    const std::string& source) {
  const model::ModelShape shape = small_shape(tied, 256);
  const model::Weights weights = small_weights(shape);
  DOVETAIL_TRY(const recipe::Recipe recipe, recipe::parse_uniform_recipe(shape, treatment));
  fs::create_directories(out);
  DOVETAIL_TRY(FolderWriter writer,
               FolderWriter::create(request_for(out + "/model", shape, recipe, source)));
  DOVETAIL_TRY(model::Weights emulated, write_round_to_nearest(writer, weights, recipe));
  DOVETAIL_TRY([[maybe_unused]] const WriteSummary summary, writer.finish());
  return write_answers(out, std::move(emulated), recipe);
}

Status run(const std::vector<std::string>& words) {
  if (words.size() >= 3 && words[0] == "folder") {
    return write_folder(words[1], words[2], words.size() < 4 || words[3] == "tied",
                        words.size() < 5 ? "" : words[4]);
  }
  return invalid_argument("want folder OUT TREATMENT [tied|untied] [SOURCE]");
}

}  // namespace
}  // namespace dovetail::checkpoint

int main(int argc, char** argv) {
  const auto status = dovetail::checkpoint::run({argv + 1, argv + argc});
  if (status.has_value()) return 0;
  std::fputs((status.error().message + "\n").c_str(), stderr);
  return 1;
}
