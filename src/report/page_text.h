// Text that is safe inside a page: escaping, templates, compressed data.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace dovetail::report {

// Text with &, <, > and quotes escaped.
[[nodiscard]] std::string escape(std::string_view text);

// `shell` with every {{name}} replaced by its value, once: values are never searched again.
// Errors: kInvalidArgument naming a {{name}} without a value.
[[nodiscard]] Result<std::string> fill_template(
    std::string_view shell,
    const std::vector<std::pair<std::string_view, std::string_view>>& values);

// zlib stream (RFC 1950) of `text` in base64: what DecompressionStream("deflate") reads.
// Errors: kInternal if zlib refuses.
[[nodiscard]] Result<std::string> deflate_base64(std::string_view text);

}  // namespace dovetail::report
