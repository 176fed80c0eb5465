#!/usr/bin/env python3
"""Checks the rules of CONTRIBUTING.md that a machine can check cheaply.

Reads every file that git tracks. Library code neither prints nor exits; no `using namespace`, no
unfinished-work marks, no paths of one machine, no addresses outside citations, no names that say
nothing, no dead links between pages, no overlong files without a reason, and C++ formatted as
.clang-format says (--fix applies it).
"""

import argparse
import pathlib
import re
import shutil
import subprocess
import sys

# One token of C++ that may hide text from the rules, or a newline, which is kept.
SKIPPED = re.compile(
    r'//[^\n]*|/\*.*?\*/|R"(?P<tag>[^(\s]{0,16})\(.*?\)(?P=tag)"|"(?:\\.|[^"\\\n])*"'
    r"|(?<![0-9a-fA-F])'(?:\\.|[^'\\\n])+'",  # not the separators of 1'000'000
    re.DOTALL)

# (pattern, message, files that may). Matched in code without comments and literals.
LIBRARY_RULES = [
    (re.compile(r"\bstd::(cout|cerr|clog)\b"), "library code never prints; return a result", ()),
    (re.compile(r"\b(printf|puts|putchar|perror|vprintf)\s*\("),
     "library code never prints; return a result", ()),
    (re.compile(r"\bfmt::print(ln)?\s*\("), "library code never prints; return a result", ()),
    (re.compile(r"\bf(printf|puts)\s*\(\s*(stderr|stdout)|\bfputs\s*\([^;]*\b(stderr|stdout)\b"),
     "library code never prints; return a result", ("src/base/result.cc",)),
    (re.compile(r"(?<![\w.>])(?:std::)?(exit|_exit|_Exit|quick_exit|abort|terminate)\s*\("),
     "library code never ends the process; return an Error", ("src/base/result.cc",)),
]
CODE_RULES = [
    (re.compile(r"\busing\s+namespace\b"), "no 'using namespace'; qualify the name", ()),
]
# The words are split so that this file passes its own rules.
UNFINISHED = re.compile(r"\b(" + "|".join(["TO" + "DO", "FIX" + "ME", "X" + "XX", "HA" + "CK"]) + r")\b")
MACHINE_PATH = re.compile(r"(?<![\w.$}\])-])/(work|root|home|Users)/\w")
ADDRESS = re.compile(r"https?://")
ADDRESS_ALLOWED = re.compile(r"https?://www\.w3\.org/|\bSource:")
LINK = re.compile(r"\]\(([^)\s]+)\)")
FENCED = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
EMPTY_WORDS = re.compile(r"^(utils?|helpers?|common|misc|new|ng|v\d+)$")

LINE_LIMITS = {".h": 250, ".cc": 600}
CPP_SUFFIXES = (".h", ".cc")
TEXT_SUFFIXES = CPP_SUFFIXES + (".py", ".sh", ".cmake", ".md", ".toml", ".txt", ".json", ".case", "")


def without_comments_and_literals(text):
    """Blanks comments, strings and characters of C++ and keeps every newline."""
    return SKIPPED.sub(lambda match: re.sub(r"[^\n]", " ", match.group()), text)


def is_program(name):
    """Scripts that start, build or test the project."""
    return name.startswith(("tools/", ".ci/")) or name in ("quickstart", "check")


def is_library(name):
    return (name.startswith("src/") and name.endswith(CPP_SUFFIXES)
            and not name.startswith("src/app/") and not name.endswith(("_test.cc", "_bench.cc")))


def match_rules(name, text, rules):
    problems = []
    for number, line in enumerate(text.splitlines(), 1):
        for pattern, message, allowed in rules:
            match = pattern.search(line)
            if match and name not in allowed:
                problems.append(f"{name}:{number}: '{match.group().strip()}': {message}")
    return problems


def check_cpp(name, text):
    code = without_comments_and_literals(text)
    return match_rules(name, code, (LIBRARY_RULES if is_library(name) else []) + CODE_RULES)


def check_text(name, text):
    rules = [(MACHINE_PATH, "a path of one machine", ())]
    # Markdown may talk about the rule; code may not use it.
    if not name.endswith(".md"):
        rules.append((UNFINISHED, "finish it or open an issue", ()))
    problems = match_rules(name, text, rules)
    if name.startswith("src/") and not name.endswith(".md") or is_program(name):
        for number, line in enumerate(text.splitlines(), 1):
            if ADDRESS.search(line) and not ADDRESS_ALLOWED.search(line):
                problems.append(f"{name}:{number}: an address; only a citation ('Source: ...') holds one")
    return problems


def check_name(name):
    if name.startswith("data/"):
        return []
    words = [word for part in pathlib.PurePosixPath(name).parts for word in
             pathlib.PurePosixPath(part).stem.split("_")]
    return [f"{name}: '{word}' in a name says nothing; name what it does"
            for word in words if EMPTY_WORDS.match(word)]


def check_links(root, name, text):
    """Every relative link of a page must lead to a file of the repository."""
    problems = []
    for target in LINK.findall(FENCED.sub("", text)):
        if "://" in target or target.startswith(("#", "mailto:")):
            continue
        if not (root / pathlib.PurePosixPath(name).parent / target.split("#")[0]).exists():
            problems.append(f"{name}: link to {target}, which does not exist")
    return problems


def check_lengths(root, names):
    excuses, problems = {}, []
    listing = root / "tools" / "long_files.txt"
    for number, line in enumerate(listing.read_text().splitlines() if listing.exists() else [], 1):
        if not line.strip() or line.startswith("#"):
            continue
        name, _, reason = line.partition(":")
        if len(reason.split()) < 3:
            problems.append(f"tools/long_files.txt:{number}: '{line}', want 'file: a reason'")
        excuses[name.strip()] = reason
    for name in names:
        limit = LINE_LIMITS.get(pathlib.PurePosixPath(name).suffix)
        if limit is None:
            continue
        lines = len((root / name).read_text(errors="replace").splitlines())
        excused = excuses.pop(name, None)
        if lines > limit and not excused:
            problems.append(f"{name}: {lines} lines, want at most {limit}; split it, or give the"
                            " reason in tools/long_files.txt")
        if lines <= limit and excused:
            problems.append(f"tools/long_files.txt: {name} has {lines} lines now; remove the line")
    return problems + [f"tools/long_files.txt: {name} does not exist" for name in excuses]


def find_clang_format():
    """Other versions format differently, so only 19 will do."""
    for program in ("clang-format-19", "clang-format"):
        if shutil.which(program):
            version = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
            if re.search(r"version 19\.", version.stdout):
                return program
    return None


def check_format(root, names, fix):
    files = [name for name in names if name.endswith(CPP_SUFFIXES)]
    if not files:
        return []
    program = find_clang_format()
    if program is None:
        return ["clang-format 19 is missing: Debian package clang-format-19"]
    if fix:
        subprocess.run([program, "-i", *files], cwd=root, check=True)
        return []
    done = subprocess.run([program, "--dry-run", "-Werror", "--ferror-limit=1", *files], cwd=root,
                          capture_output=True, text=True, check=False)
    wrong = sorted(set(re.findall(r"^(\S+?):\d+:\d+: error:", done.stderr, re.MULTILINE)))
    problems = [f"{name}: not formatted; tools/check_style.py --fix" for name in wrong]
    if done.returncode != 0 and not wrong:
        problems.append(f"{program} failed: {done.stderr.strip()[:500]}")
    return problems


def tracked_files(root):
    """Files git tracks; without git (a source archive) all files outside build folders."""
    try:
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=root, capture_output=True, check=True)
        names = listed.stdout.decode().split("\0")
    except (OSError, subprocess.CalledProcessError):
        names = [path.relative_to(root).as_posix() for path in root.rglob("*")]
        names = [name for name in names if not name.startswith(("build", ".git/"))]
    return sorted(name for name in names if name and (root / name).is_file())


def check_texts(root, names):
    problems = []
    for name in names:
        problems += check_name(name)
        if name == "LICENSE" or pathlib.PurePosixPath(name).suffix not in TEXT_SUFFIXES:
            continue
        text = (root / name).read_text(errors="replace")
        problems += check_text(name, text)
        if name.endswith(CPP_SUFFIXES):
            problems += check_cpp(name, text)
        if name.endswith(".md"):
            problems += check_links(root, name, text)
    return problems


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--root", type=pathlib.Path,
                        default=pathlib.Path(__file__).resolve().parent.parent)
    parser.add_argument("--fix", action="store_true", help="format all C++ files in place")
    parser.add_argument("--no-format", action="store_true", help="skip clang-format")
    options = parser.parse_args()
    names = tracked_files(options.root)
    problems = check_texts(options.root, names) + check_lengths(options.root, names)
    if not options.no_format:
        problems += check_format(options.root, names, options.fix)
    for problem in problems:
        print(problem)
    print(f"check_style: {len(problems)} problems" if problems else f"check_style: ok, {len(names)} files")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
