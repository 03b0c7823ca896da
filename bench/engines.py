"""The engines that compare.py knows, and the processes that run them."""
import dataclasses
import json
import os
import subprocess
import sys


@dataclasses.dataclass(frozen=True)
class Engine:
    """One column of the comparison."""

    name: str
    program: str  # in the build's bench/ folder, or a .py beside this file
    kind: str  # element type of the rows: f32, u8
    huge: bool = False  # ask glibc's malloc for huge pages

    @property
    def ours(self):
        return self.program == "peer_shoal"

    @property
    def index_name(self):
        """Engines of one index name build the same index: they share its file."""
        return f"{self.program.removesuffix('.py')}-{self.kind}"


ENGINES = {
    e.name: e
    for e in (
        Engine("shoal-f32", "peer_shoal", "f32"),
        Engine("shoal-u8", "peer_shoal", "u8"),
        Engine("hnswlib-f32", "peer_hnswlib", "f32"),
        Engine("hnswlib-f32-huge", "peer_hnswlib", "f32", huge=True),
        Engine("hnswlib-u8", "peer_hnswlib", "u8"),
        Engine("hnswlib-u8-huge", "peer_hnswlib", "u8", huge=True),
        Engine("faiss-f32", "peer_faiss.py", "f32"),
        Engine("faiss-f32-huge", "peer_faiss.py", "f32", huge=True),
        Engine("faiss-sq8", "peer_faiss.py", "u8"),
        Engine("faiss-sq8-huge", "peer_faiss.py", "u8", huge=True),
    )
}


def available(programs, python):
    """Names of the engines that can run here, and one line for each program that cannot."""
    names, missing = [], {}
    for engine in ENGINES.values():
        if engine.program in missing:
            continue
        if engine.program.endswith(".py"):
            # faiss without its packages fails here rather than in the middle of a run.
            check = [python, "-c", "import faiss, numpy"]
            found = subprocess.run(check, stderr=subprocess.DEVNULL, check=False).returncode == 0
            hint = f"{python} lacks faiss-cpu and numpy (--python)"
        else:
            found = os.path.exists(os.path.join(programs, engine.program))
            hint = f"{engine.program} was not built"
        if found:
            names.append(engine.name)
        else:
            missing[engine.program] = f"left out: {hint}"
    return names, list(missing.values())


class Worker:
    """A running engine. `ask` sends a request (bench/worker/worker.h) and returns the answer."""

    def __init__(self, engine, programs, python):
        here = os.path.dirname(os.path.abspath(__file__))
        if engine.program.endswith(".py"):
            command = [python, os.path.join(here, engine.program)]
        else:
            command = [os.path.join(programs, engine.program)]
        environment = dict(os.environ)
        if engine.huge:
            environment["GLIBC_TUNABLES"] = "glibc.malloc.hugetlb=1"
        self.engine = engine
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True
        )

    def send(self, verb, **arguments):
        words = [verb] + [f"{key}={value}" for key, value in arguments.items()]
        self._process.stdin.write("\t".join(words) + "\n")
        self._process.stdin.flush()

    def receive(self):
        line = self._process.stdout.readline()
        if not line:
            sys.exit(f"{self.engine.name}: the worker ended with {self._process.wait()}")
        answer = json.loads(line)
        if "error" in answer:
            sys.exit(f"{self.engine.name}: {answer['error']}")
        return answer

    def ask(self, verb, **arguments):
        self.send(verb, **arguments)
        return self.receive()

    def close(self):
        self._process.stdin.close()
        self._process.wait()
