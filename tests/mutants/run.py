#!/usr/bin/env python3
"""Breaks the concurrency protocol on purpose and sees that the stress programs notice.

run.py [--quick | --apply] [--library libshoal.a [--needs=-luring]] [--cxx g++] [NAME...]

No recall test would do (faiss #5276, #5413: a race for years, since both sides converge to a recall of
1): what notices are payloads that certify themselves, and checks of structure.

Every patch in this folder, applied to a copy of the sources, is one mistake. Each is compiled with
the stress program that must notice it within 60 seconds; the same program with the same seed must
pass without the patch. A patch that no longer applies fails: move it along with the code, in the
same commit. --quick: the few that fall at once. --apply: only sees that every patch applies.
--library: for the mutants that need the whole index; the mutant's object stands in for the
library's. --needs: what the library links beyond Highway and LMDB.
"""
import argparse
import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
SEED = 20260107
CATCH_SECONDS = 60   # In which a mutant must be noticed.
PASS_SECONDS = 5     # For which the unmutated program must run clean.
THREADS = 4

# patch: (stress program, sanitizer or "", whether `--quick` runs it)
MUTANTS = {
    "grace_period_one": ("slot_stress", "", True),
    "grace_period_two": ("slot_stress", "", False),
    "retire_without_grace": ("slot_stress", "", False),
    "tag_check_removed": ("slot_stress", "", True),
    "publish_before_row": ("slot_stress", "", False),
    "relaxed_publish": ("slot_stress", "thread", False),
    "relaxed_live_bit": ("slot_stress", "thread", False),
    "live_bit_outlives_tag": ("slot_stress", "", False),
    "relaxed_unpin": ("epoch_stress", "thread", False),
    "reload_skipped": ("epoch_stress", "", False),
    "old_readers_ignored": ("epoch_stress", "", False),
    "later_cells_ignored": ("epoch_stress", "", False),
    "link_row_first": ("edge_stress", "", True),
    "link_without_second_look": ("edge_stress", "", False),
    "back_link_not_removed": ("edge_stress", "", False),
    "copy_before_mark": ("edge_stress", "", False),
    "prune_without_version_check": ("edge_stress", "", False),
    "parents_plain_decrement": ("edge_stress", "", False),
    "last_parent_dropped": ("edge_stress", "", False),
    "unlink_reverse_first": ("edge_stress", "", False),
    "moved_with_bits": ("edge_stress", "", False),
    "parent_without_parent": ("edge_stress", "", False),
    "childless_with_children": ("edge_stress", "", False),
    "suspended_loses_a_parent": ("edge_stress", "", False),
    "suspended_as_parent": ("edge_stress", "", False),
    "reattached_to_a_suspended": ("edge_stress", "", True),
    "reattached_too_early": ("edge_stress", "", False),
    "some_not_suspended": ("edge_stress", "", False),
    "swap_without_second_look": ("edge_stress", "", False),
    "swap_keeps_the_back_link": ("edge_stress", "", False),
    "prune_adds_present_back_link": ("index_stress", "", False),
    "retired_without_repair": ("history_stress", "", False),
    "hub_retired_in_part": ("hub_stress", "", False),
    "upsert_deletes_first": ("history_stress", "", False),
    "rerank_row_after_publish": ("index_stress", "", False),
    "get_asks_too_late": ("history_stress", "", False),
    "relocation_frees_the_id": ("history_stress", "", False),
    "repair_with_children": ("history_stress", "", False),
    "deleted_is_returned": ("history_stress", "", False),
    "snapshot_shard_by_shard": ("history_stress", "", False),
    "fill_of_an_old_version": ("feature_stress", "", False),
    "put_without_invalidation": ("feature_stress", "", False),
}
# Linked with the library, but for these folders, which have sync points.
WHOLE_INDEX = {"index_stress": ("src", "src/store", "src/graph"),
               "history_stress": ("src", "src/store", "src/graph"),
               "hub_stress": ("src", "src/store", "src/graph"),
               "feature_stress": ("src/features",)}
STORE = ["src/base/memory.cc", "src/base/thread_number.cc"]  # And all of src/store.


def run(command, timeout=None, cwd=None, env=None):
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              errors="replace", timeout=timeout, cwd=cwd, env=env, check=False)
        return done.returncode, done.stdout
    except subprocess.TimeoutExpired:
        return None, "no end"


class Builder:
    """Compiles stress programs, each source once for a sanitizer, mutated ones anew."""

    def __init__(self, cxx, library, needs, folder):
        self.cxx, self.library, self.needs, self.folder, self.objects = cxx, library, needs, folder, {}

    def compile(self, tree, source, sanitizer, name):
        output = os.path.join(self.folder, f"{name}.{sanitizer or 'plain'}.o")
        command = [*self.cxx.split(), "-std=c++20", "-O2", "-g1", "-Wno-psabi", "-Wno-tsan",
                   "-pthread", "-DSHOAL_TEST_HOOKS=1", "-I" + os.path.join(tree, "src"), "-I" + os.path.join(tree, "tests"),
                   "-I" + os.path.join(ROOT, "include"), "-c", source, "-o", output]
        if sanitizer:
            command.append("-fsanitize=" + sanitizer)
        status, text = run(command, cwd=tree)
        if status != 0:
            raise RuntimeError("does not compile:\n" + text[-2000:])
        return output

    def unmutated(self, source, sanitizer):
        key = (source, sanitizer)
        if key not in self.objects:
            self.objects[key] = self.compile(ROOT, source, sanitizer, source.replace("/", "_"))
        return self.objects[key]

    def program(self, tree, stress, sanitizer, changed):
        """tree: the sources, of which `changed` differ from ours."""
        sources = [f"tests/stress/{stress}.cc"]
        if stress in WHOLE_INDEX:
            for folder in WHOLE_INDEX[stress]:
                sources += [f"{folder}/{n}" for n in sorted(os.listdir(os.path.join(ROOT, folder)))
                            if n.endswith(".cc") and not n.startswith("database")]
        else:
            store = os.path.join(ROOT, "src/store")
            sources += STORE + [f"src/store/{n}" for n in sorted(os.listdir(store))
                                if n.endswith(".cc")]
        header_changed = any(path.endswith(".h") for path in changed)
        if header_changed and stress in WHOLE_INDEX:
            raise RuntimeError("a changed header does not go with a library built without it")
        objects = []
        for source in sources:
            if header_changed or source in changed:
                objects.append(self.compile(tree, source, sanitizer, f"mutant{len(objects)}"))
            else:
                objects.append(self.unmutated(source, sanitizer))
        if stress in WHOLE_INDEX:
            objects += [self.library, "-lhwy", "-llmdb", *self.needs.split()]
        output = os.path.join(self.folder, "stress")
        flags = ["-fsanitize=" + sanitizer] if sanitizer else []
        status, text = run([*self.cxx.split(), "-pthread", *flags, "-o", output, *objects])
        if status != 0:
            raise RuntimeError("does not link:\n" + text[-2000:])
        return output


def execute(program, seconds):
    """None if it ran clean, else why it did not."""
    env = dict(os.environ, TSAN_OPTIONS="halt_on_error=1")
    status, text = run([program, "--seconds", str(seconds), "--seed", str(SEED), "--threads",
                        str(THREADS)], timeout=seconds + 60, env=env)
    if status == 0:
        return None
    for line in text.splitlines():
        if any(word in line for word in ("VIOLATION", "broken invariant", "WARNING: Thread")):
            return line.strip()
    return "hung" if status is None else f"ended with status {status}"


def mutate(name, folder):
    """A copy of src and tests with the patch applied; returns it and the changed paths."""
    tree = os.path.join(folder, "tree")
    shutil.rmtree(tree, ignore_errors=True)
    for part in ("src", "tests/stress", "tests/support"):
        shutil.copytree(os.path.join(ROOT, part), os.path.join(tree, part))
    patch = os.path.join(HERE, name + ".patch")
    status, text = run(["patch", "-p1", "--batch", "--fuzz=0", "-i", patch], cwd=tree)
    if status != 0:
        raise RuntimeError("no longer applies:\n" + text)
    with open(patch, encoding="utf-8") as file:
        return tree, [line[6:].strip() for line in file if line.startswith("+++ b/")]


def check(name, builder, passed):
    stress, sanitizer, _ = MUTANTS[name]
    if (stress, sanitizer) not in passed:
        seen = execute(builder.program(ROOT, stress, sanitizer, []), PASS_SECONDS)
        if seen is not None:
            raise RuntimeError(f"{stress} fails without the patch: {seen}")
        passed.add((stress, sanitizer))
    tree, changed = mutate(name, builder.folder)
    seen = execute(builder.program(tree, stress, sanitizer, changed), CATCH_SECONDS)
    if seen is None:
        raise RuntimeError(f"not noticed by {stress} in {CATCH_SECONDS} s")
    return f"{stress}{' with ' + sanitizer + ' sanitizer' if sanitizer else ''}: {seen}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--apply", action="store_true")
    parser.add_argument("--library", default="")
    parser.add_argument("--needs", default="")
    parser.add_argument("--cxx", default="g++")
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    patches = sorted(n[:-6] for n in os.listdir(HERE) if n.endswith(".patch"))
    if patches != sorted(MUTANTS):
        sys.exit(f"patches and table differ: {sorted(set(patches) ^ set(MUTANTS))}")
    names = options.names or [n for n in MUTANTS if MUTANTS[n][2] or not options.quick]
    failed, skipped, passed = 0, 0, set()
    with tempfile.TemporaryDirectory() as folder:
        builder = Builder(options.cxx, options.library, options.needs, folder)
        for name in names:
            try:
                if options.apply:
                    mutate(name, folder)
                    continue
                if MUTANTS[name][0] in WHOLE_INDEX and not options.library:
                    skipped += 1
                    print(f"skipped {name}: needs --library", flush=True)
                    continue
                print(f"caught {name}: {check(name, builder, passed)}", flush=True)
            except RuntimeError as error:
                failed += 1
                print(f"FAIL   {name}: {error}", flush=True)
    what = "patches apply" if options.apply else "mutants caught"
    print(f"{len(names) - failed - skipped} of {len(names)} {what}"
          + (f", {skipped} skipped" if skipped else ""))
    sys.exit(failed != 0)


if __name__ == "__main__":
    main()
