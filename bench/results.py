"""compare.py's results as a results file of shoal-bench (docs/results.md), which `shoal-bench report` draws."""

import datetime

SCHEMA, VERSION = "shoal-bench-results", 1


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
                taken = sorted(s[field] for s in samples if field in s)
                if taken:
                    point[field] = round(taken[len(taken) // 2], 1)
            points.append(point)
        yield {"engine": name, "threads": count, "k": k, "points": points}


def _build(name, engine):
    built = engine["build"]
    fields = {"threads": built["threads"], "list": built["list"]}
    if built["from"] != "this run":
        fields["from"] = built["machine"]["date"]
    return {
        "engine": name,
        "seconds": round(built["seconds"], 2),
        "cpu_seconds": round(built["cpu_seconds"], 2),
        **fields,
    }


def _memory(name, engine):
    built, count = engine["build"], engine["load"]["rows"]
    parts = {
        key.removeprefix("own_"): round(value / count, 2)
        for key, value in engine["memory"].items()
        if key.startswith("own_") and key != "own_total"
    }
    growth = built["rss_after"] - built["rss_before"]
    return {
        "engine": name,
        "points": count,
        "bytes_per_point": round(growth / count, 1),
        **({"parts": parts} if parts else {}),
    }


def settings_of(engine):
    """What an engine is and was built with, in its own words."""
    facts = {key: engine["load"][key] for key in ("version", "isa") if key in engine["load"]}
    built = engine["build"]
    facts.update(engine.get("settings") or {"degree": built["degree"], "list": built["list"]})
    if built.get("huge"):
        facts["huge_pages"] = "asked for"
    return facts


def _utc(date):
    """As shoal-bench writes it: texts in the order of the times."""
    return datetime.datetime.strptime(date, "%Y-%m-%d %H:%M UTC").strftime("%Y-%m-%dT%H:%M:%SZ")


def _machine(facts):
    """The names that shoal-bench gives to the same facts."""
    words = facts["memory"].split()
    kilobytes = int(words[0]) if words and words[0].isdigit() else 0
    same = ("cpu", "cores", "isa", "commit", "compiler", "build_type")
    return {
        **{key: facts[key] for key in same if key in facts},
        "memory_bytes": 1024 * kilobytes,
        "kernel": f"Linux {facts['kernel']}",
        "date": _utc(facts["date"]),
    }


def _others(engines):
    samples = sorted(
        s["others"]
        for e in engines.values()
        for p in e["curve"]
        for timed in p.get("samples", {}).values()
        for s in timed
    )
    return round(samples[len(samples) // 2], 3) if samples else None


def document(results, command):
    """`results` of a Comparison; `command`: how it was made, for whoever wants to make it again."""
    arguments, engines = results["arguments"], results["engines"]
    wanted = ("data", "build_list", "build_threads", "threads", "rounds", "seconds")
    run = {
        "type": "compare",
        "name": f"Side by side on {arguments['data']}",
        "input": {key: arguments[key] for key in wanted} | {"engines": list(engines)},
        "status": "finished",
        "started": _utc(results["machine"]["date"]),
    }
    if results.get("seconds") is not None:
        run["seconds"] = round(results["seconds"], 1)
    if _others(engines) is not None:
        run["others_cores"] = _others(engines)
    run["results"] = {
        "curves": [c for name, engine in engines.items() for c in _curves(name, engine, 10)],
        "builds": [_build(name, engine) for name, engine in engines.items()],
        "memory": [_memory(name, engine) for name, engine in engines.items()],
        "settings": {name: settings_of(engine) for name, engine in engines.items()},
    }
    return {
        "schema": SCHEMA,
        "version": VERSION,
        "machine": _machine(results["machine"]),
        "command": command,
        "runs": [run],
    }
