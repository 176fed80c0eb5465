// dovetail chip: what a chip is by itself: area, power, price, peaks. Needs no model.
#include <memory>

#include <fmt/format.h>

#include "app/command.h"
#include "base/paths.h"
#include "chip/chip.h"
#include "silicon/band.h"
#include "silicon/check_chip.h"
#include "silicon/constants.h"
#include "silicon/cost_json.h"
#include "silicon/matrix_unit.h"
#include "silicon/power.h"
#include "silicon/price.h"
#include "silicon/roofs.h"

namespace dovetail::app {
namespace {

struct ChipOptions {
  std::string chip;
  bool json = false;
};

// A figure of the chip with its band over the technology constants.
struct Figure {
  std::string name;  // key in the record, unit last
  std::string label;
  std::string unit;
  double scale = 1;  // of the record's unit in the printed one
  silicon::Band band;
};

std::vector<Figure> figures() {
  return {{"total_mm2", "die", "mm2", 1, {}},
          {"multipliers_mm2", "  multipliers", "mm2", 1, {}},
          {"registers_mm2", "  operand registers", "mm2", 1, {}},
          {"scale_units_mm2", "  scale units", "mm2", 1, {}},
          {"decoder_mm2", "  decoders", "mm2", 1, {}},
          {"vector_mm2", "  vector units", "mm2", 1, {}},
          {"buffers_mm2", "  buffers", "mm2", 1, {}},
          {"control_mm2", "  sequencers, DMA", "mm2", 1, {}},
          {"sram_mm2", "  shared SRAM", "mm2", 1, {}},
          {"noc_mm2", "  NoC", "mm2", 1, {}},
          {"dram_phy_mm2", "  DRAM PHY", "mm2", 1, {}},
          {"dram_controller_mm2", "  DRAM controllers", "mm2", 1, {}},
          {"link_phy_mm2", "  links to other chips", "mm2", 1, {}},
          {"fixed_mm2", "  host interface, PLLs", "mm2", 1, {}},
          {"other_mm2", "  IO ring, gaps", "mm2", 1, {}},
          {"total_mw", "peak power", "W", 1e-3, {}},
          {"die_mw", "  of the die", "W", 1e-3, {}},
          {"leakage_mw", "  leakage, DRAM standby", "W", 1e-3, {}},
          {"power_density_w_per_mm2", "  density on the die", "W/mm2", 1, {}},
          {"die_usd", "die", "USD", 1, {}},
          {"package_usd", "package", "USD", 1, {}},
          {"dram_usd", "DRAM", "USD", 1, {}},
          {"yield_frac", "yield", "", 1, {}},
          {"mask_set_usd", "mask set, once", "million USD", 1e-6, {}},
          {"dram_gb_per_s", "DRAM, streaming", "GB/s", 1, {}},
          {"sram_gb_per_s", "shared SRAM", "GB/s", 1, {}},
          {"link_gb_per_s", "links, sending", "GB/s", 1, {}},
          {"vector_gops_per_s", "vector", "Gop/s", 1, {}}};
}

struct ChipReport {
  silicon::ChipArea area;
  silicon::PeakPower power;
  silicon::ChipPrice price;
  silicon::Roofs roofs;
  std::vector<silicon::UnitTiming> timing;  // as the chip's units
};

std::string reach_key(size_t unit) {
  return fmt::format("unit_{}_reaches_mhz", unit);
}

Result<ChipReport> estimate_chip(const chip::Chip& chip, const silicon::Technology& technology) {
  DOVETAIL_TRY(const silicon::Constants constants, silicon::resolve_constants(technology));
  ChipReport report;
  DOVETAIL_TRY(report.area, silicon::estimate_area(constants, chip));
  DOVETAIL_TRY(const silicon::ChipRates rates, silicon::chip_rates(constants, chip, report.area));
  DOVETAIL_TRY(report.power, silicon::estimate_peak_power(constants, chip, rates));
  DOVETAIL_TRY(report.price, silicon::estimate_price(constants, chip, report.area.total_mm2()));
  report.roofs = silicon::chip_roofs(chip, rates);
  DOVETAIL_TRY(const silicon::NodeConstants* node, silicon::node_of(constants, chip));
  for (const chip::MatrixUnit& unit : chip.units) {
    DOVETAIL_TRY(const silicon::UnitArea lane, silicon::unit_area(constants, unit));
    report.timing.push_back(silicon::unit_timing(constants, *node, chip.clock_mhz, lane));
  }
  return report;
}

Json to_json(const ChipReport& report) {
  Json json = silicon::area_to_json(report.area);
  Json power = silicon::power_to_json(report.power);
  Json price = silicon::price_to_json(report.price);
  json["power_density_w_per_mm2"] = report.power.die_mw() / 1e3 / report.area.total_mm2();
  for (const Json& part : {power, silicon::roofs_to_json(report.roofs)}) {
    for (const auto& [key, value] : part.items()) json[key] = value;
  }
  for (const char* key : {"die_usd", "package_usd", "dram_usd", "yield_frac", "mask_set_usd"}) {
    json[key] = price[key];
  }
  for (size_t i = 0; i < report.timing.size(); ++i) {
    json[reach_key(i)] = 1e3 * report.timing[i].reaches_ghz;
  }
  return json;
}

Result<std::vector<Figure>> banded_figures(const chip::Chip& chip,
                                           const silicon::Technology& technology) {
  std::vector<Figure> list = figures();
  if (chip.scale_up.links == 0) {
    std::erase_if(list, [](const Figure& figure) { return figure.name.starts_with("link_"); });
  }
  for (size_t i = 0; i < chip.units.size(); ++i) {
    list.push_back({reach_key(i), fmt::format("units[{}] reaches", i), "MHz", 1, {}});
  }
  const auto answers = [&](const silicon::Technology& moved) -> Result<std::vector<double>> {
    DOVETAIL_TRY(const ChipReport report, estimate_chip(chip, moved));
    const Json json = to_json(report);
    std::vector<double> values;
    for (const Figure& figure : list) values.push_back(json.at(figure.name).get<double>());
    return values;
  };
  DOVETAIL_TRY(const std::vector<silicon::Band> bands, silicon::bands(technology, chip, answers));
  for (size_t i = 0; i < list.size(); ++i) list[i].band = bands[i];
  return list;
}

void print_chip(const chip::Chip& chip, const std::vector<Figure>& list, const ChipReport& report) {
  print_line(fmt::format("{}: {} cores at {:g} MHz in {}, {:g} MiB of shared SRAM, {} x {}",
                         chip.name, chip.cores, chip.clock_mhz, chip.node, chip.sram_mib,
                         chip.dram.channels, chip.dram.kind));
  if (chip::num_chips(chip.scale_up) > 1) {
    print_line(fmt::format("one of {} chips that share a model over {} x {} each; figures of one:",
                           chip::num_chips(chip.scale_up), chip.scale_up.links,
                           chip.scale_up.link_kind));
  }
  print_line(fmt::format("  {:<26}{:>10} {:<12}{:<22}{}", "analytical", "", "", "inside the ranges",
                         "moved most by"));
  for (const Figure& figure : list) {
    const silicon::Band& band = figure.band;
    const std::string range =
        fmt::format("{:.4g} to {:.4g}", band.low * figure.scale, band.high * figure.scale);
    std::string cause;
    if (!band.causes.empty()) {
      cause =
          fmt::format("{} ({:.0f} %)", band.causes[0].constant, 100 * band.causes[0].share_frac);
    }
    print_line(fmt::format("  {:<26}{:>10.4g} {:<12}{:<22}{}", figure.label,
                           band.value * figure.scale, figure.unit, range, cause));
  }
  for (size_t i = 0; i < report.timing.size(); ++i) {
    const silicon::UnitTiming& timing = report.timing[i];
    const bool reached = chip.clock_mhz <= 1e3 * timing.reaches_ghz;
    print_line(fmt::format(
        "  {:<26}{:>10.4g} {:<12}{}", fmt::format("units[{}] pipeline", i), timing.stages, "stages",
        reached ? fmt::format("that {:g} MHz needs, of {:g}", chip.clock_mhz, silicon::kMaxStages)
                : fmt::format("{:g} MHz is more than it reaches, and only "
                              "inside the range",
                              chip.clock_mhz)));
  }
  for (const auto& [pair, gmacs] : report.roofs.gmacs_per_s) {
    print_line(fmt::format("  {:<26}{:>10.4g} {:<12}{}", pair, 2 * gmacs / 1e3, "Top/s",
                           "peak at the clock given"));
  }
}

Json record_of(const chip::Chip& chip, const std::vector<Figure>& list, const ChipReport& report,
               const silicon::Technology& technology) {
  Json timing = Json::array();
  for (const silicon::UnitTiming& unit : report.timing) {
    timing.push_back({{"reaches_ghz", unit.reaches_ghz}, {"stages", unit.stages}});
  }
  Json bands = Json::object();
  for (const Figure& figure : list) {
    Json causes = Json::array();
    for (const auto& cause : figure.band.causes) {
      if (causes.size() == 3) break;
      causes.push_back({{"constant", cause.constant}, {"share_frac", cause.share_frac}});
    }
    bands[figure.name] = {{"low", figure.band.low}, {"high", figure.band.high}, {"causes", causes}};
  }
  return Json{{"chip", dovetail::to_json(chip)},
              {"area_parts", silicon::area_to_json(report.area)},
              {"peak_power_parts", silicon::power_to_json(report.power)},
              {"price_parts", silicon::price_to_json(report.price)},
              {"roofs", silicon::roofs_to_json(report.roofs)},
              {"timing", timing},
              {"bands", bands},
              {"technology_digest", technology.digest()},
              {"tiers", {{"default", "analytical"}}}};
}

Status run_chip_show(const ChipOptions& options) {
  DOVETAIL_TRY(const silicon::Technology technology,
               silicon::Technology::load(data_folder() + "/technology"));
  DOVETAIL_TRY(const std::string file, data_file("chips", options.chip));
  DOVETAIL_TRY(const chip::Chip chip, chip::load_chip(file));
  DOVETAIL_TRY_STATUS(silicon::check_known(chip, technology, file));
  DOVETAIL_TRY(const ChipReport report, estimate_chip(chip, technology));
  DOVETAIL_TRY(const std::vector<Figure> list, banded_figures(chip, technology));
  if (options.json) {
    print_json(record_of(chip, list, report, technology));
  } else {
    print_chip(chip, list, report);
  }
  return {};
}

}  // namespace

void add_chip_command(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("chip", "what a chip is by itself");
  command->require_subcommand(1);
  auto options = std::make_shared<ChipOptions>();
  CLI::App* show = command->add_subcommand("show", "area, power, price and peaks, with bands");
  show->add_option("chip", options->chip, "name in data/chips or a TOML file")->required();
  show->add_flag("--json", options->json, "print the record with all parts");
  show->callback([options, &action] { action = [options] { return run_chip_show(*options); }; });
}

}  // namespace dovetail::app
