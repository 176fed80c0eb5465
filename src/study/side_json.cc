#include "study/side_json.h"

#include <fmt/format.h>

namespace dovetail::study {
namespace {

Json loss_to_json(const MeasuredLoss& loss) {
  return {{"kl_nats", loss.kl_nats},
          {"kl_stderr_nats", loss.kl_stderr_nats},
          {"window_kl_nats", loss.window_kl_nats},
          {"top1_agreement_frac", loss.top1_agreement_frac},
          {"row", loss.row},
          {"measured", loss.measured}};
}

MeasuredLoss loss_from_json(const Json& json) {
  return {.kl_nats = json.at("kl_nats").get<double>(),
          .kl_stderr_nats = json.at("kl_stderr_nats").get<double>(),
          .window_kl_nats = json.at("window_kl_nats").get<std::vector<double>>(),
          .top1_agreement_frac = json.at("top1_agreement_frac").get<double>(),
          .row = json.at("row").get<std::string>(),
          .measured = json.at("measured").get<bool>()};
}

Json candidate_to_json(const search::Candidate& candidate) {
  return {{"chip_index", candidate.chip_index},       {"treatments", candidate.treatments},
          {"resident_frac", candidate.resident_frac}, {"metric", candidate.metric},
          {"objective", candidate.objective},         {"gap_frac", candidate.gap_frac}};
}

search::Candidate candidate_from_json(const Json& json, const ChipOf& chip_of) {
  search::Candidate candidate;
  candidate.chip_index = json.at("chip_index").get<int64_t>();
  candidate.chip = chip_of(candidate.chip_index);
  candidate.treatments = json.at("treatments").get<std::vector<std::vector<int32_t>>>();
  candidate.resident_frac = json.at("resident_frac").get<std::vector<std::vector<float>>>();
  candidate.metric = json.at("metric").get<double>();
  candidate.objective = json.at("objective").get<double>();
  candidate.gap_frac = json.at("gap_frac").get<double>();
  return candidate;
}

Settled settled_from_json(const Json& json, const ChipOf& chip_of) {
  Settled settled;
  settled.feasible = json.at("feasible").get<bool>();
  settled.predicted_cap = json.at("predicted_cap").get<double>();
  for (const Json& step : json.at("steps")) {
    settled.steps.push_back(
        {step.at(0).get<double>(), step.at(1).get<double>(), step.at(2).get<double>()});
  }
  if (!settled.feasible) return settled;
  settled.candidate = candidate_from_json(json.at("candidate"), chip_of);
  for (const Json& loss : json.at("losses")) settled.losses.push_back(loss_from_json(loss));
  return settled;
}

}  // namespace

Json side_to_json(const SideAnswer& side) {
  const Settled& settled = side.settled;
  Json json = {{"name", side.name},
               {"fixed_first", side.fixed_first},
               {"why_not", side.why_not},
               {"feasible", settled.feasible},
               {"predicted_cap", settled.predicted_cap}};
  json["steps"] = Json::array();
  for (const SettleStep& step : settled.steps) {
    json["steps"].push_back(Json::array({step.predicted_cap, step.worst_ratio, step.objective}));
  }
  if (!settled.feasible) return json;
  json["candidate"] = candidate_to_json(settled.candidate);
  json["losses"] = Json::array();
  for (const MeasuredLoss& loss : settled.losses) json["losses"].push_back(loss_to_json(loss));
  return json;
}

Result<SideAnswer> side_from_json(const Json& json, const ChipOf& chip_of) {
  try {
    SideAnswer side;
    side.name = json.at("name").get<std::string>();
    side.fixed_first = json.at("fixed_first").get<std::string>();
    side.why_not = json.at("why_not").get<std::string>();
    side.settled = settled_from_json(json, chip_of);
    return side;
  } catch (const Json::exception& error) {
    return invalid_argument(fmt::format("stored side: {}", error.what()));
  }
}

Json candidates_to_json(const std::vector<search::Candidate>& candidates) {
  Json json = Json::array();
  for (const search::Candidate& candidate : candidates) {
    json.push_back(candidate_to_json(candidate));
  }
  return json;
}

Result<std::vector<search::Candidate>> candidates_from_json(const Json& json,
                                                            const ChipOf& chip_of) {
  try {
    std::vector<search::Candidate> candidates;
    for (const Json& candidate : json) {
      candidates.push_back(candidate_from_json(candidate, chip_of));
    }
    return candidates;
  } catch (const Json::exception& error) {
    return invalid_argument(fmt::format("stored candidates: {}", error.what()));
  }
}

}  // namespace dovetail::study
