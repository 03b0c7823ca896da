#!/usr/bin/env python3
"""Which layer may include which: the layers of docs/architecture.md, enforced.

Prints one line for each include that breaks a rule (file:line, the include, the rule) and exits 1.
  check_layers.py [--source DIR]      checks the tree
  check_layers.py --self-test         checks that every kind of violation is caught
"""

import argparse
import pathlib
import re
import sys
import tempfile
import unittest

STD = "std"                  # <vector>, <cstdint>: everywhere
OS = "os"                    # <unistd.h>, <sys/mman.h>
SIMD = "simd"                # <immintrin.h>
SSE2 = "sse2"                # <emmintrin.h>: what every x86-64 has, so no code to dispatch
PUBLIC = "include/shoal"
ENGINE = ["base", "distance", "exact", "codec", "filter", "store", "graph", "persist", "features",
          "db"]
TEST_LIBRARIES = ["gtest", "gmock", "rapidcheck", "fmt", "nlohmann", "hdf5"]
PROGRAM_LIBRARIES = ["CLI", "fmt", "nlohmann", "yaml-cpp"]

# Floor -> what it may include besides itself and the standard library. A floor is the longest
# matching prefix of a file's path; quoted includes resolve to a floor, <...> to a library's name.
RULES = {
    PUBLIC: ["tl"],
    "src/base": [PUBLIC, "tl", OS, SIMD],
    "src/distance": [PUBLIC, "src/base", "hwy", SIMD],
    "src/exact": [PUBLIC, "src/base", "src/distance", "hwy", SIMD],
    "src/codec": [PUBLIC, "src/base", "src/distance", "tl"],
    "src/store": [PUBLIC, "src/base", "tl", SSE2],
    "src/filter": [PUBLIC, "src/base", "tl"],
    "src/graph": [PUBLIC, "src/base", "src/codec", "src/filter", "src/store", "tl", SSE2],
    "src/persist": [PUBLIC, "src/base", "src/codec", "src/store", "tl", OS, "xxhash"],
    "src/features": [PUBLIC, "src/base", "src/store", "src/persist", "tl", OS, "liburing"],
    "src/db": [PUBLIC, "src/base", "src/store", "tl", OS, "lmdb"],
    "src": [PUBLIC, "tl"] + [f"src/{floor}" for floor in ENGINE],
    "apps": [PUBLIC, OS] + PROGRAM_LIBRARIES,
    "examples": [PUBLIC, OS, "sqlite3"] + PROGRAM_LIBRARIES,
    "bindings": [PUBLIC, OS, "nanobind", "numpy"],
    "bindings/valkey/core": [PUBLIC, "tl", "xxhash"],
    "bindings/valkey/abi": [],
    "bindings/valkey/module": [PUBLIC, OS, "tl", "bindings/valkey/abi", "bindings/valkey/core"],
    "bindings/valkey/tests": [OS, "bindings/valkey/abi"],
    "bench": [PUBLIC, OS, "src/base", "src/store", "src/distance", "hnswlib", "hdf5", "xxhash"]
             + PROGRAM_LIBRARIES,
    "tests": [PUBLIC, OS, SIMD, "src", "apps", "examples", "bench", "bindings/valkey/core", "hwy",
              "lmdb", "tl", "xxhash"]
             + [f"src/{floor}" for floor in ENGINE] + TEST_LIBRARIES + PROGRAM_LIBRARIES,
}
# Libraries that one file alone may know, wherever its floor allows them; tests apart.
ONE_FILE_ONLY = {"lmdb", "liburing"}

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
STD_NAME = re.compile(r"^[a-z_0-9]+$")
C_HEADERS = {"stddef.h", "stdint.h"}  # Of the C interface.
SIMD_HEADERS = {"immintrin.h", "x86intrin.h", "cpuid.h"}
LIBRARIES = sorted({name for allowed in RULES.values() for name in allowed
                    if "/" not in name and name not in (STD, OS, SIMD, SSE2, "src", "apps", "examples",
                                                        "bench", "tests")})


def floor_of(path):
    """The floor of a path relative to the tree, or None."""
    matches = [floor for floor in RULES if path == floor or path.startswith(floor + "/")]
    return max(matches, key=len, default=None)


def library_of(header):
    """What a <header> belongs to: STD, OS, SIMD or a library's name."""
    first = re.split(r"[/.]", header)[0]
    if first in LIBRARIES:
        return first
    if header in SIMD_HEADERS:
        return SIMD
    if header == "emmintrin.h":
        return SSE2
    return STD if STD_NAME.match(header) or header in C_HEADERS else OS


def target_of(file, kind, header, root):
    """(what is included, None) or (None, why it cannot be told)."""
    if kind == "<":
        return library_of(header), None
    if header.startswith("shoal/"):
        return PUBLIC, None
    # The build's include directories, and the including file's own.
    folders = [root / "src", root, file.parent, root / "examples", root / "bench",
               root / "tests"]
    for candidate in (folder / header for folder in folders):
        if candidate.is_file():
            return floor_of(candidate.resolve().relative_to(root.resolve()).as_posix()), None
    if library_of(header) in LIBRARIES:
        return library_of(header), None
    return None, "no such file in the tree; libraries are included with <>"


def check(root):
    """The violations in the tree at `root`, one line each."""
    violations = []
    users = {}
    files = sorted(f for folder in {floor.split("/")[0] for floor in RULES}
                   for f in (root / folder).rglob("*") if f.suffix in (".h", ".cc"))
    for file in files:
        path = file.relative_to(root).as_posix()
        floor = floor_of(path)
        for number, line in enumerate(file.read_text().splitlines(), 1):
            match = INCLUDE.match(line)
            if not match:
                continue
            where = f"{path}:{number}: {line.strip()}"
            target, problem = target_of(file, *match.groups(), root)
            if problem:
                violations.append(f"{where}: {problem}")
            elif target not in (STD, floor) and target not in RULES.get(floor, []):
                allowed = ", ".join(RULES.get(floor, [])) or "nothing"
                violations.append(f"{where}: {floor} may include {STD} and {allowed}; "
                                  f"this is {target}")
            elif target in ONE_FILE_ONLY and floor != "tests" and users.setdefault(target, path) != path:
                violations.append(f"{where}: {target} belongs to one file, {users[target]}")
    return violations


class SelfTest(unittest.TestCase):
    # (file, its text, what the message must name); None: no violation.
    CASES = [
        ("src/store/tag.h", '#include "graph/prune.h"', "src/store may include"),
        ("src/store/tag.h", '#include "codec/full.h"', "src/store/tag.h:1"),
        ("src/store/tag.h", "#include <unistd.h>", "this is os"),
        ("src/graph/prune.h", "#include <hwy/highway.h>", "this is hwy"),
        ("src/graph/prune.h", '\n#include "distance/kernels.h"', "src/graph/prune.h:2"),
        ("src/base/memory.h", '#include "store/tag.h"', "src/base may include"),
        ("include/shoal/index.h", '#include "store/tag.h"', "include/shoal may include"),
        ("include/shoal/index.h", "#include <sys/mman.h>", "this is os"),
        ("apps/tool.cc", '#include "graph/prune.h"', "apps may include"),
        ("examples/demo.cc", '#include "src/graph/prune.h"', "examples may include"),
        ("bench/job.cc", '#include "graph/prune.h"', "bench may include"),
        ("src/base/memory.h", '#include "gone.h"', "no such file"),
        ("src/graph/prune.h", "#include <immintrin.h>", "this is simd"),
        ("src/codec/full.h", "#include <emmintrin.h>", "this is sse2"),
        ("src/graph/prune.h", "#include <emmintrin.h>", None),
        ("src/graph/prune.h", '#include "store/tag.h"\n#include <vector>', None),
        ("src/exact/exact.cc", '#include "distance/kernels.h"', None),
        ("src/index.cc", '#include "graph/prune.h"\n#include "shoal/index.h"', None),
        ("bench/job.cc", '#include "store/tag.h"\n#include <hdf5.h>', None),
        ("tests/prune_test.cc", '#include "graph/prune.h"\n#include <gtest/gtest.h>', None),
    ]
    TREE = ["src/store/tag.h", "src/graph/prune.h", "src/codec/full.h", "src/distance/kernels.h",
            "src/base/memory.h", "include/shoal/index.h"]

    def violations(self, *files):
        with tempfile.TemporaryDirectory() as directory:
            root = pathlib.Path(directory)
            for path, text in [(path, "") for path in self.TREE] + list(files):
                (root / path).parent.mkdir(parents=True, exist_ok=True)
                (root / path).write_text(text + "\n")
            return check(root)

    def test_each_violation_is_named_and_nothing_else_is(self):
        for path, text, expected in self.CASES:
            with self.subTest(path=path, text=text):
                found = self.violations((path, text))
                self.assertEqual(len(found), 0 if expected is None else 1, found)
                if expected:
                    self.assertIn(expected, found[0])

    def test_a_library_for_one_file_is_refused_to_a_second(self):
        found = self.violations(("src/db/env.cc", "#include <lmdb.h>"),
                                ("src/db/other.cc", "#include <lmdb.h>"))
        self.assertEqual(len(found), 1)
        self.assertIn("src/db/other.cc:1", found[0])


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", type=pathlib.Path,
                        default=pathlib.Path(__file__).resolve().parent.parent)
    parser.add_argument("--self-test", action="store_true")
    args = parser.parse_args()
    if args.self_test:
        unittest.main(argv=[sys.argv[0]])
    violations = check(args.source)
    for line in violations:
        print(line)
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
