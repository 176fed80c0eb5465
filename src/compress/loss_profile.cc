#include "compress/loss_profile.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include <fmt/format.h>

namespace dovetail::compress {
namespace {

constexpr int64_t kMaxLayers = 1 << 16;
constexpr auto kKvKind = static_cast<int64_t>(recipe::SiteKind::kKv);

bool is_kv(int64_t site, int64_t num_layers) {
  return site < num_layers * recipe::kSitesPerLayer && site % recipe::kSitesPerLayer == kKvKind;
}

std::string name_of(int64_t site, int64_t num_layers) {
  if (site == num_layers * recipe::kSitesPerLayer) return "head";
  return recipe::site_name({static_cast<recipe::SiteKind>(site % recipe::kSitesPerLayer),
                            site / recipe::kSitesPerLayer});
}

bool same_names(const LossByName& a, const LossByName& b) {
  return a.size() == b.size() &&
         std::equal(a.begin(), a.end(), b.begin(),
                    [](const auto& x, const auto& y) { return x.first == y.first; });
}

// Of all sites alike; of the head that it has nothing that others lack.
Status check_losses(const LossByName& losses, const LossByName& names, const std::string& where,
                    bool may_lack = false) {
  const auto known = [&](const auto& entry) { return names.contains(entry.first); };
  const bool right = may_lack ? std::ranges::all_of(losses, known) : same_names(losses, names);
  if (!right) {
    return invalid_argument(where + ": other formats than at the first site, want the same");
  }
  for (const auto& [name, loss] : losses) {
    if (!(std::isfinite(loss) && loss >= 0)) {
      return invalid_argument(
          fmt::format("{}.{} = {}, want a finite loss >= 0", where, name, loss));
    }
  }
  return {};
}

Result<double> find_loss(const LossByName& losses, const std::string& format,
                         const std::string& site) {
  if (format == "bf16") return 0.0;
  const auto found = losses.find(format);
  if (found == losses.end()) {
    return invalid_argument(fmt::format("{}: format {} was not profiled", site, format));
  }
  return found->second;
}

Result<double> linear_loss(const LossProfile& profile, int64_t site,
                           const recipe::LinearTreatment& treatment) {
  const std::string where = name_of(site, profile.num_layers);
  const auto index = static_cast<size_t>(site);
  DOVETAIL_TRY(const double weight, find_loss(profile.weight_loss[index],
                                              recipe::weight_treatment_name(treatment), where));
  if (treatment.activation == formats::ActivationFormat::kBf16) return weight;
  std::string name = formats::format_name(treatment.activation);
  if (treatment.fold != recipe::Fold::kNone)
    name = folded_activation_name(recipe::weight_treatment_name(treatment), name);
  DOVETAIL_TRY(const double activation, find_loss(profile.activation_loss[index], name, where));
  return weight + activation;
}

Result<double> kv_loss(const LossProfile& profile, int64_t layer,
                       const recipe::KvTreatment& treatment) {
  return find_loss(profile.kv_loss[static_cast<size_t>(layer)], recipe::treatment_name(treatment),
                   recipe::site_name({recipe::SiteKind::kKv, layer}));
}

Json losses_to_json(const std::vector<LossByName>& losses) {
  Json list = Json::array();
  for (const LossByName& site : losses) {
    Json entry = Json::object();
    for (const auto& [name, loss] : site) entry[name] = loss;
    list.push_back(entry);
  }
  return list;
}

// Reads one key after the other and keeps the first error.
class ProfileReader {
 public:
  ProfileReader(const Json& json, std::string name) : json_(json), name_(std::move(name)) {}

  void text(const char* key, std::string& value) {
    if (const Json* entry = find(key, &Json::is_string, "a text"))
      value = entry->get<std::string>();
  }
  void count(const char* key, int64_t max, int64_t& value) {
    const Json* entry = find(key, &Json::is_number_integer, "a whole number");
    if (entry == nullptr) return;
    value = entry->get<int64_t>();
    if (value < 0 || value > max) fail(key, fmt::format("= {}, want 0..{}", value, max));
  }
  void seed(const char* key, uint64_t& value) {
    if (const Json* entry = find(key, &Json::is_number_unsigned, "a whole number >= 0")) {
      value = entry->get<uint64_t>();
    }
  }
  void number(const char* key, double& value) {
    if (const Json* entry = find(key, &Json::is_number, "a number")) value = entry->get<double>();
  }
  void losses(const char* key, std::vector<LossByName>& value) {
    const Json* entry = find(key, &Json::is_array, "a list");
    if (entry == nullptr) return;
    for (const Json& site : *entry) {
      LossByName& out = value.emplace_back();
      if (!site.is_object()) return fail(key, "holds something that is no table of losses");
      for (const auto& [format, loss] : site.items()) {
        if (!loss.is_number()) return fail(key, format + " is no number");
        out[format] = loss.get<double>();
      }
    }
  }
  [[nodiscard]] Status finish() const {
    if (error_.empty()) return {};
    return invalid_argument(error_);
  }

 private:
  const Json* find(const char* key, bool (Json::*is)() const noexcept, const char* wanted) {
    if (!error_.empty()) return nullptr;
    const auto found = json_.find(key);
    if (found == json_.end() || !((*found).*is)()) {
      fail(key, std::string("want ") + wanted);
      return nullptr;
    }
    return &*found;
  }
  void fail(const std::string& key, const std::string& problem) {
    if (error_.empty()) error_ = fmt::format("{}: {}: {}", name_, key, problem);
  }

  const Json& json_;
  std::string name_;
  std::string error_;
};

// losses[l] of the source at relative depth (l + 0.5) / num_layers, before scaling.
double at_depth(const std::function<double(int64_t)>& loss_of_layer, int64_t source_layers,
                int64_t layer, int64_t num_layers) {
  const double depth = (static_cast<double>(layer) + 0.5) / static_cast<double>(num_layers);
  const double position = std::clamp(depth * static_cast<double>(source_layers) - 0.5, 0.0,
                                     static_cast<double>(source_layers - 1));
  const auto below = static_cast<int64_t>(position);
  const int64_t above = std::min(below + 1, source_layers - 1);
  const double above_frac = position - static_cast<double>(below);
  return (1 - above_frac) * loss_of_layer(below) + above_frac * loss_of_layer(above);
}

// Resamples the layers of one kind: source index of layer l is l * stride + offset. Interpolation
// moves the sum a little, so each format is scaled back to the source's sum.
void resample(const std::vector<LossByName>& source, int64_t source_layers,
              std::vector<LossByName>& target, int64_t num_layers, int64_t stride, int64_t offset) {
  for (const auto& [name, unused] : source[static_cast<size_t>(offset)]) {
    const auto of_layer = [&, key = name](int64_t layer) {
      return source[static_cast<size_t>(layer * stride + offset)].at(key);
    };
    double source_sum = 0;
    for (int64_t l = 0; l < source_layers; ++l) source_sum += of_layer(l);
    std::vector<double> values(static_cast<size_t>(num_layers));
    double sum = 0;
    for (int64_t l = 0; l < num_layers; ++l) {
      values[static_cast<size_t>(l)] = at_depth(of_layer, source_layers, l, num_layers);
      sum += values[static_cast<size_t>(l)];
    }
    const double mean = source_sum / static_cast<double>(num_layers);
    for (int64_t l = 0; l < num_layers; ++l) {
      const double value = values[static_cast<size_t>(l)];
      // Fewer layers than the source's can miss all of the loss; then it is spread evenly.
      target[static_cast<size_t>(l * stride + offset)][name] =
          sum > 0 ? value * source_sum / sum : mean;
    }
  }
}

}  // namespace

std::string folded_activation_name(const std::string& weight_treatment,
                                   const std::string& activation) {
  return fmt::format("{}+a:{}", weight_treatment, activation);
}

Status check_loss_profile(const LossProfile& profile) {
  if (profile.num_layers < 1 || profile.num_layers > kMaxLayers) {
    return invalid_argument(
        fmt::format("num_layers = {}, want 1..{}", profile.num_layers, kMaxLayers));
  }
  const int64_t sites = profile.num_layers * recipe::kSitesPerLayer + 1;
  const auto size_of = [](const auto& list) { return static_cast<int64_t>(list.size()); };
  if (size_of(profile.weight_loss) != sites || size_of(profile.activation_loss) != sites ||
      size_of(profile.kv_loss) != profile.num_layers) {
    return invalid_argument(
        fmt::format("{} weight sites, {} activation sites, {} kv layers, want {}, {} and {}",
                    profile.weight_loss.size(), profile.activation_loss.size(),
                    profile.kv_loss.size(), sites, sites, profile.num_layers));
  }
  const LossByName none;
  for (int64_t site = 0; site < sites; ++site) {
    const bool kv = is_kv(site, profile.num_layers);
    const auto index = static_cast<size_t>(site);
    const std::string where = name_of(site, profile.num_layers);
    const bool head = site + 1 == sites;
    DOVETAIL_TRY_STATUS(check_losses(profile.weight_loss[index], kv ? none : profile.weight_loss[0],
                                     where + ".weight_loss", head));
    DOVETAIL_TRY_STATUS(check_losses(profile.activation_loss[index],
                                     kv ? none : profile.activation_loss[0],
                                     where + ".activation_loss", head));
  }
  for (int64_t layer = 0; layer < profile.num_layers; ++layer) {
    DOVETAIL_TRY_STATUS(check_losses(profile.kv_loss[static_cast<size_t>(layer)],
                                     profile.kv_loss[0], fmt::format("layers.{}.kv_loss", layer)));
  }
  return {};
}

Json loss_profile_to_json(const LossProfile& profile) {
  Json json = Json::object();
  json["schema_version"] = 1;
  json["model_name"] = profile.model_name;
  json["model_digest"] = profile.model_digest;
  json["text_name"] = profile.text_name;
  json["text_digest"] = profile.text_digest;
  json["off_grid_seed"] = profile.off_grid_seed;
  json["borrowed_from"] = profile.borrowed_from;
  json["num_layers"] = profile.num_layers;
  json["num_positions"] = profile.num_positions;
  json["num_kv_positions"] = profile.num_kv_positions;
  json["gradient_s"] = profile.gradient_s;
  json["menu_s"] = profile.menu_s;
  json["kv_s"] = profile.kv_s;
  json["weight_loss_nats_per_token"] = losses_to_json(profile.weight_loss);
  json["activation_loss_nats_per_token"] = losses_to_json(profile.activation_loss);
  json["kv_loss_nats_per_token"] = losses_to_json(profile.kv_loss);
  return json;
}

Result<LossProfile> loss_profile_from_json(const Json& json, const std::string& name) {
  if (!json.is_object()) return invalid_argument(name + ": want a JSON object");
  constexpr int64_t kMaxPositions = int64_t{1} << 40;
  LossProfile profile;
  ProfileReader reader(json, name);
  int64_t schema_version = 0;
  reader.count("schema_version", 1, schema_version);
  reader.text("model_name", profile.model_name);
  reader.text("model_digest", profile.model_digest);
  reader.text("text_name", profile.text_name);
  reader.text("text_digest", profile.text_digest);
  reader.seed("off_grid_seed", profile.off_grid_seed);
  reader.text("borrowed_from", profile.borrowed_from);
  reader.count("num_layers", kMaxLayers, profile.num_layers);
  reader.count("num_positions", kMaxPositions, profile.num_positions);
  reader.count("num_kv_positions", kMaxPositions, profile.num_kv_positions);
  reader.number("gradient_s", profile.gradient_s);
  reader.number("menu_s", profile.menu_s);
  reader.number("kv_s", profile.kv_s);
  reader.losses("weight_loss_nats_per_token", profile.weight_loss);
  reader.losses("activation_loss_nats_per_token", profile.activation_loss);
  reader.losses("kv_loss_nats_per_token", profile.kv_loss);
  DOVETAIL_TRY_STATUS(reader.finish());
  if (const Status checked = check_loss_profile(profile); !checked.has_value()) {
    return with_context(checked.error(), name);
  }
  return profile;
}

Result<std::vector<std::vector<double>>> price(const LossProfile& profile,
                                               const recipe::Menu& menu) {
  DOVETAIL_TRY_STATUS(check_loss_profile(profile));
  const int64_t sites = profile.num_layers * recipe::kSitesPerLayer + 1;
  std::vector<std::vector<double>> table(static_cast<size_t>(sites));
  for (int64_t site = 0; site < sites; ++site) {
    auto& row = table[static_cast<size_t>(site)];
    if (is_kv(site, profile.num_layers)) {
      for (const recipe::KvTreatment& treatment : menu.kv) {
        DOVETAIL_TRY(const double loss, kv_loss(profile, site / recipe::kSitesPerLayer, treatment));
        row.push_back(loss);
      }
      continue;
    }
    for (const recipe::LinearTreatment& treatment : menu.linear) {
      if (site + 1 == sites && treatment.fold != recipe::Fold::kNone) {
        row.push_back(std::numeric_limits<double>::infinity());
        continue;
      }
      DOVETAIL_TRY(const double loss, linear_loss(profile, site, treatment));
      row.push_back(loss);
    }
  }
  return table;
}

Result<double> predict_loss(const LossProfile& profile, const recipe::Recipe& recipe) {
  DOVETAIL_TRY_STATUS(check_loss_profile(profile));
  if (static_cast<int64_t>(recipe.layers.size()) != profile.num_layers) {
    return invalid_argument(fmt::format("recipe has {} layers, the loss profile {}",
                                        recipe.layers.size(), profile.num_layers));
  }
  if (recipe.pruning != recipe::Pruning{})
    return invalid_argument("recipe: a loss profile knows nothing of pruning");
  double sum = 0;
  for (int64_t layer = 0; layer < profile.num_layers; ++layer) {
    const recipe::LayerRecipe& choice = recipe.layers[static_cast<size_t>(layer)];
    for (int64_t kind = 0; kind < kKvKind; ++kind) {
      DOVETAIL_TRY(const double loss, linear_loss(profile, layer * recipe::kSitesPerLayer + kind,
                                                  choice.linear[static_cast<size_t>(kind)]));
      sum += loss;
    }
    DOVETAIL_TRY(const double kv, kv_loss(profile, layer, choice.kv));
    sum += kv;
  }
  DOVETAIL_TRY(const double head,
               linear_loss(profile, profile.num_layers * recipe::kSitesPerLayer, recipe.head));
  return sum + head;
}

LossProfile borrow_profile(const LossProfile& source, const model::ModelShape& other) {
  LossProfile borrowed = source;
  borrowed.borrowed_from = source.model_name;
  borrowed.model_name = other.name;
  borrowed.model_digest.clear();
  borrowed.num_layers = other.num_layers;
  const auto sites = static_cast<size_t>(other.num_layers * recipe::kSitesPerLayer + 1);
  borrowed.weight_loss.assign(sites, {});
  borrowed.activation_loss.assign(sites, {});
  borrowed.kv_loss.assign(static_cast<size_t>(other.num_layers), {});
  for (int64_t kind = 0; kind < kKvKind; ++kind) {
    resample(source.weight_loss, source.num_layers, borrowed.weight_loss, other.num_layers,
             recipe::kSitesPerLayer, kind);
    resample(source.activation_loss, source.num_layers, borrowed.activation_loss, other.num_layers,
             recipe::kSitesPerLayer, kind);
  }
  resample(source.kv_loss, source.num_layers, borrowed.kv_loss, other.num_layers, 1, 0);
  borrowed.weight_loss.back() = source.weight_loss.back();
  borrowed.activation_loss.back() = source.activation_loss.back();
  return borrowed;
}

}  // namespace dovetail::compress
