#!/usr/bin/env python3
"""Proves that no code for a newer CPU leaks out of the distance kernels, from the object files.

usage: symbols_test.py [--optimized] OBJECT...

The kernels are compiled several times in one translation unit, once per instruction set, each in a
namespace of its own (N_AVX2, ...). Two ways lead from there into the rest of the program:
  - an inline function or template that is shared with others is emitted as a weak symbol; the linker
    keeps one copy for all, perhaps the one that was compiled for AVX-512;
  - a function outside of those namespaces is compiled for too new a CPU.
Both end as an illegal instruction on an older CPU, which the machine that runs the tests is not.
So: objects with per-target code define no weak symbol outside of the per-target namespaces, every
function uses only the instructions of its namespace, and the rest of the library is plain x86-64.

Builds that are not optimized emit inline functions of Highway's base header as weak symbols; there
only the instructions are checked. With --optimized, for g++: also the weak symbols, and that the
prefetch loops are loops, of which g++ 12 likes to keep only the first prefetch.
"""
import re
import subprocess
import sys

NAMESPACE = re.compile(r"(?:shoal|shoal::distance|hwy)::N_([A-Z0-9_]+)::")
# What a function of a target must not contain.
VEX_NAMED = re.compile(r"\sv[a-z0-9]+ ")  # AVX and later: all start with v ...
NOT_VEX = re.compile(r"\sver[rw] ")  # ... and so do two old ones.
WIDE = re.compile(r"%[yz]mm|%[xy]mm(1[6-9]|2\d|3[01])\b|%k[0-7]\b")
AVX512 = re.compile(r"%zmm|%[xyz]mm(1[6-9]|2\d|3[01])\b|%k[0-7]\b")
VEX_VNNI = re.compile(r"\{vex\}|\svpdp\w+ .*%[xy]mm")
SSE4 = re.compile(r"\s(p(min|max)s[bd]|p(min|max)u[wd]|pmov[sz]x\w+|ptest|blendv?p[sd]|pblend\w+"
                  r"|pmulld|pextr[bdq]|pinsr[bdq]|insertps|extractps|dpp[sd]|packusdw|pcmpeqq"
                  r"|pcmpgtq|round[ps][sd]) ")

NOT_BASELINE = re.compile(r"\s(pshufb|palignr|phadd\w+|pabs[bwd]|pmaddubsw|psign[bwd]|pmulhrsw|popcnt\w?"
                          r"|crc32\w?|lzcnt|andn|bextr|bls\w+|bzhi|pdep|pext|mulx|rorx|s[ah][lr]x"
                          r"|movbe) ")


def output_of(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def target_of(name):
    match = NAMESPACE.search(name)
    return match.group(1) if match else None


def symbols(path):
    """(kind, demangled name) of what the object defines."""
    for line in output_of("nm", "-C", "--defined-only", path).splitlines():
        _, kind, name = line.split(" ", 2)
        yield kind, name


def functions(path):
    """(demangled name, instruction lines) of each function."""
    name, body = None, []
    for line in output_of("objdump", "-dC", "--no-show-raw-insn", path).splitlines():
        head = re.match(r"[0-9a-f]+ <(.*)>:$", line)
        if head:
            if name is not None:
                yield name, body
            name, body = head.group(1), []
        elif line.startswith(" ") and ":\t" in line:
            body.append(re.sub(r"<.*>", "", line))  # The names of jump targets say nothing here.
    if name is not None:
        yield name, body


def forbidden(target, line):
    """Whether a function for `target` (None: outside of all) must not contain this instruction."""
    vex = (VEX_NAMED.search(line) and not NOT_VEX.search(line)) or WIDE.search(line)
    if target is None:
        return bool(vex or SSE4.search(line) or NOT_BASELINE.search(line))
    if target == "SSSE3":
        return bool(vex or SSE4.search(line))
    if target == "SSE4":
        return bool(vex)
    if target == "AVX2":
        return bool(AVX512.search(line))
    if target == "AVX3":
        return "vpdp" in line
    # Highway's AVX3_DL stands for AVX512_VNNI; the CPU may lack AVX-VNNI, the VEX-encoded twin.
    return bool(VEX_VNNI.search(line))


def prefetch_loops(body):
    """How many prefetches stand in a loop of a few instructions."""
    addresses = [int(line.split(":")[0], 16) for line in body]
    loops = 0
    for i, line in enumerate(body):
        if "prefetch" not in line:
            continue
        for after in body[i + 1:i + 8]:
            jump = re.search(r"\sj[a-z]+ +([0-9a-f]+)", after)
            if jump and int(jump.group(1), 16) == addresses[i]:
                loops += 1
                break
    return loops


def check(path, optimized, problems):
    """Returns the targets that the object has code for."""
    targets = {target_of(name) for _, name in symbols(path)} - {None}
    if targets and optimized:
        for kind, name in symbols(path):
            # DW.ref: the pointer to the exception handler that every object has; it is no code.
            if kind in "WVuwv" and target_of(name) is None and not name.startswith("DW.ref."):
                problems.append(f"{path}: weak symbol outside of the targets' namespaces: {name}")
    for name, body in functions(path):
        target = target_of(name)
        bad = [line for line in body if forbidden(target, line)]
        if bad:
            problems.append(f"{path}: {name}: not for {target or 'every x86-64'}: {bad[0].strip()}")
        if optimized and target and "::Batch<" in name and prefetch_loops(body) < 2:
            problems.append(f"{path}: {name}: prefetches are not in loops")
    return targets


def main():
    arguments = sys.argv[1:]
    optimized = "--optimized" in arguments
    objects = [a for a in arguments if a != "--optimized"]
    problems, targets = [], set()
    for path in objects:
        targets |= check(path, optimized, problems)
    expected = {"SSSE3", "SSE4", "AVX2", "AVX3", "AVX3_DL"}
    if targets != expected:
        problems.append(f"kernels for {sorted(targets)}, expected {sorted(expected)}")
    for problem in problems:
        print(problem)
    print(f"{len(objects)} objects, kernels for {', '.join(sorted(targets))}: "
          f"{len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
