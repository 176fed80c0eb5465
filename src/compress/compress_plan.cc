#include "compress/compress_plan.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "compress/learned_rounding.h"
#include "compress/model_source.h"
#include "compress/round_matrix.h"

namespace dovetail::compress {
namespace {

using recipe::SiteKind;

// The program, its libraries and their threads, before any model.
constexpr int64_t kProgramBytes = int64_t{384} << 20;
constexpr int64_t kFloat = sizeof(float);
constexpr double kGroup = 64;  // of coordinate descent, about

// A step and what it holds.
struct Step {
  int64_t bytes = 0;
  std::string name;
};

void keep_larger(Step& largest, Step step) {
  if (step.bytes > largest.bytes) largest = std::move(step);
}

int64_t layer_bytes(const model::ModelShape& s) {
  return s.num_block_linear_weights() / s.num_layers * kFloat;
}

// Beside the layer's own weights, while a matrix (n, k) is rounded: the stack, what is written, and
// for GPTQ the rest that moves, the comparison with round to nearest (three more), moments, their
// factor in double, then in float.
int64_t site_bytes(const recipe::LinearTreatment& treatment, int64_t n, int64_t k) {
  const int64_t matrix = n * k * kFloat;
  const int64_t moments = k * k * kFloat;
  constexpr int64_t kPackedRow = 12;  // bytes of a value in both operands of amx::add_gram
  const int64_t packed = 512 * k * kPackedRow;
  switch (treatment.algorithm) {
    case recipe::Algorithm::kNearest:
      return 2 * matrix;
    case recipe::Algorithm::kImatrix:
      return moments + std::max(packed, 4 * matrix);
    default:
      return moments + std::max({packed, 3 * moments + matrix, moments + 5 * matrix});
  }
}

int64_t packed_bytes(const recipe::LinearTreatment& treatment, int64_t n, int64_t k) {
  return (n * formats::stored_bits_per_row(treatment.weight, k) + 7) / 8;
}

double all_flops(const CompressPlan& plan) {
  return plan.scoring_flops + plan.forward_flops + plan.moment_flops + plan.solve_flops;
}

class Planner {
 public:
  Planner(const model::ModelShape& whole, const model::ModelShape& shape,
          const recipe::Recipe& recipe, const PlanInputs& inputs)
      : whole_(whole), shape_(shape), recipe_(recipe), inputs_(inputs) {}

  [[nodiscard]] CompressPlan plan(bool spills, int64_t rows_at_once) const {
    CompressPlan plan{.inputs = inputs_, .spills = spills, .rows_at_once = rows_at_once};
    const Step peak = largest_step(spills, rows_at_once);
    plan.peak_bytes = peak.bytes;
    plan.peak_step = peak.name;
    count_disk(plan);
    count_work(plan);
    if (scores()) count_scoring(plan);
    if (inputs_.fp32_flops_per_s > 0) plan.duration_s = all_flops(plan) / inputs_.fp32_flops_per_s;
    return plan;
  }

 private:
  // Of the text that the pass reads; pruning may be all that asks for one.
  [[nodiscard]] int64_t scored_tokens() const { return inputs_.sequences * inputs_.seq; }
  [[nodiscard]] int64_t tokens() const {
    return recipe::sites_need_calibration(recipe_) ? scored_tokens() : 0;
  }
  [[nodiscard]] const recipe::LinearTreatment& treatment(size_t layer, size_t kind) const {
    return recipe_.layers[layer].linear[kind];
  }

  [[nodiscard]] bool scores() const { return recipe::prunes(recipe_.pruning, whole_); }
  [[nodiscard]] int64_t rows_side_by_side(int64_t rows_at_once) const {
    if (inputs_.seq == 0) return 0;
    return std::clamp<int64_t>(rows_at_once / inputs_.seq, 1, inputs_.sequences) * inputs_.seq;
  }
  // Carried error runs the original beside.
  [[nodiscard]] bool carries() const { return recipe_.carried_frac > 0; }
  // Activations of the whole text: the stream, and the inputs of attn_o or mlp_down.
  [[nodiscard]] int64_t text_bytes() const {
    const model::ModelShape& s = shape_;
    return (carries() ? 2 : 1) * tokens() *
           (s.hidden_size + std::max(s.q_size(), s.intermediate_size)) * kFloat;
  }
  [[nodiscard]] int64_t stream_bytes() const {
    return (whole_.num_layers + 1) * scored_tokens() * whole_.hidden_size * kFloat;
  }

  // Scratch of a layer forward, what it saves, scratch of its way back, two streams; behind the
  // head every piece holds 256 rows of logits (mask_fisher.h).
  [[nodiscard]] Step scoring_step(bool spills, int64_t rows_at_once) const {
    const model::ModelShape& s = whole_;
    const int64_t widest = std::max({s.hidden_size, s.q_size(), s.intermediate_size});
    const int64_t row =
        6 * s.hidden_size + 5 * s.q_size() + 6 * s.kv_size() + 7 * s.intermediate_size + widest;
    const int64_t beside = kProgramBytes + (spills ? 0 : stream_bytes());
    const int64_t layer = 2 * layer_bytes(s) + rows_side_by_side(rows_at_once) * row * kFloat;
    const int64_t pieces = std::max<int64_t>(rows_side_by_side(rows_at_once) / kPieceRows, 1);
    const int64_t logits = pieces * 256 * (s.vocab_size + 4 * s.hidden_size);
    const int64_t head = (2 * s.num_head_weights() + logits) * kFloat;
    return {beside + std::max(layer, head), "scoring channels and heads"};
  }

  [[nodiscard]] Step largest_step(bool spills, int64_t rows_at_once) const {
    Step largest = largest_writing_step(spills, rows_at_once);
    if (scores()) keep_larger(largest, scoring_step(spills, rows_at_once));
    return largest;
  }

  [[nodiscard]] Step largest_writing_step(bool spills, int64_t rows_at_once) const {
    const model::ModelShape& s = shape_;
    const int64_t rows = tokens() == 0 ? 0 : rows_side_by_side(rows_at_once);
    // Of all pieces that run side by side, and a site's inputs of one.
    const int64_t scratch =
        rows * kFloat *
            (2 * s.hidden_size + 2 * s.q_size() + 2 * s.kv_size() + 2 * s.intermediate_size) +
        std::min(rows, std::max(kPieceRows, inputs_.seq)) * kFloat *
            std::max({2 * s.hidden_size, s.q_size(), s.intermediate_size});
    const int64_t text = spills ? 0 : text_bytes();
    // Learned rounding holds its inputs and targets, and about 20 bytes a weight.
    const bool learns = std::ranges::any_of(recipe_.layers, [](const recipe::LayerRecipe& layer) {
      return recipe::has_algorithm(layer, recipe::Algorithm::kSignround);
    });
    const int64_t learning =
        learns ? 2 * tokens() * s.hidden_size * kFloat + 2 * layer_bytes(s) : 0;
    const int64_t original = carries() ? layer_bytes(s) : 0;
    const int64_t beside = kProgramBytes + layer_bytes(s) + scratch + text + learning + original;
    Step largest{beside + (learns ? 5 * layer_bytes(s) : 0), "one layer"};
    // Reading a matrix off the grid holds it twice.
    keep_larger(largest,
                {beside + s.intermediate_size * s.hidden_size * kFloat, "reading a layer"});
    for (size_t layer = 0; layer < recipe_.layers.size(); ++layer) {
      for (size_t kind = 0; kind < 4; ++kind) {
        if (!is_treated(treatment(layer, kind))) continue;
        const auto [n, k] = recipe::linear_shape(s, static_cast<SiteKind>(kind));
        keep_larger(largest,
                    {beside + site_bytes(treatment(layer, kind), n, k) +
                         (carries() ? (n + k) * k * kFloat : 0),
                     fmt::format("{} ({})", recipe::site_kind_name(static_cast<SiteKind>(kind)),
                                 recipe::weight_treatment_name(treatment(layer, kind)))});
      }
      if (layer > 0 && recipe_.layers[layer] == recipe_.layers[0]) break;  // the rest is alike
    }
    if (is_treated(recipe_.head)) {
      const int64_t packed = packed_bytes(recipe_.head, s.vocab_size, s.hidden_size);
      keep_larger(largest, {kProgramBytes + text + 3 * packed +
                                site_bytes(recipe_.head, s.vocab_size, s.hidden_size),
                            fmt::format("head ({})", recipe::weight_treatment_name(recipe_.head))});
    } else {
      // Written as it is: values, their 16-bit form twice, and the pages of the file that is read.
      keep_larger(largest, {kProgramBytes + s.num_head_weights() * (kFloat + 6), "embedding"});
    }
    return largest;
  }

  void count_disk(CompressPlan& plan) const {
    const model::ModelShape& s = shape_;
    const auto stored = [&](const recipe::LinearTreatment& t, int64_t n, int64_t k) {
      return is_treated(t) ? packed_bytes(t, n, k) : 2 * n * k;
    };
    for (size_t layer = 0; layer < recipe_.layers.size(); ++layer)
      for (size_t kind = 0; kind < 4; ++kind) {
        const auto [n, k] = recipe::linear_shape(s, static_cast<SiteKind>(kind));
        plan.work_disk_bytes += is_treated(treatment(layer, kind))
                                    ? stored(treatment(layer, kind), n, k)
                                    : n * k * kFloat;
        plan.out_disk_bytes += stored(treatment(layer, kind), n, k);
      }
    const int64_t head = stored(recipe_.head, s.vocab_size, s.hidden_size);
    if (is_treated(recipe_.head)) plan.work_disk_bytes += head;
    // A tied head that is treated is written for the embedding too.
    plan.out_disk_bytes += s.tied_embedding && !is_treated(recipe_.head)
                               ? head
                               : head + (s.tied_embedding ? head : 2 * s.num_head_weights());
    plan.work_disk_bytes += 2 * tokens() * s.hidden_size * kFloat;  // where it goes on
    if (plan.spills) plan.work_disk_bytes += text_bytes();
    // Gone before the first piece is written.
    if (plan.spills && scores())
      plan.work_disk_bytes = std::max(plan.work_disk_bytes, stream_bytes());
  }

  // Three forward passes over the layers (forward, again, back), attention's way back two and a
  // half times as much as forward; the head twice.
  void count_scoring(CompressPlan& plan) const {
    const model::ModelShape& s = whole_;
    const auto rows = static_cast<double>(scored_tokens());
    const double linears = 2 * rows * static_cast<double>(s.num_block_linear_weights());
    const double attention = 2 * rows * static_cast<double>(inputs_.seq) *
                             static_cast<double>(s.q_size()) * static_cast<double>(s.num_layers);
    plan.scoring_flops =
        3 * linears + 4.5 * attention + 4 * rows * static_cast<double>(s.num_head_weights());
  }

  void count_work(CompressPlan& plan) const {
    if (tokens() == 0) return;
    const model::ModelShape& s = shape_;
    const auto rows = static_cast<double>(tokens());
    for (size_t layer = 0; layer < recipe_.layers.size(); ++layer) {
      plan.forward_flops += 2 * rows * static_cast<double>(layer_bytes(s) / kFloat);
      // Scores and values, the causal half.
      const double attention =
          2 * rows * static_cast<double>(inputs_.seq) * static_cast<double>(s.q_size());
      plan.forward_flops += attention;
      count_layer_passes(recipe_.layers[layer],
                         2 * rows * static_cast<double>(layer_bytes(s) / kFloat) + attention, plan);
      for (size_t kind = 0; kind < 4; ++kind) {
        const auto [n, k] = recipe::linear_shape(s, static_cast<SiteKind>(kind));
        add_site(treatment(layer, kind), static_cast<double>(n), static_cast<double>(k), rows,
                 plan);
      }
    }
    add_site(recipe_.head, static_cast<double>(s.vocab_size), static_cast<double>(s.hidden_size),
             rows, plan);
  }

  // Folds run the layer once more for their statistics. Learned rounding runs the original beside
  // it, and each step forward and backward (three times a forward) over a minibatch.
  void count_layer_passes(const recipe::LayerRecipe& recipe, double forward,
                          CompressPlan& plan) const {
    const bool folds = std::ranges::any_of(
        recipe.linear, [](const auto& t) { return t.fold != recipe::Fold::kNone; });
    const bool learns = recipe::has_algorithm(recipe, recipe::Algorithm::kSignround);
    if (folds) plan.forward_flops += forward;
    if (carries()) plan.forward_flops += forward;
    if (!learns) return;
    const LearnedParams learned;
    const double batch_frac = static_cast<double>(std::min(learned.batch, inputs_.sequences)) /
                              static_cast<double>(inputs_.sequences);
    plan.forward_flops += forward * (2 + static_cast<double>(learned.checks));
    plan.solve_flops += 3 * forward * batch_frac * static_cast<double>(learned.iterations);
  }

  // Moments: the half that symmetry leaves. GPTQ: factor and inverse 2/3 k^3 in double, moving the
  // rest n k^2, three output errors of n k^2 each.
  void add_site(const recipe::LinearTreatment& treatment, double n, double k, double rows,
                CompressPlan& plan) const {
    if (!needs_moments(treatment)) return;
    plan.moment_flops += rows * k * k;
    plan.solve_flops += 2 * n * k * k;
    if (treatment.algorithm == recipe::Algorithm::kImatrix) return;
    plan.solve_flops += 2 * (2.0 / 3) * k * k * k + 2 * n * k * k;
    // Moments between the original's inputs and these, all of them; three products with the weights
    // and another factor.
    if (carries()) {
      plan.moment_flops += 2 * rows * k * k;
      plan.solve_flops += 2 * (2.0 / 3) * k * k * k + 6 * n * k * k;
    }
    // Four sweeps of 2 n k^2 and 30 groups' products.
    if (treatment.algorithm != recipe::Algorithm::kGptq)
      plan.solve_flops += 4 * (2 * n * k * k + 2 * 30 * n * k * kGroup);
  }

  const model::ModelShape& whole_;  // of the source
  const model::ModelShape& shape_;  // after its passes
  const recipe::Recipe& recipe_;
  const PlanInputs& inputs_;
};

double gib(int64_t bytes) {
  return static_cast<double>(bytes) / static_cast<double>(int64_t{1} << 30);
}

}  // namespace

Result<CompressPlan> plan_compression(const model::ModelShape& whole, const recipe::Recipe& recipe,
                                      const PlanInputs& inputs) {
  DOVETAIL_TRY(const model::ModelShape shape, shape_after(whole, recipe));
  const Planner planner(whole, shape, recipe, inputs);
  CompressPlan plan;
  // First what is quickest; disk before smaller pieces.
  for (const bool spills : {false, true}) {
    plan = planner.plan(spills, inputs.rows_at_once);
    if (plan.peak_bytes <= inputs.memory_bytes) return plan;
    if (inputs.sequences == 0) break;
  }
  for (int64_t rows = inputs.rows_at_once / 2; rows >= inputs.seq && rows > 0; rows /= 2) {
    plan = planner.plan(true, rows);
    if (plan.peak_bytes <= inputs.memory_bytes) return plan;
  }
  return invalid_argument(
      fmt::format("memory: {:.2f} GiB are allowed, want at least {:.2f}: {} takes that much",
                  gib(inputs.memory_bytes), gib(plan.peak_bytes), plan.peak_step));
}

std::string to_text(const CompressPlan& plan) {
  const PlanInputs& inputs = plan.inputs;
  const double tera = 1e12;
  std::string text = fmt::format("memory  {:.2f} GiB at most, in {}; {:.2f} GiB allowed\n",
                                 gib(plan.peak_bytes), plan.peak_step, gib(inputs.memory_bytes));
  text += fmt::format("disk    {:.2f} GiB for the checkpoint, {:.2f} GiB for work{}\n",
                      gib(plan.out_disk_bytes), gib(plan.work_disk_bytes),
                      plan.spills ? " (activations included)" : "");
  if (inputs.sequences == 0) return text + "work    rounding alone, no calibration text\n";
  text += fmt::format(
      "work    {:.2f} TFLOP: {}forward {:.2f}, second moments {:.2f}, solving {:.2f}; {} x {} "
      "tokens\n",
      all_flops(plan) / tera,
      plan.scoring_flops > 0
          ? fmt::format("scoring what is pruned {:.2f}, ", plan.scoring_flops / tera)
          : "",
      plan.forward_flops / tera, plan.moment_flops / tera, plan.solve_flops / tera,
      inputs.sequences, inputs.seq);
  if (plan.duration_s > 0) {
    text += fmt::format(
        "time    {:.0f} s of arithmetic at {:.0f} GFLOP/s, as measured now; expect up to {:.0f} "
        "s\n",
        plan.duration_s, inputs.fp32_flops_per_s / 1e9, 1.7 * plan.duration_s);
  }
  return text;
}

}  // namespace dovetail::compress
