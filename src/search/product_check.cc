#include "search/product_check.h"

#include <cmath>

#include <fmt/format.h>

namespace dovetail::search {

Status check_products(const std::vector<Product>& products) {
  if (products.empty()) return invalid_argument("products is empty, want at least one");
  for (const Product& product : products) {
    if (product.costs == nullptr) {
      return invalid_argument(fmt::format("product \"{}\" has no cost model", product.name));
    }
    if (!(product.weight > 0) || !std::isfinite(product.weight)) {
      return invalid_argument(fmt::format("product \"{}\": weight = {}, want a finite number > 0",
                                          product.name, product.weight));
    }
    const Status status = check_loss_table(product.losses);
    if (!status.has_value()) {
      return with_context(status.error(), fmt::format("product \"{}\"", product.name));
    }
    const int64_t layers = product.costs->shape().num_layers;
    if (product.losses.num_layers != layers) {
      return invalid_argument(fmt::format("product \"{}\": losses of {} layers, the model has {}",
                                          product.name, product.losses.num_layers, layers));
    }
  }
  return {};
}

}  // namespace dovetail::search
