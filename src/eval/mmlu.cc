#include "eval/mmlu.h"

#include <fmt/format.h>

#include "eval/python_text.h"

namespace dovetail::eval {
namespace {

constexpr std::string_view kStem = "stem";
constexpr std::string_view kOther = "other";
constexpr std::string_view kSocial = "social_sciences";
constexpr std::string_view kHumanities = "humanities";

// Groups: lm_eval/tasks/mmlu/default/*.yaml of lm-eval 0.4.13.
constexpr std::array<MmluSubject, 57> kSubjects = {{
    {"abstract_algebra", kStem},
    {"anatomy", kStem},
    {"astronomy", kStem},
    {"business_ethics", kOther},
    {"clinical_knowledge", kOther},
    {"college_biology", kStem},
    {"college_chemistry", kStem},
    {"college_computer_science", kStem},
    {"college_mathematics", kStem},
    {"college_medicine", kOther},
    {"college_physics", kStem},
    {"computer_security", kStem},
    {"conceptual_physics", kStem},
    {"econometrics", kSocial},
    {"electrical_engineering", kStem},
    {"elementary_mathematics", kStem},
    {"formal_logic", kHumanities},
    {"global_facts", kOther},
    {"high_school_biology", kStem},
    {"high_school_chemistry", kStem},
    {"high_school_computer_science", kStem},
    {"high_school_european_history", kHumanities},
    {"high_school_geography", kSocial},
    {"high_school_government_and_politics", kSocial},
    {"high_school_macroeconomics", kSocial},
    {"high_school_mathematics", kStem},
    {"high_school_microeconomics", kSocial},
    {"high_school_physics", kStem},
    {"high_school_psychology", kSocial},
    {"high_school_statistics", kStem},
    {"high_school_us_history", kHumanities},
    {"high_school_world_history", kHumanities},
    {"human_aging", kOther},
    {"human_sexuality", kSocial},
    {"international_law", kHumanities},
    {"jurisprudence", kHumanities},
    {"logical_fallacies", kHumanities},
    {"machine_learning", kStem},
    {"management", kOther},
    {"marketing", kOther},
    {"medical_genetics", kOther},
    {"miscellaneous", kOther},
    {"moral_disputes", kHumanities},
    {"moral_scenarios", kHumanities},
    {"nutrition", kOther},
    {"philosophy", kHumanities},
    {"prehistory", kHumanities},
    {"professional_accounting", kOther},
    {"professional_law", kHumanities},
    {"professional_medicine", kOther},
    {"professional_psychology", kSocial},
    {"public_relations", kSocial},
    {"security_studies", kSocial},
    {"sociology", kSocial},
    {"us_foreign_policy", kSocial},
    {"virology", kOther},
    {"world_religions", kHumanities},
}};

constexpr std::array<std::string_view, 4> kLetters = {"A", "B", "C", "D"};

std::string question_text(const MmluRow& row) {
  std::string text(strip(row.question));
  for (size_t i = 0; i < kLetters.size(); ++i) {
    text += fmt::format("\n{}. {}", kLetters[i], row.choices[i]);
  }
  return text + "\nAnswer:";
}

}  // namespace

std::span<const MmluSubject> mmlu_subjects() {
  return kSubjects;
}

Result<Task> mmlu_task(const MmluSubject& subject, const std::vector<MmluRow>& test,
                       const std::vector<MmluRow>& dev, const TaskParams& params) {
  Task task{.name = fmt::format("mmlu_{}", subject.name),
            .group = std::string(subject.group),
            .kind = RequestKind::kChoice,
            .metric = "acc",
            .mode = params.mode};
  DOVETAIL_TRY(task.num_fewshot, fewshot_of(task.name, params, 0, std::ssize(dev)));
  for (const std::string_view letter : kLetters) {
    task.choices.push_back(fmt::format("{}{}", choice_delimiter(params.chat), letter));
  }
  PromptParts parts{.description = fmt::format(
                        "The following are multiple choice questions (with answers) about {}.\n\n",
                        replace_all(subject.name, "_", " "))};
  for (int64_t i = 0; i < task.num_fewshot; ++i) {
    const MmluRow& row = dev[static_cast<size_t>(i)];
    parts.shots.push_back(
        {question_text(row), std::string(kLetters[static_cast<size_t>(row.answer)])});
  }
  DOVETAIL_TRY(const int64_t count, limited(std::ssize(test), params));
  for (int64_t i = 0; i < count; ++i) {
    const MmluRow& row = test[static_cast<size_t>(i)];
    parts.question = question_text(row);
    Question question{.doc_id = i, .target = std::to_string(row.answer), .gold = row.answer};
    DOVETAIL_TRY(question.prompt, build_prompt(parts, params.chat));
    task.questions.push_back(std::move(question));
  }
  return task;
}

Result<std::vector<Task>> mmlu_tasks(const BenchmarkFiles& files, const TaskParams& params) {
  std::vector<Task> tasks;
  for (const MmluSubject& subject : mmlu_subjects()) {
    const std::string name(subject.name);
    DOVETAIL_TRY(const std::vector<MmluRow> test, files.mmlu(name, "test"));
    DOVETAIL_TRY(const std::vector<MmluRow> dev, files.mmlu(name, "dev"));
    DOVETAIL_TRY(Task task, mmlu_task(subject, test, dev, params));
    tasks.push_back(std::move(task));
  }
  return tasks;
}

}  // namespace dovetail::eval
