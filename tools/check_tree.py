#!/usr/bin/env python3
"""Checks on the files of the tree that no compiler makes. Prints one line a finding, exits 1.

  check_tree.py format      C++ is as clang-format-16 writes it
  check_tree.py links       links and file names in *.md lead somewhere
  check_tree.py paths       no file names a place on one machine
  check_tree.py length      C++ files have at most 450 lines
  check_tree.py tests       tests that *.md name are there
  check_tree.py self-test   every check finds what it is there to find
"""

import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

CXX = (".h", ".cc")
MAX_LINES = 450

SKIPPED_DIRECTORIES = re.compile(r"^(\.git|\.cache|build(-.*)?|out|__pycache__)$")
# Markdown: [text](target), and `path/with.ext` of this tree's folders in code quotes.
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
QUOTED_PATH = re.compile(
    r"`((?:include|src|apps|bench|examples|tests|tools|docs|cmake)/[\w./-]*\w\.(?:h|cc|py|md|sh|txt|json|cmake|pml))`")
# A test in code quotes, `Suite.Name`, perhaps with a parameter; and where tests come from.
QUOTED_TEST = re.compile(r"`([A-Z]\w+\.[A-Z]\w+)(?:/[^`]*)?`")
TEST = re.compile(r"\bTEST(?:_F|_P)?\(\s*(\w+),\s*(\w+)\)|\bTYPED_TEST(?:_P)?\(\s*(\w+),\s*(\w+)\)")
CTEST = re.compile(r"\bNAME\s+(\w+\.\w+)")
FENCE = re.compile(r"^(```|~~~)")
# Put together so that this file does not find itself.
PRIVATE_PATHS = re.compile("/(home|work" + r"|root|Users)/[A-Za-z]")


def files(root, suffixes=None):
    """The tree's text files, sorted; build directories and .git left out."""
    for directory, folders, names in os.walk(root):
        folders[:] = sorted(f for f in folders if not SKIPPED_DIRECTORIES.match(f))
        for name in sorted(names):
            path = pathlib.Path(directory, name)
            if name != ".git" and path.is_file() and (suffixes is None or path.suffix in suffixes):
                yield path


def relative(path, root):
    return path.relative_to(root).as_posix()


def lines_of(path):
    """(number, line) pairs; none for a file that is not text."""
    try:
        return list(enumerate(path.read_text().splitlines(), 1))
    except UnicodeDecodeError:
        return []


def check_format(root):
    tool = shutil.which("clang-format-16")
    if tool is None:
        return ["clang-format-16 is not installed (make deps)"]
    done = subprocess.run([tool, "--dry-run", "-Werror", *map(str, files(root, CXX))],
                          stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, cwd=root)
    errors = [line for line in done.stderr.splitlines() if ": error:" in line]
    return [line.replace(f"{root}/", "") for line in errors] + (["make format mends it"] if errors else [])


def anchors(path):
    """GitHub's anchors of the headings of a Markdown file."""
    headings = [line.lstrip("#").strip() for _, line in lines_of(path) if line.startswith("#")]
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}


def broken(target, file, root):
    """Why a link's target is broken, or None."""
    if re.match(r"^[a-z]+:", target):
        return None
    name, _, anchor = target.partition("#")
    place = (file.parent / name) if name else file
    if not place.exists():
        return "no such file"
    if not place.resolve().is_relative_to(root.resolve()):
        return "outside the tree"
    if anchor and place.suffix == ".md" and anchor not in anchors(place):
        return "no such heading"
    return None


def check_links(root):
    found = []
    for file in files(root, (".md",)):
        in_code = False
        for number, line in lines_of(file):
            if FENCE.match(line):
                in_code = not in_code
            if in_code:
                continue
            where = f"{relative(file, root)}:{number}"
            for target in LINK.findall(line):
                reason = broken(target, file, root)
                if reason:
                    found.append(f"{where}: ({target}): {reason}")
            for target in QUOTED_PATH.findall(line):
                if not (root / target).exists():
                    found.append(f"{where}: `{target}`: no such file")
    return found


def check_paths(root):
    return [f"{relative(file, root)}:{number}: {match.group()}...: a path of one machine"
            for file in files(root) for number, line in lines_of(file)
            if (match := PRIVATE_PATHS.search(line))]


def check_length(root):
    found = []
    for file in files(root, CXX):
        path, length = relative(file, root), len(lines_of(file))
        if length > MAX_LINES:
            found.append(f"{path}: {length} lines, {MAX_LINES} at most: two ideas in one room?")
    return found


def check_tests(root):
    there = set()
    for file in files(root, CXX):
        there |= {".".join(filter(None, names)) for names in TEST.findall(file.read_text())}
    for file in files(root, (".txt", ".cmake")):
        there |= set(CTEST.findall(file.read_text()))
    return [f"{relative(file, root)}:{number}: `{name}`: no such test"
            for file in files(root, (".md",)) for number, line in lines_of(file)
            for name in QUOTED_TEST.findall(line) if name not in there]


CHECKS = {"format": check_format, "links": check_links, "paths": check_paths,
          "length": check_length, "tests": check_tests}


class SelfTest(unittest.TestCase):
    """Each check on a small tree with exactly one thing wrong, and with nothing wrong."""

    BAD = {
        "format": ("src/a.cc", "int  a ;\n"),
        "links": ("docs/a.md", "See [b](b.md).\n"),
        "paths": ("tools/a.sh", "cd /" + "home/someone\n"),
        "length": ("src/a.cc", "int a;\n" * (MAX_LINES + 1)),
        "tests": ("docs/a.md", "As `Store.Gone` shows.\n"),
    }
    GOOD = {
        "format": ("src/a.cc", "int a;\n"),
        "links": ("docs/a.md", "# A b\n[x](../docs/a.md#a-b) [y](https://example.org)\n```\n[z](z)\n```\n"),
        "paths": ("tools/a.sh", "cd ~/someone /homework /network/x\n"),
        "length": ("src/a.cc", "int a;\n" * MAX_LINES),
        "tests": ("docs/a.md", "`Index::Save`, `index.Get`, `Make`.\n"),
    }

    def findings(self, check, path, text):
        with tempfile.TemporaryDirectory() as directory:
            file = pathlib.Path(directory, path)
            file.parent.mkdir(parents=True)
            file.write_text(text)
            (file.parent / "note.md").write_text("# Note\n")
            shutil.copy(pathlib.Path(__file__).parent.parent / ".clang-format", directory)
            return CHECKS[check](pathlib.Path(directory))

    def test_what_is_wrong_is_found(self):
        for check, (path, text) in self.BAD.items():
            with self.subTest(check):
                found = self.findings(check, path, text)
                self.assertGreaterEqual(len(found), 1)
                self.assertIn(path, found[0])

    def test_what_is_right_is_not(self):
        for check, (path, text) in self.GOOD.items():
            with self.subTest(check):
                self.assertEqual(self.findings(check, path, text), [])

    def test_tests_that_are_there_are_found(self):
        with tempfile.TemporaryDirectory() as directory:
            root = pathlib.Path(directory)
            (root / "a_test.cc").write_text("TEST(One, Holds) {}\nTEST_P(\n    Two, Holds) {}\n")
            (root / "b.cmake").write_text("add_test(NAME Three.Holds COMMAND c)\n")
            (root / "a.md").write_text("`One.Holds` `Two.Holds/every` `Three.Holds` `One.Fails`\n")
            self.assertEqual(check_tests(root), ["a.md:1: `One.Fails`: no such test"])

    def test_links_to_missing_headings_and_quoted_files_are_found(self):
        for text in ("[x](note.md#gone)", "`src/gone.h`", "[x](/etc/passwd)"):
            with self.subTest(text):
                self.assertEqual(len(self.findings("links", "docs/a.md", text)), 1)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("check", choices=[*CHECKS, "self-test"])
    parser.add_argument("--source", type=pathlib.Path,
                        default=pathlib.Path(__file__).resolve().parent.parent)
    args = parser.parse_args()
    if args.check == "self-test":
        unittest.main(argv=[sys.argv[0]])
    findings = CHECKS[args.check](args.source)
    for line in findings:
        print(line)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
