// Two models on the same questions, from the rows of their evaluations (docs/evaluation.md, "Rows
// of --samples"): scores, flips, verdict, surrogates.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/config.h"
#include "base/result.h"
#include "eval/noninferiority.h"
#include "eval/paired.h"
#include "eval/score.h"
#include "eval/verdict.h"

namespace dovetail::eval {

// What a comparison reads of a question's row.
struct SampleRow {
  std::string task;
  int64_t doc_id = 0;
  std::string mode;
  int64_t num_fewshot = 0;
  std::string prompt_sha256;
  bool correct = false;
  std::vector<double> loglikelihoods = {};  // [nats] of each choice; empty for generations
  int64_t target = -1;                      // index of the right choice
};

// Errors: kInvalidArgument (a key that is missing or of another kind).
[[nodiscard]] Result<SampleRow> sample_row_from_json(const Json& json);
// One JSON object a line. Errors: kIo, kInvalidArgument naming file, line and key.
[[nodiscard]] Result<std::vector<SampleRow>> read_sample_rows(const std::string& path);

struct ComparisonParams {
  VerdictKind kind = VerdictKind::kPopulation;
  double margin_frac = 0;  // (0, 1)
  double alpha = 0.05;     // (0, 0.5)
  // kBenchmark: questions of the whole benchmark, as many as rows or more.
  std::optional<int64_t> benchmark_questions = {};
  bool cluster_by_task = false;  // kPopulation: the claim is about further subjects
};

struct TaskFlips {
  std::string task;
  PairedCounts counts;
};

struct Flip {
  std::string task;
  int64_t doc_id = 0;
  bool gained = false;  // the candidate is right, the baseline wrong; else the other way round
  // Of choices: log-likelihood of the right one less the best wrong one [nats].
  std::optional<double> baseline_margin_nats = {};
  std::optional<double> candidate_margin_nats = {};
};

struct Comparison {
  Score baseline;
  Score candidate;
  PairedCounts counts;
  McNemarTest mcnemar;
  Interval difference;                                // Tango's, 95 %, independent questions
  std::optional<Interval> clustered_difference = {};  // by task, 95 %; of two tasks or more
  Verdict verdict;
  std::vector<Power> power = {};      // of the exact test at these rates, for more and fewer
  std::vector<TaskFlips> tasks = {};  // in the order of the rows
  std::vector<Flip> flips = {};       // likewise
  // Candidate - baseline, of choices only: likelihood of the right one [nats], and of it less the
  // best wrong one.
  std::optional<PairedMean> gold_nats = {};
  std::optional<PairedMean> margin_nats = {};
};

// Rows are paired by task and doc_id and must be of the same prompts, mode and number of examples;
// their order is the baseline's, in which they were asked.
// Errors: kInvalidArgument naming what differs (a question that only one has, another prompt).
[[nodiscard]] Result<Comparison> compare_rows(const std::vector<SampleRow>& baseline,
                                              const std::vector<SampleRow>& candidate,
                                              const ComparisonParams& params);

[[nodiscard]] Json verdict_to_json(const Verdict& verdict);
// `max_flips` of the flips are listed.
[[nodiscard]] Json comparison_to_json(const Comparison& comparison, size_t max_flips = 1000);

}  // namespace dovetail::eval
