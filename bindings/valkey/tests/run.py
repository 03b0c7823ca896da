#!/usr/bin/env python3
"""Tests of the module inside servers that it starts on free loopback ports, and ends.

  run.py --module libshoal_vset.so --build DIR [--server redis7] [--long] [TEST...]

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

HERE = pathlib.Path(__file__).resolve().parent


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--module", type=pathlib.Path, required=True)
    parser.add_argument("--build", type=pathlib.Path, required=True)
    parser.add_argument("--server", choices=list(servers.SERVERS), default="redis7")
    parser.add_argument("--long", action="store_true", help="long tests, too")
    parser.add_argument("tests", nargs="*")
    args = parser.parse_args()
    folder = args.build / "servers"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        command = servers.command_of(args.server, folder)
    except servers.Unavailable as error:
        print(f"{args.server} is not here, and cannot be had: {error}")
        return 77
    environment = {**os.environ, "SHOAL_MODULE": str(args.module.resolve()), "SHOAL_SERVERS": str(folder.resolve()),
                   "SHOAL_SERVER_COMMAND": shlex.join(command), "SHOAL_LONG": "1" if args.long else "0",
                   "PYTHONDONTWRITEBYTECODE": "1"}
    tests = args.tests or sorted(path.stem for path in HERE.glob("test_*.py"))
    return subprocess.run([sys.executable, "-W", "ignore::ResourceWarning", "-m", "unittest", "-v", *tests], cwd=HERE, env=environment,
                          stdin=subprocess.DEVNULL, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
