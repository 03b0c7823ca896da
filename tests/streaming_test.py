#!/usr/bin/env python3
"""The streaming programs from end to end, and the two shell sessions that DiskANN's documentation of
its dynamic index gives, as written there but for the path of the programs and the data files.

  streaming_test.py APPS_DIRECTORY [unittest arguments]

The sessions need the shared SIFT set (SHOAL_DATA, or ../shared/data beside the source tree); where it
is not there they run on generated data of the same shape, a tenth of the size.
"""

import array
import os
import pathlib
import random
import re
import struct
import subprocess
import sys
import tempfile
import unittest

APPS = pathlib.Path()

SESSION_1 = """
type='float'
data='data/sift/sift_learn.fbin'
query='data/sift/sift_query.fbin'
index_prefix='data/sift/index'
result='data/sift/res'
deletes=25000
inserts=75000
deletes_after=50000
pts_per_checkpoint=10000
begin=0
thr=64
index=${index_prefix}.after-concurrent-delete-del${deletes}-${inserts}
gt_file=data/sift/gt100_learn-conc-${deletes}-${inserts}
APPS/test_insert_deletes_consolidate --data_type ${type} --dist_fn l2 --data_path ${data} --index_path_prefix ${index_prefix} -R 64 -L 300 --alpha 1.2 -T ${thr} --points_to_skip 0 --max_points_to_insert ${inserts} --beginning_index_size ${begin} --points_per_checkpoint ${pts_per_checkpoint} --checkpoints_per_snapshot 0 --points_to_delete_from_beginning ${deletes} --start_deletes_after ${deletes_after} --do_concurrent true;
APPS/utils/compute_groundtruth --data_type ${type} --dist_fn l2 --base_file ${index}.data --query_file ${query} --K 100 --gt_file ${gt_file} --tags_file ${index}.tags
APPS/search_memory_index --data_type ${type} --dist_fn l2 --index_path_prefix ${index} --result_path ${result} --query_file ${query} --gt_file ${gt_file} -K 10 -L 20 40 60 80 100 -T ${thr} --dynamic true --tags 1
"""

SESSION_2 = """
type='float'
data='data/sift/sift_learn.fbin'
query='data/sift/sift_query.fbin'
index_prefix='data/sift/idx_learn_str'
result='data/sift/res'
ins_thr=16
cons_thr=16
inserts=100000
active=20000
cons_int=10000
index=${index_prefix}.after-streaming-act${active}-cons${cons_int}-max${inserts}
gt=data/sift/gt100_learn-act${active}-cons${cons_int}-max${inserts}
APPS/test_streaming_scenario --data_type ${type} --dist_fn l2 --data_path ${data} --index_path_prefix ${index_prefix} -R 64 -L 600 --alpha 1.2 --insert_threads ${ins_thr} --consolidate_threads ${cons_thr} --max_points_to_insert ${inserts} --active_window ${active} --consolidate_interval ${cons_int} --start_point_norm 508;
APPS/utils/compute_groundtruth --data_type ${type} --dist_fn l2 --base_file ${index}.data --query_file ${query} --K 100 --gt_file ${gt} --tags_file ${index}.tags
APPS/search_memory_index --data_type ${type} --dist_fn l2 --index_path_prefix ${index} --result_path ${result} --query_file ${query} --gt_file ${gt} -K 10 -L 20 40 60 80 100 -T 64 --dynamic true --tags 1
"""

# recall@10 in percent that DiskANN's own programs reached in these sessions, by L.
DISKANN_1 = {10: 94.1, 20: 98.6, 40: 99.8, 100: 99.99}
DISKANN_2 = {10: 94.4, 20: 98.7, 40: 99.8, 100: 100.0}
TOLERANCE = 0.3


def shared_data():
    source = pathlib.Path(__file__).resolve().parent.parent
    folder = pathlib.Path(os.environ.get("SHOAL_DATA", source.parent / "shared" / "data"))
    return folder if (folder / "sift-1m.u8bin").exists() else None


def fbin(rows, dim, values):
    return struct.pack("<ii", rows, dim) + array.array("f", list(values)).tobytes()


def write_sift(folder, rows):
    """The first rows of the shared set, and its queries, as floats."""
    data = shared_data()
    with open(data / "sift-1m.u8bin", "rb") as file:
        _, dim = struct.unpack("<ii", file.read(8))
        (folder / "sift_learn.fbin").write_bytes(fbin(rows, dim, file.read(rows * dim)))
    with open(data / "sift-query-1k.u8bin", "rb") as file:
        queries, dim = struct.unpack("<ii", file.read(8))
        (folder / "sift_query.fbin").write_bytes(fbin(queries, dim, file.read()))


def write_generated(folder, rows, dim=32, queries=100, seed=5):
    """Points on a sheet: two hidden coordinates, bent into `dim`, so that neighbours mean something."""
    rng = random.Random(seed)
    angles = [(rng.random(), rng.random()) for _ in range(dim)]

    def row():
        x, y = rng.random(), rng.random()
        return [100 * (a * x + b * y) + rng.random() for a, b in angles]

    for name, count in (("sift_learn.fbin", rows), ("sift_query.fbin", queries)):
        values = [value for _ in range(count) for value in row()]
        (folder / name).write_bytes(fbin(count, dim, values))


def read_tags(path):
    data = pathlib.Path(path).read_bytes()
    rows, columns = struct.unpack("<ii", data[:8])
    assert columns == 1 and len(data) == 8 + 4 * rows, path
    return list(array.array("I", data[8:]))


class Case(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="shoal-streaming-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.data = self.folder / "data" / "sift"
        self.data.mkdir(parents=True)

    def run_program(self, program, *arguments):
        return subprocess.run([APPS / program, *map(str, arguments)], cwd=self.folder,
                              capture_output=True, text=True, timeout=900)

    def good(self, program, *arguments):
        done = self.run_program(program, *arguments)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def bad(self, expected, program, *arguments):
        """One line, exit status 1, nothing written."""
        before = sorted(self.data.iterdir())
        done = self.run_program(program, *arguments)
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertIn(expected, done.stderr)
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        self.assertEqual(sorted(self.data.iterdir()), before)


class SessionsOfTheDocumentation(Case):
    def session(self, script, recalls):
        """Runs a session and a search at L = 10 beside it; recall by L."""
        if shared_data():
            write_sift(self.data, 100000)
        else:
            write_generated(self.data, 10000)
            script = re.sub(r"\b(\d+)0000?\b(?=\n)", lambda m: m[0][:-1], script)
            recalls = {10: 85, 20: 90, 40: 95, 100: 98}
        script = script.replace("APPS", str(APPS)).replace("-L 20 40", "-L 10 20 40")
        done = subprocess.run(["bash", "-euo", "pipefail", "-c", script], cwd=self.folder,
                              capture_output=True, text=True, timeout=900)
        self.assertEqual(done.returncode, 0, done.stderr)
        found = {int(line.split()[0]): float(line.split()[-1])
                 for line in done.stdout.splitlines() if re.match(r"\s+\d+\s+[\d.]+\s", line)}
        for size, recall in recalls.items():
            self.assertGreaterEqual(found[size], recall - TOLERANCE, f"L = {size}: {found}")
        return done.stdout

    def test_inserts_while_deletes_are_consolidated(self):
        out = self.session(SESSION_1, DISKANN_1)
        (graph,) = self.data.glob("index.after-concurrent-delete-del*0-*0")
        deletes, inserts = map(int, re.search(r"del(\d+)-(\d+)$", graph.name).groups())
        tags = read_tags(f"{graph}.tags")
        self.assertEqual(sorted(tags), [0, *range(deletes + 1, inserts + 1)])
        self.assertIn(f"deletes processed: {deletes}", out)
        (meanwhile,) = re.findall(r"points inserted meanwhile: (\d+)", out)
        self.assertGreater(int(meanwhile), 0, out)

    def test_a_window_slides(self):
        out = self.session(SESSION_2, DISKANN_2)
        meanwhile = [int(n) for n in re.findall(r"points inserted meanwhile: (\d+)", out)]
        self.assertEqual(len(meanwhile), 7, out)  # The last one has nothing beside it.
        self.assertGreater(sum(meanwhile), 0, out)
        (graph,) = self.data.glob("idx_learn_str.after-streaming-*0")
        active, interval, last = map(int, re.search(r"act(\d+)-cons(\d+)-max(\d+)$",
                                                    graph.name).groups())
        tags = read_tags(f"{graph}.tags")
        self.assertEqual(sorted(tags), [0, *range(last - active - interval + 1, last + 1)])


class Flags(Case):
    def setUp(self):
        super().setUp()
        write_generated(self.data, 1200, dim=8)
        self.common = ["--data_type", "float", "--dist_fn", "l2", "--index_path_prefix",
                       "data/sift/x", "-R", 16, "-L", 30, "-T", 2]
        self.updates = [*self.common, "--points_to_skip", 0, "--beginning_index_size", 200,
                        "--points_per_checkpoint", 100, "--checkpoints_per_snapshot", 0,
                        "--points_to_delete_from_beginning", 300]
        self.file = ["--data_path", "data/sift/sift_learn.fbin"]
        self.window = [*self.common[:-2], "--active_window", 400, "--consolidate_interval", 150]

    def tags_of(self, name):
        return sorted(read_tags(self.data / f"{name}.tags"))

    def test_one_after_the_other_is_the_default(self):
        self.good("test_insert_deletes_consolidate", *self.updates, *self.file)
        self.assertEqual(self.tags_of("x.after-delete-del300-1200"), [0, *range(301, 1201)])

    def test_the_data_may_be_named_as_the_text_of_the_documentation_names_it(self):
        self.good("test_insert_deletes_consolidate", *self.updates, "--data_file", self.file[1])
        self.good("test_streaming_scenario", *self.window, "--data_file", self.file[1])

    def test_skipped_rows_keep_their_tags_and_are_in_the_name(self):
        arguments = self.updates.copy()
        arguments[arguments.index("--points_to_skip") + 1] = 50
        self.good("test_insert_deletes_consolidate", *arguments, *self.file,
                  "--max_points_to_insert", 1000)
        self.assertEqual(self.tags_of("x.after-delete-skip50-del300-1050"),
                         [0, *range(351, 1051)])

    def test_snapshots_are_whole_indices_in_both_modes(self):
        arguments = self.updates.copy()
        arguments[arguments.index("--checkpoints_per_snapshot") + 1] = 4
        for mode in ("false", "true"):
            self.good("test_insert_deletes_consolidate", *arguments, *self.file,
                      "--do_concurrent", mode, "--start_deletes_after", 1200)
            for end in (600, 1000):
                name = f"x.inc-del300-{end}"
                self.assertEqual(self.tags_of(name), [0, *range(1, end + 1)])
                out = self.good("search_memory_index", "--data_type", "float", "--dist_fn", "l2",
                                "--index_path_prefix", f"data/sift/{name}", "--result_path",
                                "data/sift/r", "--query_file", "data/sift/sift_query.fbin", "-K", 5,
                                "-L", 20, "--dynamic", "true", "--tags", "true")
                self.assertIn(f"{end} points", out)

    def test_snapshots_one_after_the_other_are_of_deletes_too(self):
        arguments = self.updates.copy()
        arguments[arguments.index("--checkpoints_per_snapshot") + 1] = 6
        self.good("test_insert_deletes_consolidate", *arguments, *self.file)
        # Ten batches of inserts and then three of deletes: the 6th and the 12th.
        self.assertEqual(self.tags_of("x.inc-del300-800"), [0, *range(1, 801)])
        self.assertEqual(self.tags_of("x.inc-del300-1200-deleted200"), [0, *range(201, 1201)])
        self.assertEqual(len(list(self.data.glob("x.inc-*.tags"))), 2)

    def test_snapshots_beside_deletes_have_every_point_that_stays(self):
        arguments = self.updates.copy()
        arguments[arguments.index("--checkpoints_per_snapshot") + 1] = 1
        self.good("test_insert_deletes_consolidate", *arguments, *self.file, "--do_concurrent",
                  "true", "--start_deletes_after", 400)
        for end in range(300, 1201, 100):
            tags = self.tags_of(f"x.inc-del300-{end}")
            self.assertEqual([tag for tag in tags if tag > 300], list(range(301, end + 1)))
            self.assertEqual(tags, sorted(set(tags)))
            if end <= 400:
                self.assertEqual(tags, list(range(0, end + 1)), "before the deletes begin")
        self.assertEqual(self.tags_of("x.after-concurrent-delete-del300-1200"),
                         [0, *range(301, 1201)])

    def test_the_distance_is_honoured(self):
        arguments = [("mips" if a == "l2" else a) for a in self.updates]
        self.good("test_insert_deletes_consolidate", *arguments, *self.file)
        name = "data/sift/x.after-delete-del300-1200"
        self.good("utils/compute_groundtruth", "--data_type", "float", "--dist_fn", "mips",
                  "--base_file", f"{name}.data", "--query_file", "data/sift/sift_query.fbin", "--K",
                  10, "--gt_file", "data/sift/gt", "--tags_file", f"{name}.tags")
        self.good("search_memory_index", "--data_type", "float", "--dist_fn", "mips",
                  "--index_path_prefix", name, "--result_path", "data/sift/r", "--query_file",
                  "data/sift/sift_query.fbin", "--gt_file", "data/sift/gt", "-K", 10, "-L", 60,
                  "--dynamic", "true", "--tags", "true", "--fail_if_recall_below", 90)

    def test_a_start_point_norm_that_no_integer_holds_makes_no_start_point(self):
        """DiskANN casts random numbers of that norm: undefined, and in fact the zero vector."""
        rng = random.Random(3)
        for kind, low, high in (("int8", -128, 127), ("uint8", 0, 255)):
            rows = [bytes(rng.randint(low, high) & 255 for _ in range(8)) for _ in range(600)]
            (self.data / "rows.bin").write_bytes(struct.pack("<ii", 600, 8) + b"".join(rows))
            flags = ["--data_type", kind, "--data_path", "data/sift/rows.bin",
                     "--start_point_norm", 508]
            updates = self.updates[2:]
            updates[updates.index("--beginning_index_size") + 1] = 0
            self.good("test_insert_deletes_consolidate", *updates, *flags)
            self.good("test_streaming_scenario", *self.window[2:], *flags)
            graphs = [f[:-5] for f in map(str, self.data.glob("x.after-*.data"))]
            self.assertEqual(len(graphs), 2)
            for graph in graphs:
                data = pathlib.Path(f"{graph}.data").read_bytes()
                at = 8 + 8 * read_tags(f"{graph}.tags").index(0)
                self.assertIn(data[at:at + 8], rows)
                pathlib.Path(f"{graph}.data").unlink()

    def test_the_rest_of_the_file_comes_in_though_it_fills_no_interval(self):
        self.good("test_streaming_scenario", *self.window, *self.file)
        tags = self.tags_of("x.after-streaming-act400-cons150-max1200")
        self.assertEqual(tags, [0, *range(1200 - 400 - 150 + 1, 1201)])

    def test_what_cannot_be_done_is_said_before_the_work(self):
        program = "test_insert_deletes_consolidate"
        self.bad("--data_path", program, *self.updates)
        self.bad("--start_deletes_after: expected at most 1200 points, found 5000", program,
                 *self.updates, *self.file, "--do_concurrent", "true", "--start_deletes_after",
                 5000)
        self.bad("rows: expected 9000 from row 0 on, found 1200", program, *self.updates,
                 *self.file, "--max_points_to_insert", 9000)
        self.bad("--data_type: expected float, int8, uint8 or bit", program, "--data_type", "float16",
                 *self.updates[2:], *self.file)
        all_of_them = [(1200 if a == 300 else a) for a in self.updates]
        self.bad("expected less than all 1200 points", program, *all_of_them, *self.file)
        for flag in ("--start_point_norm", "--num_start_points"):
            self.bad(f"{flag}: expected a number, found 'bananas'", program, *self.updates,
                     *self.file, flag, "bananas")
        self.bad("labels.txt: expected a text file", program, *self.updates, *self.file, "--label_file",
                 "labels.txt")
        self.bad("--label_file: expected a file", program, *self.updates, *self.file, "--universal_label", "0")
        self.bad("--max_points_to_insert: expected at least active_window + consolidate_interval",
                 "test_streaming_scenario", *self.window, *self.file, "--max_points_to_insert", 500)
        window = [(0 if a == 150 else a) for a in self.window]
        self.bad("--consolidate_interval: expected at least 1", "test_streaming_scenario", *window,
                 *self.file)


class CrossLoading(Case):
    """tests/cross_load.py, with our own programs in the place of DiskANN's: the flags are the same."""

    def cross(self, *arguments):
        script = pathlib.Path(__file__).resolve().parent / "cross_load.py"
        rng = random.Random(3)
        for name, rows in (("base", 1600), ("queries", 50)):
            values = bytes(rng.randrange(256) for _ in range(rows * 8))
            (self.folder / name).write_bytes(struct.pack("<ii", rows, 8) + values)
        return subprocess.run(
            [sys.executable, "-B", script, "--programs", APPS, "--base", self.folder / "base",
             "--queries", self.folder / "queries", "--rows", "1600", *map(str, arguments)],
            capture_output=True, text=True, timeout=300)

    def test_the_same_files_have_the_same_recall_for_both(self):
        done = self.cross("--diskann", APPS, "--tolerance", 0)
        self.assertEqual(done.returncode, 0, done.stderr)
        rows = [line.split("|") for line in done.stdout.splitlines()[2:]]
        self.assertEqual(len(rows), 4 * 9, done.stdout)
        for first, second in zip(rows[::2], rows[1::2]):
            self.assertEqual(first[4:], second[4:])
        self.assertIn("1200 points", rows[0][1])
        self.assertGreater(float(rows[0][-2]), 99)

    def test_a_difference_and_a_missing_program_are_told(self):
        done = self.cross("--diskann", APPS, "--tolerance", -1, "--scenarios", "streaming")
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, "cross_load: streaming: L = 10: .*expected .*found ")
        done = self.cross("--diskann", self.folder)
        self.assertEqual(done.returncode, 1)
        self.assertIn("No such file", done.stderr)
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)


if __name__ == "__main__":
    APPS = pathlib.Path(sys.argv.pop(1)).resolve()
    unittest.main()
