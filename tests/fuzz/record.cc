// The record of a study, damaged, on its way into the report, the summary, the targets and the
// comparison.
#include <algorithm>

#include "base/json_text.h"
#include "fuzz_target.h"
#include "report/comparison_page.h"
#include "report/html.h"
#include "report/page_test_record.h"
#include "report/summary.h"
#include "report/targets.h"

namespace dovetail::fuzz {
namespace {

size_t count(std::string_view text, std::string_view word) {
  size_t found = 0;
  for (size_t at = text.find(word); at != std::string_view::npos; at = text.find(word, at + 1)) {
    ++found;
  }
  return found;
}

// Text of the record never becomes markup of the page.
void require_same_markup(const std::string& page, const std::string& sound_page) {
  require(count(page, "<script") == count(sound_page, "<script"), "a record adds no script");
  require(count(page, "</script") == count(sound_page, "</script"), "a record ends no script");
}

void compare(const Json& from, const Json& to) {
  static const std::string sound_page = [] {
    const Json sound = report::page_test_record();
    return report::comparison_html(*report::compare_records(sound, sound)).value();
  }();
  const auto comparison = report::compare_records(from, to);
  if (!comparison.has_value()) {
    require_good_error(comparison.error());
    return;
  }
  require(!report::comparison_text(*comparison).empty(), "a comparison has words");
  require(report::to_json(*comparison).is_object(), "a comparison is an object");
  const auto page = report::comparison_html(*comparison);
  require(page.has_value(), "a comparison has a page");
  require_same_markup(*page, sound_page);
}

void draw(const Json& record) {
  static const std::string sound_page = report::render_html(report::page_test_record()).value();
  const auto page = report::render_html(record);
  if (!page.has_value()) {
    require_good_error(page.error());
    return;
  }
  require_same_markup(*page, sound_page);
  note_accepted();
}

}  // namespace

void fuzz_record(std::string_view input) {
  const auto record = parse_json(input, "record.json");
  if (!record.has_value()) {
    require_good_error(record.error(), "record.json");
    return;
  }
  const auto summary = report::summarize(*record);
  if (summary.has_value()) {
    require(std::ranges::count(*summary, '\n') <= 25, "a summary has at most 25 lines");
  } else {
    require_good_error(summary.error());
  }
  const auto targets = report::make_targets(*record);
  if (targets.has_value()) {
    require((*targets)["targets"].is_array(), "targets are rows");
  } else {
    require_good_error(targets.error());
  }
  draw(*record);
  compare(report::page_test_record(), *record);
  compare(*record, report::page_test_record());
}

}  // namespace dovetail::fuzz
