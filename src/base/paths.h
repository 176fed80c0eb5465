// Where things lie on the machine.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace dovetail {

// The folder `data` of the installation: $DOVETAIL_HOME/data, else that of the source tree.
[[nodiscard]] std::string data_folder();

// Fetched models and shared results: $DOVETAIL_CACHE, else $XDG_CACHE_HOME/dovetail, else
// ~/.cache/dovetail. Not created here.
[[nodiscard]] std::string cache_folder();

// The names that `data/<kind>/*.toml` gives ("chips", "workloads"), sorted.
[[nodiscard]] std::vector<std::string> data_names(const std::string& kind);

// A file `<data>/<kind>/<name>.toml` if `name_or_path` is a plain name, else the path as it is.
// Errors: kNotFound for a plain name that does not exist, with those that do and the nearest.
[[nodiscard]] Result<std::string> data_file(const std::string& kind,
                                            const std::string& name_or_path);

// The whole file as text. Errors: kNotFound, kInvalidArgument (larger than max_bytes), kIo.
[[nodiscard]] Result<std::string> read_text_file(const std::string& path, int64_t max_bytes);

// Writes to a file beside it and renames: a reader sees the old file or the new one, never a part.
// Errors: kIo naming the file.
[[nodiscard]] Status write_text_file(const std::string& path, const std::string& text);

}  // namespace dovetail
