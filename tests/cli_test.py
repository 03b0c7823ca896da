#!/usr/bin/env python3
"""The programs from end to end: what they write, print and return.

  cli_test.py APPS_DIRECTORY [unittest arguments]

Data is generated; a cut of the shared SIFT set is used too where SHOAL_DATA, or ../shared/data beside
the source tree, has it.
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
DIM = 16


def data_folder():
    source = pathlib.Path(__file__).resolve().parent.parent
    folder = pathlib.Path(os.environ.get("SHOAL_DATA", source.parent / "shared" / "data"))
    return folder if (folder / "sift-1m.u8bin").exists() else None


def run(program, *arguments, env=None):
    return subprocess.run([APPS / program, *map(str, arguments)], capture_output=True, text=True,
                          timeout=300, env={**os.environ, **(env or {})})


def bin_bytes(rows, kind):
    values = array.array(kind, [value for row in rows for value in row])
    return struct.pack("<ii", len(rows), len(rows[0])) + values.tobytes()


def vecs_bytes(rows, kind):
    return b"".join(struct.pack("<i", len(row)) + array.array(kind, row).tobytes() for row in rows)


def npy_bytes(descr, fortran_order, shape, numbers):
    header = f"{{'descr': '{descr}', 'fortran_order': {fortran_order}, 'shape': {shape}, }}".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + numbers


def read_bin(path, kind):
    data = pathlib.Path(path).read_bytes()
    rows, columns = struct.unpack("<ii", data[:8])
    values = array.array(kind, data[8:])
    assert len(values) == rows * columns, path
    return [list(values[i * columns:(i + 1) * columns]) for i in range(rows)]


def read_truth(path):
    data = pathlib.Path(path).read_bytes()
    queries, k = struct.unpack("<ii", data[:8])
    middle = 8 + 4 * queries * k
    assert len(data) == 8 + 8 * queries * k, path
    cut = lambda values: [list(values[i * k:(i + 1) * k]) for i in range(queries)]
    return cut(array.array("I", data[8:middle])), cut(array.array("f", data[middle:]))


def table(stdout):
    """Header and rows, as lists of cells."""
    lines = stdout.splitlines()
    rule = next(i for i, line in enumerate(lines) if line and set(line) == {"="})
    return re.split(r"\s{2,}", lines[rule - 1].strip()), [line.split() for line in lines[rule + 1:]]


def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff


def snapshot_bytes():
    """Three uint8 points of dimension 4 under l2, written from docs/file_formats.md alone."""
    page = lambda section: section + bytes(-len(section) % 4096)
    rows = bytes(range(12)) + bytes(4)  # The start point's is the last.
    ids = struct.pack("<4Q", 7, 2**64 - 1, 0, 0)
    lists = b"".join(struct.pack(f"<{len(l)}I", *l) + b"\xff" * 4 * (8 - len(l))
                     for l in ((1,), (2,), (0, 1), (0, 1)))
    seeds = struct.pack("<IfI IfI I", 1, 2.5, 2, 1, 0.5, 0, 0)
    offset, body, directory = 4096, b"", b""
    for block in (page(rows), page(ids), page(lists), seeds):
        directory += struct.pack("<QII", offset + len(body), len(block), crc32c(block))
        body += block
    header = b"\x89SHOAL\r\n" + struct.pack(
        "<II QQQ IIIIIff I QII III", 3, 4096, 4096 + len(body) + 64, 3, 6, 4, 3, 0, 8, 50, 1.5, 0,
        16, 4096 + len(body), 4, crc32c(directory), 1, 4, 0)
    header += bytes(4092 - len(header))
    return header + struct.pack("<I", crc32c(header)) + body + directory


class Case(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="shoal-cli-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        rng = random.Random(7)
        row = lambda: [rng.randrange(256) for _ in range(DIM)]
        self.base = [row() for _ in range(2000)]
        self.queries = [row() for _ in range(50)]
        self.write("base.u8bin", bin_bytes(self.base, "B"))
        self.write("query.u8bin", bin_bytes(self.queries, "B"))

    def path(self, name):
        return self.folder / name

    def write(self, name, data):
        self.path(name).write_bytes(data)
        return self.path(name)

    def good(self, program, *arguments, **more):
        result = run(program, *arguments, **more)
        self.assertEqual(result.returncode, 0, result.stderr)
        return result.stdout

    def bad(self, text, program, *arguments):
        """Exit status 1, one line on stderr that holds `text`, and no new file."""
        before = sorted(self.folder.iterdir())
        result = run(program, *arguments)
        self.assertEqual(result.returncode, 1, result.stdout + result.stderr)
        self.assertEqual(result.stderr.count("\n"), 1, result.stderr)
        self.assertTrue(result.stderr.startswith(program.split("/")[-1] + ": "), result.stderr)
        self.assertIn(text, result.stderr)
        self.assertEqual(sorted(self.folder.iterdir()), before)

    # The flags of each program, on the files of this case.
    def build_flags(self, **more):
        return self.flags(data_type="uint8", dist_fn="l2", data_path=self.path("base.u8bin"),
                          index_path_prefix=self.path("index"), **more)

    def truth_flags(self, **more):
        return self.flags(**{"data_type": "uint8", "dist_fn": "l2", "K": 20,
                             "base_file": self.path("base.u8bin"), "gt_file": self.path("gt"),
                             "query_file": self.path("query.u8bin"), **more})

    def search_flags(self, **more):
        return self.flags(**{"data_type": "uint8", "dist_fn": "l2", "recall_at": 10,
                             "search_list": "10 20 100", "index_path_prefix": self.path("index"),
                             "result_path": self.path("res"), "gt_file": self.path("gt"),
                             "query_file": self.path("query.u8bin"), **more})

    @staticmethod
    def flags(**values):
        words = []
        for name, value in values.items():
            words += [f"--{name}", *(str(value).split(" ") if name == "search_list" else [value])]
        return words

    def index_and_truth(self):
        self.good("build_memory_index", *self.build_flags(num_threads=1))
        self.good("utils/compute_groundtruth", *self.truth_flags())


class Converters(Case):
    def test_vecs_become_bin_of_every_type(self):
        floats = [[value / 2 for value in row] for row in self.base]
        for kind, word, rows in (("f", "float", floats), ("B", "uint8", self.base)):
            source = self.write("x.vecs", vecs_bytes(rows, kind))
            out = self.good("utils/fvecs_to_bin", word, source, self.path("x.bin"))
            self.assertIn(f"Dataset: #pts = 2000, # dims = {DIM}", out)
            self.assertEqual(self.path("x.bin").read_bytes(), bin_bytes(rows, kind))
        self.good("utils/bvecs_to_bin", source, self.path("y.bin"))
        self.assertEqual(self.path("y.bin").read_bytes(), bin_bytes(self.base, "B"))

    def test_many_blocks_make_one_file(self):
        rows = [[i % 256] * 3000 for i in range(7000)]  # 21 MB: more than one block.
        source = self.write("x.bvecs", b"".join(
            struct.pack("<i", 3000) + bytes(row[:1]) * 3000 for row in rows))
        self.good("utils/bvecs_to_bin", source, self.path("x.bin"))
        data = self.path("x.bin").read_bytes()
        self.assertEqual(len(data), 8 + 7000 * 3000)
        self.assertTrue(all(data[8 + i * 3000:8 + (i + 1) * 3000] == bytes([i % 256]) * 3000
                            for i in range(7000)))

    def test_npy_becomes_bin_of_its_own_type(self):
        cases = (("|u1", "B", self.base), ("<f4", "f", self.base), ("<f8", "d", self.base))
        for descr, kind, rows in cases:
            for fortran in (False, True):
                values = zip(*rows) if fortran else rows
                numbers = array.array(kind, [value for line in values for value in line]).tobytes()
                source = self.write("x.npy", npy_bytes(descr, fortran, (2000, DIM), numbers))
                self.good("utils/npy_to_bin", source, self.path("x.bin"))
                self.assertEqual(self.path("x.bin").read_bytes(),
                                 bin_bytes(rows, "B" if kind == "B" else "f"))

    def test_a_crop_is_those_rows_and_no_others(self):
        vecs = self.write("x.bvecs", vecs_bytes(self.base, "B"))
        npy = self.write("x.npy", npy_bytes("|u1", False, (2000, DIM), bytes(sum(self.base, []))))
        for program, source in (("bvecs_to_bin", (vecs,)), ("fvecs_to_bin", ("uint8", vecs)),
                                ("npy_to_bin", (npy,))):
            for first, most, rows in ((0, 0, self.base), (1500, 0, self.base[1500:]),
                                      (0, 7, self.base[:7]), (1990, 100, self.base[1990:]),
                                      (300, 1, self.base[300:301])):
                self.good(f"utils/{program}", *source, self.path("x.bin"),
                          *self.flags(first_row=first, max_rows=most))
                self.assertEqual(self.path("x.bin").read_bytes(), bin_bytes(rows, "B"))
            self.path("x.bin").unlink()
            self.bad("2000 rows", f"utils/{program}", *source, self.path("x.bin"),
                     *self.flags(first_row=2000))
        # 21 MB: more than one block.
        wide = self.write("wide", b"".join(struct.pack("<i", 3000) + bytes([i % 256]) * 3000
                                           for i in range(7000)))
        self.good("utils/bvecs_to_bin", wide, self.path("x.bin"),
                  *self.flags(first_row=1000, max_rows=5900))
        self.assertEqual(self.path("x.bin").read_bytes(), struct.pack("<ii", 5900, 3000) + b"".join(
            bytes([i % 256]) * 3000 for i in range(1000, 6900)))

    def test_bad_inputs_leave_no_output(self):
        whole = vecs_bytes(self.base[:10], "B")
        out = self.path("x.bin")
        program = "utils/bvecs_to_bin"
        self.bad("No such file or directory", program, self.path("missing"), out)
        self.bad("expected a regular file, found a directory", program, self.folder, out)
        self.bad("size: expected at least 4 bytes", program, self.write("x", b""), out)
        self.bad("size: expected a multiple of 20 bytes", program, self.write("x", whole[:-1]), out)
        self.bad("dimension of row 0: expected 1 to 32768, found -1", program,
                 self.write("x", struct.pack("<i", -1)), out)
        self.bad("dimension of row 9: expected 16 as in row 0, found 17", program,
                 self.write("x", whole[:180] + struct.pack("<i", 17) + whole[184:]), out)
        self.bad("cannot create the file", program, self.write("x", whole), self.path("no/x.bin"))
        self.bad("expected float, float16, int8, uint8 or bit, found 'double'", "utils/fvecs_to_bin",
                 "double", self.path("x"), out)
        nan = vecs_bytes([[1.0, float("nan")]], "f")
        self.bad("row 0, column 1: expected a finite number, found NaN", "utils/fvecs_to_bin",
                 "float", self.write("x", nan), out)


class RandomData(Case):
    def generate(self, kind, *flags):
        name = self.path("random")
        out = self.good("utils/rand_data_gen", "--data_type", kind, "--output_file", name, *flags)
        self.assertIn("seed ", out)
        return read_bin(name, {"float": "f", "int8": "b", "uint8": "B"}[kind])

    def test_norms_are_those_that_were_asked_for(self):
        # DiskANN's own commands, of its CI.
        for kind, norm, center, rounding in (("float", 1, 0, 1e-5), ("int8", 50, 0, 3),
                                             ("int8", 127, 0, 3), ("uint8", 50, 128, 3),
                                             ("uint8", 127, 128, 3)):
            rows = self.generate(kind, "-D", 10, "-N", 10000, "--norm", f"{norm}.0")
            self.assertEqual((len(rows), len(rows[0])), (10000, 10))
            for row in rows[::97]:
                length = sum((value - center) ** 2 for value in row) ** 0.5
                self.assertAlmostEqual(length, norm, delta=rounding)

    def test_without_a_norm_elements_are_normal(self):
        for scaling, low, high in ((None, 1, 1), (3, 4, 4.7)):
            flags = [] if scaling is None else ["--rand_scaling", scaling]
            rows = self.generate("float", "-D", 10, "-N", 10000, *flags)
            values = [value for row in rows for value in row]
            mean = sum(values) / len(values)
            variance = sum(value ** 2 for value in values) / len(values)
            self.assertLess(abs(mean), 0.02)
            # With a factor s uniform in [1, 3] the variance is E[s^2] = 13 / 3.
            self.assertGreater(variance, 0.97 * low)
            self.assertLess(variance, 1.03 * high)
            above = sum(value > 1 for value in values) / len(values)
            if scaling is None:
                self.assertAlmostEqual(above, 0.1587, delta=0.005)

    def test_the_seed_is_the_file(self):
        flags = ("--ndims", 3, "--npts", 400000)  # More than one block.
        one = self.generate("float", *flags)
        self.assertEqual(one, self.generate("float", *flags))
        self.assertEqual(one, self.generate("float", *flags, "--seed", 1))
        self.assertNotEqual(one, self.generate("float", *flags, "--seed", 2))
        self.assertEqual(len(set(map(tuple, one))), 400000)

    def test_what_diskann_builds_of_its_files_works_here(self):
        self.generate("int8", "-D", 10, "-N", 2000, "-n", 50)
        files = {"data_type": "int8", "base_file": self.path("random"),
                 "query_file": self.path("random")}
        self.good("utils/compute_groundtruth", *self.truth_flags(**files))
        self.good("build_memory_index", "--data_type", "int8", "--dist_fn", "l2", "--data_path",
                  self.path("random"), "--index_path_prefix", self.path("index"))
        out = self.good("search_memory_index", *self.search_flags(
            data_type="int8", query_file=self.path("random"), fail_if_recall_below=90))
        self.assertIn("Recall@10", out)

    def test_bad_requests_leave_no_file(self):
        def bad(text, kind, *flags, size=("-D", 10, "-N", 100)):
            self.bad(text, "utils/rand_data_gen", "--data_type", kind, "-o", self.path("x"), *size,
                     *flags)
        bad("--data_type: expected float, int8, uint8 or bit, found float16", "float16")
        bad("--norm: expected more than 0, up to 127, with int8, found -1", "int8")
        bad("--norm: expected more than 0, up to 127, with uint8, found 128", "uint8", "--norm", 128)
        bad("--norm: expected a finite number, found nan", "float", "--norm", "nan")
        bad("--rand_scaling: expected 1 to 1e+30, found 0.5", "float",
            "--rand_scaling", 0.5)
        bad("--rand_scaling: expected 1 with --norm, found 2", "float", "--rand_scaling", 2,
            "--norm", 1)
        bad("--rand_scaling: expected 1 with int8, found 2", "int8", "--rand_scaling", 2, "-n", 9)
        bad("--ndims: expected 1 to 32768, found 0", "float", size=("-D", 0, "-N", 1))
        bad("--ndims: expected 1 to 32768, found 32769", "float", size=("-D", 32769, "-N", 1))
        bad("--npts: expected 1 to 2147483647, found 0", "float", size=("-D", 1, "-N", 0))


class Snapshots(Case):
    def test_a_file_made_from_the_format_page_is_a_snapshot(self):
        file = self.write("x.shoal", snapshot_bytes())
        for flags, checksums in (((), "of the header: right (--verify: all)"),
                                 (("--verify",), "all right"), (("--verify", "-T1"), "all right")):
            out = self.good("utils/snapshot_info", file, *flags)
            lines = dict(re.split(r"\s{2,}", line, maxsplit=1) for line in out.splitlines())
            self.assertEqual(lines, {
                "file": str(file), "format version": "3", "bytes": str(len(snapshot_bytes())),
                "points": "3", "dimension": "4", "element type": "uint8", "metric": "l2",
                "code": "full", "rerank code": "full", "max_degree (R)": "8", "build_list_size (L)": "50", "alpha": "1.5",
                "edges": "6 (2.0 a point)", "codes": "of the points", "vectors": "in the file",
                "checksums": checksums})

    def test_damage_is_named_with_its_place(self):
        whole = snapshot_bytes()
        broken = bytearray(whole)
        broken[8192 + 3] ^= 1
        file = self.write("x.shoal", bytes(broken))
        self.good("utils/snapshot_info", file)  # The header says nothing of it.
        self.bad("x.shoal: ids, offset 8192: checksum of 4096 bytes: expected 0x",
                 "utils/snapshot_info", file, "--verify")
        bad = lambda text, data: self.bad(text, "utils/snapshot_info", self.write("x.shoal", data))
        bad("size: expected 16476 bytes by its header, found 16475 bytes", whole[:-1])
        for version, author in ((2, "an older"), (5, "a newer")):
            bad(f"format version: expected 3 or 4, found {version}: written by {author} shoal",
                whole[:8] + bytes([version]) + whole[9:])
        bad("magic number: expected \\x89SHOAL\\x0d\\x0a, the beginning of a shoal snapshot, "
            "found \\xd0\\x07", bin_bytes(self.base, "B"))
        self.bad("cannot open for reading", "utils/snapshot_info", self.path("missing"))


class Bits(Case):
    """Vectors of packed bits: bytes of a file of uint8, or a dimension that is no multiple of 8."""
    KINDS = {"data_type": "bit", "dist_fn": "hamming"}

    def setUp(self):
        super().setUp()
        rng = random.Random(8)
        centres = [[rng.randrange(256) for _ in range(DIM)] for _ in range(20)]
        # Each bit of a centre is flipped with a probability of 1/8.
        flips = lambda: rng.randrange(256) & rng.randrange(256) & rng.randrange(256)
        row = lambda: [byte ^ flips() for byte in rng.choice(centres)]
        self.base = [row() for _ in range(2000)]
        self.queries = [row() for _ in range(50)]

    def write_sets(self, dim):
        """Rows of `dim` bits; the header has the bytes of a row, or the bits where these are no whole bytes."""
        def data(rows):
            size, left = (dim + 7) // 8, dim % 8
            last = (1 << left) - 1 if left else 255
            cut = [row[:size - 1] + [row[size - 1] & last] for row in rows]
            header = struct.pack("<ii", len(rows), dim if left else size)
            return cut, header + b"".join(map(bytes, cut))
        self.base, base = data(self.base)
        self.queries, queries = data(self.queries)
        self.write("b", base)
        self.write("q", queries)

    def build(self, **more):
        return self.flags(**{**self.KINDS, "data_path": self.path("b"),
                             "index_path_prefix": self.path("index"), **more})

    def test_files_of_packed_bytes_and_of_odd_dimensions_are_built_and_searched(self):
        for dim in (8 * DIM, 8 * DIM - 3, 61):
            with self.subTest(dim=dim):
                self.write_sets(dim)
                out = self.good("build_memory_index", *self.build(num_threads=1))
                self.assertIn(f"2000 points in {dim} dimensions", out)
                self.assertEqual(self.path("index.data").read_bytes(), self.path("b").read_bytes())
                files = {**self.KINDS, "query_file": self.path("q")}
                self.good("utils/compute_groundtruth", *self.truth_flags(
                    **files, base_file=self.path("b")))
                ids, distances = read_truth(self.path("gt"))
                differ = lambda a, b: sum((x ^ y).bit_count() for x, y in zip(a, b))
                for q in range(0, 50, 10):
                    order = sorted((differ(self.queries[q], row), i) for i, row in enumerate(self.base))
                    self.assertEqual(ids[q], [i for _, i in order[:20]])
                    self.assertEqual(distances[q], [d for d, _ in order[:20]])
                _, rows = table(self.good("search_memory_index", *self.search_flags(**files)))
                self.assertGreater(float(rows[2][-1]), 97)
                found = read_bin(self.path("res_100_dists_float.bin"), "f")
                self.assertEqual([row[0] for row in found], [row[0] for row in distances])

    def test_an_npy_of_packed_bytes_becomes_a_file_of_bits(self):
        self.write_sets(8 * DIM)
        numbers = b"".join(map(bytes, self.base))
        source = self.write("x.npy", npy_bytes("|u1", False, (2000, DIM), numbers))
        self.good("utils/npy_to_bin", source, self.path("x.bin"))
        self.assertEqual(self.path("x.bin").read_bytes(), self.path("b").read_bytes())

    def test_what_is_wrong_is_named(self):
        self.write_sets(8 * DIM)
        self.bad("scalar_type and metric: expected bit with hamming, or neither of them, found bit "
                 "with l2", "build_memory_index", *self.build(dist_fn="l2"))
        self.bad("found float32 with hamming", "build_memory_index", *self.flags(
            data_type="float", dist_fn="hamming", index_path_prefix=self.path("index"),
            data_path=self.write("f", bin_bytes([[1.0, 2.0]] * 3, "f"))))
        self.bad("found uint8 with hamming", "utils/compute_groundtruth", *self.truth_flags(
            dist_fn="hamming"))
        data = struct.pack("<ii", 2, 13) + b"\xff\x1f\xff\x3f"
        self.bad("row 1: vector: bits behind the last element, from 5 of byte 1 on: expected 0, found 1 (1 of 2 "
                 "rows cannot be used)", "build_memory_index", *self.build(
                     data_path=self.write("bad", data)))
        self.bad("size: expected 12 bytes (8 + 2 rows x 13 bits in whole bytes, or 8 + 2 rows x 13 "
                 "bytes of 8 bits), found 13 bytes", "build_memory_index", *self.build(
                     data_path=self.write("long", data + b"x")))

    def test_random_bits_are_made(self):
        make = lambda *more: self.good("utils/rand_data_gen", "--data_type", "bit", "-o",
                                       self.path("r"), "-N", 3000, *more)
        make("-D", 13)
        data = self.path("r").read_bytes()
        self.assertEqual((data[:8], len(data)), (struct.pack("<ii", 3000, 13), 8 + 2 * 3000))
        self.assertFalse(any(byte & 0xe0 for byte in data[9::2]))
        for bit in range(13):
            ones = sum(data[8 + 2 * row + bit // 8] >> bit % 8 & 1 for row in range(3000))
            self.assertLess(abs(ones - 1500), 150)
        make("-D", 16)
        self.assertEqual(self.path("r").read_bytes()[:8], struct.pack("<ii", 3000, 2))
        self.bad("--norm: expected 0 or less with bit, found 1", "utils/rand_data_gen",
                 "--data_type", "bit", "-o", self.path("s"), "-D", 8, "-N", 8, "--norm", 1)


class GroundTruth(Case):
    def exact(self, query, k):
        order = sorted((sum((a - b) ** 2 for a, b in zip(query, row)), i)
                       for i, row in enumerate(self.base))
        return [i for _, i in order[:k]], [float(d) for d, _ in order[:k]]

    def test_neighbours_are_the_nearest_in_one_part_and_in_many(self):
        self.good("utils/compute_groundtruth", *self.truth_flags(num_threads=2))
        ids, distances = read_truth(self.path("gt"))
        for q in range(0, 50, 10):
            self.assertEqual((ids[q], distances[q]), self.exact(self.queries[q], 20))
        # 33,000 rows of 64 bytes are three parts of 1 MB.
        big = [[i % 251, i // 251] * (DIM // 2) for i in range(33000)]
        self.write("big", bin_bytes(big, "f"))
        self.write("q", bin_bytes([[float(v) for v in row] for row in self.queries], "f"))
        files = {"data_type": "float", "base_file": self.path("big"), "query_file": self.path("q")}
        self.good("utils/compute_groundtruth", *self.truth_flags(**files))
        whole = self.path("gt").read_bytes()
        self.good("utils/compute_groundtruth", *self.truth_flags(**files, part_mb=1))
        self.assertEqual(self.path("gt").read_bytes(), whole)

    def test_distances_are_in_diskanns_convention(self):
        dot = lambda a, b: sum(x * y for x, y in zip(a, b))
        for metric in ("mips", "cosine"):
            self.good("utils/compute_groundtruth", *self.truth_flags(dist_fn=metric))
            ids, distances = read_truth(self.path("gt"))
            for q in range(0, 50, 10):
                query, row = self.queries[q], self.base[ids[q][0]]
                product = dot(query, row)
                cosine = product / (dot(query, query) * dot(row, row)) ** 0.5
                expected = product if metric == "mips" else 2 - 2 * cosine
                self.assertAlmostEqual(distances[q][0] / expected, 1, places=4)
                nearest = sorted(distances[q], reverse=metric == "mips")
                self.assertEqual(distances[q], nearest)

    def test_tags_are_the_ids_and_tag_zero_is_left_out(self):
        tags = [0 if i % 2 else 5000 + i for i in range(2000)]
        self.write("tags", struct.pack("<ii", 2000, 1) + array.array("I", tags).tobytes())
        self.good("utils/compute_groundtruth", *self.truth_flags(K=1000,
                                                                 tags_file=self.path("tags")))
        ids, _ = read_truth(self.path("gt"))
        self.assertEqual(sorted(ids[0]), [5000 + i for i in range(0, 2000, 2)])

    def test_more_than_there_are_is_said_and_marked(self):
        out = self.good("utils/compute_groundtruth", *self.truth_flags(K=2005))
        self.assertIn("WARNING: found 2000 neighbours, less than --K 2005", out)
        ids, distances = read_truth(self.path("gt"))
        self.assertEqual(ids[3][2000:], [0xffffffff] * 5)
        self.assertEqual(distances[3][2000:], [float("inf")] * 5)

    def test_bad_inputs_leave_no_output(self):
        program = "utils/compute_groundtruth"
        bad = lambda text, **more: self.bad(text, program, *self.truth_flags(**more))
        bad("--K: expected at least 1, found 0", K=0)
        bad("--K: expected a whole number from 0 to 4294967295, found '-3'", K=-3)
        bad("expected l2, mips, cosine, manhattan or hamming, found 'bananas'", dist_fn="bananas")
        bad("No such file or directory", base_file=self.path("missing"))
        bad("the size of uint8 or int8", data_type="float")
        bad("dimension: expected 16 as the base file has, found 2",
            query_file=self.write("q", bin_bytes([[1, 2]], "B")))
        bad("shape: expected 2000 x 1 as the base file has rows, found 1 x 2",
            tags_file=self.write("tags", bin_bytes([[1, 2]], "I")))
        bad("rows: expected 1 to 4294967295, found 0",
            base_file=self.write("x", struct.pack("<ii", 0, 16)))
        bad("fvecs_to_bin float makes a .bin of .fvecs",
            base_file=self.write("x", vecs_bytes(self.base, "f")))
        bad("no folder", gt_file=self.path("no/gt"))
        # Found before the rows are: no row of a missing file is read.
        bad("expected a file's name, found a folder", gt_file=self.folder,
            base_file=self.path("missing"))
        zero = self.write("zero", bin_bytes([[0] * DIM], "B"))
        bad("zero: query 0: expected a direction for cosine, found a zero vector",
            dist_fn="cosine", query_file=zero)


class Index(Case):
    def test_a_built_index_answers_with_high_recall(self):
        self.index_and_truth()
        self.assertFalse(self.path("index.tags").exists())
        out = self.good("search_memory_index", *self.search_flags(search_list="5 10 100"))
        self.assertIn("Ignoring search with L:5 since it's smaller than K:10", out)
        header, rows = table(out)
        self.assertEqual(header, ["Ls", "QPS", "Avg dist cmps", "Mean Latency (mus)",
                                  "99.9 Latency", "Recall@10"])
        self.assertEqual([row[0] for row in rows], ["10", "100"])
        self.assertGreater(float(rows[1][-1]), 99)
        self.assertGreater(float(rows[1][2]), float(rows[0][2]))
        truth_ids, truth_distances = read_truth(self.path("gt"))
        ids = read_bin(self.path("res_100_idx_uint32.bin"), "I")
        distances = read_bin(self.path("res_100_dists_float.bin"), "f")
        self.assertEqual((len(ids), len(ids[0])), (50, 10))
        same = sum(ids[q] == truth_ids[q][:10] and distances[q] == truth_distances[q][:10]
                   for q in range(50))
        self.assertGreater(same, 40)
        self.assertFalse(self.path("res_5_idx_uint32.bin").exists())
        self.assertFalse([p for p in self.folder.iterdir() if ".tmp-" in p.name])

    def test_every_recall_and_qps_per_thread_are_columns(self):
        self.index_and_truth()
        header, rows = table(self.good("search_memory_index", *self.search_flags(recall_at=3),
                                       "--print_all_recalls", "--print_qps_per_thread"))
        self.assertEqual(header[1], "QPS/thread")
        self.assertEqual(header[-3:], ["Recall@1", "Recall@2", "Recall@3"])
        self.assertEqual({len(row) for row in rows}, {8})

    def test_flags_may_be_short_cut_or_joined(self):
        self.index_and_truth()
        common = ["--data_type=uint8", "--dist_fn=l2", f"--index_path_p={self.path('index')}",
                  f"--result_path={self.path('res')}", f"--query_file={self.path('query.u8bin')}"]
        out = self.good("search_memory_index", *common, "-K10", "-L", 10, 20, "-T1", "--tags", "no",
                        "--dynamic=FALSE", "--filter_label", "", "--gt", self.path("gt"))
        self.assertEqual(len(table(out)[1]), 2)
        self.assertIn("Using 1 threads", out)
        self.good("build_memory_index", *self.build_flags(), "-R8", "-L20", "--alpha", "1.1",
                  "--build_PQ_bytes", 0)

    def test_without_truth_there_is_no_recall_column(self):
        self.index_and_truth()
        header, rows = table(self.good("search_memory_index", *self.search_flags(gt_file="null")))
        self.assertEqual(header[-1], "99.9 Latency")
        self.assertEqual(len(rows), 3)

    def test_recall_below_the_floor_is_exit_status_1_with_results(self):
        self.index_and_truth()
        flags = self.search_flags(search_list="10", fail_if_recall_below=99.99)
        result = run("search_memory_index", *flags)
        self.assertEqual(result.returncode, 1)
        self.assertIn("recall@10: expected at least 99.99 with some L", result.stderr)
        self.assertTrue(self.path("res_10_idx_uint32.bin").exists())
        self.good("search_memory_index", *self.search_flags(fail_if_recall_below=50))

    def test_float_metrics_agree_with_their_truth(self):
        files = {"data_type": "float", "query_file": self.path("q")}
        self.write("b", bin_bytes([[v - 128.0 for v in row] for row in self.base], "f"))
        self.write("q", bin_bytes([[v - 128.0 for v in row] for row in self.queries], "f"))
        for metric in ("l2", "mips", "cosine", "manhattan"):
            self.good("build_memory_index", *self.flags(
                data_type="float", dist_fn=metric, data_path=self.path("b"), passes=2,
                index_path_prefix=self.path("index")))
            self.good("utils/compute_groundtruth", *self.truth_flags(
                **files, dist_fn=metric, base_file=self.path("b")))
            _, rows = table(self.good("search_memory_index", *self.search_flags(
                **files, dist_fn=metric)))
            self.assertGreater(float(rows[2][-1]), 97, metric)
            _, truth = read_truth(self.path("gt"))
            found = read_bin(self.path("res_100_dists_float.bin"), "f")
            for q in range(0, 50, 10):
                self.assertAlmostEqual(found[q][0] / truth[q][0], 1, places=4)

    def test_an_index_of_codes_gives_the_distances_of_the_vectors(self):
        floats = lambda rows: bin_bytes([[v - 128.3 for v in row] for row in rows], "f")
        self.write("b", floats(self.base))
        self.write("q", floats(self.queries))
        kinds = {"data_type": "float", "dist_fn": "l2"}
        self.good("build_memory_index", *self.flags(
            **kinds, data_path=self.path("b"), index_path_prefix=self.path("index"),
            codec="float16", rerank_codec="full"))
        self.assertEqual(self.path("index.data").read_bytes(), self.path("b").read_bytes())
        found = {}
        for codec in ("full", "float16"):
            self.good("search_memory_index", *self.search_flags(
                **kinds, query_file=self.path("q"), gt_file="null", codec=codec, rerank=50))
            found[codec] = read_bin(self.path("res_100_dists_float.bin"), "f")
        same = sum(a == b for a, b in zip(found["full"], found["float16"]))
        self.assertGreaterEqual(same, 48)
        bad = lambda text, **more: self.bad(text, "build_memory_index", *self.build_flags(**more))
        bad("--codec: expected auto, full, float16, bfloat16, sq8, rq4, rq3, rq2, rq1 or sign, "
            "found 'pq'", codec="pq")
        bad("code: expected a code for uint8 vectors with l2, found float16", codec="float16")

    def test_a_target_recall_is_one_more_row_with_what_reaches_it(self):
        self.good("build_memory_index", *self.build_flags())
        self.good("utils/compute_groundtruth", *self.truth_flags())
        out = self.good("search_memory_index", *self.search_flags(target_recall=90))
        said = re.search(r"Target recall 90: L (\d+), rerank 0, stop margin \S+; recall (\S+) of 500 points", out)
        self.assertIsNotNone(said, out)
        self.assertGreaterEqual(float(said[2]), 90)
        _, rows = table(out)
        self.assertEqual(rows[-1][0], said[1])
        self.assertGreater(float(rows[-1][-1]), 85)
        self.assertTrue(self.path(f"res_{said[1]}_idx_uint32.bin").exists())
        for target in (-1, 100):
            self.bad(f"--target_recall: expected 0 or more, below 100, found {target}",
                     "search_memory_index", *self.search_flags(target_recall=target))

    def test_every_type_and_metric_finds_its_neighbours_in_its_own_files(self):
        signed = lambda rows: [[v - 128 for v in row] for row in rows]
        sets = {"uint8": ("B", self.base, self.queries),
                "int8": ("b", signed(self.base), signed(self.queries))}
        for word, (kind, base, queries) in sets.items():
            for metric in ("l2", "mips", "cosine", "manhattan"):
                with self.subTest(type=word, metric=metric):
                    self.write("b", bin_bytes(base, kind))
                    self.write("q", bin_bytes(queries, kind))
                    kinds = {"data_type": word, "dist_fn": metric}
                    self.good("build_memory_index", *self.flags(
                        **kinds, data_path=self.path("b"), index_path_prefix=self.path("index")))
                    self.good("utils/compute_groundtruth", *self.truth_flags(
                        **kinds, base_file=self.path("b"), query_file=self.path("q")))
                    _, rows = table(self.good("search_memory_index", *self.search_flags(
                        **kinds, query_file=self.path("q"))))
                    self.assertGreater(float(rows[2][-1]), 97)
        halves = struct.pack("<ii", 200, 2) + b"".join(struct.pack("<ee", i, 1) for i in range(200))
        self.write("halves", halves)
        self.good("utils/compute_groundtruth", *self.truth_flags(
            data_type="float16", K=3, base_file=self.path("halves"),
            query_file=self.path("halves")))
        ids, distances = read_truth(self.path("gt"))
        self.assertEqual(ids[100][0], 100)
        self.assertEqual(sorted(ids[100][1:]), [99, 101])
        self.assertEqual(distances[100], [0, 1, 1])

    def test_an_index_with_tags_answers_with_tags(self):
        self.index_and_truth()
        # A frozen point behind the last row makes the static index a dynamic one.
        graph = self.path("index").read_bytes()
        start = struct.unpack("<I", graph[12:16])[0]
        graph = (struct.pack("<QIIQ", len(graph) + 8, max(1, *struct.unpack("<I", graph[8:12])),
                             2000, 1) + graph[24:] + struct.pack("<II", 1, start))
        self.write("index", graph)
        self.write("index.data", bin_bytes(self.base + [self.base[start]], "B"))
        tags = [i + 1 for i in range(2000)] + [0]
        self.write("index.tags", struct.pack("<ii", 2001, 1) + array.array("I", tags).tobytes())
        self.good("utils/compute_groundtruth", *self.truth_flags(
            base_file=self.path("index.data"), tags_file=self.path("index.tags")))
        for yes in ("1", "true", "ON", "yes"):
            header, rows = table(self.good("search_memory_index",
                                           *self.search_flags(dynamic="true", tags=yes)))
        self.assertEqual(header, ["Ls", "QPS", "Mean Latency (mus)", "99.9 Latency", "Recall@10"])
        self.assertGreater(float(rows[2][-1]), 99)

    def test_bad_builds_leave_no_index(self):
        bad = lambda text, *words: self.bad(text, "build_memory_index", *words)
        bad("--data_type", *self.build_flags()[2:])
        bad("max_degree", *self.build_flags(max_degree=3))
        bad("alpha", *self.build_flags(alpha="7"))
        bad("--alpha: expected a number, found 'x'", *self.build_flags(alpha="x"))
        bad("--passes: expected 1 or 2, found 3", *self.build_flags(passes=3))
        bad("not possible with shoal yet", *self.build_flags(build_PQ_bytes=8))
        bad("x: expected a text file", *self.build_flags(label_file="x"))
        bad("not possible with shoal yet", *self.build_flags(), "--use_opq")
        bad("--nonsense", *self.build_flags(), "--nonsense")
        elsewhere = lambda prefix: [*self.build_flags()[:6], "--index_path_prefix", prefix]
        bad("no folder", *elsewhere(self.path("no/index")))
        bad("expected a file's name, found a folder", *elsewhere(self.folder))
        bad("expected a file's name, found a folder", *elsewhere(f"{self.folder}/"))
        bad("--data_type: expected float, int8, uint8 or bit", "--data_type", "float16",
            *self.build_flags()[2:])
        zero = self.write("zero", bin_bytes([[0] * DIM, [1] * DIM], "B"))
        bad("row 0: ", "--data_type", "uint8", "--dist_fn", "cosine", "--data_path", zero,
            "--index_path_prefix", self.path("index"))

    def test_bad_searches_name_what_is_wrong(self):
        self.index_and_truth()
        bad = lambda text, **more: self.bad(text, "search_memory_index", *self.search_flags(**more))
        bad("--tags: expected true with --dynamic true, found false", dynamic="true")
        bad("--tags: expected true or false, found 'maybe'", tags="maybe")
        bad("index.tags: cannot open for reading: No such file", tags="true")
        bad("--search_list: expected a value of at least", search_list="5")
        bad("--search_list: expected whole numbers, found 'x'", search_list="10 x")
        bad("--recall_at: expected at least 1, found 0", recall_at=0)
        bad("--fail_if_recall_below", fail_if_recall_below=100)
        bad("--gt_file: expected a file", gt_file="null", fail_if_recall_below=5)
        bad("missing: cannot open for reading", gt_file=self.path("missing"))
        bad("neighbours of a query: expected at least --recall_at 21, found 20", recall_at=21)
        bad("queries: expected 1 as the query file has, found 50",
            query_file=self.write("q", bin_bytes(self.queries[:1], "B")))
        bad("dimension: expected 2, found 16", gt_file="null",
            query_file=self.write("q", bin_bytes([[1, 2]], "B")))
        bad("no folder", result_path=self.path("no/res"))
        bad("zero: query 0: ", gt_file="null", dist_fn="cosine",
            query_file=self.write("zero", bin_bytes([[0] * DIM], "B")))
        graph = self.path("index").read_bytes()
        self.write("index", graph[:28] + struct.pack("<I", 2000) + graph[32:])
        bad("neighbours of node 0: expected node numbers below 2000, found 2000")
        self.write("index", graph[:-4])
        bad("index: size: expected")


    def test_truth_that_cannot_be_true_is_refused(self):
        self.index_and_truth()
        bad = lambda text, **more: self.bad(text, "search_memory_index", *self.search_flags(**more))
        ids, distances = read_truth(self.path("gt"))

        def write(ids, distances, kind="I"):
            rows = struct.pack("<ii", len(ids), len(ids[0])) + array.array(
                kind, sum(ids, [])).tobytes()
            self.write("gt", rows + array.array("f", sum(distances, [])).tobytes())

        write(ids, [], "q")
        bad("gt: id 3 of query 0: expected each id once, found 0 as at 1")
        write([[float(i) for i in row] for row in ids], distances, "f")
        bad("gt: id 0 of query 0: expected a row number of the index of 2000 points, found ")
        write([[2000, *row[1:]] for row in ids], distances)
        bad("expected a row number of the index of 2000 points, found 2000")
        write([[row[0]] * 20 for row in ids], distances)
        bad("gt: id 1 of query 0: expected each id once, found ")
        write(ids, [row[::-1] for row in distances])
        bad("gt: distance 1 of query 0: expected none nearer than that before it, found ")

    def test_truth_may_name_tags_that_have_gone_but_not_only_such(self):
        prefix = self.path("stream")
        self.good("test_insert_deletes_consolidate", *self.flags(
            data_type="uint8", dist_fn="l2", data_path=self.path("base.u8bin"),
            index_path_prefix=prefix, points_to_skip=0, beginning_index_size=2000,
            points_per_checkpoint=1000, checkpoints_per_snapshot=0,
            points_to_delete_from_beginning=500, start_deletes_after=0, do_concurrent="false"))
        prefix = f"{prefix}.after-delete-del500-2000"
        self.good("utils/compute_groundtruth", *self.truth_flags(tags_file=self.write(
            "tags", bin_bytes([[i + 1] for i in range(2000)], "I"))))
        flags = self.search_flags(index_path_prefix=prefix, dynamic="true", tags="true")
        gone = sum(i <= 500 for row in read_truth(self.path("gt"))[0] for i in row)
        self.assertGreater(gone, 0)
        self.assertIn(f"WARNING: {gone} of the ids in ", self.good("search_memory_index", *flags))
        self.good("utils/compute_groundtruth", *self.truth_flags(tags_file=self.write(
            "tags", bin_bytes([[i + 5000] for i in range(2000)], "I"))))
        self.bad("gt: ids: expected tags of the index, found not one among 1000",
                 "search_memory_index", *flags)


class ZeroVectors(Case):
    """Under cosine these have no direction. Published sets have some."""

    ROWS, QUERIES = (77, 300, 1999), (0, 3)

    def setUp(self):
        super().setUp()
        for row in self.ROWS:
            self.base[row] = [0] * DIM
        for query in self.QUERIES:
            self.queries[query] = [0] * DIM
        self.good_queries = self.write("good.u8bin", bin_bytes(self.queries[10:], "B"))
        self.write("base.u8bin", bin_bytes(self.base, "B"))
        self.write("query.u8bin", bin_bytes(self.queries, "B"))

    def stream_flags(self, **more):
        return self.flags(**{
            "data_type": "uint8", "dist_fn": "cosine", "data_path": self.path("base.u8bin"),
            "index_path_prefix": self.path("stream"), "points_to_skip": 0,
            "beginning_index_size": 500, "points_per_checkpoint": 200,
            "checkpoints_per_snapshot": 0, "points_to_delete_from_beginning": 310, **more})

    def window_flags(self, **more):
        return self.flags(**{
            "data_type": "uint8", "dist_fn": "cosine", "data_path": self.path("base.u8bin"),
            "index_path_prefix": self.path("window"), "active_window": 500,
            "consolidate_interval": 190, **more})

    def test_without_the_flag_the_first_is_named_and_counted_before_the_work(self):
        row = "base.u8bin: row 77: expected a direction for cosine, found a zero vector (3 of 2000 are)"
        query = "query.u8bin: query 0: expected a direction for cosine, found a zero vector (2 of 50 are)"
        how = "; --skip_zero_vectors leaves them out"
        truth = "utils/compute_groundtruth"
        self.bad(row + how, truth, *self.truth_flags(dist_fn="cosine", query_file=self.good_queries))
        self.bad(query + how, truth, *self.truth_flags(dist_fn="cosine"))
        self.bad(row + how, "test_insert_deletes_consolidate", *self.stream_flags())
        self.bad(row + how, "test_streaming_scenario", *self.window_flags())
        other = "test_insert_deletes_consolidate --skip_zero_vectors leaves them out, with tags"
        build = self.flags(data_type="uint8", dist_fn="cosine", data_path=self.path("base.u8bin"),
                           index_path_prefix=self.path("index"))
        self.bad(f"{row}; {other}", "build_memory_index", *build)
        self.bad(other, "build_memory_index", *build, "--skip_zero_vectors")
        rows = [row for row in self.base if any(row)]
        self.write("base.u8bin", bin_bytes(rows, "B"))
        self.good("build_memory_index", *build)
        search = self.search_flags(dist_fn="cosine", gt_file="null")
        self.bad(query + how, "search_memory_index", *search)
        out = self.good("search_memory_index", *search, "--skip_zero_vectors")
        self.assertEqual(out.count("Zero vectors are left out: 2 of 50 in "), 1, out)
        self.write("query.u8bin", bin_bytes([[0] * DIM] * 5, "B"))
        self.bad("query 0: expected a direction for cosine, found a zero vector (5 of 5 are)\n",
                 "search_memory_index", *search, "--skip_zero_vectors")

    def test_other_metrics_take_them_with_the_flag_and_without(self):
        for metric in ("l2", "mips"):
            for flag in ((), ("--skip_zero_vectors",)):
                flags = self.truth_flags(dist_fn=metric)
                self.assertNotIn("left out", self.good("utils/compute_groundtruth", *flags, *flag))
                self.good("test_insert_deletes_consolidate", *self.stream_flags(dist_fn=metric),
                          *flag)
                self.assertEqual(len(read_bin(self.path("stream.after-delete-del310-2000.tags"),
                                              "I")), 2000 - 310 + 1)

    def test_truth_without_them_has_the_numbers_of_the_rows(self):
        out = self.good("utils/compute_groundtruth", *self.truth_flags(dist_fn="cosine"),
                        "--skip_zero_vectors")
        self.assertEqual(out.count("Zero vectors are left out: 3 of 2000 in "), 1, out)
        self.assertEqual(out.count("Zero vectors are left out: 2 of 50 in "), 1, out)
        self.assertNotIn("WARNING", out)
        ids, distances = read_truth(self.path("gt"))
        dot = lambda a, b: sum(x * y for x, y in zip(a, b))
        for q, query in enumerate(self.queries):
            if q in self.QUERIES:
                self.assertEqual(ids[q], [0xffffffff] * 20)
                self.assertEqual(distances[q], [float("inf")] * 20)
            elif q % 7 == 1:
                order = sorted((-dot(query, row) / dot(row, row) ** .5, i)
                               for i, row in enumerate(self.base) if any(row))
                self.assertEqual(ids[q], [i for _, i in order[:20]])

    def test_truth_in_parts_is_that_in_one(self):
        rng = random.Random(3)
        big = [[rng.random() for _ in range(DIM)] for _ in range(33000)]  # Three parts of 1 MB.
        for row in (0, 20000, 32999):
            big[row] = [-0.0] * DIM
        self.write("big", bin_bytes(big, "f"))
        self.write("q", bin_bytes([[float(v) for v in row] for row in self.queries], "f"))
        flags = [*self.truth_flags(data_type="float", dist_fn="cosine", base_file=self.path("big"),
                                   query_file=self.path("q")), "--skip_zero_vectors"]
        self.good("utils/compute_groundtruth", *flags)
        whole = self.path("gt").read_bytes()
        self.assertIn("3 of 33000", self.good("utils/compute_groundtruth", *flags, "--part_mb", 1))
        self.assertEqual(self.path("gt").read_bytes(), whole)
        self.assertEqual({0, 20000, 32999} & set(sum(read_truth(self.path("gt"))[0], [])), set())

    def test_streams_leave_them_out_and_their_searches_are_judged_by_the_others(self):
        skip = "--skip_zero_vectors"
        for concurrent in ("false", "true"):
            out = self.good("test_insert_deletes_consolidate",
                            *self.stream_flags(do_concurrent=concurrent, start_deletes_after=600),
                            skip)
            self.assertEqual(out.count("Zero vectors are left out: 3 of 2000 in "), 1, out)
            self.assertEqual(sum(map(int, re.findall(r"deletes processed: (\d+)", out))), 308)
        prefix = self.path("stream.after-concurrent-delete-del310-2000")
        tags = [row[0] for row in read_bin(f"{prefix}.tags", "I")]
        self.assertEqual(sorted(tags), [0, *range(311, 2000)])
        self.good("utils/compute_groundtruth", *self.truth_flags(
            dist_fn="cosine", base_file=f"{prefix}.data", tags_file=f"{prefix}.tags"), skip)
        out = self.good("search_memory_index", *self.search_flags(
            dist_fn="cosine", index_path_prefix=prefix, dynamic="true", tags="true",
            search_list="2000"), skip)
        self.assertEqual(table(out)[1][0][-1], "100.00")
        found = read_bin(self.path("res_2000_idx_uint32.bin"), "I")
        at = read_bin(self.path("res_2000_dists_float.bin"), "f")
        for q in range(50):
            if q in self.QUERIES:
                self.assertEqual((found[q], at[q]), ([0xffffffff] * 10, [float("inf")] * 10))
            else:
                self.assertNotIn(0xffffffff, found[q])
        # Rows before the skipped ones do not count.
        out = self.good("test_insert_deletes_consolidate",
                        *self.stream_flags(points_to_skip=100, max_points_to_insert=1000), skip)
        self.assertIn("Zero vectors are left out: 1 of 1000 in ", out)
        out = self.good("test_streaming_scenario", *self.window_flags(), skip)
        self.assertIn("Zero vectors are left out: 3 of 2000 in ", out)
        tags = read_bin(self.path("window.after-streaming-act500-cons190-max2000.tags"), "I")
        self.assertEqual(sorted(tags), [[0], *([i] for i in range(2000 - 690 + 1, 2000))])

    def test_a_stream_that_would_end_without_points_is_refused_before_the_work(self):
        rows = self.base[:1000] + [[0] * DIM] * 1000
        self.write("base.u8bin", bin_bytes(rows, "B"))
        self.bad("--points_to_delete_from_beginning: expected less than all 2000 points",
                 "test_insert_deletes_consolidate",
                 *self.stream_flags(points_to_delete_from_beginning=1000), "--skip_zero_vectors")
        self.bad("base.u8bin: the last 690 rows: expected a point to be left",
                 "test_streaming_scenario", *self.window_flags(), "--skip_zero_vectors")


class EveryProgram(Case):
    PROGRAMS = ("build_memory_index", "search_memory_index", "utils/compute_groundtruth",
                "utils/fvecs_to_bin", "utils/bvecs_to_bin", "utils/npy_to_bin", "utils/snapshot_info",
                "utils/rand_data_gen", "test_insert_deletes_consolidate", "test_streaming_scenario")

    def test_help_and_version_are_exit_status_0(self):
        for program in self.PROGRAMS:
            for flag in ("-h", "--help"):
                self.assertIn("Usage:", self.good(program, flag))
            self.assertRegex(self.good(program, "--version"),
                             r"^\w+ \(shoal \d+\.\d+\.\d+, \w+\)\n$")
            forced = self.good(program, "--version", env={"SHOAL_ISA": "scalar"})
            self.assertIn(", scalar)", forced)

    def test_an_instruction_set_that_is_not_here_is_said_and_not_used(self):
        result = run("build_memory_index", *self.build_flags(), env={"SHOAL_ISA": "neon"})
        self.assertEqual(result.returncode, 0)
        self.assertRegex(result.stderr, r"^build_memory_index: SHOAL_ISA.*neon.*\n$")

    def test_the_benchmarks_name_version_and_instruction_set(self):
        if not (APPS / "../bench/shoal-bench").exists():
            self.skipTest("built without the benchmarks")
        self.assertRegex(self.good("../bench/shoal-bench", "--version"),
                         r"^shoal-bench \(shoal \d+\.\d+\.\d+, \w+\)\n$")

    def test_unexpected_arguments_are_listed_in_order(self):
        extra = ("one", "--two", "three", "-4")
        text = "expected no further arguments, found one --two three -4 (--help"
        self.bad(text, "utils/bvecs_to_bin", "in", "out", *extra)
        self.bad(text, "build_memory_index", *self.build_flags(), *extra)

    def test_no_arguments_are_exit_status_1(self):
        for program in self.PROGRAMS:
            self.bad("required", program)


class Progress(Case):
    """Long work on a terminal has a live line with rate and time left, in a log a line a tenth."""

    ROWS = 60000
    # Of any length: a machine that pauses at the start makes the first estimate minutes.
    DURATION = r"(\d+ s|\d+ min \d+ s|\d+ h \d+ min)"

    def build(self):
        rng = random.Random(1)
        rows = bytes(rng.randrange(256) for _ in range(self.ROWS * DIM))
        data = self.write("many", struct.pack("<ii", self.ROWS, DIM) + rows)
        return self.flags(data_type="uint8", dist_fn="l2", data_path=data, num_threads=1, Lbuild=200,
                          index_path_prefix=self.path("index"))

    def test_on_a_terminal_one_line_lives(self):
        master, terminal = os.openpty()
        process = subprocess.Popen(
            [APPS / "build_memory_index", *map(str, self.build())], stdout=subprocess.DEVNULL,
            stderr=terminal)
        os.close(terminal)
        text = b""
        try:
            while piece := os.read(master, 4096):
                text += piece
        except OSError:  # The other end is closed.
            pass
        os.close(master)
        self.assertEqual(process.wait(), 0)
        lines = text.decode().replace("\r\n", "\n").split("\r")
        self.assertGreater(len(lines), 3, text)
        so_far = r"^Inserting: \d+ % of 60000 points, \d+/s, "
        self.assertRegex(lines[1], so_far + self.DURATION + r" left\x1b\[K$")
        self.assertRegex(lines[-1], r"^Inserting: 100 % of 60000 points, \d+/s, " + self.DURATION +
                         r"\x1b\[K\n$")

    def test_in_a_log_lines_are_few_and_plain(self):
        result = run("build_memory_index", *self.build())
        self.assertEqual(result.returncode, 0, result.stderr)
        lines = result.stderr.splitlines()
        self.assertIn(len(lines), range(1, 11), result.stderr)
        for line in lines:
            self.assertRegex(line, r"^Inserting: \d+ % of 60000 points, \d+/s, " + self.DURATION +
                             r"( left)?$")

    def test_quick_work_says_nothing(self):
        self.assertEqual(run("build_memory_index", *self.build_flags()).stderr, "")


@unittest.skipIf(data_folder() is None, "the shared SIFT set is not here")
class Sift(Case):
    def test_fvecs_to_recall_on_real_descriptors(self):
        with open(data_folder() / "sift-1m.u8bin", "rb") as file:
            data = file.read(8 + 5000 * 128)[8:]
        rows = [[float(v) for v in data[i * 128:(i + 1) * 128]] for i in range(5000)]
        self.write("base.fvecs", vecs_bytes(rows[:4900], "f"))
        self.write("query.fvecs", vecs_bytes(rows[4900:], "f"))
        for name in ("base", "query"):
            self.good("utils/fvecs_to_bin", "float", self.path(name + ".fvecs"),
                      self.path(name + ".fbin"))
        self.good("build_memory_index", *self.flags(
            data_type="float", dist_fn="l2", data_path=self.path("base.fbin"),
            index_path_prefix=self.path("index")))
        files = {"data_type": "float", "query_file": self.path("query.fbin")}
        self.good("utils/compute_groundtruth", *self.truth_flags(
            **files, base_file=self.path("base.fbin")))
        _, rows = table(self.good("search_memory_index", *self.search_flags(**files)))
        self.assertGreater(float(rows[1][-1]), 95)
        self.assertGreater(float(rows[2][-1]), 99)


if __name__ == "__main__":
    APPS = pathlib.Path(sys.argv.pop(1)).resolve()
    unittest.main()
