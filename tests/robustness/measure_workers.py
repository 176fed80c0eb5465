#!/usr/bin/env python3
"""How much faster two workers are than one, each with one thread: prints both times and their ratio,
and fails unless both end with the same canonical export. Needs a quiet machine with two cores.

Every run starts with an empty folder and an empty cache; the models alone are linked in."""

import argparse
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

from tiny_study import canonical


def models_folder():
    cache = os.environ.get("DOVETAIL_CACHE")
    if not cache:
        cache = os.path.join(os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~/.cache")), "dovetail")
    return pathlib.Path(cache).resolve() / "models"


def run(binary, study, folder, workers):
    (folder / "cache").mkdir(parents=True)
    (folder / "cache" / "models").symlink_to(models_folder())
    environment = dict(os.environ, DOVETAIL_CACHE=str(folder / "cache"), DOVETAIL_THREADS="1")
    started, before = time.monotonic(), os.times()
    subprocess.run([binary, "optimize", study, "--out", folder / "out", "--workers", str(workers)],
                   env=environment, check=True, stdout=subprocess.DEVNULL)
    took, after = time.monotonic() - started, os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return took, cpu, canonical(folder / "out")


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--binary", default="build/dovetail")
    arguments.add_argument("--study", default="studies/quickstart.toml")
    arguments.add_argument("--workers", type=int, default=2)
    arguments.add_argument("--rounds", type=int, default=1, help="the median of these counts")
    options = arguments.parse_args()
    binary = pathlib.Path(options.binary).resolve()
    seconds = {1: [], options.workers: []}
    exports = set()
    with tempfile.TemporaryDirectory() as name:
        for round_number in range(options.rounds):
            for workers, times in seconds.items():
                took, cpu, export = run(binary, options.study,
                                   pathlib.Path(name) / f"{round_number}-{workers}", workers)
                times.append(took)
                exports.add(export)
                print(f"{workers} worker{'s' if workers > 1 else ''}: {took:.1f} s, "
                      f"{cpu:.1f} s of CPU", flush=True)
    alone, together = (statistics.median(times) for times in seconds.values())
    print(f"{options.workers} workers are {alone / together:.2f} times as fast as one")
    if len(exports) != 1:
        print("the canonical exports differ", file=sys.stderr)
    return 0 if len(exports) == 1 else 1


if __name__ == "__main__":
    sys.exit(main())
