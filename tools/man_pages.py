#!/usr/bin/env python3
"""Writes the man pages of `shoal` and each of its verbs, of what their --help says, by help2man.

usage: man_pages.py PROGRAM FOLDER
"""
import os
import pathlib
import subprocess
import sys
import tempfile


def main(program, folder):
    program = os.path.abspath(program)
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.1"):
        old.unlink()
    verbs = subprocess.run([program, "words"], capture_output=True, text=True, check=True).stdout.split()
    with tempfile.TemporaryDirectory(prefix="shoal-man-") as place:
        for verb in ["", *verbs]:
            # help2man asks a program of the page's name.
            page = pathlib.Path(place, f"shoal-{verb}" if verb else "shoal")
            page.write_text(f'#!/bin/sh\ncase "$1" in --version) exec "{program}" "$1";; esac\n'
                            f'exec "{program}" {verb} "$@"\n')
            page.chmod(0o755)
            told = subprocess.run([page, "--help"], capture_output=True, text=True, check=True).stdout
            description = told.splitlines()[0].rstrip(".")
            version = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout.strip()
            subprocess.run(["help2man", "--no-info", "--section=1", f"--name={description}", "--source=shoal",
                            f"--version-string={version}", f"--output={folder / page.name}.1", page], check=True)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(sys.argv[1], pathlib.Path(sys.argv[2]))
