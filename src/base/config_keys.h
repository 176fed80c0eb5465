// The keys of a configuration struct as data, taken from its visit(): what reference pages, schemas
// and commented files are made of, so that help stands in one place.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/config.h"

namespace dovetail {

// One key as its visit() names it: what reference pages, schemas and commented files are made of.
struct ConfigKey {
  std::string path;    // "budget.max_area_mm2", "products[].name"
  std::string kind;    // "number", "whole number", "text", "true or false", "list of ..." of these,
                       // "table", "list of tables"
  std::string wanted;  // range of a number: "0.1..1000"; empty if any will do
  double min = 0;      // that range; infinite where it is open
  double max = 0;
  std::vector<std::string> choices;  // empty: any text
  Json fallback;                     // what it is when absent; null of a table or a required key
  bool required = false;
  std::string help;
};

// Lists every key of a struct in the order of its visit().
class ConfigDescriber {
 public:
  void number(std::string_view key, int64_t value, const NumberSpec& spec) {
    add(key, "whole number", spec, value);
  }
  void number(std::string_view key, double value, const NumberSpec& spec) {
    add(key, "number", spec, value);
  }
  void flag(std::string_view key, bool value, const TextSpec& spec) {
    add(key, "true or false", spec, value);
  }
  void text(std::string_view key, const std::string& value, const TextSpec& spec) {
    add(key, "text", spec, value);
  }
  void numbers(std::string_view key, const std::vector<int64_t>& v, const NumberSpec& spec) {
    add(key, "list of whole numbers", spec, v);
  }
  void numbers(std::string_view key, const std::vector<double>& v, const NumberSpec& spec) {
    add(key, "list of numbers", spec, v);
  }
  void texts(std::string_view key, const std::vector<std::string>& v, const TextSpec& spec) {
    add(key, "list of texts", spec, v);
  }
  template <typename T>
  void group(std::string_view key, const T& value, const TextSpec& spec) {
    add(key, "table", spec, Json());
    nested(key, ".", value);
  }
  template <typename T>
  void group(std::string_view key, const std::optional<T>&, const TextSpec& spec) {
    const T value{};
    group(key, value, spec);
  }
  template <typename T>
  void list(std::string_view key, const std::vector<T>&, const TextSpec& spec) {
    add(key, "list of tables", spec, Json());
    const T value{};
    nested(key, "[].", value);
  }
  [[nodiscard]] std::vector<ConfigKey> take() { return std::move(keys_); }

 private:
  template <typename T>
  void nested(std::string_view key, std::string_view separator, const T& value) {
    const std::string outer = prefix_;
    prefix_ += std::string(key) + std::string(separator);
    T::visit(*this, value);
    prefix_ = outer;
  }
  void add(std::string_view key, std::string_view kind, const NumberSpec& spec, Json value);
  void add(std::string_view key, std::string_view kind, const TextSpec& spec, Json value);
  std::string prefix_;
  std::vector<ConfigKey> keys_;
};

template <typename T>
[[nodiscard]] std::vector<ConfigKey> describe_config() {
  ConfigDescriber describer;
  const T value{};
  T::visit(describer, value);
  return describer.take();
}

// "0.1..1000", "a number >= 1": what a number must be, in an error or a page.
[[nodiscard]] std::string describe_range(const NumberSpec& spec);

// The help of a key with what it may be: "die area (0.1..1000)", "one of a, b".
[[nodiscard]] std::string explain_key(const ConfigKey& key);

// `values` (to_json of a struct) as a TOML file that explains every key above it. What a key is
// anyway stands commented out; so does an empty text or list.
//   struct -> read_config_text(commented_toml(to_json(value), describe_config<T>())) -> equal
//   struct
[[nodiscard]] std::string commented_toml(const Json& values, const std::vector<ConfigKey>& keys);

// JSON Schema (draft 2020-12) of a file with these keys.
[[nodiscard]] Json json_schema(const std::string& title, const std::vector<ConfigKey>& keys);

}  // namespace dovetail
