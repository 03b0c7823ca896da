#!/usr/bin/env python3
"""Compares engines side by side: one process each, measurements interleaved, medians reported.

  bench/compare.py --data sift-1m --engines shoal-f32,hnswlib-f32,faiss-f32 --cache DIR --out r.json

Peers: hnswlib's headers (cmake -DSHOAL_HNSWLIB_INCLUDE_DIR=...), a Python that has faiss-cpu, usearch,
rabitqlib, scalable-vs, pyvsag or glass (--python), DiskANN's C++ programs (SHOAL_DISKANN=FOLDER), hannoy (cargo,
`make peers`).
The tables go to stdout as Markdown; --out is a results file (docs/results.md), of which bench/report.py makes the
same and plots.
With --filters searches have filters (filtered.py): recall and cost by the share that is accepted, one thread.
"""
import argparse
import json
import os
import sys
import tempfile
import time

import curves
import filtered
import machine
import report
import results
from curves import RECALLS
from engines import ENGINES, Worker, available

K = 10
# Sets of `shoal-bench generate-data` that are searched by inner product.
PRODUCTS = ("cloud", "norms", "factors", "positive", "far")
# Steps of a quarter: close enough for interpolation.
LISTS = (10, 12, 15, 19, 24, 30, 38, 47, 59, 74, 92, 115, 144, 180, 225, 281, 352, 440, 550, 700)


def data_sets(shared, generated):
    """Name -> (rows, queries, truthset, number of rows; 0: all)."""
    sift, queries = f"{shared}/sift-1m.u8bin", f"{shared}/sift-query-1k.u8bin"
    return {
        "sift-1m": (sift, queries, f"{shared}/sift-1m.gt100", 0),
        "sift-100k": (sift, queries, f"{shared}/sift-100k.gt100", 100000),
    } | {
        name: tuple(f"{generated}/{name}{s}" for s in (".fbin", "-query.fbin", ".gt100")) + (0,)
        for name in ("mixture", "near-duplicates", "clusters", "unit", "zero", "zeros", "extended", *PRODUCTS)
    }


def parse_arguments():
    here = os.path.dirname(os.path.abspath(__file__))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", default="sift-1m", help="sift-1m, sift-100k, or a set of generate-data")
    parser.add_argument("--engines", help=f"by default all that can run here of {', '.join(ENGINES)}")
    parser.add_argument("--shared", default=os.environ.get("SHOAL_DATA", f"{here}/../../shared/data"))
    parser.add_argument("--data-dir", default="bench-data", help="where `shoal-bench generate-data` wrote its sets")
    parser.add_argument("--programs", default=f"{here}/../build/bench")
    parser.add_argument("--python", default=sys.executable, help="for the peers in Python")
    parser.add_argument("--cache", help="folder of the peers' indices: opened if there, else saved to")
    parser.add_argument("--fresh-builds", action="store_true", help="build even what --cache has")
    parser.add_argument("--build-list", type=int, default=100, help="L of our builds (peers: 200)")
    parser.add_argument("--build-threads", type=int, default=2)
    parser.add_argument("--threads", default="1,2", help="threads of the timed searches")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.5, help="of one timed run, at least")
    parser.add_argument("--filters", metavar="PERCENTS", help="of the rows accepted: 50,20,10,5,1,.1,.01")
    parser.add_argument("--filter-queries", type=int, default=100)
    parser.add_argument("--filter-list", type=int, default=64, help="list size, ef of searches with a filter")
    parser.add_argument("--out", help="a results file")
    return parser.parse_args()


def note(text):
    print(text, file=sys.stderr, flush=True)


class Comparison:
    def __init__(self, args):
        self.args = args
        self.base, self.queries, truth, self.rows = data_sets(args.shared, args.data_dir)[args.data]
        self.truth = curves.Truth(truth)
        self.workers = {}
        self.machine = machine.facts(args.programs)
        self.engines = {}

    def start(self, engine):
        """Starts an engine and gets it an index, of its cache or built."""
        worker = Worker(engine, self.args.programs, self.args.python)
        loaded = worker.ask(
            "load", base=self.base, queries=self.queries, type=engine.kind, rows=self.rows,
            **({"code": engine.code} if engine.code else {}),
        )
        result = {"load": loaded, "build": self.index(worker, engine)}
        worker.ask("drop")
        result["memory"] = worker.ask("memory")
        self.workers[engine.name] = worker
        self.engines[engine.name] = result
        built = result["build"]
        note(f"{engine.name}: {built['seconds']:.1f} s ({built.get('from', 'now')})")

    def index(self, worker, engine):
        options = {
            "threads": self.args.build_threads,
            "degree": 32,
            "list": self.args.build_list if engine.ours else 200,
        } | ({"metric": "inner_product"} if self.args.data in PRODUCTS else {})
        path = None
        if self.args.cache and not engine.ours and self.args.data not in PRODUCTS:
            os.makedirs(self.args.cache, exist_ok=True)
            name = f"{self.args.data}-{engine.index_name}-R{options['degree']}-L{options['list']}"
            path = os.path.join(self.args.cache, name)
            if os.path.exists(path + ".json") and not self.args.fresh_builds:
                with open(path + ".json", encoding="utf-8") as file:
                    built = json.load(file)
                opened = worker.ask("open", path=path + ".index")
                growth = {key: opened[key] for key in ("rss_before", "rss_after")}
                return {**built, **growth, "from": built["date"]}
        others = machine.OthersMeter()
        built = worker.ask("build", **options)
        built.update(options, date=self.machine["date"],
                     others=round(others.cores(built["request_cpu_seconds"]), 2))
        built["huge"] = engine.huge
        if path:
            worker.ask("save", path=path + ".index")
            with open(path + ".json", "w", encoding="utf-8") as file:
                json.dump(built, file, indent=1)
        return built

    def answer(self, name):
        """Recall and distances at rising list sizes, until the last recall is reached."""
        curve = []
        with tempfile.NamedTemporaryFile() as ids:
            for size in LISTS:
                answered = self.workers[name].ask("answer", list=size, k=K, ids=ids.name)
                recall = self.truth.recall(curves.read_ids(ids.name), K)
                curve.append({"list": size, "recall": recall, "distances": answered["distances"]})
                if recall > RECALLS[-1] + 0.003:
                    break
        self.engines[name]["curve"] = curve
        note(f"{name}: " + " ".join(f"{p['list']}:{p['recall']:.4f}" for p in curve))

    def time(self):
        """Interleaved: in every round, for every recall, each engine in turn."""
        plans = {}
        for name, result in self.engines.items():
            points = {p["list"]: p for p in result["curve"]}
            plans[name] = [points[s] for s in curves.lists_around(result["curve"], RECALLS)]
        for number in range(self.args.rounds):
            for threads in self.args.threads.split(","):
                for step in range(max(map(len, plans.values()))):
                    for name, plan in plans.items():
                        if step < len(plan):
                            self.sample(name, plan[step], threads)
            note(f"round {number + 1} of {self.args.rounds}")

    def sample(self, name, point, threads):
        others = machine.OthersMeter()
        sample = self.workers[name].ask(
            "search", list=point["list"], k=K, threads=threads, seconds=self.args.seconds
        )
        sample["threads"] = int(threads)
        sample["others"] = others.cores(sample["request_cpu_seconds"])
        point.setdefault("samples", {}).setdefault(threads, []).append(sample)

    def names(self):
        names, missing = available(self.args.programs, self.args.python)
        if self.args.engines:
            wanted = self.args.engines.split(",")
            unknown = [name for name in wanted if name not in ENGINES]
            if unknown:
                sys.exit(f"--engines: {unknown[0]}: no such engine; --help lists them")
            lacking = [name for name in wanted if name not in names]
            if lacking:
                sys.exit(f"--engines: {lacking[0]} cannot run here\n" + "\n".join(missing))
            return wanted
        for line in missing:
            note(line)
        if self.args.filters:
            return [n for n in filtered.ENGINES if n in names]
        # Float rows have no 8-bit form.
        return [n for n in names if ENGINES[n].code != "Flat" and (ENGINES[n].kind == "f32" or not self.base.endswith(".fbin"))]

    def run(self):
        """Everything measured, as a results file's document."""
        start = time.monotonic()
        for name in self.names():
            self.start(ENGINES[name])
        found, name = {}, f"Side by side on {self.args.data}"
        if self.args.filters:
            name = f"Filters on {self.args.data}"
            with tempfile.TemporaryDirectory() as folder:
                found["filters"] = filtered.measure(self, K, folder)
        else:
            for engine in self.workers:
                self.answer(engine)
            self.time()
        for engine, worker in self.workers.items():
            if ENGINES[engine].file and not self.args.filters:
                self.engines[engine]["database"] = worker.ask("database", list=100, k=K)
            worker.close()
        wanted = ["data", "build_list", "build_threads", "rounds"]
        wanted += ["filters", "filter_queries", "filter_list"] if self.args.filters else ["threads", "seconds"]
        run = {"type": "compare", "name": name,
               "input": {key: getattr(self.args, key) for key in wanted} | {"engines": list(self.engines)},
               "others_cores": results.others_of(self.engines),
               "results": found | results.sections(self.engines, K)}
        if found:
            run["warnings"] = [f"left out: {line}" for line in filtered.WITHOUT]
        command = results.command_of("bench/compare.py", sys.argv[1:])
        return results.document(self.machine, command, run, time.monotonic() - start)


def main():
    args = parse_arguments()
    measured = Comparison(args).run()
    if args.out:
        results.write(args.out, measured)
    measured["file"] = os.path.basename(args.out or "not kept")
    print(report.page(measured["runs"][0]["name"], [measured], ((), ()), None))


if __name__ == "__main__":
    main()
