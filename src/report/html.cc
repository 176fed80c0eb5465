#include "report/html.h"

#include <fmt/format.h>

#include "report/decision.h"
#include "report/front_columns.h"
#include "report/page_assets.h"
#include "report/page_text.h"
#include "report/record_view.h"
#include "report/targets.h"

namespace dovetail::report {
namespace {

// Losses of single site treatments colour a map; three digits are enough for that.
Json round_losses(const Json& table) {
  Json rounded = Json::array();
  for (const Json& product : table) {
    Json copy = product;
    std::string rows;
    for (const Json& row : list_at(product, "loss_nats")) {
      for (const Json& loss : row) {
        if (loss.is_number()) rows += fmt::format("{:.3g}", loss.get<double>());
        rows += ',';
      }
      rows += ';';
    }
    copy["loss_nats"] = std::move(rows);
    rounded.push_back(std::move(copy));
  }
  return rounded;
}

Json decision_to_json(const std::vector<Sentence>& decision) {
  Json rows = Json::array();
  for (const Sentence& sentence : decision) {
    rows.push_back(
        {{"topic", sentence.topic}, {"text", sentence.text}, {"standing", sentence.standing}});
  }
  return rows;
}

Result<Json> page_data(const Json& record, const std::vector<Sentence>& decision) {
  Json data = Json::object();
  for (const auto& [key, value] : record.items()) {
    if (key != "front" && key != "loss_table") data[key] = value;
  }
  data["front"] = front_to_columns(record["front"]);
  data["loss_table"] = round_losses(list_at(record, "loss_table"));
  data["menu_letters"] = kMenuLetters;
  data["decision"] = decision_to_json(decision);
  data["headline_scenario"] = headline_scenario(record);
  DOVETAIL_TRY(const Json targets, make_targets(record));
  data["targets"] = targets["targets"];
  data["report_version"] = DOVETAIL_VERSION;
  return data;
}

// No line ends between a number and its "%".
std::string unbroken_percent(std::string text) {
  for (size_t at = text.find(" %"); at != std::string::npos; at = text.find(" %", at)) {
    text.replace(at, 1, "&#160;");
  }
  return text;
}

// What a reader without scripts sees, and what stands until the scripts have run.
std::string decision_html(const std::vector<Sentence>& decision) {
  std::string html;
  for (const Sentence& sentence : decision) {
    html += fmt::format(
        "<li class=\"standing-{0}\"><span class=\"topic\">{1}</span><span class=\"standing\">{2}"
        "</span><p>{3}</p></li>\n",
        sentence.standing, escape(sentence.topic), standing_words(sentence.standing),
        unbroken_percent(escape(sentence.text)));
  }
  return html;
}

}  // namespace

Result<std::string> render_html(const Json& record) {
  return reading_record([&]() -> Result<std::string> {
    DOVETAIL_TRY_STATUS(check_record(record));
    const std::vector<Sentence> decision = decide(record);
    DOVETAIL_TRY(const Json data, page_data(record, decision));
    DOVETAIL_TRY(const std::string packed,
                 deflate_base64(data.dump(-1, ' ', false, Json::error_handler_t::replace)));
    const std::string name = escape(text_at(record, "name"));
    const std::string question = escape(text_at(record, "question"));
    const std::string sentences = decision_html(decision);
    const std::string licence = escape(kChartLicence);
    return fill_template(kPageShell, {{"name", name},
                                      {"question", question},
                                      {"style", kPageStyle},
                                      {"decision", sentences},
                                      {"record", packed},
                                      {"library", kChartLibrary},
                                      {"licence", licence},
                                      {"script", kPageScript}});
  });
}

}  // namespace dovetail::report
