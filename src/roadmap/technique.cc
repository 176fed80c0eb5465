#include "roadmap/technique.h"

#include <algorithm>
#include <array>
#include <functional>
#include <set>
#include <utility>

#include <fmt/format.h>

namespace dovetail::roadmap {
namespace {

using recipe::KvTreatment;
using recipe::LinearTreatment;

bool is_plain(const LinearTreatment& treatment) {
  return treatment.weight.element == formats::Element::kBf16;
}

// "gptq", "awq_gptq"; empty: round to nearest.
std::string algorithm_of(const LinearTreatment& treatment) {
  const std::string_view fold = recipe::fold_name(treatment.fold);
  const std::string_view algorithm = recipe::algorithm_name(treatment.algorithm);
  return fmt::format("{}{}{}", fold, fold.empty() || algorithm.empty() ? "" : "_", algorithm);
}

std::string bits_of(const LinearTreatment& treatment) {
  return treatment.weight.element == formats::Element::kInt
             ? fmt::format("int{}*", treatment.weight.bits)
             : "";
}

std::string bits_of(const KvTreatment& treatment) {
  if (treatment.keys == formats::KvFormat::kBf16) return "";
  KvTreatment cache;
  cache.keys = treatment.keys;
  cache.values = treatment.values;
  return fmt::format("kv:{}*", recipe::treatment_name(cache));
}

class Lister {
 public:
  explicit Lister(const recipe::Menu& menu) : menu_(menu) {}

  // One technique for each name that `name_of` gives to weights or activations; "" gives none.
  void add_linear(TechniqueKind kind,
                  const std::function<std::string(const LinearTreatment&)>& name_of) {
    for (const LinearTreatment& first : menu_.linear) {
      const std::string name = name_of(first);
      if (name.empty()) continue;
      Technique technique = empty(kind, name);
      for (size_t t = 0; t < menu_.linear.size(); ++t)
        technique.linear[t] = name_of(menu_.linear[t]) == name ? 1 : 0;
      add(std::move(technique));
    }
  }
  void add_kv(TechniqueKind kind, const std::function<std::string(const KvTreatment&)>& name_of) {
    for (const KvTreatment& first : menu_.kv) {
      const std::string name = name_of(first);
      if (name.empty()) continue;
      Technique technique = empty(kind, name);
      for (size_t t = 0; t < menu_.kv.size(); ++t)
        technique.kv[t] = name_of(menu_.kv[t]) == name ? 1 : 0;
      add(std::move(technique));
    }
  }
  void add_rotation(recipe::Rotation rotation) {
    Technique technique =
        empty(TechniqueKind::kRotation, fmt::format("r:{}", recipe::rotation_name(rotation)));
    technique.rotation = rotation;
    techniques_.push_back(std::move(technique));
  }
  std::vector<Technique> take() { return std::move(techniques_); }

 private:
  Technique empty(TechniqueKind kind, std::string name) const {
    return {.kind = kind,
            .name = std::move(name),
            .linear = std::vector<uint8_t>(menu_.linear.size()),
            .kv = std::vector<uint8_t>(menu_.kv.size())};
  }
  void add(Technique technique) {
    if (covered_.insert({technique.linear, technique.kv}).second)
      techniques_.push_back(std::move(technique));
  }

  const recipe::Menu& menu_;
  std::vector<Technique> techniques_;
  std::set<std::pair<std::vector<uint8_t>, std::vector<uint8_t>>> covered_;
};

template <typename T>
int32_t index_or_reference(const std::vector<T>& list, const T& wanted) {
  const auto it = std::find(list.begin(), list.end(), wanted);
  return it == list.end() ? 0 : static_cast<int32_t>(it - list.begin());
}

}  // namespace

std::string_view kind_words(TechniqueKind kind) {
  static constexpr std::array<std::string_view, 8> kWords = {
      "weight bits",  "weight format",     "weight format with algorithm",
      "algorithm",    "activation format", "kv bits",
      "kv treatment", "rotation"};
  return kWords.at(static_cast<size_t>(kind));
}

std::vector<Technique> techniques_of(const recipe::Menu& menu,
                                     const std::vector<recipe::Rotation>& rotations) {
  Lister lister(menu);
  // Narrow before wide: what covers the same treatments keeps the narrower name.
  lister.add_linear(TechniqueKind::kWeightFormat, [&](const LinearTreatment& t) -> std::string {
    if (is_plain(t)) return "";
    const bool one_way = std::ranges::all_of(menu.linear, [&](const LinearTreatment& other) {
      return other.weight != t.weight || algorithm_of(other) == algorithm_of(t);
    });
    return one_way ? recipe::weight_treatment_name(t) : formats::format_name(t.weight);
  });
  lister.add_linear(TechniqueKind::kFormatWithAlgorithm, [](const LinearTreatment& t) {
    return algorithm_of(t).empty() ? "" : recipe::weight_treatment_name(t);
  });
  lister.add_linear(TechniqueKind::kAlgorithm, algorithm_of);
  lister.add_linear(TechniqueKind::kWeightBits,
                    [](const LinearTreatment& t) { return bits_of(t); });
  lister.add_linear(TechniqueKind::kActivation, [](const LinearTreatment& t) {
    return t.activation == formats::ActivationFormat::kBf16
               ? ""
               : "a:" + formats::format_name(t.activation);
  });
  lister.add_kv(TechniqueKind::kKv, [](const KvTreatment& t) {
    return t == KvTreatment{} ? "" : "kv:" + recipe::treatment_name(t);
  });
  lister.add_kv(TechniqueKind::kKvBits, [](const KvTreatment& t) { return bits_of(t); });
  for (const recipe::Rotation rotation : rotations)
    if (rotation != recipe::Rotation::kNone) lister.add_rotation(rotation);
  return lister.take();
}

int32_t treatment_without(const Technique& technique, const recipe::Menu& menu,
                          recipe::SiteKind site, int32_t treatment) {
  if (site == recipe::SiteKind::kKv) return 0;
  LinearTreatment left = menu.linear.at(static_cast<size_t>(treatment));
  if (technique.kind == TechniqueKind::kActivation) {
    left.activation = formats::ActivationFormat::kBf16;
  } else {
    const auto activation = left.activation;
    left = LinearTreatment{};
    left.activation = activation;
  }
  return index_or_reference(menu.linear, left);
}

}  // namespace dovetail::roadmap
