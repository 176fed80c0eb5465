// Files that appear whole or not at all, also after a power loss (docs/robustness.md).
#pragma once

#include <string>

#include "base/result.h"

namespace dovetail {

// Gives the finished file `part` the name `path`, on the same file system: its content is on disk
// before the name is, and the name is before this returns. Errors: kIo naming the file.
[[nodiscard]] Status publish_file(const std::string& part, const std::string& path);

// Removes what writers that were killed left beside `path`: files "<path>.part<something>" that
// nobody has locked (flock). Best effort.
void remove_abandoned_parts(const std::string& path);

}  // namespace dovetail
