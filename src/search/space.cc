#include "search/space.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string_view>

#include <fmt/format.h>

#include "search/space_axes.h"

namespace dovetail::search {
namespace {

// Above this, an index times an axis length could leave int64_t.
constexpr int64_t kMaxChips = int64_t{1} << 50;

template <typename T>
Status check_list(std::string_view key, const std::vector<T>& values, T low) {
  if (values.empty()) return invalid_argument(fmt::format("{} is empty, want at least one", key));
  for (size_t i = 0; i < values.size(); ++i) {
    if (!(values[i] >= low) || !(values[i] <= std::numeric_limits<int32_t>::max())) {
      return invalid_argument(fmt::format("{}[{}] = {}, want >= {}", key, i, values[i], low));
    }
    for (size_t j = 0; j < i; ++j) {
      if (values[i] == values[j]) {
        return invalid_argument(fmt::format("{}[{}] = {} stands twice", key, i, values[i]));
      }
    }
  }
  return {};
}

Status check_names(std::string_view key, const std::vector<std::string>& names) {
  if (names.empty()) return invalid_argument(fmt::format("{} is empty, want at least one", key));
  for (size_t i = 0; i < names.size(); ++i) {
    if (names[i].empty()) return invalid_argument(fmt::format("{}[{}] is empty", key, i));
    for (size_t j = 0; j < i; ++j) {
      if (names[i] == names[j]) {
        return invalid_argument(fmt::format("{}[{}] = \"{}\" stands twice", key, i, names[i]));
      }
    }
  }
  return {};
}

Status check_format_sets(const std::vector<FormatSet>& sets) {
  std::vector<std::string> names;
  for (size_t i = 0; i < sets.size(); ++i) {
    names.push_back(sets[i].name);
    if (sets[i].pairs.empty()) {
      return invalid_argument(fmt::format(
          "format_sets[{}] \"{}\": pairs is empty, want at least one", i, sets[i].name));
    }
  }
  return check_names("format_sets", names);
}

}  // namespace

int64_t num_chips(const Space& space) {
  int64_t count = 1;
  for (const int64_t length : axis_lengths(space)) count *= length;
  return count;
}

int64_t most_tensor_parallel(const Space& space) {
  return std::ranges::max(space.tensor_parallel);
}

chip::Chip chip_at(const Space& space, int64_t index) {
  DOVETAIL_CHECK(index >= 0 && index < num_chips(space));
  chip::Chip chip = chip_of(space, split_index(axis_lengths(space), index));
  chip.name = fmt::format("c{}", index);
  return chip;
}

Status check_space(const Space& space) {
  DOVETAIL_TRY_STATUS(check_names("nodes", space.nodes));
  DOVETAIL_TRY_STATUS(check_list("clock_mhz", space.clock_mhz, 1.0));
  DOVETAIL_TRY_STATUS(check_list<int64_t>("cores", space.cores, 1));
  DOVETAIL_TRY_STATUS(check_format_sets(space.format_sets));
  DOVETAIL_TRY_STATUS(check_list<int64_t>("rows", space.rows, 1));
  DOVETAIL_TRY_STATUS(check_list<int64_t>("cols", space.cols, 1));
  DOVETAIL_TRY_STATUS(check_list<int64_t>("depth", space.depth, 1));
  DOVETAIL_TRY_STATUS(check_list<int64_t>("vector_lanes", space.vector_lanes, 1));
  DOVETAIL_TRY_STATUS(check_list<int64_t>("hadamard_lanes", space.hadamard_lanes, 0));
  DOVETAIL_TRY_STATUS(
      check_list<int64_t>("decoder_values_per_cycle", space.decoder_values_per_cycle, 1));
  DOVETAIL_TRY_STATUS(check_list<int64_t>("weight_buffer_kib", space.weight_buffer_kib, 1));
  DOVETAIL_TRY_STATUS(check_list<int64_t>("activation_buffer_kib", space.activation_buffer_kib, 1));
  DOVETAIL_TRY_STATUS(check_list<int64_t>("accumulator_kib", space.accumulator_kib, 1));
  DOVETAIL_TRY_STATUS(check_list("sram_mib", space.sram_mib, 0.0));
  DOVETAIL_TRY_STATUS(check_names("dram_kinds", space.dram_kinds));
  DOVETAIL_TRY_STATUS(check_list<int64_t>("dram_channels", space.dram_channels, 1));
  if (!(space.dram_capacity_gib > 0) || !std::isfinite(space.dram_capacity_gib)) {
    return invalid_argument(
        fmt::format("dram_capacity_gib = {}, want > 0", space.dram_capacity_gib));
  }
  DOVETAIL_TRY_STATUS(check_list<int64_t>("tensor_parallel", space.tensor_parallel, 1));
  if (most_tensor_parallel(space) > 1 && space.links < 1) {
    return invalid_argument(fmt::format("links = {}, want at least 1 where tensor_parallel is {}",
                                        space.links, most_tensor_parallel(space)));
  }
  int64_t count = 1;
  for (const int64_t length : axis_lengths(space)) {
    if (count > kMaxChips / length) {
      return invalid_argument(fmt::format("the space has more than {} chips", kMaxChips));
    }
    count *= length;
  }
  return {};
}

}  // namespace dovetail::search
