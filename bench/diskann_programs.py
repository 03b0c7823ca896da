"""What jobs need that run DiskANN's programs, or ours of the same names."""
import argparse
import array
import os
import pathlib
import re
import struct
import subprocess

OURS = pathlib.Path(__file__).resolve().parent.parent / "build" / "apps"


def parser(description):
    """The arguments that jobs beside DiskANN have in common."""
    result = argparse.ArgumentParser(description=description,
                                     formatter_class=argparse.RawTextHelpFormatter)
    shared = os.environ.get("SHOAL_DATA", OURS.parents[2] / "shared" / "data")
    result.add_argument("--shared", type=pathlib.Path, default=pathlib.Path(shared))
    result.add_argument("--apps", type=pathlib.Path, default=OURS, help="folder of our programs")
    result.add_argument("--diskann", type=pathlib.Path, help="folder of DiskANN's programs")
    result.add_argument("--rows", type=int, default=1000000)
    result.add_argument("--threads", type=int, default=2)
    result.add_argument("--degree", type=int, default=32)
    return result


def to_float(source, target, rows):
    """Writes the first rows (None: all) of a .u8bin as a .fbin."""
    with open(source, "rb") as file:
        have, dim = struct.unpack("<ii", file.read(8))
        rows = have if rows is None else min(rows, have)
        with open(target, "wb") as out:
            out.write(struct.pack("<ii", rows, dim))
            for begin in range(0, rows, 10000):
                block = file.read(min(10000, rows - begin) * dim)
                array.array("f", list(block)).tofile(out)


def run(program, **flags):
    """Runs a program with --flag value pairs; a flag of one letter gets one dash. Its output."""
    command = [program]
    for flag, value in flags.items():
        short = len(flag) == 1 and program.name != "compute_groundtruth"  # Whose K has two.
        command += [("-" if short else "--") + flag, value]
    return subprocess.run(list(map(str, command)), check=True, stdout=subprocess.PIPE,
                          text=True).stdout


def search(programs, index, queries, search_list, ours=OURS):
    """recall@10 and the mean microseconds of a search of a float index with tags, one thread."""
    truth, result = f"{index}.truth", f"{index}.result"
    run(ours / "utils" / "compute_groundtruth", data_type="float", dist_fn="l2",
        base_file=f"{index}.data", query_file=queries, K=10, gt_file=truth,
        tags_file=f"{index}.tags")
    output = run(programs / "search_memory_index", data_type="float", dist_fn="l2",
                 index_path_prefix=index, result_path=result, query_file=queries, gt_file=truth,
                 K=10, L=search_list, T=1, dynamic="true", tags=1)
    cells = next(line.split() for line in output.splitlines()
                 if re.match(rf"\s*{search_list}\s+[\d.]+\s", line))
    return float(cells[-1]) / 100, float(cells[2])
