"""A daemon dies with a commit on its way: nobody is told of it, and nobody but the dead daemon knows that
it is to be published (rule T12; fault row 32)."""

import time
import unittest

import harness
import resp
from checker import SLOWNESS, TwoCase, wait_trusted


class TakeOver(TwoCase):
    # The commit waits for a lock, in a backend whose daemon is killed meanwhile.
    conf = (TwoCase.conf + harness.PATIENT +
            "[store]\nlock-timeout-ms = 8000\nstatement-timeout-ms = 9000\n")

    def setUp(self):
        super().setUp()
        self.account = self._testMethodName.removeprefix("test_")
        self.open(self.account, "steady")
        self.cached_at_both(self.account)
        self.cached_at_both("steady")
        self.addCleanup(wait_trusted, self.box, daemon=1)
        self.addCleanup(self.box.daemons[0].start)
        self.await_leases(2)  # those of daemons that were killed before have gone

    def await_sql(self, question, what):
        harness.wait_for(lambda: self.box.psql(question) != "0", 30 * SLOWNESS, what)

    def await_leases(self, count):
        self.await_sql(f"select (count(*) = {count})::integer from ballast.lease", f"{count} leases")

    def die_with_a_commit(self):
        """The first daemon credits the account with 5, in a backend that outlives it."""
        dying = resp.Connection(self.box.daemons[0])
        with self.box.locked(self.account):
            dying.send("CREDIT", self.account, 5, "KEY", self.account)
            self.await_sql("select count(*) from pg_stat_activity where wait_event_type = 'Lock' "
                           "and query like '%post_batch%'", "a posting that waits for the lock")
            self.box.daemons[0].kill()
            self.assertEqual(self.second.get(self.account), "0")
        dying.close()
        self.await_sql(f"select count(*) from ballast.transfer where key = '{self.account}'",
                       "the commit")

    def shown(self, account):
        balance = harness.record(self.second.execute_command("BALANCE", account))
        return balance["balance"], balance["source"]

    @harness.level("quick")
    def test_in_the_open_era(self):
        """The other one publishes it: the era stays, and so do the reads from the cache."""
        before = self.second.info("trust")
        self.die_with_a_commit()
        started = time.monotonic()
        sources = []

        def is_published():
            sources.append(self.shown("steady")[1])
            return self.shown(self.account) == ("5", "cache")
        harness.wait_for(is_published, 30 * SLOWNESS, "the take-over")
        print(f"the commit of a dead daemon: seen after {time.monotonic() - started:.2f} s",
              flush=True)
        self.await_leases(1)
        after = self.second.info("trust")
        self.assertEqual(after["era"], before["era"])
        self.assertEqual(after["daemons_taken_over"], before["daemons_taken_over"] + 1)
        # One that is late with its own renewal for a moment asks the store.
        self.assertGreaterEqual(sources.count("cache"), 0.9 * len(sources), sources)

    @harness.level("check")
    def test_stuck(self):
        """Somebody in SQL holds the dead daemon's lease: the era is closed, and with it goes the value
        that hides the commit. When he lets go the cache comes back."""
        lease = f"daemon like '%-{self.box.daemons[0].pid}-%'"
        self.die_with_a_commit()
        with self.box.transaction(f"select from ballast.lease where {lease} for update"):
            harness.wait_for(lambda: self.shown(self.account) == ("5", "sql"), 30 * SLOWNESS,
                             "the end of the era")
            self.await_sql(f"select count(*) from ballast.lease where {lease}", "the lease")
        wait_trusted(self.box, daemon=2)
        self.await_leases(1)


if __name__ == "__main__":
    unittest.main()
