"""What the comparisons measure as a results file of shoal-bench (docs/results.md)."""
import json
import os
import shlex

SCHEMA, VERSION = "shoal-bench-results", 1


def median(values):
    return sorted(values)[len(values) // 2]


def _curves(name, engine, k):
    """One curve for each number of threads; what was not timed stands in the first."""
    threads = sorted({int(t) for p in engine["curve"] for t in p.get("samples", {})})
    for number, count in enumerate(threads or [1]):
        points = []
        for measured in engine["curve"]:
            samples = measured.get("samples", {}).get(str(count), [])
            if number > 0 and not samples:
                continue
            point = {"list": measured["list"], "recall": round(measured["recall"], 6)}
            point["qps"] = [round(s["qps"], 1) for s in samples]
            if measured.get("distances") is not None:
                point["distances"] = round(measured["distances"], 1)
            for field in ("p50_us", "p99_us", "p999_us"):
                taken = [s[field] for s in samples if field in s]
                if taken:
                    point[field] = round(median(taken), 1)
            points.append(point)
        yield {"engine": name, "threads": count, "k": k, "points": points}


def _build(name, engine):
    fields = {field: engine["build"][field] for field in ("threads", "list", "others", "from")
              if field in engine["build"]}
    rounded = {field: round(engine["build"][field], 4) for field in ("seconds", "cpu_seconds")}
    return {"engine": name, **rounded, **fields}


def _memory(name, engine):
    """The process's growth; what of it are huge pages; the engine's own account and what it promises."""
    built, memory, rows = engine["build"], engine["memory"], engine["load"]["rows"]
    row = {"engine": name, "points": rows,
           "bytes_per_point": round((built["rss_after"] - built["rss_before"]) / rows, 1),
           "huge_page_share": round(memory["huge"] / max(1, memory["rss"]), 2)}
    parts = {key.removeprefix("own_"): round(value / rows, 2) for key, value in memory.items()
             if key.startswith("own_")}
    if parts:
        row["own_per_point"] = parts.pop("total")
        element = {"f32": 4, "u8": 1}.get(name.rsplit("-", 1)[-1])  # Of a code nothing is promised.
        if element:
            promised = engine["load"]["dim"] * element + 4 * built["degree"] + 6 * memory["average_degree"] + 48
            row["promised_per_point"] = round(promised, 1)
        row["parts"] = parts
    return row


def _settings(engine):
    """What an engine is and was built with, in its own words."""
    facts = {key: engine["load"][key] for key in ("version", "isa") if key in engine["load"]}
    built = engine["build"]
    own = {key.removeprefix("set_"): v for key, v in built.items() if key.startswith("set_")}
    facts.update(own or {"degree": built["degree"], "list": built["list"]})
    if built.get("huge"):
        facts["huge_pages"] = "asked for"
    return facts


def sections(engines, k):
    """Of {name: {"load", "build", "memory", "curve"}}, as compare.py gathers them."""
    return {
        "curves": [curve for name, engine in engines.items() if "curve" in engine for curve in _curves(name, engine, k)],
        "builds": [_build(name, engine) for name, engine in engines.items()],
        "memory": [_memory(name, engine) for name, engine in engines.items()],
        "files": [{"engine": name, **engine["database"]} for name, engine in engines.items()
                  if "database" in engine],
        "settings": {name: _settings(engine) for name, engine in engines.items()},
    }


def others_of(engines):
    samples = [s["others"] for e in engines.values() for p in e.get("curve", [])
               for timed in p.get("samples", {}).values() for s in timed]
    return round(median(samples), 3) if samples else None


def document(machine, command, run, seconds):
    """`machine`: of the beginning; `run`: type, name, input, results and perhaps others_cores."""
    run = {**run, "status": "finished", "started": machine["date"], "seconds": round(seconds, 1)}
    return {"schema": SCHEMA, "version": VERSION, "machine": machine, "command": command, "runs": [run]}


def write(path, whole):
    """Whole or not at all."""
    with open(path + ".part", "w", encoding="utf-8") as file:
        json.dump(whole, file, indent=1)
        file.write("\n")
    os.replace(path + ".part", path)


def command_of(script, arguments):
    """How these figures were made; folders of this one machine are left out."""
    words, skipped = ["python3", script], ("--out",)
    given = iter(arguments)
    for word in given:
        if word in skipped:
            next(given, None)
        elif word.split("=")[0] not in skipped:
            words.append(os.path.basename(word.rstrip("/")) if os.path.isabs(word) else word)
    return shlex.join(words)
