#include "compress/head_loss.h"

#include <algorithm>
#include <memory>
#include <numeric>

#include <fmt/format.h>

#include "compress/spread_rows.h"
#include "formats/quantize.h"

namespace dovetail::compress {
namespace {

using formats::ActivationFormat;
using formats::WeightFormat;
using model::Matrix;

// 1/2 sum over positions and channels of delta^2 / positions * (rounded row - row of the token)^2.
double embedding_loss(const Matrix& embedding, const Matrix& rounded,
                      const host::TokenBatch& tokens, const Matrix& sensitivity) {
  const int64_t h = embedding.cols;
  double loss = 0;
  for (int64_t position = 0; position < tokens.rows(); ++position) {
    const int64_t token = tokens.ids[static_cast<size_t>(position)];
    const float* row = embedding.values.data() + token * h;
    const float* rounded_row = rounded.values.data() + token * h;
    const float* weight = sensitivity.values.data() + position * h;
    for (int64_t i = 0; i < h; ++i) {
      const double error = static_cast<double>(row[i]) - static_cast<double>(rounded_row[i]);
      loss += 0.5 * static_cast<double>(weight[i]) * error * error;
    }
  }
  return loss;
}

// Never below 0: the smallest KLs can come out so by rounding.
Result<double> mean_kl(const Matrix& reference_logits, const host::HostModel& treated,
                       const Matrix& hidden) {
  DOVETAIL_TRY(const host::KlResult kl, host::kl_divergence(reference_logits, treated, hidden));
  const double sum =
      std::accumulate(kl.kl_nats_per_position.begin(), kl.kl_nats_per_position.end(), 0.0);
  return std::max(0.0, sum / static_cast<double>(kl.kl_nats_per_position.size()));
}

}  // namespace

Result<HeadLosses> price_head(const host::HostModel& reference, const host::TokenBatch& tokens,
                              const std::vector<WeightFormat>& weight_formats,
                              const Matrix& embedding_sensitivity, int64_t scored_positions,
                              const ProgressSink& progress) {
  if (scored_positions < 1) {
    return invalid_argument(
        fmt::format("head: scored_positions = {}, want 1 or more", scored_positions));
  }
  DOVETAIL_TRY(const Matrix all_hidden, reference.hidden_states(tokens));
  const Matrix hidden = pick_rows(all_hidden, spread_rows(all_hidden.rows, scored_positions));
  DOVETAIL_TRY(const Matrix logits, reference.logits(hidden));
  const bool tied = reference.shape().tied_embedding;
  HeadLosses losses;
  for (const ActivationFormat format :
       {ActivationFormat::kInt8Token, ActivationFormat::kFp8Token}) {
    host::HostModel treated = reference;
    DOVETAIL_TRY_STATUS(treated.set_numerics({.layers = {}, .head = {.format = format}}));
    DOVETAIL_TRY(losses.activation[formats::format_name(format)], mean_kl(logits, treated, hidden));
  }
  host::HostModel treated = reference;
  const auto rounded = std::make_shared<Matrix>(reference.head());
  DOVETAIL_TRY_STATUS(treated.replace_head(rounded));
  double done = 0;
  for (const WeightFormat& format : weight_formats) {
    const std::string name = formats::format_name(format);
    report_progress(progress, "pricing head as " + name,
                    done++ / static_cast<double>(weight_formats.size()));
    formats::quantize_rows(format, formats::Rounding{}, rounded->rows, rounded->cols,
                           reference.head().values.data(), rounded->values.data());
    DOVETAIL_TRY(double loss, mean_kl(logits, treated, hidden));
    if (tied) loss += embedding_loss(reference.head(), *rounded, tokens, embedding_sensitivity);
    losses.weight[name] = loss;
  }
  return losses;
}

}  // namespace dovetail::compress
