// Reading a record without surprises: a missing or mistyped key is one clear error for the page.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/config.h"

namespace dovetail::report {

inline constexpr int kRecordVersion = 2;
inline constexpr int kOldestRecordVersion = 1;  // without prices, tornado, roofs: shown as absent

// Errors: kInvalidArgument if `record` is no object of this version or lacks what every page needs.
[[nodiscard]] Status check_record(const Json& record);

// The number at a dotted path ("limits.area_mm2"), or `otherwise` if it is absent or null.
[[nodiscard]] double number_at(const Json& json, const std::string& path, double otherwise = 0);
[[nodiscard]] std::string text_at(const Json& json, const std::string& path);
[[nodiscard]] bool has_number(const Json& json, const std::string& path);
// The array at a key, empty if absent.
[[nodiscard]] const Json& list_at(const Json& json, const std::string& path);

// "latency_area" -> "latency x area"; the unit of an objective's value.
[[nodiscard]] std::string objective_words(const std::string& objective);
// "recipe_first" -> "compress first, then build", ...
[[nodiscard]] std::string baseline_words(const std::string& name);
// "dram" -> "DRAM bandwidth", ...
[[nodiscard]] std::string resource_words(const std::string& resource);
// A duration or an energy in a unit that reads well: "1.24 s", "18.3 ms", "3.6 mJ".
[[nodiscard]] std::string show_ns(double ns);
[[nodiscard]] std::string show_pj(double pj);
// "9,797,760".
[[nodiscard]] std::string show_count(double count);
// One line that names a chip: "7 nm, 1 core, 16x32x16 w4a8+w8a8 at 1,000 MHz, 8 MiB SRAM, ...".
// "nsga2" -> "NSGA-II"; "mm2" -> "mm²".
[[nodiscard]] std::string method_words(const std::string& method);
[[nodiscard]] std::string unit_words(const std::string& unit);
[[nodiscard]] std::string describe_chip(const Json& chip);
// "4.3 bits, rotated by r1r2: int4_g128+a:int8_token x62, int3_g32... x31" of one product's recipe.
[[nodiscard]] std::string describe_recipe(const Json& product);

// The losses of a point's product under its rotation; null if the record holds none.
[[nodiscard]] const Json* loss_table_of(const Json& record, const Json& product);

// What read() returns; an error where it meets a value of another kind than it wants. check_record
// names the place of the commonest; this is for whatever else a damaged record may hold.
template <typename Read>
[[nodiscard]] auto reading_record(const Read& read) -> decltype(read()) {
  try {
    return read();
  } catch (const Json::exception& error) {
    return invalid_argument(
        std::string("record: a value is not of the kind that the page wants: ") + error.what());
  }
}

// A truth of a record; the fallback where it is absent, null or of another kind.
[[nodiscard]] bool flag_at(const Json& json, std::string_view key, bool fallback);

}  // namespace dovetail::report
