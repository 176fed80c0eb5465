// dovetail report: the pages of a study, made again from its record; or what changed between two.
#include <filesystem>
#include <memory>

#include "app/command.h"
#include "app/study_record.h"
#include "base/paths.h"
#include "report/comparison_page.h"
#include "report/html.h"
#include "report/summary.h"
#include "report/targets.h"

namespace dovetail::app {
namespace {

struct ReportOptions {
  std::string study;
  std::vector<std::string> compare;
  std::string out;
  bool json = false;
};

// Beside the record unless --out says otherwise.
std::string page_path(const ReportOptions& options, const std::string& study, const char* name) {
  if (!options.out.empty()) return options.out;
  const std::filesystem::path path(study);
  return (std::filesystem::is_directory(path) ? path : path.parent_path()) / name;
}

Status write_study(const ReportOptions& options) {
  DOVETAIL_TRY(const Json record, load_study_record(options.study));
  if (options.json) {
    print_json(record);
    return {};
  }
  DOVETAIL_TRY(const std::string html, report::render_html(record));
  const std::string page = page_path(options, options.study, "report.html");
  DOVETAIL_TRY_STATUS(write_text_file(page, html));
  if (std::filesystem::is_directory(options.study)) {
    DOVETAIL_TRY(const Json targets, report::make_targets(record));
    DOVETAIL_TRY_STATUS(write_text_file(options.study + "/targets.json", targets.dump(2) + "\n"));
  }
  DOVETAIL_TRY(const std::string summary, report::summarize(record));
  print_line(summary + "report: " + page);
  return {};
}

Status write_comparison(const ReportOptions& options) {
  DOVETAIL_TRY(const Json before, load_study_record(options.compare[0]));
  DOVETAIL_TRY(const Json after, load_study_record(options.compare[1]));
  DOVETAIL_TRY(const report::Comparison comparison, report::compare_records(before, after));
  if (options.json) {
    print_json(report::to_json(comparison));
    return {};
  }
  const std::string page = page_path(options, options.compare[1], "compare.html");
  DOVETAIL_TRY(const std::string html, report::comparison_html(comparison));
  DOVETAIL_TRY_STATUS(write_text_file(page, html));
  print_line(report::comparison_text(comparison) + "page: " + page);
  return {};
}

Status run_report(const ReportOptions& options) {
  if (options.compare.empty() == options.study.empty()) {
    return invalid_argument("report: want the folder of a study, or --compare with two of them");
  }
  return options.compare.empty() ? write_study(options) : write_comparison(options);
}

}  // namespace

void add_report_command(CLI::App& app, Action& action) {
  auto options = std::make_shared<ReportOptions>();
  CLI::App* command = app.add_subcommand(
      "report", "write a study's report and targets again, or compare two studies");
  command->add_option("study", options->study,
                      "folder of a study, as out/quickstart, or a record (optimize --json)");
  command->add_option("--compare", options->compare, "two studies: what changed from the first")
      ->expected(2);
  command->add_option("--out", options->out,
                      "the page [report.html or compare.html beside the (second) study]");
  command->add_flag("--json", options->json, "print the record, or the comparison");
  command->callback([options, &action] { action = [options] { return run_report(*options); }; });
}

}  // namespace dovetail::app
