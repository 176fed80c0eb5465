#include "silicon/calibration_published.h"

#include <algorithm>

#include <fmt/format.h>

namespace dovetail::silicon {
namespace {

// A constant's slow end, value and quick end for a decode speed.
struct Span {
  double slow = 0;
  double mid = 0;
  double quick = 0;
};

Result<Span> span_of(const Technology& constants, const std::string& key, bool more_is_quicker) {
  DOVETAIL_TRY(const double value, constants.value(key));
  const Constant& constant = constants.constants().at(key);
  if (more_is_quicker) return Span{constant.low, value, constant.high};
  return Span{constant.high, value, constant.low};
}

double bytes_of(const PublishedDecode& point, double head_bits) {
  return (point.block_weights_m * point.weight_bits + point.head_weights_m * head_bits) / 8 * 1e6 +
         point.cache_mb * 1e6;
}

Result<PublishedCheck> check_point(const Technology& machines, const Technology& technology,
                                   const PublishedDecode& point) {
  if (point.source.empty() || point.head_bits_low > point.head_bits_high) {
    return invalid_argument(
        fmt::format("{} on {}: want a source and head_bits_low = {:g} at most "
                    "head_bits_high = {:g}",
                    point.model, point.machine, point.head_bits_low, point.head_bits_high));
  }
  DOVETAIL_TRY(const Span bandwidth,
               span_of(machines, point.machine + ".memory.dram_gb_per_s", true));
  DOVETAIL_TRY(const Span gap, span_of(machines, point.machine + ".runtime.kernel_gap_us", false));
  DOVETAIL_TRY(const Span kernels,
               span_of(machines, point.machine + ".runtime.kernels_per_layer", false));
  DOVETAIL_TRY(const Span efficiency,
               span_of(technology, "dram." + point.dram + ".efficiency_stream_frac", true));
  const auto speed = [&](double Span::* end, double head_bits) {
    const double seconds = bytes_of(point, head_bits) / (bandwidth.*end * 1e9 * efficiency.*end) +
                           point.layers * kernels.*end * gap.*end * 1e-6;
    return 1 / seconds;
  };
  return PublishedCheck{
      .point = point,
      .low_tokens_per_s = speed(&Span::slow, point.head_bits_high),
      .mid_tokens_per_s = speed(&Span::mid, (point.head_bits_low + point.head_bits_high) / 2),
      .high_tokens_per_s = speed(&Span::quick, point.head_bits_low)};
}

}  // namespace

Result<std::vector<PublishedCheck>> check_published(const Technology& machines,
                                                    const Technology& technology,
                                                    const PublishedDecodes& decodes) {
  std::vector<PublishedCheck> checks;
  for (const PublishedDecode& point : decodes.points) {
    DOVETAIL_TRY(PublishedCheck check, check_point(machines, technology, point));
    checks.push_back(std::move(check));
  }
  return checks;
}

Json published_to_json(const std::vector<PublishedCheck>& checks) {
  Json json = {{"schema_version", 1}, {"set", "published"}, {"points", Json::array()}};
  for (const PublishedCheck& check : checks) {
    json["points"].push_back({{"machine", check.point.machine},
                              {"model", check.point.model},
                              {"published_tokens_per_s", check.point.tokens_per_s},
                              {"low_tokens_per_s", check.low_tokens_per_s},
                              {"mid_tokens_per_s", check.mid_tokens_per_s},
                              {"high_tokens_per_s", check.high_tokens_per_s},
                              {"inside", check.inside()},
                              {"says", check.inside() ? "" : check.point.outside},
                              {"source", check.point.source},
                              {"date", check.point.date}});
  }
  return json;
}

std::string published_text(const std::vector<PublishedCheck>& checks) {
  const auto inside = std::count_if(checks.begin(), checks.end(),
                                    [](const PublishedCheck& check) { return check.inside(); });
  std::string text = fmt::format("{:<13} {:<24} {:>10} {:>22} {:>9}  {}\n", "machine", "model",
                                 "published", "roofline, tokens/s", "", "source");
  for (const PublishedCheck& check : checks) {
    text +=
        fmt::format("{:<13} {:<24} {:>10.4g} {:>8.4g} ({:.4g}..{:.4g}) {:>9}  {}, {}\n",
                    check.point.machine, check.point.model, check.point.tokens_per_s,
                    check.mid_tokens_per_s, check.low_tokens_per_s, check.high_tokens_per_s,
                    check.inside() ? "inside" : "outside", check.point.source, check.point.date);
    if (!check.inside()) text += fmt::format("{:<13}   why: {}\n", "", check.point.outside);
  }
  return text + fmt::format("{} of {} inside\n", inside, checks.size());
}

}  // namespace dovetail::silicon
