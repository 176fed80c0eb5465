#include "model/hub_questions.h"

#include <gtest/gtest.h>

#include <fmt/format.h>

#include "base/hash.h"
#include "base/paths.h"
#include "base/subprocess.h"
#include "model/fake_python.h"
#include "model/test_data.h"

namespace dovetail::model {
namespace {

// The two packages as they would arrive: a client whose hub is a folder of JSON, and a reader of
// "tables" that are JSON too. What Dovetail's own program does with the rows is real.
constexpr const char* kPackages = R"(
if [ "$2" = pip ]; then
  while [ "$1" != --target ]; do shift; done
  mkdir -p "$2/pyarrow"
  cat > "$2/huggingface_hub.py" <<'END'
import pathlib
def hf_hub_download(data_set, name, repo_type, local_dir):
    path = pathlib.Path("HUB") / data_set / name
    if not path.exists():
        raise OSError("no route to " + name)
    return path
END
  cat > "$2/pyarrow/__init__.py" <<'END'
END
  cat > "$2/pyarrow/parquet.py" <<'END'
import json
class read_table:
    def __init__(self, path):
        self.rows = json.loads(open(path, encoding="utf-8").read())
    def to_pylist(self):
        return self.rows
END
else
  exec /usr/bin/python3 "$@"
fi
)";

class HubQuestionsTest : public FakePythonTest {
 protected:
  void SetUp() override {
    FakePythonTest::SetUp();
    std::string script = kPackages;
    script.replace(script.find("HUB"), 3, (folder_ / "hub").string());
    fake_python(script);
  }
  void put_on_hub(const std::string& name, const std::string& text) {
    std::filesystem::create_directories((folder_ / "hub" / name).parent_path());
    std::ofstream(folder_ / "hub" / name) << text;
  }
  [[nodiscard]] std::string eval() const { return (folder_ / "cache" / "eval").string(); }
};

KnownBenchmark known(const std::string& name, const std::string& hub,
                     const std::vector<std::pair<std::string, std::string>>& files) {
  KnownBenchmark benchmark{.name = name, .source = "s", .license = "l", .hub = hub, .files = {}};
  for (const auto& [path, text] : files) {
    benchmark.files.push_back(
        {.path = path, .sha256 = sha256_hex(text), .bytes = std::ssize(text)});
  }
  return benchmark;
}

TEST_F(HubQuestionsTest, TablesBecomeTheFilesThatAreKnown) {
  put_on_hub("of/mmlu/logic/test-00000-of-00001.parquet",
             R"([{"question": "Is \"it\", so?", "choices": ["a", "b\nb", "c", ""], "answer": 3}])");
  put_on_hub("of/mmlu/logic/dev-00000-of-00001.parquet", "[]");
  const std::string head = "question,choice0,choice1,choice2,choice3,answer\n";
  const KnownBenchmark mmlu =
      known("mmlu", "of/mmlu",
            {{"mmlu/test/logic_test.csv", head + "\"Is \"\"it\"\", so?\",a,\"b\nb\",c,,3\n"},
             {"mmlu/dev/logic_dev.csv", head}});
  const Status pulled = pull_hub_questions(mmlu, eval(), {});
  ASSERT_TRUE(pulled.has_value()) << pulled.error().message;
  EXPECT_TRUE(check_benchmark(mmlu, eval()).has_value());
  // A word that ASCII does not have is written as the original file has it.
  put_on_hub("of/gsm8k/main/train-00000-of-00001.parquet",
             R"([{"question": "q", "answer": "farmer’s #### 18"}])");
  const KnownBenchmark gsm8k = known(
      "gsm8k", "of/gsm8k",
      {{"gsm8k/train.jsonl", "{\"question\": \"q\", \"answer\": \"farmer\\u2019s #### 18\"}\n"}});
  EXPECT_TRUE(pull_hub_questions(gsm8k, eval(), {}).has_value());
  put_on_hub("of/ifeval/ifeval_input_data.jsonl",
             R"({"key":1,"prompt":"p","instruction_id_list":["a"],"kwargs":[{"n":2,"m":null}]})");
  const KnownBenchmark ifeval =
      known("ifeval", "of/ifeval",
            {{"ifeval/input_data.jsonl",
              "{\"key\": 1, \"prompt\": \"p\", \"instruction_id_list\": [\"a\"], "
              "\"kwargs\": [{\"n\": 2}]}\n"}});
  EXPECT_TRUE(pull_hub_questions(ifeval, eval(), {}).has_value());
  for (const auto& entry : std::filesystem::directory_iterator(folder_ / "cache")) {
    EXPECT_EQ(entry.path().string().find(".part"), std::string::npos) << entry.path();
  }
}

TEST_F(HubQuestionsTest, OtherQuestionsLeaveNothing) {
  put_on_hub("of/gsm8k/main/test-00000-of-00001.parquet", R"([{"question": "q", "answer": "2"}])");
  const KnownBenchmark gsm8k = known(
      "gsm8k", "of/gsm8k", {{"gsm8k/test.jsonl", "{\"question\": \"q\", \"answer\": \"1\"}\n"}});
  const Status pulled = pull_hub_questions(gsm8k, eval(), {});
  ASSERT_FALSE(pulled.has_value());
  EXPECT_EQ(pulled.error().code, ErrorCode::kInternal);
  EXPECT_NE(pulled.error().message.find("want " + gsm8k.files[0].sha256), std::string::npos)
      << pulled.error().message;
  EXPECT_FALSE(std::filesystem::exists(eval()));
}

TEST_F(HubQuestionsTest, WithoutANetworkPythonsLastWordsAreTold) {
  const KnownBenchmark gsm8k = known("gsm8k", "of/gsm8k", {{"gsm8k/test.jsonl", "x"}});
  const Status pulled = pull_hub_questions(gsm8k, eval(), {});
  ASSERT_FALSE(pulled.has_value());
  EXPECT_EQ(pulled.error().code, ErrorCode::kUnavailable);
  EXPECT_NE(pulled.error().message.find(
                "gsm8k/test.jsonl: OSError: no route to main/test-00000-of-00001.parquet"),
            std::string::npos)
      << pulled.error().message;
  fake_python("echo 'ERROR: no index' >&2; exit 1");
  std::filesystem::remove_all(folder_ / "cache" / "python");
  EXPECT_NE(pull_hub_questions(gsm8k, eval(), {}).error().message.find("ERROR: no index"),
            std::string::npos);
  EXPECT_EQ(pull_hub_questions(known("x", "", {}), eval(), {}).error().code,
            ErrorCode::kInvalidArgument);
}

// The files that are here, taken for the hub's tables, come out byte for byte: the way of writing
// is that of the known files.
TEST_F(HubQuestionsTest, TheKnownFilesComeOutByteForByte) {
  DOVETAIL_SKIP_WITHOUT(test_data("eval"));
  constexpr const char* kTables = R"(
import csv, json, pathlib, sys
source, hub = map(pathlib.Path, sys.argv[1:])
def put(name, text):
    (hub / name).parent.mkdir(parents=True, exist_ok=True)
    (hub / name).write_text(text, encoding="utf-8")
lines = lambda name: [json.loads(line) for line in open(source / name, encoding="utf-8")]
for split in ("test", "dev"):
    for path in (source / "mmlu" / split).glob("*.csv"):
        rows = csv.DictReader(open(path, encoding="utf-8", newline=""))
        put(f"cais/mmlu/{path.stem.removesuffix('_' + split)}/{split}-00000-of-00001.parquet", json.dumps([
            {"question": r["question"], "subject": "", "choices": [r[f"choice{i}"] for i in range(4)],
             "answer": int(r["answer"])} for r in rows]))
for split in ("test", "train"):
    put(f"openai/gsm8k/main/{split}-00000-of-00001.parquet", json.dumps(lines(f"gsm8k/{split}.jsonl")))
put("google/IFEval/ifeval_input_data.jsonl",
    "\n".join(json.dumps(row, ensure_ascii=False) for row in lines("ifeval/input_data.jsonl")))
)";
  const auto made = run_subprocess(
      {"/usr/bin/python3", "-c", kTables, test_data("eval"), (folder_ / "hub").string()});
  ASSERT_EQ(made->exit_code, 0) << made->output;
  const auto benchmarks = load_known_benchmarks();
  ASSERT_TRUE(benchmarks.has_value()) << benchmarks.error().message;
  int num_pulled = 0;
  for (const KnownBenchmark& benchmark : *benchmarks) {
    if (benchmark.hub.empty()) continue;
    const Status pulled = pull_hub_questions(benchmark, eval(), {});
    ASSERT_TRUE(pulled.has_value()) << pulled.error().message;
    ++num_pulled;
  }
  EXPECT_EQ(num_pulled, 3);
}

}  // namespace
}  // namespace dovetail::model
