"""Installs shoal into an empty directory and uses it from outside, as a stranger would.

Run by ctest; by hand: package_test.py --source DIR --build DIR --cxx COMPILER
"""

import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

ARGS = argparse.Namespace()


def run(*command, **env):
    """The command's output; an exception with that output when it fails."""
    done = subprocess.run(
        [str(c) for c in command], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL, env={**os.environ, **{k: str(v) for k, v in env.items()}})
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, command))}\nexit {done.returncode}\n{done.stdout}")
    return done.stdout


def fenced(document, language):
    """The text of the first fenced block of a language in a Markdown document."""
    return re.search(rf"^```{language}\n(.*?)^```$", document, re.DOTALL | re.MULTILINE).group(1)


class InstalledPackage(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.temp = pathlib.Path(tempfile.mkdtemp(prefix="shoal-package-"))
        cls.addClassCleanup(shutil.rmtree, cls.temp)
        installed = cls.temp / "first"
        run("cmake", "--install", ARGS.build, "--prefix", installed)
        # Moved after the installation: nothing in it may remember where it was.
        cls.prefix = installed.rename(cls.temp / "moved")
        cls.shared = next(cls.prefix.rglob("libshoal.so"))
        cls.libdir = cls.shared.parent
        version = (ARGS.source / "include/shoal/version.h").read_text()
        cls.version = re.findall(r"define SHOAL_VERSION_[A-Z]+ (\d+)", version)
        cls.readme = (ARGS.source / "README.md").read_text()
        cls.consumers = cls.temp / "consumers"
        example = cls.temp / "readme_example.cc"
        example.write_text(fenced(cls.readme, "cpp"))
        run("cmake", "-S", ARGS.source / "tests/package", "-B", cls.consumers,
            f"-DCMAKE_PREFIX_PATH={cls.prefix}", f"-DCMAKE_CXX_COMPILER={ARGS.cxx}",
            f"-DREADME_EXAMPLE={example}")
        run("cmake", "--build", cls.consumers)

    def pkg_config(self, *flags):
        out = run("pkg-config", *flags, "shoal", PKG_CONFIG_PATH=self.libdir / "pkgconfig")
        return out.split()

    def expect_runs(self, program, **env):
        self.assertEqual(run(program, **env), f"shoal {'.'.join(self.version)}\n")

    def test_a_cmake_project_links_the_static_and_the_shared_library(self):
        self.expect_runs(self.consumers / "with_shoal")
        self.expect_runs(self.consumers / "with_shoal_shared")
        needed = run("readelf", "-d", self.consumers / "with_shoal_shared")
        self.assertIn(f"[libshoal.so.{self.version[0]}.{self.version[1]}]", needed)
        self.assertNotIn("libshoal", run("readelf", "-d", self.consumers / "with_shoal"))

    def test_the_example_of_the_readme_prints_what_the_readme_says(self):
        self.assertEqual(run(self.consumers / "readme_example"), fenced(self.readme, "text"))

    def test_pkg_config_links_the_shared_library_which_the_program_finds(self):
        program = self.temp / "pc_shared"
        run(ARGS.cxx, "-std=c++20", ARGS.source / "tests/package/consumer.cc", "-o", program,
            *self.pkg_config("--cflags", "--libs"))
        self.assertIn("[libshoal.so.", run("readelf", "-d", program))
        self.expect_runs(program, LD_LIBRARY_PATH="")

    def test_pkg_config_links_the_static_library(self):
        program = self.temp / "pc_static"
        flags = self.pkg_config("--static", "--cflags", "--libs")
        # Both libraries stand in one directory: name the archive, as a distribution's user would.
        flags = ["-l:libshoal.a" if f == "-lshoal" else f for f in flags]
        run(ARGS.cxx, "-std=c++20", ARGS.source / "tests/package/consumer.cc", "-o", program, *flags)
        self.expect_runs(program)

    def test_a_c_program_uses_the_shared_library(self):
        program = self.temp / "pc_c"
        cc = ARGS.cxx.replace("clang++", "clang").replace("g++", "gcc").replace("c++", "cc")
        run(cc, "-std=c11", "-pedantic", "-Wall", "-Wextra", "-Werror", ARGS.source / "tests/package/consumer.c",
            "-o", program, *self.pkg_config("--cflags", "--libs"))
        self.assertEqual(run(program, self.temp / "c.shoal", LD_LIBRARY_PATH=""),
                         f"shoal {'.'.join(self.version)}\n")
        self.assertIn("shoal_search@SHOAL_1", run("nm", "--dynamic", program))

    def test_the_c_program_of_the_documentation_prints_what_it_says(self):
        page = (ARGS.source / "docs/site/c.md").read_text()
        (self.temp / "colors.c").write_text(fenced(page, "c"))
        cc = ARGS.cxx.replace("clang++", "clang").replace("g++", "gcc").replace("c++", "cc")
        run(cc, "-std=c11", "-Wall", "-Werror", self.temp / "colors.c", "-o", self.temp / "colors",
            *self.pkg_config("--cflags", "--libs"))
        self.assertEqual(run(self.temp / "colors"), fenced(page, "text"))

    def program_of_the_c_page(self, language, name):
        """The page's program in a language, in a folder of its own."""
        folder = self.temp / language
        folder.mkdir()
        (folder / name).write_text(fenced((ARGS.source / "docs/site/c.md").read_text(), language))
        return folder / name

    def test_the_go_program_of_the_documentation_finds_its_color(self):
        go = shutil.which("go", path=f"{os.environ['PATH']}:/usr/local/go/bin")
        if go is None:
            self.skipTest("go is not there")
        program = self.program_of_the_c_page("go", "colors.go")
        told = run(go, "run", program, CGO_CFLAGS=" ".join(self.pkg_config("--cflags")), CGO_ENABLED=1,
                   CGO_LDFLAGS=" ".join(self.pkg_config("--libs")), CGO_LDFLAGS_ALLOW="-Wl,.*",
                   GOCACHE=self.temp / "go-cache")
        self.assertEqual(told, "1 at 25\n")

    def test_the_rust_program_of_the_documentation_finds_its_color(self):
        rustc = shutil.which("rustc", path=f"{os.environ['PATH']}:{pathlib.Path.home()}/.cargo/bin")
        if rustc is None:
            self.skipTest("rustc is not there")
        program = self.program_of_the_c_page("rust", "colors.rs")
        libdir = run("pkg-config", "--variable=libdir", "shoal", PKG_CONFIG_PATH=self.libdir / "pkgconfig").strip()
        run(rustc, program, "-L", libdir, "-o", program.parent / "colors")
        self.assertEqual(run(program.parent / "colors", LD_LIBRARY_PATH=libdir), "1 at 25\n")

    def test_pkg_config_and_the_soname_state_the_version_of_the_headers(self):
        self.assertEqual(self.pkg_config("--modversion"), [".".join(self.version)])
        self.assertIn(f"soname: [libshoal.so.{self.version[0]}.{self.version[1]}]",
                      run("readelf", "-d", self.shared))

    def test_the_shared_library_exports_only_names_of_shoal(self):
        symbols = run("nm", "--dynamic", "--demangle", "--defined-only", self.shared).splitlines()
        names = [line.split(maxsplit=2)[2] for line in symbols]
        self.assertIn("shoal::Version()@@SHOAL_CXX", names)
        declared = re.findall(r"^SHOAL_API [^;(]*?(shoal_\w+)\(", (self.prefix / "include/shoal/shoal.h").read_text(), re.M)
        self.assertGreater(len(declared), 50)
        self.assertEqual([n for n in declared if f"{n}@@SHOAL_1" not in names], [])
        ours = re.compile(r"((vtable|typeinfo|typeinfo name) for )?shoal::.*@@SHOAL_CXX$"
                          r"|shoal_[a-z_]+@@SHOAL_1$|SHOAL_(1|CXX)$")
        self.assertEqual([n for n in names if not ours.match(n)], [])

    def test_the_shared_library_exports_all_that_the_headers_declare(self):
        headers = "\n".join(h.read_text() for h in (self.prefix / "include/shoal").glob("*.h"))
        public = set(re.findall(r"^(?:class|struct) (?:SHOAL_API )?(\w+) {", headers, re.MULTILINE))
        public |= set(re.findall(r"^[\w:<>,&* ]+ (\w+)\(", headers, re.MULTILINE))
        self.assertTrue({"Index", "Matrix", "Version", "ReadBin"} <= public, public)

        def defined(*nm_arguments):
            """Demangled names of functions that are neither inline nor local to a file."""
            lines = run("nm", "--demangle", "--defined-only", "--without-symbol-versions",
                        *nm_arguments).splitlines()
            return {line.split(" T ", 1)[1] for line in lines if " T shoal::" in line}

        archive = defined(self.libdir / "libshoal.a")
        hidden = archive - defined("--dynamic", self.shared)
        names = {symbol: re.split(r"::|\(", symbol)[1] for symbol in hidden}
        self.assertEqual([s for s, name in names.items() if name in public], [],
                         "declared in include/shoal without SHOAL_API")

    def test_every_installed_header_compiles_by_itself(self):
        headers = sorted((self.prefix / "include/shoal").glob("*.h"))
        self.assertGreaterEqual(len(headers), 9)
        for header in headers:
            run(ARGS.cxx, "-std=c++20", "-Wall", "-Wextra", "-Werror", "-fsyntax-only",
                "-I", self.prefix / "include", "-include", f"shoal/{header.name}", "-x", "c++",
                "/dev/null")

    def test_the_licence_is_installed(self):
        licence = next(self.prefix.rglob("LICENSE"))
        self.assertEqual(licence.read_bytes(), (ARGS.source / "LICENSE").read_bytes())

    def test_no_installed_text_names_the_build_machine(self):
        for file in self.prefix.rglob("*"):
            if file.suffix in (".cmake", ".pc", ".h"):
                for place in (ARGS.source, ARGS.build, self.temp):
                    self.assertNotIn(str(place), file.read_text(), file)

    def write_outer(self, name):
        """A project that embeds shoal."""
        outer = self.temp / name
        outer.mkdir(exist_ok=True)
        (outer / "CMakeLists.txt").write_text(
            "cmake_minimum_required(VERSION 3.25)\nproject(outer LANGUAGES CXX)\n"
            f"add_subdirectory({ARGS.source} shoal)\n"
            "add_executable(outer main.cc)\ntarget_link_libraries(outer PRIVATE shoal::shoal)\n")
        shutil.copy(ARGS.source / "tests/package/consumer.cc", outer / "main.cc")
        return outer

    def test_embedding_builds_only_the_static_library(self):
        outer = self.write_outer("outer")
        build = self.temp / "outer-build"
        run("cmake", "-G", "Ninja", "-S", outer, "-B", build, f"-DCMAKE_CXX_COMPILER={ARGS.cxx}")
        targets = run("ninja", "-C", build, "-t", "targets", "all")
        programs = re.findall(r"^(\S+): CXX_(\w+)_LINKER", targets, re.MULTILINE)
        self.assertEqual([kind for _, kind in sorted(programs) if "LIBRARY" in kind],
                         ["STATIC_LIBRARY"], programs)
        self.assertEqual([name for name, kind in programs if kind.startswith("EXEC")], ["outer"])

    def commands(self, *options):
        """Of an embedded build: those that compile the library, and the outer program's."""
        outer = self.write_outer("flags")
        build = pathlib.Path(tempfile.mkdtemp(prefix="flags-", dir=self.temp))
        run("cmake", "-G", "Ninja", "-S", outer, "-B", build, f"-DCMAKE_CXX_COMPILER={ARGS.cxx}",
            *options)
        lines = [line.split() for line in run("ninja", "-C", build, "-t", "commands").splitlines()]
        compiling = [line for line in lines if "-c" in line]
        library = [line for line in compiling if "shoal.dir" in " ".join(line)]
        program = [line for line in compiling if line not in library]
        self.assertGreater(len(library), 20)
        self.assertEqual(len(program), 1)
        return library, program[0]

    @staticmethod
    def optimization(command):
        return [word for word in command if word.startswith("-O")]

    def test_embedded_without_a_build_type_the_library_alone_is_optimized(self):
        library, program = self.commands()
        for command in library:
            self.assertEqual(self.optimization(command), ["-O3"], command)
        self.assertEqual(self.optimization(program), [])

    def test_embedded_the_build_type_and_the_flags_of_the_project_stand(self):
        for option in ("-DCMAKE_BUILD_TYPE=Debug", "-DCMAKE_CXX_FLAGS=-O0"):
            library, program = self.commands(option)
            for command in library:
                self.assertEqual(self.optimization(command), self.optimization(program), command)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", type=pathlib.Path, required=True)
    parser.add_argument("--build", type=pathlib.Path, required=True)
    parser.add_argument("--cxx", required=True)
    _, rest = parser.parse_known_args(namespace=ARGS)
    unittest.main(argv=[sys.argv[0], *rest])


if __name__ == "__main__":
    main()
