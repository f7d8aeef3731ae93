"""Redis is there and says no: it loads, lacks its master, is locked, forbids, cannot save. The store
answers, nobody retries in a storm, and trust comes back by itself (fault rows 11, 26, 28 and 31)."""

import contextlib
import random
import time
import unittest

import harness
from checker import SLOWNESS, Change, Load, free_port, metrics_of, wait_trusted

FILLERS = 600
# Attempts to connect are spaced: at most so many a second, of the worker and the control thread.
CONNECTS_A_SECOND_MAX = 60
LOG_LINES_MAX = 90  # a few for each link, lease and era that changes; not one a request


@harness.level("check")
class Refusals(harness.BooksCase):
    """The daemon has a user of its own in Redis, so that rights and passwords hold for it alone."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.daemon = cls.box.daemon
        cls.admin = cls.box.redis.client()
        cls.addClassCleanup(cls.admin.close)
        with open(cls.box.redis.dir / "redis.conf", "a", encoding="utf-8") as conf:
            # Half a minute for what test_loading saves, if nobody ends it; and an ear all the while.
            conf.write("key-load-delay 50000\nloading-process-events-interval-bytes 1024\n"
                       "user app on >first ~* &* +@all\n")
        cls.secret = cls.box.dir / "redis.secret"
        cls.secret.write_text("first\n")
        cls.admin.execute_command("ACL", "SETUSER", "app", "on", ">first", "~*", "&*", "+@all")
        cls.daemon.configure("[cache]\nuser = app\npassword-file = redis.secret")
        cls.daemon.restart()

    def setUp(self):
        wait_trusted(self.box)

    def end_connections(self):
        self.admin.execute_command("CLIENT", "KILL", "USER", "app")

    @contextlib.contextmanager
    def load(self, name=None):
        """No client meets an error; the log stays short; connections are tried at a decent pace."""
        log = self.daemon.log
        before, started = len(log.read_text().splitlines()), time.monotonic()
        accepted = self.admin.info("stats")["total_connections_received"]
        with Load(self.box, name or self._testMethodName.removeprefix("test_")) as load:
            load.await_operations(100)
            yield load
            harness.wait_for(self.admin.ping, 30 * SLOWNESS, "Redis")
            wait_trusted(self.box)
            load.await_operations(100)
        load.check_store()
        lines = log.read_text().splitlines()[before:]
        self.assertLess(len(lines), LOG_LINES_MAX, "\n".join(lines))
        attempts = self.admin.info("stats")["total_connections_received"] - accepted
        self.assertLess(attempts, CONNECTS_A_SECOND_MAX * (time.monotonic() - started))

    def goes_on_without(self, load, count=200):
        """Reads from the store, and acknowledged mutations."""
        change = Change(self.daemon)
        done = sum(load.ledger.done.values())
        load.await_operations(count)
        harness.wait_for(lambda: sum(load.ledger.done.values()) > done + 10, 30 * SLOWNESS,
                         "acknowledged mutations")
        self.assertGreater(change.of("store_answers_total"), count // 4)
        harness.wait_for(lambda: metrics_of(self.daemon)["cache_trusted"] == 0,
                         what="the metric, which follows every so often")

    def test_password_changed(self):
        """The file is read again: no restart, no reload."""
        with self.load() as load:
            self.admin.execute_command("ACL", "SETUSER", "app", "resetpass", ">second")
            self.end_connections()
            self.goes_on_without(load)
            self.secret.write_text("second\n")

    @harness.level("full")
    def test_user_locked(self):
        with self.load() as load:
            self.admin.execute_command("ACL", "SETUSER", "app", "off")
            self.end_connections()
            self.goes_on_without(load)
            self.admin.execute_command("ACL", "SETUSER", "app", "on")

    @harness.level("full")
    def test_commands_forbidden(self):
        for command in ("mget", "evalsha", "getex"):
            with self.subTest(command), self.load(f"no-{command}") as load:
                self.admin.execute_command("ACL", "SETUSER", "app", f"-{command}")
                load.await_operations(200)
                self.admin.execute_command("ACL", "SETUSER", "app", f"+{command}")

    def test_loading(self):
        """Comes back with much to load, old values among it."""
        pick = random.Random(FILLERS)  # bytes that cannot be compressed
        fillers = {f"filler-{number}": pick.randbytes(1500) for number in range(FILLERS)}
        self.admin.mset(fillers)
        with self.load() as load:
            self.admin.save()
            self.box.redis.kill()
            self.box.redis.spawn(["redis-server", str(self.box.redis.dir / "redis.conf")],
                                 self.box.redis.log)
            harness.wait_for(self.says_loading, what="-LOADING")
            self.goes_on_without(load)
            self.admin.config_set("key-load-delay", 0)
        (self.box.redis.dir / "dump.rdb").unlink()
        self.admin.execute_command("ACL", "SETUSER", "app", "resetpass", f">{self.password()}")
        self.admin.delete(*fillers)

    def password(self):
        return self.secret.read_text().strip()

    def says_loading(self):
        try:
            self.admin.exists("filler-1")
        except harness.redis.BusyLoadingError:
            return True
        return False

    @harness.level("full")
    def test_master_down(self):
        with self.load() as load:
            self.admin.config_set("replica-serve-stale-data", "no")
            self.admin.execute_command("REPLICAOF", "127.0.0.1", free_port())
            self.goes_on_without(load)
            self.admin.execute_command("REPLICAOF", "NO", "ONE")
            self.admin.config_set("replica-serve-stale-data", "yes")

    @harness.level("full")
    def test_cannot_save(self):
        """-MISCONF: writes are refused because the last snapshot failed."""
        in_the_way = self.box.redis.dir / "dump.rdb"
        with self.load() as load:
            in_the_way.mkdir()
            self.admin.config_set("save", "3600 1")
            self.admin.bgsave()
            harness.wait_for(lambda: self.admin.info("persistence")["rdb_last_bgsave_status"]
                             == "err", what="a failed snapshot")
            self.goes_on_without(load)
            self.admin.config_set("save", "")
            in_the_way.rmdir()

    @harness.level("full")
    def test_four_replicas_resync_at_once(self):
        """Row 31. Reads go on; how fast is printed: four servers more share the processors."""
        self.admin.mset({f"bulk-{number}": "x" * 500 for number in range(100000)})
        replicas = [self.start_replica(number) for number in range(4)]
        with self.load() as load:
            before = self.rate(load)
            for _, replica in replicas:
                replica.execute_command("REPLICAOF", "127.0.0.1", self.box.redis.port)
            during = self.rate(load)
            for _, replica in replicas:
                harness.wait_for(lambda r=replica: r.info("replication")["master_link_status"]
                                 == "up", 60, "a replica in step")
        print(f"four replicas at once: {during / before:.2f} of the throughput before")
        self.assertGreater(during, before * 0.3)
        self.admin.flushall()

    def rate(self, load):
        started, before = time.monotonic(), load.operations
        load.await_operations(1000, 60)
        return (load.operations - before) / (time.monotonic() - started)

    def start_replica(self, number):
        server = harness.RedisServer.beside(self.box, f"replica-{number}", free_port())
        self.addCleanup(server.remove)
        return server, server.client()


if __name__ == "__main__":
    unittest.main()
