#!/usr/bin/env python3
"""Kills a tiny study (SIGKILL) at random moments of all its phases; it must always resume and end
with the canonical export of a study that nobody killed.

A third of the moments are uniform over the time of a whole run; the others wait for the phase that
was hit least so far and strike at a random moment inside it. What was hit is read from what the
killed process left: the pieces that it held, or the report file that it was writing. Goes on beyond
the number asked for until every phase was hit."""

import argparse
import collections
import pathlib
import random
import shutil
import signal
import sys
import tempfile
import time

from tiny_study import TinyStudy, kinds_at_work, query

# Leases of the study's pieces (docs/robustness.md), and what lies around them.
PIECES = ["text", "profile_linears", "profile_kv", "profile", "kl", "sweep", "side",
          "tornado_contenders", "tornado_contest", "tornado_search", "shadow_prices", "scenario"]
STARTING, BETWEEN, WRITING = "starting", "between pieces", "writing reports"
REPORTS = ["study.toml", "record.json", "canonical.json", "report.html", "targets.json"]
# Pieces that wait for others, and what is over within a millisecond, are hit by luck alone.
MUST_HIT = [STARTING, *PIECES, WRITING]
MUST_HIT.remove("profile")
MUST_HIT.remove("scenario")


def part_files(out):
    return [path.name for path in out.glob("*.part*")]


def phase_after_kill(out):
    held = kinds_at_work(out)
    if held:  # the innermost: the others wait for what they need
        return min(held, key=lambda kind: (kind in ("side", "scenario", "profile"), kind))
    if part_files(out) or query(out, "SELECT 1 FROM results WHERE kind = 'study'"):
        return WRITING
    if not query(out, "SELECT 1 FROM results"):
        return STARTING
    return BETWEEN


def wait_for(out, process, phase):
    """Until the study is in a phase, or is over."""
    while process.poll() is None:
        if phase == STARTING:
            return
        if phase == WRITING:
            if part_files(out) or any((out / name).exists() for name in REPORTS):
                return
        elif phase in kinds_at_work(out):
            return


def run_and_kill(study, out, choose, phase, whole_s, cache):
    """True if the process was killed, false if the study was over before."""
    process = study.start(out, cache=cache)
    if phase is None:
        time.sleep(choose.uniform(0, whole_s))
    else:
        wait_for(out, process, phase)
        time.sleep(choose.choice([0, 0.001, 0.003, 0.01, 0.03]) * choose.random())
    process.send_signal(signal.SIGKILL)
    process.communicate()
    return process.returncode == -signal.SIGKILL


def leftovers(out):
    """Files that a finished study must not leave, and results that no process owns any more."""
    return part_files(out) + [f"lease of {kind}" for kind in kinds_at_work(out)]


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--binary", default="build/dovetail")
    arguments.add_argument("--kills", type=int, default=100)
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--verbose", action="store_true", help="a line after every study")
    options = arguments.parse_args()
    choose = random.Random(options.seed)
    hits = collections.Counter({phase: 0 for phase in MUST_HIT})
    studies = attempts = 0
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        study = TinyStudy(options.binary, folder / "study")
        started = time.monotonic()
        whole = study.finish(folder / "whole")
        whole_s = time.monotonic() - started
        while sum(hits.values()) < options.kills or min(hits[phase] for phase in MUST_HIT) == 0:
            out = folder / f"killed{studies}"
            out.mkdir()
            for _ in range(choose.choice([1, 1, 2, 3])):
                attempts += 1
                if attempts > 8 * options.kills:
                    print(f"not every phase was hit in {attempts} attempts: {dict(hits)}",
                          file=sys.stderr)
                    return 1
                rarest = min(MUST_HIT, key=lambda phase: (hits[phase], choose.random()))
                phase = choose.choice([None, rarest, rarest])
                if not run_and_kill(study, out, choose, phase, whole_s, out / "cache"):
                    break
                hits[phase_after_kill(out)] += 1
            if study.finish(out) != whole:
                print(f"seed {options.seed}, study {studies}: another canonical export",
                      file=sys.stderr)
                return 1
            if leftovers(out):
                print(f"study {studies} left {leftovers(out)}", file=sys.stderr)
                return 1
            shutil.rmtree(out)
            studies += 1
            if options.verbose:
                print(f"{sum(hits.values())} kills, {studies} studies: {dict(hits)}", flush=True)
    print(f"{sum(hits.values())} kills over {studies} studies, every one resumed to the same export")
    for phase in [STARTING, *PIECES, BETWEEN, WRITING]:
        print(f"  {phase:16} {hits[phase]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
