// Technology constants, read from data/technology/*.toml: each with value, range, unit, source and
// date. None stands in code, and the loader refuses an entry without a source.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/result.h"

namespace dovetail::silicon {

struct Constant {
  double value = 0;
  double low = 0;  // low <= value <= high: where the truth may lie
  double high = 0;
  std::string unit;
  std::string source;
  std::string date;
};

// Constants by dotted key: "nodes.n7.logic_density_rel", "dram.lpddr5.channel_gb_per_s", ...
class Technology {
 public:
  // Reads every *.toml in the folder. Errors: kNotFound, kInvalidArgument naming file and key.
  [[nodiscard]] static Result<Technology> load(const std::string& folder);
  // Errors: kNotFound with the nearest key.
  [[nodiscard]] Result<double> value(const std::string& key) const;
  // The file that a key stands in: "<folder>/nodes.toml" for "nodes.n7.energy_rel".
  [[nodiscard]] std::string file_of(const std::string& key) const;
  [[nodiscard]] const std::map<std::string, Constant>& constants() const { return constants_; }
  // A copy with one constant moved, for sensitivity studies. The value may lie outside the range.
  [[nodiscard]] Technology with(const std::string& key, double value) const;
  // SHA-256 of all keys and values.
  [[nodiscard]] std::string digest() const;

 private:
  std::string folder_;
  std::map<std::string, Constant> constants_;
};

}  // namespace dovetail::silicon
