#!/usr/bin/env python3
"""Tests of the module inside servers that it starts on free loopback ports, and ends.

  run.py --module libshoal_vset.so --build DIR [--server redis7] [--long] [--sanitizer address] [TEST...]

Servers and their data are under the build folder. TEST: test_commands, test_commands.Vadd, ...; none: all.
77: no server is here, and none can be had.
"""

import argparse
import os
import pathlib
import shlex
import subprocess
import sys

import servers

# A server that knows nothing of the sanitizer that the module was built with: its runtime comes first.
SANITIZERS = {"address": ("libasan.so", "ASAN_OPTIONS=detect_leaks=0"), "thread": ("libtsan.so", "TSAN_OPTIONS=exitcode=0")}
HERE = pathlib.Path(__file__).resolve().parent


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--module", type=pathlib.Path, required=True)
    parser.add_argument("--build", type=pathlib.Path, required=True)
    parser.add_argument("--server", choices=list(servers.SERVERS), default="redis7")
    parser.add_argument("--long", action="store_true", help="long tests, too")
    parser.add_argument("--sanitizer", choices=list(SANITIZERS), help="what the module was built with")
    parser.add_argument("tests", nargs="*")
    args = parser.parse_args()
    folder = args.build / "servers"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        command = servers.command_of(args.server, folder)
    except servers.Unavailable as error:
        print(f"{args.server} is not here, and cannot be had: {error}")
        return 77
    preload = ""
    if args.sanitizer:
        library, options = SANITIZERS[args.sanitizer]
        path = subprocess.run(["g++", f"-print-file-name={library}"], capture_output=True, text=True, check=True).stdout.strip()
        preload = f"LD_PRELOAD={path} {options}"
        command = ["setarch", "--addr-no-randomize", *command]
    environment = {**os.environ, "SHOAL_SERVER_ENVIRONMENT": preload, "SHOAL_MODULE": str(args.module.resolve()), "SHOAL_SERVERS": str(folder.resolve()),
                   "SHOAL_SERVER_COMMAND": shlex.join(command), "SHOAL_LONG": "1" if args.long else "0",
                   "PYTHONDONTWRITEBYTECODE": "1"}
    tests = args.tests or sorted(path.stem for path in HERE.glob("test_*.py"))
    return subprocess.run([sys.executable, "-W", "ignore::ResourceWarning", "-m", "unittest", "-v", *tests], cwd=HERE, env=environment,
                          stdin=subprocess.DEVNULL, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
