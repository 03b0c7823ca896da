"""The declarations of abi/redis_module.h beside Redis's own header, and what the module shows and needs."""

import os
import pathlib
import shutil
import subprocess
import unittest

import servers
from base import MODULE, SERVERS

ROOT = pathlib.Path(__file__).resolve().parents[3]


class Abi(unittest.TestCase):
    def compile(self, folder, *words):
        return subprocess.run([os.environ.get("CXX", "c++"), "-std=c++20", "-fsyntax-only", "-Wno-ignored-attributes",
                               f"-I{folder}", f"-I{ROOT}", '-DSERVER_HEADER="redismodule.h"', *words,
                               str(ROOT / "bindings/valkey/tests/abi_check.cc")], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, check=False)

    def setUp(self):
        try:
            self.folder = servers.header(SERVERS)
        except servers.Unavailable as error:
            self.skipTest(f"Redis's own header cannot be had: {error}")

    def test_our_declarations_are_those_of_the_server(self):
        done = self.compile(self.folder)
        self.assertEqual(done.returncode, 0, done.stderr[-3000:])

    def test_a_signature_or_number_that_differs_is_found(self):
        changed = SERVERS / "changed-header"
        text = (self.folder / "redismodule.h").read_text()
        for old, new in (("(*RedisModule_ReplyWithBool)(RedisModuleCtx *ctx, int b)",
                          "(*RedisModule_ReplyWithBool)(RedisModuleCtx *ctx, long b)"),
                         ("#define REDISMODULE_CTX_FLAGS_RESP3 (1<<22)", "#define REDISMODULE_CTX_FLAGS_RESP3 (1<<21)"),
                         ("    RedisModuleTypeDigestFunc digest;\n    RedisModuleTypeFreeFunc free;",
                          "    RedisModuleTypeFreeFunc free;\n    RedisModuleTypeDigestFunc digest;")):
            self.assertIn(old, text)
            changed.mkdir(exist_ok=True)
            (changed / "redismodule.h").write_text(text.replace(old, new))
            self.assertNotEqual(self.compile(changed).returncode, 0, new)
            shutil.rmtree(changed)


class Library(unittest.TestCase):
    def test_the_module_shows_one_name(self):
        names = subprocess.run(["nm", "-D", "--defined-only", MODULE], capture_output=True, text=True, check=True).stdout
        self.assertEqual([line.split()[-1] for line in names.splitlines()], ["RedisModule_OnLoad"])

    def test_the_module_brings_its_c_plus_plus_library(self):
        needed = subprocess.run(["readelf", "-d", MODULE], capture_output=True, text=True, check=True).stdout
        for library in ("libstdc++", "libgcc"):
            self.assertNotIn(library, needed)


if __name__ == "__main__":
    unittest.main()
