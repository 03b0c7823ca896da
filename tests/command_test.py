#!/usr/bin/env python3
"""The command `shoal`: each verb, its formats, errors and exit statuses.

usage: command_test.py PROGRAM
"""
import json
import os
import pathlib
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest

PROGRAM = None
VERBS = ["create", "insert", "upsert", "delete", "refine", "pack", "search", "get", "ids", "count", "bench", "stat",
         "verify", "backup", "compact", "dump", "load", "import", "export", "completion"]
COLORS = {1: [255, 0, 0], 2: [255, 165, 0], 3: [0, 0, 255], 2**64 - 1: [255, 127, 80]}


class Command(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="shoal-command-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.file = self.folder / "colors.shoal"

    def run_it(self, *arguments, stdin="", status=0, stderr=None):
        done = subprocess.run([PROGRAM, *map(str, arguments)], input=stdin, capture_output=True, text=True,
                              cwd=self.folder, timeout=120, check=False)
        self.assertEqual(done.returncode, status, done)
        if stderr is None:
            self.assertEqual(done.stderr, "")
        else:
            self.assertRegex(done.stderr, stderr)
        return done.stdout

    def make(self, **colors):
        self.run_it("create", self.file, "--dim", 3, *[f"--{k}={v}" for k, v in colors.items()])
        lines = "".join(json.dumps({"id": i, "vector": v}) + "\n" for i, v in COLORS.items())
        self.run_it("insert", self.file, stdin=lines)

    def answers(self, *arguments, **options):
        return [json.loads(line) for line in self.run_it("search", self.file, *arguments, **options).splitlines()]

    def test_each_verb_s_help_shows_an_example(self):
        listed = self.run_it("--help")
        for verb in VERBS:
            self.assertIn(f"  {verb} ", listed)
            self.assertRegex(self.run_it(verb, "--help"), f"Example:\n *.*shoal {verb} ")
        self.assertRegex(self.run_it("--version"), r"^\d+\.\d+\.\d+\n$")

    def test_wrong_usage_is_status_2(self):
        for arguments in ((), ("no-such-verb",), ("create", "x"), ("create", "x", "--dim", "many"), ("get",),
                          ("search", "x", "--no-such-option")):
            self.run_it(*arguments, status=2, stderr="^shoal: .*\n$")

    def test_points_come_are_found_and_go(self):
        self.make()
        self.assertEqual(self.run_it("count", self.file), "4\n")
        self.assertEqual(sorted(map(int, self.run_it("ids", self.file).split())), sorted(COLORS))
        answer, = self.answers("255,127,80", "-k", 2)
        self.assertEqual(answer["ids"], [2**64 - 1, 2])
        self.assertEqual(answer["distances"], [0, 38**2 + 80**2])
        self.assertEqual(json.loads(self.run_it("get", self.file, 2)), {"id": 2, "vector": COLORS[2]})
        self.run_it("upsert", self.file, stdin='{"id": 2, "vector": [9, 9, 9]}')
        self.assertEqual(json.loads(self.run_it("get", self.file, 2))["vector"], [9, 9, 9])
        self.run_it("delete", self.file, 2, 3)
        self.run_it("delete", self.file, 3, status=1, stderr="^shoal: id 3: not there\n$")
        self.run_it("delete", self.file, "--missing=ignore", stdin="3\n1\n")
        self.assertEqual(self.run_it("ids", self.file), f"{2**64 - 1}\n")
        self.run_it("get", self.file, 1, status=1, stderr="^shoal: id 1: not there\n$")

    def test_a_search_takes_many_queries_and_writes_three_formats(self):
        self.make()
        answers = self.answers("-k", 1, stdin="[0, 0, 250]\n\n{\"vector\": [255, 0, 1]}\n")
        self.assertEqual([a["ids"] for a in answers], [[3], [1]])
        self.assertEqual([a["query"] for a in answers], [0, 1])
        (self.folder / "queries.csv").write_text("r,g,b\n0,0,250\n255,0,1\n")
        csv = self.run_it("search", self.file, "--queries", "queries.csv", "-k", 1, "--format", "csv")
        self.assertEqual(csv, "query,id,distance\n0,3,25\n1,1,1\n")
        text = self.run_it("search", self.file, "[0,0,250]", "--format=text", "-k", 1)
        self.assertEqual(text.split(), ["0", "3", "25"])
        near, = self.answers("255,0,0", "--radius", 25000)
        self.assertEqual(near["ids"], [1, 2**64 - 1])
        strings, = self.answers("255,127,80", "-k", 1, "--ids-as-strings")
        self.assertEqual(strings["ids"], [str(2**64 - 1)])
        self.assertEqual(self.answers("0,0,0", "-k", 10**12)[0]["ids"].__len__(), 4)
        self.run_it("search", self.file, "0,0,0", "-k", 0, status=1, stderr="k: expected at least 1")
        self.run_it("search", self.file, "0,0", status=1, stderr="expected 3 elements, found 2")
        self.run_it("search", self.file, "0,0,red", status=1, stderr="element 2: expected a number")
        self.run_it("search", self.file, stdin="[1, 2]\n", status=1, stderr="line 1: vector: expected 3")

    def test_bad_lines_are_named_and_the_rest_goes_in(self):
        self.run_it("create", self.file, "--dim", 2)
        lines = '{"id": 1, "vector": [1, 2]}\nnot json\n{"id": -1, "vector": [1, 2]}\n{"id": 2, "vector": [1]}\n' \
                '{"id": 3}\n{"id": 1, "vector": [3, 4]}\n{"id": 4, "vector": [1, "x"]}\n{"id": 5, "vector": [5, 6]}\n'
        told = "line 2: expected JSON(.|\n)*line 3: id: (.|\n)*line 4: vector: expected 2 elements, found 1(.|\n)*" \
               "line 5: vector: (.|\n)*line 7: element 1: (.|\n)*line 6: id 1: "
        self.run_it("insert", self.file, stdin=lines, status=1, stderr=told)
        self.assertEqual(sorted(self.run_it("ids", self.file).split()), ["1", "5"])
        before = self.file.read_bytes()
        self.run_it("insert", self.file, "--bail", stdin='{"id": 8, "vector": [1, 2]}\nbad\n', status=1,
                    stderr="^shoal: line 2: ")
        self.run_it("insert", self.file, "--bail", stdin='{"id": 5, "vector": [1, 2]}\n', status=1,
                    stderr="line 1: id 5: ")
        self.assertEqual(self.file.read_bytes(), before)

    def test_csv_and_binary_files_go_in(self):
        self.run_it("create", self.file, "--dim", 2)
        (self.folder / "a.csv").write_text("id,x,y\n1,10,20\n2;30;40\n")
        (self.folder / "a.tsv").write_text("3\t50\t60\n")
        (self.folder / "a.bin").write_bytes(struct.pack("<2I4f", 2, 2, 1, 2, 3, 4))
        (self.folder / "a.fvecs").write_bytes(struct.pack("<I2f", 2, 7, 8))
        (self.folder / "ids").write_text("77\n78\n")
        self.run_it("insert", self.file, "a.csv", "a.tsv")
        self.run_it("insert", self.file, "a.bin", "--ids", "ids")
        self.run_it("insert", self.file, "a.fvecs", "--first-id", 100)
        found = {line["id"]: line["vector"] for line in
                 map(json.loads, self.run_it("get", self.file, 1, 2, 3, 77, 78, 100).splitlines())}
        self.assertEqual(found, {1: [10, 20], 2: [30, 40], 3: [50, 60], 77: [1, 2], 78: [3, 4], 100: [7, 8]})
        self.run_it("insert", self.file, "a.bin", "--ids", "a.csv", status=1, stderr="line 1: id: ")
        self.run_it("insert", self.file, "gone.jsonl", status=4, stderr="gone.jsonl")
        self.run_it("insert", self.file, "-", "--format", "npy", stdin="no npy", status=1, stderr="magic")
        self.run_it("insert", self.file, "a.csv", "--format", "xml", status=1, stderr="--format: expected jsonl")

    def test_columns_and_fields_are_found_by_name(self):
        self.run_it("create", self.file, "--dim", 2)
        vectors = lambda *ids: {i: json.loads(self.run_it("get", self.file, i))["vector"] for i in ids}
        (self.folder / "a.csv").write_text('\ufeffname,vec,doc\r\n"a, ""b""","[1, 2]",7\r\nc,"[3,4]",8\r\n')
        self.run_it("insert", self.file, "a.csv", "--id-column", "doc", "--vector-column", "vec")
        (self.folder / "a.tsv").write_text("name\tvec\tid\n\t[5, 6]\t9\n")
        self.run_it("insert", self.file, "a.tsv", "--vector-column", "vec")
        (self.folder / "b.csv").write_text("y;id;x\n20;10;30\n")
        self.run_it("insert", self.file, "b.csv", "--vector-column", "x", "--vector-column", "y")
        (self.folder / "c.csv").write_text("x,n,y\n1,11,2\n")
        self.run_it("insert", self.file, "c.csv", "--id-column", "n")
        (self.folder / "d.csv").write_text("e\n[7 , 8]\n".replace("[7 , 8]", '"[7 , 8]"'))
        self.run_it("insert", self.file, "d.csv", "--vector-column", "e", "--first-id", 12)
        self.assertEqual(vectors(7, 8, 9, 10, 11, 12),
                         {7: [1, 2], 8: [3, 4], 9: [5, 6], 10: [30, 20], 11: [1, 2], 12: [7, 8]})
        self.run_it("upsert", self.file, "--id-column", "key", "--vector-column", "embedding",
                    stdin='{"key": 7, "embedding": [9, 9], "vector": "no"}\n{"key": "8", "embedding": [8, 8]}\n')
        self.run_it("upsert", self.file, "--vector-column", "x", "--vector-column", "y", stdin='{"id": 9, "y": 2, "x": 1}')
        self.assertEqual(vectors(7, 8, 9), {7: [9, 9], 8: [8, 8], 9: [1, 2]})
        answers = self.answers("--queries", "a.csv", "--vector-column", "vec", "-k", 1)
        self.assertEqual([a["query"] for a in answers], [0, 1])
        answers = self.answers("--vector-column", "q", "-k", 1, stdin='{"q": [8, 8]}')
        self.assertEqual(answers[0]["ids"], [8])

    def test_columns_and_fields_that_are_not_there_are_named(self):
        self.run_it("create", self.file, "--dim", 2)
        (self.folder / "a.csv").write_text('doc,vec\n1,"[1, 2]"\n2,"[1, 2, 3]"\n3\n4,"[1, 2\nx,"[1, 2]"\n6,"[1, x]"\n7,"[1, 2]"\n')
        told = "line 3: vector: expected 2 elements, found 3\n(.|\n)*line 4: fields: expected 2 or more, found 1\n(.|\n)*" \
               "line 5: field 2: expected a second quote(.|\n)*line 6: id: (.|\n)*line 7: element 1: expected a number"
        self.run_it("insert", self.file, "a.csv", "--id-column", "doc", "--vector-column", "vec", status=1, stderr=told)
        self.assertEqual(sorted(self.run_it("ids", self.file).split()), ["1", "7"])
        for wrong in (["--id-column", "key"], ["--vector-column", "e"]):
            self.run_it("insert", self.file, "a.csv", *wrong, status=1,
                        stderr=f"line 1: heading: expected a column {wrong[1]}, found doc,vec")
            self.run_it("insert", self.file, *wrong, stdin='{"id": 9, "vector": [1, 2]}', status=1,
                        stderr=f"line 1: {wrong[1]}: expected a field of this name, found none")
        (self.folder / "a.bin").write_bytes(struct.pack("<2I2f", 1, 2, 1, 2))
        self.run_it("insert", self.file, "a.bin", "--id-column", "x", status=1, stderr="--id-column.*expected JSON lines or CSV")
        self.assertEqual(self.run_it("count", self.file), "2\n")

    def test_a_file_that_is_not_there_is_status_4_and_an_id_that_is_not_is_1(self):
        self.make()
        gone = self.folder / "gone"
        for verb in ("insert", "upsert", "delete", "refine", "pack", "search", "get", "ids", "count", "bench", "stat", "verify",
                     "compact", "dump"):
            more = {"delete": [1], "search": ["1,2,3"], "get": [1]}.get(verb, [])
            self.run_it(verb, gone, *more, status=4, stderr="^shoal: .*gone")
        self.run_it("backup", gone, self.folder / "copy", status=4, stderr="gone")
        self.run_it("export", gone, self.folder / "ann", status=4, stderr="gone")
        self.run_it("import", self.folder / "x", gone, status=4, stderr="gone")
        self.run_it("create", gone / "x", "--dim", 3, status=4, stderr="gone")
        for more in (["--queries", "none.csv"], ["1,2,3", "--filter-ids", "none"], ["1,2,3", "--truth", "none"]):
            self.run_it("search", self.file, *more, status=4, stderr="none")
        self.run_it("insert", self.file, "none.jsonl", status=4, stderr="^shoal: none.jsonl")
        self.run_it("insert", self.file, "none.npy", status=4, stderr="^shoal: none.npy")
        self.run_it("get", self.file, 99, status=1, stderr="id 99: not there")
        self.run_it("delete", self.file, 99, status=1, stderr="id 99: not there")

    def test_a_bad_line_of_each_format_of_queries_is_named_and_nothing_is_answered(self):
        self.make()
        for name, content, told in (("a.jsonl", "[1, 2, 3]\n{}\n", "line 2: vector: expected a field"),
                                    ("a.csv", "1,2,3\n1,x,3\n", "line 2: element 1: expected a number, found 'x'"),
                                    ("a.tsv", "1\t2\t3\n1\t2\n", "line 2: vector: expected 3 elements, found 2")):
            (self.folder / name).write_text(content)
            self.assertEqual(self.run_it("search", self.file, "--queries", name, status=1, stderr=told), "")
        (self.folder / "a.fvecs").write_bytes(struct.pack("<I2f", 2, 7, 8))
        self.run_it("search", self.file, "--queries", "a.fvecs", status=1, stderr="a.fvecs: expected 3 elements of float32, found 2")
        (self.folder / "a.bin").write_bytes(struct.pack("<2I2f", 1, 3, 1, 2))
        self.run_it("search", self.file, "--queries", "a.bin", status=1, stderr="a.bin: size: expected")
        for verb, told in (("delete", "line 2: id"), ("get", "line 2: id")):
            self.run_it(verb, self.file, stdin="1\nx\n", status=1, stderr=told)
        self.assertEqual(self.run_it("count", self.file), "4\n")

    def test_recall_against_a_truth_set_is_told_on_stderr(self):
        self.run_it("create", self.file, "--dim", 1)
        self.run_it("insert", self.file, stdin="[0]\n[10]\n[20]\n")
        (self.folder / "truth").write_bytes(struct.pack("<2i2I2f", 2, 1, 0, 2, 1, 1))
        for queries, recall in (("[1]\n[19]\n", "1.0000"), ("[1]\n[9]\n", "0.5000")):
            answers = self.run_it("search", self.file, "-k", 1, "--truth", "truth", "--threads", 1, "--rerank", 3, stdin=queries,
                                  stderr=f"^recall@1: {recall}\n$")
            self.assertEqual(len(answers.splitlines()), 2)
        self.run_it("search", self.file, "1", "-k", 1, "--truth", "truth", status=1,
                    stderr="^shoal: truth: expected 1 queries and k of 1 or more, found 2 and 1\n$")
        (self.folder / "truth").write_text("no truth")
        self.run_it("search", self.file, "1", "--truth", "truth", status=1, stderr="^shoal: truth: ")

    def test_progress_is_shown_on_a_terminal_unless_it_is_quiet(self):
        self.run_it("create", self.folder / "bytes", "--dim", 64, "--dtype", "uint8", "--build-list-size", 400)
        (self.folder / "bytes.bin").write_bytes(struct.pack("<2I", 4000, 64) + os.urandom(4000 * 64))
        for options, shown in ((["--quiet"], False), ([], True)):
            ours, theirs = os.openpty()
            subprocess.run([PROGRAM, "upsert", "bytes", "bytes.bin", "--threads", "1", *options], stderr=theirs, check=True,
                           cwd=self.folder)
            os.close(theirs)
            try:
                told = os.read(ours, 1 << 16)
            except OSError:  # Nothing was written to it.
                told = b""
            os.close(ours)
            self.assertEqual(b"of 4000 vectors" in told, shown, told)

    def test_an_empty_index_has_no_hits_and_no_bench(self):
        self.run_it("create", self.file, "--dim", 2)
        self.assertEqual(self.answers("1,2")[0]["ids"], [])
        self.assertEqual(self.run_it("search", self.file, "1,2", "--format", "csv"), "query,id,distance\n")
        self.assertEqual((self.run_it("ids", self.file), self.run_it("count", self.file)), ("", "0\n"))
        self.run_it("bench", self.file, status=1, stderr="has no points")
        self.run_it("get", self.file, "x", status=1, stderr="id: expected a whole number")
        self.run_it("get", self.file, 1, "--format", "xml", status=1, stderr="--format: expected jsonl, csv or npy, found xml")
        self.run_it("search", self.file, "1,2", "--format", "xml", status=1, stderr="--format: expected text, jsonl, csv or npy")
        self.run_it("delete", self.file, "x", status=1, stderr="id: expected a whole number")
        self.run_it("delete", self.file, 1, "--missing", "maybe", status=1, stderr="--missing: expected error or ignore, found maybe")
        self.run_it("create", self.folder / "x", "--dim", 2, "--dtype", "float64", status=1, stderr="--dtype: no such type: float64")
        self.run_it("create", self.folder / "x", "--dim", 2, "--code", "zip", status=1, stderr="--code.*no such code")

    def test_vector_files_are_read_from_standard_input(self):
        self.run_it("create", self.file, "--dim", 2)
        self.npy("a.npy", "<f8", (1, 2), struct.pack("<2d", 1, 2))
        (self.folder / "a.bin").write_bytes(struct.pack("<2I2f", 1, 2, 3, 4))
        (self.folder / "a.fvecs").write_bytes(struct.pack("<I2f", 2, 5, 6))
        (self.folder / "a.bvecs").write_bytes(struct.pack("<I2B", 2, 7, 8))
        for i, name in enumerate(("a.npy", "a.bin", "a.fvecs")):
            data = (self.folder / name).read_bytes()
            command = [PROGRAM, "insert", self.file, "--format", name[2:], "--first-id", str(i)]
            done = subprocess.run(command, input=data, capture_output=True, check=False)
            self.assertEqual((done.returncode, done.stderr), (0, b""))
            cut = subprocess.run(command, input=data[:-1], capture_output=True, check=False)
            self.assertEqual(cut.returncode, 1)
            self.assertRegex(cut.stderr.decode(), "^shoal: stream: .*expected")
        self.assertEqual([json.loads(line)["vector"] for line in self.run_it("get", self.file, 0, 1, 2).splitlines()],
                         [[1, 2], [3, 4], [5, 6]])
        self.run_it("create", self.folder / "bytes", "--dim", 2, "--dtype", "uint8")
        with open(self.folder / "a.bvecs", "rb") as rows:
            subprocess.run([PROGRAM, "insert", "bytes", "-", "--format", "bvecs"], stdin=rows, check=True, cwd=self.folder)
        self.assertEqual(json.loads(self.run_it("get", "bytes", 0))["vector"], [7, 8])

    def npy(self, name, descr, shape, data):
        """Writes a .npy file."""
        head = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
        (self.folder / name).write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head + data)

    def test_npy_goes_in_and_out(self):
        self.run_it("create", self.file, "--dim", 2)
        self.npy("rows.npy", "<f4", (3, 2), struct.pack("<6f", 1, 2, 3, 4, 5, 6))
        self.npy("ids.npy", "<i8", (3,), struct.pack("<3q", 7, 8, 2**62))
        self.run_it("insert", self.file, "rows.npy", "--ids", "ids.npy")
        with open(self.folder / "rows.npy", "rb") as rows:  # From a pipe, too.
            subprocess.run(f"cat | {PROGRAM} insert {self.file} - --format npy --first-id 1", shell=True, check=True, stdin=rows)
        self.assertEqual(set(self.run_it("ids", self.file).split()), {"1", "2", "3", "7", "8", str(2**62)})
        self.assertEqual(self.run_it("get", self.file, 8, 2, "--format", "csv"), "8,3,4\n2,3,4\n")
        self.assertEqual(json.loads(self.run_it("get", self.file, stdin="8\n")), {"id": 8, "vector": [3, 4]})
        self.run_it("get", self.file, 8, 7, "--format", "npy", "--out", "out.npy")
        self.assertTrue((self.folder / "out.npy").read_bytes().endswith(struct.pack("<4f", 3, 4, 1, 2)))
        self.run_it("get", self.file, 8, 99, "--format", "npy", "--out", "none.npy", status=1, stderr="id 99: not there")
        self.assertFalse((self.folder / "none.npy").exists())
        self.npy("few.npy", "<u4", (2,), struct.pack("<2I", 8, 2))
        (self.folder / "two").write_text("7\n8\n")
        self.run_it("search", self.file, "--queries", "rows.npy", "-k", 3, "--filter-ids", "few.npy", "--format", "npy",
                    "--out", "near")
        self.assertIn(b"'descr': '<u8', 'fortran_order': False, 'shape': (3, 2)", (self.folder / "near.ids.npy").read_bytes())
        self.assertTrue((self.folder / "near.distances.npy").read_bytes().endswith(struct.pack("<2f", 8, 8)))
        near, = self.answers("5,6", "-k", 3, "--filter-ids", "two")
        self.assertEqual(near["ids"], [8, 7])
        for wrong in (["--format", "npy"], ["--out", "x"], ["--format", "text", "--out", "x"]):
            self.run_it("search", self.file, "1,2", *wrong, status=1, stderr="npy")
        self.npy("bad.npy", "<i8", (3,), struct.pack("<3q", 7, -8, 2))
        self.run_it("insert", self.file, "rows.npy", "--ids", "bad.npy", status=1, stderr="row 1: expected an id of 0 or more")

    def test_other_types_keep_their_elements(self):
        for dtype, metric, vector in (("uint8", "l2", [0, 255, 7]), ("int8", "cosine", [-128, 127, 1]),
                                      ("float16", "inner_product", [0.5, 1, -2]), ("bit", "hamming", [1, 0, 1])):
            name = self.folder / dtype
            self.run_it("create", name, "--dim", 3, "--dtype", dtype, "--metric", metric)
            self.run_it("insert", name, stdin=json.dumps({"id": 1, "vector": vector}))
            self.assertEqual(json.loads(self.run_it("get", name, 1))["vector"], vector)
        self.run_it("insert", self.folder / "uint8", stdin='{"id": 2, "vector": [1, 256, 0.5]}', status=1,
                    stderr="element 1: expected a whole number from 0 to 255, found 256")

    def test_stat_and_verify_say_what_is_there(self):
        self.make(metric="cosine")
        stat = json.loads(self.run_it("stat", self.file, "--json"))
        self.assertEqual((stat["points"], stat["dim"], stat["metric"], stat["dtype"]), (4, 3, "cosine", "float32"))
        self.assertEqual(stat["bytes"], self.file.stat().st_size)
        self.assertRegex(self.run_it("stat", self.file), "points +4\n")
        self.assertIn("4 points, all checksums right", self.run_it("verify", self.file))
        self.assertIn("the graph too", self.run_it("verify", self.file, "--deep"))
        data = bytearray(self.file.read_bytes())
        data[len(data) // 2] ^= 1
        self.file.write_bytes(data)
        self.run_it("verify", self.file, status=3, stderr="^shoal: .*colors.shoal: ")
        self.run_it("verify", self.folder / "gone", status=4, stderr="gone")
        (self.folder / "text").write_text("no index" * 100)
        self.run_it("count", self.folder / "text", status=1, stderr="text")

    def test_a_backup_is_the_file_and_compact_leaves_the_points(self):
        self.make()
        self.run_it("backup", self.file, "copy.shoal")
        self.assertEqual((self.folder / "copy.shoal").read_bytes(), self.file.read_bytes())
        self.run_it("backup", self.file, "copy.shoal", status=1, stderr="copy.shoal: there is such a file")
        self.run_it("delete", self.file, 2)
        self.run_it("compact", self.file)
        self.assertEqual(self.run_it("count", self.file), "3\n")
        self.file.write_bytes(self.file.read_bytes()[:-1])
        self.run_it("backup", self.file, "other.shoal", status=1, stderr="colors.shoal")
        self.assertFalse((self.folder / "other.shoal").exists())

    def test_create_replaces_nothing_unless_it_is_told_to(self):
        self.make()
        self.run_it("create", self.file, "--dim", 3, status=1, stderr="--force")
        self.assertEqual(self.run_it("count", self.file), "4\n")
        self.run_it("create", self.file, "--dim", 5, "--force")
        self.assertEqual(self.run_it("count", self.file), "0\n")
        self.run_it("create", self.folder / "x", "--dim", 0, status=1, stderr="dim")
        self.run_it("create", self.folder / "x", "--dim", 2, "--metric", "far", status=1, stderr="--metric.*far")

    def test_what_is_dumped_is_loaded(self):
        self.make(metric="cosine")
        dump = self.run_it("dump", self.file)
        self.assertEqual(len(dump.splitlines()), 5)
        self.run_it("load", self.folder / "again", stdin=dump)
        again = self.run_it("dump", self.folder / "again")
        self.assertEqual(sorted(again.splitlines()), sorted(dump.splitlines()))
        self.run_it("load", self.folder / "x", stdin="{}", status=1, stderr="line 1")
        self.run_it("load", self.folder / "x", stdin=dump + "bad\n", status=1, stderr="line 5")
        self.assertFalse((self.folder / "x").exists())

    def test_diskann_s_files_go_out_and_come_back(self):
        self.run_it("create", self.file, "--dim", 2)
        self.run_it("insert", self.file, stdin='{"id": 5, "vector": [1, 2]}\n{"id": 9, "vector": [3, 4]}\n')
        self.run_it("export", self.file, "ann", "--tags")
        self.run_it("import", self.folder / "again", "ann", "--tags")
        self.assertEqual(sorted(self.run_it("ids", self.folder / "again").split()), ["5", "9"])
        self.assertEqual(json.loads(self.run_it("get", self.folder / "again", 9))["vector"], [3, 4])
        self.run_it("import", self.folder / "x", "gone", status=4, stderr="gone")

    def test_bench_prints_recall_of_one_where_all_is_searched(self):
        self.run_it("create", self.file, "--dim", 1)
        self.run_it("insert", self.file, stdin="".join(f"[{i}]\n" for i in range(200)))
        lines = self.run_it("bench", self.file, "--list-sizes", 200, "-k", 5).splitlines()
        self.assertEqual(lines[0].split(), ["list_size", "queries/s", "recall@5"])
        self.assertEqual(lines[1].split()[::2], ["200", "1.0000"])
        self.run_it("refine", self.file)
        self.assertEqual(self.run_it("count", self.file), "200\n")

    def test_the_lines_of_the_documentation_run(self):
        page = (pathlib.Path(__file__).resolve().parent.parent / "docs/site/command.md").read_text()
        lines = page.split("```sh\n")[1].split("```")[0]
        self.assertGreater(lines.count("shoal "), 8)
        (self.folder / "more.csv").write_text("2,0,255,0\n3,1,1,1\n")
        done = subprocess.run(["bash", "-euo", "pipefail", "-c", lines], capture_output=True, text=True, check=False,
                              cwd=self.folder, env={"PATH": f"{pathlib.Path(PROGRAM).parent}:{os.environ['PATH']}"})
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn('"ids":[1]', done.stdout)
        self.assertEqual(self.run_it("count", "copy.shoal"), "2\n")

    def test_completion_knows_verbs_and_options(self):
        self.assertEqual(set(self.run_it("words").split()) & set(VERBS), set(VERBS))
        self.assertIn("--list-size\n", self.run_it("words", "search"))
        for shell in ("bash", "zsh", "fish"):
            self.assertIn("shoal words", self.run_it("completion", shell))
        self.run_it("completion", "tcsh", status=1, stderr="bash, zsh or fish")
        script = self.run_it("completion", "bash")
        asked = 'PATH="$1:$PATH"; eval "$2"; COMP_WORDS=(shoal search --li); COMP_CWORD=2; _shoal; echo ${COMPREPLY[*]}'
        done = subprocess.run(["bash", "-c", asked, "bash", pathlib.Path(PROGRAM).parent, script],
                              capture_output=True, text=True, check=False)
        self.assertEqual(done.stdout, "--list-size\n", done)

    def completed(self, shell, program):
        """What a shell prints that has the completion script in ./script; skipped where there is no such shell."""
        if shutil.which(shell) is None:
            self.skipTest(f"{shell} is not there")
        (self.folder / "script").write_text(self.run_it("completion", shell))
        done = subprocess.run([shell, "-c", program], capture_output=True, text=True, check=False, cwd=self.folder,
                              env={**os.environ, "PATH": f"{pathlib.Path(PROGRAM).parent}:{os.environ['PATH']}"})
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return done.stdout.split()

    def test_fish_completes_verbs_and_options(self):
        asked = 'source script; complete -C "shoal search --li"; complete -C "shoal inse"'
        self.assertEqual(self.completed("fish", asked), ["--list-size", "insert"])

    def test_zsh_completes_verbs_and_options(self):
        asked = "compadd() { print -l -- ${@[2,-1]} }; words=(shoal search --li); CURRENT=3; source ./script"
        self.assertIn("--list-size", self.completed("zsh", asked))
        self.assertIn("insert", self.completed("zsh", asked.replace("CURRENT=3", "CURRENT=2")))

    def test_a_closed_pipe_and_an_interrupt_end_in_silence(self):
        self.make()
        done = subprocess.run(["bash", "-c", 'set -o pipefail; "$1" dump "$2" | true; exit 0', "bash", PROGRAM, self.file],
                              capture_output=True, text=True, check=False)
        self.assertEqual(done.stderr, "")
        before = self.file.read_bytes()
        waiting = subprocess.Popen([PROGRAM, "insert", self.file], stdin=subprocess.PIPE, stderr=subprocess.PIPE)
        waiting.stdin.write(b'{"id": 10, "vector": [1, 2, 3]}\n')
        waiting.stdin.flush()
        while b"shoal" not in pathlib.Path(f"/proc/{waiting.pid}/comm").read_bytes():
            pass
        caught = 0
        while not caught & 2:  # Until the program has its handler of SIGINT.
            status = pathlib.Path(f"/proc/{waiting.pid}/status").read_text()
            caught = int(status.split("SigCgt:")[1].split()[0], 16)
        os.kill(waiting.pid, 2)
        _, told = waiting.communicate(timeout=60)
        self.assertEqual((waiting.returncode, told), (130, b""))
        self.assertEqual(self.file.read_bytes(), before)

    def test_pack_puts_codes_beside_the_lists_until_the_file_is_changed(self):
        self.make()
        stat = lambda: json.loads(self.run_it("stat", self.file, "--json"))
        found = self.run_it("search", self.file, stdin="[250, 160, 5]\n")
        plain = stat()
        if self.file.suffix == ".db":
            self.run_it("pack", self.file, status=1, stderr="--out: expected the name of a snapshot")
            self.run_it("pack", self.file, "--out", self.file, status=1, stderr="--out: expected")
            self.make("hsv")
            self.run_it("pack", self.file, "--out", "packed.shoal", status=1, stderr="--index: expected the name of one of 2")
            self.run_it("pack", self.file, "--index", "cmyk", "--out", "packed.shoal", status=1, stderr="cmyk")
            self.run_it("pack", self.file, "--index", "rgb", "--out", "packed.shoal")
            self.assertTrue(json.loads(self.run_it("stat", "packed.shoal", "--json"))["has_list_codes"])
            self.assertEqual(self.run_it("search", "packed.shoal", stdin="[250, 160, 5]\n"), found)
            return
        self.run_it("pack", self.file, "--out", "packed.shoal")
        self.assertEqual(stat(), plain)
        self.assertTrue(json.loads(self.run_it("stat", "packed.shoal", "--json"))["has_list_codes"])
        self.run_it("pack", self.file)
        packed = stat()
        self.assertEqual((plain["has_list_codes"], packed["has_list_codes"]), (False, True))
        self.assertEqual(self.run_it("search", self.file, stdin="[250, 160, 5]\n"), found)
        self.assertIn("4 points", self.run_it("verify", self.file, "--deep"))
        self.run_it("delete", self.file, 3)
        self.assertFalse(stat()["has_list_codes"])

    def test_pack_puts_near_points_together_without_another_answer(self):
        self.make()
        place = ["--index", "rgb"] if self.file.suffix == ".db" else []
        found = self.run_it("search", self.file, stdin="[250, 160, 5]\n")
        self.run_it("pack", self.file, *place, "--codes", "none", "--order", "neighbors", "--out", "near.shoal")
        self.assertFalse(json.loads(self.run_it("stat", "near.shoal", "--json"))["has_list_codes"])
        self.assertEqual(self.run_it("search", "near.shoal", stdin="[250, 160, 5]\n"), found)
        self.run_it("pack", self.file, "--order", "near", status=2, stderr="--order")


class Databases(Command):
    """The same verbs over an index of a database, and several indexes in one file."""

    def setUp(self):
        super().setUp()
        self.file = self.folder / "colors.db"

    def make(self, name="rgb", **options):
        self.run_it("create", self.file, "--dim", 3, "--index", name, *[f"--{k}={v}" for k, v in options.items()])
        lines = "".join(json.dumps({"id": i, "vector": v}) + "\n" for i, v in COLORS.items())
        self.run_it("insert", self.file, "--index", name, stdin=lines)

    def test_stat_and_verify_say_what_is_there(self):
        self.make(metric="cosine")
        stat = json.loads(self.run_it("stat", self.file, "--json"))
        index, = stat["indexes"]
        self.assertEqual((index["name"], index["points"], index["dim"], index["metric"]), ("rgb", 4, 3, "cosine"))
        self.assertGreater(stat["row_bytes"], 0)
        self.assertRegex(self.run_it("stat", self.file), "points +4\n")
        self.assertIn("index rgb: 4 points, all checksums right", self.run_it("verify", self.file))
        data = self.file.read_bytes()
        row = struct.pack("<3f", *COLORS[2])
        self.assertIn(row, data)
        self.file.write_bytes(data.replace(row, struct.pack("<3f", 9, 9, 9)))
        self.run_it("verify", self.file, status=3, stderr="^shoal: .*colors.db: index 0, rows, block 0: checksum")

    def test_several_indexes_are_told_apart_by_name(self):
        self.make()
        self.make("hsv", metric="cosine")
        self.run_it("count", self.file, status=1, stderr="--index: expected the name of one of 2 indexes.*hsv, rgb|rgb, hsv")
        self.run_it("delete", self.file, "--index", "rgb", 1)
        self.assertEqual(self.run_it("count", self.file, "--index", "rgb"), "3\n")
        self.assertEqual(self.run_it("count", self.file, "--index", "hsv"), "4\n")
        self.run_it("count", self.file, "--index", "cmyk", status=1, stderr="cmyk")
        self.run_it("create", self.file, "--index", "rgb", "--dim", 3, status=1, stderr="rgb")
        self.run_it("create", self.file, "--dim", 3, status=1, stderr="--index")
        self.assertEqual(self.run_it("verify", self.file).count("all checksums right"), 2)

    def test_create_replaces_nothing_unless_it_is_told_to(self):
        self.make()
        self.run_it("create", self.file, "--dim", 3, "--force", status=1, stderr="is a database")
        self.assertEqual(self.run_it("count", self.file), "4\n")

    def test_a_backup_is_the_file_and_compact_leaves_the_points(self):
        self.make()
        self.run_it("backup", self.file, "copy.db")
        self.assertEqual(self.run_it("dump", "copy.db"), self.run_it("dump", self.file))
        self.run_it("backup", self.file, "copy.db", status=1, stderr="copy.db: there is such a file")
        self.run_it("delete", self.file, 2)
        self.run_it("compact", self.file)
        self.run_it("verify", self.file)
        self.assertEqual(self.run_it("count", self.file), "3\n")

    def test_what_is_dumped_is_loaded(self):
        self.make(metric="cosine")
        dump = self.run_it("dump", self.file)
        self.run_it("load", "again.shoal", stdin=dump)
        self.run_it("load", self.file, "--index", "again", stdin=dump)
        for again in (["again.shoal"], [self.file, "--index", "again"]):
            self.assertEqual(sorted(self.run_it("dump", *again).splitlines()), sorted(dump.splitlines()))
        self.run_it("load", self.file, stdin=dump, status=1, stderr="--index")
        self.run_it("count", "again.shoal", "--index", "rgb", status=1, stderr="expected a database")

    def test_bad_lines_are_named_and_the_rest_goes_in(self):
        self.make()
        lines = '{"id": 1, "vector": [1, 2, 3]}\nnot json\n{"id": 9, "vector": [1, 2, 3]}\n'
        self.run_it("insert", self.file, "--bail", stdin=lines, status=1, stderr="^shoal: line 2: ")
        self.assertEqual(self.run_it("count", self.file), "4\n")
        self.run_it("insert", self.file, stdin=lines, status=1, stderr="line 2: expected JSON(.|\n)*line 1: id 1: ")
        self.assertEqual(self.run_it("count", self.file), "5\n")

    def test_snapshots_alone_are_refined_and_exported(self):
        self.make()
        self.run_it("refine", self.file, status=1, stderr="expected a snapshot, found a database")
        self.run_it("export", self.file, "ann", status=1, stderr="expected a snapshot, found a database")

    # What is no matter of where the index is.
    test_each_verb_s_help_shows_an_example = test_wrong_usage_is_status_2 = test_completion_knows_verbs_and_options = None
    test_the_lines_of_the_documentation_run = test_csv_and_binary_files_go_in = test_npy_goes_in_and_out = None
    test_other_types_keep_their_elements = test_diskann_s_files_go_out_and_come_back = None
    test_bench_prints_recall_of_one_where_all_is_searched = test_vector_files_are_read_from_standard_input = None
    test_recall_against_a_truth_set_is_told_on_stderr = test_progress_is_shown_on_a_terminal_unless_it_is_quiet = None
    test_an_empty_index_has_no_hits_and_no_bench = None
    test_columns_and_fields_are_found_by_name = test_columns_and_fields_that_are_not_there_are_named = None
    test_a_file_that_is_not_there_is_status_4_and_an_id_that_is_not_is_1 = None
    test_fish_completes_verbs_and_options = test_zsh_completes_verbs_and_options = None


if __name__ == "__main__":
    PROGRAM = os.path.abspath(sys.argv.pop(1))
    unittest.main()
