#!/usr/bin/env python3
"""Runs text cases against the dovetail program. The format stands in tests/cases/README.md."""

import argparse
import dataclasses
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import tempfile

# What a program that died or gave up inside prints; no case may ever show it.
CRASH = re.compile(r"terminate called|Assertion .* failed|AddressSanitizer|runtime error:|check failed:",
                   re.IGNORECASE)
SINGLE = ("description", "command", "exit", "timeout_s", "stderr_lines")
REPEATED = ("stdout", "stderr", "not_stdout", "not_stderr", "copy", "edit", "truncate", "file", "hex",
            "fill", "env", "needs")


@dataclasses.dataclass
class Case:
    """One case as written: single fields, and repeated steps in their order."""
    name: str
    where: str
    fields: dict
    steps: list  # [(key, value, [indented lines])] of the repeated keys


class CaseError(Exception):
    """The case file itself is wrong."""


def parse_cases(text, file_name):
    cases, block = [], None
    for number, line in enumerate(text.splitlines(), 1):
        where = f"{file_name}:{number}"
        if block is not None and (line.startswith("  ") or (not line.strip() and block)):
            block.append(line[2:])
            continue
        block = None
        if not line.strip() or line.startswith("#"):
            continue
        key, colon, value = line.partition(":")
        value = value.strip()
        if not colon:
            raise CaseError(f"{where}: '{line}', want 'key: value'")
        if key == "name":
            if any(case.name == value for case in cases):
                raise CaseError(f"{where}: a second case named '{value}'")
            cases.append(Case(value, where, {}, []))
        elif not cases:
            raise CaseError(f"{where}: '{key}' before the first 'name'")
        elif key in SINGLE:
            if key in cases[-1].fields:
                raise CaseError(f"{where}: a second '{key}' in case '{cases[-1].name}'")
            cases[-1].fields[key] = value
        elif key in REPEATED:
            block = [] if key in ("file", "hex", "fill") else None
            cases[-1].steps.append((key, value, block if block is not None else []))
        else:
            raise CaseError(f"{where}: unknown key '{key}', want one of name, "
                            + ", ".join(SINGLE + REPEATED))
    for case in cases:
        check_case(case)
    if not cases:
        raise CaseError(f"{file_name}: no case in it")
    return cases


def check_case(case):
    for key in ("description", "command", "exit"):
        if key not in case.fields:
            raise CaseError(f"{case.where}: case '{case.name}' has no '{key}'")
    if not any(key in ("stdout", "stderr") for key, _, _ in case.steps):
        raise CaseError(f"{case.where}: case '{case.name}' expects no text; give stdout or stderr")
    for key in ("exit", "timeout_s", "stderr_lines"):
        if not case.fields.get(key, "0").isdigit():
            raise CaseError(f"{case.where}: {key} = '{case.fields[key]}', want a whole number")


def inside(folder, name):
    """The path of `name` below `folder`; a case may not write anywhere else."""
    path = (folder / name).resolve()
    if folder.resolve() not in path.parents:
        raise CaseError(f"'{name}' lies outside the case's folder")
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def edit_file(folder, value):
    """Applies 'NAME /pattern/replacement/'; the pattern must match, or the case tests nothing."""
    name, _, rule = value.partition(" ")
    parts = rule.strip().split(rule.strip()[:1]) if rule.strip() else []
    if len(parts) != 4 or parts[0] or parts[3]:
        raise CaseError(f"edit: '{value}', want 'NAME /pattern/replacement/'")
    path = inside(folder, name)
    text, count = re.subn(parts[1], parts[2], path.read_text(), flags=re.MULTILINE)
    if count == 0:
        raise CaseError(f"edit: '{parts[1]}' matches nothing in {name}")
    path.write_text(text)


def prepare(case, source, folder):
    """Does the steps that make input files, in order. Returns the added environment."""
    added = {}
    for key, value, lines in case.steps:
        if key == "file":
            inside(folder, value).write_text("\n".join(lines).rstrip("\n") + "\n")
        elif key == "hex":
            inside(folder, value).write_bytes(bytes.fromhex(" ".join(lines)))
        elif key == "fill":
            name, count, character = value.split()
            inside(folder, name).write_text("\n".join(lines).rstrip("\n") + character * int(count) + "\n")
        elif key == "copy":
            origin, _, name = value.partition(" ")
            shutil.copy(source / origin, inside(folder, name.strip() or pathlib.Path(origin).name))
        elif key == "edit":
            edit_file(folder, value)
        elif key == "truncate":
            name, _, size = value.partition(" ")
            os.truncate(inside(folder, name), int(size))
        elif key == "env":
            name, _, text = value.partition("=")
            added[name.strip()] = os.path.expandvars(expand(text.strip(), source, folder))
    return added


def expand(text, source, folder):
    return text.replace("$TMP", str(folder)).replace("$SOURCE", str(source))


def missing_need(case, source):
    for key, value, _ in case.steps:
        if key == "needs" and not (source / os.path.expandvars(value)).exists():
            return value
    return None


def judge(case, code, stdout, stderr):
    """Returns what differs from the expectation, one line each."""
    problems = []
    if code < 0:
        problems.append(f"killed by signal {-code}")
    elif code != int(case.fields["exit"]):
        problems.append(f"exit code {code}, want {case.fields['exit']}")
    if CRASH.search(stdout + stderr):
        problems.append("it crashed inside")
    if "stderr_lines" in case.fields:
        lines = len(stderr.strip().splitlines())
        if lines != int(case.fields["stderr_lines"]):
            problems.append(f"{lines} lines on stderr, want {case.fields['stderr_lines']}")
    texts = {"stdout": stdout, "stderr": stderr}
    for key, pattern, _ in case.steps:
        if key in texts and not re.search(pattern, texts[key], re.MULTILINE):
            problems.append(f"{key} does not match '{pattern}'")
        if key.startswith("not_") and re.search(pattern, texts[key[4:]], re.MULTILINE):
            problems.append(f"{key[4:]} matches '{pattern}' and must not")
    return problems


def run_case(case, binary, source):
    """Runs one case in a fresh folder. Returns its problems, one line each."""
    with tempfile.TemporaryDirectory(prefix="dovetail_case_") as name:
        folder = pathlib.Path(name)
        try:
            added = prepare(case, source, folder)
        except (CaseError, OSError, ValueError, re.error) as error:
            return [f"cannot prepare: {error}"]
        # No case reads or fills the user's cache.
        environment = {**os.environ, "HOME": name, "XDG_CACHE_HOME": f"{name}/cache",
                       "DOVETAIL_CACHE": f"{name}/cache/dovetail", **added}
        arguments = [expand(part, source, folder) for part in shlex.split(case.fields["command"])]
        timeout_s = int(case.fields.get("timeout_s", 60))
        try:
            done = subprocess.run([*binary, *arguments], cwd=source, env=environment, check=False,
                                  stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout_s)
        except subprocess.TimeoutExpired:
            return [f"still running after {timeout_s} s"]
        stdout = done.stdout.decode(errors="replace")
        stderr = done.stderr.decode(errors="replace")
        problems = judge(case, done.returncode, stdout, stderr)
        if problems:
            problems.append("command: dovetail " + " ".join(arguments))
            problems += [f"stdout: {line}" for line in stdout.splitlines()[:20]]
            problems += [f"stderr: {line}" for line in stderr.splitlines()[:20]]
        return problems


def run_file(path, binary, source, only):
    """Prints a line for each case of a file. Returns (number run, number failed, number skipped)."""
    num_run = num_failed = num_skipped = 0
    for case in parse_cases(path.read_text(), path.name):
        if only and only not in case.name:
            continue
        need = missing_need(case, source)
        if need:
            num_skipped += 1
            print(f"SKIPPED {case.name}: {need} is not here")
            continue
        num_run += 1
        problems = run_case(case, binary, source)
        num_failed += bool(problems)
        print(f"{'FAILED ' if problems else 'ok     '} {case.name}")
        for problem in problems:
            print(f"        {problem}")
    return num_run, num_failed, num_skipped


def main():
    root = pathlib.Path(__file__).resolve().parent.parent
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binary", default=str(root / "build" / "dovetail"),
                        help="program under test, with arguments if need be")
    parser.add_argument("--source", type=pathlib.Path, default=root, help="root of the repository")
    parser.add_argument("--only", default="", help="run the cases whose name holds this text")
    parser.add_argument("files", nargs="*", type=pathlib.Path, help="[all of tests/cases]")
    options = parser.parse_args()
    files = options.files or sorted((root / "tests" / "cases").glob("*.case"))
    totals = [0, 0, 0]
    for path in files:
        try:
            counts = run_file(path, shlex.split(options.binary), options.source.resolve(), options.only)
        except (CaseError, OSError) as error:
            print(error, file=sys.stderr)
            return 2
        totals = [total + count for total, count in zip(totals, counts)]
    print(f"cases: {totals[0]} run, {totals[1]} failed, {totals[2]} skipped")
    return 1 if totals[1] or totals[0] + totals[2] == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
