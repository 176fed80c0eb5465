// dovetail docs: writes the reference pages and the man page, or tells whether they are stale.
#include <algorithm>
#include <filesystem>
#include <memory>

#include <fmt/format.h>

#include "app/command.h"
#include "app/reference_pages.h"
#include "base/paths.h"

namespace dovetail::app {
namespace {

constexpr int64_t kMaxPageBytes = 64 << 20;

struct DocsOptions {
  std::string out;
  bool check = false;
};

// From 1: the first line in which two texts differ.
int64_t first_difference(const std::string& a, const std::string& b) {
  const auto [at, other] = std::ranges::mismatch(a, b);
  return 1 + std::count(a.begin(), at, '\n');
}

Status check_page(const std::string& path, const std::string& wanted) {
  const auto there = read_text_file(path, kMaxPageBytes);
  if (there.has_value() && *there == wanted) return {};
  // Not the user's mistake, the work that is asked for failed: exit code 1.
  return unavailable(fmt::format("{}: {}; run: dovetail docs --out docs", path,
                                 there.has_value()
                                     ? fmt::format("line {} differs from what the program says",
                                                   first_difference(wanted, *there))
                                     : "is missing"));
}

Status run_docs(const DocsOptions& options, const CLI::App& app) {
  DOVETAIL_TRY(const std::vector<Page> pages, reference_pages(describe_verb(app)));
  for (const Page& page : pages) {
    const std::string path = options.out + "/" + page.path;
    if (options.check) {
      DOVETAIL_TRY_STATUS(check_page(path, page.text));
      continue;
    }
    std::error_code code;
    std::filesystem::create_directories(std::filesystem::path(path).parent_path(), code);
    DOVETAIL_TRY_STATUS(write_text_file(path, page.text));
  }
  print_line(fmt::format("{}: {} pages {}", options.out, pages.size(),
                         options.check ? "are as the program says" : "written"));
  return {};
}

}  // namespace

void add_docs_command(CLI::App& app, Action& action) {
  auto options = std::make_shared<DocsOptions>();
  CLI::App* command = app.add_subcommand("docs", "write the reference pages");
  command->group("");  // for those who change the program
  command->add_option("--out", options->out, "folder docs of the sources")->required();
  command->add_flag("--check", options->check, "write nothing, fail on a page that differs");
  command->callback(
      [options, &app, &action] { action = [options, &app] { return run_docs(*options, app); }; });
}

}  // namespace dovetail::app
