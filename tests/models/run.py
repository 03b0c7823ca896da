#!/usr/bin/env python3
"""Verifies the models in this folder with spin, exhaustively, and that their mutants fail.

run.py small   every model in a small size and every mutant: under a minute
run.py large   the largest sizes that are exhaustive within minutes
run.py NAME    the cases whose name contains NAME, of both sizes

A model passes when spin finds no error AND has visited the whole state space. A mutant passes when
spin finds a violated assertion. Anything else (a syntax error, a search that was cut short) fails.
"""
import os
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

HERE = os.path.dirname(os.path.abspath(__file__))
HOLDS, FAILS = "holds", "fails"

# (model, -D flags, what must come out)
SMALL = [
    ("epoch_tag", "", HOLDS),
    ("epoch_tag", "GRACE=1", FAILS),
    ("epoch_tag", "GRACE=2", FAILS),
    ("epoch_tag", "NO_TAG_CHECK", FAILS),
    ("epoch_tag", "PUBLISH_FIRST", FAILS),
    ("epoch_tag", "BIT_OUTLIVES", FAILS),
    ("epoch_tag", "SKIP_RELOAD", FAILS),
    ("epoch_tag", "UNPIN_FIRST", FAILS),
    ("epoch_tag", "IGNORE_OLD_CELLS", FAILS),
    ("epoch_tag", "CLAIM_UNANNOUNCED", FAILS),
    ("epoch_tag", "NO_ADVANCE_LOCK ADVANCERS=2", FAILS),
    ("epoch_tag", "REACHES_REUSE", FAILS),
    ("epoch_tag", "REACHES_RELOAD", FAILS),
    ("edges", "ADDERS=1", HOLDS),
    ("edges", "ADDERS=2 REMOVERS=0", HOLDS),
    ("edges", "ADDERS=1 REMOVERS=0 PRUNERS=1", HOLDS),
    ("edges", "ADDERS=1 ROW_FIRST", FAILS),
    ("edges", "ADDERS=1 NO_RECHECK", FAILS),
    ("edges", "ADDERS=1 NO_UNDO", FAILS),
    ("edges", "ADDERS=1 COPY_BEFORE_MARK", FAILS),
    ("edges", "ADDERS=1 REMOVE_ALWAYS", FAILS),
    ("edges", "ADDERS=1 ADD_IF_READABLE", FAILS),
    ("edges", "ADDERS=1 REUSE_WITHOUT_GRACE", FAILS),
    ("edges", "ADDERS=1 REUSE_BEFORE_REPAIR", FAILS),
    ("edges", "ADDERS=1 IGNORE_OWN_TAG", FAILS),
    ("edges", "ADDERS=1 PRUNERS=1 PRUNE_UNCHECKED", FAILS),
    ("edges", "ADDERS=1 REACHES_UNDO", FAILS),
    ("edges", "ADDERS=1 REACHES_REPAIRED_EDGE", FAILS),
    ("edges", "ADDERS=1 PRUNERS=1 REACHES_RESTART", FAILS),
    ("in_degree", "", HOLDS),
    ("in_degree", "PLAIN_DECREMENT", FAILS),
    ("in_degree", "CHECK_THEN_DECREMENT", FAILS),
    ("in_degree", "LOWER_AFTER", FAILS),
    ("in_degree", "RAISE_FIRST", FAILS),
    ("in_degree", "DELETE_UNCHECKED", FAILS),
    ("in_degree", "REACHES_REFUSAL", FAILS),
    ("in_degree", "REACHES_RELINK", FAILS),
    ("reattachment", "", HOLDS),
    ("reattachment", "SUSPENDED_LOSES", FAILS),
    ("reattachment", "SUSPENDED_AS_PARENT", FAILS),
    ("reattachment", "BY_A_SUSPENDED", FAILS),
    ("reattachment", "KEEPS_A_SUSPENDED", FAILS),
    ("reattachment", "SUSPEND_NO_FURTHER", FAILS),
    ("reattachment", "REACHES_OUTSIDE", FAILS),
    ("reattachment", "REACHES_FREE", FAILS),
    ("reattachment", "REACHES_REFUSAL", FAILS),
    ("commit", "UNUSED=0", HOLDS),
    ("commit", "UNUSED=2", HOLDS),
    ("commit", "BEGIN_UNLOCKED", FAILS),
    ("commit", "STATES_BY_TAGS", FAILS),
    ("commit", "CUT_AT_FLIP", FAILS),
    ("commit", "UNUSED=0 PENDING_WORD", FAILS),
    ("commit", "COPY_ANY_WORD", FAILS),
    ("commit", "RELEASE_LATE", FAILS),
    ("commit", "ABSENT_RETIRED", FAILS),
    ("commit", "REUSE_UNRELEASED", FAILS),
    ("commit", "REUSE_QUEUED", FAILS),
    ("commit", "NO_WALK", FAILS),
    ("commit", "UNUSED=0 LOAD_NO_WALK", FAILS),
    ("commit", "UNUSED=0 OPEN_BY_READ", FAILS),
    ("commit", "ANCHOR_CIRCLE", FAILS),
    ("commit", "ANCHOR_DEAD", FAILS),
    ("commit", "BITS_FIRST", FAILS),
    ("commit", "RUN_ACROSS", FAILS),
    ("commit", "UNUSED=0 REACHES_LOAD", FAILS),
    ("commit", "REACHES_REUSE", FAILS),
    ("commit", "REACHES_KEPT_LOG", FAILS),
    ("commit", "REACHES_ANCHOR", FAILS),
]
LARGE = [
    ("epoch_tag", "READERS=2", HOLDS),
    ("epoch_tag", "RETIRERS=2", HOLDS),
    ("epoch_tag", "WRITERS=2", HOLDS),
    ("epoch_tag", "ADVANCERS=2", HOLDS),
    ("edges", "ADDERS=2 REMOVERS=1", HOLDS),
    ("edges", "ADDERS=1 REMOVERS=1 PRUNERS=1", HOLDS),
    ("edges", "ADDERS=3 REMOVERS=2 FEW_EDGES", HOLDS),
    ("in_degree", "ADDERS=2", HOLDS),
    ("in_degree", "ADDERS=1 PRUNERS=3 DELETERS=0", HOLDS),
    ("reattachment", "MOVES=1", HOLDS),
    ("commit", "UNUSED=0 WHOLE_LISTS", HOLDS),
]

COMPILE = ["gcc", "-w", "-DSAFETY", "-DCOLLAPSE", "-DMEMLIM=7000"]
# Anything of this kind means that part of the state space was not visited.
CUT_SHORT = ("max search depth too small", "Search not completed", "out of memory", "MEMLIM",
             "hash factor: 0", "VECTORSZ")


def run(command, folder, timeout):
    try:
        done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=timeout, check=False)
    except subprocess.TimeoutExpired:
        return 1, f"{command[0]}: Search not completed: no end within {timeout} s"
    return done.returncode, done.stdout


def verify(case, depth, timeout):
    """Returns (passed, one line of explanation)."""
    model, flags, expected = case
    with tempfile.TemporaryDirectory() as folder:
        source = os.path.join(HERE, model + ".pml")
        defines = ["-D" + flag for flag in flags.split()]
        status, output = run(["spin", *defines, "-a", source], folder, timeout)
        if status != 0 or not os.path.exists(os.path.join(folder, "pan.c")):
            return False, "spin: " + output.strip()
        # Most mutants fall at once: compiling costs more than running.
        optimize = "-O2" if expected == HOLDS else "-O0"
        status, output = run(COMPILE + [optimize, "-o", "pan", "pan.c"], folder, timeout)
        if status != 0:
            return False, "gcc: " + output.strip()
        if expected == FAILS:
            depth = 1_000_000
        status, output = run(["./pan", f"-m{depth}"], folder, timeout)
    return judge(expected, output)


def judge(expected, output):
    errors = re.search(r"errors: (\d+)", output)
    states = re.search(r"([\d.e+]+) states, stored", output)
    count = f"{float(states.group(1)):,.0f} states" if states else "no figures"
    if not errors:
        return False, "no verdict: " + output.strip()[-400:]
    violated = re.search(r"assertion violated (.*?) \(at depth", output)
    if expected == FAILS:
        if violated:
            return True, f"found after {count}: {violated.group(1)}"
        return False, f"nothing found in {count}: the mutant lives"
    if int(errors.group(1)) != 0:
        return False, output.strip().splitlines()[0]
    for phrase in CUT_SHORT:
        if phrase in output:
            return False, f"{phrase}: part of the state space was not visited ({count})"
    return True, count


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    word = sys.argv[1]
    cases = {"small": SMALL, "large": LARGE}.get(word)
    if cases is None:
        cases = [case for case in SMALL + LARGE if word in case[0] + " " + case[1]]
    if not cases:
        sys.exit(f"no case contains {word}")
    small = word == "small"
    depth, timeout = (3_000_000, 120) if small else (30_000_000, 1800)
    failed = 0
    # Large cases take gigabytes, so one at a time.
    with ThreadPoolExecutor(max_workers=2 if small else 1) as pool:
        results = pool.map(lambda case: verify(case, depth, timeout), cases)
        for case, (passed, why) in zip(cases, results):
            failed += not passed
            print(f"{'ok  ' if passed else 'FAIL'} {case[0]} {case[1] or '(as is)'}: "
                  f"{case[2]}; {why}", flush=True)
    print(f"{len(cases) - failed} of {len(cases)} as expected")
    sys.exit(failed != 0)


if __name__ == "__main__":
    main()
