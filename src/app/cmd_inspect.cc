// dovetail inspect: what a model, its sites and their sizes are.
#include <filesystem>
#include <memory>
#include <optional>

#include <fmt/format.h>

#include "app/command.h"
#include "base/paths.h"
#include "checkpoint/manifest.h"
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
              {"family", model::family_name(shape.family)},
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
              {"qk_norm", shape.qk_norm},
              {"rope_scaled", !shape.rope_divisors.empty()},
              {"num_parameters", shape.num_parameters()},
              {"num_block_linear_weights", shape.num_block_linear_weights()},
              {"num_head_weights", shape.num_head_weights()},
              {"num_sites", recipe::num_sites(shape)}};
}

// A checkpoint of ours; a shape by name, a config.json or another's checkpoint has none.
Result<std::optional<checkpoint::Manifest>> manifest_of(const std::string& model) {
  std::error_code ignored;
  if (!std::filesystem::exists(model, ignored)) return std::nullopt;
  return checkpoint::find_manifest(model);
}

void print_manifest(const checkpoint::Manifest& manifest) {
  const checkpoint::Provenance& p = manifest.provenance;
  print_line(fmt::format("\n{:<26}{}", "written by", manifest.program));
  print_line(fmt::format("{:<26}{} (sha256 {})", "from", p.source, p.source_sha256));
  print_line(fmt::format("{:<26}{}", "calibration text sha256",
                         p.text_sha256.empty() ? "none" : p.text_sha256));
  print_line(fmt::format("{:<26}{}", "off-grid seed", p.off_grid_seed));
  for (const std::string& note : manifest.notes) print_line(fmt::format("{:<26}{}", "note", note));
  print_line("\n" + manifest.recipe_toml);
  print_line(fmt::format("{:<50}{:<16}{:<26}{:<18}{}", "tensor", "format", "rounding",
                         "packed sha256", "decoded sha256"));
  for (const checkpoint::TensorRecord& t : manifest.tensors) {
    const std::string rounding =
        t.rounding.has_value() ? fmt::format("{} {} {}", formats::rule_name(t.rounding->scale),
                                             formats::rule_name(t.rounding->ties),
                                             formats::rule_name(t.rounding->zero_block))
                               : "";
    print_line(fmt::format("{:<50}{:<16}{:<26}{:<18}{}", t.name, t.format, rounding,
                           t.packed_sha256.substr(0, 16), t.decoded_sha256.substr(0, 16)));
  }
}

Status run_inspect(const InspectOptions& options) {
  DOVETAIL_TRY(const model::ModelShape shape, model::resolve_shape(options.model));
  DOVETAIL_TRY(recipe::Recipe recipe, recipe::parse_uniform_recipe(shape, options.treatment));
  DOVETAIL_TRY(const std::optional<checkpoint::Manifest> manifest, manifest_of(options.model));
  if (manifest.has_value() && options.treatment == "bf16") {
    DOVETAIL_TRY(recipe, recipe::parse_recipe(shape, manifest->recipe_toml, options.model));
  }
  Json json = shape_to_json(shape);
  json["treatment"] = options.treatment;
  json["bits_per_weight"] = recipe::bits_per_weight(shape, recipe);
  if (options.json) {
    if (manifest.has_value()) json["checkpoint"] = checkpoint::manifest_to_json(*manifest);
    print_json(json);
    return {};
  }
  for (const auto& [key, value] : json.items()) {
    print_line(
        fmt::format("{:<26}{}", key, value.is_string() ? value.get<std::string>() : value.dump()));
  }
  if (manifest.has_value()) print_manifest(*manifest);
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
