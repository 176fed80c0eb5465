// dovetail eval compare: two models on the same questions, from the rows that --samples wrote.
#include <memory>

#include <fmt/format.h>

#include "app/command.h"
#include "app/eval_benchmarks.h"
#include "eval/comparison.h"

namespace dovetail::app {
namespace {

struct CompareOptions {
  std::string baseline;
  std::string candidate;
  double margin_frac = 0.03;
  std::string kind = "population";
  double alpha = 0.05;
  int64_t benchmark_questions = 0;
  bool cluster_by_task = false;
  int64_t flips = 10;
  bool json = false;
};

std::string percent(const eval::Interval& interval) {
  return fmt::format("[{:+.2f}, {:+.2f}]", 100 * interval.lower, 100 * interval.upper);
}

std::string score_words(const eval::Score& score) {
  return fmt::format("{:.2f} +- {:.2f} %", 100 * score.score_frac,
                     100 * score.stderr_frac.value_or(0.0));
}

// What would decide it, or what the verdict rests on.
std::string standing(const eval::Verdict& verdict) {
  if (verdict.decision != eval::Decision::kUndecided) {
    return verdict.is_exact
               ? "all questions were asked"
               : fmt::format(
                     "p = {:.2g}, {}",
                     verdict.decision == eval::Decision::kPass ? verdict.p_pass : verdict.p_fail,
                     verdict.method);
  }
  if (!verdict.questions_to_decide.has_value()) return "no number of questions would decide it";
  return fmt::format("about {} questions would decide it", *verdict.questions_to_decide);
}

void print_flips(const CompareOptions& options, const eval::Comparison& comparison) {
  for (const eval::TaskFlips& task : comparison.tasks) {
    const auto& counts = task.counts;
    if (comparison.tasks.size() == 1 || counts.gained + counts.lost == 0) continue;
    print_line(fmt::format("  {}: {} lost, {} gained of {}", task.task, counts.lost, counts.gained,
                           counts.total()));
  }
  int64_t left = options.flips;
  for (const eval::Flip& flip : comparison.flips) {
    if (left-- == 0) break;
    const std::string margins =
        flip.baseline_margin_nats.has_value()
            ? fmt::format(", margin {:+.3f} to {:+.3f} nats", *flip.baseline_margin_nats,
                          *flip.candidate_margin_nats)
            : std::string();
    print_line(fmt::format("  {} question {}/{}{}", flip.gained ? "gained" : "lost  ", flip.task,
                           flip.doc_id, margins));
  }
}

void print_comparison(const CompareOptions& options, const eval::Comparison& comparison) {
  const eval::Verdict& verdict = comparison.verdict;
  const auto& counts = comparison.counts;
  print_line(fmt::format("{} ({}, margin {:.2f} points, alpha {:g}): {}",
                         eval::to_string(verdict.decision), eval::to_string(verdict.kind),
                         100 * verdict.margin_frac, verdict.alpha, standing(verdict)));
  print_line(fmt::format("  baseline {}, candidate {}, difference {:+.2f} points, 95 % {}",
                         score_words(comparison.baseline), score_words(comparison.candidate),
                         100 * verdict.difference_frac, percent(comparison.difference)));
  if (comparison.clustered_difference.has_value()) {
    print_line(
        fmt::format("  95 % with tasks as clusters {}", percent(*comparison.clustered_difference)));
  }
  print_line(fmt::format("  {} questions: {} lost, {} gained; McNemar p {:.3g} (mid-p {:.3g})",
                         counts.total(), counts.lost, counts.gained, comparison.mcnemar.p_exact,
                         comparison.mcnemar.p_mid));
  if (comparison.gold_nats.has_value()) {
    print_line(fmt::format(
        "  right choice {:+.4f} +- {:.4f} nats, less the best wrong one {:+.4f} +- {:.4f}",
        comparison.gold_nats->mean, comparison.gold_nats->std_error.value_or(0.0),
        comparison.margin_nats->mean, comparison.margin_nats->std_error.value_or(0.0)));
  }
  for (const eval::Power& power : comparison.power) {
    print_line(fmt::format("  at these rates {} questions pass with chance {:.2f}, fail {:.2f}",
                           power.num_questions, power.pass_frac, power.fail_frac));
  }
  print_flips(options, comparison);
}

Status run_compare(const CompareOptions& options) {
  DOVETAIL_TRY(const auto baseline, eval::read_sample_rows(options.baseline));
  DOVETAIL_TRY(const auto candidate, eval::read_sample_rows(options.candidate));
  eval::ComparisonParams params{.kind = options.kind == "benchmark"
                                            ? eval::VerdictKind::kBenchmark
                                            : eval::VerdictKind::kPopulation,
                                .margin_frac = options.margin_frac,
                                .alpha = options.alpha,
                                .cluster_by_task = options.cluster_by_task};
  if (options.benchmark_questions > 0) params.benchmark_questions = options.benchmark_questions;
  const auto compared = eval::compare_rows(baseline, candidate, params);
  if (!compared.has_value()) {
    return with_context(compared.error(), options.baseline + ", " + options.candidate);
  }
  if (options.json) {
    print_json(eval::comparison_to_json(*compared, static_cast<size_t>(options.flips)));
    return {};
  }
  print_comparison(options, *compared);
  return {};
}

}  // namespace

void add_eval_compare_command(CLI::App& eval, Action& action) {
  auto options = std::make_shared<CompareOptions>();
  CLI::App* command = eval.add_subcommand(
      "compare", "does a candidate still meet its target? two files of --samples");
  command->add_option("baseline", options->baseline, "rows of the baseline")->required();
  command->add_option("candidate", options->candidate, "rows of the candidate, same questions")
      ->required();
  command
      ->add_option("--margin", options->margin_frac,
                   "how much worse it may be, a fraction of the questions")
      ->check(CLI::Range(1e-6, 0.999))
      ->capture_default_str();
  command
      ->add_option("--kind", options->kind,
                   "population: about questions like these; benchmark: about these")
      ->check(CLI::IsMember({"population", "benchmark"}))
      ->capture_default_str();
  command->add_option("--alpha", options->alpha, "chance of each of the two errors")
      ->check(CLI::Range(1e-6, 0.499))
      ->capture_default_str();
  command
      ->add_option("--benchmark-questions", options->benchmark_questions,
                   "of a benchmark: all of its questions, where the rows are a part of them in "
                   "random order; else the rows are all")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 30));
  command->add_flag("--cluster-by-task", options->cluster_by_task,
                    "the claim is about further subjects, not further questions of these");
  command->add_option("--flips", options->flips, "flipped questions that are listed")
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 30))
      ->capture_default_str();
  command->add_flag("--json", options->json, "print the record");
  command->callback([options, &action] { action = [options] { return run_compare(*options); }; });
}

}  // namespace dovetail::app
