#!/usr/bin/env python3
"""What `make deps` does for those who are not root: tools/install_deps.sh with a dpkg and an id of
our own, so that it installs nothing."""
import os
import pathlib
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent
PACKAGES = [word for line in (ROOT / "packages.txt").read_text().splitlines()
            if (word := line.split("#")[0].strip())]


class WithoutRoot(unittest.TestCase):
    def deps(self, missing):
        with tempfile.TemporaryDirectory() as folder:
            stubs = pathlib.Path(folder)
            cases = "".join(f"    {package}) exit 1 ;;\n" for package in missing)
            for name, script in (("id", "echo 1000\n"),
                                 ("apt-get", "echo apt-get was called >&2; exit 9\n"),
                                 ("dpkg-query", "case ${@: -1} in\n" + cases +
                                  "    *) echo -n installed ;;\nesac\n")):
                (stubs / name).write_text("#!/usr/bin/env bash\n" + script)
                (stubs / name).chmod(0o755)
            return subprocess.run([ROOT / "tools" / "install_deps.sh"], capture_output=True,
                                  text=True, check=False,
                                  env={**os.environ, "PATH": f"{stubs}:{os.environ['PATH']}"})

    def test_with_nothing_missing_it_succeeds_in_silence(self):
        done = self.deps([])
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))

    def test_it_prints_the_one_line_that_installs_what_is_missing(self):
        self.assertGreater(len(PACKAGES), 5)
        for missing in (PACKAGES, PACKAGES[2:4]):
            done = self.deps(missing)
            self.assertEqual(done.returncode, 1)
            self.assertEqual(done.stdout, "apt-get update && apt-get install --yes "
                             f"--no-install-recommends {' '.join(missing)}\n")
            self.assertIn("as root", done.stderr)
            self.assertNotIn("was called", done.stderr)


if __name__ == "__main__":
    unittest.main()
