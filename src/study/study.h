// Runs a whole study: prepare, profile, search, confirm, certify, record. A killed study continues
// where it stopped; the result does not depend on how often that happened.
#pragma once

#include <string>

#include "base/config.h"
#include "base/progress.h"
#include "base/result.h"
#include "study/study_config.h"

namespace dovetail::study {

// Returns the record (docs/record.md) and leaves in `out_folder`: study.toml (a copy), study.db,
// record.json, canonical.json, targets.json, report.html.
// `study_path` is the file that `config` was read from.
// Errors: kInvalidArgument, kNotFound (wrong input), kIo, kUnavailable.
[[nodiscard]] Result<Json> run_study(const StudyConfig& config, const std::string& study_path,
                                     const std::string& out_folder, const ProgressSink& progress);

// Writes report.html and targets.json of a record. Errors: kIo.
[[nodiscard]] Status write_reports(const Json& record, const std::string& out_folder);

// The record without what depends on time and machine.
[[nodiscard]] Json canonical(const Json& record);

}  // namespace dovetail::study
