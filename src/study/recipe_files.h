// The joint answers of a study as recipe files, so that `dovetail compress` writes what the study
// measured.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "study/products.h"
#include "study/scenario.h"

namespace dovetail::study {

// FOLDER/recipes/<objective>@<cap>.<product>.toml for every feasible answer, each with the command
// that compresses by it; a product whose name is more than letters, digits, '-', '_' and '.' is
// called by its number, as #1. Files of an earlier run go. Errors: kIo.
[[nodiscard]] Status write_recipe_files(const StudyStates& states,
                                        const std::vector<ScenarioAnswer>& answers,
                                        const std::string& out_folder);

}  // namespace dovetail::study
