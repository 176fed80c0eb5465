#include "study/products.h"

#include <algorithm>
#include <filesystem>
#include <iterator>

#include <fmt/format.h>

#include "base/paths.h"
#include "chip/chip.h"
#include "model/zoo.h"
#include "recipe/lower.h"

namespace dovetail::study {
namespace {

Result<LossLab*> lab_of(StudyState& state, const std::string& model, const ProgressSink& progress) {
  if (const auto it = state.labs.find(model); it != state.labs.end()) return it->second.get();
  DOVETAIL_TRY(LossLab opened, LossLab::open(model, state.config, *state.memory, progress));
  auto lab = std::make_unique<LossLab>(std::move(opened));
  LossLab* raw = lab.get();
  state.labs.emplace(model, std::move(lab));
  return raw;
}

// Adds a treatment of a frozen recipe to the menu if it is not there; its index.
template <typename T>
int32_t index_in(std::vector<T>& list, const T& wanted) {
  const auto it = std::find(list.begin(), list.end(), wanted);
  const auto index = static_cast<int32_t>(it - list.begin());
  if (it == list.end()) list.push_back(wanted);
  return index;
}

// The choice that a recipe file makes, in terms of the (extended) menu.
std::vector<int32_t> choice_of(const recipe::Recipe& recipe, recipe::Menu& menu) {
  std::vector<int32_t> choice;
  for (const recipe::LayerRecipe& layer : recipe.layers) {
    for (const recipe::LinearTreatment& treatment : layer.linear) {
      choice.push_back(index_in(menu.linear, treatment));
    }
    choice.push_back(index_in(menu.kv, layer.kv));
  }
  choice.push_back(index_in(menu.linear, recipe.head));
  return choice;
}

// Everything that fails on wrong input, before minutes of profiling.
Result<ProductState> open_product(StudyState& state, const ProductConfig& config,
                                  const ProgressSink& progress) {
  ProductState product;
  product.config = config;
  DOVETAIL_TRY(const std::string workload_file, data_file("workloads", config.workload));
  DOVETAIL_TRY(product.workload, read_config<recipe::Workload>(workload_file));
  product.measurable = config.loss_profile.empty();
  const std::string profiled = product.measurable ? config.model : config.loss_profile;
  DOVETAIL_TRY(product.lab, lab_of(state, profiled, progress));
  product.shape = product.lab->shape();
  if (!product.measurable) {
    DOVETAIL_TRY(product.shape, model::resolve_shape(config.model));
  }
  DOVETAIL_TRY_STATUS(recipe::check_workload(product.shape, product.workload));
  if (!state.config.recipe.empty()) {
    DOVETAIL_TRY(const recipe::Recipe recipe,
                 recipe::load_recipe(product.shape, state.config.recipe));
    product.rotation = recipe.rotation;
    const Status priced =
        chip::check_priced(recipe::rotated_shape(product.shape, recipe.rotation), recipe);
    if (!priced.has_value()) return with_context(priced.error(), state.config.recipe);
    product.frozen_choice = choice_of(recipe, state.menu);
    state.recipe_frozen = true;
  }
  return product;
}

// What all workers of the study can share of the profiles and the test of the prediction; the code
// that needs the results finds them stored. A rotation after the other: turning takes time.
Status measure_ahead(const StudyStates& states) {
  const StudyState& state = states.front();
  std::vector<Piece> texts;
  for (const auto& [name, lab] : state.labs) {
    texts.push_back(lab->text_piece(eval::TextPart::kProfile));
    texts.push_back(lab->text_piece(eval::TextPart::kSelect));
    if (lab->has_algorithms()) texts.push_back(lab->text_piece(eval::TextPart::kCalibrate));
  }
  DOVETAIL_TRY_STATUS(state.memory->work_through(texts));
  std::vector<Piece> pieces;
  const auto add = [&](std::vector<Piece> more) {
    std::ranges::move(more, std::back_inserter(pieces));
  };
  for (const auto& [name, lab] : state.labs) {
    for (const recipe::Rotation rotation : rotations_of(states, 0)) {
      DOVETAIL_TRY(std::vector<Piece> profile, lab->profile_pieces(rotation));
      add(std::move(profile));
      DOVETAIL_TRY(std::vector<Piece> versions, lab->versions_pieces(rotation));
      add(std::move(versions));
    }
    pieces.push_back(lab->text_piece(eval::TextPart::kCertify));
  }
  DOVETAIL_TRY(std::vector<Piece> validation,
               state.products.at(0).lab->additivity_pieces(state.menu, rotations_of(states, 0)));
  add(std::move(validation));
  return state.memory->work_through(pieces);
}

// Losses and costs of every treatment.
Status price_product(const StudyState& state, ProductState& product) {
  DOVETAIL_TRY(product.profile, product.lab->profile(product.rotation));
  if (!product.measurable) {
    product.profile = compress::borrow_profile(product.profile, product.shape);
  }
  product.losses.num_layers = product.shape.num_layers;
  product.losses.menu = state.menu;
  DOVETAIL_TRY(product.losses.loss, compress::price(product.profile, state.menu));
  if (!product.frozen_choice.empty()) {
    product.losses = search::frozen(product.losses, product.frozen_choice);
  }
  DOVETAIL_TRY(silicon::CostModel costs, silicon::CostModel::create(product.shape, product.workload,
                                                                    state.menu, state.technology));
  product.costs = std::make_shared<const silicon::CostModel>(std::move(costs));
  return {};
}

// Every product under every rotation of the menu; a frozen recipe has its own.
Result<StudyStates> under_global_choices(const StudyState& opened) {
  std::vector<recipe::Rotation> rotations;
  for (const std::string& name : opened.config.menu.rotations) {
    DOVETAIL_TRY(const recipe::Rotation rotation, recipe::parse_rotation(name));
    rotations.push_back(rotation);
  }
  StudyStates states = {opened};
  for (size_t i = 0; i < opened.products.size(); ++i) {
    StudyStates more;
    for (const StudyState& state : states) {
      for (const recipe::Rotation rotation : rotations) {
        StudyState& turned = more.emplace_back(state);
        ProductState& product = turned.products[i];
        if (!state.recipe_frozen) product.rotation = rotation;
        product.shape = recipe::rotated_shape(product.shape, product.rotation);
        if (state.recipe_frozen) break;
      }
    }
    states = std::move(more);
  }
  return states;
}

}  // namespace

Result<StudyStates> prepare(const StudyConfig& config, const std::string& out_folder,
                            const ProgressSink& progress) {
  StudyState state;
  state.config = config;
  std::error_code code;
  std::filesystem::create_directories(out_folder, code);
  if (code) {
    return io_error(fmt::format("{}: cannot be created for the results of study \"{}\": {}",
                                out_folder, config.name, code.message()));
  }
  DOVETAIL_TRY(Memory memory,
               Memory::open(out_folder + "/study.db", cache_folder() + "/results.db"));
  state.memory = std::make_shared<Memory>(std::move(memory));
  DOVETAIL_TRY(state.technology, silicon::Technology::load(data_folder() + "/technology"));
  DOVETAIL_TRY(state.menu, make_menu(config.menu));
  for (const ProductConfig& product_config : config.products) {
    auto product = open_product(state, product_config, progress);
    if (!product.has_value()) return with_context(product.error(), product_config.name);
    state.products.push_back(std::move(product).value());
  }
  DOVETAIL_TRY(StudyStates states, under_global_choices(state));
  DOVETAIL_TRY_STATUS(measure_ahead(states));
  for (StudyState& one : states) {
    for (ProductState& product : one.products) {
      const Status priced = price_product(one, product);
      if (!priced.has_value()) return with_context(priced.error(), product.config.name);
    }
  }
  return states;
}

std::string global_choice_name(const StudyState& state) {
  std::vector<std::string_view> names;
  for (const ProductState& product : state.products)
    names.push_back(recipe::rotation_name(product.rotation));
  return fmt::format("{}", fmt::join(names, ","));
}

std::vector<recipe::Rotation> rotations_of(const StudyStates& states, size_t product) {
  std::vector<recipe::Rotation> rotations;
  for (const StudyState& state : states) {
    const recipe::Rotation rotation = state.products.at(product).rotation;
    if (std::ranges::find(rotations, rotation) == rotations.end()) rotations.push_back(rotation);
  }
  return rotations;
}

recipe::Recipe recipe_of(const ProductState& product, const std::vector<int32_t>& treatments) {
  recipe::Recipe recipe = recipe::make_recipe(product.shape, product.losses.menu, treatments);
  recipe.rotation = product.rotation;
  return recipe;
}

std::vector<search::Product> search_products(const StudyState& state) {
  std::vector<search::Product> products;
  for (const ProductState& product : state.products) {
    products.push_back({.name = product.config.name,
                        .costs = product.costs.get(),
                        .losses = product.losses,
                        .weight = product.config.weight});
  }
  return products;
}

}  // namespace dovetail::study
