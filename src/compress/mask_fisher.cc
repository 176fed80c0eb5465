#include "compress/mask_fisher.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "compress/activation_store.h"
#include "host/attention.h"
#include "host/buffer.h"
#include "host/layer_backward.h"
#include "host/layer_ops.h"
#include "host/matmul.h"
#include "host/transformer_layer.h"

namespace dovetail::compress {
namespace {

using host::Buffer;
using recipe::SiteKind;

constexpr int64_t kLogitRows = 256;  // logits that a worker holds at once

// d loss / d mask of every column that a mask can stand for, a row a sequence.
struct Slopes {
  std::vector<double> channels;  // (b, intermediate)
  std::vector<double> attended;  // (b, q_size)
};

class FisherPass {
 public:
  FisherPass(const ModelSource& source, const host::TokenBatch& tokens, const FisherParams& params,
             ActivationStore streams, const ProgressSink& progress)
      : source_(source),
        shape_(source.shape),
        tokens_(tokens),
        progress_(progress),
        pieces_(pieces_of(tokens, params.rows_at_once)),
        rope_(tokens.seq, shape_),
        streams_(std::move(streams)) {}

  Result<std::vector<MaskScores>> run() {
    DOVETAIL_TRY_STATUS(embed(source_, nullptr, tokens_, streams_));
    for (int64_t layer = 0; layer < shape_.num_layers; ++layer) {
      report(.3, static_cast<double>(layer));
      DOVETAIL_TRY_STATUS(forward(layer));
    }
    DOVETAIL_TRY_STATUS(head_backward());
    std::vector<MaskScores> scores(static_cast<size_t>(shape_.num_layers));
    for (int64_t layer = shape_.num_layers - 1; layer >= 0; --layer) {
      report(.6, static_cast<double>(shape_.num_layers - 1 - layer), .4);
      DOVETAIL_TRY(scores[static_cast<size_t>(layer)], backward(layer));
    }
    return scores;
  }

 private:
  // The way forward takes three tenths of the time, the head one, the way back six.
  void report(double part_frac, double layers, double before_frac = 0) const {
    report_progress(progress_, "scoring channels and heads",
                    before_frac + part_frac * layers / static_cast<double>(shape_.num_layers));
  }

  // The stream that enters `layer`; behind the last one, num_layers.
  [[nodiscard]] int64_t row_of(int64_t layer, int64_t first_sequence) const {
    return layer * tokens_.rows() + first_sequence * tokens_.seq;
  }

  [[nodiscard]] host::LayerRun run_of(const model::LayerWeights& weights, int64_t sequences) const {
    return {shape_, weights, exact_, rope_, sequences, tokens_.seq};
  }
  [[nodiscard]] Buffer stream_buffer(int64_t rows) const {
    return host::make_buffer(rows * shape_.hidden_size);
  }

  Status forward(int64_t layer) {
    DOVETAIL_TRY(const model::LayerWeights weights, source_.layer(layer));
    struct Scratch {
      host::LayerScratch layer;
      Buffer stream;
    };
    std::vector<Scratch> scratch;
    const int64_t piece_rows = pieces_.sequences * tokens_.seq;
    for (int64_t i = 0; i < pieces_.workers; ++i)
      scratch.push_back({host::LayerScratch(shape_, piece_rows), stream_buffer(piece_rows)});
    return for_pieces(
        tokens_.batch, pieces_.sequences, pieces_.workers,
        [&](int64_t first, int64_t count, size_t worker) -> Status {
          const host::LayerRun run = run_of(weights, count);
          float* const stream = scratch[worker].stream.get();
          DOVETAIL_TRY_STATUS(streams_.read(row_of(layer, first), run.rows(), stream));
          host::run_layer(run, stream, scratch[worker].layer);
          return streams_.write(row_of(layer + 1, first), run.rows(), stream);
        });
  }

  // The final stream becomes the gradient there.
  Status head_backward() {
    DOVETAIL_TRY(const model::Matrix head,
                 shape_.tied_embedding ? source_.embedding() : source_.head());
    DOVETAIL_TRY(const std::vector<float> norm, source_.final_norm());
    const int64_t h = shape_.hidden_size;
    struct Scratch {
      Buffer stream, normed, d_normed, gradient, logits;
    };
    std::vector<Scratch> scratch;
    for (int64_t i = 0; i < pieces_.workers; ++i)
      scratch.push_back({stream_buffer(kLogitRows), stream_buffer(kLogitRows),
                         stream_buffer(kLogitRows), stream_buffer(kLogitRows),
                         host::make_buffer(kLogitRows * shape_.vocab_size)});
    const int64_t begin = row_of(shape_.num_layers, 0);
    return for_pieces(tokens_.rows(), kLogitRows, pieces_.workers,
                      [&](int64_t first, int64_t rows, size_t worker) -> Status {
                        const Scratch& at = scratch[worker];
                        DOVETAIL_TRY_STATUS(streams_.read(begin + first, rows, at.stream.get()));
                        host::rms_norm(rows, h, at.stream.get(), norm.data(), shape_.rms_norm_eps,
                                       at.normed.get());
                        host::apply_linear(head, rows, at.normed.get(), at.logits.get());
                        to_loss_gradient(first, rows, at.logits.get());
                        host::matmul({at.logits.get(), rows, head.rows},
                                     {head.values.data(), head.rows, head.cols}, at.d_normed.get());
                        std::fill_n(at.gradient.get(), rows * h, 0.0F);
                        host::rms_norm_backward(rows, h, at.stream.get(), norm.data(),
                                                shape_.rms_norm_eps, at.d_normed.get(),
                                                at.gradient.get());
                        return streams_.write(begin + first, rows, at.gradient.get());
                      });
  }

  // Logits become the gradient of the sequence's mean loss; its last position has no next token.
  void to_loss_gradient(int64_t first, int64_t rows, float* logits) const {
    const int64_t vocab = shape_.vocab_size;
    const float share = 1.0F / static_cast<float>(tokens_.seq - 1);
    for (int64_t row = 0; row < rows; ++row) {
      float* d = logits + row * vocab;
      const int64_t next = first + row + 1;
      if (next % tokens_.seq == 0) {
        std::fill_n(d, vocab, 0.0F);
        continue;
      }
      host::softmax_row(vocab, 1.0F, d);
      d[tokens_.ids[static_cast<size_t>(next)]] -= 1.0F;
      for (int64_t i = 0; i < vocab; ++i) d[i] *= share;
    }
  }

  Result<MaskScores> backward(int64_t layer) {
    DOVETAIL_TRY(const model::LayerWeights weights, source_.layer(layer));
    struct Scratch {
      host::LayerScratch forward;
      host::BackwardScratch backward;
      host::SavedLayer saved;
      Buffer stream, gradient;
    };
    const int64_t piece_rows = pieces_.sequences * tokens_.seq;
    std::vector<Scratch> scratch;
    for (int64_t i = 0; i < pieces_.workers; ++i)
      scratch.push_back({host::LayerScratch(shape_, piece_rows),
                         host::BackwardScratch(shape_, piece_rows),
                         {},
                         stream_buffer(piece_rows),
                         stream_buffer(piece_rows)});
    Slopes slopes;
    slopes.channels.resize(static_cast<size_t>(tokens_.batch * shape_.intermediate_size));
    slopes.attended.resize(static_cast<size_t>(tokens_.batch * shape_.q_size()));
    const Status walked = for_pieces(
        tokens_.batch, pieces_.sequences, pieces_.workers,
        [&](int64_t first, int64_t count, size_t worker) -> Status {
          const host::LayerRun run = run_of(weights, count);
          Scratch& at = scratch[worker];
          DOVETAIL_TRY_STATUS(streams_.read(row_of(layer, first), run.rows(), at.stream.get()));
          DOVETAIL_TRY_STATUS(
              streams_.read(row_of(layer + 1, first), run.rows(), at.gradient.get()));
          host::run_layer(run, at.stream.get(), at.forward, &at.saved);
          host::layer_backward_inputs(
              run, at.saved, at.backward, at.gradient.get(),
              [&](SiteKind kind, int64_t n, const float* x, const float* dx) {
                std::vector<double>& to =
                    kind == SiteKind::kMlpDown ? slopes.channels : slopes.attended;
                add_slopes(count, n, x, dx, to.data() + first * n);
              });
          return streams_.write(row_of(layer, first), run.rows(), at.gradient.get());
        });
    if (!walked.has_value()) return std::unexpected(walked.error());
    return MaskScores{.channels = mean_squares(slopes.channels, shape_.intermediate_size, 1),
                      .heads = mean_squares(slopes.attended, shape_.q_size(), shape_.head_dim),
                      .key_heads = mean_squares(slopes.attended, shape_.q_size(),
                                                shape_.q_size() / shape_.num_kv_heads)};
  }

  // Per sequence the slope at column j's mask is the sum over its positions of x_j dx_j.
  void add_slopes(int64_t sequences, int64_t n, const float* x, const float* dx,
                  double* slopes) const {
    for (int64_t row = 0; row < sequences * tokens_.seq; ++row) {
      double* slope = slopes + row / tokens_.seq * n;
      for (int64_t j = 0; j < n; ++j)
        slope[j] += static_cast<double>(x[row * n + j]) * static_cast<double>(dx[row * n + j]);
    }
  }

  // `width` neighbouring columns of n have one mask.
  [[nodiscard]] std::vector<double> mean_squares(const std::vector<double>& slopes, int64_t n,
                                                 int64_t width) const {
    std::vector<double> scores(static_cast<size_t>(n / width));
    for (int64_t sequence = 0; sequence < tokens_.batch; ++sequence) {
      for (int64_t mask = 0; mask < n / width; ++mask) {
        double sum = 0;
        for (int64_t j = mask * width; j < (mask + 1) * width; ++j)
          sum += slopes[static_cast<size_t>(sequence * n + j)];
        scores[static_cast<size_t>(mask)] += sum * sum / static_cast<double>(tokens_.batch);
      }
    }
    return scores;
  }

  const ModelSource& source_;
  const model::ModelShape& shape_;
  const host::TokenBatch& tokens_;
  const ProgressSink& progress_;
  const host::LayerNumerics exact_ = {};
  Pieces pieces_;
  host::RopeTable rope_;
  ActivationStore streams_;  // (layers + 1, tokens, hidden); on the way back gradients
};

}  // namespace

Result<std::vector<MaskScores>> mask_fisher(const ModelSource& source,
                                            const host::TokenBatch& tokens,
                                            const FisherParams& params,
                                            const ProgressSink& progress) {
  DOVETAIL_TRY_STATUS(host::check_tokens(source.shape, tokens));
  if (tokens.seq < 2) {
    return invalid_argument(
        fmt::format("calibration: sequences of {} token, want at least 2: the loss is that of the "
                    "next one",
                    tokens.seq));
  }
  host::configure_math_threads();
  DOVETAIL_TRY(ActivationStore streams,
               ActivationStore::create((source.shape.num_layers + 1) * tokens.rows(),
                                       source.shape.hidden_size, params.spill_folder));
  return FisherPass(source, tokens, params, std::move(streams), progress).run();
}

}  // namespace dovetail::compress
