#!/usr/bin/env python3
"""Makes the packages of `make package`, unpacks them into an empty root folder, and uses what is there.

Run by ctest; by hand: debian_test.py --source DIR --build DIR --cxx COMPILER
"""
import argparse
import gzip
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import unittest

ARGS = argparse.Namespace()


def run(*command, **env):
    """The command's output; an exception with that output when it fails."""
    done = subprocess.run([str(c) for c in command], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          stdin=subprocess.DEVNULL, env={**os.environ, **{k: str(v) for k, v in env.items()}})
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, command))}\nexit {done.returncode}\n{done.stdout}")
    return done.stdout


class Packages(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.temp = pathlib.Path(tempfile.mkdtemp(prefix="shoal-debian-"))
        cls.addClassCleanup(shutil.rmtree, cls.temp)
        run("cpack", "--config", ARGS.build / "CPackConfig.cmake", "-B", cls.temp / "packages")
        cls.debs = {run("dpkg-deb", "-f", deb, "Package").strip(): deb for deb in (cls.temp / "packages").glob("*.deb")}
        version = (ARGS.source / "include/shoal/version.h").read_text()
        cls.version = re.findall(r"define SHOAL_VERSION_[A-Z]+ (\d+)", version)
        cls.soname = ".".join(cls.version[:2])
        cls.root = cls.temp / "root"
        for deb in cls.debs.values():
            run("dpkg", "-x", deb, cls.root)
        cls.lib = next(cls.root.rglob("libshoal.so")).parent

    def fields(self, package):
        wanted = ("Version", "Architecture", "Depends")
        return dict(zip(wanted, (run("dpkg-deb", "-f", self.debs[package], field).strip() for field in wanted)))

    def test_there_is_a_package_of_each_component_that_depends_on_what_it_uses(self):
        self.assertEqual(set(self.debs), {f"libshoal{self.soname}", "libshoal-dev", "shoal-tools", "shoal-doc"})
        for package in self.debs:
            self.assertEqual(self.fields(package)["Version"], ".".join(self.version))
            self.assertTrue((self.root / "usr/share/doc" / package / "copyright").is_file(), package)
        for library in ("libc6", "libhwy1", "liblmdb0", "libstdc++6"):
            self.assertIn(library, self.fields(f"libshoal{self.soname}")["Depends"])
            self.assertIn(library, self.fields("shoal-tools")["Depends"])
        for package in (f"libshoal{self.soname} (= {'.'.join(self.version)})", "libexpected-dev", "libhwy-dev"):
            self.assertIn(package, self.fields("libshoal-dev")["Depends"])
        self.assertEqual(self.fields("shoal-doc")["Architecture"], "all")
        # `dpkg-shlibdeps` of other packages finds the library's.
        shlibs = run("dpkg-deb", "-I", self.debs[f"libshoal{self.soname}"], "shlibs")
        self.assertIn(f"libshoal {self.soname} libshoal{self.soname}", shlibs)

    def test_no_file_is_in_two_packages(self):
        seen = {}
        for package, deb in self.debs.items():
            for line in run("dpkg-deb", "--contents", deb).splitlines():
                if not line.startswith("d"):
                    self.assertNotIn(line.split()[5], seen, package)
                    seen[line.split()[5]] = package

    def test_a_program_is_compiled_against_the_packages_and_runs(self):
        flags = run("pkg-config", "--cflags", "--libs", "shoal", PKG_CONFIG_PATH=self.lib / "pkgconfig").split()
        program = self.temp / "program"
        run(ARGS.cxx, "-std=c++20", ARGS.source / "tests/package/consumer.cc", "-o", program, *flags)
        self.assertEqual(run(program, LD_LIBRARY_PATH=self.lib), f"shoal {'.'.join(self.version)}\n")
        cc = ARGS.cxx.replace("clang++", "clang").replace("g++", "gcc").replace("c++", "cc")
        run(cc, "-std=c11", ARGS.source / "tests/package/consumer.c", "-o", program, *flags)
        self.assertEqual(run(program, self.temp / "c.shoal", LD_LIBRARY_PATH=self.lib),
                         f"shoal {'.'.join(self.version)}\n")

    def use(self, command):
        file = self.temp / f"{command.parent.parent.name}.shoal"
        (self.temp / "a.csv").write_text("7,1,2\n8,3,4\n")
        run(command, "create", file, "--dim", 2)
        run(command, "insert", file, self.temp / "a.csv")
        self.assertEqual(run(command, "search", file, "3,4", "-k", "1"), '{"query":0,"ids":[8],"distances":[0]}\n')

    def test_the_command_runs_and_each_verb_has_a_man_page(self):
        command = self.root / "usr/bin/shoal"
        self.use(command)
        man = self.root / "usr/share/man/man1"
        pages = {page.name.split(".")[0]: page for page in man.iterdir()}
        verbs = run(command, "words").split()
        self.assertEqual(set(pages), {"shoal", *(f"shoal-{verb}" for verb in verbs)})
        for verb in verbs:
            page = pages[f"shoal-{verb}"]
            text = gzip.decompress(page.read_bytes()).decode() if page.suffix == ".gz" else page.read_text()
            self.assertIn(f".TH SHOAL-{verb.upper()} \"1\"", text)
            self.assertRegex(text.replace("\\-", "-"), f"Example:(.|\n)*shoal {verb}")

    def test_three_shells_find_their_words_and_the_pages_are_there(self):
        share = self.root / "usr/share"
        self.assertIn("complete ", (share / "bash-completion/completions/shoal").read_text())
        self.assertIn("#compdef shoal", (share / "zsh/site-functions/_shoal").read_text())
        self.assertIn("complete -c shoal", (share / "fish/vendor_completions.d/shoal.fish").read_text())
        self.assertIn("<html", (share / "doc/shoal/html/index.html").read_text())

    def test_the_archive_has_the_same_in_one_folder(self):
        archive, = (self.temp / "packages").glob("*.tar.gz")
        with tarfile.open(archive) as file:
            file.extractall(self.temp / "archive", filter="data")
        folder, = (self.temp / "archive").iterdir()
        self.use(folder / "bin/shoal")
        for there in ("include/shoal/index.h", "lib/libshoal.a", f"lib/libshoal.so.{self.soname}",
                      "lib/pkgconfig/shoal.pc"):
            self.assertTrue((folder / there).exists(), there)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", type=pathlib.Path, required=True)
    parser.add_argument("--build", type=pathlib.Path, required=True)
    parser.add_argument("--cxx", required=True)
    _, rest = parser.parse_known_args(namespace=ARGS)
    unittest.main(argv=[sys.argv[0], *rest])


if __name__ == "__main__":
    main()
