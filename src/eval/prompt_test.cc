// All prompts of all tasks against those that lm-eval builds.
#include "eval/prompt.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/hash.h"
#include "eval/fixtures.h"
#include "eval/gsm8k.h"
#include "eval/humaneval.h"
#include "eval/mmlu.h"
#include "eval/token_requests.h"
#include "eval/wikitext.h"
#include "model/file_set.h"

namespace dovetail::eval {
namespace {

// The template that make_eval_fixtures.py gives to lm-eval.
Result<std::string> render(const std::vector<Message>& conversation, bool add_generation_prompt) {
  std::string text;
  for (const Message& message : conversation) {
    text += fmt::format("<{0}>{1}</{0}>\n", message.role, message.content);
  }
  if (add_generation_prompt) return text + "<assistant>";
  return text.substr(0, text.rfind("</assistant>\n"));
}

TaskParams chat(TaskParams params, bool shots_as_turns, const std::string& system) {
  params.chat = {.render = render, .shots_as_turns = shots_as_turns, .system = system};
  return params;
}

// Text of the examples of gsm8k_cot, or why it is not there.
Result<std::vector<Gsm8kRow>> cot_shots() {
  DOVETAIL_TRY(const auto files, model::read_file_set("gsm8k_cot"));
  return parse_gsm8k_cot_shots(files.at("gsm8k-cot.yaml"), "gsm8k-cot.yaml");
}

std::vector<Task> one(Result<Task> task) {
  if (!task.has_value()) ADD_FAILURE() << task.error().message;
  return {std::move(task).value()};
}

std::vector<Task> tasks_of(const std::string& form) {
  static const BenchmarkFiles files = benchmark_files();
  const auto mmlu = [](const TaskParams& params) { return mmlu_tasks(files, params).value(); };
  const auto gsm8k = [](const TaskParams& params) {
    return one(gsm8k_task(files.gsm8k("test").value(), files.gsm8k("train").value(), params));
  };
  const auto humaneval = [](HumanEvalForm of, const TaskParams& params) {
    return one(humaneval_task(files.humaneval().value(), of, {}, params));
  };
  if (form == "mmlu_0") return mmlu({});
  if (form == "mmlu_5") return mmlu({.num_fewshot = 5});
  const TaskParams mmlu_chat{.num_fewshot = 2, .limit = 3};
  if (form == "mmlu_2_turns") return mmlu(chat(mmlu_chat, true, ""));
  if (form == "mmlu_2_one_turn") return mmlu(chat(mmlu_chat, false, "Think."));
  if (form == "gsm8k") return gsm8k({});
  if (form == "gsm8k_0") return gsm8k({.num_fewshot = 0, .limit = 20});
  if (form == "gsm8k_30") return gsm8k({.num_fewshot = 30, .limit = 20});
  if (form == "gsm8k_turns") return gsm8k(chat({.limit = 20}, true, "Think. "));
  if (form == "gsm8k_one_turn") return gsm8k(chat({.limit = 20}, false, ""));
  if (form == "gsm8k_cot")
    return one(gsm8k_cot_task(files.gsm8k("test").value(), cot_shots().value(), {}));
  if (form == "gsm8k_cot_3") {
    TaskParams params{.num_fewshot = 3, .limit = 20};
    params.chat.system = "Think.";
    return one(gsm8k_cot_task(files.gsm8k("test").value(), cot_shots().value(), params));
  }
  if (form == "humaneval") return humaneval(HumanEvalForm::kPlain, {});
  if (form == "humaneval_instruct") return humaneval(HumanEvalForm::kInstruct, {});
  if (form == "humaneval_instruct_turns") {
    return humaneval(HumanEvalForm::kInstruct, chat({}, true, ""));
  }
  if (form == "wikitext") return one(wikitext_task(files.wikitext_pages().value(), {}));
  ADD_FAILURE() << form;
  return {};
}

class Prompts : public testing::TestWithParam<const char*> {};

TEST_P(Prompts, AreThoseOfLmEval) {
  DOVETAIL_SKIP_WITHOUT(model::test_data("eval/mmlu"));
  if (std::string(GetParam()).starts_with("gsm8k_cot")) {
    const auto shots = cot_shots();
    if (!shots.has_value()) GTEST_SKIP() << shots.error().message;
  }
  const Json expected = fixture("prompts.json")[GetParam()];
  std::string sums;
  int64_t count = 0;
  for (const Task& task : tasks_of(GetParam())) {
    const Json& first = expected["first"][task.name];
    ASSERT_FALSE(first.is_null()) << task.name;
    for (size_t i = 0; i < task.questions.size(); ++i) {
      const std::string sum = sha256_hex(task.questions[i].prompt);
      if (i < first.size()) {
        ASSERT_EQ(sum, first[i].get<std::string>()) << task.name << "\n"
                                                    << task.questions[i].prompt;
      }
      sums += sum;
      ++count;
    }
    EXPECT_EQ(task.choices, expected["choices"].get<std::vector<std::string>>());
  }
  EXPECT_EQ(count, expected["count"].get<int64_t>());
  EXPECT_EQ(sha256_hex(sums), expected["sha256"].get<std::string>());
}

class PromptTokens : public testing::TestWithParam<const char*> {};

// The ids of the first 40 requests of each task, written as make_eval_fixtures.py writes them.
TEST_P(PromptTokens, AreThoseOfLmEval) {
  DOVETAIL_SKIP_WITHOUT(model::test_data("eval/mmlu"));
  DOVETAIL_SKIP_WITHOUT(model::test_data("tokenizers/smollm2"));
  const std::string form = GetParam();
  if (form.starts_with("gsm8k_cot")) {
    const auto shots = cot_shots();
    if (!shots.has_value()) GTEST_SKIP() << shots.error().message;
  }
  const Json tokens = fixture("tokens.json");
  for (const std::string name : {"smollm2", "qwen3"}) {
    const auto tokenizer = model::load_tokenizer(model::test_data("tokenizers/" + name));
    ASSERT_TRUE(tokenizer.has_value()) << tokenizer.error().message;
    Sha256 sum;
    for (const Task& task : tasks_of(form)) {
      for (size_t i = 0; i < std::min(task.questions.size(), size_t{40}); ++i) {
        const std::string& prompt = task.questions[i].prompt;
        for (const std::string& choice : task.choices) {
          const LoglikelihoodRequest pair = encode_pair(*tokenizer, prompt, choice).value();
          sum.update(fmt::format("{}|{}\n", fmt::join(pair.context, " "),
                                 fmt::join(pair.continuation, " ")));
        }
        if (!task.choices.empty()) continue;
        sum.update(fmt::format("{}\n", fmt::join(tokenizer->encode(prompt), " ")));
      }
    }
    EXPECT_EQ(sum.hex(), tokens[name][form].get<std::string>()) << name;
  }
}

INSTANTIATE_TEST_SUITE_P(Forms, Prompts,
                         testing::Values("mmlu_0", "mmlu_5", "mmlu_2_turns", "mmlu_2_one_turn",
                                         "gsm8k", "gsm8k_0", "gsm8k_30", "gsm8k_turns",
                                         "gsm8k_one_turn", "gsm8k_cot", "gsm8k_cot_3", "humaneval",
                                         "humaneval_instruct", "humaneval_instruct_turns",
                                         "wikitext"),
                         [](const auto& value) { return std::string(value.param); });

INSTANTIATE_TEST_SUITE_P(Plain, PromptTokens,
                         testing::Values("mmlu_0", "mmlu_5", "gsm8k", "gsm8k_0", "gsm8k_30",
                                         "gsm8k_cot", "humaneval", "humaneval_instruct",
                                         "wikitext"),
                         [](const auto& value) { return std::string(value.param); });

TEST(Prompt, JoinsWithoutADataSet) {
  const PromptParts parts{
      .description = "D.", .shots = {{"q1", "a1"}}, .question = "q2", .answer_prefix = "p"};
  EXPECT_EQ(build_prompt(parts, {}).value(), "D.q1 a1\n\nq2 p");
  EXPECT_EQ(build_prompt(parts, {.system = "S"}).value(), "S\n\nD.q1 a1\n\nq2 p");
  EXPECT_EQ(build_prompt(parts, {.render = render}).value(),
            "<system>D.</system>\n<user>q1</user>\n<assistant>a1</assistant>\n<user>q2</user>\n"
            "<assistant>p");
  EXPECT_EQ(build_prompt(parts, {.render = render, .shots_as_turns = false}).value(),
            "<system>D.</system>\n<user>q1 a1\n\nq2</user>\n<assistant>p");
  EXPECT_EQ(choice_delimiter({}), " ");
  EXPECT_EQ(choice_delimiter({.render = render}), "");
}

TEST(Prompt, ATemplatesErrorIsReported) {
  const ChatRenderer fails = [](const std::vector<Message>&, bool) -> Result<std::string> {
    return invalid_argument("no template");
  };
  EXPECT_EQ(build_prompt({.question = "q"}, {.render = fails}).error().message, "no template");
}

}  // namespace
}  // namespace dovetail::eval
