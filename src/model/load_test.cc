#include <gtest/gtest.h>

#include <filesystem>

#include "base/paths.h"
#include "model/model.h"

namespace dovetail::model {
namespace {

TEST(LoadRealModel, SmolLm2HasItsPublishedShape) {
  const std::string path = cache_folder() + "/models/smollm2-135m/model.gguf";
  if (!std::filesystem::exists(path))
    GTEST_SKIP() << path << " is absent: dovetail pull smollm2-135m";
  const auto weights = load_weights(path);
  ASSERT_TRUE(weights.has_value()) << weights.error().message;
  const ModelShape& shape = weights->shape;
  EXPECT_EQ(shape.name, "smollm2-135m");
  EXPECT_EQ(shape.num_layers, 30);
  EXPECT_EQ(shape.head_dim, 64);
  EXPECT_EQ(shape.num_kv_heads, 3);
  EXPECT_TRUE(shape.tied_embedding);
  EXPECT_EQ(shape.num_parameters(), 134515008);  // the model card's count
}

}  // namespace
}  // namespace dovetail::model
