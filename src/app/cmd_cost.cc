// dovetail cost: what one chip, model, treatment and workload cost. Needs no weights.
#include <map>
#include <memory>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "app/command.h"
#include "base/paths.h"
#include "chip/chip.h"
#include "model/zoo.h"
#include "recipe/site.h"
#include "recipe/workload.h"
#include "silicon/band.h"
#include "silicon/check_chip.h"
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
  bool explain = false;
  bool json = false;
};

// The figures that technology constants move: keys of the record.
const std::vector<std::string> kBanded = {
    "latency_ns",          "prefill_latency_ns", "time_per_token_ns", "throughput_tokens_per_s",
    "energy_pj_per_token", "area_mm2",           "peak_power_mw",     "chip_usd"};

Json banded_record(const silicon::CostReport& report) {
  Json record = silicon::cost_to_json(report);
  record["chip_usd"] =
      static_cast<double>(report.num_chips) * (report.price.die_usd + report.price.package_usd);
  return record;
}

using Bands = std::map<std::string, silicon::Band>;

Result<Bands> cost_bands(const chip::Chip& chip, const silicon::Technology& technology,
                         const model::ModelShape& shape, const recipe::Workload& workload,
                         const recipe::Recipe& recipe) {
  const auto answers = [&](const silicon::Technology& moved) -> Result<std::vector<double>> {
    DOVETAIL_TRY(const silicon::CostReport report,
                 silicon::estimate_cost(chip, moved, shape, workload, recipe, {}));
    const Json record = banded_record(report);
    std::vector<double> values;
    for (const std::string& key : kBanded) values.push_back(record.at(key).get<double>());
    return values;
  };
  DOVETAIL_TRY(const std::vector<silicon::Band> list, silicon::bands(technology, chip, answers));
  Bands bands;
  for (size_t i = 0; i < kBanded.size(); ++i) bands[kBanded[i]] = list[i];
  return bands;
}

void print_cost(const CostOptions& options, const silicon::CostReport& report, const Bands& bands) {
  const auto line = [](const std::string& name, double value, const char* unit, const char* tier) {
    print_line(fmt::format("  {:<26}{:>12.5g} {:<10}{}", name, value, unit, tier));
  };
  const auto banded = [&](const std::string& name, const char* key, double scale,
                          const char* unit) {
    const silicon::Band& band = bands.at(key);
    print_line(fmt::format("  {:<26}{:>12.5g} {:<10}analytical, {:.4g} to {:.4g}", name,
                           band.value * scale, unit, band.low * scale, band.high * scale));
  };
  print_line(fmt::format("{} on {}, {}, {}:", options.model, options.chip, options.treatment,
                         options.workload));
  if (report.num_chips > 1) {
    print_line(
        fmt::format("  {} chips share the model; energy, bytes, area, power and price of all",
                    report.num_chips));
  }
  if (report.num_stages > 1) {
    print_line(fmt::format("  {} stages of equal shares, {} micro-batch{} of the batch",
                           report.num_stages, report.num_micro_batches,
                           report.num_micro_batches > 1 ? "es" : ""));
  }
  banded("latency", "latency_ns", 1e-6, "ms");
  line("  its bound", report.bound_latency_ns / 1e6, "ms", "bound");
  banded("prefill", "prefill_latency_ns", 1e-6, "ms");
  banded("time per token", "time_per_token_ns", 1e-6, "ms");
  banded("throughput", "throughput_tokens_per_s", 1, "tokens/s");
  banded("energy per token", "energy_pj_per_token", 1e-9, "mJ");
  line("weights", report.weight_bytes / 1e6, "MB", "exact");
  line("KV cache", report.kv_bytes / 1e6, "MB", "exact");
  banded("area", "area_mm2", 1, "mm2");
  banded("peak power", "peak_power_mw", 1e-3, "W");
  banded("price of die and package", "chip_usd", 1, "USD");
  if (!report.fits) print_line("  does not fit: weights, KV and activations exceed the DRAM");
}

// One row per op of a phase: its share of the request and how busy each resource is meanwhile.
void print_ops(const silicon::CostReport& report) {
  const Json ops = silicon::cost_to_json(report).at("ops");
  print_line(fmt::format("\n  {:<8}{:<22}{:>7}  {:<9}{:>6}{:>6}{:>9}{:>9}{:>8}{}", "phase", "op",
                         "share", "binds", "dram", "sram", "decoder", "compute", "vector",
                         report.num_chips > 1 ? "    link" : ""));
  for (const Json& op : ops) {
    const double latency = op.at("latency_ns").get<double>();
    const auto busy = [&](const char* key) { return 100 * op.at(key).get<double>() / latency; };
    print_line(fmt::format(
        "  {:<8}{:<22}{:>6.1f}%  {:<9}{:>5.0f}%{:>5.0f}%{:>8.0f}%{:>8.0f}%{:>7.0f}%{}",
        op.at("phase").get<std::string>(), op.at("op").get<std::string>(),
        100 * latency / report.latency_ns, op.at("binding").get<std::string>(), busy("dram_ns"),
        busy("sram_ns"), busy("decoder_ns"), busy("compute_ns"), busy("vector_ns"),
        report.num_chips > 1 ? fmt::format("{:>7.0f}%", busy("link_ns")) : ""));
  }
  print_line(
      "  share: of the request's latency; the rest: share of the op's time that a resource is busy."
      "\n  What is missing to 100 % is start, end and overhead of the op.");
}

// What the assumption of equal stages hides.
void print_stages(const silicon::CostReport& report) {
  if (!report.whole_layers.has_value()) return;
  const silicon::WholeLayerStages& whole = *report.whole_layers;
  const auto change = [](double now, double before) {
    return before > 0 ? fmt::format("{:+.1f}%", 100 * (now / before - 1)) : std::string("-");
  };
  print_line(fmt::format(
      "\n  Stages of whole layers ({}): the largest takes {:.3g} times the mean; latency {}, "
      "prefill {}, decode {} beside equal shares",
      fmt::join(whole.layers, ", "), whole.largest_over_mean,
      change(whole.latency_ns, report.latency_ns),
      change(whole.prefill_latency_ns, report.prefill_latency_ns),
      change(whole.time_per_token_ns, report.time_per_token_ns)));
  print_line(fmt::format("  and {:.4g} of {:.4g} GiB of its DRAM{}.",
                         whole.dram_bytes_needed / 1073741824.0, whole.dram_bytes / 1073741824.0,
                         whole.dram_bytes_needed > whole.dram_bytes ? ": does not fit" : ""));
}

// Twice as much of one resource, all else equal.
std::vector<std::pair<std::string, chip::Chip>> doubled_chips(const chip::Chip& chip) {
  std::vector<std::pair<std::string, chip::Chip>> list;
  const auto add = [&](const char* what, const auto& change) {
    list.emplace_back(what, chip);
    change(list.back().second);
  };
  add("DRAM channels", [](chip::Chip& c) { c.dram.channels *= 2; });
  add("shared SRAM", [](chip::Chip& c) { c.sram_mib *= 2; });
  add("depth of the dot units", [](chip::Chip& c) {
    for (chip::MatrixUnit& unit : c.units) unit.depth *= 2;
  });
  add("rows of the units", [](chip::Chip& c) {
    for (chip::MatrixUnit& unit : c.units) unit.rows *= 2;
  });
  add("columns of the units", [](chip::Chip& c) {
    for (chip::MatrixUnit& unit : c.units) unit.cols *= 2;
  });
  add("decoder width", [](chip::Chip& c) { c.decoder_values_per_cycle *= 2; });
  add("vector lanes", [](chip::Chip& c) { c.vector_lanes *= 2; });
  if (chip.hadamard_lanes > 0) {
    add("Hadamard lanes", [](chip::Chip& c) { c.hadamard_lanes *= 2; });
  }
  add("weight buffer", [](chip::Chip& c) { c.weight_buffer_kib *= 2; });
  add("activation buffer", [](chip::Chip& c) { c.activation_buffer_kib *= 2; });
  add("accumulators", [](chip::Chip& c) { c.accumulator_kib *= 2; });
  if (chip.scale_up.links > 0) {
    add("links between chips", [](chip::Chip& c) { c.scale_up.links *= 2; });
  }
  return list;
}

Status print_worth(const silicon::CostReport& report, const chip::Chip& chip,
                   const silicon::Technology& technology, const model::ModelShape& shape,
                   const recipe::Workload& workload, const recipe::Recipe& recipe) {
  print_line(fmt::format("\n  {:<26}{:>9}{:>10}{:>9}{:>9}{:>9}", "twice as much", "latency",
                         "prefill", "decode", "area", "power"));
  const auto change = [](double now, double before) {
    return before > 0 ? fmt::format("{:+.1f}%", 100 * (now / before - 1)) : std::string("-");
  };
  for (const auto& [what, more] : doubled_chips(chip)) {
    const auto with = silicon::estimate_cost(more, technology, shape, workload, recipe, {});
    if (!with.has_value()) {  // the doubled chip is outside the template's ranges
      print_line(fmt::format("  {:<26}{:>9}", what, "-"));
      continue;
    }
    print_line(fmt::format("  {:<26}{:>9}{:>10}{:>9}{:>9}{:>9}", what,
                           change(with->latency_ns, report.latency_ns),
                           change(with->prefill_latency_ns, report.prefill_latency_ns),
                           change(with->time_per_token_ns, report.time_per_token_ns),
                           change(with->area_mm2(), report.area_mm2()),
                           change(with->peak_power_mw(), report.peak_power_mw())));
  }
  return {};
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
  DOVETAIL_TRY(const Bands bands, cost_bands(chip, technology, shape, workload, recipe));
  if (!options.json) {
    print_cost(options, report, bands);
    if (!options.explain) return {};
    print_ops(report);
    print_stages(report);
    return print_worth(report, chip, technology, shape, workload, recipe);
  }
  Json json = {{"chip", chip.name},
               {"model", shape.name},
               {"treatment", options.treatment},
               {"workload", to_json(workload)},
               {"bits_per_weight", recipe::bits_per_weight(shape, recipe)},
               {"technology_digest", technology.digest()}};
  json.update(silicon::cost_to_json(report));
  for (const auto& [key, band] : bands) {
    json["bands"][key] = {{"low", band.low}, {"high", band.high}};
  }
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
  command->add_flag("--explain", options->explain,
                    "which resource binds where, and what more of each is worth");
  command->add_flag("--json", options->json, "print the record with all parts");
  command->callback([options, &action] { action = [options] { return run_cost(*options); }; });
}

}  // namespace dovetail::app
