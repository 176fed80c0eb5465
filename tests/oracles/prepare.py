#!/usr/bin/env python3
"""Makes the environment of an oracle test once, under the build folder, and runs the test in it.

    prepare.py transformers|llama_cpp|gguf --tool TOOL --work FOLDER

Exit code 77 (skipped) and a line that says so where the packages cannot be had."""
import argparse
import os
import pathlib
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
# Written and checked with these; the formats are those of compressed-tensors 0.20.
PYTHON_PACKAGES = ["compressed-tensors==0.20.0", "transformers==5.24.0", "accelerate==1.15.0", "numpy"]
TORCH = ["torch==2.15.0"]
GGUF_PACKAGES = ["gguf==0.19.0", "numpy"]
NODE_PACKAGES = ["node-llama-cpp@3"]


def skip(reason):
    print(f"NOT TESTED: {reason}")
    sys.exit(77)


def run_or_skip(command, what, **options):
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
                              **options)
    except (OSError, subprocess.TimeoutExpired) as error:
        skip(f"{what}: {error}")
    if done.returncode != 0:
        skip(f"{what}: {done.stdout.strip().splitlines()[-1:]}")


def python_environment(folder, packages, is_large):
    """A virtual environment with the packages; complete once the mark is there."""
    python, mark = folder / "bin" / "python", folder / "complete"
    if mark.exists():
        return python
    shutil.rmtree(folder, ignore_errors=True)
    if is_large and not os.environ.get("DOVETAIL_ORACLES"):
        skip("torch and its libraries are 4 GB; ./check --oracles (or DOVETAIL_ORACLES=1) fetches them")
    run_or_skip([sys.executable, "-m", "venv", folder], "no virtual environment")
    run_or_skip([python, "-m", "pip", "install", "--quiet", *packages],
                "packages cannot be installed", timeout=1500)
    mark.touch()
    return python


def node_folder(folder):
    mark = folder / "complete"
    if mark.exists():
        return folder
    if not os.environ.get("DOVETAIL_ORACLES"):
        skip("llama.cpp is 600 MB of npm packages; ./check --oracles (or DOVETAIL_ORACLES=1) fetches it")
    if shutil.which("npm") is None or shutil.which("node") is None:
        skip("node and npm are absent")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "package.json").write_text('{"private": true, "type": "module"}\n')
    run_or_skip(["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", *NODE_PACKAGES],
                "packages cannot be installed", cwd=folder, timeout=900)
    mark.touch()
    return folder


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("subject", choices=["transformers", "llama_cpp", "gguf"])
    parser.add_argument("--tool", required=True)
    parser.add_argument("--work", required=True, type=pathlib.Path)
    options = parser.parse_args()
    work = options.work.resolve()
    scratch = work / f"scratch_{options.subject}"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    if options.subject == "transformers":
        command = [python_environment(work / "python", TORCH + PYTHON_PACKAGES, is_large=True), HERE / "check_transformers.py", options.tool, scratch]
    elif options.subject == "gguf":
        command = [python_environment(work / "gguf", GGUF_PACKAGES, is_large=False), HERE / "check_gguf.py",
                   options.tool, scratch]
    else:
        command = [sys.executable, HERE / "check_llama_cpp.py", options.tool, scratch, node_folder(work / "node")]
    code = subprocess.run(command, check=False).returncode
    shutil.rmtree(scratch, ignore_errors=True)
    sys.exit(code)


if __name__ == "__main__":
    main()
