#include "eval/benchmark_data.h"

#include <filesystem>

#include "base/test_folder.h"
#include "eval/fixtures.h"

namespace dovetail::eval {
namespace {

constexpr std::string_view kHeader = "question,choice0,choice1,choice2,choice3,answer\n";

std::string csv_error(const std::string& rows) {
  return parse_mmlu_csv(std::string(kHeader) + rows, "t.csv").error().message;
}

TEST(MmluCsv, ReadsQuotesCommasAndLines) {
  const auto rows = parse_mmlu_csv(
      std::string(kHeader) + "\"a, \"\"b\"\"\nc\",1,2,,\" 4 \",3\r\nq,w,x,y,z,0", "t.csv");
  ASSERT_TRUE(rows.has_value()) << rows.error().message;
  ASSERT_EQ(rows->size(), 2U);
  EXPECT_EQ((*rows)[0].question, "a, \"b\"\nc");
  EXPECT_EQ((*rows)[0].choices, (std::array<std::string, 4>{"1", "2", "", " 4 "}));
  EXPECT_EQ((*rows)[0].answer, 3);
  EXPECT_EQ((*rows)[1].choices[3], "z");
}

TEST(MmluCsv, NamesFileLineAndWhatWasWanted) {
  EXPECT_EQ(csv_error("a\nb,1,2,3,4,0\n"),
            "t.csv:2: 1 columns, want 6 (question,choice0,choice1,choice2,choice3,answer)");
  EXPECT_EQ(csv_error("\"a\nb\",1,2,3,4,0\nq,1,2,3,4,A\n"), "t.csv:4: answer = A, want 0..3");
  EXPECT_EQ(csv_error("q,1,2,3,4,4\n"), "t.csv:2: answer = 4, want 0..3");
  EXPECT_EQ(csv_error("q,1,2,3,4,0\n\"cut off"),
            "t.csv:3: a quote that is not closed, the file is truncated");
  EXPECT_EQ(csv_error("\"q\"x,1,2,3,4,0\n"),
            "t.csv:2: text behind a closing quote, want a comma or a line end");
  EXPECT_EQ(csv_error(""), "t.csv: no question");
  EXPECT_EQ(csv_error("\xff,1,2,3,4,0\n"), "t.csv: byte 48 is not UTF-8");
  EXPECT_EQ(parse_mmlu_csv("a,b\n", "t.csv").error().message,
            "t.csv:1: header a,b, want question,choice0,choice1,choice2,choice3,answer");
  EXPECT_FALSE(parse_mmlu_csv("", "t.csv").has_value());
}

TEST(JsonLines, NameFileLineAndKey) {
  const auto error = [](const std::string& text) {
    return parse_gsm8k_jsonl(text, "t.jsonl").error().message;
  };
  EXPECT_EQ(error(""), "t.jsonl: no line, want one a question");
  EXPECT_EQ(error("{\"question\": \"q\", \"answer\": \"#### 1\"}\n{\"question\": \"q\"}\n"),
            "t.jsonl:2: answer is missing or no text");
  EXPECT_EQ(error("{\"question\": \"q\", \"answer\": \"1\"}\n"),
            "t.jsonl:1: answer has no \"#### \"");
  EXPECT_EQ(error("[]\n"), "t.jsonl:1: no JSON object");
  EXPECT_TRUE(error("{\"question\": \"q\", \"ans").starts_with("t.jsonl:1")) << error("{");
  EXPECT_EQ(parse_humaneval_jsonl("{\"task_id\": \"a\", \"prompt\": 5}", "h").error().message,
            "h:1: prompt is missing or no text");
}

TEST(WikitextPages, BeginAtTitles) {
  EXPECT_EQ(split_wikitext_pages(" \n = A = \nx\n = = B = = \ny\n = C = \nz\n"),
            (std::vector<std::string>{" = A = \nx\n = = B = = \ny", " = C = \nz\n"}));
  EXPECT_EQ(split_wikitext_pages("x"), std::vector<std::string>{"x"});
}

TEST(BenchmarkFiles, RefusesMissingTruncatedAndAltered) {
  const std::filesystem::path folder = test_folder() / "eval";
  const auto files = BenchmarkFiles::open(folder.string());
  ASSERT_TRUE(files.has_value()) << files.error().message;
  const std::string path = (folder / "gsm8k/test.jsonl").string();
  EXPECT_EQ(files->gsm8k("test").error().code, ErrorCode::kNotFound);
  EXPECT_EQ(files->read("gsm8k/other.jsonl").error().message,
            "gsm8k/other.jsonl: no known benchmark file");
  std::filesystem::create_directories(folder / "gsm8k");
  ASSERT_TRUE(write_text_file(path, "{}").has_value());
  EXPECT_TRUE(files->gsm8k("test").error().message.starts_with(
      path + ": truncated, 2 bytes, want 749738 (sha256 3730d312"));
  ASSERT_TRUE(write_text_file(path, std::string(749738, ' ')).has_value());
  const std::string altered = files->gsm8k("test").error().message;
  EXPECT_TRUE(altered.starts_with(path + ": altered, sha256 ")) << altered;
  EXPECT_TRUE(
      altered.ends_with("want 3730d312f6e3440559ace48831e51066acaca737f6eabec99bccb9e4b3c39d14"))
      << altered;
}

TEST(BenchmarkFiles, HoldsWhatTheAuthorsReleased) {
  DOVETAIL_SKIP_WITHOUT(model::test_data("eval/mmlu"));
  const BenchmarkFiles files = benchmark_files();
  EXPECT_EQ(files.gsm8k("test").value().size(), 1319U);
  EXPECT_EQ(files.gsm8k("train").value().size(), 7473U);
  EXPECT_EQ(files.humaneval().value().size(), 164U);
  EXPECT_EQ(files.wikitext_pages().value().size(), 62U);
  EXPECT_EQ(files.mmlu("anatomy", "dev").value().size(), 5U);
}

TEST(IfevalJsonl, DropsArgumentsThatPythonCallsFalse) {
  const auto rows = parse_ifeval_jsonl(
      R"({"key": 5, "prompt": "p", "instruction_id_list": ["a:b"], "kwargs": [{"n": 0, "w": "", "l": [], "x": null, "m": 3}]})",
      "f");
  ASSERT_TRUE(rows.has_value()) << rows.error().message;
  EXPECT_EQ((*rows)[0].key, 5);
  EXPECT_EQ((*rows)[0].instructions[0].id, "a:b");
  EXPECT_EQ((*rows)[0].instructions[0].arguments, Json::parse(R"({"m": 3})"));
  EXPECT_EQ(parse_ifeval_jsonl(
                R"({"key": 5, "prompt": "p", "instruction_id_list": ["a:b"], "kwargs": []})", "f")
                .error()
                .message,
            "f:1: want key, and as many kwargs as instruction_id_list, at least one");
}

}  // namespace
}  // namespace dovetail::eval
