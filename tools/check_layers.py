#!/usr/bin/env python3
"""Checks that the folders under src/ depend on each other only as tools/layers.txt declares.

Fails on: a cycle or an unknown name in the declared graph, a folder that is not declared or has no
README.md, an #include of a folder that is not allowed, a relative or missing include, a libtorch
header outside the files that may use it, and a .cc file without a matching _test.cc that
tools/untested.txt does not excuse with a reason.
"""

import argparse
import pathlib
import re
import sys

INCLUDE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]')
LAYER_LINE = re.compile(r"^([a-z]+):(.*)$")
TORCH_INCLUDE = re.compile(r"^(torch|ATen|c10|caffe2)/")
# Folders that run models. Their headers stay free of libtorch too, because it costs 20 s a file;
# the exception is a private header x_torch.h, which no other folder may include.
TORCH_FOLDERS = {"host", "compress", "eval"}


def parse_layers(text):
    """Returns ({folder: [folders it may include]}, [problems])."""
    layers, problems = {}, []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = LAYER_LINE.match(line)
        if not match:
            problems.append(f"tools/layers.txt:{number}: '{line}', want 'folder: folder folder ...'")
            continue
        name, dependencies = match.group(1), match.group(2).split()
        if name in layers:
            problems.append(f"tools/layers.txt:{number}: folder '{name}' is declared twice")
        layers[name] = dependencies
    for name, dependencies in layers.items():
        for dependency in dependencies:
            if dependency not in layers:
                problems.append(f"tools/layers.txt: '{name}' lists '{dependency}', which is not declared")
    return layers, problems


def find_cycle(layers):
    """Returns one cycle as [a, b, ..., a], or None. Depth-first search with an explicit path."""
    finished = set()

    def visit(name, path):
        if name in path:
            return path[path.index(name):] + [name]
        if name in finished:
            return None
        for dependency in layers.get(name, []):
            cycle = visit(dependency, path + [name])
            if cycle:
                return cycle
        finished.add(name)
        return None

    for name in layers:
        cycle = visit(name, [])
        if cycle:
            return cycle
    return None


def read_excuses(path):
    """Reads lines 'file: reason'. A test named in a reason must exist.

    Returns ({file: reason}, [problems]).
    """
    excuses, problems = {}, []
    if not path.exists():
        return excuses, problems
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        name, _, reason = line.partition(":")
        if len(reason.split()) < 3:
            problems.append(f"{path.name}:{number}: '{line}', want 'file: a reason'")
        for tested_by in re.findall(r"[\w./-]+(?:_test\.cc|\.case)\b", reason):
            if not (path.parent.parent / tested_by).exists():
                problems.append(f"{path.name}:{number}: {tested_by} does not exist")
        excuses[name.strip()] = reason.strip()
    return excuses, problems


def check_torch_include(where, folder, file_name, included):
    if not TORCH_INCLUDE.match(included):
        return []
    stem = pathlib.PurePath(file_name).stem
    named_torch = stem.endswith("_torch") or stem.endswith("_torch_test")
    if file_name.endswith(".h"):
        if folder in TORCH_FOLDERS and named_torch:
            return []
        return [f"{where}: header includes libtorch ({included}); only {'/'.join(sorted(TORCH_FOLDERS))}"
                " may, and only in .cc files or a private header named *_torch.h"]
    if folder in TORCH_FOLDERS or named_torch:
        return []
    return [f"{where}: '{folder}' may not include libtorch ({included})"]


def check_include(root, layers, folder, file_name, where, quote, included):
    problems = check_torch_include(where, folder, file_name, included)
    parts = pathlib.PurePosixPath(included).parts
    if quote == "<":
        if parts[0] in layers and (root / "src" / included).exists():
            problems.append(f"{where}: write \"{included}\" with quotes, it is our own header")
        return problems
    if ".." in parts or len(parts) < 2:
        return problems + [f"{where}: \"{included}\", want the path below src/, for example"
                           f" \"{folder}/{parts[-1]}\""]
    target = parts[0]
    if target not in layers:
        return problems + [f"{where}: \"{included}\": '{target}' is no declared folder; a library's"
                           " header stands in <>"]
    if target != folder and target not in layers.get(folder, []):
        problems.append(f"{where}: '{folder}' may not include '{target}' (\"{included}\");"
                        f" tools/layers.txt allows: {' '.join(layers.get(folder, [])) or 'nothing'}")
    elif not (root / "src" / included).exists():
        problems.append(f"{where}: \"{included}\" does not exist")
    if target != folder and parts[-1].endswith("_torch.h"):
        problems.append(f"{where}: \"{included}\" is private to '{target}': it includes libtorch")
    return problems


def check_file(root, layers, path):
    relative = path.relative_to(root).as_posix()
    folder = path.relative_to(root / "src").parts[0]
    problems = []
    for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
        match = INCLUDE.match(line)
        if match:
            problems += check_include(root, layers, folder, path.name, f"{relative}:{number}",
                                      match.group(1), match.group(2))
    return problems


def check_folders(root, layers):
    problems = []
    for folder in sorted(path for path in (root / "src").iterdir() if path.is_dir()):
        if not any(path.is_file() for path in folder.rglob("*")):
            continue
        if folder.name not in layers:
            problems.append(f"src/{folder.name}: not declared in tools/layers.txt")
        if not (folder / "README.md").exists():
            problems.append(f"src/{folder.name}: has no README.md (purpose, entry function, what it"
                            " must not know)")
    return problems


def check_tests(root):
    excuses, problems = read_excuses(root / "tools" / "untested.txt")
    for path in sorted((root / "src").rglob("*.cc")):
        relative = path.relative_to(root).as_posix()
        if path.stem.endswith(("_test", "_bench")):
            continue
        tested = path.with_name(path.stem + "_test.cc").exists()
        excused = excuses.pop(relative, None)
        if tested and excused:
            problems.append(f"tools/untested.txt: {relative} has a test now; remove the line")
        if not tested and not excused:
            problems.append(f"{relative}: has no {path.stem}_test.cc; add one, or a line with the"
                            " reason in tools/untested.txt")
    problems += [f"tools/untested.txt: {name} does not exist" for name in excuses]
    return problems


def check(root):
    """Returns every problem found below `root`, the repository's root, as one line each."""
    layers, problems = parse_layers((root / "tools" / "layers.txt").read_text())
    cycle = find_cycle(layers)
    if cycle:
        problems.append("tools/layers.txt: cycle " + " -> ".join(cycle))
    problems += check_folders(root, layers)
    for path in sorted((root / "src").rglob("*")):
        if path.suffix in (".h", ".cc"):
            problems += check_file(root, layers, path)
    return problems + check_tests(root)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--root", type=pathlib.Path,
                        default=pathlib.Path(__file__).resolve().parent.parent)
    problems = check(parser.parse_args().root)
    for problem in problems:
        print(problem)
    print(f"check_layers: {len(problems)} problems" if problems else "check_layers: ok")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
