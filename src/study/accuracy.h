// The accuracy targets of a study: benchmarks are asked of the model as released and of the joint
// answers, and each answer passes, fails or stays undecided.
//
// Of an objective the answers are judged in the order of their loss caps, the smallest first, up to
// the first one that does not pass: in such a fixed sequence every test may use the whole alpha,
// and the chance of any false pass of an objective is alpha. An answer passes when it passes all
// targets. Failing is looked for after a quarter of the questions, by betting at half of alpha
// (eval/sequential.h); a pass is only claimed when all that may be asked were asked.
#pragma once

#include <vector>

#include "base/config.h"
#include "base/progress.h"
#include "base/result.h"
#include "study/products.h"
#include "study/scenario.h"

namespace dovetail::study {

// The record's "accuracy" (docs/record.md): targets with the released model's scores and the map
// from KL to accuracy, judged answers, the cheapest one of each objective that passes, and which
// layers' restoration rights lost questions. Null without targets. Answers stand in the order of
// the record's scenarios. What cannot be run (no files, no weights, no sandbox) is said in the
// target's "why_not"; nothing passes then. Errors: those of asking.
[[nodiscard]] Result<Json> judge_accuracy(const StudyStates& states,
                                          const std::vector<ScenarioAnswer>& answers,
                                          const ProgressSink& progress);

}  // namespace dovetail::study
