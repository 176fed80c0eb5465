// dovetail inspect: what a model, its sites and their sizes are.
#include <memory>

#include <fmt/format.h>

#include "app/command.h"
#include "base/paths.h"
#include "model/zoo.h"
#include "recipe/site.h"

namespace dovetail::app {
namespace {

struct InspectOptions {
  std::string model;
  std::string treatment = "bf16";
  bool json = false;
};

Json shape_to_json(const model::ModelShape& shape) {
  return Json{{"name", shape.name},
              {"family", shape.family == model::Family::kQwen2 ? "qwen2" : "llama"},
              {"num_layers", shape.num_layers},
              {"hidden_size", shape.hidden_size},
              {"intermediate_size", shape.intermediate_size},
              {"num_heads", shape.num_heads},
              {"num_kv_heads", shape.num_kv_heads},
              {"head_dim", shape.head_dim},
              {"vocab_size", shape.vocab_size},
              {"max_positions", shape.max_positions},
              {"tied_embedding", shape.tied_embedding},
              {"qkv_bias", shape.qkv_bias},
              {"num_parameters", shape.num_parameters()},
              {"num_block_linear_weights", shape.num_block_linear_weights()},
              {"num_head_weights", shape.num_head_weights()},
              {"num_sites", recipe::num_sites(shape)}};
}

Status run_inspect(const InspectOptions& options) {
  DOVETAIL_TRY(const model::ModelShape shape, model::resolve_shape(options.model));
  DOVETAIL_TRY(const recipe::Recipe recipe, recipe::parse_uniform_recipe(shape, options.treatment));
  Json json = shape_to_json(shape);
  json["treatment"] = options.treatment;
  json["bits_per_weight"] = recipe::bits_per_weight(shape, recipe);
  if (options.json) {
    print_json(json);
    return {};
  }
  for (const auto& [key, value] : json.items()) {
    print_line(
        fmt::format("{:<26}{}", key, value.is_string() ? value.get<std::string>() : value.dump()));
  }
  return {};
}

}  // namespace

void add_inspect_command(CLI::App& app, Action& action) {
  auto options = std::make_shared<InspectOptions>();
  CLI::App* command = app.add_subcommand("inspect", "show a model's shape, sites and sizes");
  command->add_option("model", options->model, "zoo name, GGUF file, model folder or config.json")
      ->required();
  command->add_option("--treatment", options->treatment, "uniform treatment to count bits of")
      ->capture_default_str();
  command->add_flag("--json", options->json, "print the record");
  command->callback([options, &action] { action = [options] { return run_inspect(*options); }; });
}

}  // namespace dovetail::app
