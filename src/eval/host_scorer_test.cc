#include "eval/host_scorer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <limits>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/paths.h"
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

// Requests as benchmarks make them: shared beginnings of several lengths, choices, a prompt twice,
// one that begins another one, one longer than a pass.
std::vector<LoglikelihoodRequest> mixed_requests(int64_t vocab) {
  std::vector<LoglikelihoodRequest> requests;
  const auto random = [&](int64_t count, uint64_t seed) {
    return random_tokens(1, count, vocab, seed).ids;
  };
  const auto joined = [](std::vector<int32_t> a, const std::vector<int32_t>& b) {
    a.insert(a.end(), b.begin(), b.end());
    return a;
  };
  for (uint64_t subject = 0; subject < 3; ++subject) {
    const auto shots = random(60 + 40 * static_cast<int64_t>(subject), 1 + subject);
    for (uint64_t question = 0; question < 9; ++question) {
      const auto tail = random(11 + 7 * static_cast<int64_t>(question), 50 + 10 * subject + question);
      for (int32_t choice = 0; choice < 4; ++choice)
        requests.push_back({joined(shots, tail), {choice}});
      requests.push_back({joined(shots, tail), random(1 + static_cast<int64_t>(question), question)});
    }
    requests.push_back({shots, {5}});
    requests.push_back({shots, {5}});
  }
  requests.push_back({random(1, 90), random(350, 91)});
  requests.push_back({random(399, 92), random(1, 93)});
  return requests;
}

std::vector<GenerationRequest> mixed_generations(int64_t vocab) {
  std::vector<GenerationRequest> requests;
  for (const LoglikelihoodRequest& request : mixed_requests(vocab)) {
    // Some stop early, at different lengths.
    const size_t stop = 1 + request.context.size() % 37;
    if (requests.size() % 3 == 0)
      requests.push_back({request.context, 20, {}});
    else
      requests.push_back({request.context, 60, [stop](const std::vector<int32_t>& made) {
                            return made.size() == stop;
                          }});
  }
  return requests;
}

// Text that has every bit of the answers.
std::string answers_of(Scorer& scorer, int64_t vocab, bool one_by_one, bool reversed) {
  auto requests = mixed_requests(vocab);
  auto generations = mixed_generations(vocab);
  if (reversed) std::ranges::reverse(requests);
  if (reversed) std::ranges::reverse(generations);
  std::vector<Loglikelihood> results;
  std::vector<std::vector<int32_t>> made;
  if (one_by_one) {
    for (const auto& request : requests)
      results.push_back(scorer.loglikelihoods({request}, {}).value()[0]);
    for (const auto& request : generations)
      made.push_back(scorer.generate({request}, {}).value()[0]);
  } else {
    results = scorer.loglikelihoods(requests, {}).value();
    made = scorer.generate(generations, {}).value();
  }
  if (reversed) std::ranges::reverse(results);
  if (reversed) std::ranges::reverse(made);
  std::string text;
  for (const Loglikelihood& result : results)
    text += fmt::format("{:a} {},", result.nats, result.is_greedy);
  for (const auto& ids : made) text += fmt::format("{};", fmt::join(ids, " "));
  return text;
}

// Ways to run the same requests. All must give the same bits.
std::string answers_of(const host::HostModel& model, const HostScorerParams& params,
                       bool one_by_one = false, bool reversed = false) {
  const auto scorer = make_host_scorer(model, 0, params).value();
  return answers_of(*scorer, model.shape().vocab_size, one_by_one, reversed);
}

void expect_same_bits(const host::HostModel& model, bool tile_unit, int64_t page_bytes) {
  const std::string together = answers_of(model, {.tile_unit = tile_unit});
  EXPECT_EQ(answers_of(model, {.tile_unit = tile_unit}, true), together) << "one by one";
  EXPECT_EQ(answers_of(model, {.tile_unit = tile_unit}, false, true), together) << "reversed";
  EXPECT_EQ(answers_of(model, {.share_prefixes = false, .tile_unit = tile_unit}), together)
      << "without sharing";
  EXPECT_EQ(answers_of(model, {.share_prefixes = false, .tile_unit = tile_unit}, true), together)
      << "one by one without sharing";
  EXPECT_EQ(answers_of(model, {.rows_at_once = 33, .max_running = 1, .tile_unit = tile_unit}),
            together)
      << "small passes";
  EXPECT_EQ(answers_of(model, {.max_running = 7, .max_kv_bytes = 20 * page_bytes,
                               .tile_unit = tile_unit}),
            together)
      << "little memory";
  EXPECT_EQ(answers_of(model, {.max_kv_bytes = 0, .tile_unit = tile_unit}), together)
      << "no memory";
}

constexpr int64_t kTinyPageBytes = 3 * 2 * 2 * 16 * 32 * 4;

TEST(HostScorer, TheSameBitsForAnyBatchOrderAndMemory) {
  expect_same_bits(tiny_model(), false, kTinyPageBytes);
  if (host::amx::available()) expect_same_bits(tiny_model(), true, kTinyPageBytes);
}

TEST(HostScorer, TheSameBitsForARealModel) {
  const std::string path = cache_folder() + "/models/smollm2-135m/model.gguf";
  if (!std::filesystem::exists(path))
    GTEST_SKIP() << path << " is missing; run: dovetail pull smollm2-135m";
  auto weights = model::load_weights(path).value();
  const auto model =
      host::HostModel::create(std::make_shared<const model::Weights>(std::move(weights))).value();
  const int64_t vocab = model.shape().vocab_size;
  const auto requests = [&] {
    auto all = mixed_requests(vocab);
    all.resize(20);
    return all;
  }();
  const auto run = [&](const HostScorerParams& params, size_t batch) {
    const auto scorer = make_host_scorer(model, 0, params).value();
    std::string text;
    for (size_t at = 0; at < requests.size(); at += batch) {
      const std::vector<LoglikelihoodRequest> part(
          requests.begin() + static_cast<int64_t>(at),
          requests.begin() + static_cast<int64_t>(std::min(at + batch, requests.size())));
      const auto results = scorer->loglikelihoods(part, {}).value();
      for (const Loglikelihood& result : results)
        text += fmt::format("{:a} {},", result.nats, result.is_greedy);
    }
    std::vector<GenerationRequest> generations;
    for (size_t i = 0; i < requests.size(); i += 5)
      generations.push_back({requests[i].context, 8, {}});
    const auto made = scorer->generate(generations, {}).value();
    for (const auto& ids : made)
      text += fmt::format("{};", fmt::join(ids, " "));
    return text;
  };
  const std::string together = run({}, requests.size());
  EXPECT_EQ(run({.share_prefixes = false, .max_running = 1}, 1), together);
  EXPECT_EQ(run({.rows_at_once = 50}, 7), together);
}

// Run by the next test in a process of its own.
TEST(HostScorer, DISABLED_PrintAnswers) {
  std::printf("<<%s>>", answers_of(tiny_model(), {}).c_str());
}

TEST(HostScorer, TheSameBitsForAnyNumberOfThreads) {
  const std::string self = std::filesystem::read_symlink("/proc/self/exe").string();
  std::vector<std::string> outputs;
  for (const int threads : {1, 2, 5}) {
    const std::string command = fmt::format(
        "DOVETAIL_THREADS={} '{}' --gtest_also_run_disabled_tests "
        "--gtest_filter=HostScorer.DISABLED_PrintAnswers",
        threads, self);
    FILE* pipe = popen(command.c_str(), "r");
    ASSERT_NE(pipe, nullptr);
    std::string output;
    std::array<char, 4096> buffer{};
    while (fgets(buffer.data(), static_cast<int>(buffer.size()), pipe) != nullptr)
      output += buffer.data();
    EXPECT_EQ(pclose(pipe), 0);
    const size_t begin = output.find("<<");
    const size_t end = output.find(">>");
    ASSERT_NE(end, std::string::npos) << output;
    outputs.push_back(output.substr(begin + 2, end - begin - 2));
  }
  EXPECT_GT(outputs[0].size(), 1000U);
  EXPECT_EQ(outputs[0], outputs[1]);
  EXPECT_EQ(outputs[0], outputs[2]);
  EXPECT_EQ(outputs[0], answers_of(tiny_model(), {}));
}

}  // namespace
}  // namespace dovetail::eval
