// The whole command line of the program.
#pragma once

#include <memory>

#include "app/command.h"

namespace dovetail::app {

// All verbs, taught. Parsing sets `action`, which must outlive the result.
[[nodiscard]] std::unique_ptr<CLI::App> make_app(Action& action);

}  // namespace dovetail::app
