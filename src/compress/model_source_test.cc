#include "compress/model_source.h"

#include <gtest/gtest.h>

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

}  // namespace
}  // namespace dovetail::compress
