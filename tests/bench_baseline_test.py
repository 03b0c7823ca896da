#!/usr/bin/env python3
"""What indexes count on integer-valued rows, compared to the digit with what is checked in.

  bench_baseline_test.py BENCH_DIRECTORY [unittest arguments]

A mismatch prints one table of all differences. A change that is meant to move the figures runs this
with SHOAL_TEST=overwrite, and the diff of tests/baselines is a part of its review.
"""

import copy
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

BENCH = pathlib.Path()
SOURCE = pathlib.Path(__file__).resolve().parent
BASELINES = SOURCE / "baselines"
OVERWRITE = os.environ.get("SHOAL_TEST") == "overwrite"
# Instruction set -> what of the jobs it repeats. All types, each by more than one set.
OTHER_SETS = {
    "scalar": {"scalar_types": ["float32", "int8"], "modes": ["stream"]},
    "sse4": {"scalar_types": ["float16", "uint8"], "modes": ["stream"]},
    "avx2": {"scalar_types": ["float32", "uint8"], "modes": ["insert"]},
}


def data_folder():
    folder = pathlib.Path(os.environ.get("SHOAL_DATA", SOURCE.parent.parent / "shared" / "data"))
    return folder if (folder / "sift-1m.u8bin").exists() else None


def holds_objects(value):
    return isinstance(value, dict) or (
        isinstance(value, list) and any(isinstance(item, dict) for item in value))


def one_line_a_phase(value, indent=""):
    """JSON whose innermost objects stand on a line each, for readable diffs."""
    inner = indent + " "
    items = list(value.values()) if isinstance(value, dict) else value
    if not isinstance(items, list) or not any(holds_objects(item) for item in items):
        return json.dumps(value)
    if isinstance(value, dict):
        rows = [f"{inner}{json.dumps(k)}: {one_line_a_phase(v, inner)}" for k, v in value.items()]
        return "{\n" + ",\n".join(rows) + "\n" + indent + "}"
    return "[\n" + ",\n".join(inner + one_line_a_phase(v, inner) for v in value) + "\n" + indent + "]"


def only(results, restriction):
    """The results of a job as they are when its lists are cut to the restriction's."""
    cut = copy.deepcopy(results)
    for run in cut["runs"]:
        run["input"].update(restriction)
        run["results"]["exact"] = {
            scalar_type: {metric: {mode: counts for mode, counts in modes.items()
                                   if mode in restriction["modes"]}
                          for metric, modes in metrics.items()}
            for scalar_type, metrics in run["results"]["exact"].items()
            if scalar_type in restriction["scalar_types"]}
    return cut


def bench(*arguments, isa=""):
    environment = {**os.environ, "SHOAL_ISA": isa} if isa else os.environ
    return subprocess.run([BENCH / "shoal-bench", *map(str, arguments)], capture_output=True,
                          text=True, timeout=600, env=environment)


def run_jobs(jobs, after, isa="", data=None):
    """Writes the results of a job file to `after`."""
    search = ["--search-directory", data] if data else []
    done = bench("run", "--input-file", jobs, "--output-file", after, "--allow-debug", *search,
                 isa=isa)
    assert done.returncode == 0, done.stderr
    return after


def baseline(name):
    """The jobs and what they counted."""
    return BASELINES / f"{name}.json", BASELINES / f"{name}-results.json"


def keep(after, before):
    """Writes what does not depend on machine and day."""
    results = json.loads(after.read_text())
    kept = {"schema": results["schema"], "version": results["version"], "runs": [
        {key: run[key] for key in ("type", "name", "input", "status", "results")}
        for run in results["runs"]]}
    before.write_text(one_line_a_phase(kept) + "\n")


class BaselineTest(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        """The results of this machine, once; they are the baseline if that is asked for."""
        temporary = tempfile.TemporaryDirectory()
        cls.addClassCleanup(temporary.cleanup)
        cls.after, data = {}, data_folder()
        for name, folder in {"generated": None, **({"sift": data} if data else {})}.items():
            jobs, before = baseline(name)
            cls.after[name] = run_jobs(jobs, pathlib.Path(temporary.name, name), data=folder)
            if OVERWRITE:
                keep(cls.after[name], before)

    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory()
        self.addCleanup(self.temporary.cleanup)
        self.folder = pathlib.Path(self.temporary.name)

    def write(self, name, content):
        path = self.folder / name
        path.write_text(json.dumps(content))
        return path

    def compare(self, jobs, before, after):
        return bench("check", "run", "--tolerances", BASELINES / "exact.json", "--input-file",
                     jobs, "--before", before, "--after", after)

    def expect_baseline(self, name):
        done = self.compare(*baseline(name), self.after[name])
        self.assertEqual(done.returncode, 0, f"{done.stderr}\n{done.stdout}\nIf this is meant: "
                         "SHOAL_TEST=overwrite rewrites the baseline.")

    def test_generated_rows_give_the_baseline_to_the_digit(self):
        self.expect_baseline("generated")

    def test_sift_rows_give_the_baseline_to_the_digit(self):
        if "sift" not in self.after:
            self.skipTest("no sift-1m.u8bin in SHOAL_DATA or ../shared/data")
        self.expect_baseline("sift")

    def test_every_instruction_set_counts_the_same(self):
        jobs = json.loads((BASELINES / "generated.json").read_text())
        jobs["jobs"] = jobs["jobs"][:1]
        before = json.loads((BASELINES / "generated-results.json").read_text())
        before["runs"] = before["runs"][:1]
        tested = set()
        for isa, restriction in OTHER_SETS.items():
            cut = copy.deepcopy(jobs)
            cut["jobs"][0]["content"].update(restriction)
            path = self.write("jobs.json", cut)
            after = run_jobs(path, self.folder / "after.json", isa=isa)
            if json.loads(after.read_text())["machine"]["isa"] != isa:
                continue  # This CPU does not have it.
            tested.add(isa)
            done = self.compare(path, self.write("before.json", only(before, restriction)), after)
            self.assertEqual(done.returncode, 0, f"{isa}:\n{done.stderr}\n{done.stdout}")
        self.assertIn("scalar", tested)

    def test_every_instruction_set_counts_the_same_of_manhattan_distances_and_bits(self):
        jobs = json.loads((BASELINES / "generated.json").read_text())
        before = json.loads((BASELINES / "generated-results.json").read_text())
        jobs["jobs"], before["runs"] = jobs["jobs"][2:], before["runs"][2:]
        restriction = {"scalar_types": ["uint8", "int8", "bit"], "modes": ["insert"]}
        self.assertEqual(jobs["jobs"][0]["content"]["scalar_types"], restriction["scalar_types"])
        jobs["jobs"][0]["content"].update(restriction)
        path, before = self.write("jobs.json", jobs), self.write("before.json", only(before, restriction))
        for isa in OTHER_SETS:
            done = self.compare(path, before, run_jobs(path, self.folder / "after.json", isa=isa))
            self.assertEqual(done.returncode, 0, f"{isa}:\n{done.stderr}\n{done.stdout}")

    def test_one_table_shows_every_difference(self):
        results = json.loads((BASELINES / "generated-results.json").read_text())
        before = self.write("before.json", results)
        exact = results["runs"][0]["results"]["exact"]
        exact["float32"]["l2"]["insert"]["insert"]["hops"] += 1
        exact["uint8"]["cosine"]["stream"]["searches"][0]["recall"][0] -= 1
        done = self.compare(BASELINES / "generated.json", before,
                            self.write("after.json", results))
        self.assertEqual(done.returncode, 1)
        table = done.stdout.split("\n\n")[1].splitlines()
        self.assertEqual(len(table), 4, done.stdout)
        self.assertIn("exact/float32/l2/insert/insert/hops ", table[2])
        self.assertIn("exact/uint8/cosine/stream/searches/0/recall ", table[3])

    def test_types_that_hold_the_same_numbers_count_the_same(self):
        results = json.loads((BASELINES / "generated-results.json").read_text())
        exact = results["runs"][0]["results"]["exact"]
        # uint8 has other numbers: its rows are moved against the start point, which is the origin.
        for other in ("float16", "int8"):
            self.assertEqual(exact["float32"], exact[other])


if __name__ == "__main__":
    BENCH = pathlib.Path(sys.argv.pop(1)).resolve()
    unittest.main()
