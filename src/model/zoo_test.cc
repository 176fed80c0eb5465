#include "model/zoo.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "base/hash.h"
#include "model/fake_python.h"

namespace dovetail::model {
namespace {

// A data folder with a zoo of its own.
class ZooTest : public FakePythonTest {
 protected:
  // A zoo of one model, "two halves", whose file is "left" and "right" joined.
  void small_zoo(const std::string& sha256) {
    write_data("models/zoo.toml",
               "[[models]]\nname = 'halves'\ndescription = 'd'\nlicense = 'l'\nsource = 's'\n"
               "bytes = 9\nsha256 = '" +
                   sha256 +
                   "'\nparts = [{package = 'left', version = '1', file = 'x/left'},"
                   " {package = 'right', version = '1', file = 'x/right'}]\n");
  }
};

// Stands in for pip (the last argument is package==version, --dest is before it) and zipfile.
constexpr const char* kIndex = R"(
if [ "$2" = pip ]; then
  for last; do :; done
  while [ "$1" != --dest ]; do shift; done
  touch "$2/${last%%=*}.whl"
else
  name=$(basename "$4" .whl); mkdir -p "$5/x"; printf "$name" > "$5/x/$name"
fi
)";

TEST_F(ZooTest, JoinsPartsChecksTheSumAndKeepsTheFile) {
  small_zoo(sha256_hex("leftright"));
  fake_python(kIndex);
  const auto pulled = pull_model("halves", {});
  ASSERT_TRUE(pulled.has_value()) << pulled.error().message;
  std::ifstream file(*pulled);
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(file), {}), "leftright");
  // The second time nothing is fetched.
  fake_python("exit 7");
  EXPECT_EQ(pull_model("halves", {}).value(), *pulled);
  EXPECT_EQ(resolve_model("halves").value(), *pulled);
}

TEST_F(ZooTest, AWrongSumLeavesNothingBehind) {
  small_zoo(sha256_hex("something else"));
  fake_python(kIndex);
  const auto pulled = pull_model("halves", {});
  ASSERT_FALSE(pulled.has_value());
  EXPECT_NE(pulled.error().message.find("SHA-256"), std::string::npos);
  EXPECT_FALSE(resolve_model("halves").has_value());
}

TEST_F(ZooTest, NoNetworkSaysSoWithPipsOwnWords) {
  small_zoo(sha256_hex("leftright"));
  fake_python("echo noise >&2; echo 'ERROR: no route to host' >&2; exit 1");
  const auto pulled = pull_model("halves", {});
  ASSERT_FALSE(pulled.has_value());
  EXPECT_EQ(pulled.error().code, ErrorCode::kUnavailable);
  EXPECT_NE(pulled.error().message.find("ERROR: no route to host"), std::string::npos);
  EXPECT_NE(pulled.error().message.find("left==1"), std::string::npos);
}

TEST_F(ZooTest, UnknownNamesGetTheNearest) {
  EXPECT_NE(pull_model("smollm2-135", {}).error().message.find("did you mean smollm2-135m?"),
            std::string::npos);
  EXPECT_NE(resolve_model("smollm2-135").error().message.find("did you mean smollm2-135m?"),
            std::string::npos);
  EXPECT_EQ(resolve_model("smollm2-135m").error().message,
            "smollm2-135m: not fetched yet; run: dovetail pull smollm2-135m");
}

TEST_F(ZooTest, ShapesAreFoundByNameWithoutWeights) {
  const auto shape = resolve_shape("llama-3-8b");
  ASSERT_TRUE(shape.has_value()) << shape.error().message;
  EXPECT_EQ(shape->num_layers, 32);
}

}  // namespace
}  // namespace dovetail::model
