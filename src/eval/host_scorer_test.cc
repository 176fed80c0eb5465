#include "eval/host_scorer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "eval/tiny_model.h"

namespace dovetail::eval {
namespace {

host::HostModel tiny_model() {
  return host::HostModel::create(tiny_weights(1)).value();
}

// The sum of the model's own negative log-likelihoods (host_model.h) over the continuation.
double expected_nats(const host::HostModel& model, const LoglikelihoodRequest& request) {
  host::TokenBatch tokens{.batch = 1, .seq = 0, .ids = request.context};
  tokens.ids.insert(tokens.ids.end(), request.continuation.begin(), request.continuation.end());
  tokens.seq = std::ssize(tokens.ids);
  const std::vector<double> nll = model.nll(tokens).value();
  double sum = 0;
  for (size_t i = request.context.size() - 1; i < nll.size(); ++i) sum -= nll[i];
  return sum;
}

TEST(HostScorer, LikelihoodsAreTheModels) {
  const host::HostModel model = tiny_model();
  const auto scorer = make_host_scorer(model).value();
  std::vector<LoglikelihoodRequest> requests;
  for (const int64_t length : {1, 2, 7, 200}) {  // 200 is more rows than are held at once
    const auto ids = random_tokens(1, length + 4, 101, static_cast<uint64_t>(length)).ids;
    requests.push_back({{ids.begin(), ids.begin() + 4}, {ids.begin() + 4, ids.end()}});
    // The same fed ids, cut elsewhere and with another last token.
    requests.push_back({{ids.begin(), ids.begin() + 1}, {ids.begin() + 1, ids.end()}});
    requests.back().continuation.back() = 3;
  }
  const auto results = scorer->loglikelihoods(requests, {}).value();
  for (size_t i = 0; i < requests.size(); ++i) {
    EXPECT_NEAR(results[i].nats, expected_nats(model, requests[i]), 1e-4) << i;
  }
  // One at a time: the same bits.
  for (size_t i = 0; i < requests.size(); ++i) {
    EXPECT_EQ(scorer->loglikelihoods({requests[i]}, {}).value()[0].nats, results[i].nats);
  }
}

TEST(HostScorer, GenerationIsGreedyAndItsTokensAreSo) {
  const auto scorer = make_host_scorer(tiny_model()).value();
  std::vector<std::vector<int32_t>> seen;
  const GenerationRequest request{.prompt = {5, 6, 7},
                                  .max_new_tokens = 150,  // the model is asked twice
                                  .is_done = [&](const std::vector<int32_t>& made) {
                                    seen.push_back(made);
                                    return false;
                                  }};
  const auto made = scorer->generate({request}, {}).value()[0];
  EXPECT_EQ(
      made,
      tiny_model().generate({{5, 6, 7}}, {.max_new_tokens = 150, .temperature = 0}).value()[0]);
  ASSERT_EQ(seen.size(), 150U);
  for (size_t i = 0; i < seen.size(); ++i) EXPECT_EQ(seen[i].size(), i + 1);
  EXPECT_TRUE(scorer->loglikelihoods({{.context = {5, 6, 7}, .continuation = made}}, {})
                  .value()[0]
                  .is_greedy);
  std::vector<int32_t> other = made;
  other[10] = (other[10] + 1) % 101;
  EXPECT_FALSE(scorer->loglikelihoods({{.context = {5, 6, 7}, .continuation = other}}, {})
                   .value()[0]
                   .is_greedy);
}

TEST(HostScorer, StopsWhereItIsTold) {
  const auto scorer = make_host_scorer(tiny_model()).value();
  const auto after = [](size_t count) {
    return [count](const std::vector<int32_t>& made) { return made.size() == count; };
  };
  const auto made =
      scorer
          ->generate({{{1, 2}, 100, after(70)}, {{1, 2}, 100, after(1)}, {{1, 2}, 3, after(9)}}, {})
          .value();
  EXPECT_EQ(made[0].size(), 70U);
  EXPECT_EQ(made[1].size(), 1U);
  EXPECT_EQ(made[2].size(), 3U);
}

TEST(HostScorer, RefusesWhatItCannotScore) {
  EXPECT_EQ(make_host_scorer(tiny_model(), 513).error().message,
            "max_length = 513, want 1..512 or 0 for all");
  const auto scorer = make_host_scorer(tiny_model(), 4).value();
  EXPECT_EQ(scorer->max_length(), 4);
  const auto error = [&](const LoglikelihoodRequest& request) {
    return scorer->loglikelihoods({request}, {}).error().message;
  };
  EXPECT_EQ(error({{1, 2, 3, 4}, {5, 6}}), "a request of 5 tokens, want at most 4");
  EXPECT_EQ(error({{}, {5}}), "a request with an empty context or continuation");
  EXPECT_EQ(error({{1}, {101}}), "token id 101, want 0..100");
  EXPECT_FALSE(scorer->loglikelihoods({{{-1}, {1}}}, {}).has_value());
  EXPECT_EQ(scorer->generate({{{1, 2}, 3, [](const auto&) { return false; }}}, {}).error().message,
            "a request of 5 tokens, want at most 4");
}

TEST(HostScorer, LogitsThatAreNoNumbersAreSeen) {
  model::Weights weights = *tiny_weights(1, false);
  weights.head.values[7] = std::numeric_limits<float>::quiet_NaN();
  const auto scorer =
      make_host_scorer(
          host::HostModel::create(std::make_shared<const model::Weights>(std::move(weights)))
              .value())
          .value();
  EXPECT_TRUE(std::isnan(scorer->loglikelihoods({{{1, 2}, {3}}}, {}).value()[0].nats));
  const auto made = scorer->generate({{{1, 2}, 3, [](const auto&) { return false; }}}, {});
  ASSERT_FALSE(made.has_value());
  EXPECT_EQ(made.error().message, "the model's logits are not numbers");
}

}  // namespace
}  // namespace dovetail::eval
