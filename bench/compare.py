#!/usr/bin/env python3
"""Compares engines side by side: one process each, measurements interleaved, medians reported.

  bench/compare.py --data sift-1m --engines shoal-f32,hnswlib-f32,faiss-f32 --cache DIR --out r.json
  bench/compare.py --render r.json --results results.json

Peers: hnswlib's headers (cmake -DSHOAL_HNSWLIB_INCLUDE_DIR=...), a Python that has faiss-cpu, usearch
or scalable-vs (--python), DiskANN's C++ programs (SHOAL_DISKANN=FOLDER). The tables go to stdout as
Markdown, everything measured to --out as JSON, what `shoal-bench report` draws to --results.
"""
import argparse
import json
import os
import shlex
import sys
import tempfile
import time

import curves
import machine
import report
import results
from engines import ENGINES, Worker, available

RECALLS = (0.90, 0.95, 0.99)
K = 10
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
        for name in ("mixture", "near-duplicates")
    }


def parse_arguments():
    here = os.path.dirname(os.path.abspath(__file__))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", default="sift-1m", help="sift-1m, sift-100k, mixture or near-duplicates")
    parser.add_argument("--engines", help=f"by default all that can run here of {', '.join(ENGINES)}")
    parser.add_argument("--shared", default=os.environ.get("SHOAL_DATA", f"{here}/../../shared/data"))
    parser.add_argument("--data-dir", default="bench-data", help="where make_data wrote its sets")
    parser.add_argument("--programs", default=f"{here}/../build/bench")
    parser.add_argument("--python", default=sys.executable, help="for the peers in Python")
    parser.add_argument("--cache", help="folder of the peers' indices: opened if there, else saved to")
    parser.add_argument("--fresh-builds", action="store_true", help="build even what --cache has")
    parser.add_argument("--build-list", type=int, default=100, help="L of our builds (peers: 200)")
    parser.add_argument("--build-threads", type=int, default=2)
    parser.add_argument("--threads", default="1,2", help="threads of the timed searches")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.5, help="of one timed run, at least")
    parser.add_argument("--out", help="everything measured, as JSON")
    parser.add_argument("--results", help="a results file, for `shoal-bench report`")
    parser.add_argument("--render", help="print the tables of an earlier --out and end")
    parser.add_argument(
        "--clock", choices=("wall", "cpu"), default="wall", help="of the tables: cpu on a busy machine"
    )
    return parser.parse_args()


def note(text):
    print(text, file=sys.stderr, flush=True)


class Comparison:
    def __init__(self, args):
        self.args = args
        self.base, self.queries, truth, self.rows = data_sets(args.shared, args.data_dir)[args.data]
        self.truth = curves.Truth(truth)
        self.workers = {}
        self.results = {"machine": machine.facts(args.programs), "arguments": vars(args), "engines": {}}

    def start(self, engine):
        """Starts an engine and gets it an index, of its cache or built."""
        worker = Worker(engine, self.args.programs, self.args.python)
        loaded = worker.ask(
            "load", base=self.base, queries=self.queries, type=engine.kind, rows=self.rows
        )
        result = {"load": loaded, "build": self.index(worker, engine)}
        result["settings"] = self.settings(result["build"])
        worker.ask("drop")
        result["memory"] = worker.ask("memory")
        self.workers[engine.name] = worker
        self.results["engines"][engine.name] = result
        built = result["build"]
        note(f"{engine.name}: {built['seconds']:.1f} s ({built['from']})")

    def index(self, worker, engine):
        options = {
            "threads": self.args.build_threads,
            "degree": 32,
            "list": self.args.build_list if engine.ours else 200,
        }
        path = None
        if self.args.cache and not engine.ours:
            os.makedirs(self.args.cache, exist_ok=True)
            name = f"{self.args.data}-{engine.index_name}-R{options['degree']}-L{options['list']}"
            path = os.path.join(self.args.cache, name)
            if os.path.exists(path + ".json") and not self.args.fresh_builds:
                with open(path + ".json", encoding="utf-8") as file:
                    built = json.load(file)
                opened = worker.ask("open", path=path + ".index")
                growth = {key: opened[key] for key in ("rss_before", "rss_after")}
                return {**built, **growth, "from": f"cache, built {built['machine']['date']}"}
        facts, others = machine.facts(self.args.programs), machine.OthersMeter()
        built = worker.ask("build", **options)
        built.update(options, machine=facts, others=others.cores(built["request_cpu_seconds"]))
        built["huge"] = engine.huge
        if path:
            worker.ask("save", path=path + ".index")
            with open(path + ".json", "w", encoding="utf-8") as file:
                json.dump(built, file, indent=1)
        return {**built, "from": "this run"}

    @staticmethod
    def settings(built):
        """What the peer calls what it was built with."""
        own = {key.removeprefix("set_"): v for key, v in built.items() if key.startswith("set_")}
        return own or {"degree": built["degree"], "list": built["list"]}

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
        self.results["engines"][name]["curve"] = curve
        note(f"{name}: " + " ".join(f"{p['list']}:{p['recall']:.4f}" for p in curve))

    def time(self):
        """Interleaved: in every round, for every recall, each engine in turn."""
        plans = {}
        for name, result in self.results["engines"].items():
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
        if self.args.engines:
            return self.args.engines.split(",")
        names, missing = available(self.args.programs, self.args.python)
        for line in missing:
            note(line)
        # Float rows have no 8-bit form.
        return [n for n in names if ENGINES[n].kind == "f32" or not self.base.endswith(".fbin")]

    def run(self):
        start = time.monotonic()
        for name in self.names():
            self.start(ENGINES[name])
        for name in self.workers:
            self.answer(name)
        self.time()
        for name, worker in self.workers.items():
            self.results["engines"][name]["memory_at_end"] = worker.ask("memory")
            worker.close()
        self.results["seconds"] = time.monotonic() - start
        return self.results


def write_json(path, document):
    """Whole or not at all."""
    with open(path + ".part", "w", encoding="utf-8") as file:
        json.dump(document, file, indent=1)
        file.write("\n")
    os.replace(path + ".part", path)


def command_of(arguments):
    """How these figures were made; folders of this one machine are left out."""
    words, skipped = ["python3", "bench/compare.py"], ("--out", "--results", "--render")
    given = iter(arguments)
    for word in given:
        if word in skipped:
            next(given, None)
        elif word.split("=")[0] not in skipped:
            words.append(os.path.basename(word.rstrip("/")) if os.path.isabs(word) else word)
    return shlex.join(words)


def main():
    args = parse_arguments()
    if args.render:
        with open(args.render, encoding="utf-8") as file:
            measured = json.load(file)
    else:
        measured = Comparison(args).run()
        measured["command"] = command_of(sys.argv[1:])
        if args.out:
            write_json(args.out, measured)
    if args.results:
        command = measured.get("command", "python3 bench/compare.py")
        write_json(args.results, results.document(measured, command))
    print(report.render(measured, RECALLS, args.clock))


if __name__ == "__main__":
    main()
