#!/usr/bin/env python3
"""Compares the C interface, its functions and types, with the one on record, by abidiff.

Run by ctest; by hand: abi_test.py --source DIR [--update], which writes the record anew: after a review
of what abidiff says. An incompatible change also needs another version node (src/exports.map).
"""
import argparse
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

ARGS = argparse.Namespace()
RECORD = "tests/baselines/shoal_c.abi"


def dump(include, to):
    """Writes what abidw finds in a library that has the header's functions, empty, and nothing else.

    (That the real library exports what the headers declare is a test of package_test.py.)
    """
    folder = to.parent
    header = (include / "shoal" / "shoal.h").read_text()
    stubs = ['#include "shoal/shoal.h"']
    for declaration in re.findall(r"^SHOAL_API ([^;]+);", header, re.MULTILINE):
        body = "{}" if declaration.startswith("void ") else "{ return 0; }"
        stubs.append(f"SHOAL_API {declaration} {body}")
    (folder / "stubs.c").write_text("\n".join(stubs))
    (folder / "exports.map").write_text("SHOAL_1 { global: shoal_*; local: *; };\n")
    subprocess.run([ARGS.cc, "-std=c11", "-g", "-fPIC", "-I", include, "-shared", "-Wl,--version-script=exports.map",
                    "-Wl,-soname,libshoal_c.so", "stubs.c", "-o", "libshoal_c.so"], check=True, cwd=folder)
    subprocess.run(["abidw", "--no-show-locs", "--no-corpus-path", "--no-comp-dir-path", "--no-parameter-names", "--out-file",
                    to, folder / "libshoal_c.so"], check=True)


class CInterface(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="shoal-abi-"))
        self.addCleanup(shutil.rmtree, self.folder)

    def difference(self, include):
        """abidiff's exit status and report."""
        dump(include, self.folder / "found.abi")
        done = subprocess.run(["abidiff", ARGS.source / RECORD, self.folder / "found.abi"], capture_output=True, text=True,
                              check=False)
        return done.returncode, done.stdout + done.stderr

    def test_the_interface_is_the_one_on_record(self):
        status, report = self.difference(ARGS.source / "include")
        kind = "an incompatible change" if status & 8 else "a change"
        self.assertEqual(status, 0, f"{kind}: review it, then abi_test.py --update\n{report}")
        record = (ARGS.source / RECORD).read_text()
        self.assertIn("shoal_search@@SHOAL_1", record)
        self.assertNotIn(str(ARGS.source), record)
        declared = re.findall(r"SHOAL_API [^;(]*?(shoal_\w+)\(", (ARGS.source / "include/shoal/shoal.h").read_text())
        self.assertGreater(len(declared), 50)
        self.assertEqual([name for name in declared if f"'{name}@@SHOAL_1'" not in record], [])

    def test_a_field_that_grows_is_found(self):
        include = self.folder / "include"
        shutil.copytree(ARGS.source / "include", include)
        header = include / "shoal" / "shoal.h"
        text = header.read_text()
        old = "  uint64_t edges;\n"
        self.assertEqual(text.count(old), 1)
        header.write_text(text.replace(old, old + "  uint64_t another;\n"))
        status, report = self.difference(include)
        self.assertTrue(status & 4 and "another" in report, report)

    def test_a_function_that_goes_is_found_to_be_incompatible(self):
        include = self.folder / "include"
        shutil.copytree(ARGS.source / "include", include)
        header = include / "shoal" / "shoal.h"
        header.write_text(header.read_text().replace("SHOAL_API size_t shoal_size(", "size_t shoal_size("))
        status, report = self.difference(include)
        self.assertTrue(status & 8 and "shoal_size" in report, report)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", type=lambda path: pathlib.Path(path).resolve(), required=True)
    parser.add_argument("--cc", default="cc")
    parser.add_argument("--update", action="store_true")
    _, rest = parser.parse_known_args(namespace=ARGS)
    if ARGS.update:
        with tempfile.TemporaryDirectory(prefix="shoal-abi-") as folder:
            dump(ARGS.source / "include", pathlib.Path(folder) / "found.abi")
            shutil.copyfile(pathlib.Path(folder) / "found.abi", ARGS.source / RECORD)
        return
    unittest.main(argv=[sys.argv[0], *rest])


if __name__ == "__main__":
    main()
