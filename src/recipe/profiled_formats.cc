#include "recipe/profiled_formats.h"

#include <cstdint>
#include <string>

#include <fmt/format.h>

namespace dovetail::recipe {

const std::vector<formats::WeightFormat>& profiled_weight_formats() {
  static const std::vector<formats::WeightFormat> kFormats = [] {
    std::vector<std::string> names = {"bf16"};
    for (const int64_t bits : {2, 3, 4, 5, 6, 8})
      for (const char* zero_point : {"", "_asym"})
        for (const char* group : {"", "_g128", "_g64", "_g32"})
          names.push_back(fmt::format("int{}{}{}", bits, zero_point, group));
    for (const char* name :
         {"fp8_e4m3fn", "mxfp4", "nvfp4", "mxfp6_e2m3", "mxfp6_e3m2", "mxfp8_e4m3fn", "mxint8",
          "int4_qoq_g128", "nf4_g64", "lut4_g64", "lut3_g64"})
      names.emplace_back(name);
    std::vector<formats::WeightFormat> listed;
    for (const std::string& name : names)
      listed.push_back(formats::parse_weight_format(name).value());
    return listed;
  }();
  return kFormats;
}

}  // namespace dovetail::recipe
