// Questions of benchmarks from data sets of the Hugging Face hub, written in the form whose sums
// are known (data/benchmarks/files.toml): the hub's own files are tables of another form.
#pragma once

#include <string>

#include "base/progress.h"
#include "base/result.h"
#include "model/benchmark_files.h"

namespace dovetail::model {

// Puts the benchmark's files below `folder`, all or none. Python does the work (hub_questions.py),
// with the packages huggingface_hub and pyarrow from the Python package index, which are kept in
// the cache folder. Errors: kInvalidArgument (no data set is known for it), kUnavailable (no
// network: the last words of Python), kInternal (the hub's questions are others than those known:
// both sums), kIo.
[[nodiscard]] Status pull_hub_questions(const KnownBenchmark& benchmark, const std::string& folder,
                                        const ProgressSink& progress);

}  // namespace dovetail::model
