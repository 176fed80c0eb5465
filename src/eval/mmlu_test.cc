#include "eval/mmlu.h"

#include <algorithm>
#include <map>

#include "eval/fixtures.h"

namespace dovetail::eval {
namespace {

TEST(Mmlu, SubjectsAreSortedAndGrouped) {
  std::map<std::string_view, int> sizes;
  for (const MmluSubject& subject : mmlu_subjects()) ++sizes[subject.group];
  EXPECT_EQ(sizes, (std::map<std::string_view, int>{
                       {"stem", 19}, {"other", 13}, {"social_sciences", 12}, {"humanities", 13}}));
  EXPECT_TRUE(std::is_sorted(mmlu_subjects().begin(), mmlu_subjects().end(),
                             [](const auto& a, const auto& b) { return a.name < b.name; }));
}

TEST(Mmlu, WritesAQuestion) {
  const MmluRow shot{.question = "s", .choices = {"a", "b", "c", "d"}, .answer = 1};
  const MmluRow row{.question = " q ", .choices = {"1", "2 ", "3", "4"}, .answer = 3};
  const auto task = mmlu_task({"high_school_physics", "stem"}, {row}, {shot}, {.num_fewshot = 1});
  ASSERT_TRUE(task.has_value()) << task.error().message;
  EXPECT_EQ(task->questions[0].prompt,
            "The following are multiple choice questions (with answers) about high school "
            "physics.\n\ns\nA. a\nB. b\nC. c\nD. d\nAnswer: B\n\nq\nA. 1\nB. 2 \nC. 3\nD. "
            "4\nAnswer:");
  EXPECT_EQ(task->choices, (std::vector<std::string>{" A", " B", " C", " D"}));
  EXPECT_EQ(task->questions[0].gold, 3);
  EXPECT_EQ(mmlu_task({"anatomy", "stem"}, {row}, {shot}, {.num_fewshot = 2}).error().message,
            "mmlu_anatomy: num_fewshot = 2, want 0..1");
}

TEST(Mmlu, TakesTheFirstOfEachSubject) {
  DOVETAIL_SKIP_WITHOUT(model::test_data("eval/mmlu"));
  const auto tasks = mmlu_tasks(benchmark_files(), {.limit = 3});
  ASSERT_TRUE(tasks.has_value()) << tasks.error().message;
  ASSERT_EQ(tasks->size(), 57U);
  for (const Task& task : *tasks) EXPECT_EQ(task.questions.size(), 3U);
}

}  // namespace
}  // namespace dovetail::eval
