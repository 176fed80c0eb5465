// Models by name: what data/models/zoo.toml lists, fetched into the user's cache folder.
#pragma once

#include <string>
#include <vector>

#include "base/config.h"
#include "base/progress.h"
#include "base/result.h"
#include "model/model.h"

namespace dovetail::model {

// One package of the Python package index and the file inside its wheel.
struct ZooPart {
  std::string package;
  std::string version;
  std::string file;
  template <typename V, typename S>
  static void visit(V& v, S& s) {
    v.text("package", s.package, {.required = true, .help = "package name"});
    v.text("version", s.version, {.required = true, .help = "exact version"});
    v.text("file", s.file, {.required = true, .help = "path inside the wheel"});
  }
};

struct ZooEntry {
  std::string name;
  std::string description;
  std::string license;
  std::string source;
  int64_t bytes = 0;  // of the joined file
  std::string sha256;
  std::vector<ZooPart> parts;  // joined in order
  template <typename V, typename S>
  static void visit(V& v, S& s) {
    v.text("name", s.name, {.required = true, .help = "name in commands"});
    v.text("description", s.description, {.required = true, .help = "one line"});
    v.text("license", s.license, {.required = true, .help = "licence of the weights"});
    v.text("source", s.source,
           {.required = true, .help = "who released the weights, in what form"});
    v.number("bytes", s.bytes, {.min = 1, .required = true, .help = "size of the joined file"});
    v.text("sha256", s.sha256, {.required = true, .help = "sum of the joined file"});
    v.list("parts", s.parts, {.required = true, .help = "packages to fetch, joined in order"});
  }
};

// Everything in data/models/zoo.toml. Errors: kNotFound, kInvalidArgument.
[[nodiscard]] Result<std::vector<ZooEntry>> load_zoo();

// Fetches a model unless it is in the cache with the right sum already; returns its path.
// Runs `python3 -m pip download`. Errors: kInvalidArgument (unknown name, with the nearest),
// kUnavailable (no network, no pip: its last words), kIo, kInternal (a wrong sum).
[[nodiscard]] Result<std::string> pull_model(const std::string& name, const ProgressSink& progress);

// The file of a zoo model that was pulled, or a path as it is.
// Errors: kNotFound; for a zoo model the message names the command that pulls it.
[[nodiscard]] Result<std::string> resolve_model(const std::string& name_or_path);

// Models known by shape alone: the names in data/models that have a config.json, sorted.
[[nodiscard]] std::vector<std::string> shape_names();

// The shape of a model with or without weights: also one of shape_names().
// Errors: kNotFound with all names and the nearest.
[[nodiscard]] Result<ModelShape> resolve_shape(const std::string& name_or_path);

}  // namespace dovetail::model
