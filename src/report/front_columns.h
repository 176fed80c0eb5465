// The front of a record as columns: what the page carries instead of ten thousand objects.
#pragma once

#include "base/config.h"

namespace dovetail::report {

// {num_points, columns{path: column}} with paths like "limits/area_mm2" or
// "products/0/groups/decode head/latency_ns". A column is one of
//   {"numbers": "1.5,2e9,,3"}      rounded to 5 digits (3 in groups), empty where absent
//   {"values": [...], "rows": "0,0,1,,2"}   distinct values and which of them each point has
//   {"letters": "...", "length": n}  n letters a point: index i into the menu is kMenuLetters[i]
// The page's record_data.js is its only reader.
[[nodiscard]] Json front_to_columns(const Json& front);

// Neither quote, backslash nor '<'.
inline constexpr const char* kMenuLetters =
    "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
    "!#$%&()*+,-./:;=>?@[]^_`{|}~";

}  // namespace dovetail::report
