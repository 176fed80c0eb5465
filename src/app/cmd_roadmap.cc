// dovetail roadmap: the compression techniques of a study, ranked by cost saved per nat.
#include <filesystem>
#include <memory>

#include "app/command.h"
#include "app/study_record.h"
#include "base/paths.h"
#include "report/roadmap_page.h"
#include "roadmap/roadmap.h"

namespace dovetail::app {
namespace {

struct RoadmapOptions {
  std::string study;
  std::string out;
  bool space = false;
  bool json = false;
};

std::string page_path(const RoadmapOptions& options) {
  if (!options.out.empty()) return options.out;
  const std::filesystem::path path(options.study);
  return (std::filesystem::is_directory(path) ? path : path.parent_path()) / "roadmap.html";
}

Result<Json> make(const RoadmapOptions& options) {
  DOVETAIL_TRY(const Json record, load_study_record(options.study));
  const auto tables = roadmap::read_tables(record);
  if (!tables.has_value()) return with_context(tables.error(), options.study);
  return roadmap::make_roadmap(*tables, {.space = options.space}, terminal_progress());
}

Status run_roadmap(const RoadmapOptions& options) {
  DOVETAIL_TRY(const Json made, make(options));
  end_progress();
  if (options.json) {
    print_json(made);
    if (options.out.empty()) return {};
  }
  DOVETAIL_TRY(const std::string html, report::roadmap_html(made));
  const std::string page = page_path(options);
  DOVETAIL_TRY_STATUS(write_text_file(page, html));
  if (options.json) return {};
  DOVETAIL_TRY(const std::string text, report::roadmap_text(made));
  print_line(text + "page: " + page);
  return {};
}

}  // namespace

void add_roadmap_command(CLI::App& app, Action& action) {
  auto options = std::make_shared<RoadmapOptions>();
  CLI::App* command =
      app.add_subcommand("roadmap", "rank a study's compression techniques by cost saved per nat");
  command
      ->add_option("study", options->study,
                   "folder of a study, as out/quickstart, or a record (optimize --json)")
      ->required();
  command->add_option("--out", options->out, "the page [roadmap.html beside the study]");
  command->add_flag("--space", options->space,
                    "also search the space again without each technique that an answer uses");
  command->add_flag("--json", options->json, "print the ranking as JSON");
  command->callback([options, &action] { action = [options] { return run_roadmap(*options); }; });
}

}  // namespace dovetail::app
