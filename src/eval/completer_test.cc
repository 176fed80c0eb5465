#include "eval/completer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>

#include "eval/host_scorer.h"
#include "eval/tiny_model.h"

namespace dovetail::eval {
namespace {

host::HostModel tiny_model() {
  return host::HostModel::create(tiny_weights(1)).value();
}

std::vector<int32_t> tokens(int64_t count, uint64_t seed) {
  return random_tokens(1, count, 101, seed).ids;
}

struct Answer {
  std::vector<ScoredToken> prompt;
  std::vector<ScoredToken> made;
  std::vector<Status> ends;

  [[nodiscard]] std::vector<int32_t> ids() const {
    std::vector<int32_t> all;
    for (const ScoredToken& token : made) all.push_back(token.id);
    return all;
  }
};

void add(Completer& completer, CompletionRequest request, Answer& answer) {
  request.take_prompt = [&answer](std::vector<ScoredToken> scores) {
    EXPECT_TRUE(answer.prompt.empty() && answer.made.empty());
    answer.prompt = std::move(scores);
  };
  request.take_token = [&answer](const ScoredToken& token) {
    answer.made.push_back(token);
    return false;
  };
  request.finish = [&answer](const Status& status) { answer.ends.push_back(status); };
  ASSERT_TRUE(completer.check(request).has_value());
  completer.add(std::move(request));
}

std::vector<Answer> complete(Completer& completer, const std::vector<CompletionRequest>& requests) {
  std::vector<Answer> answers(requests.size());
  for (size_t i = 0; i < requests.size(); ++i) add(completer, requests[i], answers[i]);
  while (completer.has_work()) completer.step();
  for (const Answer& answer : answers) {
    EXPECT_EQ(answer.ends.size(), 1U);
    EXPECT_TRUE(answer.ends.at(0).has_value());
  }
  return answers;
}

void expect_same(const std::vector<ScoredToken>& a, const std::vector<ScoredToken>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(a[i].id, b[i].id) << i;
    EXPECT_EQ(a[i].nats, b[i].nats) << i;
    ASSERT_EQ(a[i].top.size(), b[i].top.size()) << i;
    for (size_t j = 0; j < a[i].top.size(); ++j) {
      EXPECT_EQ(a[i].top[j].id, b[i].top[j].id) << i;
      EXPECT_EQ(a[i].top[j].nats, b[i].top[j].nats) << i;
    }
  }
}

TEST(Completer, AgreesWithTheScorerToTheLastBit) {
  const auto scorer = make_host_scorer(tiny_model()).value();
  const auto completer = make_completer(tiny_model()).value();
  const std::vector<int32_t> prompt = tokens(90, 3);
  const Answer answer =
      complete(*completer,
               {{.prompt = prompt, .max_new_tokens = 40, .num_top = 3, .scores_prompt = true}})[0];
  EXPECT_EQ(answer.ids(), scorer->generate({{prompt, 40, {}}}, {}).value()[0]);
  ASSERT_EQ(answer.prompt.size(), prompt.size() - 1);
  double sum = 0;
  for (size_t i = 1; i < prompt.size(); ++i) {
    const auto cut = prompt.begin() + static_cast<int64_t>(i);
    const auto likelihood =
        scorer->loglikelihoods({{{prompt.begin(), cut}, {prompt[i]}}}, {}).value()[0];
    const ScoredToken& token = answer.prompt[i - 1];
    EXPECT_EQ(token.id, prompt[i]);
    EXPECT_EQ(token.nats, likelihood.nats) << i;
    EXPECT_EQ(token.top[0].id == token.id, likelihood.is_greedy) << i;
    sum += token.nats;
  }
  const auto whole =
      scorer->loglikelihoods({{{prompt[0]}, {prompt.begin() + 1, prompt.end()}}}, {});
  EXPECT_EQ(sum, whole.value()[0].nats);
}

TEST(Completer, AlternativesAreTheLargestOfAllTokens) {
  const auto completer = make_completer(tiny_model()).value();
  const auto prompt = tokens(5, 9);
  const Answer answer =
      complete(*completer, {{.prompt = prompt, .max_new_tokens = 1, .num_top = 20}})[0];
  // Every token's own log-probability, asked for one by one.
  const auto scorer = make_host_scorer(tiny_model()).value();
  std::multimap<double, int32_t, std::greater<>> all;
  double total = 0;
  for (int32_t id = 0; id < 101; ++id) {
    const double nats = scorer->loglikelihoods({{prompt, {id}}}, {}).value()[0].nats;
    all.emplace(nats, id);
    total += std::exp(nats);
  }
  EXPECT_NEAR(total, 1.0, 1e-9);
  ASSERT_EQ(answer.made.at(0).top.size(), 20U);
  auto next = all.begin();
  for (const TokenChoice& choice : answer.made[0].top) {
    EXPECT_EQ(choice.nats, next->first);
    EXPECT_EQ(choice.id, (next++)->second);
  }
  EXPECT_EQ(answer.made[0].top[0].nats, answer.made[0].nats);
}

std::vector<CompletionRequest> mixed_requests() {
  std::vector<CompletionRequest> requests;
  const auto shared = tokens(70, 1);
  for (int32_t i = 0; i < 12; ++i) {
    CompletionRequest request{.prompt = shared,
                              .max_new_tokens = 3 * i,
                              .num_top = i % 5,
                              .scores_prompt = i % 2 == 0,
                              .temperature = i % 3 == 0 ? 1.0 : 0.0,
                              .seed = static_cast<uint64_t>(i)};
    request.prompt.resize(static_cast<size_t>(20 + 4 * i));
    request.prompt.push_back(i);
    requests.push_back(request);
    request.prompt = tokens(1 + 11 * i, static_cast<uint64_t>(50 + i));
    requests.push_back(std::move(request));
  }
  return requests;
}

TEST(Completer, AnswersDoNotDependOnWhatRunsBeside) {
  const auto requests = mixed_requests();
  std::vector<Answer> alone;
  for (const CompletionRequest& request : requests) {
    const auto completer = make_completer(tiny_model()).value();
    alone.push_back(complete(*completer, {request})[0]);
    EXPECT_EQ(alone.back().made.size(), static_cast<size_t>(request.max_new_tokens));
  }
  for (const CompleterParams& params :
       {CompleterParams{}, CompleterParams{.max_running = 3, .rows_at_once = 7},
        CompleterParams{.max_running = 5, .max_kv_bytes = 1 << 17}}) {
    const auto completer = make_completer(tiny_model(), params).value();
    for (int round = 0; round < 2; ++round) {  // the second finds kept prefixes
      const auto together = complete(*completer, requests);
      for (size_t i = 0; i < requests.size(); ++i) {
        expect_same(together[i].prompt, alone[i].prompt);
        expect_same(together[i].made, alone[i].made);
      }
    }
  }
}

TEST(Completer, RequestsJoinWhatRuns) {
  const auto completer = make_completer(tiny_model()).value();
  Answer first, second;
  add(*completer, {.prompt = tokens(9, 1), .max_new_tokens = 30}, first);
  for (int i = 0; i < 5; ++i) completer->step();
  add(*completer, {.prompt = tokens(9, 2), .max_new_tokens = 3}, second);
  while (second.ends.empty()) completer->step();
  EXPECT_EQ(first.made.size(), 8U);  // the late one did not wait for the end of the first
  while (completer->has_work()) completer->step();
  const auto scorer = make_host_scorer(tiny_model()).value();
  const auto expected =
      scorer->generate({{tokens(9, 1), 30, {}}, {tokens(9, 2), 3, {}}}, {}).value();
  EXPECT_EQ(first.ids(), expected[0]);
  EXPECT_EQ(second.ids(), expected[1]);
}

TEST(Completer, SamplesWithTheFrequenciesOfItsModel) {
  const auto completer = make_completer(tiny_model(), {.max_running = 64}).value();
  const auto prompt = tokens(6, 4);
  std::vector<CompletionRequest> requests;
  constexpr int kDraws = 4000;
  for (uint64_t seed = 0; seed < kDraws; ++seed) {
    requests.push_back(
        {.prompt = prompt, .max_new_tokens = 1, .num_top = 4, .temperature = 1.0, .seed = seed});
  }
  const auto answers = complete(*completer, requests);
  std::map<int32_t, int> counts;
  for (const Answer& answer : answers) ++counts[answer.made[0].id];
  for (const TokenChoice& choice : answers[0].made[0].top) {
    const double expected = kDraws * std::exp(choice.nats);
    // Six standard deviations: one false alarm in about 10^8 runs, and the seeds are fixed.
    EXPECT_NEAR(counts[choice.id], expected, 6 * std::sqrt(expected)) << choice.id;
  }
  // Colder: the most likely token more often.
  for (CompletionRequest& request : requests) request.temperature = 0.5;
  int colder = 0;
  const int32_t best = answers[0].made[0].top[0].id;
  for (const Answer& answer : complete(*completer, requests)) colder += answer.made[0].id == best;
  EXPECT_GT(colder, counts[best]);
}

TEST(Completer, AbandonedRequestsLeave) {
  const auto completer = make_completer(tiny_model()).value();
  Answer gone, stays;
  bool is_gone = false;
  CompletionRequest request{.prompt = tokens(9, 1), .max_new_tokens = 400};
  request.is_abandoned = [&] { return is_gone; };
  add(*completer, request, gone);
  add(*completer, {.prompt = tokens(9, 2), .max_new_tokens = 20}, stays);
  for (int i = 0; i < 4; ++i) completer->step();
  is_gone = true;
  int64_t steps = 0;
  for (; completer->has_work(); ++steps) completer->step();
  EXPECT_EQ(gone.made.size(), 4U);
  EXPECT_TRUE(gone.ends.empty());
  EXPECT_EQ(stays.made.size(), 20U);
  EXPECT_LT(steps, 20);
}

TEST(Completer, LogitsThatAreNoNumbersEndTheirRequestAlone) {
  // Whoever reads token 7 gets them; the head is sound.
  model::Weights weights = *tiny_weights(1, false);
  weights.embedding.values[7 * 64] = std::numeric_limits<float>::quiet_NaN();
  const auto model =
      host::HostModel::create(std::make_shared<const model::Weights>(std::move(weights))).value();
  const auto completer = make_completer(model).value();
  Answer sick, sick_prompt, sound;
  add(*completer, {.prompt = {1, 2, 7}, .max_new_tokens = 3}, sick);
  add(*completer, {.prompt = {7, 2, 3}, .scores_prompt = true}, sick_prompt);
  add(*completer, {.prompt = {1, 2, 3}, .scores_prompt = true}, sound);
  while (completer->has_work()) completer->step();
  for (const Answer* one : {&sick, &sick_prompt}) {
    ASSERT_EQ(one->ends.size(), 1U);
    ASSERT_FALSE(one->ends[0].has_value());
    EXPECT_EQ(one->ends[0].error().message, "the model's logits are not numbers");
  }
  ASSERT_EQ(sound.ends.size(), 1U);
  EXPECT_TRUE(sound.ends[0].has_value());
  EXPECT_EQ(sound.prompt.size(), 2U);
}

TEST(Completer, RefusesWhatItCannotDo) {
  EXPECT_EQ(make_completer(tiny_model(), {.max_length = 513}).error().message,
            "max_length = 513, want 1..512 or 0 for all");
  const auto completer = make_completer(tiny_model(), {.max_length = 8}).value();
  const auto error = [&](const CompletionRequest& request) {
    return completer->check(request).error().message;
  };
  EXPECT_EQ(error({.prompt = {1, 2, 3}, .max_new_tokens = 6}),
            "a prompt of 3 and an answer of 6 tokens, want at most 8 together");
  EXPECT_EQ(error({.prompt = {1, 101}}), "token id 101, want 0..100");
  EXPECT_EQ(error({.prompt = {1}, .num_top = 21}), "num_top = 21, want 0..20");
  EXPECT_EQ(error({.prompt = {1}, .temperature = -1}), "temperature = -1, want 0 or more");
  EXPECT_FALSE(completer->check({.max_new_tokens = 1}).has_value());
  EXPECT_FALSE(
      completer->check({.prompt = {1}, .max_new_tokens = std::numeric_limits<int64_t>::max()})
          .has_value());
  EXPECT_TRUE(completer->check({.prompt = {1, 2, 3}, .max_new_tokens = 5}).has_value());
}

}  // namespace
}  // namespace dovetail::eval
