#include "report/comparison_page.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <optional>

#include <fmt/format.h>

#include "report/page_assets.h"
#include "report/page_text.h"

namespace dovetail::report {
namespace {

constexpr std::string_view kAnswerTitle = "Answer: ";

std::vector<const ChangeGroup*> groups_of(const Comparison& comparison, Role role) {
  std::vector<const ChangeGroup*> groups;
  for (const ChangeGroup& group : comparison.groups) {
    if (group.role == role) groups.push_back(&group);
  }
  return groups;
}

std::string change_words(const Change& change) {
  if (change.from.empty()) return fmt::format("{}: {}", change.what, change.to);
  return fmt::format("{} {} → {}", change.what, change.from,
                     change.to.empty() ? "none" : change.to);
}

// "Budget (max_area_mm2 40 → 30, and 1 more)".
std::string group_words(const ChangeGroup& group) {
  const size_t num_more = group.changes.size() - 1;
  return fmt::format("{} ({}{})", group.title, change_words(group.changes.front()),
                     num_more > 0 ? fmt::format(", and {} more", num_more) : "");
}

std::string join_groups(const std::vector<const ChangeGroup*>& groups) {
  std::string text;
  for (const ChangeGroup* group : groups) {
    text += (text.empty() ? "" : "; ") + group_words(*group);
  }
  return text;
}

// Losses are measured on texts, for the treatments of a menu, on a model, by a program.
bool moves_losses(const ChangeGroup* group) {
  return group->title == "Texts" || group->title == "Menu of treatments" ||
         group->title == "Products" || group->title == "Program";
}

const Change* objective_change(const ChangeGroup& group) {
  const auto it = std::ranges::find(group.changes, kObjectiveChange, &Change::what);
  return it == group.changes.end() ? nullptr : &*it;
}

bool is_answer(const ChangeGroup& group) {
  return group.title.starts_with(kAnswerTitle);
}

std::string scenario_of(const ChangeGroup& group) {
  return group.title.substr(kAnswerTitle.size());
}

// "+10 %" -> 10.
std::optional<double> percent_of(const Change* change) {
  if (change == nullptr || change->note.empty()) return std::nullopt;
  return std::strtod(change->note.c_str(), nullptr);
}

std::string role_words(Role role) {
  if (role == Role::kInput) return "Given to the study: a cause.";
  return role == Role::kLearned ? "Measured by the study before it chose: a cause."
                                : "Found by the study: an effect.";
}

// One row a scenario: how its objective moved, as a bar from the middle.
std::string objective_bars(const Comparison& comparison) {
  std::string rows;
  double most = 1;
  for (const ChangeGroup& group : comparison.groups) {
    most = std::max(most, std::abs(percent_of(objective_change(group)).value_or(0)));
  }
  for (const ChangeGroup& group : comparison.groups) {
    const std::optional<double> moved = percent_of(objective_change(group));
    if (!is_answer(group)) continue;
    const double width = 50 * std::abs(moved.value_or(0)) / most;
    rows += fmt::format(
        "<tr><th scope=\"row\">{}</th><td class=\"moved\"><span class=\"{}\" style=\"width:{:.2f}%;"
        "{}:50%\"></span></td><td class=\"number\">{}</td></tr>\n",
        escape(scenario_of(group)), moved.value_or(0) > 0 ? "worse" : "better", width,
        moved.value_or(0) > 0 ? "left" : "right",
        moved.has_value() ? fmt::format("{:+.2f}&#160;%", *moved) : "other changes only");
  }
  if (rows.empty()) return "";
  return "<section><h2>How the answers moved</h2><p class=\"lead\">Change of each scenario's "
         "objective; to the left is cheaper. Scenarios that did not change are left out.</p>\n"
         "<table class=\"bars\"><thead><tr><th scope=\"col\">scenario</th><th "
         "scope=\"col\">cheaper "
         "| dearer</th><th scope=\"col\" class=\"number\">change</th></tr></thead><tbody>\n" +
         rows + "</tbody></table></section>\n";
}

std::string group_html(const ChangeGroup& group) {
  std::string rows;
  for (const Change& change : group.changes) {
    rows += fmt::format(
        "<tr><th scope=\"row\">{}</th><td class=\"from\">{}</td><td>{}</td><td>{}</td></tr>\n",
        escape(change.what), change.from.empty() ? "–" : escape(change.from),
        change.to.empty() ? "–" : escape(change.to), escape(change.note));
  }
  return fmt::format(
      "<section><h2>{}</h2><p class=\"lead\">{}</p>\n<div class=\"scroll\" tabindex=\"0\" "
      "role=\"region\" aria-label=\"{}\"><table class=\"changes\"><thead><tr><th "
      "scope=\"col\">what</th><th scope=\"col\">before</th><th scope=\"col\">after</th><th "
      "scope=\"col\">change</th></tr></thead><tbody>\n{}</tbody></table></div></section>\n",
      escape(group.title), role_words(group.role), escape(group.title), rows);
}

const char* role_name(Role role) {
  return role == Role::kInput ? "input" : role == Role::kLearned ? "learned" : "answer";
}

}  // namespace

std::string effect_words(const Comparison& comparison) {
  std::string moved;
  int64_t num_changed = 0;
  for (const ChangeGroup* group : groups_of(comparison, Role::kAnswer)) {
    if (!is_answer(*group)) continue;
    ++num_changed;
    const Change* objective = objective_change(*group);
    if (objective == nullptr || !moved.empty()) continue;
    moved = fmt::format("; for {} the objective moved by {}", scenario_of(*group), objective->note);
  }
  if (num_changed == 0) return "No answer changed.";
  return fmt::format("The answer changed in {} scenario{}{}.", num_changed,
                     num_changed == 1 ? "" : "s", moved);
}

std::string cause_words(const Comparison& comparison) {
  std::vector<const ChangeGroup*> causes = groups_of(comparison, Role::kInput);
  std::vector<const ChangeGroup*> learned = groups_of(comparison, Role::kLearned);
  const size_t num_inputs = causes.size();
  // What was measured is a cause of its own unless an input explains it.
  if (std::ranges::none_of(causes, moves_losses)) {
    causes.insert(causes.end(), learned.begin(), learned.end());
    learned.clear();
  }
  if (causes.empty()) {
    return groups_of(comparison, Role::kAnswer).empty()
               ? "Nothing that could change an answer changed."
               : "The records hold no cause: no input and no loss changed, so the program did.";
  }
  const std::string then =
      learned.empty() ? "" : fmt::format(", which also moved {}", join_groups(learned));
  if (causes.size() == 1) {
    return fmt::format("{}{}{}.",
                       num_inputs == 1 ? "One input changed: "
                                       : "No input changed, but what the study measured did: ",
                       group_words(*causes.front()), then);
  }
  return fmt::format(
      "Several causes at once, so two records cannot tell which moved what: {}{}; change one at a "
      "time to know.",
      join_groups(causes), then);
}

std::string comparison_text(const Comparison& comparison) {
  // Names and values of the records stand in the lines, and they are free.
  const auto line = [](const std::string& words) { return one_line(words) + "\n"; };
  std::string text = line(fmt::format("{} -> {}", comparison.from_name, comparison.to_name));
  if (comparison.groups.empty()) {
    return text + "Nothing changed: inputs and answers are the same.\n";
  }
  text += line("what: " + effect_words(comparison)) + line("why:  " + cause_words(comparison));
  constexpr size_t kMaxShown = 25;
  for (const ChangeGroup& group : comparison.groups) {
    text += "\n" + line(fmt::format("{}  [{}]", group.title, role_name(group.role)));
    for (size_t i = 0; i < std::min(kMaxShown, group.changes.size()); ++i) {
      const Change& change = group.changes[i];
      text += line(fmt::format("  {}: {}{}{}", change.what,
                               change.from.empty() ? "" : change.from + " -> ",
                               change.to.empty() ? "(none)" : change.to,
                               change.note.empty() ? "" : "  (" + change.note + ")"));
    }
    if (group.changes.size() > kMaxShown) {
      text += fmt::format("  and {} more on the page\n", group.changes.size() - kMaxShown);
    }
  }
  return text;
}

Result<std::string> comparison_html(const Comparison& comparison) {
  std::string body = objective_bars(comparison);
  for (const ChangeGroup& group : comparison.groups) body += group_html(group);
  const std::string title =
      escape(fmt::format("{} → {}", comparison.from_name, comparison.to_name));
  const bool same = comparison.groups.empty();
  const std::string effect =
      escape(same ? "Nothing changed: inputs and answers are the same." : effect_words(comparison));
  const std::string cause = same ? ""
                                 : fmt::format("<p class=\"cause\"><strong>Why.</strong> {}</p>",
                                               escape(cause_words(comparison)));
  return fill_template(kComparisonShell, {{"title", title},
                                          {"effect", effect},
                                          {"cause", cause},
                                          {"style", kPageStyle},
                                          {"body", body}});
}

Json to_json(const Comparison& comparison) {
  Json groups = Json::array();
  for (const ChangeGroup& group : comparison.groups) {
    Json changes = Json::array();
    for (const Change& change : group.changes) {
      changes.push_back(
          {{"what", change.what}, {"from", change.from}, {"to", change.to}, {"note", change.note}});
    }
    groups.push_back(
        {{"title", group.title}, {"role", role_name(group.role)}, {"changes", changes}});
  }
  return Json{{"from", comparison.from_name},
              {"to", comparison.to_name},
              {"effect", effect_words(comparison)},
              {"cause", cause_words(comparison)},
              {"groups", groups}};
}

}  // namespace dovetail::report
