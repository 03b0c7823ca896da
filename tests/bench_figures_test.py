#!/usr/bin/env python3
"""Figures, tables and plots of results files (bench/report.py), and one comparison from end to end.

  bench_figures_test.py [folder of peer_shoal and shoal-bench] [unittest arguments]

Only the tests that draw need matplotlib; they say so where it is not.
"""
import array
import copy
import itertools
import json
import os
import pathlib
import random
import re
import struct
import subprocess
import sys
import tempfile
import unittest

BENCH = pathlib.Path(__file__).resolve().parent.parent / "bench"
sys.path.insert(0, str(BENCH))

import curves  # noqa: E402
import draw  # noqa: E402
import report  # noqa: E402
import results  # noqa: E402

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

    def test_lists_next_to_the_recalls_are_timed(self):
        curve = [{"list": s, "recall": r} for s, r in ((10, 0.8), (20, 0.92), (30, 0.94), (40, 0.97))]
        self.assertEqual(curves.lists_around(curve, (0.9, 0.95)), [10, 20, 30, 40])
        self.assertEqual(curves.lists_around(curve, (0.95, 0.99)), [30, 40])
        self.assertEqual(curves.lists_around(curve, (0.7,)), [10])


def curve(qps, engine="shoal-f32", threads=1):
    """`qps`: of each list size its rounds; recalls around .90, .95 and .99."""
    recalls = (0.85, 0.93, 0.97, 0.995)
    return {"engine": engine, "threads": threads, "k": 10,
            "points": [{"list": 10 * (i + 1), "recall": r, "qps": q, "distances": 100.0 * (i + 1),
                        "p50_us": 10, "p99_us": 20, "p999_us": 30}
                       for i, (r, q) in enumerate(zip(recalls, qps))]}


class StatisticsTest(unittest.TestCase):
    def test_speed_is_that_of_each_round_alone(self):
        flat = curve([[100, 200]] * 4)
        self.assertEqual([round(s) for s in curves.speeds_at(flat, 0.95)], [100, 200])

    def test_nothing_is_extrapolated(self):
        self.assertEqual(curves.speeds_at(curve([[100]] * 4), 0.80), [])
        self.assertEqual(curves.speeds_at(curve([[100]] * 4), 0.999), [])
        self.assertEqual(curves.speeds_at(curve([[]] * 4), 0.95), [])

    def test_paired_samples_leave_out_what_slowed_both_sides(self):
        a = [100, 400, 200, 150, 300, 120, 250, 180]
        b = [1.1 * x for x in a]
        ratio, low, high = curves.ratio_of(b, a, True)
        self.assertAlmostEqual(ratio, 1.1)
        self.assertGreater(low, 1)
        ratio, low, high = curves.ratio_of(b, a, False)
        self.assertAlmostEqual(ratio, 1.1)
        self.assertTrue(low < 1 < high)

    def test_interval_contains_the_ratio_and_is_repeatable(self):
        a, b = [10, 11, 9, 10.5, 9.5], [12, 13, 11, 12.5, 14]
        for paired in (True, False):
            ratio, low, high = curves.ratio_of(b, a, paired)
            self.assertTrue(low <= ratio <= high)
            self.assertEqual(curves.ratio_of(b, a, paired), (ratio, low, high))

    def test_one_sample_makes_no_interval(self):
        self.assertEqual(curves.ratio_of([20], [10], True), (2, None, None))

    def test_turns_are_one_of_each_side_in_a_row(self):
        def runs(*starts):
            return [{"started": s} for s in starts]
        self.assertTrue(curves.took_turns(runs("T1", "T4"), runs("T2", "T3")))
        self.assertFalse(curves.took_turns(runs("T1", "T2"), runs("T3", "T4")))
        self.assertFalse(curves.took_turns(runs("T1"), runs("T2")))


def document(sections, **run):
    return {"schema": "shoal-bench-results", "version": 1, "machine": {"cpu": "a <b>", "cores": 2},
            "command": "c | d", "file": "r.json",
            "runs": [{"type": "t", "name": "n", "status": "finished", **run, "results": sections}]}


STREAM = {"engine": "shoal-u8", "steps": [
    {"step": 1, "operation": "insert", "at_seconds": 1.0, "seconds": 1.0, "live": 10, "insert_rate": 5.0,
     "p99_us": 9.0, "max_us": 70.0},
    {"step": 2, "operation": "search", "at_seconds": 2.0, "seconds": 0.5, "live": 10, "recall": 0.97},
    {"step": 3, "operation": "search", "at_seconds": 3.0, "seconds": 0.5, "live": 10, "recall": 0.99}]}
SECTIONS = {
    "curves": [curve([[100, 110, 120]] * 4), curve([[50, 55, 60]] * 4, "hnswlib-f32")],
    "builds": [{"engine": "shoal-f32", "seconds": 12.5, "threads": 2}],
    "memory": [{"engine": "shoal-f32", "bytes_per_point": 853.1, "parts": {"id_map": 8.4}}],
    "settings": {"shoal-f32": {"max_degree": 32}},
    "stream": STREAM,
    "concurrent": {"recall_low": 0.97, "searches": {"count": 1000, "p99_us": 20}},
    "turnovers": [{"turnover": 10, "recall": 0.98765, "unreachable": 0}],
    "reads": 12345,
}


def table(sections, title):
    return next(t for t in report.run_tables(sections) if t.title.startswith(title))


class TablesTest(unittest.TestCase):
    def test_speeds_are_medians_with_their_range(self):
        speeds = table(SECTIONS, "Searches per second at recall@10")
        self.assertEqual(speeds.head, ["engine", "0.90, 1 thr.", "0.95, 1 thr.", "0.99, 1 thr."])
        self.assertEqual(speeds.rows[0], ["shoal-f32"] + ["110 (100-120)"] * 3)

    def test_ratios_are_by_the_best_peer(self):
        sections = {"curves": SECTIONS["curves"] + [curve([[10, 11, 12]] * 4, "faiss-f32")]}
        rows = table(sections, "Ratio of the speeds").rows
        self.assertEqual(rows, [["shoal-f32 / best f32 peer", "1"] + ["2.00 (2.00-2.00) hnswlib-f32"] * 3])

    def test_ratios_of_bytes_are_by_floats_and_by_bytes(self):
        engines = ("shoal-u8", "hnswlib-f32", "faiss-sq8")
        found = [curve([[s, s]] * 4, e) for s, e in zip((60, 20, 30), engines)]
        rows = table({"curves": found}, "Ratio").rows
        self.assertEqual([r[0] for r in rows], ["shoal-u8 / best f32 peer", "shoal-u8 / best 8-bit peer"])
        self.assertEqual([r[2].split()[0] for r in rows], ["3.00", "2.00"])

    def test_distances_are_interpolated_and_latencies_of_the_first_list_above_95(self):
        self.assertEqual(table(SECTIONS, "Distances").rows[0][0], "shoal-f32")
        self.assertEqual(table(SECTIONS, "Latency").rows[0], ["shoal-f32", "1", "30", "0.97", "10", "20", "30"])

    def test_streams_have_a_row_for_each_kind_of_operation(self):
        rows = table(SECTIONS, "shoal-u8: medians").rows
        self.assertEqual(rows[0][:3], ["insert", "1", "1"])
        self.assertEqual(rows[1][:3], ["search", "2", "1"])
        self.assertIn("0.98", rows[1])

    def test_every_other_list_of_objects_is_a_table_and_plain_values_are_one(self):
        self.assertEqual(table(SECTIONS, "Turnovers").rows, [["10", "0.9877", "0"]])
        self.assertEqual(table(SECTIONS, "Results").rows, [["reads", "12,345"]])
        self.assertEqual(table(SECTIONS, "Operations that overlapped").rows, [["searches", "1,000", "20"]])
        self.assertEqual(table(SECTIONS, "Bytes a point").rows, [["shoal-f32", "8.4"]])

    def test_filters_have_a_column_for_each_engine_and_are_drawn_by_where_they_accept(self):
        rows = [{"where": where, "percent": percent, "accepted": 1000, "engine": engine, "recall": recall,
                 "searches_without_all_hits": 0, "distances": distances, "cpu_us": cpu}
                for where in ("random", "correlated") for percent in ("50", ".1")
                for engine, recall, distances, cpu in (("faiss-flat", 1, None, 50), ("shoal-f32", 0.98, 500, 25))]
        self.assertEqual(table({"filters": rows}, "Recall").rows[1], [".1 % random", "1,000", "1", "0.98"])
        self.assertEqual(table({"filters": rows}, "CPU time of a search by that").rows[0][2:], ["1", "0.5"])
        self.assertEqual(table({"filters": rows}, "Distances").rows[3], [".1 % correlated", "1,000", "-", "0.5"])
        plots = report.run_plots({"filters": rows})
        self.assertEqual([plot.kind for plot in plots], ["work", "costs"] * 2)
        self.assertEqual(plots[1].series[1], ("shoal-f32", (50, 0.1), (25, 25)))
        self.assertEqual(table({"filters": [{"kind": "random", "recall": 1}]}, "Filters").rows, [["random", "1"]])

    def test_feature_stores_have_a_line_each_of_speed_and_of_recall_by_list(self):
        row = {"store": "disk", "state": "built", "list": 20, "recall": .9, "qps": 5}
        rows = [row, row | {"list": 40, "recall": .95}, row | {"state": "reopened"},
                {"store": "disk", "state": "updated"}]
        speed, recall = report.run_plots({"features": rows})
        self.assertEqual(speed.series, [("disk, built", (.9, .95), (5, 5)), ("disk, reopened", (.9,), (5,))])
        self.assertEqual(recall.series, [("disk, built", (20, 40), (.9, .95)), ("disk, reopened", (20,), (.9,))])

    def test_every_row_has_a_cell_for_each_column(self):
        for each in report.run_tables(SECTIONS):
            self.assertEqual({len(row) for row in each.rows}, {len(each.head)}, each.title)


class PageTest(unittest.TestCase):
    def test_what_results_say_is_text_and_never_markup(self):
        hostile = "<script> | `x`\n# [y](z)"
        page = report.page("T", [document({"note": hostile}, name=hostile, warnings=[hostile])], ((), ()), None)
        self.assertNotIn("<script>", page)
        self.assertNotIn("\n# [", page)
        self.assertEqual(page.count("&lt;script&gt; \\| \\`x\\`"), 3)

    def test_failed_runs_and_warnings_are_told_with_machine_and_command(self):
        page = report.page("T", [document({}, status="failed", error="1 torn", warnings=["busy"])], ((), ()), None)
        for told in ("marked failed: 1 torn", "Warning: busy", "a &lt;b&gt;, 2 cores", "c \\| d"):
            self.assertIn(told, page)

    def test_page_shows_every_plot(self):
        drawn = []
        page = report.page("T", [document(SECTIONS)], ((), ()), lambda plot: drawn.append(plot.kind) or "x.svg")
        self.assertEqual(drawn, ["curves", "work", "bars", "bars", "stream", "stream", "stream"])
        self.assertEqual(page.count("(x.svg)"), len(drawn))


    def test_pages_in_the_tree_are_what_their_results_say(self):
        """`make report` prints them."""
        for path in (BENCH.parent / "docs" / "report").glob("*.json"):
            told = path.with_suffix(".md").read_text(encoding="utf-8")
            numbers = itertools.count(1)
            page = report.page(path.stem, [report.load(path)], ((), ()),
                               lambda plot: f"{path.stem}-{next(numbers)}-{plot.kind}.svg")
            self.assertEqual(told, page)
            for picture in re.findall(r"\]\((.*?\.svg)\)", told):
                self.assertTrue((path.parent / picture).exists(), picture)


class SidesTest(unittest.TestCase):
    @staticmethod
    def side(*runs):
        return [document({"curves": [curve([qps] * 4)]}, started=started) for started, qps in runs]

    def row(self, tables, figure):
        return next(r for r in tables[0].rows if r[0].endswith(figure))

    def test_runs_that_took_turns_are_paired_and_others_are_said_not_to(self):
        # The machine is four times as fast in the second half, B always 5 % faster.
        slow, fast = [100, 101, 102], [400, 404, 408]
        a = self.side(("T1", slow), ("T4", fast))
        b = self.side(("T2", [1.05 * q for q in slow]), ("T3", [1.05 * q for q in fast]))
        tables, notes = report.compare_sides(a, b)
        self.assertEqual(self.row(tables, "at recall 0.95")[1:3], ["1.050 (1.050-1.050)", "B is better"])
        self.assertNotIn("did not take turns", " ".join(notes))
        a, b = self.side(("T1", slow), ("T2", fast)), self.side(*(
            (t, [1.05 * q for q in s]) for t, s in (("T3", slow), ("T4", fast))))
        tables, notes = report.compare_sides(a, b)
        self.assertEqual(self.row(tables, "at recall 0.95")[2], "no difference shown")
        self.assertIn("did not take turns", " ".join(notes))

    def test_less_is_better_of_times_and_of_rows_of_any_section(self):
        def side(seconds, turnovers):
            return [document({"builds": [{"engine": "e", "seconds": s} for s in seconds],
                              "turnovers": [{"pattern": "slide", "delete_us": float(t)} for t in turnovers]})]
        tables, _ = report.compare_sides(side([10, 11, 10.5], [5, 5, 5]), side([20, 22, 21], [2, 2, 2]))
        self.assertEqual(self.row(tables, "e: seconds")[2], "B is worse")
        self.assertEqual(self.row(tables, "slide: delete_us")[2], "B is better")

    def test_runs_of_one_side_only_are_named(self):
        b = self.side(("T2", [1, 2]))
        b[0]["runs"][0]["type"] = "other"
        tables, notes = report.compare_sides(self.side(("T1", [1, 2])), b)
        self.assertEqual(tables, [])
        self.assertIn("other n, t n", " ".join(notes))


class MistakesTest(unittest.TestCase):
    def refused(self, whole, *more):
        """What report.py says of a file with this content."""
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "r.json")
            if whole is not None:
                with open(path, "w", encoding="utf-8") as file:
                    file.write(whole if isinstance(whole, str) else json.dumps(whole))
            command = [sys.executable, "-B", str(BENCH / "report.py"), path, *more]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        return done.stderr

    def test_other_schemas_versions_and_files_are_refused(self):
        self.assertIn("r.json: version: expected 1, found 2", self.refused({**document({}), "version": 2}))
        self.assertIn('r.json: schema: expected shoal-bench-results, found "x"',
                      self.refused({**document({}), "schema": "x"}))
        self.assertIn("r.json", self.refused(None))
        self.assertIn("line 1", self.refused('{"schema": '))

    def test_wrong_values_are_named_by_their_path(self):
        wrong = copy.deepcopy(SECTIONS)
        wrong["curves"][0]["points"][2]["recall"] = 95
        self.assertIn("runs[0].results.curves[0].points[2].recall: expected a number in [0, 1], found 95",
                      self.refused(document(wrong)))
        for sections, told in (({"curves": 3}, "results.curves: expected a list, found 3"),
                               ({"builds": [{"seconds": 1}]}, "builds[0].engine: expected a text, found null"),
                               ({"stream": {"engine": "e", "steps": [{"step": 1, "operation": "insert", "live": "x"}]}},
                                'steps[0].live: expected a number of at least 0, found "x"')):
            self.assertIn(told, self.refused(document(sections)))

    def test_one_side_alone_is_no_comparison(self):
        self.assertIn("--a and --b", self.refused(document({}), "--a", "x.json"))


@unittest.skipUnless(draw.here(), "no matplotlib here: nothing was drawn (Debian: apt-get install python3-matplotlib)")
class DrawTest(unittest.TestCase):
    def test_every_plot_is_a_file_of_its_own_and_the_same_every_time(self):
        with tempfile.TemporaryDirectory() as folder:
            for number, plot in enumerate(report.run_plots(SECTIONS)):
                first, again = (os.path.join(folder, f"{number}-{i}.svg") for i in (1, 2))
                draw.draw(plot, first)
                draw.draw(plot, again)
                with open(first, "rb") as a, open(again, "rb") as b:
                    self.assertEqual(a.read(), b.read(), plot.title)

    def test_page_and_its_pictures_lie_together(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "r.json")
            results.write(path, document(SECTIONS))
            page = os.path.join(folder, "out", "page.md")
            command = [sys.executable, "-B", str(BENCH / "report.py"), path, "-o", page, "--format", "png"]
            subprocess.run(command, check=True, capture_output=True)
            with open(page, encoding="utf-8") as file:
                text = file.read()
            pictures = [name for name in os.listdir(os.path.join(folder, "out")) if name.endswith(".png")]
            self.assertEqual(len(pictures), 7)
            for name in pictures:
                self.assertIn(f"({name})", text)


class CommandTest(unittest.TestCase):
    def test_folders_of_this_machine_and_outputs_are_left_out(self):
        given = ["--data", "sift-1m", "--cache", "/a/b/indices/", "--out", "x.json", "--rounds=3"]
        expected = "python3 bench/compare.py --data sift-1m --cache indices --rounds=3"
        self.assertEqual(results.command_of("bench/compare.py", given), expected)


class ComparisonTest(unittest.TestCase):
    """Generated data, one engine, everything that compare.py reports."""

    def check_results_file(self, path, folder):
        """It has all sections and names no folder."""
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
        self.assertGreater(sections["curves"][0]["points"][-1]["recall"], 0.95)
        self.assertEqual(sections["builds"][0]["threads"], 2)
        self.assertEqual(sections["memory"][0]["points"], 3000)
        self.assertGreater(sections["memory"][0]["own_per_point"], 32 * 4)
        self.assertGreater(sections["memory"][0]["promised_per_point"], 32 * 4)
        self.assertGreater(sections["memory"][0]["parts"]["vectors"], 32 * 4)
        self.assertEqual(sections["settings"]["shoal-f32"]["max_degree"], 32)

    def compare(self, folder, *arguments):
        """Runs compare.py on a set that is made; its results file and what it prints."""
        if PROGRAMS is None:
            self.skipTest("no programs given")
        data = [os.path.join(PROGRAMS, "shoal-bench"), "generate-data", "--set", "mixture", "--out", folder]
        size = ["--rows", "3000", "--dim", "32", "--queries", "50"]
        subprocess.run(data + size, check=True, capture_output=True)
        out = os.path.join(folder, "results.json")
        command = [sys.executable, "-B", str(BENCH / "compare.py"), "--data", "mixture"]
        command += ["--data-dir", folder, "--programs", PROGRAMS, "--rounds", "2", "--out", out, *arguments]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        return out, done.stdout

    def test_searches_with_filters_have_all_hits_and_are_reported(self):
        pythons = [p for p in (sys.executable, "/usr/bin/python3")
                   if subprocess.run([p, "-c", "import numpy"], capture_output=True, check=False).returncode == 0]
        if not pythons:
            self.skipTest("no Python with numpy here (Debian: apt-get install python3-numpy)")
        with tempfile.TemporaryDirectory() as folder:
            out, told = self.compare(folder, "--engines", "shoal-f32,shoal-rq4", "--python", pythons[0],
                                     "--filters", "90,.2", "--filter-queries", "20")
            rows = report.load(out)["runs"][0]["results"]["filters"]
        self.assertEqual([(r["where"], r["percent"], r["engine"], r["accepted"]) for r in rows],
                         [(where, percent, engine, accepted)
                          for where in ("random", "correlated", "anticorrelated")
                          for percent, accepted in (("90", 2700), (".2", 6)) for engine in ("shoal-f32", "shoal-rq4")])
        for row in rows:
            self.assertGreaterEqual(row["recall"], 0.95)
            self.assertEqual(row["searches_without_all_hits"], 0)
            self.assertLessEqual(row["distances"], 1.1 * row["accepted"])
        self.assertIn("90 % anticorrelated", told)

    def test_generated_set_is_built_answered_and_reported(self):
        with tempfile.TemporaryDirectory() as folder:
            out, told = self.compare(folder, "--engines", "shoal-f32", "--seconds", "0.01")
            self.check_results_file(out, folder)
            measured = report.load(out)
        self.assertEqual(told.strip(),
                         report.page("Side by side on mixture", [measured], ((), ()), None).strip())


class StreamsTest(unittest.TestCase):
    """bench/streams.py, with our own programs in the place of DiskANN's: the flags are the same."""

    def streams(self, work, *arguments):
        build = pathlib.Path(PROGRAMS or "none").parent
        if not (build / "apps" / "test_streaming_scenario").exists():
            self.skipTest("no programs given")
        rng = random.Random(3)
        with tempfile.TemporaryDirectory() as folder:
            for name, rows in (("1m", 1600), ("query-1k", 50)):
                with open(os.path.join(folder, f"sift-{name}.u8bin"), "wb") as file:
                    file.write(struct.pack("<ii", rows, 8) + bytes(rng.randrange(256) for _ in range(rows * 8)))
            out = os.path.join(folder, "out.json")
            command = [sys.executable, "-B", str(BENCH / "streams.py"), work, "--shared", folder, "--build", build,
                       "--rows", 1600, "--degree", 16, "--list", 40, "--out", out, *arguments]
            done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False,
                                  env={**os.environ, "SHOAL_DISKANN": str(build / "apps")})
            self.assertEqual(done.returncode, 0, done.stderr)
            return report.load(out)["runs"][0]["results"][work]

    def test_windows_have_a_row_for_each_engine_and_list(self):
        rows = self.streams("window", "--window", 400, "--engines", "shoal-u8,shoal-f32:20,diskann-f32",
                            "--search-lists", "40,60")
        self.assertEqual([(r["engine"], r["degree"], r["list"]) for r in rows],
                         [(e, d, n) for e, d in (("shoal-u8", 16), ("shoal-f32:20", 20), ("diskann-f32", 16))
                          for n in (40, 60)])
        for row in rows:
            self.assertGreater(row["recall"], 0.95)
            self.assertGreater(row["by_the_fastest_peer"], 0)

    def test_consolidations_are_timed_and_searched(self):
        rows = self.streams("consolidate", "--search-lists", "60")
        self.assertEqual([row["engine"] for row in rows], ["shoal-f32", "diskann-f32"])
        for row in rows:
            self.assertGreater(row["recall"], 0.95)
            self.assertGreater(row["delete_rate"], 0)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        PROGRAMS = os.path.abspath(sys.argv.pop(1))
    unittest.main()
