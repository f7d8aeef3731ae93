"""What an operator decides: the cache off and on, and a PostgreSQL that has forgotten something."""

import shutil
import subprocess
import unittest

import harness
from checker import pass_time, wait_trusted


class Switch(harness.Case):
    daemons = 2

    def source(self, daemon=1):
        return harness.record(self.box.client(daemon).execute_command("BALANCE", "alice"))["source"]

    def test_off_and_on(self):
        client = self.box.client()
        client.execute_command("OPEN", "alice", "USD/2")
        client.execute_command("CREDIT", "alice", 5, "KEY", "k1")
        harness.wait_for(lambda: self.source() == "cache", what="an answer from the cache")

        self.assertIn("is off", self.box.cli("cache", "off").stdout)
        for daemon in (1, 2):
            self.assertEqual(self.source(daemon), "sql")
        reply = harness.record(client.execute_command("CREDIT", "alice", 6, "KEY", "k2"))
        self.assertEqual(reply["balance"], "11")
        self.assertEqual(self.box.client(2).get("alice"), "11")
        self.assertIn("switched off", self.box.cli("era").stdout)
        # It stays off, also over a restart of a daemon.
        self.box.daemons[1].restart()
        for daemon in (1, 2):
            self.assertEqual(self.source(daemon), "sql")

        self.box.cli("cache", "on")
        for daemon in (1, 2):
            harness.wait_for(lambda n=daemon: self.source(n) == "cache", what="the cache back")
        self.assertEqual(self.box.client(2).get("alice"), "11")

    def test_usage(self):
        self.box.cli("cache", "maybe", expect=64)


class Timeline(harness.Case):
    daemons = 2

    def fail_over(self):
        """Archive recovery that finds nothing to recover: the same data on a new timeline."""
        self.box.postgres.stop()
        with open(self.box.postgres.data / "postgresql.conf", "a", encoding="ascii") as conf:
            conf.write("\nrestore_command = 'false'\n")
        (self.box.postgres.data / "recovery.signal").touch()
        self.box.postgres.start()
        harness.wait_for(lambda: self.box.psql("SELECT pg_is_in_recovery()") == "f",
                         what="the end of recovery")

    @harness.level("check")
    def test_nothing_is_posted_before_an_operator_has_looked(self):
        client = self.box.client()
        client.execute_command("OPEN", "alice", "USD/2")
        client.execute_command("CREDIT", "alice", 5, "KEY", "k1")
        before = int(self.box.psql("SELECT id FROM ballast.era"))
        self.fail_over()

        def refused():
            text = self.refused("UNAVAILABLE", self.box.client(), "CREDIT", "alice", 6, "KEY", "k2")
            return "accept-timeline" in text
        harness.wait_for(refused, what="a refusal that names the command")
        for daemon in (1, 2):
            harness.wait_for(lambda n=daemon: self.box.client(n).get("alice") == "5",
                             what="reads that go on")
        # Every era that can have been granted is behind, and a new one opens for reads.
        harness.wait_for(lambda: self.box.psql(
            f"SELECT state = 'open' AND id > {before + 1000000} FROM ballast.era") == "t",
            what="an era on the new timeline")
        self.assertEqual(self.box.psql("SELECT count(*) FROM ballast.transfer"), "1")

        printed = self.box.cli("accept-timeline")
        self.assertIn("timeline 00000002; accepted is 00000001", printed.stdout)
        newest = self.box.psql("SELECT max(transfer) FROM ballast.transfer")
        self.assertIn(f"the newest transfer that it knows: {newest},", printed.stdout)

        def posted():
            reply = self.box.client(2).execute_command("CREDIT", "alice", 6, "KEY", "k2")
            return harness.record(reply)["balance"] == "11"
        harness.wait_for(posted, what="posting that goes on")
        self.assertEqual(self.box.client().get("alice"), "11")
        self.assertIn("accepted already", self.box.cli("accept-timeline").stderr)


class Restored(harness.Case):
    """From files, on the same timeline: daemons that lived through it know more than the store."""

    daemons = 2

    def copy(self, source, target):
        shutil.rmtree(target, ignore_errors=True)
        subprocess.run(["cp", "-a", str(source), str(target)], check=True)

    @harness.level("check")
    def test_nothing_is_posted_before_an_operator_has_looked(self):
        postgres = self.box.postgres
        client = self.box.client()
        client.execute_command("OPEN", "alice", "USD/2")
        client.execute_command("CREDIT", "alice", 5, "KEY", "k1")
        self.trusted()
        backup = self.box.dir / "backup"
        postgres.stop()
        self.copy(postgres.data, backup)
        postgres.start()
        harness.wait_for(lambda: harness.record(self.box.client().execute_command(
            "CREDIT", "alice", 6, "KEY", "k2"))["balance"] == "11", what="posting after the backup")
        self.trusted()
        before = int(self.box.psql("SELECT id FROM ballast.era"))
        postgres.stop("immediate")
        self.copy(backup, postgres.data)
        postgres.start()
        # Every era that can have been granted is behind; until then a posting may still pass.
        harness.wait_for(
            lambda: int(self.box.psql("SELECT id FROM ballast.era")) > before + 1000000,
            what="that a daemon notices")

        def refused():
            text = self.refused("UNAVAILABLE", self.box.client(), "CREDIT", "alice", 1, "KEY", "k3")
            return "accept-timeline" in text
        harness.wait_for(refused, what="a refusal that names the command")
        for daemon in (1, 2):
            harness.wait_for(lambda n=daemon: self.box.client(n).get("alice") == "5",
                             what="what the store knows")
        harness.wait_for(lambda: self.box.psql("SELECT state FROM ballast.era") == "open",
                         what="an era after it")
        self.assertIn("accepted is none", self.box.cli("accept-timeline").stdout)
        harness.wait_for(lambda: harness.record(self.box.client(2).execute_command(
            "CREDIT", "alice", 7, "KEY", "k3"))["balance"] == "12", what="posting that goes on")
        self.assertEqual(self.box.client().get("alice"), "12")

    def trusted(self):
        for number in (1, 2):
            wait_trusted(self.box, daemon=number)


class Outage(harness.Case):
    """A store that was away for several leases: nobody was silent but the store."""

    daemons = 2

    @harness.level("check")
    def test_the_era_outlives_it(self):
        for turn in range(3):
            for number in (1, 2):
                wait_trusted(self.box, daemon=number)
            before = self.box.psql("SELECT id FROM ballast.era")
            self.box.postgres.stop("immediate")
            pass_time(2.5 + turn / 3)
            self.box.postgres.start()
            for number in (1, 2):
                wait_trusted(self.box, daemon=number)
            pass_time(1.2)  # that a daemon's silence takes to be noticed
            self.assertEqual(self.box.psql("SELECT id FROM ballast.era"), before)


if __name__ == "__main__":
    unittest.main()
