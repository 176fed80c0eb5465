#include "eval/ifeval.h"

#include <algorithm>
#include <array>
#include <numeric>

#include <fmt/format.h>

#include "eval/python_random.h"
#include "eval/python_text.h"
#include "eval/score.h"

namespace dovetail::eval {
namespace {

constexpr int64_t kMaxNewTokens = 1280;
constexpr std::array kMetrics = {"prompt_level_strict_acc", "inst_level_strict_acc",
                                 "prompt_level_loose_acc", "inst_level_loose_acc"};
constexpr uint64_t kNumFurtherSeeds = 20;

std::vector<uint64_t> seeds_from(uint64_t first, uint64_t count) {
  std::vector<uint64_t> seeds(count);
  std::iota(seeds.begin(), seeds.end(), first);
  return seeds;
}

IfevalCheckParams check_params(ScoringMode mode) {
  if (mode == ScoringMode::kLmEval) return {.mode = mode, .language_seeds = {0}};
  return {.mode = mode, .language_seeds = seeds_from(0, kNumFurtherSeeds + 1)};
}

Result<bool> follows_any(const IfevalInstruction& instruction,
                         const std::vector<std::string>& variants, const IfevalTools& tools,
                         const IfevalCheckParams& params) {
  for (const std::string& variant : variants) {
    DOVETAIL_TRY(const auto followed, follows(instruction, variant, tools, params));
    if (followed[0]) return true;
  }
  return false;
}

Result<double> flip_frac(const IfevalInstruction& instruction, const std::string& response,
                         const IfevalTools& tools, bool counted) {
  DOVETAIL_TRY(const auto others, follows(instruction, response, tools,
                                          {.language_seeds = seeds_from(1, kNumFurtherSeeds)}));
  return static_cast<double>(std::count(others.begin(), others.end(), !counted)) /
         static_cast<double>(others.size());
}

bool all_of(const std::vector<bool>& followed) {
  return std::find(followed.begin(), followed.end(), false) == followed.end();
}

Judgement verdict_of(const IfevalRow& row, const IfevalJudgement& judgement) {
  Judgement verdict{.correct = all_of(judgement.strict)};
  Json ids = Json::array();
  for (const IfevalInstruction& instruction : row.instructions) ids.push_back(instruction.id);
  verdict.fields = {{"key", row.key},
                    {"instruction_id_list", ids},
                    {"prompt_level_loose_acc", all_of(judgement.loose) ? 1.0 : 0.0},
                    {"inst_level_strict_acc", judgement.strict},
                    {"inst_level_loose_acc", judgement.loose}};
  for (const double share : judgement.flip_frac) {
    verdict.fields["checker_noise_frac"].push_back(share < 0 ? Json() : Json(share));
  }
  verdict.fields["metrics"] = kMetrics;
  return verdict;
}

// lm-eval's four metrics, and how far langdetect's seed decides them.
Json summary_of(const std::vector<Judgement>& verdicts) {
  std::vector<bool> prompt_strict, prompt_loose, strict, loose;
  double flips = 0;
  int64_t num_language = 0;
  for (const Judgement& verdict : verdicts) {
    prompt_strict.push_back(verdict.correct);
    prompt_loose.push_back(verdict.fields["prompt_level_loose_acc"] == 1.0);
    for (const Json& one : verdict.fields["inst_level_strict_acc"]) strict.push_back(one);
    for (const Json& one : verdict.fields["inst_level_loose_acc"]) loose.push_back(one);
    for (const Json& share : verdict.fields["checker_noise_frac"]) {
      if (share.is_null()) continue;
      ++num_language;
      flips += share.get<double>();
    }
  }
  // Instructions of one prompt are not independent, so their standard error is not known; lm-eval
  // gives none either.
  const auto of_instructions = [](const std::vector<bool>& followed) {
    Score score = score_of(followed);
    score.stderr_frac.reset();
    return score_to_json(score);
  };
  return {{"prompt_level_strict_acc", score_to_json(score_of(prompt_strict))},
          {"prompt_level_loose_acc", score_to_json(score_of(prompt_loose))},
          {"inst_level_strict_acc", of_instructions(strict)},
          {"inst_level_loose_acc", of_instructions(loose)},
          {"checker_noise_frac",
           num_language == 0 ? Json() : Json(flips / static_cast<double>(num_language))},
          {"num_language_instructions", num_language}};
}

}  // namespace

std::vector<std::string> loose_variants(const std::string& response) {
  const size_t first_end = response.find('\n');
  const size_t last_begin = response.rfind('\n');
  const bool one_line = first_end == std::string::npos;
  const std::string without_first = one_line ? "" : response.substr(first_end + 1);
  const std::string without_last = one_line ? "" : response.substr(0, last_begin);
  const std::string without_both = one_line || first_end == last_begin
                                       ? ""
                                       : response.substr(first_end + 1, last_begin - first_end - 1);
  std::vector<std::string> variants;
  const auto add = [&](const std::string& text) {
    if (std::find(variants.begin(), variants.end(), text) == variants.end()) {
      variants.push_back(text);
    }
  };
  add(response);
  for (const std::string& text : {without_first, without_last, without_both}) {
    add(std::string(strip(text)));
  }
  for (const std::string& text : std::vector<std::string>(variants)) {
    add(replace_all(text, "*", ""));
  }
  return variants;
}

Result<IfevalJudgement> judge_ifeval(const IfevalRow& row, const std::string& response,
                                     const IfevalTools& tools, ScoringMode mode) {
  const IfevalCheckParams params = check_params(mode);
  const std::vector<std::string> variants = loose_variants(response);
  PythonRandom random(static_cast<uint64_t>(row.key));
  IfevalJudgement judgement;
  for (const IfevalInstruction& given : row.instructions) {
    const IfevalInstruction instruction = with_drawn_letter(given, mode, random);
    DOVETAIL_TRY(const auto followed, follows(instruction, response, tools, params));
    judgement.strict.push_back(followed[0]);
    judgement.flip_frac.push_back(-1);
    if (!asks_for_language(instruction)) continue;
    DOVETAIL_TRY(judgement.flip_frac.back(), flip_frac(instruction, response, tools, followed[0]));
  }
  for (const IfevalInstruction& given : row.instructions) {
    const IfevalInstruction instruction = with_drawn_letter(given, mode, random);
    DOVETAIL_TRY(const bool followed, follows_any(instruction, variants, tools, params));
    judgement.loose.push_back(followed);
  }
  return judgement;
}

Result<Task> ifeval_task(const std::vector<IfevalRow>& rows,
                         const std::shared_ptr<const IfevalTools>& tools,
                         const TaskParams& params) {
  Task task{.name = "ifeval",
            .kind = RequestKind::kGeneration,
            .metric = "prompt_level_strict_acc",
            .mode = params.mode,
            .max_new_tokens = kMaxNewTokens};
  DOVETAIL_TRY(task.num_fewshot, fewshot_of(task.name, params, 0, 0));
  DOVETAIL_TRY(const int64_t count, limited(std::ssize(rows), params));
  for (int64_t i = 0; i < count; ++i) {
    const IfevalRow& row = rows[static_cast<size_t>(i)];
    for (const IfevalInstruction& instruction : row.instructions) {
      const Status fits = check_instruction(instruction);
      if (!fits.has_value()) return with_context(fits.error(), fmt::format("prompt {}", row.key));
    }
    Question question{.doc_id = i, .target = "0"};  // lm-eval's doc_to_target
    DOVETAIL_TRY(question.prompt, build_prompt({.question = row.prompt}, params.chat));
    task.questions.push_back(std::move(question));
  }
  task.judge = [rows, tools, mode = params.mode](
                   const Question& question, const std::string& generation) -> Result<Judgement> {
    const IfevalRow& row = rows[static_cast<size_t>(question.doc_id)];
    DOVETAIL_TRY(const IfevalJudgement judgement, judge_ifeval(row, generation, *tools, mode));
    return verdict_of(row, judgement);
  };
  task.summarize = summary_of;
  return task;
}

}  // namespace dovetail::eval
