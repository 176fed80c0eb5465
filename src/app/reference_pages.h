// The reference in docs/ and the man page, made from the program itself: verbs from the command
// line, keys from visit(), constants from data/technology.
#pragma once

#include <string>
#include <vector>

#include "app/cli_tree.h"
#include "base/result.h"

namespace dovetail::app {

struct Page {
  std::string path;  // below docs/: "reference/cli.md"
  std::string text;
};

// Errors: kInternal for a verb, an argument or a key without help; those of data/technology.
[[nodiscard]] Result<std::vector<Page>> reference_pages(const Verb& root);

// The man page in the man(7) language.
[[nodiscard]] std::string man_page(const Verb& root);

}  // namespace dovetail::app
