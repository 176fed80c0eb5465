"""What a terminal gets and a pipe does not: colour, progress in place, questions."""

import os
import pathlib
import pty
import re
import select
import subprocess
import tempfile
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = os.environ.get("DOVETAIL_BINARY", str(ROOT / "build" / "dovetail"))
MODEL = "llama-3-8b"


def on_terminal(arguments, answers=(), environment=None, cwd=ROOT, timeout_s=60):
    """Runs dovetail on a terminal, types `answers` one after each prompt "] ". An answer None ends
    the input. Returns (exit code, everything the terminal showed)."""
    master, slave = pty.openpty()
    process = subprocess.Popen([BINARY, *arguments], stdin=slave, stdout=slave, stderr=slave, cwd=cwd,
                               env={**os.environ, "TERM": "xterm", "NO_COLOR": "", **(environment or {})},
                               close_fds=True)
    os.close(slave)
    shown, seen, waiting = b"", 0, list(answers)
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        ready, _, _ = select.select([master], [], [], 0.1)
        if ready:
            try:
                part = os.read(master, 65536)
            except OSError:  # the other side is closed
                break
            if not part:
                break
            shown += part
        if waiting and shown.endswith(b"] ") and len(shown) > seen:
            seen = len(shown)
            answer = waiting.pop(0)
            os.write(master, b"\x04" if answer is None else answer.encode() + b"\n")
    os.close(master)
    try:
        code = process.wait(timeout=max(1, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    return code, shown.decode(errors="replace").replace("\r\n", "\n")


def in_pipe(arguments, environment=None, cwd=ROOT):
    done = subprocess.run([BINARY, *arguments], capture_output=True, text=True, cwd=cwd, check=False,
                          stdin=subprocess.DEVNULL, timeout=60,
                          env={**os.environ, "TERM": "xterm", **(environment or {})})
    return done.returncode, done.stdout + done.stderr


class Colour(unittest.TestCase):
    def test_on_a_terminal(self):
        self.assertIn("\x1b[1mExamples", on_terminal(["cost", "--help"])[1])
        self.assertIn("\x1b[1;31mdovetail:", on_terminal(["cost", "--chipp", "x"])[1])

    def test_not_in_a_pipe(self):
        for arguments in (["cost", "--help"], ["cost", "--chipp", "x"]):
            self.assertNotIn("\x1b", in_pipe(arguments)[1])

    def test_not_where_the_user_said_so(self):
        for environment in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
            self.assertNotIn("\x1b", on_terminal(["cost", "--help"], environment=environment)[1])
        self.assertNotIn("\x1b", on_terminal(["--color", "never", "cost", "--help"])[1])


class Questions(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def init(self, answers, *arguments):
        return on_terminal(["init", *arguments], answers=answers, cwd=self.folder,
                           environment={"DOVETAIL_CACHE": str(self.folder / "cache")})

    def test_enter_takes_every_default(self):
        code, shown = self.init([""] * 7)
        self.assertEqual(code, 0, shown)
        study = (self.folder / "study.toml").read_text()
        self.assertIn('model = "smollm2-135m"', study)
        self.assertIn("max_area_mm2 = 40", study)
        self.assertIn("dovetail pull smollm2-135m", shown)

    def test_wrong_answers_are_explained_and_asked_again(self):
        code, shown = self.init(["llama-3-8x", MODEL, "egde_large", "edge_large", "", "speed", "energy",
                                 "much", "0.3", "-4", "90", "20"])
        self.assertEqual(code, 0, shown)
        self.assertIn("llama-3-8b", shown)
        self.assertRegex(shown, r"egde_large.*did you mean edge_large")
        self.assertRegex(shown, r'"speed" is unknown')
        self.assertIn('"much", want 1e-05..20', shown)
        self.assertIn('"-4", want 0.1..1000 (die area)', shown)
        study = (self.folder / "study.toml").read_text()
        for line in ('objectives = ["energy"]', "kl_caps_nats = [0.3]", "max_area_mm2 = 90",
                     "max_peak_power_w = 20", 'loss_profile = "smollm2-135m"'):
            self.assertIn(line, study)

    def test_flags_are_not_asked(self):
        code, shown = self.init([""], "mine", "--model", MODEL, "--class", "edge_large", "--objective",
                                "latency", "--kl-cap", "0.1", "--area-mm2", "80", "--power-w", "10")
        self.assertEqual(code, 0, shown)
        self.assertEqual(len(re.findall(r"\] ", shown)), 1, shown)
        self.assertIn('name = "mine"', (self.folder / "mine.toml").read_text())

    def test_end_of_input_writes_nothing(self):
        code, shown = self.init([MODEL, None])
        self.assertEqual(code, 2, shown)
        self.assertIn("the input ended at the question for --class", shown)
        self.assertEqual(list(self.folder.glob("*.toml")), [])


class Progress(unittest.TestCase):
    """A search without a model: progress of `optimize` needs one, so a chip study by shape alone with a
    profile would too; the sweep of the example studies is driven by tests/friendly/test_documents.py."""

    def test_pull_of_an_unknown_model_leaves_no_line(self):
        code, shown = on_terminal(["pull", "smollm3"])
        self.assertEqual(code, 2)
        self.assertEqual(shown.count("\n"), 1, shown)


if __name__ == "__main__":
    unittest.main()
