// Writes checkpoints of a small random model, and what Dovetail computes with them, for
// check_transformers.py, check_llama_cpp.py and check_gguf.py.
//
// A treatment that prunes gives a model of the pruned shape.
//
//   checkpoint_oracle folder OUT TREATMENT [tied|untied] [SOURCE]
//     OUT/model, OUT/logits.f32 (tokens, vocabulary), OUT/values/<tensor>.f32, OUT/tokens.json
//   checkpoint_oracle gguf OUT TREATMENT|TYPE SOURCE
//     OUT/model.gguf with the vocabulary of SOURCE, OUT/tokens.json
//   checkpoint_oracle encode TYPE K VALUES OUT
//     GGUF blocks of the floats in VALUES, rows of K; TYPE may be a format, NAME:RULE
//   checkpoint_oracle decode TYPE BLOCKS OUT
//     the floats of GGUF blocks
//   checkpoint_oracle tokenizer SOURCE OUT TEXT
//     OUT/tokenizer.json made of SOURCE's tokenizer; OUT/ids.json, SOURCE's ids of the file TEXT
//   checkpoint_oracle score MODEL PROMPT_LENGTH ID...
//     for each id behind the prompt: how far its logit lies below the best one, in standard
//     deviations of the logits, as Dovetail computes them
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

#include <fmt/format.h>

#include "base/paths.h"
#include "checkpoint/block_encoders.h"
#include "checkpoint/folder_writer.h"
#include "checkpoint/gguf_blocks.h"
#include "checkpoint/gguf_writer.h"
#include "checkpoint/round_to_nearest.h"
#include "host/host_model.h"
#include "model/tokenizer.h"
#include "model/tokenizer_export.h"

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
  std::ofstream(out + "/tokens.json")
      << "[" << fmt::format("{}", fmt::join(tokens.ids, ",")) << "]";
  return {};
}

Status write_folder(const std::string& out, const std::string& treatment, bool tied,
                    const std::string& source) {
  const model::ModelShape whole = small_shape(tied, 256);
  DOVETAIL_TRY(const recipe::Recipe recipe, recipe::parse_uniform_recipe(whole, treatment));
  const model::ModelShape shape = recipe::pruned_shape(whole, recipe.pruning);
  const model::Weights weights = small_weights(shape);
  fs::create_directories(out);
  DOVETAIL_TRY(FolderWriter writer,
               FolderWriter::create(request_for(out + "/model", shape, recipe, source)));
  DOVETAIL_TRY(model::Weights emulated, write_round_to_nearest(writer, weights, recipe));
  DOVETAIL_TRY([[maybe_unused]] const WriteSummary summary, writer.finish());
  return write_answers(out, std::move(emulated), recipe);
}

// Every matrix as one GGUF type.
Status write_encoded(GgufWriter& writer, model::Weights weights, model::TensorType type) {
  const recipe::Recipe none{.layers = std::vector<recipe::LayerRecipe>(weights.layers.size()),
                            .head = {}};
  DOVETAIL_TRY(const std::vector<ModelTensor> tensors, model_tensors(weights.shape, none));
  for (const ModelTensor& tensor : tensors) {
    const std::vector<float>& values = values_of(weights, tensor.name);
    DOVETAIL_TRY_STATUS(tensor.is_vector ? writer.add_plain(tensor.name, values)
                                         : writer.add_encoded(tensor.name, values, type));
  }
  return {};
}

Status write_gguf(const std::string& out, const std::string& what, const std::string& source) {
  const model::ModelShape whole = small_shape(true, 256);
  const auto type = parse_gguf_type(what);
  DOVETAIL_TRY(const recipe::Recipe recipe,
               recipe::parse_uniform_recipe(whole, type.has_value() ? "bf16" : what));
  const model::ModelShape shape = recipe::pruned_shape(whole, recipe.pruning);
  const model::Weights weights = small_weights(shape);
  fs::create_directories(out);
  DOVETAIL_TRY(GgufWriter writer,
               GgufWriter::create(request_for(out + "/model.gguf", shape, recipe, source)));
  if (type.has_value()) {
    DOVETAIL_TRY_STATUS(write_encoded(writer, weights, *type));
  } else {
    DOVETAIL_TRY([[maybe_unused]] const model::Weights emulated,
                 write_round_to_nearest(writer, weights, recipe));
  }
  DOVETAIL_TRY([[maybe_unused]] const WriteSummary summary, writer.finish());
  std::ofstream(out + "/tokens.json")
      << "[" << fmt::format("{}", fmt::join(some_tokens(shape).ids, ",")) << "]";
  return {};
}

Status score(const std::string& path, int64_t prompt, const std::vector<std::string>& ids) {
  DOVETAIL_TRY(model::Weights weights, model::load_weights(path));
  DOVETAIL_TRY(const host::HostModel model,
               host::HostModel::create(std::make_shared<const model::Weights>(std::move(weights))));
  host::TokenBatch tokens{.batch = 1, .seq = std::ssize(ids), .ids = {}};
  for (const std::string& id : ids) tokens.ids.push_back(std::stoi(id));
  DOVETAIL_TRY(const model::Matrix hidden, model.hidden_states(tokens));
  DOVETAIL_TRY(const model::Matrix logits, model.logits(hidden));
  for (int64_t at = prompt; at < tokens.seq; ++at) {
    const float* row = logits.values.data() + (at - 1) * logits.cols;
    double best = row[0];
    double sum = 0;
    double squares = 0;
    for (int64_t i = 0; i < logits.cols; ++i) {
      best = std::max(best, double{row[i]});
      sum += row[i];
      squares += double{row[i]} * row[i];
    }
    const double mean = sum / double(logits.cols);
    const double spread = std::sqrt(squares / double(logits.cols) - mean * mean);
    fmt::print("{:.6f}\n", (best - row[tokens.ids[static_cast<size_t>(at)]]) / spread);
  }
  return {};
}

Status write_tokenizer(const std::string& source, const std::string& out, const std::string& text) {
  DOVETAIL_TRY(const model::TokenizerFiles files, model::tokenizer_files(source));
  DOVETAIL_TRY(const model::Tokenizer tokenizer, model::load_tokenizer(source));
  DOVETAIL_TRY(const std::string read, read_text_file(text, 1 << 26));
  fs::create_directories(out);
  std::ofstream(out + "/tokenizer.json") << files.tokenizer_json;
  std::ofstream(out + "/ids.json")
      << "[" << fmt::format("{}", fmt::join(tokenizer.encode(read), ",")) << "]";
  return {};
}

template <typename T>
Result<std::vector<T>> read_values(const std::string& path) {
  DOVETAIL_TRY(const std::string bytes, read_text_file(path, int64_t{1} << 30));
  std::vector<T> values(bytes.size() / sizeof(T));
  std::memcpy(values.data(), bytes.data(), values.size() * sizeof(T));
  return values;
}

// NAME:RULE, a format of formats/, or a type of block_encoders.h.
Result<std::vector<uint8_t>> blocks_of(const std::string& what, int64_t rows, int64_t k,
                                       const std::vector<float>& w) {
  const size_t colon = what.find(':');
  if (colon == std::string::npos) {
    DOVETAIL_TRY(const model::TensorType type, parse_gguf_type(what));
    return encode_blocks(type, rows, k, w.data(), nullptr, what);
  }
  DOVETAIL_TRY(const auto format, formats::parse_weight_format(what.substr(0, colon)));
  DOVETAIL_TRY(const auto rule, formats::parse_scale_rule(what.substr(colon + 1)));
  return to_blocks(
      without_negative_zeros(formats::encode_rows(format, {.scale = rule}, rows, k, w.data())),
      what);
}

Status encode(const std::string& what, int64_t k, const std::string& values,
              const std::string& out) {
  DOVETAIL_TRY(const std::vector<float> w, read_values<float>(values));
  DOVETAIL_TRY(const std::vector<uint8_t> blocks, blocks_of(what, std::ssize(w) / k, k, w));
  std::ofstream(out, std::ios::binary)
      .write(reinterpret_cast<const char*>(blocks.data()), std::ssize(blocks));
  return {};
}

Status decode(const std::string& name, const std::string& blocks, const std::string& out) {
  DOVETAIL_TRY(const std::vector<uint8_t> bytes, read_values<uint8_t>(blocks));
  for (const model::TensorTypeFacts& facts : model::kTensorTypes) {
    if (facts.name != name) continue;
    std::vector<float> values(bytes.size() / static_cast<size_t>(facts.block_bytes) *
                              static_cast<size_t>(facts.block_elements));
    model::decode_blocks(facts.type, bytes, values);
    write_floats(out, values);
    return {};
  }
  return invalid_argument("want one of " + model::known_tensor_types());
}

Status run(const std::vector<std::string>& words) {
  if (words.size() == 5 && words[0] == "encode")
    return encode(words[1], std::stoll(words[2]), words[3], words[4]);
  if (words.size() == 4 && words[0] == "decode") return decode(words[1], words[2], words[3]);
  if (words.size() == 4 && words[0] == "tokenizer")
    return write_tokenizer(words[1], words[2], words[3]);
  if (words.size() == 4 && words[0] == "gguf") return write_gguf(words[1], words[2], words[3]);
  if (words.size() > 3 && words[0] == "score")
    return score(words[1], std::stoll(words[2]), {words.begin() + 3, words.end()});
  if (words.size() >= 3 && words[0] == "folder") {
    return write_folder(words[1], words[2], words.size() < 4 || words[3] == "tied",
                        words.size() < 5 ? "" : words[4]);
  }
  return invalid_argument("want folder, gguf or score; see the source");
}

}  // namespace
}  // namespace dovetail::checkpoint

int main(int argc, char** argv) {
  const auto status = dovetail::checkpoint::run({argv + 1, argv + argc});
  if (status.has_value()) return 0;
  std::fputs((status.error().message + "\n").c_str(), stderr);
  return 1;
}
