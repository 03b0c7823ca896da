"""What a measurement was taken on, and who else used the machine meanwhile."""
import datetime
import os
import platform
import subprocess
import time


def _first_line_with(path, prefix):
    try:
        with open(path, encoding="utf-8") as lines:
            return next((l.split(":", 1)[1].strip() for l in lines if l.startswith(prefix)), "?")
    except OSError:
        return "?"


def _commit():
    """Of this tree; with a + where it was changed since."""
    here = os.path.dirname(os.path.abspath(__file__))
    command = ["git", "-C", here, "describe", "--always", "--dirty=+", "--exclude=*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return "unknown"
    return done.stdout.strip() or "unknown"


def facts():
    """What a reader of the results wants to know of this machine."""
    huge = "/sys/kernel/mm/transparent_hugepage/enabled"
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": _commit(),
        "cpu": _first_line_with("/proc/cpuinfo", "model name"),
        "cores": len(os.sched_getaffinity(0)),
        "memory": _first_line_with("/proc/meminfo", "MemTotal"),
        "kernel": platform.release(),
        "huge_pages": open(huge, encoding="ascii").read().strip() if os.path.exists(huge) else "none",
        "load_at_start": os.getloadavg()[0],
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
