"""PostgreSQL comes back with less than it had acknowledged: a standby that lagged was promoted, or files
of an old backup were put in place (fault row 4, rule T14). Nothing is posted by anybody before an
operator has accepted it, no cached value of the lost history is shown, and what is shown afterwards is
what the store has."""

import shutil
import unittest

import harness
from checker import SLOWNESS, wait_trusted


@harness.level("full")
class Restore(harness.BooksCase):
    daemons = 2
    conf = "[limits]\nrequest-timeout-ms = 2000\n"

    def setUp(self):
        for number in (1, 2):
            wait_trusted(self.box, daemon=number)
        self.account = self._testMethodName.removeprefix("test_")
        self.post("OPEN", self.account, "USD/2")
        self.post("CREDIT", self.account, 5, "KEY", f"{self.account}-kept")

    def post(self, *words, daemon=1):
        return harness.record(self.box.client(daemon).execute_command(*words))

    def backup(self):
        """The files, as of now."""
        postgres = self.box.postgres
        copy = self.box.dir / f"backup-{self.account}"
        postgres.stop()
        shutil.copytree(postgres.data, copy, symlinks=True)
        postgres.start()
        for number in (1, 2):
            wait_trusted(self.box, daemon=number)
        return copy

    def restore(self, copy, new_timeline):
        """With `new_timeline` as a standby that is promoted; else as files that were copied back."""
        data = self.box.postgres.data
        self.box.postgres.stop("immediate")
        owner = data.stat()
        shutil.rmtree(data)
        shutil.copytree(copy, data, symlinks=True)
        if new_timeline:
            with open(data / "postgresql.conf", "a", encoding="ascii") as conf:
                conf.write("\nrestore_command = 'false'\n")
            (data / "recovery.signal").touch()
        for path in (data, *data.rglob("*")):
            shutil.chown(path, owner.st_uid, owner.st_gid)
        self.box.postgres.start()
        harness.wait_for(lambda: self.box.psql("select pg_is_in_recovery()") == "f",
                         what="the end of recovery")

    def lose_a_credit(self, new_timeline):
        copy = self.backup()
        lost = self.post("CREDIT", self.account, 2, "KEY", f"{self.account}-lost")
        self.assertEqual(lost["balance"], "7")
        for number in (1, 2):
            harness.wait_for(lambda n=number: self.post("BALANCE", self.account, daemon=n)["source"]
                             == "cache", 30 * SLOWNESS, "the newer value in the cache")
        self.restore(copy, new_timeline)
        for number in (1, 2):
            self.await_shown("5", number)

    def await_shown(self, balance, daemon):
        """By GET and FRESH alike; meanwhile, what the cache had under its lease, or a refusal."""
        def shown():
            client = self.box.client(daemon)
            fresh = self.post("BALANCE", self.account, "FRESH", daemon=daemon)
            return (fresh["balance"] == balance == client.get(self.account)
                    and fresh["stale"] == 0)
        harness.wait_for(shown, 30 * SLOWNESS, f"{balance} at daemon {daemon}")

    def check_whole(self):
        for number in (1, 2):
            wait_trusted(self.box, daemon=number)
            self.assertEqual(self.box.client(number).get(self.account), "8")
        self.box.cli("reconcile")

    def accept_and_go_on(self):
        for number in (1, 2):
            self.assertIn("accept-timeline", self.refused(
                "UNAVAILABLE", self.box.client(number), "CREDIT", self.account, 3, "KEY",
                f"{self.account}-new"))
            self.assertEqual(self.box.client(number).get(self.account), "5")
        self.box.cli("accept-timeline")
        reply = harness.wait_for(lambda: self.post("CREDIT", self.account, 3, "KEY",
                                                   f"{self.account}-new"), 30 * SLOWNESS,
                                 "mutations")
        self.assertEqual((reply["balance"], reply["duplicate"]), ("8", 0))
        self.check_whole()

    def test_promoted_with_a_lag(self):
        self.lose_a_credit(new_timeline=True)
        self.accept_and_go_on()

    def test_files_of_an_old_backup(self):
        """The timeline is the old one: the daemons notice by their leases and the era."""
        self.lose_a_credit(new_timeline=False)
        self.accept_and_go_on()


if __name__ == "__main__":
    unittest.main()
