#!/usr/bin/env python3
"""Replays stored inputs as ordinary tests: replay.py (--crashers | --seeds) PROGRAM."""

import pathlib
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent


def replay(program, root):
    folders = sorted(path for path in root.iterdir() if path.is_dir())
    done = subprocess.run([program, *folders], check=False, capture_output=True)
    print(done.stdout.decode(errors="replace")[-2000:])
    if done.returncode != 0:
        print(done.stderr.decode(errors="replace")[-3000:])
    return 1 if done.returncode != 0 else 0


def main():
    kind, program = sys.argv[1:]
    if kind == "--crashers":
        return replay(program, HERE / "crashers")
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, HERE / "make_seeds.py", folder], check=True)
        return replay(program, pathlib.Path(folder))


if __name__ == "__main__":
    sys.exit(main())
