"""tests/run_cases.py against programs whose behaviour is known: sh, cat, echo."""

import contextlib
import io
import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import run_cases  # noqa: E402

SHELL = ["sh", "-c"]


class Runner(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.source = pathlib.Path(self.folder.name)
        (self.source / "chip.toml").write_text("rows = 8\ncols = 16\n")

    def run_text(self, text, binary=None):
        """Returns the problems of the only case in `text`."""
        case = run_cases.parse_cases("name: a\ndescription: b\n" + text, "x.case")[0]
        return run_cases.run_case(case, binary or SHELL, self.source)

    def assert_problem(self, text, part):
        problems = self.run_text(text)
        self.assertTrue(problems, text)
        self.assertIn(part, problems[0])

    def test_a_case_that_holds(self):
        self.assertEqual(self.run_text("command: 'echo out; echo err >&2; exit 2'\nexit: 2\n"
                                       "stdout: ^out$\nstderr: ^err$\nstderr_lines: 1\n"), [])

    def test_fill_makes_large_files(self):
        self.assertEqual(self.run_text("fill: a/b.txt 5000 [\n  x = \n"
                                       "command: 'wc -c <$TMP/a/b.txt; head -c 6 $TMP/a/b.txt'\nexit: 0\n"
                                       "stdout: ^5005$\nstdout: ^x = \\[\\[$\n"), [])

    def test_environment_is_expanded(self):
        self.assertEqual(self.run_text("env: CASE_FOLDER=$SOURCE/x:$CASE_UNSET\ncommand: 'echo $CASE_FOLDER'\n"
                                       f"exit: 0\nstdout: ^{self.source}/x:\n"), [])

    def test_wrong_exit_code(self):
        self.assert_problem("command: 'echo x; exit 1'\nexit: 2\nstdout: x\n", "exit code 1, want 2")

    def test_text_that_is_absent(self):
        self.assert_problem("command: 'echo x'\nexit: 0\nstdout: y\n", "stdout does not match 'y'")
        self.assert_problem("command: 'echo x'\nexit: 0\nstderr: x\n", "stderr does not match 'x'")

    def test_text_that_must_not_be_there(self):
        self.assert_problem("command: 'echo xy'\nexit: 0\nstdout: x\nnot_stdout: y\n",
                            "matches 'y' and must not")

    def test_number_of_lines_on_stderr(self):
        self.assert_problem("command: 'echo a >&2; echo b >&2'\nexit: 0\nstderr: a\nstderr_lines: 1\n",
                            "2 lines on stderr, want 1")

    def test_signal_is_never_the_expected_code(self):
        self.assert_problem("command: 'kill -SEGV $$'\nexit: 139\nstdout: ^\n", "killed by signal 11")

    def test_crash_text_fails_even_with_the_expected_code(self):
        self.assert_problem("command: 'echo terminate called after >&2; exit 1'\nexit: 1\n"
                            "stderr: called\n", "crashed inside")

    def test_hang(self):
        self.assert_problem("command: 'sleep 5'\nexit: 0\nstdout: x\ntimeout_s: 1\n",
                            "still running after 1 s")

    def test_files_and_edits_in_order(self):
        text = ("copy: chip.toml a.toml\nedit: a.toml /rows = \\d+/rowz = 9/\n"
                "file: b.toml\n  [x]\n\n    y = 1\ncommand: $TMP/a.toml $TMP/b.toml\n"
                "exit: 0\nstdout: \\Arowz = 9\\ncols = 16\\n\\[x\\]\\n\\n  y = 1\\n\\Z\n")
        self.assertEqual(self.run_text(text, ["cat"]), [])
        self.assertEqual((self.source / "chip.toml").read_text(), "rows = 8\ncols = 16\n")

    def test_truncate(self):
        self.assertEqual(self.run_text("copy: chip.toml\ntruncate: chip.toml 4\n"
                                       "command: $TMP/chip.toml\nexit: 0\nstdout: \\Arows\\Z\n",
                                       ["cat"]), [])

    def test_bytes_in_hexadecimal(self):
        self.assertEqual(self.run_text("hex: a.bin\n  47 47\n  0a\ncommand: $TMP/a.bin\nexit: 0\n"
                                       "stdout: \\AGG\\n\\Z\n", ["cat"]), [])
        self.assert_problem("hex: a.bin\n  zz\ncommand: ''\nexit: 0\nstdout: x\n", "cannot prepare")

    def test_edit_that_matches_nothing(self):
        self.assert_problem("copy: chip.toml\nedit: chip.toml /depth/x/\ncommand: ''\nexit: 0\n"
                            "stdout: x\n", "'depth' matches nothing")

    def test_file_outside_the_folder(self):
        self.assert_problem("file: ../x\n  y\ncommand: ''\nexit: 0\nstdout: x\n", "outside")

    def test_environment_keeps_the_users_cache_out(self):
        self.assertEqual(self.run_text("command: 'echo $XDG_CACHE_HOME $HOME $A'\nenv: A=$TMP/b\n"
                                       "exit: 0\nstdout: case_\\S+/cache \\S+case_\\S+ \\S+case_\\S+/b$\n"),
                         [])

    def test_malformed_files(self):
        for text, part in (
                ("command: x\n", "before the first 'name'"),
                ("name: a\nnonsense\n", "want 'key: value'"),
                ("name: a\nexpected: x\n", "unknown key 'expected'"),
                ("name: a\ndescription: b\nexit: 0\nstdout: x\n", "has no 'command'"),
                ("name: a\ndescription: b\ncommand: x\nexit: 0\n", "expects no text"),
                ("name: a\ndescription: b\ncommand: x\nexit: two\nstdout: x\n", "exit = 'two'"),
                ("name: a\nexit: 0\nexit: 1\n", "a second 'exit'"),
                ("name: a\nname: a\n", "a second case named 'a'"),
                ("# only a comment\n", "no case")):
            with self.assertRaises(run_cases.CaseError) as caught:
                run_cases.parse_cases(text, "x.case")
            self.assertIn(part, str(caught.exception))

    def test_counts_of_a_file(self):
        path = self.source / "x.case"
        path.write_text("# a comment\n"
                        "name: right\ndescription: d\ncommand: 'echo a'\nexit: 0\nstdout: a\n\n"
                        "name: wrong\ndescription: d\ncommand: 'echo a'\nexit: 0\nstdout: b\n\n"
                        "name: absent\ndescription: d\nneeds: gone/file\ncommand: 'echo a'\nexit: 0\n"
                        "stdout: a\n")
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            self.assertEqual(run_cases.run_file(path, SHELL, self.source, ""), (2, 1, 1))
            self.assertEqual(run_cases.run_file(path, SHELL, self.source, "right"), (1, 0, 0))
        self.assertIn("FAILED  wrong", printed.getvalue())
        self.assertIn("SKIPPED absent: gone/file", printed.getvalue())


if __name__ == "__main__":
    unittest.main()
