#include "silicon/technology.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <sstream>

#include <fmt/format.h>
#include <toml++/toml.h>

#include "base/config.h"
#include "base/hash.h"

namespace dovetail::silicon {
namespace {

namespace fs = std::filesystem;

constexpr uintmax_t kMaxFileBytes = 4 << 20;
constexpr int64_t kMaxDepth = 8;

Result<double> read_number(const toml::table& table, std::string_view key,
                           const std::string& where) {
  const toml::node* node = table.get(key);
  if (node == nullptr || !node->is_number()) {
    return invalid_argument(fmt::format("{}: {} is missing or no number", where, key));
  }
  const double value = node->value<double>().value_or(std::nan(""));
  if (!std::isfinite(value)) {
    return invalid_argument(fmt::format("{}: {} = {}, want a finite number", where, key, value));
  }
  return value;
}

Result<std::string> read_text(const toml::table& table, std::string_view key,
                              const std::string& where) {
  const toml::node* node = table.get(key);
  const auto text = node == nullptr ? std::nullopt : node->value<std::string>();
  if (!text.has_value() || text->empty()) {
    return invalid_argument(fmt::format("{}: {} is missing, want a text", where, key));
  }
  return *text;
}

Result<Constant> read_constant(const toml::table& table, const std::string& where) {
  const std::vector<std::string> known = {"value", "low", "high", "unit", "source", "date"};
  for (const auto& [key, node] : table) {
    if (std::find(known.begin(), known.end(), key.str()) == known.end()) {
      const auto nearest = nearest_name(key.str(), known);
      return invalid_argument(fmt::format("{}: unknown key '{}'{}", where, key.str(),
                                          nearest ? fmt::format(", nearest '{}'", *nearest) : ""));
    }
  }
  Constant constant;
  DOVETAIL_TRY(constant.value, read_number(table, "value", where));
  DOVETAIL_TRY(constant.low, read_number(table, "low", where));
  DOVETAIL_TRY(constant.high, read_number(table, "high", where));
  DOVETAIL_TRY(constant.unit, read_text(table, "unit", where));
  DOVETAIL_TRY(constant.source, read_text(table, "source", where));
  DOVETAIL_TRY(constant.date, read_text(table, "date", where));
  if (!(constant.low <= constant.value && constant.value <= constant.high)) {
    return invalid_argument(fmt::format("{}: value = {:g}, want low..high = {:g}..{:g}", where,
                                        constant.value, constant.low, constant.high));
  }
  return constant;
}

Status read_group(const toml::table& table, const std::string& file, const std::string& prefix,
                  int64_t depth, std::map<std::string, Constant>& constants) {
  if (depth > kMaxDepth)
    return invalid_argument(fmt::format("{}: {} nests too deep", file, prefix));
  for (const auto& [key, node] : table) {
    const std::string name = prefix + "." + std::string(key.str());
    const toml::table* child = node.as_table();
    if (child == nullptr) {
      return invalid_argument(fmt::format(
          "{}: {} is no table, want a constant {{value, low, high, unit, source, date}}", file,
          name));
    }
    if (child->contains("value")) {
      DOVETAIL_TRY(constants[name], read_constant(*child, fmt::format("{}: {}", file, name)));
    } else {
      DOVETAIL_TRY_STATUS(read_group(*child, file, name, depth + 1, constants));
    }
  }
  return {};
}

Status read_file(const fs::path& path, std::map<std::string, Constant>& constants) {
  std::error_code error;
  const uintmax_t size = fs::file_size(path, error);
  if (error || size > kMaxFileBytes) {
    return invalid_argument(
        fmt::format("{}: want a readable file of at most 4 MiB", path.string()));
  }
  try {
    const toml::table table = toml::parse_file(path.string());
    return read_group(table, path.string(), path.stem().string(), 0, constants);
  } catch (const toml::parse_error& e) {
    std::ostringstream where;
    where << e.source().begin;
    return invalid_argument(
        fmt::format("{}: {} ({})", path.string(), e.description(), where.str()));
  }
}

}  // namespace

Result<Technology> Technology::load(const std::string& folder) {
  std::error_code error;
  std::vector<fs::path> files;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    if (it->path().extension() == ".toml") files.push_back(it->path());
  }
  if (error || files.empty()) {
    return not_found(fmt::format("technology folder {}: not there or without *.toml", folder));
  }
  std::sort(files.begin(), files.end());
  Technology technology;
  technology.folder_ = folder;
  for (const fs::path& file : files) {
    DOVETAIL_TRY_STATUS(read_file(file, technology.constants_));
  }
  return technology;
}

Result<double> Technology::value(const std::string& key) const {
  const auto it = constants_.find(key);
  if (it != constants_.end()) return it->second.value;
  std::vector<std::string> keys;
  for (const auto& [name, constant] : constants_) keys.push_back(name);
  const auto nearest = nearest_name(key, keys);
  return not_found(fmt::format("{}: {} is missing{}", file_of(key), key,
                               nearest ? fmt::format(", did you mean {}?", *nearest) : ""));
}

std::string Technology::file_of(const std::string& key) const {
  return fmt::format("{}/{}.toml", folder_, key.substr(0, key.find('.')));
}

Technology Technology::with(const std::string& key, double value) const {
  Technology copy = *this;
  copy.constants_[key].value = value;
  return copy;
}

std::string Technology::digest() const {
  Sha256 hash;
  for (const auto& [key, constant] : constants_) {
    hash.update(fmt::format("{}={:a}\n", key, constant.value));
  }
  return hash.hex();
}

}  // namespace dovetail::silicon
