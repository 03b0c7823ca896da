#!/usr/bin/env python3
"""Runs clang-tidy over C++ sources, several at a time.

Most of its time goes into the headers that all sources share. So the sources of a group are included
into one file, which is checked instead of them. Where they cannot stand in one file (two anonymous
namespaces with the same name, say), or something is found, each is checked alone, which decides.

  tidy.py --tidy CLANG_TIDY --build BUILD SOURCE...   sources: absolute paths
Prints what clang-tidy finds; exits 1 if it finds anything.
"""

import argparse
import json
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile

KEPT = re.compile(r"-(I|D|isystem|std=)")
FOUND_IN = r"/(include/shoal|src|bindings/valkey/(core|module))/[^:]*\.(h|cc)$"


def flags_of(build, sources):
    """The flags that decide what the sources say, of all of them, each once."""
    wanted = {str(source) for source in sources}
    flags = []
    for entry in json.loads((build / "compile_commands.json").read_text()):
        if entry["file"] not in wanted:
            continue
        words = iter(shlex.split(entry["command"]))
        for word in words:
            if not KEPT.match(word):
                continue
            flag = (word, next(words)) if word in ("-isystem", "-I", "-D") else (word,)
            if flag not in flags:
                flags.append(flag)
    return [word for flag in flags for word in flag]


def check(tidy, arguments):
    """(whether nothing was found, the output)"""
    done = subprocess.run([tidy, "--quiet", *arguments], capture_output=True, text=True, check=False)
    return done.returncode == 0, done.stdout


def check_together(tidy, build, sources):
    """Whether nothing was found."""
    with tempfile.TemporaryDirectory() as folder:
        group = pathlib.Path(folder) / "group.cc"
        group.write_text("".join(f'#include "{source}"  // NOLINT\n' for source in sources))
        config = next(parent / ".clang-tidy" for parent in sources[0].parents
                      if (parent / ".clang-tidy").exists())
        # To that check an included source is a header.
        return check(tidy, [f"--config-file={config}", "--checks=-google-global-names-in-headers",
                            f"--header-filter={FOUND_IN}", str(group), "--",
                            *flags_of(build, sources)])[0]


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tidy", required=True)
    parser.add_argument("--build", type=pathlib.Path, required=True)
    parser.add_argument("sources", nargs="+", type=pathlib.Path)
    options = parser.parse_args()
    if len(options.sources) > 1 and check_together(options.tidy, options.build, options.sources):
        return 0
    failed = False
    for source in options.sources:
        clean, output = check(options.tidy, [str(source), "--", *flags_of(options.build, [source])])
        print(output, end="")
        failed |= not clean
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
