// Numbers and parts of a roadmap's row in words, for terminal and page alike.
#pragma once

#include <string>

#include "base/config.h"

namespace dovetail::report {

// "request latency within 0.15 nats"
[[nodiscard]] std::string scenario_words(const Json& scenario);
// "12.3 %"
[[nodiscard]] std::string show_share(double share);
// "3.1 to 4.5 %", "" where the band is not known. `unit` as "_frac": json[key + "_low" + unit].
[[nodiscard]] std::string band_words(const Json& json, const std::string& key,
                                     const std::string& unit, double scale,
                                     const std::string& suffix);
// "int5 x int8 (its own, through the decoder); 0.12 mm² of its own; 0.4 MiB in SRAM"
[[nodiscard]] std::string silicon_words(const Json& row);
// What saved cost consists of: "latency 3.2 %, energy 1.1 %, area 0.4 %" of what the answer without
// it takes.
[[nodiscard]] std::string parts_words(const Json& alternative);
// Why a row has no saving of its own: not used, not on the chip, nothing else fits.
[[nodiscard]] std::string place_words(const Json& row);

}  // namespace dovetail::report
