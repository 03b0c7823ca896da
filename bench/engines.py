"""The engines that compare.py knows, and the processes that run them."""
import dataclasses
import json
import os
import subprocess
import sys


@dataclasses.dataclass(frozen=True)
class Engine:
    """One column of the comparison. A peer is a file beside this one and its rows below."""

    name: str
    program: str  # in the build's bench/ folder, or a .py beside this file
    kind: str  # element type of the rows: f32, u8
    needs: str = ""  # the Python package that the .py imports, or the variable that names programs
    huge: bool = False  # ask glibc's malloc for huge pages
    code: str = ""  # how rows are compressed for the traversal, in the engine's words
    file: bool = False  # keeps its index in a file: has the verb "database"

    @property
    def ours(self):
        return self.program.startswith("peer_shoal")

    @property
    def index_name(self):
        """Engines of one index name build the same index: they share its file."""
        return f"{self.program.removesuffix('.py')}-{self.kind}" + (f"-{self.code}" if self.code else "")


# usearch and SVS have allocators of their own, which do not listen to glibc's tunables.
ENGINES = {
    e.name: e
    for e in (
        Engine("shoal-f32", "peer_shoal", "f32"),
        *(
            Engine(f"shoal-{code}", "peer_shoal", "f32", code=code)
            for code in ("float16", "sq8", "rq4", "rq3", "rq2", "rq1", "rq4-view", "rq4-copy", "rq4-blocks")
        ),
        Engine("shoal-u8", "peer_shoal", "u8"),
        Engine("shoal-database", "peer_shoal_database", "f32", file=True),
        Engine("hannoy", "peer_hannoy", "f32", file=True),
        Engine("hnswlib-f32", "peer_hnswlib", "f32"),
        Engine("hnswlib-f32-huge", "peer_hnswlib", "f32", huge=True),
        Engine("hnswlib-u8", "peer_hnswlib", "u8"),
        Engine("hnswlib-u8-huge", "peer_hnswlib", "u8", huge=True),
        Engine("faiss-f32", "peer_faiss.py", "f32", "faiss"),
        Engine("faiss-f32-huge", "peer_faiss.py", "f32", "faiss", huge=True),
        Engine("faiss-flat", "peer_faiss.py", "f32", "faiss", code="Flat"),
        Engine("faiss-sq8", "peer_faiss.py", "u8", "faiss"),
        Engine("faiss-sq8-huge", "peer_faiss.py", "u8", "faiss", huge=True),
        Engine("faiss-hnsw-sq8", "peer_faiss.py", "f32", "faiss", huge=True, code="SQ8"),
        Engine("faiss-hnsw-sq4", "peer_faiss.py", "f32", "faiss", huge=True, code="SQ4"),
        Engine("faiss-hnsw-rabitq", "peer_faiss.py", "f32", "faiss", huge=True, code="RaBitQ"),
        Engine("symphonyqg", "peer_rabitq.py", "f32", "rabitqlib", huge=True, code="symqg"),
        Engine("rabitq-hnsw-7", "peer_rabitq.py", "f32", "rabitqlib", huge=True, code="7"),
        Engine("glass-sq8u", "peer_glass.py", "f32", "glass", huge=True, code="SQ8U"),
        Engine("glass-sq4u", "peer_glass.py", "f32", "glass", huge=True, code="SQ4U"),
        *(
            Engine(f"vsag-{name}", "peer_vsag.py", "f32", "pyvsag", huge=True, code=code)
            for name, code in (("sq8", "sq8"), ("sq4", "sq4_uniform"), ("rabitq", "rabitq"))
        ),
        Engine("usearch-f32", "peer_usearch.py", "f32", "usearch"),
        Engine("usearch-u8", "peer_usearch.py", "u8", "usearch"),
        Engine("usearch-i8", "peer_usearch.py", "f32", "usearch", code="i8"),
        Engine("svs-f32", "peer_svs.py", "f32", "svs"),
        Engine("svs-u8", "peer_svs.py", "u8", "svs"),
        Engine("svs-lvq8", "peer_svs.py", "f32", "svs", code="8x0"),
        Engine("svs-lvq4x8", "peer_svs.py", "f32", "svs", code="4x8"),
        Engine("diskann-f32", "peer_diskann.py", "f32", "SHOAL_DISKANN", huge=True),
        Engine("diskann-u8", "peer_diskann.py", "u8", "SHOAL_DISKANN", huge=True),
    )
}


def _lacks(engine, programs, python):
    """Why the engine's program cannot run here; "" when it can."""
    if not engine.program.endswith(".py"):
        there = os.path.exists(os.path.join(programs, engine.program))
        return "" if there else f"{engine.program} was not built"
    module = engine.needs
    if engine.needs.isupper():
        folder, module = os.environ.get(engine.needs, ""), "numpy"
        if not os.path.exists(os.path.join(folder, "search_memory_index")):
            return f"{engine.needs} names no folder of search_memory_index"
    # What lacks its packages fails here rather than in the middle of a run.
    check = [python, "-c", f"import {module}, numpy"]
    found = subprocess.run(check, stderr=subprocess.DEVNULL, check=False).returncode == 0
    return "" if found else f"{python} lacks {module} or numpy (--python)"


def available(programs, python):
    """Names of the engines that can run here, and one line for each program that cannot."""
    lacks = {}
    for engine in ENGINES.values():
        if engine.program not in lacks:
            lacks[engine.program] = _lacks(engine, programs, python)
    names = [engine.name for engine in ENGINES.values() if not lacks[engine.program]]
    return names, [f"left out: {why}" for why in lacks.values() if why]


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
