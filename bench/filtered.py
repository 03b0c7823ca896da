#!/usr/bin/env python3
"""Searches with a filter: the sets that are accepted, and compare.py's measurement of them.

  filtered.py BASE QUERIES ROWS COUNT PERCENTS FOLDER     writes the sets; needs numpy

Of each of COUNT queries all rows are sorted by their distance. "random" accepts any, "correlated" the nearest,
"anticorrelated" the farthest so many percent. A file `KIND-PERCENT.bits` has ceil(rows / 8) bytes for each query,
the first row in the lowest bit; `KIND-PERCENT.truth` the nearest of what is accepted, as a truthset.
"""
import os
import subprocess
import sys

import curves
import results

KINDS = ("random", "correlated", "anticorrelated")
# Those that take filters, "faiss-flat" as brute force: it scores what is accepted, row by row.
ENGINES = ("faiss-flat", "shoal-f32", "shoal-rq4", "hnswlib-f32", "faiss-f32", "faiss-hnsw-sq8")
WITHOUT = ("usearch (2.26 at least): its Python package has no search with a predicate",)
TRUTH = 32  # More than k: rows as near as the k-th count, too.


def write_sets(base, queries, most, count, percents, folder):
    import numpy as np
    from worker.worker import read_rows
    rows, queries = read_rows(base, np.float32, most), read_rows(queries, np.float32, 0)[:count]
    norms, draw, truths = np.einsum("ij,ij->i", rows, rows), np.random.default_rng(1), {}
    for query in queries:
        nearness = norms - 2 * (rows @ query)
        order = np.argsort(nearness, kind="stable")
        for kind in KINDS:
            for percent in percents:
                n = max(1, round(len(rows) * float(percent) / 100))
                chosen = {"random": lambda: np.sort(draw.choice(len(rows), n, replace=False)),
                          "correlated": lambda: np.arange(n),
                          "anticorrelated": lambda: np.arange(len(rows) - n, len(rows))}[kind]
                accepted = order[chosen()]
                flags = np.zeros(len(rows), bool)
                flags[accepted] = True
                with open(f"{folder}/{kind}-{percent}.bits", "ab") as file:
                    np.packbits(flags, bitorder="little").tofile(file)
                nearest = accepted[:TRUTH]
                truths.setdefault((kind, percent), []).append((nearest, nearness[nearest]))
    for (kind, percent), found in truths.items():
        with open(f"{folder}/{kind}-{percent}.truth", "wb") as file:
            np.array([len(found), len(found[0][0])], np.uint32).tofile(file)
            np.array([ids for ids, _ in found], np.uint32).tofile(file)
            np.array([near for _, near in found], np.float32).tofile(file)


def _check(name, found, k, expected, bits, width):
    """The searches that lack hits. Ends the process at one that the filter refuses."""
    lacking = 0
    for query in range(len(found) // k):
        hits = [i for i in found[query * k : (query + 1) * k] if i != curves.NO_ID]
        for i in hits:
            if not bits[query * width + i // 8] >> i % 8 & 1:
                sys.exit(f"{name}: query {query}: expected accepted rows, found row {i}")
        lacking += len(set(hits)) < expected
    return lacking


def measure(comparison, k, folder):
    """A row for each engine and set: medians of the rounds, which engines take in turns."""
    args = comparison.args
    percents, rows = args.filters.split(","), {}
    subprocess.run([args.python, os.path.abspath(__file__), comparison.base, comparison.queries,
                    str(comparison.rows), str(args.filter_queries), args.filters, folder], check=True)
    for number in range(args.rounds):
        for kind, percent in ((kind, percent) for kind in KINDS for percent in percents):
            path = f"{folder}/{kind}-{percent}"
            truth = curves.Truth(path + ".truth")
            with open(path + ".bits", "rb") as file:
                bits = file.read()
            for name, worker in comparison.workers.items():
                answered = worker.ask("answer", list=args.filter_list, k=k, ids=folder + "/ids", accepted=path + ".bits")
                found, expected = curves.read_ids(folder + "/ids"), min(k, truth.k)
                width = len(bits) // truth.queries
                row = rows.setdefault((kind, percent, name), {
                    "where": kind, "percent": percent, "engine": name,
                    "accepted": bin(int.from_bytes(bits[:width], "little")).count("1"),
                    "recall": truth.recall([i for q in range(truth.queries) for i in found[q * k : q * k + expected]],
                                           expected),
                    "searches_without_all_hits": _check(name, found, k, expected, bits, width),
                    "distances": answered["distances"], "cpu_us": []})
                row["cpu_us"].append(answered["cpu_us"])
        print(f"round {number + 1} of {args.rounds}", file=sys.stderr, flush=True)
    for row in rows.values():
        row["cpu_us"] = results.median(row["cpu_us"])
    return list(rows.values())


if __name__ == "__main__":
    write_sets(*sys.argv[1:3], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5].split(","), sys.argv[6])
