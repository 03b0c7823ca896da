"""redis-py's own tests of vector sets, from its source distribution, against this module."""

import os
import pathlib
import re
import subprocess
import sys
import tarfile
import unittest

from base import SERVERS, ClusterTest, ServerTest
from test_partitions import check_client

HERE = pathlib.Path(__file__).resolve().parent
REDIS = "8.1.0"
REQUIRED = [f"redis=={REDIS}", "pytest>=8", "pytest-asyncio", "pytest-timeout", "numpy"]
# Tests that cannot pass, each with its reason: docs/vector_sets.md has them, too.
DIVERGENCES = {"test_vinfo": "max-level: the graph has one layer"}


def environment():
    """(python, the unpacked source distribution), in the build folder; skips where packages cannot be fetched."""
    folder = SERVERS / "redis-py"
    python = folder / "venv/bin/python"
    source = folder / f"redis-{REDIS}"
    pip = [str(python), "-m", "pip", "--quiet", "--disable-pip-version-check"]
    steps = [[sys.executable, "-m", "venv", str(folder / "venv")], [*pip, "install", *REQUIRED],
             [*pip, "download", "--no-deps", "--no-binary", "redis", "--dest", str(folder), f"redis=={REDIS}"]]
    if not (source / "tests").is_dir():
        for step in steps:
            done = subprocess.run(step, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                  check=False)
            if done.returncode != 0:
                raise unittest.SkipTest(f"the package index is not reachable: {done.stdout.strip()[-200:]}")
        with tarfile.open(next(folder.glob("redis-*.tar.gz"))) as archive:
            archive.extractall(folder, filter="data")
    return python, source


class RedisPy(ServerTest):
    def check(self, path, protocol):
        python, source = environment()
        server = self.start()
        done = subprocess.run(
            [str(python), "-m", "pytest", "-q", "-rfE", "-p", "vset_plugin", "-p", "no:cacheprovider", f"tests/{path}",
             "--redis-url", f"redis://127.0.0.1:{server.port}/0", "--protocol", str(protocol)], cwd=source,
            env={**os.environ, "PYTHONPATH": str(HERE / "redis_py"), "PYTHONDONTWRITEBYTECODE": "1"},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        failed = set(re.findall(r"^(?:FAILED|ERROR) \S+::(\w+)", done.stdout, re.M))
        self.assertEqual(failed, set(DIVERGENCES), done.stdout[-6000:])
        passed = int(re.search(r"(\d+) passed", done.stdout).group(1))
        self.assertGreaterEqual(passed, 40, done.stdout[-2000:])
        self.assertNotIn("skipped", done.stdout.splitlines()[-1])
        print(f"[{passed} passed] ", end="", flush=True)

    def test_calls_in_resp2(self):
        self.check("test_vsets.py", 2)

    def test_calls_in_resp3(self):
        self.check("test_vsets.py", 3)

    def test_asyncio_calls(self):
        self.check("test_asyncio/test_vsets.py", 3)


class Partitions(ClusterTest):
    """shoal.cluster with redis-py's clients."""

    def test_of_one_server(self):
        python, _ = environment()
        check_client(self, self.start().port, "--redis-py", python=str(python))

    def test_of_a_cluster(self):
        python, _ = environment()
        nodes, _ = self.start_cluster(3, 0)
        check_client(self, nodes[1].port, "--redis-py", "--cluster", python=str(python))


if __name__ == "__main__":
    unittest.main()
