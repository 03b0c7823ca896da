"""The results of compare.py as Markdown."""
import statistics

import curves
from results import settings_of

FLOAT_PEERS = ("hnswlib-f32", "faiss-f32", "usearch-f32", "svs-f32", "diskann-f32")
BYTE_PEERS = ("hnswlib-u8", "faiss-sq8", "usearch-u8", "svs-u8", "diskann-u8")
# (what is claimed, our engine, the peers it is held against, factor for speed, factor for build time)
CLAIMS = (
    ("f32 against the best f32 peer", "shoal-f32", FLOAT_PEERS, 1.5, 0.7),
    ("u8 against the best f32 peer", "shoal-u8", FLOAT_PEERS, 3.0, None),
    ("u8 against the best 8-bit peer", "shoal-u8", BYTE_PEERS, 1.5, 0.4),
)
DISTANCES = (400, 600, 800, 1000, 1300, 1700, 2200, 3000, 4000)


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def _number(value, form):
    return "-" if value is None else format(value, form)


def _speeds(results, recalls, clock):
    threads = results["arguments"]["threads"].split(",")
    rows = []
    for name, engine in results["engines"].items():
        row = [name, engine["load"].get("isa", "-")]
        for count in threads:
            for recall in recalls:
                median, low, high = (
                    curves.speed_at(engine["curve"], recall, count, pick, clock)
                    for pick in (statistics.median, min, max)
                )
                row.append("-" if median is None else f"**{median:,.0f}** ({low:,.0f}-{high:,.0f})")
        rows.append(row)
    head = ["engine", "ISA"] + [f"{r:.2f}, {t} thr." for t in threads for r in recalls]
    what = "QPS" if clock == "wall" else "Searches per second of CPU time"
    return f"{what} at recall@10, median (min-max) of interleaved rounds:\n\n" + table(head, rows)


def _better(engines, peers, value):
    """The best `value(engine)` among the peers that ran, with and without huge pages, and its name."""
    names = [n for p in peers for n in (p, p + "-huge") if n in engines]
    found = [(value(engines[n]), n) for n in names]
    return max((f for f in found if f[0] is not None), default=(None, None))


def _claims(results, recalls, clock):
    engines, rows = results["engines"], []
    for claim, ours, peers, factor, _ in CLAIMS:
        if ours not in engines:
            continue
        for count in results["arguments"]["threads"].split(","):
            row = [claim, count]
            for recall in recalls:
                def speed(engine, r=recall, c=count):
                    return curves.speed_at(engine["curve"], r, c, clock=clock)

                best, name = _better(engines, peers, speed)
                mine = speed(engines[ours])
                missing = best is None or mine is None
                row.append("-" if missing else f"{mine / best:.2f} ({name})")
            rows.append(row + [f">= {factor}"])
    if not rows:
        return ""
    head = ["ratio of QPS", "threads"] + [f"{r:.2f}" for r in recalls] + ["target"]
    return "Against the best peer:\n\n" + table(head, rows)


def _counted(engine):
    """The points of a curve that know their distances; not every peer counts."""
    return [p for p in engine["curve"] if p.get("distances")]


def _settings(results):
    rows = []
    for name, engine in results["engines"].items():
        facts = settings_of(engine).items()
        rows.append([name, ", ".join(f"{key} {value}" for key, value in facts)])
    return "Settings, in the engines' own words:\n\n" + table(["engine", "settings"], rows)


def _equal_distances(results):
    names = list(results["engines"])
    rows = []
    for count in DISTANCES:
        values = [
            curves.at_distances(
                [(p["distances"], p["recall"]) for p in _counted(results["engines"][n])], count
            )
            for n in names
        ]
        if any(v is not None for v in values):
            rows.append([f"{count}"] + [_number(v, ".4f") for v in values])
    return "recall@10 at equal counts of distances:\n\n" + table(["distances"] + names, rows)


def _distances_at(results, recalls):
    rows = []
    for name, engine in results["engines"].items():
        points = [(p["recall"], p["distances"]) for p in _counted(engine)]
        rows.append([name] + [_number(curves.at_recall(points, r), ",.0f") for r in recalls])
    return "Distances per query at recall@10:\n\n" + table(
        ["engine"] + [f"{r:.2f}" for r in recalls], rows
    )


def _builds(results):
    rows = []
    for name, engine in results["engines"].items():
        built = engine["build"]
        rows.append(
            [
                name,
                f"{built['seconds']:.1f}",
                f"{built['cpu_seconds']:.1f}",
                f"{built['threads']}",
                f"{built['list']}",
                f"{built['others']:.2f}",
                built["from"],
            ]
        )
    text = "Builds (others: cores that other processes kept busy meanwhile):\n\n"
    text += table(["engine", "seconds", "CPU s", "threads", "list", "others", "from"], rows)
    for claim, ours, peers, _, factor in CLAIMS:
        if factor is None or ours not in results["engines"]:
            continue
        best, name = _better(results["engines"], peers, lambda e: -e["build"]["seconds"])
        if best is not None:
            ratio = results["engines"][ours]["build"]["seconds"] / -best
            text += f"\n{claim}, build time: {ratio:.2f} of {name} (target <= {factor})\n"
    return text


def _memory(results):
    rows = []
    for name, engine in results["engines"].items():
        built, memory, count = engine["build"], engine["memory"], engine["load"]["rows"]
        growth = built["rss_after"] - built["rss_before"]
        rows.append([name, f"{growth / count:.1f}", f"{memory['huge'] / max(1, memory['rss']):.0%}"])
    head = ["engine", "bytes per vector", "of the process in huge pages"]
    text = "Memory, as the process grew in the build:\n\n" + table(head, rows)
    for name, engine in results["engines"].items():
        if "own_total" in engine["memory"]:
            text += "\n" + _own_memory(name, engine)
    return text


def _own_memory(name, engine):
    """shoal's own account, against the process's growth and against what is promised."""
    built, memory, count = engine["build"], engine["memory"], engine["load"]["rows"]
    degree = memory["average_degree"]
    row_bytes = engine["load"]["dim"] * (4 if name.endswith("f32") else 1)
    bound = row_bytes + 4 * built["degree"] + 6 * degree + 48
    own = memory["own_total"] / count
    parts = ", ".join(
        f"{key.removeprefix('own_').replace('_', ' ')} {value / count:.1f}"
        for key, value in memory.items()
        if key.startswith("own_") and key != "own_total"
    )
    off = memory["own_total"] / (built["rss_after"] - built["rss_before"]) - 1
    return (
        f"{name}: {own:.1f} bytes per vector by its own account ({parts}), {off:+.1%} off the "
        f"process's growth; promised: at most {bound:.1f} (average degree {degree:.1f}): "
        f"{'kept' if own <= bound else 'NOT KEPT'}\n"
    )


def _latencies(results, recalls):
    rows = []
    for name, engine in results["engines"].items():
        timed = [p for p in engine["curve"] if "1" in p.get("samples", {}) and p["recall"] >= recalls[1]
                 and "p50_us" in p["samples"]["1"][0]]
        if timed:
            samples = timed[0]["samples"]["1"]
            rows.append(
                [name, f"{timed[0]['recall']:.4f}"]
                + [
                    f"{statistics.median(s[p] for s in samples):.0f}"
                    for p in ("p50_us", "p99_us", "p999_us")
                ]
            )
    head = ["engine", "recall@10", "p50 us", "p99 us", "p99.9 us"]
    text = "Latency of single searches, one thread (peers in Python: with the cost of a call):\n\n"
    return text + table(head, rows)


def _head(results):
    facts = results["machine"]
    samples = [
        s["others"]
        for e in results["engines"].values()
        for p in e["curve"]
        for run in p.get("samples", {}).values()
        for s in run
    ]
    others = f"median {statistics.median(samples):.2f}, worst {max(samples):.2f}" if samples else "-"
    return (
        f"{results['arguments']['data']}, {facts['date']}, {facts['cpu']}, {facts['cores']} cores, "
        f"Linux {facts['kernel']}; {results['arguments']['rounds']} rounds. "
        f"Cores kept busy by others during timed runs: {others}.\n"
    )


def render(results, recalls, clock):
    parts = [
        _head(results),
        _speeds(results, recalls, clock),
        _claims(results, recalls, clock),
        _distances_at(results, recalls),
        _equal_distances(results),
        _builds(results),
        _memory(results),
        _latencies(results, recalls),
        _settings(results),
    ]
    return "\n".join(p for p in parts if p)
