#include "report/roadmap_page.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include <fmt/format.h>

#include "report/page_assets.h"
#include "report/page_text.h"
#include "report/record_view.h"
#include "report/roadmap_words.h"

namespace dovetail::report {
namespace {

constexpr int kRoadmapVersion = 1;
// Savings per nat are shown per this many nats: caps of studies are of this order.
constexpr double kShownNats = 0.01;

Status check_roadmap(const Json& roadmap) {
  const int version =
      roadmap.is_object() ? static_cast<int>(number_at(roadmap, "roadmap_version", -1)) : -1;
  if (version == kRoadmapVersion) return {};
  return invalid_argument(
      fmt::format("roadmap: roadmap_version = {}, want {}", version, kRoadmapVersion));
}

bool is_used(const Json& row) {
  return text_at(row, "place") == "used";
}

bool is_feasible(const Json& row, const char* alternative) {
  return row.contains(alternative) && flag_at(row[alternative], "feasible", false);
}

std::string saved_words(const Json& row, const char* alternative) {
  return is_feasible(row, alternative) ? show_share(number_at(row[alternative], "saved_frac"))
         : row.contains(alternative)   ? "needed"
                                       : "–";
}

std::string per_nat_words(const Json& row) {
  return has_number(row, "saved_frac_per_nat")
             ? fmt::format("{:.3g} %", number_at(row, "saved_frac_per_nat") * kShownNats * 100)
             : "–";
}

std::string added_words(const Json& row) {
  return has_number(row, "added_nats") ? fmt::format("{:.3g}", number_at(row, "added_nats")) : "–";
}

std::string chip_words(const Json& scenario) {
  return scenario.contains("answer")
             ? describe_chip(scenario["answer"].value("chip", Json::object()))
             : "";
}

// --- terminal ---

// The last column before confidence: only where the space was searched.
std::string any_chip_cell(const std::string& words, bool space) {
  return space ? fmt::format(" {:>9}", words) : "";
}

std::string text_rows(const Json& scenario, bool space) {
  std::string text = fmt::format("  {:<24}{:>7} {:>10} {:>9} {:>13} {:>10}{}  {}\n", "technique",
                                 "share", "adds nats", "saves", "per 0.01 nat", "equal loss",
                                 any_chip_cell("any chip", space), "confidence");
  for (const Json& row : list_at(scenario, "rows")) {
    if (!is_used(row)) continue;
    text += fmt::format(
        "  {:<24}{:>7} {:>10} {:>9} {:>13} {:>10}{}  {}\n", one_line(text_at(row, "technique")),
        fmt::format("{:.0f} %", number_at(row, "share_frac") * 100), added_words(row),
        saved_words(row, "without"), per_nat_words(row), saved_words(row, "equal_loss"),
        any_chip_cell(saved_words(row, "space"), space), text_at(row, "confidence"));
  }
  return text;
}

std::string text_reasons(const Json& scenario) {
  std::string text;
  for (const Json& row : list_at(scenario, "rows")) {
    if (!is_used(row)) continue;
    text +=
        fmt::format("  {}: needs {}\n", one_line(text_at(row, "technique")), silicon_words(row));
    if (const std::string why = place_words(row); !why.empty()) text += "    " + why + "\n";
    for (const Json& sentence : list_at(row, "falsified_by"))
      text += fmt::format("    wrong if: {}\n", one_line(sentence.get<std::string>()));
  }
  for (const Json& row : list_at(scenario, "rows")) {
    if (is_used(row)) continue;
    text += fmt::format("  {}: {} [{}]\n", one_line(text_at(row, "technique")), place_words(row),
                        text_at(row, "confidence"));
  }
  return text;
}

std::string scenario_text(const Json& scenario, bool space) {
  std::string text = "\n" + scenario_words(scenario) + "\n";
  if (!flag_at(scenario, "feasible", false))
    return text + "  no point fits: " + one_line(text_at(scenario, "why_not")) + "\n";
  text += "  on " + one_line(chip_words(scenario)) + "\n";
  return text + text_rows(scenario, space) + text_reasons(scenario);
}

std::string unpriced_text(const Json& roadmap) {
  std::string text = "\nnot priced\n";
  for (const Json& row : list_at(roadmap, "unpriced")) {
    const std::string how = text_at(row, "how");
    text += fmt::format("  {}: {}{}\n", text_at(row, "technique"), text_at(row, "status"),
                        how.empty() ? "" : "; " + how);
  }
  return text;
}

// --- page ---

// Positions on the axis that all bars of a scenario share, in percent of the cell.
struct Axis {
  double low = 0;
  double high = 0.01;

  explicit Axis(const Json& scenario) {
    for (const Json& row : list_at(scenario, "rows")) {
      for (const char* alternative : {"without", "equal_loss"}) {
        if (!is_feasible(row, alternative)) continue;
        for (const char* key : {"saved_frac", "saved_low_frac", "saved_high_frac"}) {
          const double value = std::clamp(number_at(row[alternative], key), -1.0, 1.0);
          low = std::min(low, value);
          high = std::max(high, value);
        }
      }
    }
  }
  double at(double share) const {
    return (std::clamp(share, low, high) - low) / (high - low) * 100;
  }
};

std::string mark(const char* style, double from, double to) {
  return fmt::format("<i class=\"{}\" style=\"left:{:.2f}%;width:{:.2f}%\"></i>", style,
                     std::min(from, to), std::abs(to - from));
}

std::string bar_html(const Json& row, const Axis& axis) {
  std::string html = fmt::format("<i class=\"nought\" style=\"left:{:.2f}%\"></i>", axis.at(0));
  if (is_feasible(row, "without")) {
    const Json& without = row["without"];
    const double saved = number_at(without, "saved_frac");
    html += mark(saved < 0 ? "bar-saved bar-below" : "bar-saved", axis.at(0), axis.at(saved));
    if (has_number(without, "saved_low_frac"))
      html += mark("whisker", axis.at(number_at(without, "saved_low_frac")),
                   axis.at(number_at(without, "saved_high_frac")));
  }
  if (is_feasible(row, "equal_loss"))
    html += fmt::format("<i class=\"worth\" style=\"left:{:.2f}%\"></i>",
                        axis.at(number_at(row["equal_loss"], "saved_frac")));
  return html;
}

std::string number_cell(const std::string& value, const std::string& band) {
  return fmt::format("<td class=\"number\">{}{}</td>", escape(value),
                     band.empty() ? "" : "<span class=\"band\">" + escape(band) + "</span>");
}

std::string band_of(const Json& row, const char* alternative) {
  return is_feasible(row, alternative) ? band_words(row[alternative], "saved", "_frac", 100, " %")
                                       : "";
}

std::string confidence_html(const Json& row) {
  const std::string confidence = text_at(row, "confidence");
  return fmt::format("<td class=\"{}\">{}</td>",
                     confidence == "established" ? "verdict-established" : "verdict-open",
                     escape(confidence));
}

std::string used_table(const Json& scenario, bool space) {
  const Axis axis(scenario);
  std::string rows;
  for (const Json& row : list_at(scenario, "rows")) {
    if (!is_used(row)) continue;
    rows += fmt::format("<tr><th scope=\"row\">{}<span class=\"kind\">{}</span></th>",
                        escape(text_at(row, "technique")), escape(text_at(row, "kind")));
    rows += number_cell(fmt::format("{:.0f} %", number_at(row, "share_frac") * 100), "");
    rows += number_cell(added_words(row), band_words(row, "added", "_nats", 1, ""));
    rows += "<td class=\"span\">" + bar_html(row, axis) + "</td>";
    rows += number_cell(saved_words(row, "without"), band_of(row, "without"));
    rows += number_cell(per_nat_words(row),
                        band_words(row, "saved", "_frac_per_nat", kShownNats * 100, " %"));
    rows += number_cell(saved_words(row, "equal_loss"), band_of(row, "equal_loss"));
    if (space) rows += number_cell(saved_words(row, "space"), band_of(row, "space"));
    rows += confidence_html(row) + "</tr>\n";
  }
  if (rows.empty()) return "<p>The answer uses none of the menu's techniques.</p>\n";
  return "<ul class=\"legend\"><li><i class=\"bar-saved\"></i>saved against the answer without it, "
         "its nats unspent</li><li><i class=\"whisker\"></i>band</li><li><i "
         "class=\"worth\"></i>saved at equal loss</li></ul>\n<div class=\"scroll open\" "
         "tabindex=\"0\" role=\"region\" aria-label=\"Ranking\"><table "
         "class=\"ranking\"><thead><tr>"
         "<th scope=\"col\">technique</th><th scope=\"col\" class=\"number\">share</th><th "
         "scope=\"col\" class=\"number\">adds, nats</th><th scope=\"col\">saved</th><th "
         "scope=\"col\" class=\"number\">saves</th><th scope=\"col\" class=\"number\">per 0.01 "
         "nat</th><th scope=\"col\" class=\"number\">at equal loss</th>" +
         std::string(space ? "<th scope=\"col\" class=\"number\">any chip</th>" : "") +
         "<th scope=\"col\">confidence</th></tr></thead><tbody>\n" + rows +
         "</tbody></table></div>\n";
}

std::string sentence_case(std::string words) {
  if (!words.empty() && words[0] >= 'a' && words[0] <= 'z')
    words[0] = static_cast<char>(words[0] - 'a' + 'A');
  return words;
}

std::string reasons_html(const Json& scenario) {
  std::string items;
  for (const Json& row : list_at(scenario, "rows")) {
    if (!is_used(row)) continue;
    std::string wrong;
    for (const Json& sentence : list_at(row, "falsified_by"))
      wrong += "<li>" + escape(sentence.get<std::string>()) + "</li>";
    const std::string place = place_words(row);
    items += fmt::format(
        "<li><strong>{}</strong><div><p>Needs {}.{}{}</p>{}</div></li>\n",
        escape(text_at(row, "technique")), escape(silicon_words(row)),
        is_feasible(row, "without") ? " Saves: " + escape(parts_words(row["without"])) + "." : "",
        place.empty() ? "" : " " + escape(sentence_case(place)) + ".",
        wrong.empty() ? "" : "<p class=\"note\">Wrong if</p><ul>" + wrong + "</ul>");
  }
  return items.empty() ? ""
                       : "<h3>What each needs, and what would show it to be wrong</h3>\n<ul "
                         "class=\"closer\">\n" +
                             items + "</ul>\n";
}

std::string unused_html(const Json& scenario) {
  std::string rows;
  for (const Json& row : list_at(scenario, "rows")) {
    if (is_used(row)) continue;
    std::string wrong;
    for (const Json& sentence : list_at(row, "falsified_by"))
      wrong += escape(sentence.get<std::string>());
    rows +=
        fmt::format("<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td>{}<td>{}</td></tr>\n",
                    escape(text_at(row, "technique")), escape(text_at(row, "kind")),
                    escape(place_words(row)), confidence_html(row), wrong.empty() ? "–" : wrong);
  }
  if (rows.empty()) return "";
  return "<details class=\"rows\"><summary>Not in this answer</summary><div class=\"scroll\" "
         "tabindex=\"0\" role=\"region\" aria-label=\"Not in this answer\"><table><thead><tr><th "
         "scope=\"col\">technique</th><th scope=\"col\">kind</th><th scope=\"col\">why</th><th "
         "scope=\"col\">confidence</th><th scope=\"col\">wrong if</th></tr></thead><tbody>\n" +
         rows + "</tbody></table></div></details>\n";
}

std::string scenario_html(const Json& scenario, bool space) {
  const std::string title = escape(scenario_words(scenario));
  if (!flag_at(scenario, "feasible", false)) {
    return fmt::format("<section><h2>{}</h2><p class=\"plain\">No point fits: {}</p></section>\n",
                       title, escape(text_at(scenario, "why_not")));
  }
  const Json answer = scenario.value("answer", Json::object());
  return fmt::format("<section><h2>{}</h2><p class=\"lead\">{}; {}, {}, {:.4g} mm².</p>\n", title,
                     escape(chip_words(scenario)), show_ns(number_at(answer, "latency_ns")),
                     show_pj(number_at(answer, "energy_pj")), number_at(answer, "area_mm2")) +
         used_table(scenario, space) + reasons_html(scenario) + unused_html(scenario) +
         "</section>\n";
}

std::string unpriced_html(const Json& roadmap) {
  std::string rows;
  for (const Json& row : list_at(roadmap, "unpriced")) {
    rows += fmt::format("<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td><td>{}</td></tr>\n",
                        escape(text_at(row, "technique")), escape(text_at(row, "kind")),
                        escape(text_at(row, "status")), escape(text_at(row, "how")));
  }
  return "<section><h2>Not priced</h2><p class=\"lead\">What this study's menu did not hold, with "
         "the key that would price it, and what is not built.</p><div class=\"scroll\" "
         "tabindex=\"0\" role=\"region\" aria-label=\"Not priced\"><table><thead><tr><th "
         "scope=\"col\">technique</th><th scope=\"col\">kind</th><th scope=\"col\">status</th><th "
         "scope=\"col\">key or verb</th></tr></thead><tbody>\n" +
         rows + "</tbody></table></div></section>\n";
}

// How the columns are meant; the numbers of the prediction are the study's own.
std::string meaning_html(const Json& roadmap) {
  std::string bands;
  const Json prediction = roadmap.value("prediction", Json::object());
  for (const auto& [rotation, band] : prediction.items()) {
    bands += fmt::format(" Rotation {}: measured over predicted loss ×{:.3g}, spread ×{:.3g}.",
                         escape(rotation), number_at(band, "bias_ratio"),
                         number_at(band, "spread_ratio"));
  }
  return "<section><h2>How to read it</h2><p>Each technique is taken off the menu and the "
         "recommended chip's allocation is solved again, with the study's own loss and cost "
         "tables. "
         "<em>Saves</em> compares with the answer that leaves the technique's nats unspent; <em>at "
         "equal loss</em> with the one that spends them on other techniques. Costs are analytical "
         "(T1); nats are predictions scaled by what the recommended recipe measured." +
         (bands.empty() ? " The study did not test its predictions, so there are no bands."
                        : bands) +
         "</p></section>\n";
}

}  // namespace

Result<std::string> roadmap_text(const Json& roadmap) {
  return reading_record([&]() -> Result<std::string> {
    DOVETAIL_TRY_STATUS(check_roadmap(roadmap));
    std::string text = one_line(text_at(roadmap, "name")) + ": techniques by cost saved per nat\n";
    const bool space = flag_at(roadmap, "space_searched", false);
    for (const Json& scenario : list_at(roadmap, "scenarios"))
      text += scenario_text(scenario, space);
    return text + unpriced_text(roadmap);
  });
}

Result<std::string> roadmap_html(const Json& roadmap) {
  return reading_record([&]() -> Result<std::string> {
    DOVETAIL_TRY_STATUS(check_roadmap(roadmap));
    const bool space = flag_at(roadmap, "space_searched", false);
    std::string body;
    for (const Json& scenario : list_at(roadmap, "scenarios"))
      body += scenario_html(scenario, space);
    body += unpriced_html(roadmap) + meaning_html(roadmap);
    const std::string title = escape(text_at(roadmap, "name"));
    const std::string question = escape(text_at(roadmap, "question"));
    return fill_template(
        kRoadmapShell,
        {{"title", title}, {"question", question}, {"style", kPageStyle}, {"body", body}});
  });
}

}  // namespace dovetail::report
