#include "base/config_keys.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <map>

#include <fmt/format.h>

namespace dovetail {
namespace {

constexpr size_t kWidth = 100;

const ConfigKey* find_key(const std::vector<ConfigKey>& keys, const std::string& path) {
  const auto it = std::ranges::find(keys, path, &ConfigKey::path);
  return it == keys.end() ? nullptr : &*it;
}

bool is_tables(const Json& value) {
  return value.is_array() && !value.empty() && value.front().is_object();
}

bool is_as_without(const ConfigKey* key, const Json& value) {
  return key != nullptr && !key->required && key->fallback == value;
}

// One value on one line. `inside`: the path in front of the keys of its tables.
std::string inline_toml(const Json& value, const std::string& inside,
                        const std::vector<ConfigKey>& keys) {
  std::string items;
  if (value.is_array()) {
    for (const Json& item : value) {
      items += (items.empty() ? "" : ", ") + inline_toml(item, inside, keys);
    }
    return "[" + items + "]";
  }
  if (value.is_object()) {
    for (const auto& [name, part] : value.items()) {
      if (is_as_without(find_key(keys, inside + name), part)) continue;
      items += fmt::format("{}{} = {}", items.empty() ? "" : ", ", name,
                           inline_toml(part, inside + name + "[].", keys));
    }
    return "{ " + items + " }";
  }
  if (value.is_number_float()) return fmt::format("{}", value.get<double>());
  return value.dump();  // what JSON escapes in a text, TOML escapes the same way
}

// A sentence as comment lines.
std::string comment(std::string text) {
  if (text.empty()) return "";
  text[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(text[0])));
  text += '.';
  std::string lines = "#";
  size_t width = 1;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find(' ', begin), text.size());
    if (width + 1 + (end - begin) > kWidth) {
      lines += "\n#";
      width = 1;
    }
    lines += " " + text.substr(begin, end - begin);
    width += 1 + (end - begin);
    begin = end + 1;
  }
  return lines + "\n";
}

// A value that a key may have: its default, else the first that is allowed.
Json example_of(const ConfigKey& key) {
  if (!key.fallback.is_null()) return key.fallback;
  if (key.kind.starts_with("list")) return Json::array();
  if (!key.choices.empty()) return key.choices.front();
  if (key.kind == "text") return "";
  if (key.kind == "true or false") return false;
  return std::isfinite(key.min) ? key.min : 0.0;
}

class TomlText {
 public:
  explicit TomlText(const std::vector<ConfigKey>& keys) : keys_(keys) {}

  // The values of a table, then its tables: TOML wants that order. `path` is empty at the top;
  // `inside` is the path in front of its keys. A second table of a list is not explained again.
  void table(const Json& values, const std::string& path, const std::string& inside,
             bool explained) {
    const auto stands_alone = [&](const Json& value) {
      return value.is_object() || (is_tables(value) && path.empty());
    };
    const auto is_unused_list = [&](const std::string& name, const Json& value) {
      const ConfigKey* key = path.empty() && value.empty() ? find_key(keys_, name) : nullptr;
      return key != nullptr && key->kind == "list of tables";
    };
    for (const auto& [name, value] : values.items()) {
      if (!stands_alone(value) && !is_unused_list(name, value)) put(name, value, inside, explained);
    }
    for (const auto& [name, value] : values.items()) {
      if (is_unused_list(name, value)) put_example(name);
      if (!stands_alone(value)) continue;
      const std::string below = path.empty() ? name : path + "." + name;
      bool again = explained;
      for (const Json& item : value.is_object() ? Json::array({value}) : value) {
        text_ += "\n";
        if (!again) explain(inside + name);
        text_ += (value.is_object() ? "[" + below + "]" : "[[" + below + "]]") + "\n";
        table(item, below, inside + name + (value.is_object() ? "." : "[]."), again);
        again = true;
      }
    }
  }
  [[nodiscard]] std::string take() { return std::move(text_); }

 private:
  void explain(const std::string& path) {
    if (const ConfigKey* key = find_key(keys_, path)) text_ += comment(explain_key(*key));
  }
  void put(const std::string& name, const Json& value, const std::string& inside, bool explained) {
    const std::string path = inside + name;
    if (!explained) explain(path);
    const std::string below = path + "[].";
    if (!is_tables(value)) {
      text_ += fmt::format("{}{} = {}\n", is_as_without(find_key(keys_, path), value) ? "# " : "",
                           name, inline_toml(value, below, keys_));
      return;
    }
    for (const ConfigKey& key : keys_) {
      if (!explained && key.path.starts_with(below)) {
        text_ += comment(key.path.substr(path.size() + 3) + ": " + explain_key(key));
      }
    }
    text_ += name + " = [\n";
    for (const Json& item : value) text_ += "  " + inline_toml(item, below, keys_) + ",\n";
    text_ += "]\n";
  }
  // A list of tables without any: one of them commented out, to show what it may hold.
  void put_example(const std::string& name) {
    text_ += "\n";
    explain(name);
    text_ += "# [[" + name + "]]\n";
    const std::string below = name + "[].";
    for (const ConfigKey& key : keys_) {
      const bool is_own = key.path.starts_with(below) &&
                          key.path.find_first_of(".[", below.size()) == std::string::npos;
      if (!is_own) continue;
      text_ += comment(explain_key(key));
      text_ += fmt::format("# {} = {}\n", key.path.substr(below.size()),
                           inline_toml(example_of(key), "", keys_));
    }
  }
  const std::vector<ConfigKey>& keys_;
  std::string text_;
};

// What one value of a key may be, without its nesting.
Json value_schema(const ConfigKey& key, std::string_view kind) {
  if (kind == "number" || kind == "whole number") {
    Json schema = {{"type", kind == "number" ? "number" : "integer"}};
    if (std::isfinite(key.min)) schema["minimum"] = key.min;
    if (std::isfinite(key.max)) schema["maximum"] = key.max;
    return schema;
  }
  if (kind == "true or false") return {{"type", "boolean"}};
  if (kind == "table") {
    return {{"type", "object"}, {"properties", Json::object()}, {"additionalProperties", false}};
  }
  Json schema = {{"type", "string"}};
  if (!key.choices.empty()) schema["enum"] = key.choices;
  return schema;
}

Json key_schema(const ConfigKey& key) {
  static const std::map<std::string_view, std::string_view> kItems = {
      {"list of numbers", "number"},
      {"list of whole numbers", "whole number"},
      {"list of texts", "text"},
      {"list of tables", "table"}};
  const auto item = kItems.find(key.kind);
  Json schema = item == kItems.end()
                    ? value_schema(key, key.kind)
                    : Json{{"type", "array"}, {"items", value_schema(key, item->second)}};
  schema["description"] = key.help;
  if (!key.fallback.is_null()) schema["default"] = key.fallback;
  return schema;
}

}  // namespace

void ConfigDescriber::add(std::string_view key, std::string_view kind, const NumberSpec& spec,
                          Json value) {
  const bool any = std::isinf(spec.min) && std::isinf(spec.max);
  keys_.push_back({.path = prefix_ + std::string(key),
                   .kind = std::string(kind),
                   .wanted = any ? "" : describe_range(spec),
                   .min = spec.min,
                   .max = spec.max,
                   .choices = {},
                   .fallback = spec.required ? Json() : std::move(value),
                   .required = spec.required,
                   .help = std::string(spec.help)});
}

void ConfigDescriber::add(std::string_view key, std::string_view kind, const TextSpec& spec,
                          Json value) {
  keys_.push_back({.path = prefix_ + std::string(key),
                   .kind = std::string(kind),
                   .wanted = "",
                   .min = 0,
                   .max = 0,
                   .choices = {spec.choices.begin(), spec.choices.end()},
                   .fallback = spec.required ? Json() : std::move(value),
                   .required = spec.required,
                   .help = std::string(spec.help)});
}

std::string explain_key(const ConfigKey& key) {
  std::string text = key.help;
  if (!key.wanted.empty()) text += fmt::format(" ({})", key.wanted);
  if (!key.choices.empty()) text += fmt::format(" (one of {})", fmt::join(key.choices, ", "));
  return text;
}

std::string commented_toml(const Json& values, const std::vector<ConfigKey>& keys) {
  TomlText text(keys);
  text.table(values, "", "", false);
  return text.take();
}

Json json_schema(const std::string& title, const std::vector<ConfigKey>& keys) {
  Json schema = {{"title", title},
                 {"type", "object"},
                 {"properties", Json::object()},
                 {"additionalProperties", false}};
  for (const ConfigKey& key : keys) {
    // Walks "space.format_sets[].pairs[].weight" down to the object that holds the last part.
    Json* at = &schema;
    std::string_view rest = key.path;
    for (size_t dot = rest.find('.'); dot != std::string_view::npos; dot = rest.find('.')) {
      std::string_view name = rest.substr(0, dot);
      rest.remove_prefix(dot + 1);
      const bool list = name.ends_with("[]");
      if (list) name.remove_suffix(2);
      at = &(*at)["properties"][std::string(name)];
      if (list) at = &(*at)["items"];
    }
    (*at)["properties"][std::string(rest)] = key_schema(key);
    if (key.required) (*at)["required"].push_back(std::string(rest));
  }
  return schema;
}

}  // namespace dovetail
