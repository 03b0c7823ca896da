#!/usr/bin/env python3
"""Tests of the arithmetic behind the comparison, and of one comparison from end to end.

  curves_test.py [folder of peer_shoal and make_data]
"""
import array
import json
import os
import subprocess
import sys
import tempfile
import unittest

import compare
import curves
import report

HERE = os.path.dirname(os.path.abspath(__file__))
PROGRAMS = None


def write_truth(path, k, ids, distances):
    with open(path, "wb") as file:
        array.array("I", [len(ids) // k, k]).tofile(file)
        array.array("I", ids).tofile(file)
        array.array("f", distances).tofile(file)


class RecallTest(unittest.TestCase):
    def recall(self, found, k):
        with tempfile.NamedTemporaryFile() as file:
            write_truth(file.name, 4, [7, 3, 9, 5, 1, 2, 3, 4], [0, 1, 1, 1, 0, 1, 2, 3])
            return curves.Truth(file.name).recall(found, k)

    def test_every_row_as_near_as_the_kth_counts(self):
        # Query 0: 3, 9 and 5 are equally near, so that any one of them may stand second.
        self.assertEqual(self.recall([7, 5, 1, 2], 2), 1.0)
        self.assertEqual(self.recall([7, 9, 1, 2], 2), 1.0)

    def test_wrong_missing_and_repeated_answers_do_not_count(self):
        self.assertEqual(self.recall([7, 8, 2, 3], 2), 0.5)
        self.assertEqual(self.recall([7, 7, 1, curves.NO_ID], 2), 0.5)

    def test_truthset_that_ends_early_is_refused(self):
        with tempfile.NamedTemporaryFile() as file:
            write_truth(file.name, 4, [7, 3, 9, 5], [0, 1, 1])
            with self.assertRaises(ValueError):
                curves.Truth(file.name)


class InterpolationTest(unittest.TestCase):
    def test_logarithm_of_the_value_is_linear_in_recall(self):
        self.assertAlmostEqual(curves.at_recall([(0.8, 100), (0.9, 10000)], 0.85), 1000)

    def test_measured_points_are_met_and_their_order_does_not_matter(self):
        points = [(0.99, 2000), (0.90, 8000), (0.95, 5000)]
        for recall, value in points:
            self.assertAlmostEqual(curves.at_recall(points, recall), value)

    def test_curve_that_stays_below_has_no_value(self):
        self.assertIsNone(curves.at_recall([(0.8, 100), (0.9, 50)], 0.95))
        self.assertIsNone(curves.at_recall([], 0.95))

    def test_recall_at_distances_only_within_the_curve(self):
        points = [(100, 0.8), (10000, 0.9)]
        self.assertAlmostEqual(curves.at_distances(points, 1000), 0.85)
        self.assertIsNone(curves.at_distances(points, 99))

    def test_lists_next_to_the_recalls_are_timed(self):
        curve = [{"list": s, "recall": r} for s, r in ((10, 0.8), (20, 0.92), (30, 0.94), (40, 0.97))]
        self.assertEqual(curves.lists_around(curve, (0.9, 0.95)), [10, 20, 30, 40])
        self.assertEqual(curves.lists_around(curve, (0.95, 0.99)), [30, 40])
        self.assertEqual(curves.lists_around(curve, (0.7,)), [10])

    def test_cpu_clock_takes_waiting_out(self):
        waited = {"qps": 100, "searches": 1000, "cpu_seconds": 2.0, "threads": 2}
        self.assertEqual(curves.speeds([waited], "wall"), [100])
        self.assertEqual(curves.speeds([waited], "cpu"), [1000])


class CommandTest(unittest.TestCase):
    def test_folders_of_this_machine_and_outputs_are_left_out(self):
        given = ["--data", "sift-1m", "--cache", "/a/b/indices/", "--out", "x.json", "--rounds=3"]
        expected = "python3 bench/compare.py --data sift-1m --cache indices --rounds=3"
        self.assertEqual(compare.command_of(given + ["--results", "/tmp/r.json"]), expected)


class ComparisonTest(unittest.TestCase):
    """Generated data, one engine, everything that compare.py reports."""

    def check_results_file(self, path, folder):
        """It has all sections, names no folder, and can be drawn."""
        with open(path, encoding="utf-8") as file:
            text = file.read()
        self.assertNotIn(folder, text)
        document = json.loads(text)
        self.assertEqual((document["schema"], document["version"]), ("shoal-bench-results", 1))
        told = [os.path.join(PROGRAMS, "shoal-bench"), "machine"]
        told = json.loads(subprocess.run(told, check=True, capture_output=True).stdout)
        self.assertEqual(set(document["machine"]), set(told))
        for fact in ("cpu", "cores", "kernel", "isa", "commit", "compiler", "build_type"):
            self.assertEqual(document["machine"][fact], told[fact])
        sections = document["runs"][0]["results"]
        self.assertEqual([(c["engine"], c["threads"]) for c in sections["curves"]],
                         [("shoal-f32", 1), ("shoal-f32", 2)])
        for curve in sections["curves"]:
            timed = [p for p in curve["points"] if p["qps"]]
            self.assertTrue(timed)
            self.assertEqual({len(p["qps"]) for p in timed}, {2})
        self.assertEqual(sections["builds"][0]["threads"], 2)
        self.assertGreater(sections["memory"][0]["parts"]["vectors"], 32 * 4)
        self.assertEqual(sections["settings"]["shoal-f32"]["max_degree"], 32)
        page = os.path.join(folder, "report.html")
        draw = [os.path.join(PROGRAMS, "shoal-bench"), "report", path, "-o", page]
        subprocess.run(draw, check=True, capture_output=True)
        self.assertTrue(os.path.getsize(page))

    def test_generated_set_is_built_answered_and_reported(self):
        if PROGRAMS is None:
            self.skipTest("no programs given")
        with tempfile.TemporaryDirectory() as folder:
            data = [os.path.join(PROGRAMS, "make_data"), "--out", folder]
            subprocess.run(data + ["--rows", "3000", "--dim", "32", "--queries", "50"], check=True)
            out = os.path.join(folder, "results.json")
            command = [sys.executable, "-B", os.path.join(HERE, "compare.py"), "--data", "mixture"]
            command += ["--data-dir", folder, "--programs", PROGRAMS, "--engines", "shoal-f32"]
            drawn = os.path.join(folder, "drawn.json")
            command += ["--rounds", "2", "--seconds", "0.01", "--out", out, "--results", drawn]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            with open(out, encoding="utf-8") as file:
                results = json.load(file)
            self.check_results_file(drawn, folder)
        engine = results["engines"]["shoal-f32"]
        self.assertEqual(engine["load"]["rows"], 3000)
        self.assertGreater(engine["curve"][-1]["recall"], 0.95)
        self.assertGreater(engine["memory"]["own_total"], 3000 * 32 * 4)
        timed = [p for p in engine["curve"] if "samples" in p]
        self.assertTrue(timed)
        for point in timed:
            self.assertEqual({t: len(s) for t, s in point["samples"].items()}, {"1": 2, "2": 2})
        for heading in ("QPS at recall@10", "equal counts of distances", "Builds", "Memory"):
            self.assertIn(heading, done.stdout)
        self.assertEqual(done.stdout.strip(), report.render(results, (0.9, 0.95, 0.99), "wall").strip())


if __name__ == "__main__":
    if len(sys.argv) > 1:
        PROGRAMS = sys.argv.pop(1)
    unittest.main()
