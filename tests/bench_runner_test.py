#!/usr/bin/env python3
"""shoal-bench from end to end: what it prints, writes and returns.

  bench_runner_test.py BENCH_DIRECTORY [unittest arguments]
"""

import json
import pathlib
import random
import signal
import struct
import subprocess
import sys
import tempfile
import unittest

BENCH = pathlib.Path()
TYPES = {"baseline", "beside", "churn", "concurrent-runbook", "database", "exact-search", "features", "index",
         "kernels", "runbook", "store-stress"}
# A store-stress job that its operations end, in well under a second.
SHORT = {"type": "store-stress", "content": {
    "capacity": 128, "duration_secs": 60, "entry_bytes": 64, "low_watermark": 32,
    "max_ops": 3000, "readers": 1, "retirers": 1, "seed": 1, "writers": 1}}
LONG = {"type": "store-stress", "name": "long",
        "content": {**SHORT["content"], "duration_secs": 600, "max_ops": 0}}


class RunnerTest(unittest.TestCase):
    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory()
        self.addCleanup(self.temporary.cleanup)
        self.folder = pathlib.Path(self.temporary.name)
        self.results = self.folder / "results.json"

    def bench(self, *arguments):
        return subprocess.run([BENCH / "shoal-bench", *map(str, arguments)], capture_output=True,
                              text=True, timeout=300, cwd=self.folder)

    def write(self, name, content):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    def jobs(self, *jobs, **fields):
        return self.write("jobs.json", {"jobs": list(jobs), **fields})

    def run_file(self, path, *flags):
        return self.bench("run", "--input-file", path, "--output-file", self.results,
                          "--allow-debug", *flags)

    def read_results(self):
        return json.loads(self.results.read_text())

    def expect_refusal(self, done, *parts):
        """Exit status 1, one line on stderr with all the parts, no results."""
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        for part in parts:
            self.assertIn(part, done.stderr)
        self.assertFalse(self.results.exists())


class ListsTest(RunnerTest):
    def test_every_type_is_listed_with_one_line(self):
        for verb in ("inputs", "benchmarks"):
            lines = self.bench(verb).stdout.splitlines()
            self.assertGreaterEqual({line.split()[0] for line in lines}, TYPES)
            self.assertTrue(all(len(line.split()) > 3 for line in lines))

    def test_the_example_of_a_type_runs_as_printed(self):
        for name in ("baseline", "exact-search", "kernels", "store-stress"):
            example = json.loads(self.bench("inputs", name).stdout)
            self.assertEqual(example["type"], name)
            done = self.run_file(self.jobs(example), "--dry-run")
            self.assertEqual(done.returncode, 0, done.stderr)

    def test_a_skeleton_is_a_job_file_with_the_types_asked_for(self):
        self.assertEqual(json.loads(self.bench("skeleton").stdout),
                         {"search_directories": [], "output_directory": None, "jobs": []})
        printed = self.bench("skeleton", "store-stress", "baseline").stdout
        self.assertEqual([job["type"] for job in json.loads(printed)["jobs"]],
                         ["store-stress", "baseline"])
        done = self.run_file(self.write("jobs.json", printed), "--dry-run")
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_an_unknown_type_is_named_with_those_there_are(self):
        for verb in ("inputs", "skeleton"):
            done = self.bench(verb, "stor-stress")
            self.expect_refusal(done, "store-stress", 'found "stor-stress"')


class StreamJobsTest(RunnerTest):
    """"churn" and "beside" on a set that is made, and "kernels" and "exact-search"."""

    def made(self, name="clusters", **options):
        flags = {"set": name, "out": ".", "rows": 1500, "dim": 8, "queries": 20, "clusters": 15, **options}
        done = self.bench("generate-data", *(w for k, v in flags.items() for w in (f"--{k}", v)))
        self.assertEqual(done.returncode, 0, done.stderr)
        return {"base_file": f"{name}.fbin", "query_file": f"{name}-query.fbin"}

    def rows(self, section, *jobs):
        done = self.run_file(self.jobs(*jobs))
        self.assertEqual(done.returncode, 0, done.stderr)
        return [run["results"][section] for run in self.read_results()["runs"]]

    def test_every_pattern_keeps_its_points_beside_a_fresh_index(self):
        data = self.made()
        patterns = ("slide", "random", "region", "hub", "shrink", "refill")
        found = self.rows("churn", *({"type": "churn", "content": {
            "data": data, "pattern": pattern, "live": 600, "turnovers": 2, "lists": [10, 40],
            "build": {"degree": 16, "list": 40}}} for pattern in patterns))
        for pattern, rows in zip(patterns, found):
            with self.subTest(pattern=pattern):
                self.assertEqual([row["turnover"] for row in rows],
                                 [0, 1, 1, 2, 2] if pattern == "shrink" else [0, 1, 2])
                for row in rows:
                    live = 60 if pattern == "shrink" and "delete_us" in row and "insert_p50_us" not in row else 600
                    self.assertAlmostEqual(row["live"], live, delta=60 if pattern == "region" else 0)
                    self.assertGreater(row["recall"][1], 0.9)
                    self.assertEqual(row["unreachable"], 0)
                    self.assertGreater(row["bytes_per_point"], 8 * 4)
        self.assertFalse(list(self.folder.glob("churn-graph*")))

    def test_points_one_by_one_and_held_out_queries_repeat_exactly(self):
        base = self.made("norms")["base_file"]
        job = {"type": "churn", "content": {
            "data": {"base_file": base, "held_out": 100, "metric": "inner_product"}, "pattern": "slide",
            "live": 300, "turnovers": 1, "rounds": 300, "build": {"fill": "inserts"}, "refine": True,
            "self_list": 64}}
        once, again = self.rows("churn", job, job)
        self.assertEqual(len(once), 3)  # The last after Refine.
        for a, b in zip(once, again):
            for field in ("recall", "distances", "fresh_recall", "not_found_by_own_vector"):
                self.assertEqual(a[field], b[field])

    def test_phases_say_what_went_on_beside_what(self):
        content = {"data": self.made(), "live": 1000, "seconds": 0.05, "rounds": 2, "load": 0.2,
                   "phases": ["search+spin", "search+update+save", "update", "search+consolidate", "delete"],
                   "build": {"repair": "manual"}}
        rows, = self.rows("beside", {"type": "beside", "content": content})
        self.assertEqual([r["phase"] for r in rows], 2 * content["phases"])
        for row in rows:
            self.assertEqual("search_p99_us" in row, "search" in row["phase"])
            self.assertEqual("insert_rate" in row, "update" in row["phase"])
            self.assertEqual("saves" in row, "save" in row["phase"])
            self.assertEqual("points_per_second" in row, row["phase"] in ("search+consolidate", "delete"))
        self.assertEqual(list(self.folder.glob("*.shoal")), [])

    def test_every_feature_store_gives_the_same_answers_before_and_after_it_is_reopened(self):
        search = {"lists": [20, 40], "seconds": 0.01}
        content = {"data": self.made("mixture", dim=64), "build": {"code": "rq4"}, "search": search,
                   "stores": ["memory", "ram", "mmap", "disk", "disk-direct"]}
        held = content | {"stores": ["disk-direct", "view", "view-disk-direct", "view-beside-disk-direct"],
                          "hold_percent": 1000, "order": "neighbors", "search": search | {"queries": 20}}
        fetched = content | {"build": {"code": "full"}, "stores": ["memory", "mmap-no-code", "disk-no-code", "view"]}
        tight = content | {"data": self.made()}  # Clusters that codes do not tell apart (docs/codes.md).
        rows, graph_alone, _, limited = self.rows("features", {"type": "features", "content": content},
                                         {"type": "features", "content": fetched},
                                         {"type": "features", "content": tight},
                                         {"type": "features", "content": held})
        self.assertEqual({r["store"] for r in limited if "cold_qps" in r}, set(held["stores"]))
        for row in limited:
            self.assertGreater(row["recall"], 0.8)
            self.assertEqual("reads_per_query" in row, "disk" in row["store"] and not (
                "view" in row["store"] and row["state"] == "built"))
        self.assertGreater(max(r.get("held_mb", 0) for r in limited), 0.1)
        self.assertEqual({r["store"] for r in graph_alone}, set(fetched["stores"]))
        self.assertEqual([(r["store"], r["state"], r["list"]) for r in rows],
                         [(store, state, list_size)
                          for store in ("memory", "ram", "mmap", "disk", "disk-direct")
                          for state in (("built",) if store in ("memory", "ram") else ("built", "reopened"))
                          for list_size in (20, 40)])
        for row in rows:
            self.assertGreater(row["recall"], 0.8)
            self.assertEqual(row["recall"], rows[row["list"] == 40]["recall"])
            self.assertGreater(row["peak_mb"], 0)
        self.assertEqual(list(self.folder.glob("**/features.*")), [])

    def test_codes_find_their_share_where_a_few_elements_are_large_and_when_data_have_moved(self):
        large = self.made("large-elements", dim=96) | {"metric": "cosine"}
        search = {"lists": [400], "rerank": 10, "seconds": 0.01, "samples": 1}
        curves = self.rows("curves", *({"type": "index", "content": {
            "data": large, "build": {"code": code}, "search": search}} for code in ("rq4", "rq2", "rq1")))
        four, two, one = (curve[0]["points"][0]["recall"] for curve in curves)
        self.assertGreater(four, .85)
        self.assertGreater(four, two)
        self.assertGreater(two, one)
        # An index takes its centre anew from 1,024 points on (src/codec/centre_watch.h).
        drift = self.made("drift", dim=96, rows=6000, recent=2000)
        moved, = self.rows("churn", {"type": "churn", "content": {
            "data": drift, "pattern": "slide", "live": 2000, "turnovers": 2, "every": 2,
            "build": {"code": "rq2"}, "lists": [400], "rerank": 10}})
        self.assertEqual([row["turnover"] for row in moved], [0, 2])
        self.assertGreater(moved[1]["recall"][0], moved[1]["fresh_recall"][0] - .05)
        self.assertGreater(moved[1]["fresh_recall"][0], .6)

    def test_a_database_keeps_its_points_and_each_figure_stands_beside_its_target(self):
        content = {"data": self.made(), "build": {"degree": 16, "list": 40}, "least_changes": 100, "commits": 5,
                   "turnovers": 1, "readers": 2, "search": {"lists": [40], "rounds": 1, "seconds": 0.02}}
        rows, = self.rows("database", {"type": "database", "content": content})
        figures = {row["figure"] for row in rows}
        for words in ("bytes written an insert", "bytes written an upsert", "another process finds it, interval",
                      "file bytes a point after 1 turnovers", "in place / loaded, L = 40, tail 5 %",
                      "after a kill", "vectors in the file"):
            self.assertTrue(any(words in figure for figure in figures), words)
        for row in rows:
            self.assertGreaterEqual(row["value"], 0)
            self.assertEqual("holds" in row, row["target"] != "")
        self.assertEqual(list(self.folder.glob("database")), [])

    def test_bits_and_manhattan_distances_are_made_built_and_searched(self):
        self.made("bits", dim=61)
        self.made("clusters", metric="manhattan")
        jobs = [{"type": "index", "content": {
            "data": {"base_file": f"{name}.{kind}", "query_file": f"{name}-query.{kind}",
                     "truth_file": f"{name}.gt100", "metric": metric},
            "search": {"lists": [40], "samples": 1}}}
            for name, kind, metric in (("bits", "bbin", "hamming"), ("clusters", "fbin", "manhattan"))]
        for curves in self.rows("curves", *jobs):
            self.assertGreater(curves[0]["points"][0]["recall"], .95)
        done = self.bench("generate-data", "--set", "bits", "--out", ".", "--rows", "20", "--clusters", "2",
                          "--metric", "l2")
        self.assertEqual(done.returncode, 1)
        self.assertIn("metric: expected one of bit vectors, found l2", done.stderr)

    def test_a_set_may_be_rounded_to_float16_and_extended_with_rows_alike(self):
        self.made("clusters", type="float16")
        shared = {"queries-from": "clusters-query.f16bin", "type": "float16"}
        self.made("extended", **{"from": "clusters.f16bin", "rows": 2000, **shared})
        self.assertEqual((self.folder / "extended.f16bin").stat().st_size, 8 + 2000 * 8 * 2)
        curves, = self.rows("curves", {"type": "index", "content": {
            "data": {"base_file": "extended.f16bin", "query_file": "extended-query.f16bin",
                     "truth_file": "extended.gt100", "metric": "inner_product"},
            "search": {"lists": [80], "samples": 1}}})
        self.assertGreater(curves[0]["points"][0]["recall"], .9)
        done = self.bench("generate-data", "--set", "bits", "--out", ".", "--type", "float16")
        self.assertEqual(done.returncode, 1)
        self.assertIn("type: expected a set of floats, found bits", done.stderr)

    def test_kernels_and_exact_search_have_a_row_for_each_case(self):
        kernels, = self.rows("kernels", {"type": "kernels", "content": {
            "types": ["uint8"], "dims": [16, 33], "seconds": 0.0001, "samples": 1, "memory_mb": 1}})
        self.assertEqual(len(kernels) % (2 * 2 * 2), 0)
        self.assertTrue(all(row["distance_ns"] > 0 for row in kernels))
        exact, = self.rows("exact_search", {"type": "exact-search", "content": {
            "types": ["float32", "int8"], "dims": [16], "rows": 500, "queries": 10, "k": 5, "samples": 1,
            "threads": [1, 2]}})
        self.assertEqual([(r["type"], r["threads"]) for r in exact],
                         [("float32", 1), ("float32", 2), ("int8", 1), ("int8", 2)])
        self.assertTrue(all(row["share_of_peak"] > 0 for row in exact))

    def test_filters_have_all_hits_within_their_price_for_each_kind_and_share(self):
        content = {"data": self.made("mixture", rows=5000, dim=32, queries=50),
                   "search": {"queries": 20, "per_100000": [97000, 2000, 60]}}
        rows, = self.rows("filters", {"type": "filters", "content": content})
        self.assertEqual([(r["churned"], r["kind"], r["percent"], r["accepted"]) for r in rows],
                         [(churned, kind, percent, accepted) for churned in (False, True)
                          for kind in ("random", "correlated", "anticorrelated")
                          for percent, accepted in ((97, 4850), (2, 100), (.06, 3))])
        for row in rows:
            self.assertEqual(row["least_share_of_hits"], 1)
            self.assertGreaterEqual(row["recall"], .95)
            self.assertLessEqual(row["worst_cost_beside_brute_force"], 1.1)
            self.assertEqual(row["scans"] + row["traversals"] + row["two_hops"], 20)

    def test_mistakes_are_named(self):
        data = self.made()
        for job, parts in [
            ({"type": "churn", "content": {"data": data, "pattern": "strange", "live": 60}},
             ["content.pattern", 'found "strange"']),
            ({"type": "churn", "content": {"data": {**data, "held_out": 9}, "pattern": "slide", "live": 60}},
             ["data.held_out: expected 0, as query_file has the queries, found 9"]),
            ({"type": "beside", "content": {"data": data, "live": 60, "phases": ["search+dance"]}},
             ["content.phases", "found dance"]),
            ({"type": "beside", "content": {"data": data, "live": 60, "phases": ["consolidate"]}},
             ["content.phases", "build.repair is not manual"]),
            ({"type": "database", "content": {"data": data, "file_code": "rq9"}},
             ["content.file_code", 'found "rq9"']),
            ({"type": "database", "content": {"data": data, "search": {"lists": [9]}}},
             ["content.search.lists"]),
            ({"type": "kernels", "content": {"isas": ["neon"]}}, ["content.isas", "found neon"]),
            ({"type": "exact-search", "content": {"types": ["text"]}}, ["content.types", "found text"]),
            ({"type": "filters", "content": {"data": data, "search": {"per_100000": [5, 100001]}}},
             ["content.search.per_100000", "an integer in [1, 100000]", "found [5,100001]"]),
            ({"type": "filters", "content": {"data": data, "search": {"per_100000": []}}},
             ["content.search.per_100000"]),
            ({"type": "filters", "content": {"data": data, "search": {"k": 0}}}, ["content.search.k", "found 0"]),
            ({"type": "filters", "content": {"data": data, "kinds": ["random"]}}, ["content.kinds"]),
            ({"type": "filters", "content": {"search": {}}}, ["content.data"]),
        ]:
            with self.subTest(parts=parts):
                self.expect_refusal(self.run_file(self.jobs(job)), "jobs[0].", *parts)
        for data, told in (({**data}, "live: expected less than the 1500 rows, found 1500"),
                           ({"base_file": data["base_file"], "held_out": 1500},
                            "held_out: expected less than the 1500 rows, found 1500")):
            job = {"type": "churn", "content": {"data": data, "pattern": "slide", "live": 1500}}
            done = self.run_file(self.jobs(job))
            self.assertEqual(done.returncode, 1)
            self.assertIn(told, self.read_results()["runs"][0]["error"])


class MistakesTest(RunnerTest):
    def test_a_mistake_names_file_path_expected_and_found(self):
        def changed(**fields):
            return {"type": "store-stress", "content": {**SHORT["content"], **fields}}
        for job, parts in [
            (changed(readers=0), ["jobs[1].content.readers: expected an integer in", "found 0"]),
            (changed(raeders=1), ["jobs[1].content.raeders", "unknown key"]),
            (changed(entry_bytes=10), ["jobs[1].content.entry_bytes", "multiple of 8", "found 10"]),
            ({"type": "strange", "content": {}}, ["jobs[1].type", 'found "strange"']),
            ({"type": "store-stress"}, ["jobs[1].content: expected an object, found nothing"]),
            ({**SHORT, "colour": 1}, ["jobs[1].colour", "unknown key"]),
            (7, ["jobs[1]: expected an object, found 7"]),
        ]:
            with self.subTest(parts=parts):
                self.expect_refusal(self.run_file(self.jobs(SHORT, job)), "jobs.json: ", *parts)

    def test_a_file_that_is_no_json_is_named_with_the_place(self):
        self.expect_refusal(self.run_file(self.write("jobs.json", '{"jobs": [')),
                            "jobs.json: line 1, column 11")
        self.expect_refusal(self.run_file(self.write("jobs.json", '{"jobs": [1e999]}')),
                            "jobs.json: expected numbers that a double can hold")
        self.expect_refusal(self.run_file(self.folder / "gone.json"), "gone.json")

    def test_a_missing_input_is_named_with_the_folders_searched(self):
        job = {"type": "index", "content": {"data": {
            "base_file": "gone.u8bin", "query_file": "gone.u8bin", "scalar_type": "uint8"}}}
        path = self.jobs(job, search_directories=["data"])
        self.expect_refusal(self.run_file(path), "jobs[0].content.data.base_file", "data",
                            'found no "gone.u8bin"')

    def test_results_that_cannot_be_written_are_found_before_the_first_job(self):
        done = self.bench("run", "--input-file", self.jobs(LONG), "--allow-debug", "--output-file",
                          self.write("file", "") / "results.json")
        self.assertEqual(done.returncode, 1)
        self.assertNotIn("started", done.stderr)

    def test_every_job_file_of_the_tree_is_understood(self):
        files = sorted((pathlib.Path(__file__).parents[1] / "bench" / "job_files").glob("*.json"))
        self.assertGreater(len(files), 10)
        for file in files:
            jobs = json.loads(file.read_text())["jobs"]
            inputs = [job["content"].get("data", {}) for job in jobs]
            for name in {name for data in inputs for field, name in data.items() if field.endswith("_file")}:
                self.write(name, "")
            with self.subTest(file.name):
                done = self.run_file(file, "--dry-run", "--search-directory", self.folder)
                self.assertEqual(done.returncode, 0, done.stderr)
                for job in jobs:
                    self.assertIn(f"{job.get('name', job['type'] + '-1')}: {job['type']}", done.stdout)

    def test_a_dry_run_writes_nothing(self):
        done = self.run_file(self.jobs(SHORT, LONG), "--dry-run")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn('"epoch_guard_slots": 256', done.stdout)
        self.assertEqual([path.name for path in self.folder.iterdir()], ["jobs.json"])


class RunsTest(RunnerTest):
    def test_results_say_what_ran_on_what(self):
        done = self.run_file(self.jobs(SHORT, {**SHORT, "name": "second"}))
        self.assertEqual(done.returncode, 0, done.stderr)
        results = self.read_results()
        self.assertEqual((results["schema"], results["version"]), ("shoal-bench-results", 1))
        self.assertGreaterEqual(set(results["machine"]), {
            "cpu", "cores", "memory_bytes", "kernel", "isa", "commit", "compiler", "build_type",
            "date"})
        self.assertTrue(results["command"].startswith("shoal-bench run --input-file "))
        self.assertEqual([run["name"] for run in results["runs"]], ["store-stress-1", "second"])
        for run in results["runs"]:
            self.assertEqual((run["type"], run["status"]), ("store-stress", "finished"))
            self.assertEqual(run["input"], {**SHORT["content"], "epoch_guard_slots": 256,
                                            "freelist_recycle_capacity": 1024})
            self.assertGreaterEqual(set(run), {"started", "seconds", "others_cores", "stolen",
                                               "warnings"})

    def test_store_stress_counts_as_documented(self):
        done = self.run_file(self.jobs(SHORT))
        self.assertEqual(done.returncode, 0, done.stderr)
        counts = self.read_results()["runs"][0]["results"]
        self.assertEqual(set(counts), {
            "elapsed_secs", "reads", "acquires_ok", "acquires_fail", "retires_ok", "retires_fail",
            "reclaims", "transitions", "peak_live", "torn", "unstable", "resurrected",
            "unaccounted", "epochs"})
        for violation in ("torn", "unstable", "resurrected", "unaccounted"):
            self.assertEqual(counts[violation], 0)
        self.assertGreater(counts["acquires_ok"], 0)
        self.assertLessEqual(counts["peak_live"], 128)

    def interrupt(self, number):
        """Runs a short and a long job, sends the signal in the second; the process's status."""
        command = [BENCH / "shoal-bench", "run", "--input-file", self.jobs(SHORT, LONG),
                   "--output-file", self.results, "--allow-debug"]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
            try:
                for line in process.stderr:
                    if "long] started" in line:
                        break
                process.send_signal(number)
                process.stderr.read()
                return process.wait(timeout=60)
            finally:
                process.kill()

    def test_an_interrupted_run_keeps_the_finished_jobs(self):
        for number, status in [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)]:
            with self.subTest(number=number):
                self.assertEqual(self.interrupt(number), status)
                runs = self.read_results()["runs"]
                self.assertEqual([run["status"] for run in runs], ["finished", "interrupted"])
                self.assertGreater(runs[0]["results"]["reads"], 0)

    def test_a_job_that_fails_does_not_take_the_others_with_it(self):
        self.write("rows.u8bin", "no rows")
        bad = {"type": "index", "content": {"data": {
            "base_file": "rows.u8bin", "query_file": "rows.u8bin", "scalar_type": "uint8"}}}
        done = self.run_file(self.jobs(bad, SHORT, search_directories=["."]))
        self.assertEqual(done.returncode, 1)
        first, second = self.read_results()["runs"]
        self.assertEqual((first["status"], second["status"]), ("failed", "finished"))
        self.assertIn("rows.u8bin", first["error"])


class IndexJobTest(RunnerTest):
    def setUp(self):
        super().setUp()
        self.random = random.Random(5)
        (self.folder / "data").mkdir()
        self.write_rows("data/base.u8bin", 600)
        self.write_rows("data/queries.u8bin", 20)

    def write_rows(self, name, rows, dim=8):
        values = bytes(self.random.randrange(256) for _ in range(rows * dim))
        (self.folder / name).write_bytes(struct.pack("<ii", rows, dim) + values)

    def job(self, scalar_type="uint8", **data):
        return {"type": "index", "content": {
            "data": {"base_file": "base.u8bin", "query_file": "queries.u8bin",
                     "scalar_type": scalar_type, **data},
            "build": {"degree": 16, "list": 30, "threads": [1, 2]},
            "search": {"lists": [10, 100], "threads": [1, 2], "seconds": 0.01, "samples": 3}}}

    def test_zero_vectors_under_cosine_are_named_or_left_out_and_truth_stays_right(self):
        def write_with_zeroes(name, rows, zeroes):
            self.write_rows(name, rows)
            data = bytearray((self.folder / name).read_bytes())
            for row in zeroes:
                data[8 + row * 8:16 + row * 8] = bytes(8)
            (self.folder / name).write_bytes(data)

        write_with_zeroes("data/base.u8bin", 600, [77, 599])
        run = lambda **data: self.run_file(self.jobs(self.job(metric="cosine", **data),
                                                     search_directories=["data"]))
        self.assertIn("base.u8bin: row 77: expected a direction for cosine, found a zero vector "
                      "(2 of 600 are)", self.failed(run()))
        write_with_zeroes("data/queries.u8bin", 20, [0, 3])
        done = run(skip_zero_vectors=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        results = self.read_results()["runs"][0]
        self.assertIn("zero vectors are left out: 2 of 600 rows, 2 of 20 queries",
                      str(results["warnings"]))
        sections = results["results"]
        self.assertEqual(sections["memory"][0]["points"], 598)
        self.assertEqual(sections["curves"][0]["points"][1]["recall"], 1)
        # A truth that ends in a zero vector, and whose first query is one.
        ids = [[599, 77, 598, 597]] * 20
        (self.folder / "data/gt").write_bytes(
            struct.pack("<ii", 20, 4) + struct.pack("<80I", *sum(ids, [])))
        job = self.job(metric="cosine", skip_zero_vectors=True, truth_file="gt")
        job["content"]["search"].update(k=4, lists=[600])
        done = self.run_file(self.jobs(job, search_directories=["data"]))
        self.assertEqual(done.returncode, 0, done.stderr)
        recall = self.read_results()["runs"][0]["results"]["curves"][0]["points"][0]["recall"]
        self.assertLess(recall, 0.5)
        self.write_rows("data/base.u8bin", 600)
        self.assertIn("queries.u8bin: query 0: ", self.failed(run()))

    def failed(self, done):
        self.assertEqual(done.returncode, 1, done.stderr)
        return self.read_results()["runs"][0]["error"]

    def test_sections_are_as_documented(self):
        done = self.run_file(self.jobs(self.job(), self.job("float32", rows=300),
                                       search_directories=["data"]))
        self.assertEqual(done.returncode, 0, done.stderr)
        for run, engine, rows in zip(self.read_results()["runs"], ("shoal-u8", "shoal-f32"),
                                     (600, 300)):
            sections = run["results"]
            self.assertEqual(sections["settings"][engine]["degree"], 16)
            self.assertEqual([build["threads"] for build in sections["builds"]], [1, 2])
            self.assertEqual([curve["threads"] for curve in sections["curves"]], [1, 2])
            self.assertEqual(sections["memory"][0]["points"], rows)
            self.assertGreater(sections["memory"][0]["parts"]["vectors"], 0)
            for curve in sections["curves"]:
                self.assertEqual(curve["engine"], engine)
                self.assertEqual([point["list"] for point in curve["points"]], [10, 100])
                narrow, wide = curve["points"]
                self.assertGreater(wide["recall"], 0.95)
                self.assertGreater(wide["distances"], narrow["distances"])
                self.assertEqual(len(wide["qps"]), 3)
                self.assertLessEqual(wide["p50_us"], wide["p999_us"])

    def test_a_baseline_wants_as_many_rows_as_its_file_has(self):
        content = {"data": {"rows": 601, "queries": 20, "base_file": "base.u8bin",
                            "query_file": "queries.u8bin"},
                   "scalar_types": ["uint8"], "modes": ["stream"],
                   "stream": {"live": 400, "step": 100, "rounds": 2}}
        job = {"type": "baseline", "content": content}
        self.assertEqual(self.run_file(self.jobs(job, search_directories=["data"])).returncode, 1)
        self.assertIn("base.u8bin: rows: expected at least 601, found 600",
                      self.read_results()["runs"][0]["error"])
        content["data"]["rows"] = 600
        done = self.run_file(self.jobs(job, search_directories=["data"]))
        self.assertEqual(done.returncode, 0, done.stderr)
        content["stream"]["rounds"] = 3
        self.results.unlink()
        self.expect_refusal(self.run_file(self.jobs(job, search_directories=["data"])),
                            "jobs[0].content.stream.live", "found 700")

    def test_a_baseline_refuses_numbers_that_make_it_depend_on_the_machine(self):
        values = [float(self.random.randrange(256)) for _ in range(600 * 8)]
        values[8 * 7 + 3] = 0.25
        (self.folder / "data/base.fbin").write_bytes(struct.pack(f"<ii{len(values)}f", 600, 8, *values))
        content = {"data": {"rows": 600, "queries": 20, "base_file": "base.fbin",
                            "query_file": "queries.u8bin"},
                   "scalar_types": ["float32"], "modes": ["insert"],
                   "stream": {"live": 400, "step": 100, "rounds": 2}}
        done = self.run_file(self.jobs({"type": "baseline", "content": content},
                                       search_directories=["data"]))
        self.assertEqual(done.returncode, 1)
        self.assertRegex(self.read_results()["runs"][0]["error"],
                         r"base\.fbin: row 7, column 3: expected an integer, found 0\.25$")

    def test_inputs_that_do_not_belong_together_are_refused(self):
        self.write_rows("data/other.u8bin", 20, dim=9)
        done = self.run_file(self.jobs(self.job(query_file="other.u8bin"),
                                       search_directories=["data"]))
        self.assertEqual(done.returncode, 1)
        self.assertIn("other.u8bin: dimension: expected 8",
                      self.read_results()["runs"][0]["error"])


class CheckTest(RunnerTest):
    def setUp(self):
        super().setUp()
        self.jobs(SHORT)
        self.before = {"schema": "shoal-bench-results", "version": 1, "runs": [
            {"type": "store-stress", "input": SHORT["content"], "status": "finished",
             "results": {"reads": 100, "torn": 0}}]}

    def check(self, after, tolerance, **inputs):
        self.write("before.json", self.before)
        self.write("after.json", after)
        self.write("tolerances.json", {"checks": [
            {"input": {"type": "store-stress", **inputs}, "tolerance": tolerance}]})
        return self.bench("check", "run", "--tolerances", "tolerances.json", "--input-file",
                          "jobs.json", "--before", "before.json", "--after", "after.json",
                          "--output-file", "verdicts.json")

    def after(self, **results):
        changed = json.loads(json.dumps(self.before))
        changed["runs"][0]["results"].update(results)
        return changed

    def verdict(self):
        return json.loads((self.folder / "verdicts.json").read_text())["checks"][0]["status"]

    def test_an_empty_tolerance_means_exact(self):
        done = self.check(self.after(), {"type": "empty-tolerance", "content": {}})
        self.assertEqual((done.returncode, self.verdict()), (0, "PASS"), done.stderr)
        done = self.check(self.after(reads=101), {"type": "empty-tolerance"})
        self.assertEqual((done.returncode, self.verdict()), (1, "FAIL"))
        self.assertRegex(done.stdout, r"store-stress reads +100 +101 +\+1 %")

    def test_fields_may_differ_as_their_rules_allow(self):
        rule = {"type": "field-tolerance", "content": {"fields": [
            {"field": "reads", "relative": 0.05, "better": "higher"}]}}
        for results, status in [({"reads": 96}, 0), ({"reads": 500}, 0), ({"reads": 94}, 1),
                                ({"torn": 1}, 1)]:
            self.assertEqual(self.check(self.after(**results), rule).returncode, status, results)

    def test_what_cannot_be_compared_is_an_error(self):
        for change in ({"status": "interrupted"}, {"type": "index"}, {"input": {"readers": 9}}):
            after = self.after()
            after["runs"][0].update(change)
            done = self.check(after, {"type": "empty-tolerance"})
            self.assertEqual((done.returncode, self.verdict()), (1, "ERROR"), change)
            self.assertIn("after.json: runs[0].", done.stdout)
        done = self.check({**self.after(), "version": 2}, {"type": "empty-tolerance"})
        self.assertEqual(done.returncode, 1)
        self.assertIn("after.json: version: expected an integer in [1, 1], found 2", done.stderr)

    def test_a_job_without_a_check_is_found_by_verify(self):
        self.check(self.after(), {"type": "empty-tolerance"}, content={"readers": 7})
        done = self.bench("check", "verify", "--tolerances", "tolerances.json", "--input-file",
                          "jobs.json")
        self.assertEqual(done.returncode, 1)
        self.assertIn("jobs[0]: expected a check for it, found none", done.stderr)

    def test_every_kind_of_tolerance_is_listed_and_its_example_is_understood(self):
        for line in self.bench("check", "tolerances").stdout.splitlines():
            example = json.loads(self.bench("check", "tolerances", line.split()[0]).stdout)
            self.assertNotEqual(self.check(self.after(), example).returncode, 2)
            self.assertEqual(self.verdict(), "PASS")
        self.assertEqual(json.loads(self.bench("check", "skeleton").stdout), {"checks": []})


if __name__ == "__main__":
    BENCH = pathlib.Path(sys.argv.pop(1)).resolve()
    unittest.main()
