#include "recipe/site.h"

#include <gtest/gtest.h>

namespace dovetail::recipe {
namespace {

model::ModelShape small_shape() {
  model::ModelShape shape;
  shape.name = "small";
  shape.num_layers = 2;
  shape.hidden_size = 576;
  shape.intermediate_size = 1536;
  shape.num_heads = 9;
  shape.num_kv_heads = 3;
  shape.head_dim = 64;
  shape.vocab_size = 49152;
  return shape;
}

TEST(Sites, IndexAndNameAgree) {
  const auto shape = small_shape();
  ASSERT_EQ(num_sites(shape), 11);
  EXPECT_EQ(site_name(site_at(shape, 0)), "layers.0.attn_qkv");
  EXPECT_EQ(site_name(site_at(shape, 8)), "layers.1.mlp_down");
  EXPECT_EQ(site_name(site_at(shape, 9)), "layers.1.kv");
  EXPECT_EQ(site_name(site_at(shape, 10)), "head");
}

TEST(Sites, LinearShapesCountAllBlockWeights) {
  const auto shape = small_shape();
  int64_t weights = 0;
  for (int kind = 0; kind < 4; ++kind) {
    const LinearShape linear = linear_shape(shape, static_cast<SiteKind>(kind));
    weights += linear.n * linear.k;
  }
  // q, o: 576 * 576; k, v: 192 * 576; three of 576 * 1536.
  EXPECT_EQ(weights, 2 * 576 * 576 + 2 * 192 * 576 + 3 * 576 * 1536);
  EXPECT_EQ(linear_shape(shape, SiteKind::kKv).n, 0);
}

TEST(Treatments, NamesRoundTrip) {
  for (const char* name : {"bf16", "int4_g128+a:int8_token", "int4_asym_g32", "mxfp4+a:fp8_token",
                           "int4_g128_gptq+a:int8_token", "nvfp4_gptq", "int3_asym_g64_2:4_imatrix",
                           "bf16+a:int8_static", "int4_g64_gptq+a:int4_token+h:64",
                           "mxfp4+a:mxfp4+h:32", "bf16+h:16"}) {
    const auto treatment = parse_linear_treatment(name);
    ASSERT_TRUE(treatment.has_value()) << treatment.error().message;
    EXPECT_EQ(treatment_name(*treatment), name);
  }
  for (const char* name : {"bf16", "int8", "int4", "int8+q:int8_token", "nvfp4+qkh:64",
                           "k:int4_c32+v:int4", "k:bf16+v:int2+q:int8_token+qkh:128"}) {
    const auto treatment = parse_kv_treatment(name);
    ASSERT_TRUE(treatment.has_value()) << treatment.error().message;
    EXPECT_EQ(treatment_name(*treatment), name);
  }
}

TEST(Treatments, ErrorsNameWhatWasWanted) {
  EXPECT_FALSE(parse_linear_treatment("int4_g128_quarot").has_value());
  EXPECT_FALSE(parse_linear_treatment("int4_g128_gptq_awq").has_value());
  EXPECT_EQ(parse_linear_treatment("bf16_gptq").error().message,
            "treatment 'bf16_gptq': bf16 takes no algorithm");
  EXPECT_FALSE(parse_linear_treatment("gptq").has_value());
  EXPECT_FALSE(parse_linear_treatment("int4_g128+kv:int8").has_value());
  EXPECT_FALSE(parse_linear_treatment("").has_value());
  EXPECT_FALSE(parse_kv_treatment("int8+q:fp8_token").has_value());
  EXPECT_FALSE(parse_kv_treatment("int5").has_value());
  EXPECT_FALSE(parse_kv_treatment("int8+q:int4_token").has_value());
  EXPECT_FALSE(parse_kv_treatment("int8+v:int4").has_value());
  EXPECT_FALSE(parse_kv_treatment("k:int8+k:int4").has_value());
  EXPECT_FALSE(parse_linear_treatment("int4+h:64+h:32").has_value());
  EXPECT_EQ(parse_linear_treatment("int4+h:24").error().message,
            "Hadamard block '24', want 16, 32, 64 or 128");
  EXPECT_EQ(parse_kv_treatment("int4_c32").error().message,
            "kv treatment 'int4_c32': values have no groups per channel, want k:KEYS+v:VALUES");
}

TEST(Treatments, KeysAndValuesApart) {
  const auto apart = parse_kv_treatment("v:int2+k:int4_c64");
  ASSERT_TRUE(apart.has_value()) << apart.error().message;
  EXPECT_EQ(apart->keys, formats::KvFormat::kInt4C64);
  EXPECT_EQ(apart->values, formats::KvFormat::kInt2);
  EXPECT_EQ(treatment_name(*apart), "k:int4_c64+v:int2");
  // Keys: 64 channels of 4 bits and (16 + 4) / 64; values: 64 * 2 + 16 + 2.
  EXPECT_EQ(stored_bits_per_cached_token(*apart, 64), 64 * 4 + 20 + 146);
  const auto keys = parse_kv_treatment("k:int4_c32");  // what is not named stays bf16
  EXPECT_EQ(keys->values, formats::KvFormat::kBf16);
}

TEST(UniformRecipe, SaysWhetherItNeedsCalibration) {
  const auto shape = small_shape();
  EXPECT_FALSE(needs_calibration(parse_uniform_recipe(shape, "int4_g128+head:int8").value()));
  EXPECT_TRUE(needs_calibration(parse_uniform_recipe(shape, "int4_g128_gptq").value()));
  EXPECT_TRUE(needs_calibration(parse_uniform_recipe(shape, "bf16+head:int8_imatrix").value()));
}

TEST(UniformRecipe, TreatsWhatIsNamedAndLeavesTheRest) {
  const auto shape = small_shape();
  const auto plain = parse_uniform_recipe(shape, "int4_g128");
  ASSERT_TRUE(plain.has_value());
  EXPECT_EQ(treatment_name(plain->layers[1].linear[3]), "int4_g128");
  EXPECT_EQ(treatment_name(plain->layers[1].kv), "bf16");
  EXPECT_EQ(treatment_name(plain->head), "bf16");
  const auto full =
      parse_uniform_recipe(shape, "int4_g128+a:int8_token+kv:int8+q:int8_token+head:int8");
  ASSERT_TRUE(full.has_value()) << full.error().message;
  EXPECT_EQ(treatment_name(full->layers[0].kv), "int8+q:int8_token");
  EXPECT_EQ(treatment_name(full->head), "int8+a:int8_token");
  EXPECT_FALSE(parse_uniform_recipe(shape, "int4_g128+a:bf16+a:int8_token").has_value());
  EXPECT_FALSE(parse_uniform_recipe(shape, "int4_g128+activations:int8").has_value());
}

TEST(UniformRecipe, NamesRotationsAndTransforms) {
  const auto shape = small_shape();
  const auto recipe = parse_uniform_recipe(
      shape, "int4_g64+a:int4_token+h:32+h_down:128+k:int4_c32+v:int4+qkh:64+r:r1r2+head:int8");
  ASSERT_TRUE(recipe.has_value()) << recipe.error().message;
  EXPECT_EQ(treatment_name(recipe->layers[0].linear[0]), "int4_g64+a:int4_token+h:32");
  EXPECT_EQ(treatment_name(recipe->layers[1].linear[3]), "int4_g64+a:int4_token+h:128");
  EXPECT_EQ(treatment_name(recipe->layers[1].kv), "k:int4_c32+v:int4+qkh:64");
  EXPECT_EQ(treatment_name(recipe->head), "int8+a:int4_token");
  EXPECT_EQ(recipe->rotation, Rotation::kR1R2);
  EXPECT_TRUE(needs_rotation(*recipe));
  EXPECT_TRUE(needs_rotation(*parse_uniform_recipe(shape, "bf16+h_down:64")));
  EXPECT_FALSE(needs_rotation(*parse_uniform_recipe(shape, "int4+kv:int4+qkh:64")));
  EXPECT_TRUE(needs_calibration(*parse_uniform_recipe(shape, "int8+a:fp8_static")));
  EXPECT_FALSE(needs_calibration(*recipe));
  const auto again = parse_recipe(shape, recipe_to_toml(*recipe), "r.toml");
  ASSERT_TRUE(again.has_value()) << again.error().message;
  EXPECT_EQ(*again, *recipe);
}

TEST(UniformRecipe, NamesCarriedErrorWhereGptqTakesIt) {
  const auto shape = small_shape();
  const auto recipe = parse_uniform_recipe(shape, "int4_g64_gptq+r:r1+qep:0.25");
  ASSERT_TRUE(recipe.has_value()) << recipe.error().message;
  EXPECT_EQ(recipe->carried_frac, 0.25);
  EXPECT_EQ(*parse_recipe(shape, recipe_to_toml(*recipe), "r.toml"), *recipe);
  const auto message = [&](std::string_view name) {
    return parse_uniform_recipe(shape, name).error().message;
  };
  EXPECT_EQ(message("int4_gptq+qep:1.5"), "'qep:': '1.5', want a number above 0, at most 1");
  EXPECT_EQ(message("int4_gptq+qep:half"), "'qep:': 'half', want a number above 0, at most 1");
  EXPECT_EQ(message("int4_imatrix+qep:1"),
            "treatment 'int4_imatrix+qep:1': qep: no site of the blocks has gptq or gptq_cd, want "
            "one");
  EXPECT_EQ(message("int4_signround+qep:1"),
            "treatment 'int4_signround+qep:1': qep: not beside signround, which follows the "
            "original model itself");
}

TEST(UniformRecipe, RefusesWhatDoesNotFitTheModel) {
  const auto shape = small_shape();
  EXPECT_EQ(parse_uniform_recipe(shape, "int4+h:128").error().message,
            "treatment 'int4+h:128': layers.0.attn_qkv: input: Hadamard block 128, want 16, 32, 64 "
            "or 128 and a divisor of 576");
  EXPECT_EQ(parse_uniform_recipe(shape, "int4+qkh:128").error().message,
            "treatment 'int4+qkh:128': layers.0.kv: queries and keys: Hadamard block 128, want 16, "
            "32, 64 or 128 and a divisor of 64");
  EXPECT_FALSE(parse_uniform_recipe(shape, "int4+v:int4_c32").has_value());
  EXPECT_FALSE(parse_uniform_recipe(shape, "int4+kv:int4+k:int8").has_value());
  EXPECT_FALSE(parse_uniform_recipe(shape, "int4+r:r3").has_value());
  const auto head = parse_recipe(shape, "head = \"int8+h:64\"\nlayers = [\"\", \"\"]", "r.toml");
  ASSERT_FALSE(head.has_value());
  EXPECT_EQ(head.error().message, "r.toml: head: Hadamard block 64, want none at the head");
}

TEST(UniformRecipe, NamesWhatStaysOfEveryLayer) {
  const auto shape = small_shape();
  const auto recipe = parse_uniform_recipe(shape, "int4_g64_gptq+mlp:1344+heads:4+kv_heads:2");
  ASSERT_TRUE(recipe.has_value()) << recipe.error().message;
  EXPECT_EQ(recipe->pruning, (Pruning{.mlp_width = 1344, .heads = 4, .kv_heads = 2}));
  const model::ModelShape after = pruned_shape(shape, recipe->pruning);
  EXPECT_EQ(after.intermediate_size, 1344);
  EXPECT_EQ(after.q_size(), 4 * 64);
  EXPECT_EQ(after.kv_size(), 2 * 64);
  EXPECT_EQ(pruned_shape(shape, {.kv_heads = 2}).num_heads, 6);  // three of each key head
  const auto again = parse_recipe(shape, recipe_to_toml(*recipe), "r.toml");
  ASSERT_TRUE(again.has_value()) << again.error().message;
  EXPECT_EQ(*again, *recipe);
  // A checkpoint that was pruned carries the recipe that pruned it.
  EXPECT_TRUE(parse_recipe(after, recipe_to_toml(*recipe), "r.toml").has_value());
  EXPECT_TRUE(needs_calibration(*parse_uniform_recipe(shape, "bf16+mlp:1344")));
  EXPECT_FALSE(sites_need_calibration(*parse_uniform_recipe(shape, "bf16+mlp:1344")));
  EXPECT_DOUBLE_EQ(bits_per_weight(shape, *recipe), bits_per_weight(after, *recipe));
}

TEST(UniformRecipe, RefusesWhatNoLayerCanKeep) {
  auto shape = small_shape();
  const auto message = [&](const char* name) {
    const auto recipe = parse_uniform_recipe(shape, name);
    return recipe.has_value() ? "" : recipe.error().message;
  };
  EXPECT_EQ(message("bf16+mlp:1340"),
            "treatment 'bf16+mlp:1340': pruning: mlp width 1340, want a multiple of 16 up to 1536");
  EXPECT_NE(message("bf16+mlp:1552"), "");
  EXPECT_EQ(message("bf16+mlp:wide"), "'mlp:': 'wide', want how many stay, a positive number");
  EXPECT_EQ(message("bf16+mlp:0"), "'mlp:': '0', want how many stay, a positive number");
  EXPECT_EQ(message("bf16+heads:5"),
            "treatment 'bf16+heads:5': pruning: 5 query heads, want 3, 6, 9: as many of each of 3 "
            "key heads");
  EXPECT_EQ(message("bf16+heads:3+kv_heads:2"),
            "treatment 'bf16+heads:3+kv_heads:2': pruning: 3 query heads, want 2, 4, 6: as many of "
            "each of 2 key heads");
  EXPECT_EQ(message("bf16+kv_heads:4"),
            "treatment 'bf16+kv_heads:4': pruning: 4 key heads, want 1 to 3");
  // What a transform turns is what is left.
  EXPECT_NE(message("int4+mlp:1344+h_down:128").find("a divisor of 1344"), std::string::npos);
  EXPECT_EQ(message("int4+mlp:1280+h_down:128"), "");
  EXPECT_EQ(
      parse_recipe(shape, "mlp_width = 1000\nlayers = [\"\", \"\"]", "r.toml").error().message,
      "r.toml: pruning: mlp width 1000, want a multiple of 16 up to 1536");
  shape.intermediate_size = 1530;
  EXPECT_EQ(message("bf16+mlp:1530"), "");
  shape.num_kv_heads = 0;
  EXPECT_NE(message("bf16+heads:3").find("a shape without key heads"), std::string::npos);
}

TEST(BitsPerWeight, CountsScalesOfShortGroups) {
  const auto shape = small_shape();
  const auto recipe = parse_uniform_recipe(shape, "int4_g128");
  ASSERT_TRUE(recipe.has_value());
  // k = 576 has 5 groups of 128 (the last one 64 wide), k = 1536 has 12; one 16-bit scale each.
  const double rows_576 = 960 + 576 + 3072;
  const double rows_1536 = 576;
  const double bits = rows_576 * (576 * 4 + 5 * 16) + rows_1536 * (1536 * 4 + 12 * 16);
  const double weights = rows_576 * 576 + rows_1536 * 1536;
  EXPECT_DOUBLE_EQ(bits_per_weight(shape, *recipe), bits / weights);
  EXPECT_DOUBLE_EQ(bits_per_weight(shape, *parse_uniform_recipe(shape, "bf16")), 16.0);
}

TEST(RecipeFiles, RoundTripAndName) {
  const auto shape = small_shape();
  Menu menu;
  menu.linear = {{}, *parse_linear_treatment("int4_g128+a:int8_token")};
  menu.kv = {{}, *parse_kv_treatment("int4")};
  const Recipe recipe = make_recipe(shape, menu, {0, 1, 0, 1, 0, 1, 1, 1, 1, 1, 1});
  EXPECT_EQ(treatment_name(recipe.layers[0].linear[1]), "int4_g128+a:int8_token");
  EXPECT_EQ(treatment_name(recipe.layers[0].kv), "bf16");
  EXPECT_EQ(treatment_name(recipe.layers[1].kv), "int4");
  const auto read = parse_recipe(shape, recipe_to_toml(recipe), "r.toml");
  ASSERT_TRUE(read.has_value()) << read.error().message;
  EXPECT_EQ(*read, recipe);
}

TEST(RecipeFiles, ErrorsNameFileAndLayer) {
  const auto shape = small_shape();
  EXPECT_EQ(parse_recipe(shape, "layers = [\"kv=int8\"]", "r.toml").error().message,
            "r.toml: layers has 1 lines, want 2 (the layers of small)");
  const auto unknown = parse_recipe(shape, "layers = [\"kv=int8\", \"mlp=int8\"]", "r.toml");
  ASSERT_FALSE(unknown.has_value());
  EXPECT_EQ(unknown.error().message,
            "r.toml: layers[1]: site 'mlp' is unknown, want one of attn_qkv, attn_o, mlp_gate_up, "
            "mlp_down, "
            "kv");
  const auto misspelt = parse_recipe(shape, "layers = [\"mlp_dwn=int8\", \"\"]", "r.toml");
  ASSERT_FALSE(misspelt.has_value());
  EXPECT_TRUE(misspelt.error().message.ends_with("(did you mean mlp_down?)"));
  EXPECT_FALSE(parse_recipe(shape, "layers = [\"kv=int8 kv=int4\", \"\"]", "r.toml").has_value());
}

}  // namespace
}  // namespace dovetail::recipe
