"""The way between a daemon and its servers: half-open, slow, cut, full of nonsense. Fault rows 3, 10, 29
and 30, and row 32: daemons that are killed between commit and publish, and between publish and reply."""

import contextlib
import time
import unittest

import fault_proxy
import harness
import resp
from checker import SLOWNESS, Change, Load, metrics_of, pass_time, wait_trusted

TIMEOUT_SECONDS = 3.0
# A few for each link, lease and era that changes with a fault; not one a request.
LOG_LINES_A_FAULT_MAX = 25
NONSENSE = (b"*1000000000\r\n", b"$1000000000\r\n" + b"x" * 100000, b"*-7\r\n", b"$12x\r\n",
            b"+OK\r\n" * 1000, b"*2\r\n$3\r\n250\r\n:1\r\n", b":9223372036854775808\r\n",
            b"*1\r\n" * 100, b"\x00\xff\r\n" * 10)


class WayCase(harness.BooksCase):
    """Two daemons; the second reaches Redis, or PostgreSQL, through the proxy."""

    daemons = 2
    conf = "[limits]\nrequest-timeout-ms = 30000\n[store]\nstatement-timeout-ms = 1000\n"
    server = None

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        to = getattr(cls.box, cls.server).port
        cls.proxy = fault_proxy.Proxy(to)
        cls.addClassCleanup(cls.proxy.close)
        cls.daemon = cls.box.daemons[1]
        text = cls.daemon.conf.read_text()
        for way in (f"port={to}", f"address = 127.0.0.1:{to}"):
            text = text.replace(way, way.replace(str(to), str(cls.proxy.port)))
        cls.daemon.conf.write_text(text)
        cls.daemon.restart()

    def setUp(self):
        for number in (1, 2):
            wait_trusted(self.box, daemon=number)
        self.first, self.second = (self.box.client(number) for number in (1, 2))
        self.addCleanup(self.first.close)
        self.addCleanup(self.second.close)
        self.addCleanup(self.proxy.mend)

    @contextlib.contextmanager
    def load(self, faults, **options):
        """A checked load at both daemons; the second one's log stays short."""
        name = self._testMethodName.removeprefix("test_")
        before = len(self.daemon.log.read_text().splitlines())
        with Load(self.box, name, daemons=(1, 2), clients=4, **options) as load:
            load.await_operations(200, 30)
            yield load
            self.proxy.mend()
            for number in (1, 2):
                wait_trusted(self.box, daemon=number)
            load.await_operations(200, 30)
        load.check_store()
        lines = self.daemon.log.read_text().splitlines()[before:]
        self.assertLess(len(lines), LOG_LINES_A_FAULT_MAX * (faults + 1), "\n".join(lines[-99:]))


class WayToRedis(WayCase):
    """No client meets more than latency."""

    server = "redis"

    @harness.level("check")
    def test_half_open(self):
        change = Change(self.daemon)
        with self.load(3) as load:
            for direction in ("both", "up", "down"):
                self.proxy.freeze(direction)
                load.await_operations(200, 30)
                self.proxy.mend()
                wait_trusted(self.box, daemon=2)
        self.assertGreaterEqual(change.of("cache_disconnects_total"), 3)
        self.assertGreater(change.of("store_answers_total"), 0)

    @harness.level("full")
    def test_a_byte_a_second(self):
        change = Change(self.daemon)
        with self.load(2) as load:
            for direction in ("up", "down"):
                self.proxy.slow(1, direction)
                load.await_operations(200, 30)
                self.proxy.mend()
                wait_trusted(self.box, daemon=2)
        self.assertGreaterEqual(change.of("cache_disconnects_total"), 2)

    @harness.level("full")
    def test_late_replies(self):
        """Around the deadlines of reads and publishes: what comes late answers nobody."""
        with self.load(4) as load:
            for milliseconds in (20, 45, 60, 110):
                self.proxy.delay(milliseconds / 1000, "down")
                load.await_operations(100, 30)

    @harness.level("quick")
    def test_nonsense_and_truncated_replies(self):
        faults = [lambda words=words: self.proxy.say(words) for words in NONSENSE]
        faults += [lambda count=count: self.proxy.cut_after(count, "down")
                   for count in (1, 5, 30, 200, 1000)]
        with self.load(len(faults)) as load:
            for fault in faults:
                wait_trusted(self.box, daemon=2)
                change = Change(self.daemon)
                fault()
                harness.wait_for(lambda c=change: c.of("cache_disconnects_total") > 0, 30 * SLOWNESS,
                                 "the end of the connection")
                load.await_operations(30, 30)
        rss = int(self.second.info("memory")["used_memory_peak"])
        self.assertLess(rss, (64 << 20) * SLOWNESS)

    # --- row 32: what is acknowledged by nobody may be there, and is told by its key ---

    def kill_with_frozen_way(self, direction, account):
        self.first.execute_command("OPEN", account, "USD/2")
        self.first.execute_command("CREDIT", account, 5, "KEY", f"{account}-open")
        for client in (self.first, self.second):
            harness.wait_for(lambda c=client: harness.record(
                c.execute_command("BALANCE", account))["source"] == "cache", what="the cache")
        with resp.Connection(self.daemon) as connection:
            self.proxy.freeze(direction)
            connection.send("CREDIT", account, 1, "KEY", f"{account}-late")
            harness.wait_for(lambda: self.box.psql(
                f"select count(*) from ballast.transfer where key = '{account}-late'") == "1",
                what="the commit")
            self.daemon.kill()
        self.proxy.mend()
        shown = [int(self.first.get(account)) for _ in range(5)]
        self.assertEqual(shown, sorted(shown))
        self.assertLessEqual(set(shown), {5, 6})
        reply = harness.record(self.first.execute_command("CREDIT", account, 1,
                                                          "KEY", f"{account}-late"))
        self.assertEqual((reply["balance"], reply["version"], reply["duplicate"]), ("6", "3", 1))
        self.assertEqual(self.first.get(account), "6")
        self.daemon.start()
        self.second = self.box.client(2)
        self.assertEqual([self.second.get(account), self.first.get(account)], ["6", "6"])
        for number in (1, 2):
            wait_trusted(self.box, daemon=number)

    @harness.level("check")
    def test_killed_between_commit_and_publish(self):
        self.kill_with_frozen_way("up", "unpublished")

    @harness.level("full")
    def test_killed_between_publish_and_reply(self):
        self.kill_with_frozen_way("down", "unconfirmed")


@harness.level("check")
class WayToPostgres(WayCase):
    server = "postgres"

    def test_half_open(self):
        """Neither end hears of it: the old backend lives on, perhaps with the batch in its hands.
        Both ways, and each alone: what was sent is resolved, whatever became of it."""
        change = Change(self.daemon)
        with self.load(3, tolerated=("STALE",), answer_seconds_max=12) as load:
            for direction in ("both", "up", "down"):
                self.proxy.freeze(direction)
                pass_time(2.5)  # longer than the daemon waits
                self.proxy.mend()
                load.await_operations(100, 30)
        self.assertGreater(change.of("store_disconnects_total"), 0)

    @harness.level("full")
    def test_killed_with_a_commit_under_way(self):
        """The answer is on its way when the daemon dies."""
        self.first.execute_command("OPEN", "under-way", "USD/2")
        with resp.Connection(self.daemon) as connection:
            self.proxy.freeze("down")
            connection.send("CREDIT", "under-way", 1, "KEY", "under-way")
            harness.wait_for(lambda: self.box.psql(
                "select count(*) from ballast.transfer where key = 'under-way'") == "1",
                what="the commit")
            self.daemon.kill()
        self.proxy.mend()
        reply = harness.record(self.first.execute_command("CREDIT", "under-way", 1,
                                                          "KEY", "under-way"))
        self.assertEqual((reply["balance"], reply["duplicate"]), ("1", 1))
        self.assertEqual(self.first.get("under-way"), "1")
        self.daemon.start()


@harness.level("full")
class SlowStore(WayCase):
    """A byte a second: the queue is bounded, the loop is not blocked, every answer in time."""

    server = "postgres"
    conf = (f"[limits]\nrequest-timeout-ms = {int(TIMEOUT_SECONDS * 1000)}\n"
            "batch = 10\nqueue = 50\n[store]\nstatement-timeout-ms = 1000\n")

    def test_a_byte_a_second(self):
        self.second.execute_command("OPEN", "slow", "USD/2")
        commands = [("CREDIT", "slow", 1, "KEY", f"slow-{number}") for number in range(200)]
        change = Change(self.daemon)
        with resp.Connection(self.daemon) as connection:
            self.proxy.slow(1)
            started = time.monotonic()
            connection.send_raw(resp.encode_all(commands))
            for _ in range(20):
                asked = time.monotonic()
                self.assertTrue(self.second.ping())
                self.assertLess(time.monotonic() - asked, 0.5 * SLOWNESS)
                pass_time(0.05)
            replies = [connection.read() for _ in commands]
            took = time.monotonic() - started
        self.assertLess(took, TIMEOUT_SECONDS + 1.0 * SLOWNESS)
        codes = [reply.code if isinstance(reply, resp.Failure) else "OK" for reply in replies]
        self.assertLessEqual(set(codes), {"OK", "BUSY", "UNAVAILABLE", "UNKNOWN"})
        self.assertGreaterEqual(codes.count("BUSY"), 100)
        self.assertEqual(change.of('busy_total{limit="queue"}'), codes.count("BUSY"))
        self.proxy.mend()
        harness.wait_for(lambda: metrics_of(self.daemon)["store_up"] == 1, 30 * SLOWNESS,
                         "the store")
        self.check_truth(commands, codes)

    def check_truth(self, commands, codes):
        applied = set(self.box.psql("select key from ballast.transfer where to_account = 'slow'")
                      .split())
        with resp.Connection(self.daemon) as connection:
            repeated = connection.ask_all(commands[:40])
        for words, code, again in zip(commands, codes, repeated, strict=False):
            again = harness.record(again)
            if code != "UNKNOWN":
                self.assertEqual(again["duplicate"], int(code == "OK"), (words, code))
        for words, code in zip(commands, codes, strict=True):
            if code != "UNKNOWN":
                self.assertEqual(words[4] in applied, code == "OK", (words, code))


if __name__ == "__main__":
    unittest.main()
