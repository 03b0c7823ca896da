#!/usr/bin/env python3
"""Servers for the tests: the machine's own, or Debian's packages unpacked in the build folder without root.

  servers.py --into DIR redis7|valkey8|valkey9|redis8      prints the command that starts this server
"""

import argparse
import os
import pathlib
import shlex
import shutil
import subprocess
import sys

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
# name -> (Debian suite, package, the server's program)
SERVERS = {
    "redis7": ("bookworm", "redis-server", "redis-check-rdb"),
    "valkey8": ("bookworm-backports", "valkey-server", "valkey-check-rdb"),
    "valkey9": ("sid", "valkey-server", "valkey-check-rdb"),
    "redis8": ("trixie", "redis-server", "redis-check-rdb"),
}
LOADER = "ld-linux-x86-64.so.2"


class Unavailable(Exception):
    """The packages of a server cannot be had here."""


def call(command, cwd=None):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, cwd=cwd, timeout=600)
    if done.returncode != 0:
        raise Unavailable(f"{command[0]} failed: {done.stdout.strip().splitlines()[-1:]}")
    return done.stdout


def mirror():
    """The package mirror that this machine's own sources name."""
    for line in call(["apt-get", "indextargets", "--format", "$(SITE) $(RELEASE)"]).splitlines():
        site, _, release = line.partition(" ")
        if release in ("bookworm", "stable") and "security" not in site:
            return site
    raise Unavailable("apt names no mirror of bookworm")


def apt(folder, suite, kind="deb"):
    """apt-get with sources, lists and a package state of its own, in `folder`; the lists are up to date."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("lists/partial", "cache/archives/partial", "debs"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "sources").write_text(f"{kind} [signed-by={KEYRING}] {mirror()} {suite} main\n" + (
        f"{kind} [signed-by={KEYRING}] {mirror()} bookworm main\n" if suite.endswith("-backports") else ""))
    (folder / "status").write_text("")
    options = {"Dir::Etc::SourceList": folder / "sources", "Dir::Etc::SourceParts": "/dev/null",
               "Dir::State::Lists": folder / "lists", "Dir::State::status": folder / "status",
               "Dir::Cache": folder / "cache", "APT::Sandbox::User": os.environ.get("USER", "root"),
               "APT::Install-Recommends": "false", "Acquire::Languages": "none"}
    command = ["apt-get", "-q"]
    for key, value in options.items():
        command += ["-o", f"{key}={value}"]
    call(command + ["update"])
    return command


def fetch(into, name):
    """Unpacks a server and the libraries it needs under `into`; the command that starts it."""
    suite, package, check = SERVERS[name]
    folder = into.resolve() / name
    root = folder / "root"
    library = root / "usr/lib/x86_64-linux-gnu"
    program = root / "usr/bin" / check
    if not (folder / "complete").exists():
        if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
            raise Unavailable("no apt-get here")
        command = apt(folder, suite)
        target = ["-t", suite] if suite.endswith("-backports") else []
        call(command + target + ["install", "--download-only", "-y", package])
        for deb in sorted((folder / "cache/archives").glob("*.deb")):
            call(["dpkg-deb", "-x", str(deb), str(root)])
        # Of old packages, outside /usr.
        if (root / "lib").is_dir() and not (root / "lib").is_symlink():
            shutil.copytree(root / "lib", root / "usr/lib", symlinks=True, dirs_exist_ok=True)
        shutil.rmtree(folder / "cache")
        (folder / "complete").write_text("")
    if not program.exists():
        raise Unavailable(f"{program.name} is not in {package} of {suite}")
    # The same file is a server when it is called by that name.
    return [str(library / LOADER), "--library-path", str(library), "--argv0", package, str(program)]


def header(into):
    """The folder with Redis 7.0's own redismodule.h, from Debian's source package."""
    folder = into.resolve() / "header"
    if not (folder / "redismodule.h").exists():
        command = apt(folder, "bookworm", "deb-src")
        call(command + ["source", "--download-only", "redis"], cwd=folder)
        archive = next(folder.glob("redis_*.orig.tar.gz"))
        call(["tar", "xzf", str(archive), "--wildcards", "--strip-components=2", "*/src/redismodule.h"], cwd=folder)
    return folder


# Debian's redis-tools has the server, too: the same program by another name. The package redis-server would
# start one at once. The loader names it: a shell does not start under a preloaded libtsan.
BY_NAME = [f"/lib64/{LOADER}", "--argv0", "redis-server", shutil.which("redis-check-rdb") or ""]


def command_of(name, into):
    """The command that starts server `name`. The machine's own Redis is taken where it is 7.0."""
    if name == "redis7":
        for program, command in (("redis-server", ["redis-server"]), ("redis-check-rdb", BY_NAME)):
            if shutil.which(program) and "v=7.0" in call([*command, "--version"]):
                return command
    return fetch(into, name)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("server", choices=[*SERVERS, "header"])
    parser.add_argument("--into", type=pathlib.Path, required=True)
    args = parser.parse_args()
    try:
        print(header(args.into) if args.server == "header" else shlex.join(command_of(args.server, args.into)))
    except Unavailable as error:
        print(f"servers.py: {args.server}: {error}", file=sys.stderr)
        return 77
    return 0


if __name__ == "__main__":
    sys.exit(main())
