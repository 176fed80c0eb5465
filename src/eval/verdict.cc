#include "eval/verdict.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include <fmt/format.h>

#include "eval/distributions.h"
#include "eval/noninferiority.h"

namespace dovetail::eval {
namespace {

Status check_params(const VerdictParams& params) {
  if (!(params.margin_frac > 0 && params.margin_frac < 1)) {
    return invalid_argument(
        fmt::format("margin_frac = {}, want a value in (0, 1)", params.margin_frac));
  }
  if (!(params.alpha > 0 && params.alpha < 0.5)) {
    return invalid_argument(fmt::format("alpha = {}, want a value in (0, 0.5)", params.alpha));
  }
  if (!(params.power > 0 && params.power < 1)) {
    return invalid_argument(fmt::format("power = {}, want a value in (0, 1)", params.power));
  }
  return {};
}

Decision decision_of(double p_pass, double p_fail, double alpha) {
  if (p_pass <= alpha) return Decision::kPass;
  return p_fail <= alpha ? Decision::kFail : Decision::kUndecided;
}

Verdict start_verdict(VerdictKind kind, const PairedCounts& counts, const VerdictParams& params) {
  Verdict verdict;
  verdict.kind = kind;
  verdict.counts = counts;
  verdict.difference_frac = counts.difference_frac();
  verdict.margin_frac = params.margin_frac;
  verdict.alpha = params.alpha;
  return verdict;
}

std::vector<double> differences_of(const std::vector<bool>& baseline,
                                   const std::vector<bool>& candidate) {
  std::vector<double> differences;
  for (size_t i = 0; i < baseline.size(); ++i) {
    differences.push_back(static_cast<double>(candidate[i]) - static_cast<double>(baseline[i]));
  }
  return differences;
}

// Replaces the interval by the clusters', and each p by the larger of the two tests'.
Status consider_clusters(const std::vector<double>& differences,
                         const std::vector<int64_t>& clusters, const VerdictParams& params,
                         Verdict& verdict) {
  DOVETAIL_TRY(const PairedMean mean, paired_mean(differences, clusters, 1 - 2 * params.alpha));
  verdict.method = "exact unconditional test and cluster-robust t test";
  verdict.interval = mean.interval;
  if (!mean.std_error || mean.num_clusters < kMinClusters) {
    verdict.method += fmt::format(": {} clusters of {}", mean.num_clusters,
                                  mean.std_error ? "too small a number" : "no spread");
    verdict.p_pass = verdict.p_fail = 1;
    return {};
  }
  const double t = (mean.mean + params.margin_frac) / *mean.std_error;
  const double below = student_t_cdf(t, static_cast<double>(mean.num_clusters - 1));
  verdict.p_pass = std::max(verdict.p_pass, 1 - below);
  verdict.p_fail = std::max(verdict.p_fail, below);
  return {};
}

// The number if questions were independent.
Result<std::optional<int64_t>> population_questions(const Verdict& verdict,
                                                    const VerdictParams& params) {
  const auto n = static_cast<double>(verdict.counts.total());
  const FlipRates rates{.gained_frac = static_cast<double>(verdict.counts.gained) / n,
                        .lost_frac = static_cast<double>(verdict.counts.lost) / n};
  return questions_to_decide(params.margin_frac, rates, params.alpha, params.power);
}

// 1 for independent questions; at least 1.
double design_effect(const std::vector<double>& differences, const std::vector<int64_t>& clusters) {
  const auto clustered = paired_mean(differences, clusters);
  const auto independent = paired_mean(differences);
  if (!clustered.has_value() || !independent.has_value()) return 1;
  if (!clustered->std_error || !independent->std_error) return 1;
  const double ratio = *clustered->std_error / *independent->std_error;
  return std::max(1.0, ratio * ratio);
}

}  // namespace

std::string to_string(VerdictKind kind) {
  return kind == VerdictKind::kBenchmark ? "benchmark" : "population";
}

Result<Verdict> benchmark_verdict(const std::vector<bool>& baseline,
                                  const std::vector<bool>& candidate, int64_t num_questions,
                                  const VerdictParams& params) {
  DOVETAIL_TRY_STATUS(check_params(params));
  DOVETAIL_TRY(const PairedFlips flips, find_flips(baseline, candidate));
  DOVETAIL_TRY(SequentialTest test,
               SequentialTest::create({.margin_frac = params.margin_frac,
                                       .alpha = params.alpha,
                                       .num_benchmark_questions = num_questions}));
  for (const double difference : differences_of(baseline, candidate)) {
    DOVETAIL_TRY_STATUS(test.add(difference));
  }
  Verdict verdict = start_verdict(VerdictKind::kBenchmark, flips.counts, params);
  verdict.is_exact = flips.counts.total() == num_questions;
  verdict.decision = test.decision();
  verdict.method = verdict.is_exact ? "exact" : "betting without replacement";
  verdict.p_pass = test.p_pass();
  verdict.p_fail = test.p_fail();
  if (verdict.decision == Decision::kUndecided) verdict.questions_to_decide = num_questions;
  return verdict;
}

Result<Verdict> population_verdict(const std::vector<bool>& baseline,
                                   const std::vector<bool>& candidate, const VerdictParams& params,
                                   const std::vector<int64_t>& clusters) {
  DOVETAIL_TRY_STATUS(check_params(params));
  DOVETAIL_TRY(const PairedFlips flips, find_flips(baseline, candidate));
  DOVETAIL_TRY(const NonInferiorityTest test,
               test_noninferiority(flips.counts, params.margin_frac));
  Verdict verdict = start_verdict(VerdictKind::kPopulation, flips.counts, params);
  verdict.method = "exact unconditional test";
  verdict.p_pass = test.p_pass;
  verdict.p_fail = test.p_fail;
  DOVETAIL_TRY(verdict.interval, tango_interval(flips.counts, 1 - 2 * params.alpha));
  const std::vector<double> differences = differences_of(baseline, candidate);
  if (!clusters.empty()) {
    DOVETAIL_TRY_STATUS(consider_clusters(differences, clusters, params, verdict));
  }
  verdict.decision = decision_of(verdict.p_pass, verdict.p_fail, params.alpha);
  if (verdict.decision != Decision::kUndecided) return verdict;
  DOVETAIL_TRY(verdict.questions_to_decide, population_questions(verdict, params));
  if (verdict.questions_to_decide && !clusters.empty()) {
    const double wanted =
        static_cast<double>(*verdict.questions_to_decide) * design_effect(differences, clusters);
    verdict.questions_to_decide = static_cast<int64_t>(std::ceil(wanted));
  }
  return verdict;
}

std::vector<double> holm_adjusted(const std::vector<double>& p_values) {
  std::vector<size_t> order(p_values.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::stable_sort(order, [&](size_t a, size_t b) { return p_values[a] < p_values[b]; });
  std::vector<double> adjusted(p_values.size());
  double largest = 0;
  for (size_t i = 0; i < order.size(); ++i) {
    const auto left = static_cast<double>(order.size() - i);
    largest = std::max(largest, std::min(1.0, left * p_values[order[i]]));
    adjusted[order[i]] = largest;
  }
  return adjusted;
}

Result<std::vector<Verdict>> decide_together(std::vector<Verdict> verdicts) {
  std::vector<double> pass;
  std::vector<double> fail;
  for (const Verdict& verdict : verdicts) {
    if (verdict.kind != verdicts[0].kind || verdict.alpha != verdicts[0].alpha) {
      return invalid_argument(fmt::format(
          "verdicts of kind {} at alpha = {} and of kind {} at alpha = {}, want one of each",
          to_string(verdicts[0].kind), verdicts[0].alpha, to_string(verdict.kind), verdict.alpha));
    }
    if (verdict.is_exact) continue;
    pass.push_back(verdict.p_pass);
    fail.push_back(verdict.p_fail);
  }
  pass = holm_adjusted(pass);
  fail = holm_adjusted(fail);
  size_t place = 0;
  for (Verdict& verdict : verdicts) {
    if (verdict.is_exact) continue;
    verdict.p_pass = pass[place];
    verdict.p_fail = fail[place];
    ++place;
    verdict.decision = decision_of(verdict.p_pass, verdict.p_fail, verdict.alpha);
  }
  return verdicts;
}

}  // namespace dovetail::eval
