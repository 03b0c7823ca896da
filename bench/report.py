#!/usr/bin/env python3
"""Results files (docs/results.md) as one page of Markdown: tables, and plots where matplotlib is.

  bench/report.py results.json more.json -o report.md
  bench/report.py --a a1.json --a a2.json --b b1.json --b b2.json -o difference.md

Every plot is a file beside the page: report-1-curves.svg (--format png: .png). Tables need Python alone.
"""
import argparse
import collections
import itertools
import json
import math
import os
import pathlib
import statistics
import sys

import draw
from curves import RECALLS, at_recall, ratio_of, speeds_at, took_turns

SCHEMA, VERSION = "shoal-bench-results", 1
# Fields, by the end of their names, of which less is better.
LOWER = ("_us", "_ns", "seconds", "bytes", "distances", "per_point")


class Mistake(Exception):
    """One line that names file, field, expected and found."""


# --- Reading ---


def _at_least(least, most=math.inf):
    text = f"a number in [{least}, {most}]" if most < math.inf else f"a number of at least {least}"
    return text, lambda v: type(v) in (int, float) and least <= v <= most


_TEXT = ("a text", lambda v: isinstance(v, str))
_POSITIVE = ("a number above 0", lambda v: type(v) in (int, float) and v > 0)
# Path below a run's results -> what stands there. A last step that ends in "?" may be absent.
FIELDS = {
    "curves/*/engine": _TEXT, "curves/*/threads": _at_least(1),
    "curves/*/points/*/list": _at_least(1), "curves/*/points/*/recall": _at_least(0, 1),
    "curves/*/points/*/qps/*": _POSITIVE, "curves/*/points/*/distances?": _at_least(0),
    "filters/*/recall": _at_least(0, 1), "filters/*/cpu_us": _POSITIVE,
    "features/*/store": _TEXT, "features/*/state": _TEXT, "features/*/list?": _at_least(1),
    "features/*/recall?": _at_least(0, 1), "features/*/qps?": _POSITIVE,
    "builds/*/engine": _TEXT, "builds/*/seconds": _POSITIVE,
    "memory/*/engine": _TEXT, "memory/*/bytes_per_point": _POSITIVE,
    "stream/engine": _TEXT, "stream/steps/*/step": _at_least(0), "stream/steps/*/operation": _TEXT,
    "stream/steps/*/recall?": _at_least(0, 1), "stream/steps/*/live?": _at_least(0),
}


def _check(value, steps, path, wanted):
    """`value` and what lies below it against `wanted`; a section that is absent is no mistake."""
    def need(right, expected):
        if not right:
            raise Mistake(f"{path}: expected {expected}, found {json.dumps(value)[:60]}")

    if not steps:
        need(wanted[1](value), wanted[0])
    elif steps[0] == "*":
        need(isinstance(value, list), "a list")
        for i, each in enumerate(value):
            _check(each, steps[1:], f"{path}[{i}]", wanted)
    else:
        need(isinstance(value, dict), "an object")
        key = steps[0].removesuffix("?")
        if key in value or (len(steps) == 1 and key == steps[0]):
            _check(value.get(key), steps[1:], f"{path}.{key}", wanted)


def load(path):
    """The document of a results file. Raises Mistake."""
    try:
        document = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise Mistake(f"{path}: {error}") from None
    for field, expected in (("schema", SCHEMA), ("version", VERSION)):
        found = document.get(field) if isinstance(document, dict) else None
        if found != expected:
            raise Mistake(f"{path}: {field}: expected {expected}, found {json.dumps(found)}")
    for i, run in enumerate(document.get("runs", [])):
        for field, wanted in FIELDS.items():
            _check(run.get("results", {}), field.split("/"), f"{path}: runs[{i}].results", wanted)
    document["file"] = os.path.basename(path)
    return document


# --- Tables: a title, a head, rows of texts ---

Table = collections.namedtuple("Table", "title head rows")


def words(name):
    return name.replace("_", " ")


def number(value):
    """As people write it; "-" for what is not there."""
    if isinstance(value, list):
        return " ".join(map(number, value))
    if type(value) not in (int, float):
        return "-" if value is None else str(value)
    return f"{value:,.0f}" if value == int(value) or abs(value) >= 1000 else f"{value:.4g}"


def spread(value, low, high, digits):
    return f"{value:,.{digits}f}" + ("" if low is None else f" ({low:,.{digits}f}-{high:,.{digits}f})")


def rows_table(title, rows):
    """Any list of flat objects; the columns are the fields, in the order in which they come."""
    head = list(dict.fromkeys(key for row in rows for key, v in row.items() if not isinstance(v, dict)))
    return Table(title, list(map(words, head)), [[number(row.get(key)) for key in head] for row in rows])


def facts_table(title, facts):
    return Table(title, ["figure", "value"], [[words(name), number(v)] for name, v in facts.items()])


def _speed_row(engine, found):
    """`found`: the engine's curve for each number of threads, or None."""
    cells = [engine]
    for curve, recall in itertools.product(found, RECALLS):
        speeds = speeds_at(curve, recall) if curve else []
        cells.append(spread(statistics.median(speeds), min(speeds), max(speeds), 0) if speeds else "-")
    return cells


def _best_ratio(ours, peers, recall):
    """Of `ours` by the fastest of `peers` at a recall; rounds are pairs, since engines take turns."""
    mine = speeds_at(ours, recall)
    theirs = [(statistics.median(s), s, p["engine"]) for p in peers if (s := speeds_at(p, recall))]
    if not mine or not theirs:
        return "-"
    _, speeds, name = max(theirs)
    return f"{spread(*ratio_of(mine, speeds, True), 2)} {name}"


def _ratio_rows(found):
    """Of every shoal by the best peer of floats; by the best of bytes too, if its own are bytes."""
    def is_bytes(curve):
        return any(kind in curve["engine"] for kind in ("-u8", "-i8", "-sq8"))

    for ours in (c for c in found if c["engine"].startswith("shoal")):
        same = [c for c in found if c["threads"] == ours["threads"] and not c["engine"].startswith("shoal")]
        for kind, of_bytes in (("f32", False), ("8-bit", True)):
            peers = [c for c in same if is_bytes(c) == of_bytes]
            if peers and is_bytes(ours) >= of_bytes:
                yield [f"{ours['engine']} / best {kind} peer", str(ours["threads"]),
                       *(_best_ratio(ours, peers, recall) for recall in RECALLS)]


def curve_tables(found):
    at = f"recall@{found[0]['k']}" if found[0].get("k") else "recall"
    recalls = [f"{r:.2f}" for r in RECALLS]
    engines, threads = ({c[key]: 0 for c in found} for key in ("engine", "threads"))
    by = {(c["engine"], c["threads"]): c for c in found}
    yield Table(f"Searches per second at {at}, median (least-most) of the rounds",
                ["engine"] + [f"{r}, {t} thr." for t in threads for r in recalls],
                [_speed_row(engine, [by.get((engine, t)) for t in threads]) for engine in engines])
    yield Table("Ratio of the speeds, median of the rounds (95 % interval)",
                ["ratio", "threads", *recalls], list(_ratio_rows(found)))
    counted, latencies = {}, []
    for curve in found:
        points = [(p["recall"], p["distances"]) for p in curve["points"] if p.get("distances")]
        if points:
            values = [at_recall(points, recall) for recall in RECALLS]
            counted.setdefault(curve["engine"], [number(v and round(v)) for v in values])
        point = next((p for p in curve["points"] if p["recall"] >= 0.95 and p.get("p50_us")), None)
        if point:
            shown = ("list", "recall", "p50_us", "p99_us", "p999_us")
            latencies.append({"engine": curve["engine"], "threads": curve["threads"],
                              **{field: point.get(field) for field in shown}})
    yield Table(f"Distances a query at {at}", ["engine", *recalls],
                [[engine, *cells] for engine, cells in counted.items()])
    yield rows_table("Latency of single searches at the first list with recall of .95", latencies)


def memory_tables(memory):
    yield rows_table("Memory", memory)
    yield rows_table("Bytes a point by the engines' own accounts",
                     [{"engine": m["engine"], **m["parts"]} for m in memory if m.get("parts")])


def stream_tables(stream):
    """A row for each kind of operation: medians of its steps, and what was worst."""
    rows = []
    for operation in dict.fromkeys(s["operation"] for s in stream["steps"]):
        row = {"operation": operation}
        steps = [s for s in stream["steps"] if s["operation"] == operation]
        for field, name, of in (("step", "steps", len), ("seconds", "seconds", sum),
                                *((f, f, statistics.median) for f in (
                                    "recall", "qps", "insert_rate", "delete_rate", "replace_rate",
                                    "p50_us", "p99_us", "p999_us")),
                                ("recall", "least_recall", min), ("max_us", "max_us", max),
                                ("resident_bytes", "most_resident_bytes", max)):
            values = [s[field] for s in steps if s.get(field) is not None]
            if values:
                row[name] = of(values)
        rows.append(row)
    yield rows_table(f"{stream['engine']}: medians of the steps of each kind", rows)


def overlap_tables(overlap):
    kinds = {name: v for name, v in overlap.items() if isinstance(v, dict)}
    yield rows_table("Operations that overlapped", [{"kind": name, **v} for name, v in kinds.items()])
    yield facts_table("Over the whole run", {n: v for n, v in overlap.items() if n not in kinds})


def filter_tables(rows):
    """By where and how many points are accepted; a column for each engine. Rows of one engine are as they are."""
    if "engine" not in rows[0]:
        yield rows_table("Filters", rows)
        return
    brute = {(r["where"], r["percent"]): r["cpu_us"] for r in rows if r["engine"] == "faiss-flat"}
    figures = {
        "Recall": lambda r: r["recall"],
        "CPU time of a search by that of brute force (faiss-flat)":
            lambda r: r["cpu_us"] / brute[r["where"], r["percent"]] if brute else None,
        "CPU time of a search, us": lambda r: r["cpu_us"],
        "Distances of a search by accepted points":
            lambda r: None if r["distances"] is None else r["distances"] / r["accepted"],
        "Searches without all hits": lambda r: r["searches_without_all_hits"],
    }
    for title, figure in figures.items():
        lines = {}
        for row in rows:
            line = lines.setdefault((row["where"], row["percent"]), {
                "accepted": f"{row['percent']} % {row['where']}", "points": row["accepted"]})
            line[row["engine"]] = figure(row)
        yield rows_table(title, list(lines.values()))


def settings_tables(settings):
    yield rows_table("Settings", [{"engine": engine, "settings": ", ".join(
        f"{words(key)} {number(v)}" for key, v in facts.items())} for engine, facts in settings.items()])


SECTIONS = {"curves": curve_tables, "memory": memory_tables, "stream": stream_tables,
            "concurrent": overlap_tables, "settings": settings_tables, "filters": filter_tables}


def run_tables(results):
    """All tables of a run's results that have rows. A list of objects of any other name is a table."""
    tables, plain = [], {}
    for section, value in results.items():
        if section in SECTIONS and value:
            tables += SECTIONS[section](value)
        elif isinstance(value, list) and value and all(isinstance(v, dict) for v in value):
            tables.append(rows_table(words(section).capitalize(), value))
        elif not isinstance(value, (dict, list)):
            plain[section] = value
    return [t for t in [*tables, facts_table("Results", plain)] if t.rows]


# --- A against B ---


def _add_curve(curve, found):
    subject = f"{curve['engine']}, {curve['threads']} thr."
    for recall in RECALLS:
        found[subject, f"searches/s at recall {recall:.2f}"] += speeds_at(curve, recall)
    for point in (p for p in curve["points"] if p.get("qps")):
        for field in ("recall", "distances", "p99_us"):
            if field in point:
                found[subject, f"L = {point['list']}, {field}"].append(point[field])


def metrics_of(runs):
    """{(subject, figure): samples} of runs of one job. A row's texts say what its numbers are of."""
    found = collections.defaultdict(list)
    for results in (run.get("results", {}) for run in runs):
        for curve in results.get("curves", []):
            _add_curve(curve, found)
        rows = {name: v for name, v in results.items() if name != "curves" and isinstance(v, list)}
        rows["stream"] = results.get("stream", {}).get("steps", [])
        for section, row in ((name, r) for name, each in rows.items() for r in each if isinstance(r, dict)):
            subject = ", ".join([section, *(v for v in row.values() if isinstance(v, str))])
            for field, value in row.items():
                if type(value) is float or field.endswith(LOWER):
                    found[subject, field].append(value)
    return {key: values for key, values in found.items() if values and min(values) > 0}


def verdict(figure, ratio, low, high):
    if low is None:
        return "one sample"
    if low <= 1 <= high:
        return "no difference shown"
    return "B is worse" if (ratio > 1) == figure.endswith(LOWER) else "B is better"


def _sides_table(title, a, b, turns):
    rows = []
    for (subject, figure), samples in metrics_of(a).items():
        others = metrics_of(b).get((subject, figure))
        if not others or (samples == others and len(samples) < 2):
            continue
        ratio = ratio_of(others, samples, turns and len(samples) == len(others))
        medians = [number(statistics.median(s)) for s in (samples, others)]
        count = str(min(len(samples), len(others)))
        rows.append([f"{subject}: {figure}", spread(*ratio, 3), verdict(figure, *ratio), *medians, count])
    return Table(title, ["figure", "B / A", "verdict", "A", "B", "samples"], rows)


def compare_sides(a, b):
    """(tables, notes): B / A for every figure that runs of the same type and name have in common."""
    sides = [collections.defaultdict(list), collections.defaultdict(list)]
    for side, files in zip(sides, (a, b)):
        for run in sorted((r for f in files for r in f["runs"]), key=lambda r: r.get("started", "")):
            side[" ".join(filter(None, (run["type"], run.get("name"))))].append(run)
    tables, notes = [], ["Ratios are B / A with the middle 95 % of 2000 bootstrap samples; a difference "
                         "is claimed where that interval leaves out 1."]
    for key in (k for k in sides[0] if k in sides[1]):
        turns = took_turns(sides[0][key], sides[1][key])
        tables.append(_sides_table(key, sides[0][key], sides[1][key], turns))
        if not turns:
            notes.append(f"{key}: the runs of A and B did not take turns, so that what the machine did to "
                         "one side alone counts as a difference. Run A B A B, each into its own file.")
    alone = sorted(set(sides[0]) ^ set(sides[1]))
    notes += [f"On one side only, and left out: {', '.join(alone)}."] if alone else []
    return [t for t in tables if t.rows], notes


# --- Plots: the values; draw.py draws them ---

# Of lines each of `series` is (name, xs, ys), of bars (name, value).
Plot = collections.namedtuple("Plot", "kind title x y series")


def run_plots(results):
    """What is drawn of a run's results; plots without a point are left out."""
    curves, plots = results.get("curves", []), []
    for threads in sorted({c["threads"] for c in curves}):
        timed = [(c["engine"], [p for p in c["points"] if p.get("qps")]) for c in curves
                 if c["threads"] == threads]
        plots.append(Plot("curves", f"Speed against recall, {threads} thr. (up and right is better)",
                          "recall", "searches per second",
                          [(name, [p["recall"] for p in points], [statistics.median(p["qps"]) for p in points])
                           for name, points in timed if points]))
    work = {c["engine"]: [p for p in c["points"] if p.get("distances")] for c in reversed(curves)}
    plots.append(Plot("work", "Recall against work (up and left is better)", "distances per query", "recall",
                      [(name, [p["distances"] for p in points], [p["recall"] for p in points])
                       for name, points in reversed(work.items()) if points]))
    for section, field in (("builds", "seconds"), ("memory", "bytes_per_point")):
        plots.append(Plot("bars", f"{section.capitalize()} (less is better)", words(field), section,
                          [(row["engine"], row[field]) for row in results.get(section, [])]))
    stores = collections.defaultdict(list)
    for row in (r for r in results.get("features", []) if r.get("qps")):
        stores[f"{row['store']}, {row['state']}"].append((row["list"], row["recall"], row["qps"]))
    of_stores = {name: tuple(zip(*points)) for name, points in stores.items()}
    plots.append(Plot("curves", "Speed against recall, by where the vectors are", "recall", "searches per second",
                      [(name, recall, qps) for name, (_, recall, qps) in of_stores.items()]))
    plots.append(Plot("work", "Recall by list, by where the vectors are", "list", "recall",
                      [(name, lists, recall) for name, (lists, recall, _) in of_stores.items()]))
    filters = [r for r in results.get("filters", []) if "engine" in r]
    for where in dict.fromkeys(r["where"] for r in filters):
        for kind, field in (("work", "recall"), ("costs", "cpu_us")):
            by = collections.defaultdict(list)
            for row in (r for r in filters if r["where"] == where):
                by[row["engine"]].append((float(row["percent"]), row[field]))
            plots.append(Plot(kind, f"{words(field)}, accepted points {where}", "percent accepted", words(field),
                              [(name, *zip(*points)) for name, points in by.items()]))
    steps = results.get("stream", {}).get("steps", [])
    for field in ("recall", "p99_us", "live", "resident_bytes", "index_bytes"):
        by = collections.defaultdict(list)
        for step in (s for s in steps if s.get(field) is not None):
            by[step["operation"]].append((step.get("at_seconds", step["step"]), step[field]))
        plots.append(Plot("stream", f"{words(field)} over time", "seconds since the stream began",
                          words(field), [(name, *zip(*points)) for name, points in by.items()]))
    return [plot for plot in plots if plot.series]


# --- The page ---

# What results say is text, and stays in its cell.
_ESCAPES = str.maketrans({"<": "&lt;", ">": "&gt;", "\n": " ", **{mark: "\\" + mark for mark in "\\|*_`[]"}})


def text(value):
    return value.translate(_ESCAPES)


def markdown(table):
    lines = [table.head, ["---"] * len(table.head), *table.rows]
    return f"{text(table.title)}:\n\n" + "".join(f"| {' | '.join(map(text, line))} |\n" for line in lines)


def source(document):
    facts = dict(document.get("machine", {}))
    facts["cores"] = f"{facts['cores']} cores" if "cores" in facts else None
    told = [facts.get(f) for f in ("cpu", "cores", "kernel", "isa", "compiler", "build_type", "commit", "date")]
    return text(f"{document['file']}: {', '.join(filter(None, told))}. {document.get('command', '')}") + "\n"


def page(title, files, sides, picture):
    """`picture(plot)`: draws it and returns its file's name; None: no plots."""
    parts = [f"# {text(title)}\n"]
    if any(sides):
        tables, notes = compare_sides(*sides)
        parts += ["## A against B\n"] + [f"{side}: {source(f)}" for side, fs in zip("AB", sides) for f in fs]
        parts += [text(note) + "\n" for note in notes] + list(map(markdown, tables))
    for document in files:
        parts.append(source(document))
        for run in document["runs"]:
            results = run.get("results", {})
            parts.append(f"## {text(run.get('name') or run['type'])}\n")
            if run.get("status", "finished") != "finished":
                parts.append(f"This run is marked {run['status']}: {text(run.get('error', ''))}\n")
            parts += [f"Warning: {text(warning)}\n" for warning in run.get("warnings", [])]
            parts += map(markdown, run_tables(results))
            parts += [f"![{plot.title}]({picture(plot)})\n" for plot in run_plots(results) if picture]
    return "\n".join(parts)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("results", nargs="*", help="results files, in the order of the page")
    parser.add_argument("-o", "--output", type=pathlib.Path, help="the page; without: tables to stdout, no plots")
    parser.add_argument("--a", action="append", default=[], help="results of side A; once a file")
    parser.add_argument("--b", action="append", default=[], help="results of side B")
    parser.add_argument("--title", default="Benchmark results")
    parser.add_argument("--format", choices=("svg", "png"), default="svg", help="of the plots")
    args = parser.parse_args()
    counter = itertools.count(1)

    def picture(plot):
        name = f"{args.output.stem}-{next(counter)}-{plot.kind}.{args.format}"
        draw.draw(plot, args.output.parent / name)
        return name

    try:
        if bool(args.a) != bool(args.b) or not args.results + args.a:
            found = "one side" if args.a + args.b else "none"
            raise Mistake(f"expected results files, or --a and --b; found {found}")
        files, *sides = ([load(path) for path in paths] for paths in (args.results, args.a, args.b))
    except Mistake as mistake:
        sys.exit(f"report: {mistake}")
    if args.output is None:
        print(page(args.title, files, sides, None))
        return
    if not draw.here():
        print("report: no plots: matplotlib is not here (Debian: python3-matplotlib)", file=sys.stderr)
    args.output.parent.mkdir(parents=True, exist_ok=True)
    args.output.write_text(page(args.title, files, sides, picture if draw.here() else None), encoding="utf-8")


if __name__ == "__main__":
    main()
