// dovetail explain: a point of a study in words.
#include <memory>

#include <fmt/format.h>

#include "app/command.h"
#include "app/study_record.h"
#include "app/terminal.h"
#include "report/explain.h"
#include "report/record_view.h"

namespace dovetail::app {
namespace {

struct ExplainOptions {
  std::string study;
  std::vector<std::string> point;  // words: "latency 0.15" is one point
  bool json = false;
};

void print_points(const std::vector<report::PointName>& points, bool as_json) {
  Json list = Json::array();
  for (const report::PointName& point : points) {
    list.push_back({{"point", point.name}, {"says", point.says}});
    if (!as_json) print_line(fmt::format("{:<36} {}", point.name, point.says));
  }
  if (as_json) print_json(list);
}

void print_explanation(const report::Explanation& explanation) {
  std::string text = report::explanation_text(explanation);
  // Titles in bold: the first line and every line that is not indented.
  std::string shown;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = text.find('\n', begin);
    const std::string line = text.substr(begin, end - begin);
    shown += line.empty() || line[0] == ' ' ? line : bold(line, 1);
    shown += '\n';
    begin = end + 1;
  }
  shown.pop_back();
  print_line(shown);
}

Status run_explain(const ExplainOptions& options) {
  DOVETAIL_TRY(const Json record, load_study_record(options.study));
  const Status known = report::check_record(record);
  if (!known.has_value()) return with_context(known.error(), options.study);
  if (options.point.empty()) {
    print_points(report::explainable_points(record), options.json);
    return {};
  }
  const auto explanation =
      report::explain_point(record, fmt::format("{}", fmt::join(options.point, " ")));
  if (!explanation.has_value()) return with_context(explanation.error(), options.study);
  if (options.json) {
    print_json(report::to_json(*explanation));
  } else {
    print_explanation(*explanation);
  }
  return {};
}

}  // namespace

void add_explain_command(CLI::App& app, Action& action) {
  auto options = std::make_shared<ExplainOptions>();
  CLI::App* command = app.add_subcommand("explain", "say in words why this point");
  command
      ->add_option("study", options->study,
                   "folder of a study, as out/quickstart, or a record (optimize --json)")
      ->required();
  command->add_option("point", options->point,
                      "what to explain, as latency@0.15; without one, lists what there is");
  command->add_flag("--json", options->json, "print the explanation as JSON");
  command->callback([options, &action] { action = [options] { return run_explain(*options); }; });
}

}  // namespace dovetail::app
