#!/usr/bin/env python3
"""A server with vector sets of this machine's Debian packages, asked through redis-cli.

  demo.py --module libshoal_vset.so --build DIR [--query "mail server"] [--stay]

It listens on a free loopback port, has its data under the build folder, and ends with the demo; with --stay, at
Ctrl-C. A package's vector is a hash of the words of its description: no model is needed.
"""

import argparse
import collections
import json
import math
import pathlib
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import zlib

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "tests"))
import servers  # noqa: E402
from client import Server, blob  # noqa: E402

DIM = 256
KEY = "packages"
QUESTIONS = (("git", ""), ("python3", '.section == "python"'), ("gcc", ".size < 1000"))
WORD = re.compile(r"[a-z0-9+]{2,}")


def packages():
    """name -> (section, installed size in KB, text), from apt's lists or else the installed packages."""
    found = {}
    for command in (["apt-cache", "dumpavail"], ["cat", "/var/lib/dpkg/status"]):
        text = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
                              check=False).stdout
        for entry in text.split("\n\n"):
            fields = dict(re.findall(r"^(Package|Section|Installed-Size|Description(?:-en)?): *(.*)$", entry, re.M))
            name = fields.get("Package")
            if name and name not in found:
                summary = fields.get("Description") or fields.get("Description-en") or ""
                long = " ".join(re.findall(r"^ (.+)$", entry, re.M)[:6])
                found[name] = (fields.get("Section", "").rpartition("/")[2], int(fields.get("Installed-Size") or 0),
                               f"{name.replace('-', ' ')} {summary} {summary} {long}")
        if found:
            return found
    raise SystemExit("demo.py: neither apt nor dpkg knows a package here")


class Vectorizer:
    """Words, weighted by how rare they are, hashed to signed elements of a vector."""

    def __init__(self, texts):
        seen = collections.Counter()
        for text in texts:
            seen.update(set(WORD.findall(text.lower())))
        self.rarity = {word: math.log(len(texts) / count) for word, count in seen.items()}

    def __call__(self, text):
        vector = [0.0] * DIM
        for word in WORD.findall(text.lower()):
            code = zlib.crc32(word.encode())
            vector[code % DIM] += self.rarity.get(word, 0) * (1 if code >> 16 & 1 else -1)
            code = zlib.crc32(word[:5].encode() + b"*")  # "mail" and "mailer" are alike.
            vector[code % DIM] += 0.3 * self.rarity.get(word, 0) * (1 if code >> 16 & 1 else -1)
        return vector


def load(client, known, vectorize):
    batch = []
    for name, (section, size, text) in known.items():
        batch.append(("VADD", KEY, "FP32", blob(vectorize(text)), name, "SETATTR",
                      json.dumps({"section": section, "size": size})))
        if len(batch) == 1000:
            client.pipeline(batch)
            batch.clear()
    client.pipeline(batch)


def ask_by_command_line(port, *words):
    command = ["redis-cli", "-p", str(port), *words]
    print(f"\n$ {shlex.join(command)}")
    print(subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True).stdout, end="",
          flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--module", type=pathlib.Path, required=True)
    parser.add_argument("--build", type=pathlib.Path, required=True)
    parser.add_argument("--query", help="words to look for")
    parser.add_argument("--stay", action="store_true", help="keep the server until Ctrl-C")
    args = parser.parse_args()
    folder = args.build / "servers"
    folder.mkdir(parents=True, exist_ok=True)
    command = servers.command_of("redis7", folder)
    known = packages()
    vectorize = Vectorizer([text for _, _, text in known.values()])
    with Server(command, args.module.resolve(), tempfile.mkdtemp(prefix="demo-", dir=folder)) as server:
        client = server.client()
        print(f"{len(known)} packages into a vector set on port {server.port} ...", flush=True)
        load(client, known, vectorize)
        ask_by_command_line(server.port, "VINFO", KEY)
        for name, expression in QUESTIONS:
            if name in known:
                words = ["FILTER", expression] if expression else []
                ask_by_command_line(server.port, "VSIM", KEY, "ELE", name, "COUNT", "5", "WITHSCORES", *words)
        if args.query:
            print(f"\n{args.query}:")
            for name in client("VSIM", KEY, "FP32", blob(vectorize(args.query)), "COUNT", 5):
                print(f"  {name.decode()}")
        if args.stay:
            print(f"\nredis-cli -p {server.port}    Ctrl-C ends the server.", flush=True)
            signal.sigwait([signal.SIGINT, signal.SIGTERM])


if __name__ == "__main__":
    main()
