"""quickstart, check, install_deps.sh and run_tidy.sh with stand-ins for the programs they call."""

import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SYSTEM_PROGRAMS = ("awk", "bash", "cat", "chmod", "dirname", "env", "grep", "head", "mkdir", "mktemp",
                   "nproc", "rm", "sed", "sort", "tail", "touch", "wc")


class Sandbox(unittest.TestCase):
    """A folder with copies of the scripts and a PATH that holds only what a test puts there."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)
        self.programs = self.root / "programs"
        self.programs.mkdir()
        for name in SYSTEM_PROGRAMS:
            (self.programs / name).symlink_to(shutil.which(name))
        (self.root / "tools").mkdir()
        for name in ("quickstart", "check", "tools/install_deps.sh", "tools/num_jobs.sh"):
            shutil.copy(ROOT / name, self.root / name)
        (self.root / "studies").mkdir()
        self.calls = self.root / "calls.txt"
        self.calls.touch()

    def program(self, name, body="", folder=None):
        """A stand-in that notes its arguments in calls.txt and then runs `body`."""
        path = (folder or self.programs) / name
        path.parent.mkdir(exist_ok=True)
        path.unlink(missing_ok=True)
        path.write_text(f'#!/bin/bash\necho "{name} $*" >>"{self.calls}"\n{body}\n')
        path.chmod(0o755)

    def run_script(self, *arguments):
        return subprocess.run([str(self.root / arguments[0]), *arguments[1:]], cwd="/",
                              env={**os.environ, "PATH": str(self.programs)}, capture_output=True,
                              text=True, timeout=60, check=False, stdin=subprocess.DEVNULL)


class InstallDeps(Sandbox):
    def setUp(self):
        super().setUp()
        self.program("apt-get")
        self.program("id", "echo 0")

    def installed(self, *absent):
        """dpkg-query that knows every package asked for but these."""
        self.program("dpkg-query", 'for name in "${@:4}"; do case $name in '
                     f'{"|".join(absent or ("none",))}) ;; *) echo "$name installed" ;; esac; done; exit 1')

    def apt_calls(self):
        return [line for line in self.calls.read_text().splitlines() if line.startswith("apt-get")]

    def test_nothing_missing_calls_no_apt(self):
        self.installed()
        done = self.run_script("tools/install_deps.sh", "--tests")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(self.apt_calls(), [])
        self.assertEqual(self.run_script("tools/install_deps.sh", "--quiet").stdout, "")

    def test_only_what_is_missing_is_installed(self):
        self.installed("libfmt-dev", "libgtest-dev")
        done = self.run_script("tools/install_deps.sh")
        self.assertEqual(done.returncode, 0, done.stderr)
        update, install = self.apt_calls()
        self.assertTrue(update.endswith("update"), update)
        self.assertTrue(install.endswith("install --yes --no-install-recommends libfmt-dev"), install)

    def test_packages_of_tests_belong_to_tests(self):
        self.installed("libgtest-dev")
        self.assertIn("installed", self.run_script("tools/install_deps.sh").stdout)
        self.assertEqual(self.run_script("tools/install_deps.sh", "--tests", "--print").stdout,
                         "libgtest-dev\n")

    def test_package_that_was_removed_but_kept_its_settings(self):
        self.program("dpkg-query", 'for name in "${@:4}"; do echo "$name config-files"; done')
        self.assertIn("libtorch-dev", self.run_script("tools/install_deps.sh", "--print").stdout)

    def test_without_root_or_sudo_the_command_is_printed(self):
        self.installed("cmake")
        self.program("id", "echo 1000")
        done = self.run_script("tools/install_deps.sh")
        self.assertEqual(done.returncode, 2)
        self.assertIn("apt-get install --yes --no-install-recommends cmake", done.stderr)
        self.assertEqual(self.apt_calls(), [])

    def test_without_root_sudo_is_used_where_it_may(self):
        self.installed("cmake")
        self.program("id", "echo 1000")
        self.program("sudo", '[[ $1 == -n ]] || "$@"')
        self.assertEqual(self.run_script("tools/install_deps.sh").returncode, 0)
        self.assertEqual(len(self.apt_calls()), 2)

    def test_failing_apt_shows_its_words(self):
        self.installed("cmake")
        self.program("apt-get", "echo no space left >&2; exit 100")
        done = self.run_script("tools/install_deps.sh")
        self.assertEqual(done.returncode, 1)
        self.assertIn("no space left", done.stderr)
        self.assertIn("cmake", done.stderr)

    def test_system_without_apt(self):
        done = self.run_script("tools/install_deps.sh")
        self.assertEqual(done.returncode, 2)
        self.assertIn("no apt", done.stderr)


class Quickstart(Sandbox):
    DOVETAIL = ('if [[ $1 == optimize ]]; then echo "ratio 1.04"; mkdir -p out; touch out/report.html;'
                ' echo "report: out/report.html"; fi')

    def setUp(self):
        super().setUp()
        self.program("install_deps.sh", folder=self.root / "tools")
        self.program("dovetail", self.DOVETAIL, self.root / "build")
        self.program("cmake", '[[ $1 == --preset ]] && touch build/build.ninja; exit 0')

    def test_the_four_steps_in_order(self):
        done = self.run_script("quickstart")
        self.assertEqual(done.returncode, 0, done.stderr)
        steps = [" ".join(line.split()[:2]) for line in self.calls.read_text().splitlines()]
        self.assertEqual(steps, ["install_deps.sh", "cmake --preset", "cmake --build", "dovetail pull",
                                 "dovetail optimize"])
        self.assertIn("ratio 1.04", done.stdout)
        self.assertRegex(done.stdout, r"Report: out/report\.html\nTotal: \d+ s\n$")

    def test_second_run_does_not_configure_again(self):
        self.run_script("quickstart")
        self.calls.write_text("")
        self.assertEqual(self.run_script("quickstart", "--no-install").returncode, 0)
        self.assertNotIn("--preset", self.calls.read_text())
        self.assertNotIn("install_deps", self.calls.read_text())

    def test_failing_step_is_named_and_stops(self):
        self.program("cmake", "echo no compiler found; exit 3")
        done = self.run_script("quickstart")
        self.assertEqual(done.returncode, 3)
        self.assertIn("no compiler found", done.stderr)
        self.assertIn("stopped at '[2/4] configure'", done.stderr)
        self.assertNotIn("dovetail", self.calls.read_text())

    def test_failing_study_keeps_its_exit_code(self):
        self.program("dovetail", "[[ $1 == pull ]] || { echo bad key >&2; exit 2; }", self.root / "build")
        done = self.run_script("quickstart")
        self.assertEqual(done.returncode, 2)
        self.assertIn("bad key", done.stderr)
        self.assertNotIn("Total", done.stdout)

    def test_study_without_report_is_a_failure(self):
        self.program("dovetail", "echo ratio 1.04", self.root / "build")
        done = self.run_script("quickstart")
        self.assertEqual(done.returncode, 1)
        self.assertIn("without its report.html", done.stderr)

    def test_long_summary_is_cut(self):
        self.program("dovetail", self.DOVETAIL + '\nfor ((i = 0; i < 40; ++i)); do echo "line $i"; done',
                     self.root / "build")
        done = self.run_script("quickstart")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("line 23", done.stdout)
        self.assertNotIn("line 24", done.stdout)
        self.assertIn("Report: out/report.html", done.stdout)

    def test_unknown_option(self):
        done = self.run_script("quickstart", "--fresh")
        self.assertEqual(done.returncode, 2)
        self.assertEqual(self.calls.read_text(), "")


class Check(Sandbox):
    def setUp(self):
        super().setUp()
        for name in ("install_deps.sh", "check_layers.py", "run_tidy.sh"):
            self.program(name, folder=self.root / "tools")
        self.program("fuzz.py", 'echo "fuzz: 9 inputs"', self.root / "tools")
        self.program("dovetail", folder=self.root / "build")
        self.program("cmake")
        self.program("git")
        self.program("ctest", 'echo "100% tests passed"; echo "Total Test time"')

    def test_last_lines_are_those_of_ctest_and_the_fuzzer(self):
        done = self.run_script("check")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stdout, r"100% tests passed\nTotal Test time\n== fuzzing .*\nfuzz: 9 inputs\n$")
        self.assertIn("fuzz.py --all --seconds 120", self.calls.read_text())
        calls = self.calls.read_text()
        self.assertIn("install_deps.sh --tests", calls)
        self.assertIn("cmake --preset no-torch", calls)
        self.assertNotIn("run_tidy", calls)

    def test_failing_tests_fail_the_check(self):
        self.program("ctest", '[[ "$*" == *no-torch* ]] || exit 8')
        done = self.run_script("check")
        self.assertEqual(done.returncode, 8)
        self.assertIn("failed at: tests", done.stderr)

    def test_fuzzing_may_be_left_out(self):
        done = self.run_script("check", "--no-fuzz")
        self.assertTrue(done.stdout.endswith("100% tests passed\nTotal Test time\n"), done.stdout)
        self.assertNotIn("fuzz.py", self.calls.read_text())

    def test_a_crash_found_by_fuzzing_fails_the_check(self):
        self.program("fuzz.py", "exit 1", self.root / "tools")
        done = self.run_script("check")
        self.assertEqual(done.returncode, 1)
        self.assertIn("failed at: fuzzing", done.stderr)

    def test_clang_uses_its_own_folder(self):
        self.assertEqual(self.run_script("check", "--clang").returncode, 0)
        calls = self.calls.read_text()
        self.assertIn("cmake --preset clang", calls)
        self.assertNotIn("--preset release", calls)

    def test_failing_layers_stop_before_the_build(self):
        self.program("check_layers.py", "exit 1", self.root / "tools")
        done = self.run_script("check", "--no-install")
        self.assertEqual(done.returncode, 1)
        self.assertNotIn("cmake", self.calls.read_text())

    def test_model_that_cannot_be_fetched_is_said_and_no_failure(self):
        self.program("dovetail", "exit 1", self.root / "build")
        done = self.run_script("check")
        self.assertEqual(done.returncode, 0)
        self.assertIn("smollm2-135m was not fetched", done.stdout)

    def test_tidy_on_changes_is_bounded(self):
        self.assertEqual(self.run_script("check", "--tidy-changed").returncode, 0)
        self.assertIn("run_tidy.sh --since HEAD~1 --seconds 300", self.calls.read_text())
        self.program("git", "exit 1")
        done = self.run_script("check", "--tidy-changed")
        self.assertIn("no earlier commit", done.stdout)

    def test_sanitizers_use_their_own_folder(self):
        self.assertEqual(self.run_script("check", "--asan").returncode, 0)
        calls = self.calls.read_text()
        self.assertIn("cmake --preset asan", calls)
        self.assertNotIn("--preset release", calls)


if __name__ == "__main__":
    unittest.main()
