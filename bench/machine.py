"""What a measurement was taken on, and who else used the machine meanwhile."""
import datetime
import json
import os
import platform
import subprocess
import sys
import time


def _first_line_with(path, prefix):
    try:
        with open(path, encoding="utf-8") as lines:
            return next((l.split(":", 1)[1].strip() for l in lines if l.startswith(prefix)), "?")
    except OSError:
        return "?"


def _build_facts(programs):
    """Of the build that the folder `programs` is of."""
    path = os.path.join(programs, "shoal-bench")
    try:
        done = subprocess.run([path, "machine"], capture_output=True, text=True, check=True)
    except OSError:
        sys.exit(f"{path}: expected a program, which says of what commit it was built; found none")
    told = json.loads(done.stdout)
    return {key: told[key] for key in ("isa", "commit", "compiler", "build_type")}


def facts(programs=None):
    """What a reader of the results wants to know of this machine; of a build too, if one is named."""
    huge = "/sys/kernel/mm/transparent_hugepage/enabled"
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "cpu": _first_line_with("/proc/cpuinfo", "model name"),
        "cores": len(os.sched_getaffinity(0)),
        "memory": _first_line_with("/proc/meminfo", "MemTotal"),
        "kernel": platform.release(),
        "huge_pages": open(huge, encoding="ascii").read().strip() if os.path.exists(huge) else "none",
        "load_at_start": os.getloadavg()[0],
        **(_build_facts(programs) if programs else {}),
    }


def _busy_seconds():
    """CPU seconds that all cores together have spent on anything but idling, stolen ones included."""
    with open("/proc/stat", encoding="ascii") as lines:
        user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, next(lines).split()[1:9])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


class OthersMeter:
    """How many cores others kept busy between its making and `cores(own CPU seconds)`."""

    def __init__(self):
        self._busy, self._start = _busy_seconds(), time.monotonic()

    def cores(self, own_cpu_seconds):
        elapsed = time.monotonic() - self._start
        return max(0.0, (_busy_seconds() - self._busy - own_cpu_seconds) / max(elapsed, 1e-9))
