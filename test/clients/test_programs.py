"""Programs in other languages that use a client library of theirs, each a list of checks of its
own: they end with 0 if all hold."""

import os
import shutil
import subprocess
from pathlib import Path

import harness

HERE = Path(__file__).parent
PROGRAM_SECONDS_MAX = 60


class Programs(harness.BooksCase):
    def run_program(self, *words):
        done = subprocess.run([*words, str(self.box.daemon.port), self.box.daemon.socket],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              check=False, timeout=PROGRAM_SECONDS_MAX)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))

    def test_hiredis(self):
        self.run_program(*harness.launcher(), str(harness.BUILD / "test/clients/hiredis_sync"))

    def test_ioredis(self):
        node = shutil.which("node")
        if node is None:
            self.skipTest("no node here")
        found = subprocess.run([node, "-e", "require('ioredis')"], stdin=subprocess.DEVNULL,
                               capture_output=True, check=False)
        if found.returncode != 0:
            self.skipTest(f"no ioredis in {os.environ.get('NODE_PATH', 'NODE_PATH')}: "
                          "see test/clients/run")
        self.run_program(node, str(HERE / "ioredis.js"))
