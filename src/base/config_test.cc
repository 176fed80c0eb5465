#include "base/config.h"

#include <gtest/gtest.h>

namespace dovetail {
namespace {

struct Memory {
  int64_t size_kib = 64;
  double latency_ns = 1.5;
  template <typename V, typename S>
  static void visit(V& v, S& s) {
    v.number("size_kib", s.size_kib, {.min = 1, .max = 4096, .required = true, .help = "capacity"});
    v.number("latency_ns", s.latency_ns, {.min = 0, .help = "access time"});
  }
};

struct Machine {
  std::string name;
  std::string node = "n7";
  std::vector<int64_t> rows = {8};
  Memory cache;
  std::vector<Memory> banks;
  bool fused = false;
  template <typename V, typename S>
  static void visit(V& v, S& s) {
    v.text("name", s.name, {.required = true, .help = "a name"});
    v.text("node", s.node, {.choices = {"n5", "n7"}, .help = "process"});
    v.numbers("rows", s.rows, {.min = 1, .max = 256, .help = "rows"});
    v.group("cache", s.cache, {.help = "cache"});
    v.list("banks", s.banks, {.help = "banks"});
    v.flag("fused", s.fused, {.help = "fused"});
  }
};

std::string error_of(std::string_view text) {
  const auto machine = read_config_text<Machine>(text, "m.toml");
  return machine.has_value() ? "no error" : machine.error().message;
}

TEST(Config, ReadsWhatItWrites) {
  const auto machine = read_config_text<Machine>(
      "name = 'a'\nrows = [1, 2]\n[cache]\nsize_kib = 8\n[[banks]]\nsize_kib = "
      "2\n[[banks]]\nsize_kib = 3\n",
      "m.toml");
  ASSERT_TRUE(machine.has_value()) << machine.error().message;
  EXPECT_EQ(machine->rows, (std::vector<int64_t>{1, 2}));
  EXPECT_EQ(machine->banks[1].size_kib, 3);
  EXPECT_EQ(
      to_json(*machine).dump(),
      R"({"name":"a","node":"n7","rows":[1,2],"cache":{"size_kib":8,"latency_ns":1.5},)"
      R"("banks":[{"size_kib":2,"latency_ns":1.5},{"size_kib":3,"latency_ns":1.5}],"fused":false})");
}

TEST(ConfigError, NamesFileKeyValueAndWhatWasWanted) {
  EXPECT_EQ(error_of("rows = [1]"), "m.toml: name is missing, want a name");
  EXPECT_EQ(error_of("nam = 'a'"), "m.toml: nam: unknown key, did you mean name?");
  EXPECT_EQ(error_of("name = 'a'\nrow = [1]"), "m.toml: row: unknown key, did you mean rows?");
  EXPECT_EQ(error_of("name = 'a'\nnode = 'n8'"),
            "m.toml: node = \"n8\", want one of n5, n7 (did you mean n5?)");
  EXPECT_EQ(error_of("name = 'a'\nrows = [1, 300]"), "m.toml: rows[1] = 300, want 1..256");
  EXPECT_EQ(error_of("name = 'a'\n[[banks]]\nsize_kib = 2.5"),
            "m.toml: banks[0].size_kib = 2.5, want a whole number, 1..4096");
  EXPECT_EQ(error_of("name = 'a'\n[[banks]]\nsize_kib = 1\nlatency = 1"),
            "m.toml: banks[0].latency: unknown key, did you mean latency_ns?");
  EXPECT_EQ(error_of("name = 'a'\n[cache]\nsize_kib = 8\nlatency_ns = nan"),
            "m.toml: cache.latency_ns = nan, want a number >= 0");
  EXPECT_EQ(error_of("name = 'a'\ncache = 3"), "m.toml: cache = 3, want a table");
  EXPECT_EQ(error_of("name = 'a'\nnode = {b = 1,\n c = [1,\n\t2]}").find('\n'), std::string::npos);
  EXPECT_EQ(error_of("name = 'a'\nrows = \"\"\"one\n  two\"\"\""),
            "m.toml: rows = '''one two''', want a list of 1..256");
  EXPECT_EQ(error_of("name = ["),
            "m.toml: line 1, column 9: Error while parsing array: encountered end-of-file");
  EXPECT_FALSE(read_config<Machine>("no/such/file.toml").has_value());
}

TEST(ConfigError, KeysOfAFileMoveNoCursorAndCostNoTime) {
  EXPECT_EQ(error_of("name = 'a'\n\"f\\u001b[2J\\nused\" = true\n"),
            "m.toml: f [2J used: unknown key, did you mean fused?");
  // A table of the edit distance to a word of eight million letters would take minutes.
  const std::string error = error_of("name = 'a'\n" + std::string(8 << 20, 'x') + " = 1\n");
  EXPECT_TRUE(error.starts_with("m.toml: xxx")) << error.substr(0, 100);
  EXPECT_LT(error.size(), 3000U);
}

TEST(ConfigError, DeepNestingIsRefused) {
  EXPECT_NE(error_of("name = " + std::string(100000, '[')), "no error");
}

}  // namespace
}  // namespace dovetail
