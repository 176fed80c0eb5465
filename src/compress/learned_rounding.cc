#include "compress/learned_rounding.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>
#include <utility>

#include <fmt/format.h>

#include "base/parallel.h"
#include "base/random.h"
#include "compress/code_ladder.h"
#include "formats/quantize.h"
#include "host/layer_backward.h"

namespace dovetail::compress {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

class Learner {
 public:
  Learner(const LayerProblem& problem, const LearnedParams& params)
      : problem_(problem),
        params_(params),
        batch_(std::min(params.batch, problem.num_sequences)),
        written_(problem.weights),
        gradient_(host::make_gradient(problem.weights)),
        forward_(problem.shape, batch_ * problem.seq),
        backward_(problem.shape, batch_ * problem.seq),
        hidden_(host::make_buffer(batch_ * problem.seq * problem.shape.hidden_size)) {}

  Status start_from(const RoundedLayer& start) {
    for (size_t i = 0; i < kLayerLinears; ++i) {
      const model::Matrix& original = problem_.weights.*layer_linears()[i];
      DOVETAIL_TRY(CodeLadder ladder,
                   CodeLadder::make(start[i], original, params_.start_reach, params_.reach));
      ladders_.push_back(std::move(ladder));
    }
    write();
    return {};
  }

  LearnedLayer run(const RoundedLayer& start) {
    const auto began = Clock::now();
    LearnedLayer found{.linears = start, .stats = {}};
    LearnedStats& stats = found.stats;
    stats.start_loss = stats.loss = total_loss();
    const double rate = params_.rate > 0
                            ? params_.rate
                            : 1.0 / static_cast<double>(std::max<int64_t>(params_.iterations, 1));
    Random random(params_.seed);
    const int64_t step = (params_.iterations + params_.checks - 1) / params_.checks;
    for (int64_t i = 0; i < params_.iterations; ++i) {
      const auto from = Clock::now();
      const double left = 1.0 - static_cast<double>(i) / static_cast<double>(params_.iterations);
      learn(next_batch(random), static_cast<float>(rate * left));
      stats.learning_seconds += seconds_since(from);
      stats.iterations = i + 1;
      if ((i + 1) % step == 0 || i + 1 == params_.iterations) keep_best(i + 1, found);
    }
    for (size_t i = 0; i < kLayerLinears; ++i)
      for (size_t at = 0; at < start[i].values.size(); ++at)
        stats.changed_weights += found.linears[i].values[at] != start[i].values[at] ? 1 : 0;
    stats.seconds = seconds_since(began);
    return found;
  }

  // Mean over all sequences, batch after batch.
  double total_loss() {
    double sum = 0;
    for (int64_t first = 0; first < problem_.num_sequences; first += batch_) {
      std::vector<int64_t> batch;
      for (int64_t i = first; i < std::min(first + batch_, problem_.num_sequences); ++i)
        batch.push_back(i);
      run_forward(batch, nullptr);
      sum += compare(batch);
    }
    return sum / static_cast<double>(problem_.num_sequences * problem_.seq);
  }

 private:
  host::LayerRun layer_run(int64_t count) const {
    return {problem_.shape, written_, problem_.numerics, problem_.rope, count, problem_.seq};
  }
  int64_t values_per_sequence() const { return problem_.seq * problem_.shape.hidden_size; }

  // Sequences in an order of chance, each once before any comes again.
  std::vector<int64_t> next_batch(Random& random) {
    std::vector<int64_t> batch;
    while (std::ssize(batch) < batch_) {
      if (order_.empty()) {
        order_.resize(static_cast<size_t>(problem_.num_sequences));
        std::iota(order_.begin(), order_.end(), 0);
        for (int64_t i = problem_.num_sequences - 1; i > 0; --i)
          std::swap(order_[static_cast<size_t>(i)],
                    order_[static_cast<size_t>(random.below(i + 1))]);
      }
      batch.push_back(order_.back());
      order_.pop_back();
    }
    return batch;
  }

  void run_forward(const std::vector<int64_t>& batch, host::SavedLayer* saved) {
    const int64_t count = values_per_sequence();
    for (size_t i = 0; i < batch.size(); ++i)
      std::copy_n(problem_.inputs + batch[i] * count, count,
                  hidden_.get() + static_cast<int64_t>(i) * count);
    host::run_layer(layer_run(std::ssize(batch)), hidden_.get(), forward_, saved);
  }

  // The loss summed over the batch's tokens; hidden becomes its gradient (up to a factor of 2).
  double compare(const std::vector<int64_t>& batch) {
    const int64_t h = problem_.shape.hidden_size;
    const int64_t rows = std::ssize(batch) * problem_.seq;
    std::vector<double> losses(static_cast<size_t>(rows));
    host::for_row_pieces(rows, 4 * h, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        const int64_t sequence = batch[static_cast<size_t>(row / problem_.seq)];
        const float* target = problem_.targets + (sequence * problem_.seq + row % problem_.seq) * h;
        float* out = hidden_.get() + row * h;
        double size = 0;
        double error = 0;
        for (int64_t i = 0; i < h; ++i) {
          size += static_cast<double>(target[i]) * static_cast<double>(target[i]);
          out[i] -= target[i];
          error += static_cast<double>(out[i]) * static_cast<double>(out[i]);
        }
        const double weight = size > 0 ? 1 / size : 0;
        losses[static_cast<size_t>(row)] = weight * error;
        for (int64_t i = 0; i < h; ++i) out[i] *= static_cast<float>(weight);
      }
    });
    return std::accumulate(losses.begin(), losses.end(), 0.0);
  }

  void learn(const std::vector<int64_t>& batch, float rate) {
    host::SavedLayer saved;
    run_forward(batch, &saved);
    compare(batch);
    host::layer_backward(layer_run(std::ssize(batch)), saved, backward_, hidden_.get(), gradient_,
                         false);
    for (size_t i = 0; i < kLayerLinears; ++i)
      ladders_[i].step((gradient_.*layer_linears()[i]).values, rate,
                       rate * static_cast<float>(params_.scale_rate));
    write();
  }

  void write() {
    for (size_t i = 0; i < kLayerLinears; ++i)
      ladders_[i].write((written_.*layer_linears()[i]).values);
  }

  void keep_best(int64_t iteration, LearnedLayer& found) {
    const double loss = total_loss();
    if (!(loss < found.stats.loss)) return;
    found.stats.loss = loss;
    found.stats.best_iteration = iteration;
    for (size_t i = 0; i < kLayerLinears; ++i) {
      if (found.linears[i].format.element == formats::Element::kBf16) continue;
      found.linears[i].values = (written_.*layer_linears()[i]).values;
      found.linears[i].scales = ladders_[i].scales();
    }
  }

  const LayerProblem& problem_;
  const LearnedParams& params_;
  int64_t batch_;
  model::LayerWeights written_;
  model::LayerWeights gradient_;
  host::LayerScratch forward_;
  host::BackwardScratch backward_;
  host::Buffer hidden_;  // (batch * s, h)
  std::vector<CodeLadder> ladders_;
  std::vector<int64_t> order_;  // sequences still to come
};

Status check(const LayerProblem& problem, const LearnedParams& params) {
  const auto wrong = [](std::string_view name, auto value, std::string_view want) {
    return invalid_argument(fmt::format("learned rounding: {} = {}, want {}", name, value, want));
  };
  if (params.iterations < 0 || params.iterations > 100000)
    return wrong("iterations", params.iterations, "0..100000");
  if (params.batch < 1) return wrong("batch", params.batch, "at least 1");
  if (params.checks < 1) return wrong("checks", params.checks, "at least 1");
  if (!(params.rate >= 0) || params.rate > 8) return wrong("rate", params.rate, "0..8");
  if (!(params.scale_rate >= 0) || params.scale_rate > 8)
    return wrong("scale_rate", params.scale_rate, "0..8");
  if (!(params.start_reach >= 0) || params.start_reach > .5)
    return wrong("start_reach", params.start_reach, "0..0.5");
  if (!(params.reach > 0) || !(params.reach < 8))
    return wrong("reach", params.reach, "above 0, below 8");
  if (problem.num_sequences < 1) return wrong("num_sequences", problem.num_sequences, "at least 1");
  if (problem.seq < 1) return wrong("seq", problem.seq, "at least 1");
  return {};
}

}  // namespace

RoundedLayer nearest_layer(const model::LayerWeights& weights,
                           const std::array<formats::WeightFormat, kLayerLinears>& formats,
                           const formats::Rounding& rounding) {
  RoundedLayer layer;
  for (size_t i = 0; i < kLayerLinears; ++i) {
    layer[i].format = formats[i];
    if (formats[i].element == formats::Element::kBf16) continue;
    const model::Matrix& w = weights.*layer_linears()[i];
    layer[i].scales = formats::choose_scales(formats[i], rounding, w.rows, w.cols, w.values.data());
    layer[i].values.resize(w.values.size());
    formats::round_rows(formats[i], rounding.ties, layer[i].scales, w.rows, w.cols, w.values.data(),
                        layer[i].values.data());
  }
  return layer;
}

Result<LearnedLayer> learn_rounding(const LayerProblem& problem, const RoundedLayer& start,
                                    const LearnedParams& params) {
  DOVETAIL_TRY_STATUS(check(problem, params));
  Learner learner(problem, params);
  DOVETAIL_TRY_STATUS(learner.start_from(start));
  return learner.run(start);
}

Result<double> layer_loss(const LayerProblem& problem, const RoundedLayer& linears) {
  const LearnedParams params;
  DOVETAIL_TRY_STATUS(check(problem, params));
  Learner learner(problem, params);
  DOVETAIL_TRY_STATUS(learner.start_from(linears));
  return learner.total_loss();
}

}  // namespace dovetail::compress
