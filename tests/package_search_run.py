"""Runs package_search on a generated package index and checks what it prints.

usage: package_search_run.py PROGRAM
"""
import os
import pathlib
import random
import re
import struct
import subprocess
import sys
import tempfile
import unittest

PROGRAM = ""
THINGS = ["chess", "weather", "music", "network", "photo", "satellite", "spreadsheet", "fractal",
          "molecule", "calendar", "telescope", "recipe", "poetry", "compiler", "genome", "robot"]
KINDS = ["viewer", "editor", "library", "daemon", "game", "converter", "plugin", "simulator"]
ADJECTIVES = ["fast", "simple", "interactive", "portable", "distributed", "graphical", "tiny"]


def generated_index(count):
    """`count` stanzas whose synopses are made of few words, the same every time."""
    rng = random.Random(7)
    stanzas = []
    for i in range(count):
        thing, other, kind = rng.choice(THINGS), rng.choice(THINGS), rng.choice(KINDS)
        stanzas.append(f"Package: {thing}-{kind}-{i}\n"
                       f"Depends: libc6 (>= 2.34), lib{other}{i % 9}\n"
                       f"Description: {rng.choice(ADJECTIVES)} {thing} {kind} for {other} number {i}\n"
                       f" A second line.\nSection: misc\nTag: use::{kind},\n works-with::{thing}\n")
    return "\n".join(stanzas)


class PackageSearch(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.TemporaryDirectory()
        self.addCleanup(self.dir.cleanup)
        self.index = pathlib.Path(self.dir.name, "packages.txt")
        self.index.write_text(generated_index(3000))

    def run_program(self, *flags, status=0, **more):
        database = pathlib.Path(self.dir.name, "points.db")
        for suffix in ("", "-lock", "-writer"):
            pathlib.Path(str(database) + suffix).unlink(missing_ok=True)
        done = subprocess.run([PROGRAM, *([] if "--database" in flags else ["--database", database]), *flags], capture_output=True, text=True, check=False, **more)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return done

    def test_reports_recall_and_answers_with_packages_of_the_kind(self):
        out = self.run_program("--packages", str(self.index), "--query", "satellite simulator").stdout
        self.assertRegex(out, r"3,000 packages \(.*packages\.txt\)")
        self.assertRegex(out, r"kill -9 of that process, in the middle of insert 1,\d{3}")
        there = int(re.search(r"the file is whole .*: (\S+) packages are there", out)
                    .group(1).replace(",", ""))
        self.assertGreater(there, 0)
        self.assertLessEqual(there, 3000)
        self.assertRegex(out, r"another process: \S+ packages, snapshot opened in .* ms\)")
        self.assertRegex(out, r"3000/3000 inserted .* p50 \d+ us .* recall@10 [01]\.\d{3}")
        answer = out.split('"satellite simulator"\n')[1].split("\n\n")[0].splitlines()
        self.assertEqual(len(answer), 5, out)
        for line in answer:
            self.assertRegex(line, r"^  \d\.\d{3}  satellite-simulator-\d+ ")
            self.assertLessEqual(len(line), 100)
        recall = float(re.search(r"recall@10 ([\d.]+)", out.splitlines()[-1]).group(1))
        self.assertGreaterEqual(recall, 0.95)
        self.assertNotIn("\x1b", out)

    def test_reads_standard_input_and_leaves_the_package_asked_about_out(self):
        name = re.search(r"Package: (\S+)", self.index.read_text()).group(1)
        out = self.run_program("--packages", "-", "--query", name, "--hits", "3", "--insert_threads",
                               "2", "--search_threads", "2", input=self.index.read_text()).stdout
        answer = out.split(f"packages like {name}\n")[1].split("\n\n")[0].splitlines()
        self.assertEqual(len(answer), 3)
        self.assertNotIn(f" {name} ", "".join(answer))

    def test_one_package_is_enough(self):
        self.index.write_text("Package: alone\nDescription: by itself\n")
        out = self.run_program("--packages", str(self.index), "--query", "something itself").stdout
        self.assertRegex(out, r"\n  \d\.\d{3}  alone  by itself\n")

    def test_export_writes_vectors_queries_and_names(self):
        prefix = os.path.join(self.dir.name, "set")
        self.run_program("--packages", str(self.index), "--export", prefix)
        names = pathlib.Path(prefix + ".names.txt").read_text().split()
        self.assertEqual(len(names), 3000)
        for suffix, rows in ((".fbin", 3000), (".queries.fbin", 1000)):
            data = pathlib.Path(prefix + suffix).read_bytes()
            self.assertEqual(struct.unpack("<ii", data[:8]), (rows, 256))
            self.assertEqual(len(data), 8 + rows * 256 * 4)
            first = struct.unpack("<256f", data[8:8 + 1024])
            self.assertAlmostEqual(sum(x * x for x in first), 1, places=4)

    def test_a_file_that_is_there_is_left_alone(self):
        there = pathlib.Path(self.dir.name, "mine")
        there.write_text("mine")
        done = self.run_program("--packages", str(self.index), "--database", str(there), status=1)
        self.assertIn("expected no such file", done.stderr)
        self.assertEqual(there.read_text(), "mine")

    def test_errors_are_one_line_and_status_1(self):
        empty = pathlib.Path(self.dir.name, "empty.txt")
        empty.write_text("")
        for flags, word in ((["--packages", "/no/such/file"], "/no/such/file"),
                            (["--packages", str(empty)], "empty.txt"),
                            (["--packages", str(self.index), "--query", "?!"], "expected words"),
                            (["--packages", str(self.index), "--query", "packages like nosuch"],
                             'found "nosuch"'),
                            (["--packages", str(self.index), "--max_degree", "1"], "max_degree")):
            done = self.run_program(*flags, status=1)
            self.assertIn(word, done.stderr)
            self.assertEqual(done.stderr.count("\n"), 1, done.stderr)


if __name__ == "__main__":
    PROGRAM = sys.argv.pop(1)
    unittest.main()
