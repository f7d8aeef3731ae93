"""The wall clock jumps an hour, forwards and backwards, at the daemon, at Redis, at PostgreSQL, or at
all of them: nobody notices but who asks for the time (fault row 14)."""

import os
import struct
import subprocess
import unittest
from pathlib import Path
from unittest import mock

import harness
from checker import SLOWNESS, Change, Load, wait_trusted

HOUR = 3600


@harness.level("check")
@unittest.skipIf(SLOWNESS > 1, "a sanitizer wants to be loaded first itself")
class WallClock(harness.BooksCase):
    conf = harness.STEADY

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        box = cls.box
        box.dir.chmod(0o711)
        shim = box.dir / "wall_clock.so"
        source = Path(__file__).with_name("wall_clock.c")
        subprocess.run([os.environ.get("CC", "cc"), "-shared", "-fPIC", "-O2", "-o", shim, source],
                       check=True)
        shim.chmod(0o755)
        cls.files, environments = {}, {}
        for server in ("daemon", "redis", "postgres"):
            cls.files[server] = box.dir / f"{server}.clock"
            cls.turn(server, 0)
            cls.files[server].chmod(0o644)
            environments[server] = {"LD_PRELOAD": str(shim),
                                    "WALL_CLOCK_FILE": str(cls.files[server])}
        box.daemon.stop()
        box.redis.stop()
        with mock.patch.dict(os.environ, environments["redis"]):
            box.redis.start()
        with mock.patch.dict(os.environ, environments["postgres"]):
            box.postgres.restart("fast")
        box.daemon.start(env=environments["daemon"])

    @classmethod
    def turn(cls, server, seconds):
        with open(cls.files[server], "r+b" if cls.files[server].exists() else "wb") as file:
            file.write(struct.pack("q", seconds))

    def hours(self):
        """What the three of them take for the time, in hours from now."""
        box = self.box
        now = int(subprocess.check_output(["date", "+%s"]))
        times = (int(box.client().time()[0]), int(box.redis.client().time()[0]),
                 int(box.psql("select extract(epoch from clock_timestamp())::bigint")))
        return tuple(round((time - now) / HOUR) for time in times)

    def test_jumps(self):
        wait_trusted(self.box)
        client = self.box.client()
        self.assertEqual(self.hours(), (0, 0, 0))
        change = Change(self.box.daemon)
        with Load(self.box, "clock") as load:
            load.await_operations(100)
            era = client.info("trust")["era"]
            for which in (("daemon",), ("redis",), ("postgres",), ("daemon", "redis", "postgres")):
                for hours in (1, -1, 0):
                    for server in which:
                        self.turn(server, hours * HOUR)
                    expected = tuple(hours if server in which else 0 for server in self.files)
                    self.assertEqual(self.hours(), expected)
                    load.await_operations(60)
                    balance = harness.record(client.execute_command(
                        "BALANCE", "clock-0", "MAXAGE", 100))
                    self.assertGreaterEqual(int(balance["age_ms"]), 0)
            self.assertGreater(load.sources["cache"], 0)
        load.check_store()
        # No lease ended, no deadline passed, nothing was lost.
        self.assertEqual(client.info("trust")["era"], era)
        for name in ("cache_disconnects_total", "store_disconnects_total",
                     'deadlines_total{class="read"}', 'deadlines_total{class="mutation"}'):
            self.assertEqual(change.of(name), 0, name)


if __name__ == "__main__":
    unittest.main()
