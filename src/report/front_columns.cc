#include "report/front_columns.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

namespace dovetail::report {
namespace {

// One leaf of every point that has it; `rows` are ascending.
struct Leaf {
  std::vector<size_t> rows = {};
  std::vector<const Json*> values = {};
};

// Columns in the order of their first appearance, so that the same record gives the same page.
struct Leaves {
  std::vector<std::string> order = {};
  std::map<std::string, Leaf> by_path = {};

  void add(const std::string& path, size_t row, const Json& value) {
    const auto [it, inserted] = by_path.try_emplace(path);
    if (inserted) order.push_back(path);
    it->second.rows.push_back(row);
    it->second.values.push_back(&value);
  }
};

constexpr std::array kGroupFields = {"latency_ns", "energy_pj", "dram_bytes", "binding"};

void add_groups(const std::string& path, size_t row, const Json& groups, Leaves& leaves) {
  for (const Json& group : groups) {
    if (!group.is_array() || group.size() < 2 || !group[0].is_string() || !group[1].is_string()) {
      continue;
    }
    const std::string prefix =
        fmt::format("{}/{} {}/", path, group[0].get<std::string>(), group[1].get<std::string>());
    for (size_t i = 0; i + 2 < group.size() && i < kGroupFields.size(); ++i) {
      leaves.add(prefix + kGroupFields[i], row, group[i + 2]);
    }
  }
}

void add_product(const std::string& path, size_t row, const Json& product, Leaves& leaves) {
  for (const auto& [key, value] : product.items()) {
    if (key == "groups" && value.is_array()) {
      add_groups(path + "/groups", row, value, leaves);
    } else {
      leaves.add(path + "/" + key, row, value);
    }
  }
}

void add_entry(const Json& entry, size_t row, Leaves& leaves) {
  for (const auto& [key, value] : entry.items()) {
    if (key == "products" && value.is_array()) {
      for (size_t p = 0; p < value.size(); ++p) {
        if (value[p].is_object()) {
          add_product("products/" + std::to_string(p), row, value[p], leaves);
        }
      }
    } else if (value.is_object()) {
      for (const auto& [inner, leaf] : value.items()) {
        leaves.add(key + "/" + inner, row, leaf);
      }
    } else {
      leaves.add(key, row, value);
    }
  }
}

bool all_numbers(const Leaf& leaf) {
  return std::ranges::all_of(leaf.values, [](const Json* value) { return value->is_number(); });
}

bool all_indices(const Leaf& leaf) {
  const auto num_letters = static_cast<int64_t>(std::string_view(kMenuLetters).size());
  const size_t length = leaf.values.front()->size();
  return std::ranges::all_of(leaf.values, [&](const Json* value) {
    return value->is_array() && value->size() == length &&
           std::ranges::all_of(*value, [&](const Json& index) {
             return index.is_number_integer() && index.get<int64_t>() >= 0 &&
                    index.get<int64_t>() < num_letters;
           });
  });
}

// Calls write(i) for the row that values[i] belongs to, and a comma between rows.
template <typename Write>
void for_each_row(const Leaf& leaf, size_t num_points, std::string& text, Write&& write) {
  size_t i = 0;
  for (size_t row = 0; row < num_points; ++row) {
    if (row > 0) text += ',';
    if (i < leaf.rows.size() && leaf.rows[i] == row) write(i++);
  }
}

Json number_column(const Leaf& leaf, size_t num_points, int num_digits) {
  std::string text;
  for_each_row(leaf, num_points, text, [&](size_t i) {
    const double value = leaf.values[i]->get<double>();
    if (std::isfinite(value)) text += fmt::format("{:.{}g}", value, num_digits);
  });
  return Json{{"numbers", std::move(text)}};
}

Json distinct_column(const Leaf& leaf, size_t num_points) {
  std::map<std::string, size_t> index_of;
  Json values = Json::array();
  std::string rows;
  for_each_row(leaf, num_points, rows, [&](size_t i) {
    const auto [it, inserted] = index_of.try_emplace(
        leaf.values[i]->dump(-1, ' ', false, Json::error_handler_t::replace), values.size());
    if (inserted) values.push_back(*leaf.values[i]);
    rows += std::to_string(it->second);
  });
  return Json{{"values", std::move(values)}, {"rows", std::move(rows)}};
}

Json letter_column(const Leaf& leaf) {
  std::string letters;
  for (const Json* value : leaf.values) {
    for (const Json& index : *value) letters += kMenuLetters[index.get<size_t>()];
  }
  return Json{{"letters", std::move(letters)}, {"length", leaf.values.front()->size()}};
}

Json to_column(const std::string& path, const Leaf& leaf, size_t num_points) {
  constexpr int kNumDigits = 5;
  constexpr int kNumGroupDigits = 3;
  if (path.ends_with("/treatments") && leaf.rows.size() == num_points && all_indices(leaf)) {
    return letter_column(leaf);
  }
  if (!all_numbers(leaf)) return distinct_column(leaf, num_points);
  const bool group = path.find("/groups/") != std::string::npos;
  return number_column(leaf, num_points, group ? kNumGroupDigits : kNumDigits);
}

}  // namespace

Json front_to_columns(const Json& front) {
  Leaves leaves;
  for (size_t row = 0; row < front.size(); ++row) {
    if (front[row].is_object()) add_entry(front[row], row, leaves);
  }
  Json columns = Json::object();
  for (const std::string& path : leaves.order) {
    columns[path] = to_column(path, leaves.by_path.at(path), front.size());
  }
  return Json{{"num_points", front.size()}, {"columns", std::move(columns)}};
}

}  // namespace dovetail::report
