// dovetail cost: what one chip, model, treatment and workload cost. Needs no weights.
#include <memory>

#include <fmt/format.h>

#include "app/command.h"
#include "base/paths.h"
#include "chip/chip.h"
#include "model/zoo.h"
#include "recipe/site.h"
#include "recipe/workload.h"
#include "silicon/constants.h"
#include "silicon/cost_json.h"
#include "silicon/estimate.h"
#include "silicon/technology.h"

namespace dovetail::app {
namespace {

struct CostOptions {
  std::string chip;
  std::string model;
  std::string treatment = "bf16";
  std::string workload = "chat_512_256";
  bool json = false;
};

void print_cost(const CostOptions& options, const silicon::CostReport& report) {
  const auto line = [](const std::string& name, double value, const char* unit, const char* tier) {
    print_line(fmt::format("  {:<22}{:>12.5g} {:<10}{}", name, value, unit, tier));
  };
  print_line(fmt::format("{} on {}, {}, {}:", options.model, options.chip, options.treatment,
                         options.workload));
  line("latency", report.latency_ns / 1e6, "ms", "analytical");
  line("  its bound", report.bound_latency_ns / 1e6, "ms", "bound");
  line("prefill", report.prefill_latency_ns / 1e6, "ms", "analytical");
  line("time per token", report.time_per_token_ns / 1e6, "ms", "analytical");
  line("throughput", report.throughput_tokens_per_s, "tokens/s", "analytical");
  line("energy per token", report.energy_pj_per_token / 1e9, "mJ", "analytical");
  line("weights", report.weight_bytes / 1e6, "MB", "exact");
  line("KV cache", report.kv_bytes / 1e6, "MB", "exact");
  line("area", report.area.total_mm2(), "mm2", "analytical");
  line("peak power", report.peak_power.total_mw() / 1e3, "W", "analytical");
  line("price of die and package", report.price.die_usd + report.price.package_usd, "USD",
       "analytical");
  if (!report.fits) print_line("  does not fit: weights, KV and activations exceed the DRAM");
}

Status run_cost(const CostOptions& options) {
  DOVETAIL_TRY(const silicon::Technology technology,
               silicon::Technology::load(data_folder() + "/technology"));
  DOVETAIL_TRY(const std::string chip_file, data_file("chips", options.chip));
  DOVETAIL_TRY(const chip::Chip chip, chip::load_chip(chip_file));
  DOVETAIL_TRY_STATUS(silicon::check_known(chip, technology, chip_file));
  DOVETAIL_TRY(const model::ModelShape whole, model::resolve_shape(options.model));
  DOVETAIL_TRY(const recipe::Recipe recipe, recipe::parse_uniform_recipe(whole, options.treatment));
  const model::ModelShape shape = recipe::pruned_shape(whole, recipe.pruning);
  DOVETAIL_TRY(const std::string workload_file, data_file("workloads", options.workload));
  DOVETAIL_TRY(const recipe::Workload workload, read_config<recipe::Workload>(workload_file));
  DOVETAIL_TRY(const silicon::CostReport report,
               silicon::estimate_cost(chip, technology, shape, workload, recipe, {}));
  if (!options.json) {
    print_cost(options, report);
    return {};
  }
  Json json = {{"chip", chip.name},
               {"model", shape.name},
               {"treatment", options.treatment},
               {"workload", to_json(workload)},
               {"bits_per_weight", recipe::bits_per_weight(shape, recipe)},
               {"technology_digest", technology.digest()}};
  json.update(silicon::cost_to_json(report));
  print_json(json);
  return {};
}

}  // namespace

void add_cost_command(CLI::App& app, Action& action) {
  auto options = std::make_shared<CostOptions>();
  CLI::App* command =
      app.add_subcommand("cost", "latency, energy, area, power and price of one design point");
  command->add_option("--chip", options->chip, "name in data/chips or a TOML file")->required();
  command
      ->add_option("--model", options->model,
                   "name in data/models or the zoo, GGUF file, model folder or config.json")
      ->required();
  command
      ->add_option("--treatment", options->treatment,
                   "uniform treatment, as int4_g128+a:int8_token+kv:int8+head:int8")
      ->capture_default_str();
  command->add_option("--workload", options->workload, "name in data/workloads or a TOML file")
      ->capture_default_str();
  command->add_flag("--json", options->json, "print the record with all parts");
  command->callback([options, &action] { action = [options] { return run_cost(*options); }; });
}

}  // namespace dovetail::app
