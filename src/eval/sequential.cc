#include "eval/sequential.h"

#include <algorithm>
#include <array>
#include <cmath>

#include <fmt/format.h>

namespace dovetail::eval {
namespace {

constexpr std::array<double, 12> kShares = {0.01, 0.016, 0.025, 0.04, 0.063, 0.1,
                                            0.16, 0.25,  0.4,   0.6,  0.8,   0.95};

double log_mean(const std::vector<double>& logs) {
  const double largest = *std::ranges::max_element(logs);
  double sum = 0;
  for (const double value : logs) sum += std::exp(value - largest);
  return largest + std::log(sum / static_cast<double>(logs.size()));
}

// Every purse bets its share on `surplus`, whose mean is at most 0 under H0 and which is at least
// -most_loss.
void bet_on(double surplus, double most_loss, std::vector<double>& log_money) {
  for (size_t i = 0; i < kShares.size(); ++i) {
    log_money[i] += std::log1p(kShares[i] * surplus / most_loss);
  }
}

// Logarithm of the money of a bet against "difference <= delta" after these counts. It depends on
// no order, and falls as delta grows.
double log_money_against(int64_t gained, int64_t lost, int64_t ties, double delta) {
  std::vector<double> logs;
  for (const double share : kShares) {
    const auto growth = [&](int64_t count, double difference) {
      return static_cast<double>(count) * std::log1p(share * (difference - delta) / (1 + delta));
    };
    logs.push_back(growth(gained, 1) + growth(lost, -1) + growth(ties, 0));
  }
  return log_mean(logs);
}

// The largest delta in [-1, 1] for which that money has multiplied by `exp(log_wanted)`.
double lower_bound(int64_t gained, int64_t lost, int64_t ties, double log_wanted) {
  double low = -1;
  double high = 1;
  for (int i = 0; i < 60; ++i) {
    const double middle = (low + high) / 2;
    (log_money_against(gained, lost, ties, middle) >= log_wanted ? low : high) = middle;
  }
  return low;
}

}  // namespace

Result<Interval> anytime_interval(const PairedCounts& counts, double confidence_frac) {
  if (!(confidence_frac > 0 && confidence_frac < 1)) {
    return invalid_argument(
        fmt::format("confidence_frac = {}, want a value in (0, 1)", confidence_frac));
  }
  if (counts.total() < 1) return invalid_argument("interval of a difference: no questions");
  const int64_t ties = counts.both_right + counts.both_wrong;
  const double log_wanted = std::log(2 / (1 - confidence_frac));
  return Interval{.lower = lower_bound(counts.gained, counts.lost, ties, log_wanted),
                  .upper = -lower_bound(counts.lost, counts.gained, ties, log_wanted),
                  .confidence_frac = confidence_frac};
}

std::string to_string(Decision decision) {
  switch (decision) {
    case Decision::kPass:
      return "pass";
    case Decision::kFail:
      return "fail";
    case Decision::kUndecided:
      break;
  }
  return "undecided";
}

SequentialTest::SequentialTest(const SequentialParams& params)
    : params_(params), pass_log_money_(kShares.size()), fail_log_money_(kShares.size()) {}

Result<SequentialTest> SequentialTest::create(const SequentialParams& params) {
  if (!(params.margin_frac > 0 && params.margin_frac < 1)) {
    return invalid_argument(
        fmt::format("margin_frac = {}, want a value in (0, 1)", params.margin_frac));
  }
  if (!(params.alpha > 0 && params.alpha < 1)) {
    return invalid_argument(fmt::format("alpha = {}, want a value in (0, 1)", params.alpha));
  }
  if (params.num_benchmark_questions && *params.num_benchmark_questions < 1) {
    return invalid_argument(fmt::format("num_benchmark_questions = {}, want at least 1",
                                        *params.num_benchmark_questions));
  }
  if (params.max_cluster_questions < 1) {
    return invalid_argument(
        fmt::format("max_cluster_questions = {}, want at least 1", params.max_cluster_questions));
  }
  return SequentialTest(params);
}

Status SequentialTest::add(double difference) {
  return add_cluster({difference});
}

Status SequentialTest::add_cluster(const std::vector<double>& differences) {
  const auto size = static_cast<int64_t>(differences.size());
  const auto& benchmark = params_.num_benchmark_questions;
  if (size < 1 || size > (benchmark ? 1 : params_.max_cluster_questions)) {
    return invalid_argument(fmt::format("a cluster of {} questions, want 1..{}", size,
                                        benchmark ? 1 : params_.max_cluster_questions));
  }
  if (benchmark && num_questions_ >= *benchmark) {
    return invalid_argument(
        fmt::format("question {} of a benchmark of {}", num_questions_ + 1, *benchmark));
  }
  double gain = 0;
  for (const double difference : differences) {
    if (!(difference >= -1 && difference <= 1)) {
      return invalid_argument(fmt::format("difference of a question = {}, want -1..1", difference));
    }
    gain += difference + params_.margin_frac;
  }
  bet(gain / static_cast<double>(params_.max_cluster_questions));
  num_questions_ += size;
  sum_gain_ += gain;
  decide();
  return {};
}

// `gain` lies in [margin - 1, margin + 1]. The pass purse's H0 says that its mean is at most
// `expected`, the fail purse's that it is at least that: 0 in a population; in a benchmark what the
// questions left would have to average for the whole to lie on the boundary.
void SequentialTest::bet(double gain) {
  double expected = 0;
  if (params_.num_benchmark_questions) {
    const auto left = static_cast<double>(*params_.num_benchmark_questions - num_questions_);
    expected = -sum_gain_ / left;
  }
  const double most_loss = expected - (params_.margin_frac - 1);
  const double most_win = params_.margin_frac + 1 - expected;
  constexpr double kSettled = 1e-9;  // nothing left to bet on: decide() sees it from the sum
  if (most_loss > kSettled) {
    bet_on(std::max(gain - expected, -most_loss), most_loss, pass_log_money_);
  }
  if (most_win > kSettled) {
    bet_on(std::max(expected - gain, -most_win), most_win, fail_log_money_);
  }
  most_pass_log_money_ = std::max(most_pass_log_money_, log_mean(pass_log_money_));
  most_fail_log_money_ = std::max(most_fail_log_money_, log_mean(fail_log_money_));
}

void SequentialTest::decide() {
  if (params_.num_benchmark_questions) {
    const auto left = static_cast<double>(*params_.num_benchmark_questions - num_questions_);
    const double worst = sum_gain_ + left * (params_.margin_frac - 1);
    const double best = sum_gain_ + left * (params_.margin_frac + 1);
    constexpr double kRounding = 1e-9;
    // What is left cannot change it: certain, whatever was said before.
    if (worst >= -kRounding) {
      decision_ = Decision::kPass;
      most_pass_log_money_ = HUGE_VAL;
      most_fail_log_money_ = 0;
      return;
    }
    if (best < -kRounding) {
      decision_ = Decision::kFail;
      most_fail_log_money_ = HUGE_VAL;
      most_pass_log_money_ = 0;
      return;
    }
  }
  if (decision_ != Decision::kUndecided) return;
  const double wanted = -std::log(params_.alpha);
  if (most_pass_log_money_ >= wanted)
    decision_ = Decision::kPass;
  else if (most_fail_log_money_ >= wanted)
    decision_ = Decision::kFail;
}

double SequentialTest::p_pass() const {
  return std::exp(-most_pass_log_money_);
}
double SequentialTest::p_fail() const {
  return std::exp(-most_fail_log_money_);
}

}  // namespace dovetail::eval
