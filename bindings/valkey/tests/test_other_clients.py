"""node-redis and go-redis: their calls of vector sets against this module. What cannot be had is skipped."""

import os
import pathlib
import shutil
import subprocess
import unittest

from base import SERVERS, ServerTest

PROGRAMS = pathlib.Path(__file__).resolve().parent / "clients"
NODE_REDIS = "@redis/client@5.9.0"
GO_REDIS = "github.com/redis/go-redis/v9@v9.14.0"


def call(command, folder, **environment):
    return subprocess.run([str(word) for word in command], cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, env={**os.environ, **environment}, timeout=600, check=False)


def fetch(command, folder, **environment):
    """Skips where a registry does not answer."""
    if shutil.which(command[0]) is None:
        raise unittest.SkipTest(f"{command[0]} is not here")
    done = call(command, folder, **environment)
    if done.returncode != 0:
        raise unittest.SkipTest(f"{' '.join(command[:3])}: {done.stdout.strip()[-200:]}")


class OtherClients(ServerTest):
    def check(self, command, folder, **environment):
        for protocol in (2, 3):
            with self.subTest(protocol=protocol):
                done = call([*command, self.start().port, protocol], folder, **environment)
                self.assertEqual((done.returncode, done.stdout.strip()[-2:]), (0, "ok"), done.stdout[-3000:])

    def test_node_redis(self):
        folder = SERVERS / "node-redis"
        folder.mkdir(exist_ok=True)
        if not (folder / "node_modules/@redis/client").is_dir():
            fetch(["npm", "install", "--no-audit", "--no-fund", "--prefix", ".", NODE_REDIS], folder)
        self.check(["node", PROGRAMS / "node_client.mjs"], folder)

    def test_go_redis(self):
        folder = SERVERS / "go-redis"
        folder.mkdir(exist_ok=True)
        environment = {"GOFLAGS": "-mod=mod -modcacherw", "GOPATH": str(folder / "path"), "GOCACHE": str(folder / "cache"),
                       "GOTOOLCHAIN": "local"}
        (folder / "go.mod").write_text("module client\n\ngo 1.21\n")
        shutil.copyfile(PROGRAMS / "go_client.go", folder / "client.go")
        fetch(["go", "get", GO_REDIS], folder, **environment)
        built = call(["go", "build", "-o", "client", "."], folder, **environment)
        self.assertEqual(built.returncode, 0, built.stdout)
        self.check([folder / "client"], folder, **environment)


if __name__ == "__main__":
    unittest.main()
