// Compression techniques: sets of the menu's treatments that stand or fall together.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "recipe/site.h"

namespace dovetail::roadmap {

enum class TechniqueKind : uint8_t {
  kWeightBits,           // "int4*": every integer weight format of so many bits
  kWeightFormat,         // "int4_g64", with whatever algorithm
  kFormatWithAlgorithm,  // "int4_g64_gptq", of a format that the menu has in other ways too
  kAlgorithm,            // "gptq", in every format
  kActivation,           // "a:int8_token"
  kKvBits,               // "kv:int8*": so many formats of queries over the same cache
  kKv,                   // "kv:int8+q:int8_token"
  kRotation,             // "r:r1r2"
};
[[nodiscard]] std::string_view kind_words(TechniqueKind kind);  // "weight format", ...

struct Technique {
  TechniqueKind kind = TechniqueKind::kWeightFormat;
  std::string name = {};
  std::vector<uint8_t> linear = {};  // per entry of menu.linear: 1 if it uses the technique
  std::vector<uint8_t> kv = {};      // the same of menu.kv
  recipe::Rotation rotation = recipe::Rotation::kNone;  // kRotation alone

  [[nodiscard]] bool uses(recipe::SiteKind kind_of_site, int32_t treatment) const {
    const auto& list = kind_of_site == recipe::SiteKind::kKv ? kv : linear;
    return list.at(static_cast<size_t>(treatment)) != 0;
  }
};

// All techniques of a menu, in its order. Groups of one member are left out, and so is what covers
// the same treatments as an earlier one.
[[nodiscard]] std::vector<Technique> techniques_of(const recipe::Menu& menu,
                                                   const std::vector<recipe::Rotation>& rotations);

// The menu's treatment that is left of a site's one when the technique is taken out of it: weights
// or activations or the cache as they are (bf16), the rest as it was. Its loss is what the site
// would lose anyway. Index 0 (bf16 alone) where the menu has no other.
[[nodiscard]] int32_t treatment_without(const Technique& technique, const recipe::Menu& menu,
                                        recipe::SiteKind site, int32_t treatment);

}  // namespace dovetail::roadmap
