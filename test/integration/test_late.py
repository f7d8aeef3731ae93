"""What comes late: answers of the store, heard by a daemon whose lease is over, or nearly so; and what
is written to Redis when a newer value may have come and gone. None of it may show an old value (rules T1
to T3, T8, T9 and T12; T4 in test_two_daemons.py)."""

import unittest

import fault_proxy
import harness
import resp
from checker import SLOWNESS, Change, wait_trusted

LEASE_SECONDS = 2.0


class Leases(harness.BooksCase):
    """The first daemon reaches the store, the second one Redis, through a proxy. What the second one
    acknowledges, the first one must not answer with what its Redis still holds: only the end of its
    lease forbids that."""

    daemons = 2
    conf = (f"[cache]\nlease-ms = {int(LEASE_SECONDS * 1000)}\n"
            "[limits]\nrequest-timeout-ms = 30000\n[store]\nstatement-timeout-ms = 15000\n")

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.to_postgres = cls.way(cls.box.daemons[0], "port=", cls.box.postgres.port)
        cls.to_redis = cls.way(cls.box.daemons[1], "address = 127.0.0.1:", cls.box.redis.port)

    @classmethod
    def way(cls, daemon, words, port):
        """From here on the daemon's connections to that port go through the proxy."""
        proxy = fault_proxy.Proxy(port)
        cls.addClassCleanup(proxy.close)
        text = daemon.conf.read_text()
        daemon.conf.write_text(text.replace(f"{words}{port}", f"{words}{proxy.port}"))
        daemon.restart()
        return proxy

    def setUp(self):
        for number in (1, 2):
            wait_trusted(self.box, daemon=number)
        self.first, self.second = (self.box.client(number) for number in (1, 2))
        self.account = self._testMethodName.removeprefix("test_")
        self.second.execute_command("OPEN", self.account, "USD/2")
        for client in (self.first, self.second):
            harness.wait_for(lambda c=client: harness.record(c.execute_command(
                "BALANCE", self.account))["source"] == "cache", 30 * SLOWNESS, "a cached value")
            self.addCleanup(client.close)
        for proxy in (self.to_postgres, self.to_redis):
            self.addCleanup(proxy.mend)

    def lease(self, what):
        """A column of the first daemon's lease; empty where there is none."""
        return self.box.psql(f"select {what} from ballast.lease where daemon like "
                             f"'%-{self.box.daemons[0].pid}-%'")

    def fence(self, fenced):
        self.box.psql(f"update ballast.lease set fenced = {fenced} where daemon = "
                      f"'{self.lease('daemon')}'")

    def await_renewal(self):
        before = self.lease("told_at")
        harness.wait_for(lambda: self.lease("told_at") not in ("", before), 30 * SLOWNESS,
                         "a renewal of the first daemon's lease")

    def credit_without_redis(self):
        """At the second daemon, which has to close the era: the old value stays where it is."""
        self.to_redis.refuse()
        reply = harness.record(self.second.execute_command("CREDIT", self.account, 1,
                                                           "KEY", self.account))
        self.assertEqual(reply["balance"], "1")

    @harness.level("full")
    def test_a_reply_that_comes_late(self):
        """It grants what is left of a lease that began before it was asked for (T1)."""
        self.to_postgres.delay(1.75 * LEASE_SECONDS, "down")
        self.await_renewal()
        self.credit_without_redis()
        self.await_renewal()  # the late reply was heard
        self.to_postgres.mend()
        self.assertEqual(self.first.get(self.account), "1")

    @harness.level("full")
    def test_a_close_that_is_on_its_way(self):
        """What is read by a renewal is not seen before its reply was heard (T2)."""
        self.to_postgres.delay(0.4 * LEASE_SECONDS, "down")
        for _ in range(2):
            self.await_renewal()
        self.credit_without_redis()
        self.to_postgres.mend()
        self.assertEqual(self.first.get(self.account), "1")

    @harness.level("quick")
    def test_who_closes_has_dropped_it(self):
        """The cache answers and cannot be written: the old value stays, and is nobody's (T3)."""
        redis = self.box.redis.client()
        self.addCleanup(redis.close)
        self.addCleanup(redis.execute_command, "ACL", "SETUSER", "default", "+@all")
        redis.execute_command("ACL", "SETUSER", "default", "-eval", "-evalsha")
        self.second.execute_command("CREDIT", self.account, 1, "KEY", self.account)
        self.assertIn(" 0 ", redis.get("bal:" + self.account))
        for client in (self.second, self.first):
            self.assertEqual(client.get(self.account), "1")

    @harness.level("quick")
    def test_who_has_lost_its_lease_posts_nothing(self):
        """Nor does a statement of it that comes late (T12)."""
        posted = f"select count(*) from ballast.transfer where key = '{self.account}'"
        change = Change(self.box.daemons[0])
        self.fence(True)
        with resp.Connection(self.box.daemons[0]) as connection:
            connection.send("CREDIT", self.account, 1, "KEY", self.account)
            harness.wait_for(lambda: change.of('commits_total{result="failed"}') > 0
                             or self.box.psql(posted) == "1", 30 * SLOWNESS, "an attempt")
            self.assertEqual(self.box.psql(posted), "0")
            self.fence(False)
            reply = harness.record(connection.read())
        self.assertEqual((reply["balance"], reply["duplicate"]), ("1", 0))
        self.assertEqual(self.second.get(self.account), "1")


class Writes(harness.BooksCase):
    """The key is gone by the time it is written: what had taken it away may have been newer."""

    # A locked table holds renewals up.
    conf = harness.PATIENT + "warm = no\nlease-ms = 10000\n"

    def setUp(self):
        wait_trusted(self.box)
        self.client, self.redis = self.box.client(), self.box.redis.client()
        self.addCleanup(self.client.close)
        self.addCleanup(self.redis.close)
        self.account = self._testMethodName.removeprefix("test_")
        self.key = f"bal:{self.account}"
        self.client.execute_command("OPEN", self.account, "USD/2")
        self.value = harness.wait_for(self.filled, what="a value in the cache")
        self.redis.delete(self.key)

    def filled(self):
        self.client.get(self.account)
        return self.redis.get(self.key)

    def await_token(self):
        harness.wait_for(lambda: (self.redis.get(self.key) or "").startswith("~"), what="the token")

    @harness.level("quick")
    def test_a_publish_creates_no_key(self):
        """T8."""
        self.client.execute_command("CREDIT", self.account, 1, "KEY", self.account)
        self.assertIsNone(self.redis.get(self.key))
        self.assertEqual(self.client.get(self.account), "1")

    @harness.level("quick")
    def test_a_fill_without_its_token_is_void(self):
        """T9: the store may have been read before whatever took the token away."""
        with self.box.table_locked("ballast.account", "access exclusive"):
            self.client.connection.send_command("GET", self.account)
            self.await_token()
            self.redis.delete(self.key)
        self.assertEqual(self.client.connection.read_response(), "0")
        self.assertIsNone(self.redis.get(self.key))

    @harness.level("quick")
    def test_a_hit_behind_a_read_of_the_store(self):
        """Invariant 4: what the first of two reads gets from the store, though the answer came late, is
        newer than what stood in the cache when the second one was looked up."""
        change = Change(self.box.daemon)
        with resp.Connection(self.box.daemon) as connection:
            with self.box.paused_backends():
                connection.send("GET", self.account)
                self.await_token()
                self.redis.set(self.key, self.value)  # as another daemon would have filled it
                connection.send("GET", self.account)
                harness.wait_for(lambda: change.of('cache_lookups_total{result="hit"}') == 1,
                                 what="the hit")
                self.box.psql(f"select ballast.post('{self.account}', '@world', '{self.account}', 5)")
            self.assertEqual([connection.read(), connection.read()], ["5", "5"])


if __name__ == "__main__":
    unittest.main()
