"""The completion scripts in real shells: what each offers at a place of the command line."""

import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = os.environ.get("DOVETAIL_BINARY", str(ROOT / "build" / "dovetail"))
CHIPS = {path.stem for path in (ROOT / "data" / "chips").glob("*.toml")}
WORKLOADS = {path.stem for path in (ROOT / "data" / "workloads").glob("*.toml")}


def script_of(shell):
    return subprocess.run([BINARY, "completion", shell], capture_output=True, text=True, check=True,
                          timeout=60).stdout


def offers_bash(words):
    """COMPREPLY for a line whose last word is being written."""
    quoted = " ".join("'" + word + "'" for word in words)
    program = (script_of("bash") + f"\nCOMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}\n"
               "_dovetail\nprintf '%s\\n' \"${COMPREPLY[@]}\"\n")
    done = subprocess.run(["bash", "--norc", "-c", program], capture_output=True, text=True, cwd=ROOT,
                          timeout=60, check=True)
    assert done.stderr == "", done.stderr
    return set(done.stdout.split())


def offers_fish(words):
    with tempfile.TemporaryDirectory() as home:
        program = script_of("fish") + "\ncomplete -C \"$DOVETAIL_LINE\"\n"
        done = subprocess.run(["fish", "--no-config", "-c", program], capture_output=True, text=True,
                              cwd=ROOT, timeout=60, check=True,
                              env={**os.environ, "HOME": home, "DOVETAIL_LINE": " ".join(words)})
    assert done.stderr == "", done.stderr
    return {line.split("\t")[0] for line in done.stdout.splitlines()}


# The script runs in zsh; what hands offers to the line editor is replaced, as that needs a person at
# its keys: _describe prints what it was given, _files what a glob finds.
ZSH_SURROUNDINGS = r"""
compdef() { }
_describe() { local item; for item in "${(@P)2}"; do print -r -- "${item%%:*}"; done }
_files() { print -rl -- ${words[CURRENT]}*(N) }
"""


def offers_zsh(words):
    quoted = " ".join("'" + word + "'" for word in words)
    program = (ZSH_SURROUNDINGS + script_of("zsh") + f"\nwords=({quoted}); CURRENT={len(words)}\n_dovetail\ntrue\n")
    done = subprocess.run(["zsh", "-f", "-c", program], capture_output=True, text=True, cwd=ROOT,
                          timeout=60, check=True)
    assert done.stderr == "", done.stderr
    return {line for line in done.stdout.splitlines() if line.startswith(words[-1])}


class Completion:
    """What every shell must offer; a class below for each shell."""
    offers = None

    def assert_offers(self, words, wanted, unwanted=()):
        got = self.offers(words)
        self.assertLessEqual(set(wanted), got, f"{words} -> {sorted(got)}")
        self.assertFalse(set(unwanted) & got, f"{words} -> {sorted(got)}")

    def test_verbs(self):
        self.assert_offers(["dovetail", ""], {"init", "optimize", "explain", "cost", "completion"},
                           {"docs", "kl"})
        self.assert_offers(["dovetail", "op"], {"optimize"}, {"init"})

    def test_verbs_below_a_verb(self):
        self.assert_offers(["dovetail", "eval", ""], {"kl", "ppl"}, {"optimize"})

    def test_options_of_a_verb(self):
        self.assert_offers(["dovetail", "cost", "--"], {"--chip", "--model", "--workload", "--json", "--help"},
                           {"--area-mm2"})
        self.assert_offers(["dovetail", "eval", "kl", "--"], {"--text", "--treatment"}, {"--chip"})

    def test_choices(self):
        self.assert_offers(["dovetail", "completion", ""], {"bash", "zsh", "fish"}, {"optimize"})
        self.assert_offers(["dovetail", "cost", "--color", ""], {"auto", "always", "never"})

    def test_names_of_the_installation(self):
        self.assert_offers(["dovetail", "cost", "--chip", ""], CHIPS, WORKLOADS)
        self.assert_offers(["dovetail", "cost", "--chip", "reference_edge", "--workload", ""], WORKLOADS, CHIPS)
        self.assert_offers(["dovetail", "cost", "--model", ""], {"smollm2-135m", "llama-3-8b"})
        self.assert_offers(["dovetail", "pull", ""], {"smollm2-135m"}, {"llama-3-8b"})
        self.assert_offers(["dovetail", "init", "--class", ""], {"edge", "cloud"})

    def test_value_that_is_named_like_a_verb_is_none(self):
        self.assert_offers(["dovetail", "optimize", "--out", "eval", "--"], {"--out", "--json"}, {"--text"})


@unittest.skipUnless(shutil.which("bash"), "bash is not here")
class Bash(Completion, unittest.TestCase):
    offers = staticmethod(offers_bash)

    def test_value_after_an_equals_sign(self):
        self.assert_offers(["dovetail", "cost", "--chip", "=", "reference_e"], {"reference_edge"},
                           {"reference_cloud"})

    def test_files(self):
        self.assert_offers(["dovetail", "optimize", "studies/q"], {"studies/quickstart.toml"})
        self.assert_offers(["dovetail", "explain", "tests/ca"], {"tests/cases"})


@unittest.skipUnless(shutil.which("fish"), "fish is not here")
class Fish(Completion, unittest.TestCase):
    offers = staticmethod(offers_fish)


@unittest.skipUnless(shutil.which("zsh"), "zsh is not here")
class Zsh(Completion, unittest.TestCase):
    offers = staticmethod(offers_zsh)


if __name__ == "__main__":
    unittest.main()
