// One accuracy target of a study: its questions, asked of recipes in two looks.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/config.h"
#include "base/progress.h"
#include "base/result.h"
#include "eval/accuracy_map.h"
#include "eval/comparison.h"
#include "eval/floor_verdict.h"
#include "eval/task.h"
#include "study/products.h"
#include "study/study_config.h"

namespace dovetail::study {

// How an answer did on one target.
struct TargetVerdict {
  eval::Decision decision = eval::Decision::kUndecided;
  bool stopped_early = false;
  int64_t num_asked = 0;
  Json json = {};  // the comparison, or the verdict on a floor; with decision and questions
  std::optional<eval::AccuracyPoint> point = {};  // where its KL was measured
  std::vector<eval::Flip> lost = {};              // in the order of the questions
};

class BenchmarkTarget {
 public:
  // The questions that may be asked: all, or a random sample of each task by `seed`. Errors: of the
  // benchmark's files.
  [[nodiscard]] static Result<BenchmarkTarget> open(const AccuracyTarget& config, uint64_t seed);

  [[nodiscard]] int64_t num_questions() const { return num_questions_; }
  // Of the difference; of margin_questions with all of them as the whole. 0 for a floor.
  [[nodiscard]] double margin_frac() const;

  // Rows of all questions, in random order.
  [[nodiscard]] Result<Json> baseline(const ProductState& product, Memory& memory,
                                      const ProgressSink& progress) const;
  // kl_nats: measured, absent where it was not.
  [[nodiscard]] Result<TargetVerdict> judge(const ProductState& product, Memory& memory,
                                            const recipe::Recipe& recipe, const Json& baseline,
                                            std::optional<double> kl_nats, const std::string& whose,
                                            const ProgressSink& progress) const;
  // The rows of some of the questions.
  [[nodiscard]] Result<Json> ask_again(const ProductState& product, Memory& memory,
                                       const recipe::Recipe& recipe,
                                       const std::vector<eval::Flip>& questions,
                                       const std::string& whose,
                                       const ProgressSink& progress) const;

 private:
  [[nodiscard]] Result<Json> ask(const ProductState& product, Memory& memory,
                                 const recipe::Recipe& recipe, const std::vector<eval::Task>& tasks,
                                 const std::string& whose, const ProgressSink& progress) const;
  [[nodiscard]] Result<eval::FloorVerdict> judge_floor(
      const std::vector<eval::SampleRow>& candidate) const;
  [[nodiscard]] Result<bool> fails_early(const std::vector<eval::SampleRow>& baseline,
                                         const std::vector<eval::SampleRow>& candidate) const;
  [[nodiscard]] Result<TargetVerdict> decide(const std::vector<eval::SampleRow>& baseline,
                                             const std::vector<eval::SampleRow>& candidate) const;
  [[nodiscard]] Result<TargetVerdict> decide_floor(
      const std::vector<eval::SampleRow>& baseline,
      const std::vector<eval::SampleRow>& candidate) const;
  [[nodiscard]] Result<TargetVerdict> decide_margin(
      const std::vector<eval::SampleRow>& baseline,
      const std::vector<eval::SampleRow>& candidate) const;

  AccuracyTarget config_;
  int64_t num_questions_ = 0;
  std::vector<eval::Task> first_;  // a random quarter
  std::vector<eval::Task> rest_;
  std::vector<std::string> order_ = {};  // ids "task/doc_id", at random
};

}  // namespace dovetail::study
