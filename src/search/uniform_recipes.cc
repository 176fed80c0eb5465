#include "search/uniform_recipes.h"

#include <algorithm>

#include <fmt/format.h>

#include "recipe/lower.h"

namespace dovetail::search {
namespace {

// Position of the treatment in each product's menu; -1 where a menu lacks it.
template <typename Treatment>
std::vector<int32_t> positions(const std::vector<Product>& products, const Treatment& treatment,
                               std::vector<Treatment> recipe::Menu::* list) {
  std::vector<int32_t> result;
  for (const Product& product : products) {
    const std::vector<Treatment>& menu = product.losses.menu.*list;
    const auto found = std::ranges::find(menu, treatment);
    result.push_back(found == menu.end() ? -1 : static_cast<int32_t>(found - menu.begin()));
  }
  return result;
}

bool is_head_choice(const recipe::LinearTreatment& head, const recipe::LinearTreatment& linear) {
  const bool plain = head.weight.element == formats::Element::kBf16 &&
                     head.activation == formats::ActivationFormat::kBf16;
  return head == linear || plain || head.weight.bits == 8;
}

FrozenRecipe make_uniform(const std::vector<Product>& products, const std::vector<int32_t>& linear,
                          const std::vector<int32_t>& kv, const std::vector<int32_t>& head) {
  FrozenRecipe result;
  for (size_t p = 0; p < products.size(); ++p) {
    std::vector<int32_t> choice;
    const bool known = linear[p] >= 0 && kv[p] >= 0 && head[p] >= 0;
    for (int64_t s = 0; known && s < products[p].losses.num_sites(); ++s) {
      const recipe::SiteKind kind = site_kind(products[p].losses, s);
      choice.push_back(kind == recipe::SiteKind::kKv     ? kv[p]
                       : kind == recipe::SiteKind::kHead ? head[p]
                                                         : linear[p]);
    }
    result.push_back(std::move(choice));
  }
  return result;
}

double stored_bytes(const Product& product, int64_t site, int64_t treatment) {
  const model::ModelShape& shape = product.costs->shape();
  const recipe::Workload& workload = product.costs->workload();
  const recipe::SiteKind kind = site_kind(product.losses, site);
  const auto t = static_cast<size_t>(treatment);
  if (kind == recipe::SiteKind::kKv) {
    const int64_t bits =
        recipe::stored_bits_per_cached_token(product.losses.menu.kv[t], shape.head_dim);
    int64_t tokens = 0;  // of the longest class
    for (const recipe::WorkloadClass& one : recipe::workload_classes(workload)) {
      tokens = std::max(tokens,
                        workload.batch * (one.workload.prompt_tokens + one.workload.output_tokens));
    }
    return static_cast<double>(bits) / 8 * static_cast<double>(shape.num_kv_heads * tokens);
  }
  const recipe::LinearShape linear = recipe::linear_shape(shape, kind);
  const int64_t bits = formats::stored_bits_per_row(product.losses.menu.linear[t].weight, linear.k);
  return static_cast<double>(bits) / 8 * static_cast<double>(linear.n);
}

}  // namespace

std::vector<NamedRecipe> uniform_recipes(const std::vector<Product>& products,
                                         std::string_view linear, double max_loss) {
  std::vector<NamedRecipe> result;
  const recipe::Menu& menu = products.front().losses.menu;
  for (const recipe::LinearTreatment& body : menu.linear) {
    const std::string name = recipe::treatment_name(body);
    const auto body_at = positions(products, body, &recipe::Menu::linear);
    if (!linear.empty() && name != linear) continue;
    for (const recipe::KvTreatment& kv : menu.kv) {
      const auto kv_at = positions(products, kv, &recipe::Menu::kv);
      for (const recipe::LinearTreatment& head : menu.linear) {
        if (!is_head_choice(head, body)) continue;
        const auto head_at = positions(products, head, &recipe::Menu::linear);
        FrozenRecipe recipe = make_uniform(products, body_at, kv_at, head_at);
        bool any = false;
        for (size_t p = 0; p < products.size(); ++p) {
          const bool kept =
              !recipe[p].empty() && total_loss(products[p].losses, recipe[p]) <= max_loss;
          if (!kept) recipe[p].clear();
          any = any || kept;
        }
        if (!any) continue;
        result.push_back({fmt::format("{}+kv:{}+head:{}", name, recipe::treatment_name(kv),
                                      recipe::treatment_name(head)),
                          std::move(recipe)});
      }
    }
  }
  return result;
}

Result<FrozenRecipe> smallest_recipe(const std::vector<Product>& products, double max_loss,
                                     double max_gap_frac) {
  FrozenRecipe result;
  for (const Product& product : products) {
    AllocationProblem problem;
    std::vector<int32_t> treatment_of;
    problem.option_begin.push_back(0);
    for (int64_t s = 0; s < product.losses.num_sites(); ++s) {
      const std::vector<double>& row = product.losses.loss[static_cast<size_t>(s)];
      for (size_t t = 0; t < row.size(); ++t) {
        if (row[t] == kForbidden) continue;
        problem.cost.push_back(stored_bytes(product, s, static_cast<int64_t>(t)));
        problem.loss.push_back(row[t]);
        treatment_of.push_back(static_cast<int32_t>(t));
      }
      problem.option_begin.push_back(static_cast<int32_t>(problem.cost.size()));
    }
    problem.sram_bytes.assign(problem.cost.size(), 0.0);
    problem.dram_bytes.assign(problem.cost.size(), 0.0);
    problem.max_loss = max_loss;
    AllocationParams params;
    params.max_gap_frac = max_gap_frac;
    DOVETAIL_TRY(const Allocation allocation, solve_allocation(problem, params));
    if (allocation.status != AllocationStatus::kSolved) return FrozenRecipe{};
    std::vector<int32_t> choice;
    for (size_t s = 0; s < allocation.choice.size(); ++s) {
      const auto option = static_cast<size_t>(problem.option_begin[s] + allocation.choice[s]);
      choice.push_back(treatment_of[option]);
    }
    result.push_back(std::move(choice));
  }
  return result;
}

}  // namespace dovetail::search
