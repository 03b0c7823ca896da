"""What a measurement was taken on, and what others used of the machine meanwhile."""
import json
import os
import subprocess
import sys
import time


def facts(programs):
    """What results say of this machine and of the build that the folder `programs` is of."""
    path = os.path.join(programs, "shoal-bench")
    try:
        done = subprocess.run([path, "machine"], capture_output=True, text=True, check=True)
    except OSError:
        sys.exit(f"{path}: expected a program, which says of what commit it was built; found none")
    return json.loads(done.stdout)


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
