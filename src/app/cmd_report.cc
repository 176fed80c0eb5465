// dovetail report: the pages of a study, made again from its record.
#include <memory>

#include "app/command.h"
#include "base/paths.h"
#include "record/study_db.h"
#include "report/html.h"
#include "report/summary.h"
#include "report/targets.h"

namespace dovetail::app {
namespace {

struct ReportOptions {
  std::string folder;
  bool json = false;
};

Status run_report(const ReportOptions& options) {
  const std::string path = options.folder + "/study.db";
  if (!read_text_file(path, int64_t{1} << 40).has_value()) {
    return not_found(path + ": not found, want the folder of a finished study");
  }
  DOVETAIL_TRY(const record::StudyDb db, record::StudyDb::open(path));
  DOVETAIL_TRY(const std::vector<Json> records, db.all("study"));
  if (records.empty()) {
    return invalid_argument(path +
                            ": holds no finished study; run dovetail optimize again, it "
                            "continues where it stopped");
  }
  const Json& record = records.front();
  if (options.json) {
    print_json(record);
    return {};
  }
  DOVETAIL_TRY(const std::string html, report::render_html(record));
  DOVETAIL_TRY_STATUS(write_text_file(options.folder + "/report.html", html));
  DOVETAIL_TRY(const Json targets, report::make_targets(record));
  DOVETAIL_TRY_STATUS(write_text_file(options.folder + "/targets.json", targets.dump(2) + "\n"));
  DOVETAIL_TRY(const std::string summary, report::summarize(record));
  print_line(summary + "report: " + options.folder + "/report.html");
  return {};
}

}  // namespace

void add_report_command(CLI::App& app, Action& action) {
  auto options = std::make_shared<ReportOptions>();
  CLI::App* command = app.add_subcommand("report", "write a study's report and targets again");
  command->add_option("folder", options->folder, "folder of a study, as out/quickstart")
      ->required();
  command->add_flag("--json", options->json, "print the record");
  command->callback([options, &action] { action = [options] { return run_report(*options); }; });
}

}  // namespace dovetail::app
