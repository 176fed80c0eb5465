// Completion scripts for shells, made from the command line as data (cli_tree.h).
#pragma once

#include <map>
#include <string>
#include <vector>

#include "app/cli_tree.h"

namespace dovetail::app {

// What may stand where a kind of value is wanted: "CHIP" -> names of data/chips. A kind that is a
// file or a folder as well is completed with those too (by its name: ..FILE, ..FOLDER, CHIP, ...).
using NamesByKind = std::map<std::string, std::vector<std::string>>;

// The names of this installation: chips, classes, workloads, models, objectives.
[[nodiscard]] NamesByKind installed_names();

// `shell`: "bash", "zsh" or "fish".
[[nodiscard]] std::string completion_script(const std::string& shell, const Verb& root,
                                            const NamesByKind& names);

}  // namespace dovetail::app
