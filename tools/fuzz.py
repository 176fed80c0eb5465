#!/usr/bin/env python3
"""Feeds the readers of files with wrong input under the address and undefined-behaviour sanitizers.

Examples:
  tools/fuzz.py --all --seconds 120          every target, two minutes in all (what ./check does)
  tools/fuzz.py gguf --minutes 60            one target for as long as one likes
  tools/fuzz.py gguf --replay FILE           one input again, with the stack of the failure
  tools/fuzz.py gguf --shrink FILE           a smaller input that fails too
Builds into build-fuzz/ first. What a target learned stays in build-fuzz/corpus/ and the next run goes
on from there; inputs that fail are written to build-fuzz/crashers/. See tests/fuzz/README.md.
"""

import argparse
import concurrent.futures
import dataclasses
import os
import pathlib
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = ROOT / "build-fuzz"
PROGRAM = BUILD / "tests" / "fuzz" / "fuzz_targets"
SEEDS = BUILD / "seeds"
# An input is at most some KiB; what takes more than this trusts a number that it read.
MEMORY_LIMITS = ["-rss_limit_mb=1500", "-malloc_limit_mb=256"]
SECONDS_PER_INPUT = 10
SMALLEST_MAX_LEN = 4096


@dataclasses.dataclass
class Outcome:
    target: str
    inputs: int
    per_s: int
    edges: int
    corpus: int
    failed: bool
    log: pathlib.Path


def build():
    if not shutil.which("clang++-19"):
        sys.exit("fuzz: clang++-19 is missing: tools/install_deps.sh --tests")
    jobs = subprocess.run([ROOT / "tools" / "num_jobs.sh"], check=True, capture_output=True, text=True)
    for command in (["cmake", "--preset", "fuzz"],
                    ["cmake", "--build", str(BUILD), "--target", "fuzz_targets", "--parallel",
                     jobs.stdout.strip()]):
        done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
        if done.returncode != 0:
            print(done.stdout[-6000:], done.stderr[-6000:], file=sys.stderr)
            sys.exit("fuzz: the build failed: " + " ".join(command))


def make_seeds():
    subprocess.run([sys.executable, ROOT / "tests" / "fuzz" / "make_seeds.py", SEEDS], check=True)


def environment(target):
    return {**os.environ, "DOVETAIL_FUZZ_TARGET": target, "DOVETAIL_THREADS": "1",
            "ASAN_OPTIONS": "quarantine_size_mb=16:allocator_may_return_null=0:detect_stack_use_after_return=0",
            "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1"}


def crashers_of(target):
    folder = BUILD / "crashers" / target
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def number(text, pattern):
    found = re.findall(pattern, text)
    return int(found[-1]) if found else 0


def fuzz(target, seconds, fixed):
    """Runs one target and reads libFuzzer's closing lines. fixed: from the seeds alone with one seed of
    chance, so that the run in check visits the same inputs every time, as far as its seconds reach."""
    corpus = BUILD / ("corpus_of_check" if fixed else "corpus") / target
    if fixed:
        shutil.rmtree(corpus, ignore_errors=True)
    corpus.mkdir(parents=True, exist_ok=True)
    stored = ROOT / "tests" / "fuzz" / "crashers" / target
    folders = [folder for folder in (corpus, SEEDS / target, stored) if folder.exists()]
    longest = max(path.stat().st_size for path in (SEEDS / target).iterdir())
    command = [PROGRAM, f"-max_total_time={seconds}", f"-timeout={SECONDS_PER_INPUT}", *MEMORY_LIMITS,
               f"-max_len={max(SMALLEST_MAX_LEN, 2 * longest)}", f"-dict={SEEDS / target}.dict",
               "-use_value_profile=1", "-print_final_stats=1", "-reload=0",
               f"-artifact_prefix={crashers_of(target)}/", *(["-seed=20261126"] if fixed else []),
               *folders]
    log = BUILD / f"{target}.log"
    with open(log, "w", encoding="utf-8") as sink:
        code = subprocess.run(command, env=environment(target), stdout=sink, stderr=subprocess.STDOUT,
                              check=False, cwd=ROOT).returncode
    text = log.read_text(errors="replace")
    return Outcome(target, number(text, r"number_of_executed_units: (\d+)"),
                   number(text, r"average_exec_per_sec: +(\d+)"), number(text, r"cov: (\d+)"),
                   len(list(corpus.iterdir())), code != 0, log)


def fuzz_all(targets, seconds_each, jobs, fixed):
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        outcomes = list(pool.map(lambda target: fuzz(target, seconds_each, fixed), targets))
    print(f"{'target':<18} {'inputs':>10} {'per s':>7} {'edges':>7} {'corpus':>7}")
    for outcome in outcomes:
        print(f"{outcome.target:<18} {outcome.inputs:>10,} {outcome.per_s:>7,} {outcome.edges:>7,} "
              f"{outcome.corpus:>7,}{'  FAILED' if outcome.failed else ''}")
    for outcome in outcomes:
        if outcome.failed:
            tail = outcome.log.read_text(errors="replace").splitlines()
            notable = [line for line in tail if re.search(
                r"broken promise|what\(\)|ERROR|runtime error|SUMMARY|#\d+ .*dovetail|Test unit written", line)]
            print(f"\n{outcome.target} failed ({outcome.log.relative_to(ROOT)}):")
            print("\n".join("  " + line[:300] for line in notable[:25]))
    failed = sum(outcome.failed for outcome in outcomes)
    total = sum(outcome.inputs for outcome in outcomes)
    print(f"fuzz: {total:,} inputs over {len(outcomes)} targets, {seconds_each} s each, {failed} failed")
    return 1 if failed else 0


def with_input(target, path, options):
    command = [PROGRAM, *MEMORY_LIMITS, f"-timeout={SECONDS_PER_INPUT}",
               f"-artifact_prefix={crashers_of(target)}/", *options, path]
    return subprocess.run(command, env=environment(target), check=False).returncode


def parse_arguments(known):
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="of: " + ", ".join(known))
    parser.add_argument("--all", action="store_true", help="every target")
    parser.add_argument("--seconds", type=int, help="wall clock for all targets together")
    parser.add_argument("--minutes", type=float, help="for each target [1]")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="targets at once [cores]")
    parser.add_argument("--replay", type=pathlib.Path, metavar="FILE", help="run one input")
    parser.add_argument("--shrink", type=pathlib.Path, metavar="FILE", help="make a failing input small")
    parser.add_argument("--no-build", action="store_true", help="use build-fuzz/ as it is")
    options = parser.parse_args()
    unknown = [target for target in options.targets if target not in known]
    if unknown:
        parser.error(f"unknown target '{unknown[0]}', want one of {', '.join(known)}")
    if options.all == bool(options.targets):
        parser.error("want targets, or --all")
    if (options.replay or options.shrink) and len(options.targets) != 1:
        parser.error("--replay and --shrink want one target")
    options.targets = options.targets or known
    return options


def main():
    table = (ROOT / "tests" / "fuzz" / "targets.cc").read_text()
    options = parse_arguments(re.findall(r'\{"(\w+)", fuzz_', table))
    if not options.no_build:
        build()
    make_seeds()
    if options.replay:
        return with_input(options.targets[0], options.replay, [])
    if options.shrink:
        return with_input(options.targets[0], options.shrink,
                          ["-minimize_crash=1", "-max_total_time=60"])
    seconds = round(60 * (options.minutes or 1))
    if options.seconds:
        rounds = -(-len(options.targets) // options.jobs)
        seconds = max(1, options.seconds // rounds)
    return fuzz_all(options.targets, seconds, options.jobs, fixed=bool(options.seconds))


if __name__ == "__main__":
    sys.exit(main())
