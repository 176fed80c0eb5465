#include "compress/model_source.h"

#include <gtest/gtest.h>

#include "compress/rotate.h"
#include "compress/tiny_model.h"
#include "model/off_grid.h"

namespace dovetail::compress {
namespace {

TEST(ModelSource, MemoryAndItsPermutationAreThoseOfTheWholeModel) {
  for (const bool tied : {true, false}) {
    const auto weights = tiny_weights(3, tied);
    const ModelSource plain = source_of(weights);
    EXPECT_EQ(model::weights_digest(collect(plain).value()), model::weights_digest(*weights));
    model::Weights permuted = *weights;
    model::permute_off_grid(permuted, 5);
    const ModelSource moved = off_grid(plain, 5);
    EXPECT_EQ(model::weights_digest(collect(moved).value()), model::weights_digest(permuted));
    const std::vector<int32_t> ids = {5, 5, 100, 0};
    const auto rows = moved.embedding_of(ids).value();
    const int64_t h = weights->shape.hidden_size;
    for (size_t i = 0; i < ids.size(); ++i)
      for (int64_t j = 0; j < h; ++j)
        EXPECT_EQ(rows.values[i * static_cast<size_t>(h) + static_cast<size_t>(j)],
                  permuted.embedding.values[static_cast<size_t>(ids[i] * h + j)]);
    EXPECT_EQ(model::weights_digest(collect(off_grid(plain, 0)).value()),
              model::weights_digest(*weights));
  }
}

TEST(ModelSource, RotatedIsRotateForOfTheWholeModel) {
  for (const bool tied : {true, false}) {
    const auto weights = tiny_weights(4, tied);
    for (const std::string name : {"int4_g32+r:r1r2+h_down:32", "int4_g32+h:16", "int4_g32+r:r1"}) {
      const auto recipe = recipe::parse_uniform_recipe(weights->shape, name);
      ASSERT_TRUE(recipe.has_value()) << recipe.error().message;
      const auto source = rotated(source_of(weights), *recipe);
      ASSERT_TRUE(source.has_value()) << source.error().message;
      EXPECT_EQ(model::weights_digest(collect(*source).value()),
                model::weights_digest(rotate_for(*weights, *recipe).value()))
          << name;
      const std::vector<int32_t> ids = {5, 100};
      const auto rows = source->embedding_of(ids).value();
      const auto whole = source->embedding().value();
      // A product of fewer rows may sum in another order.
      for (size_t j = 0; j < 64; ++j)
        EXPECT_NEAR(rows.values[64 + j], whole.values[100 * 64 + j], 1e-5) << name;
    }
  }
}

}  // namespace
}  // namespace dovetail::compress
