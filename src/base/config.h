// Configuration by one visit() per struct: it names every key once, with default, unit, range and
// help; the TOML parser, the JSON writer and the reference docs are visitors over it.
//
//   struct Dram {
//     std::string kind = "lpddr5";
//     int64_t channels = 4;
//     template <typename V, typename S> static void visit(V& v, S& s) {
//       v.text("kind", s.kind, {.required = true, .help = "entry of data/technology/dram.toml"});
//       v.number("channels", s.channels, {.min = 1, .max = 64, .help = "16-bit channels"});
//     }
//   };
//   DOVETAIL_TRY(const Dram dram, read_config<Dram>(path));
//
// Units stand in the key (`clock_mhz`). An unknown key, a missing required key, a wrong type and a
// value out of range are errors that name file, key, value and what was wanted.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "base/result.h"

namespace dovetail {

using Json = nlohmann::ordered_json;

struct NumberSpec {
  double min = -std::numeric_limits<double>::infinity();
  double max = std::numeric_limits<double>::infinity();
  bool required = false;
  std::string_view help;
};

struct TextSpec {
  std::vector<std::string_view> choices = {};  // empty: any text
  bool required = false;
  std::string_view help;
};

// Reads one TOML table into one struct. Keeps the first error; later calls then do nothing.
class ConfigReader {
 public:
  struct Node;  // a toml++ table, hidden so that only config.cc includes toml++

  ConfigReader(std::shared_ptr<const Node> node, std::string where);

  void number(std::string_view key, int64_t& value, const NumberSpec& spec);
  void number(std::string_view key, double& value, const NumberSpec& spec);
  void flag(std::string_view key, bool& value, const TextSpec& spec);
  void text(std::string_view key, std::string& value, const TextSpec& spec);
  void numbers(std::string_view key, std::vector<int64_t>& values, const NumberSpec& spec);
  void numbers(std::string_view key, std::vector<double>& values, const NumberSpec& spec);
  void texts(std::string_view key, std::vector<std::string>& values, const TextSpec& spec);

  // A sub-table.
  template <typename T>
  void group(std::string_view key, T& value, const TextSpec& spec) {
    if (auto child = descend(key, spec)) {
      T::visit(*child, value);
      adopt(*child);
    }
  }
  // A sub-table that may be absent.
  template <typename T>
  void group(std::string_view key, std::optional<T>& value, const TextSpec& spec) {
    if (auto child = descend(key, spec)) {
      T::visit(*child, value.emplace());
      adopt(*child);
    }
  }
  // An array of tables, [[key]].
  template <typename T>
  void list(std::string_view key, std::vector<T>& values, const TextSpec& spec) {
    const auto children = descend_list(key, spec);
    if (!children.has_value()) return;
    values.clear();
    for (const auto& child : *children) {
      T::visit(*child, values.emplace_back());
      adopt(*child);
    }
  }

  // The first error met, including keys of the table that no field claimed.
  [[nodiscard]] Status finish();

 private:
  std::shared_ptr<ConfigReader> descend(std::string_view key, const TextSpec& spec);
  std::optional<std::vector<std::shared_ptr<ConfigReader>>> descend_list(std::string_view key,
                                                                         const TextSpec& spec);
  void adopt(ConfigReader& child);
  void fail(std::string_view key, const std::string& problem);
  void fail_missing(std::string_view key, const std::string& wanted);
  std::string path_of(std::string_view key) const;
  template <typename T>
  void read_number(std::string_view key, T& value, const NumberSpec& spec);
  template <typename T>
  void read_numbers(std::string_view key, std::vector<T>& values, const NumberSpec& spec);

  std::shared_ptr<const Node> node_;
  std::string where_;  // "units[0]." inside a list, empty at the top
  std::vector<std::string> known_;
  std::optional<Error> error_;
  bool error_is_missing_key_ =
      false;  // then an unknown key, likely its misspelling, is named first
};

// Writes a struct as JSON with the same keys.
class ConfigWriter {
 public:
  template <typename T>
  void number(std::string_view key, const T& value, const NumberSpec&) {
    put(key, value);
  }
  void flag(std::string_view key, bool value, const TextSpec&) { put(key, value); }
  void text(std::string_view key, const std::string& value, const TextSpec&) { put(key, value); }
  template <typename T>
  void numbers(std::string_view key, const std::vector<T>& v, const NumberSpec&) {
    put(key, v);
  }
  void texts(std::string_view key, const std::vector<std::string>& v, const TextSpec&) {
    put(key, v);
  }
  template <typename T>
  void group(std::string_view key, const T& value, const TextSpec&) {
    ConfigWriter child;
    T::visit(child, value);
    put(key, child.json_);
  }
  template <typename T>
  void group(std::string_view key, const std::optional<T>& value, const TextSpec& spec) {
    if (value.has_value()) group(key, *value, spec);
  }
  template <typename T>
  void list(std::string_view key, const std::vector<T>& values, const TextSpec&) {
    Json array = Json::array();
    for (const T& value : values) {
      ConfigWriter child;
      T::visit(child, value);
      array.push_back(child.json_);
    }
    put(key, array);
  }
  [[nodiscard]] Json take() { return std::move(json_); }

 private:
  template <typename T>
  void put(std::string_view key, const T& value) {
    json_[std::string(key)] = value;
  }
  Json json_ = Json::object();
};

// Parses TOML text or a file. `name` stands in front of every error message.
// Errors: kNotFound if the file does not exist, kInvalidArgument for anything wrong inside it.
[[nodiscard]] Result<ConfigReader> open_config(const std::string& path);
[[nodiscard]] Result<ConfigReader> parse_config(std::string_view text, const std::string& name);

template <typename T>
[[nodiscard]] Result<T> finish_config(Result<ConfigReader> reader) {
  if (!reader.has_value()) return std::unexpected(std::move(reader).error());
  T value{};
  T::visit(*reader, value);
  DOVETAIL_TRY_STATUS(reader->finish());
  return value;
}
template <typename T>
[[nodiscard]] Result<T> read_config(const std::string& path) {
  return finish_config<T>(open_config(path));
}
template <typename T>
[[nodiscard]] Result<T> read_config_text(std::string_view text, const std::string& name) {
  return finish_config<T>(parse_config(text, name));
}
template <typename T>
[[nodiscard]] Json to_json(const T& value) {
  ConfigWriter writer;
  T::visit(writer, value);
  return writer.take();
}

// The candidate with the smallest edit distance to `word`, or nothing if all are far away.
[[nodiscard]] std::optional<std::string> nearest_name(std::string_view word,
                                                      const std::vector<std::string>& candidates);

}  // namespace dovetail
