"""Runs what the documents tell people to type: the examples of every verb's help (as the generated
docs/reference/cli.md holds them) and of the README, and the tutorial command by command.

Commands run in a scratch folder. The example studies there are thinned copies: the same keys, at most
two values an axis, little text, so that an example takes seconds. The tutorial's studies are its own.
What needs SmolLM2-135M is skipped, and says so, where the model was not pulled."""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from test_terminal import BINARY, ROOT, on_terminal  # noqa: E402

MODEL = "smollm2-135m"
NEEDS_MODEL = re.compile(r"dovetail (optimize|compress|verify|eval (?!compare)|explain|report|roadmap|pull \S|cost .*smollm2|inspect smollm2)")
# Benchmarks generate for minutes, so their examples are parsed (app_test), and these three run.
BENCHMARK = re.compile(r"dovetail eval (mmlu|gsm8k|gsm8k_cot|humaneval|humaneval_instruct|ifeval|wikitext)\b")
QUICK_BENCHMARK = re.compile(r"dovetail eval (mmlu|gsm8k|wikitext) \S+ --limit 1( --num-fewshot 0| --max-length 512)?$")
# A server does not end by itself: check_serve_lm_eval.py runs one. Backward from accuracy wants a study of hours:
# tests/cases/targets_torch.case. App_test parses the examples of both.
ELSEWHERE = re.compile(r"dovetail (serve|targets)\b")
PROGRAM = re.compile(r"^(build/)?dovetail\b")


def blocks(path):
    """[(language, [lines], number of the first line)] of a Markdown file's fenced blocks."""
    found, language = [], None
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if line.startswith("```"):
            if language is None:
                language, lines, first = line[3:].strip(), [], number + 1
            else:
                found.append((language, lines, first))
                language = None
        elif language is not None:
            lines.append(line)
    return found


def example_commands():
    """What help, README and reference show, each once, those that later ones read first."""
    commands = []
    for path in (ROOT / "docs" / "reference" / "cli.md", ROOT / "README.md"):
        for language, lines, _ in blocks(path):
            if language == "sh":
                commands += [line for line in lines if PROGRAM.match(line)]
    ordered = list(dict.fromkeys(PROGRAM.sub("dovetail", line) for line in commands))
    first = ("dovetail pull", "dovetail init", "dovetail optimize", "dovetail compress")
    return sorted(ordered, key=lambda line: next((i for i, verb in enumerate(first) if line.startswith(verb)),
                                                 len(first)))


def thinned(text):
    """A study with the same keys and a small answer."""
    for pattern, short in ((r"^(profile|select|certify)_sequences = .*", r"\1_sequences = 2"),
                           (r"^sequence_tokens = .*", "sequence_tokens = 64"),
                           (r"^weights = .*", 'weights = ["int4_g32", "int6_g64", "int8"]'),
                           (r"^kv = .*", 'kv = ["int8"]'),
                           (r"^(objectives|reference_chips) = \[([^],]*),.*\]$", r"\1 = [\2]"),
                           (r"^kl_caps_nats = .*", "kl_caps_nats = [0.15]"),
                           (r"^(\w+) = \[([\d.]+)(?:, [\d.]+)*, ([\d.]+)\]$", r"\1 = [\2, \3]"),
                           (r"^(confirmations|validation_recipes) = .*\n", "")):
        text = re.sub(pattern, short, text, flags=re.M)
    return "confirmations = 1\nvalidation_recipes = 4\n" + text


class Workspace:
    """A scratch folder with a cache of its own, so that nothing remembered makes a command quick."""

    def __init__(self):
        self.scratch = tempfile.TemporaryDirectory(prefix="dovetail_documents_")
        self.folder = pathlib.Path(self.scratch.name)
        cache = self.folder / "cache"
        cache.mkdir()
        user_cache = pathlib.Path(os.environ.get("DOVETAIL_CACHE")
                                  or pathlib.Path(os.environ.get("XDG_CACHE_HOME")
                                                  or pathlib.Path.home() / ".cache") / "dovetail")
        self.has_model = (user_cache / "models" / MODEL).is_dir()
        if self.has_model:
            (cache / "models").symlink_to(user_cache / "models")
        self.environment = {**os.environ, "DOVETAIL_CACHE": str(cache)}
        (self.folder / "studies").mkdir()
        for path in (ROOT / "studies").glob("*.toml"):
            (self.folder / "studies" / path.name).write_text(thinned(path.read_text()))
        shutil.copy(ROOT / "README.md", self.folder)
        (self.folder / "docs").mkdir()
        shutil.copy(ROOT / "docs" / "tutorial.md", self.folder / "docs")  # a second text
        (self.folder / "build").mkdir()
        (self.folder / "build" / "dovetail").symlink_to(BINARY)

    def run(self, line):
        """Runs one line of a document. Returns (exit code, stdout, stderr, seconds)."""
        started = time.monotonic()
        if line.strip() == "dovetail init":
            code, shown = on_terminal(["init"], answers=[""] * 7, cwd=self.folder,
                                      environment={"DOVETAIL_CACHE": self.environment["DOVETAIL_CACHE"]})
            return code, shown, "", time.monotonic() - started
        done = subprocess.run(["bash", "-c", PROGRAM.sub("build/dovetail", line)], cwd=self.folder,
                              env=self.environment, capture_output=True, text=True, check=False,
                              stdin=subprocess.DEVNULL, timeout=800)
        return done.returncode, done.stdout, done.stderr, time.monotonic() - started


WORKSPACE = None


def setUpModule():
    global WORKSPACE
    WORKSPACE = Workspace()


def tearDownModule():
    WORKSPACE.scratch.cleanup()


class Examples(unittest.TestCase):
    def run_all(self, commands):
        for line in commands:
            with self.subTest(line):
                code, stdout, stderr, seconds = WORKSPACE.run(line)
                print(f"{seconds:6.1f} s  {line}", flush=True)
                self.assertEqual(code, 0, stderr[-2000:])
                self.assertTrue(stdout.strip(), "printed nothing")
                if line.startswith("dovetail init"):
                    for path in WORKSPACE.folder.glob("*.toml"):
                        path.write_text(thinned(path.read_text()))
                if line.startswith("dovetail optimize") and "--json" not in line:
                    # Others compare these two.
                    report = re.search(r"^report: (.*)/report\.html$", stdout, re.M)
                    for name in ("small", "large"):
                        copy = WORKSPACE.folder / "out" / name
                        shutil.rmtree(copy, ignore_errors=True)  # no log of another database stays
                        shutil.copytree(WORKSPACE.folder / report[1], copy)

    def test_there_are_examples_of_every_verb(self):
        commands = "\n".join(example_commands())
        for verb in ("init", "pull", "optimize", "compress", "verify", "explain", "report", "roadmap", "targets", "inspect",
                     "cost", "eval kl", "eval ppl", "eval mmlu", "eval gsm8k", "eval humaneval", "eval ifeval",
                     "eval wikitext", "eval compare", "serve", "completion"):
            self.assertIn(f"dovetail {verb}", commands)

    def test_every_example_runs(self):
        # What evaluations of two models would have written.
        for name, correct in (("released", "true"), ("compressed", "false")):
            (WORKSPACE.folder / f"{name}.jsonl").write_text("".join(
                f'{{"task": "t", "doc_id": {i}, "mode": "lm_eval", "num_fewshot": 0, "prompt_sha256": "{i}", '
                f'"correct": {correct if i == 3 else "true"}}}\n' for i in range(164)))
        # First what needs no model: it also writes the study that a later example reads.
        self.run_all([line for line in example_commands()
                      if not NEEDS_MODEL.match(line) and not ELSEWHERE.match(line)])
        if not WORKSPACE.has_model:
            self.skipTest(f"{MODEL} was not pulled: run build/dovetail pull {MODEL}")
        self.run_all([line for line in example_commands()
                      if NEEDS_MODEL.match(line) and not BENCHMARK.match(line)])

    def test_examples_of_benchmarks_run(self):
        data = pathlib.Path(os.environ.get("DOVETAIL_DATA") or ROOT / ".." / "shared" / "data").resolve()
        if not (data / "eval").is_dir() or not WORKSPACE.has_model:
            self.skipTest(f"{data}/eval or {MODEL} is not here")
        WORKSPACE.environment["DOVETAIL_DATA"] = str(data)
        quick = [line for line in example_commands() if QUICK_BENCHMARK.match(line)]
        self.assertEqual(len(quick), 3, quick)
        self.run_all(quick)


class ManPage(unittest.TestCase):
    PAGE = ROOT / "docs" / "man" / "dovetail.1"

    def lint(self, *command):
        if not shutil.which(command[0]):
            self.skipTest(f"{command[0]} is not here")
        done = subprocess.run([*command, str(self.PAGE)], capture_output=True, text=True, check=False, timeout=60)
        return done

    def test_mandoc_finds_nothing_wrong(self):
        done = self.lint("mandoc", "-T", "lint", "-W", "warning")
        problems = [line for line in done.stdout.splitlines() if "missing date" not in line]
        self.assertEqual(problems, [])  # a date would make the page differ from build to build

    def test_it_renders_without_warnings(self):
        done = self.lint("groff", "-ww", "-man", "-Tutf8")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        for word in ("init", "explain", "--area", "EXIT STATUS"):
            self.assertIn(word, re.sub("\x1b\\[[0-9;]*m|.\b", "", done.stdout))


def as_pattern(lines):
    """Expected output: <n> is any number, ... in a line anything, a line ... any lines."""
    parts = []
    for line in lines:
        if line.strip() == "...":
            parts.append(r"(?:.*\n)*?")
            continue
        escaped = re.escape(line.rstrip()).replace("<n>", r"[-+]?[\d.,]+(?:e[-+]?\d+)?").replace(r"\.\.\.", ".*")
        parts.append(re.sub(r"(\\ )+", r"\\s+", escaped) + r"[ \t]*\n")
    return re.compile("".join(parts))


class Tutorial(unittest.TestCase):
    def test_every_command_does_what_is_written(self):
        if not WORKSPACE.has_model:
            self.skipTest(f"{MODEL} was not pulled: run build/dovetail pull {MODEL}")
        output, total_s, num_commands, num_outputs = "", 0.0, 0, 0
        for language, lines, first in blocks(ROOT / "docs" / "tutorial.md"):
            if language == "sh":
                output = ""
                for line in lines:
                    if not line or line.startswith("#"):
                        continue
                    code, stdout, stderr, seconds = WORKSPACE.run(line)
                    print(f"{seconds:6.1f} s  {line}", flush=True)
                    total_s += seconds
                    num_commands += 1
                    self.assertEqual(code, 0, f"tutorial.md:{first}: {line}\n{stderr[-2000:]}")
                    output += stdout
            elif language == "text":
                num_outputs += 1
                self.assertRegex(output, as_pattern(lines), f"tutorial.md:{first}: this was printed:\n{output}")
        print(f"tutorial: {num_commands} commands, {num_outputs} outputs compared, {total_s:.0f} s")
        self.assertGreater(num_commands, 8)
        self.assertGreater(num_outputs, 4)


if __name__ == "__main__":
    unittest.main()
