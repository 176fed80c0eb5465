#include "base/config.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <iterator>
#include <numeric>
#include <sstream>

#include <fmt/format.h>
#include <toml++/toml.h>

#include "base/config_keys.h"

namespace dovetail {

struct ConfigReader::Node {
  std::shared_ptr<const toml::table> root;  // keeps the document alive
  const toml::table* table = nullptr;
  std::string file;
};

namespace {

// A configuration is written by hand; anything larger is not one.
constexpr std::streamsize kMaxConfigBytes = 8 << 20;

std::string show(const toml::node& node) {
  std::ostringstream out;
  node.visit([&](const auto& value) { out << value; });
  // One line, whatever the value: runs of white space and control characters become one space.
  std::string text;
  for (const char c : out.str()) {
    const bool blank = static_cast<unsigned char>(c) <= ' ' || c == '\x7f';
    if (!blank) text += c;
    if (blank && !text.empty() && text.back() != ' ') text += ' ';
  }
  constexpr size_t kMaxShown = 60;
  size_t end = std::min(text.size(), kMaxShown);
  while (end < text.size() && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return end < text.size() ? text.substr(0, end) + "..." : text;
}

int64_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<int64_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), 0);
  for (size_t i = 1; i <= a.size(); ++i) {
    int64_t diagonal = row[0];
    row[0] = static_cast<int64_t>(i);
    for (size_t j = 1; j <= b.size(); ++j) {
      const int64_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row.back();
}

// Reads one number of exactly the wanted kind: an integer field takes no fraction.
bool take_number(const toml::node& node, int64_t& value) {
  if (const auto* integer = node.as_integer()) {
    value = integer->get();
    return true;
  }
  return false;
}
bool take_number(const toml::node& node, double& value) {
  if (const auto* integer = node.as_integer()) {
    value = static_cast<double>(integer->get());
    return true;
  }
  if (const auto* real = node.as_floating_point()) {
    value = real->get();
    return std::isfinite(value);
  }
  return false;
}

template <typename T>
bool in_range(T value, const NumberSpec& spec) {
  const auto real = static_cast<double>(value);
  return real >= spec.min && real <= spec.max;
}

}  // namespace

std::string describe_range(const NumberSpec& spec) {
  if (std::isinf(spec.min) && std::isinf(spec.max)) return "a number";
  if (std::isinf(spec.max)) return fmt::format("a number >= {:g}", spec.min);
  if (std::isinf(spec.min)) return fmt::format("a number <= {:g}", spec.max);
  return fmt::format("{:.10g}..{:.10g}", spec.min, spec.max);
}

std::optional<std::string> nearest_name(std::string_view word,
                                        const std::vector<std::string>& candidates) {
  std::optional<std::string> best;
  int64_t best_distance = std::max<int64_t>(2, static_cast<int64_t>(word.size()) / 2) + 1;
  for (const std::string& candidate : candidates) {
    // The lengths alone differ by more: a word of megabytes must not cost a table of them.
    const auto length_gap = static_cast<int64_t>(std::max(word.size(), candidate.size()) -
                                                 std::min(word.size(), candidate.size()));
    if (length_gap >= best_distance) continue;
    const int64_t distance = edit_distance(word, candidate);
    if (distance < best_distance) {
      best_distance = distance;
      best = candidate;
    }
  }
  return best;
}

ConfigReader::ConfigReader(std::shared_ptr<const Node> node, std::string where)
    : node_(std::move(node)), where_(std::move(where)) {}

std::string ConfigReader::path_of(std::string_view key) const {
  return where_ + std::string(key);
}

void ConfigReader::fail_missing(std::string_view key, const std::string& wanted) {
  if (error_.has_value()) return;
  fail(key, fmt::format(" is missing, want {}", wanted));
  error_is_missing_key_ = true;
}

void ConfigReader::fail(std::string_view key, const std::string& problem) {
  if (error_.has_value()) return;
  error_ = invalid_argument(fmt::format("{}: {}{}", node_->file, path_of(key), problem)).error();
}

template <typename T>
void ConfigReader::read_number(std::string_view key, T& value, const NumberSpec& spec) {
  known_.emplace_back(key);
  const toml::node* node = node_->table->get(key);
  if (node == nullptr) {
    if (spec.required) fail_missing(key, describe_range(spec));
    return;
  }
  T read{};
  if (!take_number(*node, read)) {
    const bool bounded = std::isfinite(spec.min) && std::isfinite(spec.max);
    const char* kind = std::is_same_v<T, int64_t> ? "a whole number, "
                       : bounded                  ? "a number, "
                                                  : "";
    fail(key, fmt::format(" = {}, want {}{}", show(*node), kind, describe_range(spec)));
  } else if (!in_range(read, spec)) {
    fail(key, fmt::format(" = {}, want {}", read, describe_range(spec)));
  } else {
    value = read;
  }
}

void ConfigReader::number(std::string_view key, int64_t& value, const NumberSpec& spec) {
  read_number(key, value, spec);
}
void ConfigReader::number(std::string_view key, double& value, const NumberSpec& spec) {
  read_number(key, value, spec);
}

template <typename T>
void ConfigReader::read_numbers(std::string_view key, std::vector<T>& values,
                                const NumberSpec& spec) {
  known_.emplace_back(key);
  const toml::node* node = node_->table->get(key);
  if (node == nullptr) {
    if (spec.required) fail_missing(key, fmt::format("a list of {}", describe_range(spec)));
    return;
  }
  const toml::array* array = node->as_array();
  if (array == nullptr || array->empty()) {
    fail(key, fmt::format(" = {}, want a list of {}", show(*node), describe_range(spec)));
    return;
  }
  std::vector<T> read;
  for (const toml::node& item : *array) {
    T number{};
    if (!take_number(item, number) || !in_range(number, spec)) {
      fail(fmt::format("{}[{}]", key, read.size()),
           fmt::format(" = {}, want {}", show(item), describe_range(spec)));
      return;
    }
    read.push_back(number);
  }
  values = std::move(read);
}

void ConfigReader::numbers(std::string_view key, std::vector<int64_t>& values,
                           const NumberSpec& spec) {
  read_numbers(key, values, spec);
}
void ConfigReader::numbers(std::string_view key, std::vector<double>& values,
                           const NumberSpec& spec) {
  read_numbers(key, values, spec);
}

void ConfigReader::flag(std::string_view key, bool& value, const TextSpec& spec) {
  known_.emplace_back(key);
  const toml::node* node = node_->table->get(key);
  if (node == nullptr) {
    if (spec.required) fail_missing(key, "true or false");
  } else if (const auto* boolean = node->as_boolean()) {
    value = boolean->get();
  } else {
    fail(key, fmt::format(" = {}, want true or false", show(*node)));
  }
}

namespace {

// Empty if `value` is among the choices, otherwise what to say about it.
std::string choice_problem(const std::string& value, const TextSpec& spec) {
  if (spec.choices.empty()) return {};
  std::vector<std::string> choices(spec.choices.begin(), spec.choices.end());
  if (std::find(choices.begin(), choices.end(), value) != choices.end()) return {};
  const auto near = nearest_name(value, choices);
  return fmt::format(" = \"{}\", want one of {}{}", value, fmt::join(choices, ", "),
                     near.has_value() ? fmt::format(" (did you mean {}?)", *near) : "");
}

}  // namespace

void ConfigReader::text(std::string_view key, std::string& value, const TextSpec& spec) {
  known_.emplace_back(key);
  const toml::node* node = node_->table->get(key);
  if (node == nullptr) {
    if (spec.required) fail_missing(key, std::string(spec.help));
    return;
  }
  const auto* read = node->as_string();
  if (read == nullptr) {
    fail(key, fmt::format(" = {}, want a text", show(*node)));
    return;
  }
  if (const std::string problem = choice_problem(read->get(), spec); !problem.empty()) {
    fail(key, problem);
    return;
  }
  value = read->get();
}

void ConfigReader::texts(std::string_view key, std::vector<std::string>& values,
                         const TextSpec& spec) {
  known_.emplace_back(key);
  const toml::node* node = node_->table->get(key);
  if (node == nullptr) {
    if (spec.required) fail_missing(key, fmt::format("a list: {}", spec.help));
    return;
  }
  const toml::array* array = node->as_array();
  if (array == nullptr) {
    fail(key, fmt::format(" = {}, want a list of texts", show(*node)));
    return;
  }
  std::vector<std::string> read;
  for (const toml::node& item : *array) {
    const auto* one = item.as_string();
    const std::string where = fmt::format("{}[{}]", key, read.size());
    if (one == nullptr) {
      fail(where, fmt::format(" = {}, want a text", show(item)));
      return;
    }
    if (const std::string problem = choice_problem(one->get(), spec); !problem.empty()) {
      fail(where, problem);
      return;
    }
    read.push_back(one->get());
  }
  values = std::move(read);
}

std::shared_ptr<ConfigReader> ConfigReader::descend(std::string_view key, const TextSpec& spec) {
  known_.emplace_back(key);
  const toml::node* node = node_->table->get(key);
  if (node == nullptr) {
    if (spec.required) fail_missing(key, fmt::format("a table: {}", spec.help));
    return nullptr;
  }
  const toml::table* table = node->as_table();
  if (table == nullptr) {
    fail(key, fmt::format(" = {}, want a table", show(*node)));
    return nullptr;
  }
  auto child = std::make_shared<Node>(Node{node_->root, table, node_->file});
  return std::make_shared<ConfigReader>(std::move(child), path_of(key) + ".");
}

std::optional<std::vector<std::shared_ptr<ConfigReader>>> ConfigReader::descend_list(
    std::string_view key, const TextSpec& spec) {
  known_.emplace_back(key);
  const toml::node* node = node_->table->get(key);
  if (node == nullptr) {
    if (spec.required) fail_missing(key, fmt::format("[[{}]]: {}", key, spec.help));
    return std::nullopt;
  }
  const toml::array* array = node->as_array();
  if (array == nullptr) {
    fail(key, fmt::format(" = {}, want a list of tables", show(*node)));
    return std::nullopt;
  }
  std::vector<std::shared_ptr<ConfigReader>> children;
  for (const toml::node& item : *array) {
    const toml::table* table = item.as_table();
    const std::string where = fmt::format("{}[{}]", path_of(key), children.size());
    if (table == nullptr) {
      fail(key, fmt::format("[{}] = {}, want a table", children.size(), show(item)));
      return std::nullopt;
    }
    auto child = std::make_shared<Node>(Node{node_->root, table, node_->file});
    children.push_back(std::make_shared<ConfigReader>(std::move(child), where + "."));
  }
  return children;
}

void ConfigReader::adopt(ConfigReader& child) {
  const Status status = child.finish();
  // A misspelt key in a sub-table is better news than a missing key here.
  if (!status.has_value() && (!error_.has_value() || error_is_missing_key_)) {
    error_ = status.error();
    error_is_missing_key_ = child.error_is_missing_key_;
  }
}

Status ConfigReader::finish() {
  if (error_.has_value() && !error_is_missing_key_) return std::unexpected(*error_);
  for (const auto& [key, value] : *node_->table) {
    const std::string name(key.str());
    if (std::find(known_.begin(), known_.end(), name) != known_.end()) continue;
    const auto near = nearest_name(name, known_);
    error_.reset();
    fail(name,
         fmt::format(": unknown key, {}",
                     near.has_value() ? fmt::format("did you mean {}?", *near)
                                      : fmt::format("want one of {}", fmt::join(known_, ", "))));
    break;
  }
  if (error_.has_value()) return std::unexpected(*error_);
  return {};
}

Result<ConfigReader> parse_config(std::string_view text, const std::string& name) {
  std::shared_ptr<toml::table> root;
  try {
    root = std::make_shared<toml::table>(toml::parse(text, name));
  } catch (const toml::parse_error& error) {
    const toml::source_position at = error.source().begin;
    return invalid_argument(
        fmt::format("{}: line {}, column {}: {}", name, at.line, at.column, error.description()));
  }
  auto node = std::make_shared<ConfigReader::Node>(ConfigReader::Node{root, root.get(), name});
  return ConfigReader(std::move(node), "");
}

Result<ConfigReader> open_config(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return not_found(fmt::format("{}: cannot be opened, want a readable TOML file", path));
  file.seekg(0, std::ios::end);
  const std::streamsize size = file.tellg();
  if (size < 0 || size > kMaxConfigBytes) {
    return invalid_argument(
        fmt::format("{}: {} bytes, want a TOML file of at most {}", path, size, kMaxConfigBytes));
  }
  file.seekg(0);
  std::string text(static_cast<size_t>(size), '\0');
  file.read(text.data(), size);
  if (!file) return io_error(fmt::format("{}: could not be read", path));
  return parse_config(text, path);
}

}  // namespace dovetail
