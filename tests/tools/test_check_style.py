"""Each rule of tools/check_style.py on one offending and one innocent line."""

import pathlib
import shutil
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools"))

import check_style  # noqa: E402

LIBRARY = "src/chip/chip.cc"


class CppRules(unittest.TestCase):
    def assert_refused(self, line, name=LIBRARY):
        self.assertEqual(len(check_style.check_cpp(name, line)), 1, line)

    def assert_accepted(self, line, name=LIBRARY):
        self.assertEqual(check_style.check_cpp(name, line), [], line)

    def test_printing(self):
        for line in ("std::cout << x;", "std::cerr << x;", 'printf("x");', 'std::printf("x");',
                     'fprintf(stderr, "x");', 'fmt::print("x");', 'puts("x");',
                     'fputs("x", stdout);'):
            self.assert_refused(line)
            self.assert_accepted(line, "src/app/cmd_cost.cc")
            self.assert_accepted(line, "src/chip/chip_test.cc")

    def test_formatting_into_a_string_or_file_is_no_printing(self):
        for line in ('snprintf(buffer, size, "x");', 'fmt::format("x");', "fprintf(file, text);"):
            self.assert_accepted(line)

    def test_ending_the_process(self):
        for line in ("exit(1);", "std::exit(1);", "abort();", "std::terminate();", "_exit(1);"):
            self.assert_refused(line)
            self.assert_accepted(line, "src/app/main.cc")

    def test_members_that_share_a_name_with_exit(self):
        for line in ("loop.exit();", "loop->abort();", "on_exit(f);"):
            self.assert_accepted(line)

    def test_check_failed_may_print_and_abort(self):
        self.assert_accepted('fprintf(stderr, "x"); std::abort();', "src/base/result.cc")

    def test_using_namespace_everywhere(self):
        for name in (LIBRARY, "src/app/main.cc", "src/chip/chip_test.cc"):
            self.assert_refused("using namespace std;", name)

    def test_comments_and_literals_are_no_code(self):
        for line in ("// exit(1)", "/* std::cout */", 'call("exit(1)");', 'call(R"(abort();)");',
                     "char c = '\"'; // using namespace"):
            self.assert_accepted(line)

    def test_code_between_literals_is_seen(self):
        self.assert_refused("call(\"a\"); exit(1); call(\"b\");")
        self.assert_refused("char quote = '\"'; abort();")
        self.assert_refused("n = 1'000; exit(1); m = 2'000;")
        self.assert_refused("/* a\n */ exit(1);")

    def test_line_number_after_a_block_comment(self):
        problems = check_style.check_cpp(LIBRARY, "/* a\n b */\nexit(1);\n")
        self.assertTrue(problems[0].startswith(LIBRARY + ":3:"), problems)


class TextRules(unittest.TestCase):
    def test_unfinished_work(self):
        line = "// TO" + "DO later"
        self.assertEqual(len(check_style.check_text(LIBRARY, line)), 1)
        self.assertEqual(check_style.check_text("CONTRIBUTING.md", line), [])

    def test_paths_of_one_machine(self):
        for folder in ("work", "root", "home", "Users"):
            line = f"cd /{folder}/someone"
            for name in (LIBRARY, "README.md", "check"):
                self.assertEqual(len(check_style.check_text(name, line)), 1, line)
        for line in ("a/work/b", "${HOME}/work/x", "the work/life balance", "/workload/x"):
            self.assertEqual(check_style.check_text("README.md", line), [], line)

    def test_addresses(self):
        line = "curl http" + "s://example.org/x"
        for name in (LIBRARY, "quickstart", "tools/install_deps.sh", ".ci/run"):
            self.assertEqual(len(check_style.check_text(name, line)), 1, name)
        for name in ("README.md", "data/dram.toml", "docs/models/dram.md", "src/chip/README.md"):
            self.assertEqual(check_style.check_text(name, line), [], name)
        self.assertEqual(check_style.check_text(LIBRARY, "// Source: http" + "s://example.org"), [])
        self.assertEqual(check_style.check_text(LIBRARY, '"http' + '://www.w3.org/2000/svg"'), [])

    def test_names(self):
        for name in ("src/chip/chip_utils.h", "src/common/chip.h", "src/chip/helpers.cc",
                     "docs/plan_v2.md", "tools/new_check.py"):
            self.assertEqual(len(check_style.check_name(name)), 1, name)
        for name in ("src/chip/newton.h", "data/models/llama_v3.json", "src/chip/chip.h"):
            self.assertEqual(check_style.check_name(name), [], name)


class FileRules(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.root = pathlib.Path(self.folder.name)
        (self.root / "tools").mkdir()

    def lengths(self, lines, excuses=""):
        (self.root / "long.h").write_text("int x;\n" * lines)
        (self.root / "tools/long_files.txt").write_text(excuses)
        return check_style.check_lengths(self.root, ["long.h"])

    def test_links(self):
        (self.root / "docs").mkdir()
        (self.root / "docs/a.md").write_text("x")
        page = "[a](a.md) [up](../tools) [part](a.md#x) [far](https" + "://example.org) [here](#x)\n"
        self.assertEqual(check_style.check_links(self.root, "docs/b.md", page), [])
        self.assertEqual(check_style.check_links(self.root, "docs/b.md", "```\n[a](gone.md)\n```\n"), [])
        problems = check_style.check_links(self.root, "docs/b.md", "[a](gone.md)")
        self.assertEqual(problems, ["docs/b.md: link to gone.md, which does not exist"])

    def test_length(self):
        self.assertEqual(self.lengths(250), [])
        self.assertIn("251 lines", self.lengths(251)[0])
        self.assertEqual(self.lengths(251, "long.h: one table of all codes\n"), [])

    def test_length_excuses(self):
        self.assertIn("want 'file: a reason'", self.lengths(251, "long.h: long\n")[0])
        self.assertIn("remove the line", self.lengths(250, "long.h: one table of codes\n")[0])
        self.assertIn("does not exist", self.lengths(250, "gone.h: one table of codes\n")[0])

    @unittest.skipUnless(check_style.find_clang_format(), "clang-format 19 is not installed")
    def test_format(self):
        shutil.copy(pathlib.Path(__file__).resolve().parents[2] / ".clang-format", self.root)
        (self.root / "right.h").write_text("int x;\n")
        (self.root / "wrong.h").write_text("int   x ;\n")
        problems = check_style.check_format(self.root, ["right.h", "wrong.h"], fix=False)
        self.assertEqual(problems, ["wrong.h: not formatted; tools/check_style.py --fix"])
        self.assertEqual(check_style.check_format(self.root, ["wrong.h"], fix=True), [])
        self.assertEqual((self.root / "wrong.h").read_text(), "int x;\n")

    def test_archive_without_git_lists_files_outside_build(self):
        (self.root / "build").mkdir()
        (self.root / "build/x.cc").write_text("x")
        (self.root / "a.cc").write_text("x")
        self.assertEqual(check_style.tracked_files(self.root), ["a.cc"])


if __name__ == "__main__":
    unittest.main()
