#!/usr/bin/env python3
"""The programs with labels: the filter commands of DiskANN's CI, with its names, flags and limits.

  labels_cli_test.py APPS_DIRECTORY [unittest arguments]
"""

import array
import pathlib
import struct
import subprocess
import sys
import tempfile
import unittest

APPS = pathlib.Path()
BASE, QUERIES = "rand_uint8_10D_10K_norm50.0.bin", "rand_uint8_10D_1K_norm50.0.bin"


class LabelPrograms(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.data = pathlib.Path(cls.folder.name)
        cls.run_line(f"utils/rand_data_gen --data_type uint8 --output_file {BASE} -D 10 -N 10000 --norm 50")
        cls.run_line(f"utils/rand_data_gen --data_type uint8 --output_file {QUERIES} -D 10 -N 1000 --norm 50 --seed 2")
        for name, labels, points, kind in (("rand_labels_50_10K", 50, 10000, "random"),
                                           ("zipf_labels_50_10K", 50, 10000, "zipf"),
                                           ("query_labels_1K", 10, 1000, "one_per_point")):
            cls.run_line(f"utils/generate_synthetic_labels --num_labels {labels} --num_points {points} "
                         f"--output_file {name}.txt --distribution_type {kind}")

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    @classmethod
    def try_line(cls, line):
        program, *arguments = line.split()
        return subprocess.run([APPS / program, *arguments], cwd=cls.data, capture_output=True,
                              text=True, timeout=300)

    @classmethod
    def run_line(cls, line):
        done = cls.try_line(line)
        assert done.returncode == 0, line + "\n" + done.stdout + done.stderr
        return done.stdout

    def truth(self, metric, labels, flags, out):
        self.run_line(f"utils/compute_groundtruth_for_filters --data_type uint8 --dist_fn {metric} {flags} "
                      f"--base_file {BASE} --query_file {QUERIES} --label_file {labels}.txt "
                      f"--gt_file {out} --K 100")

    def build(self, metric, labels, flags, out):
        self.run_line(f"build_memory_index --data_type uint8 --dist_fn {metric} --FilteredLbuild 90 {flags} "
                      f"--data_path {BASE} --label_file {labels}.txt --index_path_prefix {out}")

    def search(self, metric, flags, index, truth):
        return self.run_line(
            f"search_memory_index --data_type uint8 --dist_fn {metric} {flags} --fail_if_recall_below 95 "
            f"--index_path_prefix {index} --query_file {QUERIES} --recall_at 10 --result_path temp "
            f"--gt_file {truth} -L 16 32")

    def labels_of(self, name):
        return [set(line.split(",")) for line in (self.data / f"{name}.txt").read_text().splitlines()]

    def results(self):
        data = (self.data / "temp_32_idx_uint32.bin").read_bytes()
        n, k = struct.unpack("<ii", data[:8])
        ids = array.array("I", data[8:])
        return [list(ids[i * k:(i + 1) * k]) for i in range(n)]

    def truth_ids(self, name):
        data = (self.data / name).read_bytes()
        n, k = struct.unpack("<ii", data[:8])
        ids = array.array("I", data[8:8 + 4 * n * k])
        return [list(ids[i * k:(i + 1) * k]) for i in range(n)]

    def test_filter_commands_of_diskanns_ci(self):
        for labels, label, metrics in (("rand_labels_50_10K", "10", ("l2", "cosine")),
                                       ("zipf_labels_50_10K", "5", ("l2", "cosine"))):
            sets = self.labels_of(labels)
            for metric in metrics:
                flags = f"--universal_label 0 --filter_label {label}"
                self.truth(metric, labels, flags, "truth")
                self.build(metric, labels, "--universal_label 0", "index")
                self.search(metric, f"--filter_label {label}", "index", "truth")
                for ids in self.results():
                    self.assertTrue(all(sets[i] & {label, "0"} for i in ids))
                self.run_line(f"utils/compute_groundtruth --data_type uint8 --dist_fn {metric} "
                              f"--base_file {BASE} --query_file {QUERIES} --gt_file all --K 100")
                self.search(metric, "", "index", "all")

    def test_without_a_universal_label(self):
        labels = "zipf_labels_50_10K"
        sets = self.labels_of(labels)
        self.truth("l2", labels, "--filter_label 5", "truth_own")
        self.build("l2", labels, "", "own")
        self.search("l2", "--filter_label 5", "own", "truth_own")
        for ids in self.results():
            self.assertTrue(all("5" in sets[i] for i in ids))

    def test_a_label_for_each_query(self):
        labels = "zipf_labels_50_10K"
        sets = self.labels_of(labels)
        self.truth("l2", labels, "--universal_label 0 --filter_label_file query_labels_1K.txt", "combined")
        self.build("l2", labels, "--universal_label 0", "each")
        self.search("l2", "--query_filters_file query_labels_1K.txt", "each", "combined")
        for query, ids in zip(self.labels_of("query_labels_1K"), self.results()):
            self.assertTrue(all(sets[i] & (query | {"0"}) for i in ids))

    def test_tags_are_the_ids_of_a_truth_and_tag_0_is_left_out(self):
        labels, flags = "zipf_labels_50_10K", "--filter_label 5"
        self.truth("l2", labels, flags, "truth_rows")
        tags = [0 if row % 3 == 0 else 20000 + row for row in range(10000)]
        (self.data / "tags").write_bytes(struct.pack("<ii10000I", 10000, 1, *tags))
        self.truth("l2", labels, flags + " --tags_file tags", "truth_tags")
        rows, named = self.truth_ids("truth_rows"), self.truth_ids("truth_tags")
        self.assertTrue(any(i % 3 == 0 for ids in rows for i in ids))
        sets = self.labels_of(labels)
        for ids, own in zip(rows, named):
            kept = [20000 + i for i in ids if i % 3]
            self.assertEqual(own[:len(kept)], kept)
            self.assertTrue(all("5" in sets[i - 20000] for i in own))

    def test_files_of_an_index_are_diskanns(self):
        self.build("l2", "rand_labels_50_10K", "--universal_label 0", "files")
        words = {}
        for line in (self.data / "files_labels_map.txt").read_text().splitlines():
            word, number = line.split("\t")
            words[word] = number
        self.assertEqual(words["0"], "0")
        self.assertEqual((self.data / "files_universal_label.txt").read_text().strip(), "0")
        written = self.labels_of("files_labels")
        self.assertEqual(written, [{words[w] for w in s} for s in self.labels_of("rand_labels_50_10K")])
        self.run_line(f"build_memory_index --data_type uint8 --dist_fn l2 --data_path {BASE} "
                      "--index_path_prefix files")
        self.assertFalse((self.data / "files_labels.txt").exists())

    def test_points_that_come_and_go_keep_their_labels(self):
        sets = self.labels_of("rand_labels_50_10K")
        flags = (f"--data_type uint8 --dist_fn l2 --data_path {BASE} --label_file rand_labels_50_10K.txt "
                 "--universal_label 0 --FilteredLbuild 90 --unique_labels_supported 51 --max_points_to_insert 3000")
        streams = {
            "s.after-streaming-act1000-cons500-max3000": (
                f"test_streaming_scenario {flags} --index_path_prefix s --active_window 1000 "
                "--consolidate_interval 500 --start_point_norm 508", range(1501, 3001)),
            "d.after-delete-del500-3000": (
                f"test_insert_deletes_consolidate {flags} --index_path_prefix d --points_to_skip 0 "
                "--beginning_index_size 0 --points_per_checkpoint 1000 --checkpoints_per_snapshot 0 "
                "--points_to_delete_from_beginning 500", range(501, 3001))}
        base = (self.data / BASE).read_bytes()[8:]
        query = (self.data / QUERIES).read_bytes()[8:18]
        for index, (line, live) in streams.items():
            self.run_line(line)
            tags = [t for t in array.array("I", (self.data / f"{index}.tags").read_bytes()[8:]) if t]
            self.assertEqual(sorted(tags), list(live))
            words = dict(line.split("\t")[::-1] for line in
                         (self.data / f"{index}_labels_map.txt").read_text().splitlines())
            self.assertEqual([{words[n] for n in s} for s in self.labels_of(f"{index}_labels")],
                             [sets[tag - 1] for tag in tags])
            self.run_line(f"search_memory_index --data_type uint8 --dist_fn l2 --filter_label 10 --dynamic true "
                          f"--tags 1 --index_path_prefix {index} --query_file {QUERIES} --recall_at 10 "
                          "--result_path temp -L 16 32")
            found = self.results()
            self.assertTrue(all(sets[tag - 1] & {"10", "0"} for hits in found for tag in hits))
            near = sorted((sum((a - b) ** 2 for a, b in zip(base[10 * tag - 10:10 * tag], query)), tag)
                          for tag in live if sets[tag - 1] & {"10", "0"})[:10]
            self.assertGreaterEqual(len(set(found[0]) & {tag for _, tag in near}), 8)

    def test_statistics(self):
        out = self.run_line("utils/stats_label_data --labels_file zipf_labels_50_10K.txt --universal_label 0 "
                            "--density 2")
        sets = self.labels_of("zipf_labels_50_10K")
        ones = sum("1" in s for s in sets)
        self.assertIn(f"Most common label \t1 with count={ones}\n", out)
        self.assertIn("Total number of points = 10000, number of labels = 51\n", out)
        self.assertIn(f"labels = {sum(len(s) >= 2 for s in sets) / 10000}\n", out)

    def test_mistakes_are_one_line(self):
        def bad(text, line):
            done = self.try_line(line)
            self.assertEqual(done.returncode, 1, line)
            self.assertIn(text, done.stderr)
            self.assertEqual(done.stderr.count("\n"), 1)
        build = (f"build_memory_index --data_type uint8 --dist_fn l2 --data_path {BASE} "
                 "--index_path_prefix bad --label_file ")
        bad("lines: expected one a point, 10000, found 1000", build + "query_labels_1K.txt")
        bad("nothing.txt: expected a text file", build + "nothing.txt")
        (self.data / "gap.txt").write_text("1\n" * 5000 + "\n" + "2\n" * 4999)
        bad("gap.txt: line 5001: expected a label, found ''", build + "gap.txt")
        self.build("l2", "rand_labels_50_10K", "", "bad")
        search = (f"search_memory_index --data_type uint8 --dist_fn l2 --index_path_prefix bad --query_file {QUERIES} "
                  "--recall_at 10 --result_path temp -L 16 ")
        bad("--filter_label: expected a label of the index, found 'x'", search + "--filter_label x")
        bad("expected it or --query_filters_file", search + "--filter_label 1 --query_filters_file gap.txt")
        (self.data / "two.txt").write_text("1\n2\n")
        bad("two.txt: lines: expected 1, or one a query, 1000, found 2",
            search + "--query_filters_file two.txt")


if __name__ == "__main__":
    APPS = pathlib.Path(sys.argv.pop(1)).resolve()
    unittest.main()
