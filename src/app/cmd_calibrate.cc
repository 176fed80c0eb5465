// dovetail calibrate: models of machines that others measured, fitted and judged.
#include <memory>

#include <fmt/format.h>

#include "app/command.h"
#include "base/paths.h"
#include "silicon/calibration_gemmini.h"
#include "silicon/calibration_gpu.h"
#include "silicon/calibration_published.h"

namespace dovetail::app {
namespace {

struct CalibrateOptions {
  std::string set;
  std::string data;
  std::string test;
  bool json = false;
};

Status check_options(const CalibrateOptions& options) {
  const bool published = options.set == "published";
  if (published != options.data.empty()) {
    return invalid_argument(published ? "--data: published speeds come with the program"
                                      : "--data is missing, want the folder of the CSV files");
  }
  if (!options.test.empty() && options.set != "dosa") {
    return invalid_argument("--test is for the set dosa");
  }
  return {};
}

Status print_published(const silicon::Technology& machines, bool json) {
  DOVETAIL_TRY(const silicon::Technology technology,
               silicon::Technology::load(data_folder() + "/technology"));
  DOVETAIL_TRY(const silicon::PublishedDecodes decodes,
               read_config<silicon::PublishedDecodes>(data_folder() + "/published/decode.toml"));
  DOVETAIL_TRY(const std::vector<silicon::PublishedCheck> checks,
               silicon::check_published(machines, technology, decodes));
  if (json) {
    print_json(silicon::published_to_json(checks));
  } else {
    std::string text = silicon::published_text(checks);
    text.pop_back();
    print_line(text);
  }
  return {};
}

Status run_calibrate(const CalibrateOptions& options) {
  DOVETAIL_TRY_STATUS(check_options(options));
  DOVETAIL_TRY(const silicon::Technology machines,
               silicon::Technology::load(data_folder() + "/machines"));
  if (options.set == "published") return print_published(machines, options.json);
  DOVETAIL_TRY(const silicon::CalibrationReport report,
               options.set == "dosa"
                   ? silicon::calibrate_gemmini(machines, options.data, options.test)
                   : silicon::calibrate_gpu(machines, options.data));
  if (options.json) {
    print_json(silicon::calibration_to_json(report));
  } else {
    std::string text = silicon::calibration_text(report);
    text.pop_back();
    print_line(text);
  }
  return {};
}

}  // namespace

void add_calibrate_command(CLI::App& app, Action& action) {
  auto options = std::make_shared<CalibrateOptions>();
  CLI::App* command = app.add_subcommand(
      "calibrate",
      "fit the latency model of a measured machine and judge it on what it did not see");
  command->add_option("set", options->set, "form of the measurements, or published decode speeds")
      ->check(CLI::IsMember({"dosa", "llmcompass", "published"}))
      ->required();
  command->add_option("--data", options->data, "folder of CSV files of that form");
  command->add_option("--test", options->test,
                      "another folder of that form, judged by the fit on the first");
  command->add_flag("--json", options->json, "print the figures by split as JSON");
  command->callback([options, &action] { action = [options] { return run_calibrate(*options); }; });
}

}  // namespace dovetail::app
