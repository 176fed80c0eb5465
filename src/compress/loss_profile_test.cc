#include "compress/loss_profile.h"

#include <gtest/gtest.h>

#include <limits>

#include "base/random.h"
#include "compress/tiny_model.h"

namespace dovetail::compress {
namespace {

using formats::ActivationFormat;

LossProfile random_profile(int64_t num_layers, uint64_t seed) {
  Random random(seed);
  LossProfile profile;
  profile.model_name = "source";
  profile.model_digest = "d1";
  profile.text_name = "t";
  profile.text_digest = "d2";
  profile.off_grid_seed = 0xffffffffffffffffULL;
  profile.num_layers = num_layers;
  profile.num_positions = 1024;
  profile.num_kv_positions = 128;
  profile.gradient_s = 1.5;
  for (int64_t site = 0; site < num_layers * 5 + 1; ++site) {
    LossByName& weight = profile.weight_loss.emplace_back();
    LossByName& activation = profile.activation_loss.emplace_back();
    if (site % 5 == 4 && site < num_layers * 5) continue;
    for (const char* name : {"int8", "int4_g32", "nvfp4"}) weight[name] = random.uniform();
    for (const char* name : {"int8_token", "fp8_token"}) activation[name] = random.uniform();
  }
  for (int64_t layer = 0; layer < num_layers; ++layer) {
    profile.kv_loss.push_back(
        {{"int8", random.uniform()}, {"int4+q:int8_token", random.uniform()}});
  }
  return profile;
}

recipe::Menu menu_of(const std::vector<std::string>& linear, const std::vector<std::string>& kv) {
  recipe::Menu menu;
  for (const std::string& name : linear) {
    menu.linear.push_back(recipe::parse_linear_treatment(name).value());
  }
  for (const std::string& name : kv) menu.kv.push_back(recipe::parse_kv_treatment(name).value());
  return menu;
}

model::ModelShape shape_of(int64_t num_layers) {
  model::ModelShape shape = tiny_weights(1)->shape;
  shape.name = "other";
  shape.num_layers = num_layers;
  return shape;
}

TEST(LossProfile, SurvivesJsonBitForBit) {
  const LossProfile profile = random_profile(3, 1);
  const auto back =
      loss_profile_from_json(Json::parse(loss_profile_to_json(profile).dump()), "stored");
  ASSERT_TRUE(back.has_value()) << back.error().message;
  EXPECT_EQ(back->weight_loss, profile.weight_loss);
  EXPECT_EQ(back->activation_loss, profile.activation_loss);
  EXPECT_EQ(back->kv_loss, profile.kv_loss);
  EXPECT_EQ(back->off_grid_seed, profile.off_grid_seed);
  EXPECT_EQ(loss_profile_to_json(*back).dump(), loss_profile_to_json(profile).dump());
}

TEST(LossProfile, RejectsHostileJson) {
  const auto message = [](const std::function<void(Json&)>& change) {
    Json json = loss_profile_to_json(random_profile(2, 1));
    change(json);
    const auto read = loss_profile_from_json(json, "p.json");
    return read.has_value() ? std::string("accepted") : read.error().message;
  };
  EXPECT_EQ(message([](Json&) {}), "accepted");
  EXPECT_EQ(message([](Json& j) { j = Json::array(); }), "p.json: want a JSON object");
  EXPECT_EQ(message([](Json& j) { j.erase("num_layers"); }),
            "p.json: num_layers: want a whole number");
  EXPECT_EQ(message([](Json& j) { j["num_layers"] = -1; }),
            "p.json: num_layers: = -1, want 0..65536");
  EXPECT_EQ(message([](Json& j) { j["num_layers"] = 3; }),
            "p.json: 11 weight sites, 11 activation sites, 2 kv layers, want 16, 16 and 3");
  EXPECT_EQ(message([](Json& j) { j["kv_loss_nats_per_token"][1] = 4; }),
            "p.json: kv_loss_nats_per_token: holds something that is no table of losses");
  EXPECT_EQ(message([](Json& j) { j["kv_loss_nats_per_token"][1].erase("int8"); }),
            "p.json: layers.1.kv_loss: other formats than at the first site, want the same");
  EXPECT_EQ(message([](Json& j) { j["weight_loss_nats_per_token"][3]["int8"] = -0.5; }),
            "p.json: layers.0.mlp_down.weight_loss.int8 = -0.5, want a finite loss >= 0");
  EXPECT_EQ(message([](Json& j) { j["weight_loss_nats_per_token"][3]["int8"] = "x"; }),
            "p.json: weight_loss_nats_per_token: int8 is no number");
}

TEST(Price, AddsWeightsAndActivationsAndKeepsTheReferenceFree) {
  const LossProfile profile = random_profile(2, 2);
  const recipe::Menu menu =
      menu_of({"bf16", "int4_g32", "int8+a:int8_token"}, {"bf16", "int4+q:int8_token"});
  const auto table = price(profile, menu);
  ASSERT_TRUE(table.has_value()) << table.error().message;
  ASSERT_EQ(table->size(), 11U);
  EXPECT_EQ((*table)[7][0], 0);
  EXPECT_EQ((*table)[7][1], profile.weight_loss[7].at("int4_g32"));
  EXPECT_EQ((*table)[7][2],
            profile.weight_loss[7].at("int8") + profile.activation_loss[7].at("int8_token"));
  EXPECT_EQ((*table)[9], (std::vector<double>{0, profile.kv_loss[1].at("int4+q:int8_token")}));
  EXPECT_EQ((*table)[10][1], profile.weight_loss[10].at("int4_g32"));
}

TEST(Price, NamesTheFormatThatWasNotProfiled) {
  const auto table = price(random_profile(2, 2), menu_of({"bf16", "int3"}, {"bf16"}));
  ASSERT_FALSE(table.has_value());
  EXPECT_EQ(table.error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(table.error().message, "layers.0.attn_qkv: format int3 was not profiled");
  const auto kv = price(random_profile(2, 2), menu_of({"bf16"}, {"bf16", "int4"}));
  EXPECT_EQ(kv.error().message, "layers.0.kv: format int4 was not profiled");
}

TEST(PredictLoss, IsTheSumOfThePricesOfItsChoices) {
  const LossProfile profile = random_profile(4, 3);
  const recipe::Menu menu = menu_of({"bf16", "int4_g32", "int8+a:int8_token", "nvfp4+a:fp8_token"},
                                    {"bf16", "int8", "int4+q:int8_token"});
  const auto table = price(profile, menu);
  Random random(4);
  for (int trial = 0; trial < 20; ++trial) {
    std::vector<int32_t> choice;
    double sum = 0;
    for (const auto& row : *table) {
      choice.push_back(static_cast<int32_t>(random.below(static_cast<int64_t>(row.size()))));
      sum += row[static_cast<size_t>(choice.back())];
    }
    const auto loss = predict_loss(profile, recipe::make_recipe(shape_of(4), menu, choice));
    ASSERT_TRUE(loss.has_value()) << loss.error().message;
    EXPECT_NEAR(*loss, sum, 1e-12);
  }
  const auto wrong = predict_loss(profile, recipe::Recipe{});
  EXPECT_EQ(wrong.error().message, "recipe has 0 layers, the loss profile 4");
}

double uniform_total(const LossProfile& profile, const std::string& weight,
                     const std::string& activation, const std::string& kv) {
  double sum = 0;
  for (const LossByName& site : profile.weight_loss)
    sum += site.contains(weight) ? site.at(weight) : 0;
  for (const LossByName& site : profile.activation_loss) {
    sum += site.contains(activation) ? site.at(activation) : 0;
  }
  for (const LossByName& layer : profile.kv_loss) sum += layer.at(kv);
  return sum;
}

TEST(BorrowProfile, KeepsTheTotalsOfUniformTreatments) {
  const LossProfile source = random_profile(7, 5);
  for (const int64_t layers : {1, 2, 6, 7, 8, 32, 80}) {
    const LossProfile borrowed = borrow_profile(source, shape_of(layers));
    ASSERT_TRUE(check_loss_profile(borrowed).has_value())
        << check_loss_profile(borrowed).error().message;
    EXPECT_EQ(borrowed.borrowed_from, "source");
    EXPECT_EQ(borrowed.model_name, "other");
    const double total = uniform_total(source, "int4_g32", "int8_token", "int8");
    EXPECT_NEAR(uniform_total(borrowed, "int4_g32", "int8_token", "int8"), total, 1e-9 * total)
        << layers << " layers";
    EXPECT_EQ(borrowed.weight_loss.back(), source.weight_loss.back());
  }
}

TEST(BorrowProfile, OfAsManyLayersChangesNoLoss) {
  const LossProfile source = random_profile(5, 6);
  const LossProfile borrowed = borrow_profile(source, shape_of(5));
  for (size_t site = 0; site < source.weight_loss.size(); ++site) {
    for (const auto& [name, loss] : source.weight_loss[site]) {
      EXPECT_NEAR(borrowed.weight_loss[site].at(name), loss, 1e-12);
    }
  }
}

TEST(BorrowProfile, KeepsTheOrderInDepth) {
  LossProfile source = random_profile(6, 7);
  for (int64_t layer = 0; layer < 6; ++layer) {
    source.weight_loss[static_cast<size_t>(layer * 5)]["int8"] = static_cast<double>(layer * layer);
  }
  const LossProfile borrowed = borrow_profile(source, shape_of(32));
  for (size_t layer = 1; layer < 32; ++layer) {
    EXPECT_GE(borrowed.weight_loss[layer * 5].at("int8"),
              borrowed.weight_loss[(layer - 1) * 5].at("int8"));
  }
}

}  // namespace
}  // namespace dovetail::compress
