#include "model/file_set.h"

#include <gtest/gtest.h>

#include <algorithm>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <fmt/format.h>

#include "base/hash.h"
#include "model/fake_python.h"

namespace dovetail::model {
namespace {

// A set of two packages of one file each.
class FileSetTest : public FakePythonTest {
 protected:
  void small_set(const std::string& sum_of_right) {
    std::string text = "[[file_sets]]\nname = 'pair'\ndescription = 'd'\n";
    for (const auto& [package, archive, sum] :
         {std::tuple("left", "wheel", sha256_hex("left")), {"right", "source", sum_of_right}}) {
      text += fmt::format(
          "[[file_sets.packages]]\npackage = '{0}'\nversion = '1'\narchive = '{1}'\n"
          "sha256 = 'feed'\nlicense = 'l'\nsource = 's'\n"
          "files = [{{ name = 'in/{0}.txt', path = 'x/{0}', sha256 = '{2}' }}]\n",
          package, archive, sum);
    }
    write_data("benchmarks/file_sets.toml", text);
  }
};

// pip gets a list of requirements with sums; zipfile and tarfile unpack what arrived.
constexpr const char* kIndex = R"(
if [ "$2" = pip ]; then
  for last; do :; done
  grep -q -- "==1 --hash=sha256:feed" "$last" || exit 9
  name=$(sed 's/==.*//' "$last")
  while [ "$1" != --dest ]; do shift; done
  case $name in left) touch "$2/left.whl";; *) touch "$2/right.tar.gz";; esac
else
  name=$(basename "$4" | sed 's/[.].*//'); mkdir -p "$5/x"; printf "$name" > "$5/x/$name"
fi
)";

TEST_F(FileSetTest, FilesAreFetchedCheckedAndRead) {
  small_set(sha256_hex("right"));
  EXPECT_NE(read_file_set("pair").error().message.find("run: dovetail pull pair"),
            std::string::npos);
  fake_python(kIndex);
  const auto folder = pull_file_set("pair", {});
  ASSERT_TRUE(folder.has_value()) << folder.error().message;
  const auto texts = read_file_set("pair");
  ASSERT_TRUE(texts.has_value()) << texts.error().message;
  EXPECT_EQ(*texts, (std::map<std::string, std::string>{{"in/left.txt", "left"},
                                                        {"in/right.txt", "right"}}));
  fake_python("exit 7");  // nothing is fetched twice
  EXPECT_TRUE(pull_file_set("pair", {}).has_value());
  std::ofstream(*folder + "/in/left.txt") << "other";
  EXPECT_NE(read_file_set("pair").error().message.find("altered"), std::string::npos);
}

TEST_F(FileSetTest, PackedFilesAreUnpackedIntoTheFolderThatTheSetNames) {
  write_data(
      "benchmarks/file_sets.toml",
      "[[file_sets]]\nname = 'packed'\ndescription = 'd'\nfolder = 'eval'\n" +
          fmt::format(
              "[[file_sets.packages]]\npackage = 'left'\nversion = '1'\narchive = 'wheel'\n"
              "sha256 = 'feed'\nlicense = 'l'\nsource = 's'\n"
              "files = [{{ name = 'quiz/a', path = 'x/a.gz', gzip = true, sha256 = '{}' }}]\n",
              sha256_hex("questions\n")));
  constexpr const char* kPacked = R"(
if [ "$2" = pip ]; then
  while [ "$1" != --dest ]; do shift; done; touch "$2/left.whl"
else
  mkdir -p "$5/x"; echo questions | gzip | WAY > "$5/x/a.gz"
fi
)";
  const auto with_way = [&](const std::string& way) {
    std::string script = kPacked;
    fake_python(script.replace(script.find("WAY"), 3, way));
  };
  with_way("head -c 20");  // cut off on its way
  EXPECT_EQ(pull_file_set("packed", {}).error().code, ErrorCode::kInternal);
  with_way("cat");
  const auto folder = pull_file_set("packed", {});
  ASSERT_TRUE(folder.has_value()) << folder.error().message;
  EXPECT_EQ(*folder, (folder_ / "cache" / "eval").string());
  EXPECT_EQ(read_file_set("packed").value().at("quiz/a"), "questions\n");
}

TEST_F(FileSetTest, AWrongSumIsRefused) {
  small_set(sha256_hex("something else"));
  fake_python(kIndex);
  const auto pulled = pull_file_set("pair", {});
  ASSERT_FALSE(pulled.has_value());
  EXPECT_EQ(pulled.error().code, ErrorCode::kInternal);
  EXPECT_FALSE(read_file_set("pair").has_value());
}

TEST_F(FileSetTest, FailuresSayPipsOwnWords) {
  small_set(sha256_hex("right"));
  fake_python("echo 'ERROR: hashes do not match' >&2; exit 1");
  const auto pulled = pull_file_set("pair", {});
  ASSERT_FALSE(pulled.has_value());
  EXPECT_EQ(pulled.error().code, ErrorCode::kUnavailable);
  EXPECT_NE(pulled.error().message.find("hashes do not match"), std::string::npos);
  EXPECT_FALSE(pull_file_set("triple", {}).has_value());
}

TEST(FileSets, TheSetOfIfevalNamesEveryProfile) {
  const auto sets = load_file_sets();
  ASSERT_TRUE(sets.has_value()) << sets.error().message;
  const auto set =
      std::ranges::find_if(*sets, [](const FileSet& entry) { return entry.name == "ifeval"; });
  ASSERT_NE(set, sets->end());
  ASSERT_EQ(set->packages.size(), 2U);
  EXPECT_EQ(set->packages[0].files.size(), 4U);
  EXPECT_EQ(set->packages[1].files.size(), 56U);  // 55 profiles and messages.properties
}

}  // namespace
}  // namespace dovetail::model
