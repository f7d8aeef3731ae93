"""PostgreSQL refuses, for one reason or the other, and goes on by itself once the reason is gone: fault
rows 5, 6, 9, 11, 12 and 13. The daemon logs in as an ordinary user here, as in production, so that
rights, limits and passwords hold for it."""

import contextlib
import threading
import time
import unittest

import redis

import harness
from checker import BUSY_SECONDS, SLOWNESS, Change, metrics_of, wait_trusted

DAEMON = "application_name like 'ballastd %'"
POSTER = "application_name like 'ballastd worker%' and query like '%post_batch%'"
POST_BATCH = "ballast.post_batch"
TIMEOUT_SECONDS = 2.0
# A few for each link, lease and era that goes down and comes up; not one a request.
LOG_LINES_MAX = 90
REQUESTS = 200


class SettingsCase(harness.BooksCase):
    conf = "[limits]\nrequest-timeout-ms = 2000\n[store]\nstatement-timeout-ms = 1000\n"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.box.psql("create role app login password 'first' in role ballast_daemon")
        hba = cls.box.postgres.data / "pg_hba.conf"
        hba.write_text("host all app 127.0.0.1/32 scram-sha-256\n" + hba.read_text())
        cls.box.psql("select pg_reload_conf()")
        cls.secret = cls.box.dir / "store.secret"
        cls.secret.write_text("first\n")
        daemon = cls.box.daemon
        text = daemon.conf.read_text()
        daemon.conf.write_text(text.replace(f"user={cls.box.env['PGUSER']}", "user=app"))
        daemon.configure("[store]\npassword-file = store.secret")
        daemon.restart()

    def setUp(self):
        wait_trusted(self.box)
        self.client = self.box.client()
        self.addCleanup(self.client.close)
        self.account = self._testMethodName
        self.client.execute_command("OPEN", self.account, "USD/2")
        self.credit(7, "first")

    def credit(self, amount, key):
        return harness.record(self.client.execute_command(
            "CREDIT", self.account, amount, "KEY", f"{self.account}-{key}"))

    def shown(self):
        balance = harness.record(self.client.execute_command("BALANCE", self.account))
        return balance["balance"], balance["source"]

    def credited(self, amount, key):
        """Once the store takes it again."""
        return harness.wait_for(lambda: self.credit(amount, key), 30 * SLOWNESS, "mutations")

    def refused_in_time(self, code, *words):
        started = time.monotonic()
        text = self.refused(code, self.client, *words)
        self.assertLess(time.monotonic() - started, TIMEOUT_SECONDS + BUSY_SECONDS)
        return text

    def set_system(self, *settings):
        """In the server's configuration file, and back at the end of the test."""
        self.alter_system(*(f"set {setting}" for setting in settings))
        names = [setting.split(" ")[0] for setting in settings]
        self.addCleanup(self.alter_system, *(f"reset {name}" for name in names))

    def alter_system(self, *changes):
        # Where the server refuses writes, this session does not.
        for change in (*(f"alter system {change}" for change in changes),
                       "select pg_reload_conf()"):
            self.box.psql(change)

    def end_backends(self, which=DAEMON):
        self.box.psql(f"select pg_terminate_backend(pid) from pg_stat_activity where {which}")

    @contextlib.contextmanager
    def few_log_lines(self):
        log = self.box.daemon.log
        before = len(log.read_text().splitlines())
        yield
        lines = log.read_text().splitlines()[before:]
        self.assertLess(len(lines), LOG_LINES_MAX, "\n".join(lines[-LOG_LINES_MAX:]))

    def await_metric(self, name, value):
        harness.wait_for(lambda: metrics_of(self.box.daemon)[name] == value, 30 * SLOWNESS,
                         f"{name} {value}")

    def reads_and_no_writes(self, *codes):
        """Answers that take no write go on, and mutations are refused at once or by the deadline."""
        for number in range(REQUESTS):
            self.assertEqual(self.client.get(self.account), "7")
            if number % 50 == 0:
                started = time.monotonic()
                with self.assertRaisesRegex(redis.ResponseError, f"^({'|'.join(codes)}) "):
                    self.credit(1, "refused")
                self.assertLess(time.monotonic() - started, TIMEOUT_SECONDS + BUSY_SECONDS)
                balance = harness.record(
                    self.client.execute_command("BALANCE", self.account, "FRESH"))
                self.assertEqual((balance["balance"], balance["stale"]), ("7", 0))


@harness.level("check")
class Refusals(SettingsCase):
    def test_disk_full(self):
        """Row 6. A full disk itself would stop the machine's other tests: the error is raised by a
        trigger, in the midst of the batch, as PostgreSQL raises it."""
        self.box.psql("create function public.disk_full() returns trigger language plpgsql as "
                      "$$begin raise exception 'could not extend file: No space left on device' "
                      "using errcode = '53100'; end$$; "
                      "create trigger disk_full before insert on ballast.transfer "
                      "execute function public.disk_full()")
        change = Change(self.box.daemon)
        with self.few_log_lines():
            try:
                self.reads_and_no_writes("UNAVAILABLE")
                self.assertIn("No space left", self.refused_in_time(
                    "UNAVAILABLE", "CREDIT", self.account, 1, "KEY", f"{self.account}-refused"))
            finally:
                self.box.psql("drop trigger disk_full on ballast.transfer; "
                              "drop function public.disk_full()")
        self.assertEqual(change.of('mutations_total{outcome="unavailable"}'), 5)
        self.assertEqual(change.of('commits_total{result="failed"}'), 5)
        self.assertEqual(self.credited(1, "refused")["version"], "3")

    def test_committed_on_the_primary_alone(self):
        """Row 5. The standby does not answer and somebody cancels the wait: not done, and neither
        is the repeat, which finds the key and has to wait for the standby like any other; so has the
        daemon's own, which publishes it."""
        harness.wait_for(lambda: self.shown() == ("7", "cache"), what="its value in the cache")
        self.lose_the_standby()
        change = Change(self.box.daemon)
        for _ in range(2):
            ending = threading.Timer(0.3, self.cancel_waits)
            ending.start()
            try:
                text = self.refused_in_time("UNKNOWN", "CREDIT", self.account, 1, "KEY",
                                            f"{self.account}-local")
            finally:
                ending.join()
            self.assertIn("may or may not", text)
        self.assertEqual(change.of('mutations_total{outcome="ok"}'), 0)
        self.assertEqual(change.of('mutations_total{outcome="duplicate"}'), 0)
        self.assertEqual(change.of('mutations_total{outcome="unknown"}'), 2)
        self.alter_system("reset synchronous_standby_names")
        # It was committed, if not acknowledged: the cache does not hide it for good.
        harness.wait_for(lambda: self.shown() == ("8", "cache"), what="its publish")
        reply = self.credited(1, "local")
        self.assertEqual((reply["version"], reply["duplicate"]), ("3", 1))

    def test_a_repeat_in_sql_waits_for_the_standby_too(self):
        sql = f"select outcome, duplicate from ballast.post('sql', '@world', '{self.account}', 1)"
        self.assertEqual(self.box.psql(sql), "OK|f")
        self.lose_the_standby()
        answers = []
        poster = threading.Thread(target=lambda: answers.append(self.box.psql(sql)))
        poster.start()
        try:
            harness.wait_for(lambda: self.box.psql(
                "select count(*) from pg_stat_activity where wait_event = 'SyncRep' "
                "and application_name = 'psql'") == "1", what="the wait")
            self.assertEqual(answers, [])
        finally:
            self.alter_system("reset synchronous_standby_names")
            poster.join()
        self.assertEqual(answers, ["OK|t"])

    def lose_the_standby(self):
        """Until PostgreSQL has told all of it: a renewal of the lease waits then, as all commits do."""
        self.set_system("synchronous_standby_names = 'nobody'")
        harness.wait_for(lambda: self.box.psql("select count(*) from pg_stat_activity "
                                               "where wait_event = 'SyncRep'") != "0",
                         30 * SLOWNESS, "a commit that waits")

    def cancel_waits(self):
        self.box.psql("select pg_cancel_backend(pid) from pg_stat_activity "
                      "where wait_event = 'SyncRep'")

    @harness.level("full")
    def test_statement_timeout(self):
        """Row 9. Rolled back by the server, again and again, until the deadline."""
        self.box.psql("create function public.slow() returns trigger language plpgsql as "
                      "$$begin perform pg_sleep(20); return null; end$$; "
                      "create trigger slow before insert on ballast.transfer "
                      "execute function public.slow()")
        change = Change(self.box.daemon)
        try:
            with self.few_log_lines():
                with self.assertRaisesRegex(redis.ResponseError, "^(UNAVAILABLE|UNKNOWN) "):
                    self.credit(1, "slow")  # UNKNOWN: the last attempt is under way just then
                self.assertEqual(self.client.get(self.account), "7")
        finally:
            self.box.psql("drop trigger slow on ballast.transfer; drop function public.slow()")
        self.assertEqual(change.of('deadlines_total{class="mutation"}'), 1)
        self.assertGreater(change.of('commits_total{result="failed"}'), 0)
        reply = self.credited(1, "slow")
        self.assertEqual((reply["version"], reply["duplicate"]), ("3", 0))

    @harness.level("full")
    def test_too_many_connections(self):
        """Row 11. What is there goes on; what was lost backs off and comes back."""
        self.box.psql("alter role app connection limit 0")
        change = Change(self.box.daemon)
        with self.few_log_lines():
            try:
                self.reads_and_no_writes_after_its_end()
            finally:
                self.box.psql("alter role app connection limit -1")
        # Attempts are spaced: some twenty in the time, not thousands.
        refused = self.box.postgres.log.read_text(errors="replace").count("too many connections")
        self.assertLess(refused, 60)
        self.assertEqual(self.credited(1, "refused")["version"], "3")
        self.await_metric("store_up", 1)
        self.assertGreater(change.of("store_disconnects_total"), 0)

    def reads_and_no_writes_after_its_end(self):
        self.end_backends(POSTER)
        self.await_metric("store_up", 0)
        self.reads_and_no_writes("UNAVAILABLE")

    def test_password_changed(self):
        """Row 11. The file is read again: no restart, no reload."""
        self.box.psql("alter role app password 'second'")
        self.assertEqual(self.credit(1, "kept")["version"], "3")  # what is there stays
        with self.few_log_lines():
            self.end_backends()
            harness.wait_for(lambda: self.client.info("store")["store_writes"] == "down", 30 * SLOWNESS,
                             "that nothing can be sent")
            self.refused_in_time("UNAVAILABLE", "CREDIT", self.account, 1, "KEY",
                                 f"{self.account}-locked-out")
            self.secret.write_text("second\n")
            self.assertEqual(self.credited(1, "locked-out")["duplicate"], 0)
        harness.wait_for(lambda: self.client.get(self.account) == "9", what="reads")

    @harness.level("full")
    def test_right_taken_away(self):
        """Row 11. Of no single mutation's making: nobody is told that his own was wrong."""
        function = self.box.psql(f"select '{POST_BATCH}'::regproc::regprocedure")
        self.box.psql(f"revoke execute on function {function} from ballast_daemon")
        with self.few_log_lines():
            try:
                self.reads_and_no_writes("UNAVAILABLE")
            finally:
                self.box.psql(f"grant execute on function {function} to ballast_daemon")
        self.assertEqual(self.credited(1, "refused")["version"], "3")

    @harness.level("full")
    def test_schema_gone_while_live(self):
        """Row 12. No writes; the log names the command; back with the schema."""
        log = self.box.daemon.log
        self.box.psql("alter schema ballast rename to elsewhere")
        try:
            self.refused_in_time("UNAVAILABLE", "CREDIT", self.account, 1, "KEY",
                                 f"{self.account}-gone")
            self.end_backends()
            harness.wait_for(lambda: "ballast migrate" in log.read_text(), 30 * SLOWNESS,
                             "the command in the log")
            self.refused_in_time("UNAVAILABLE", "HISTORY", self.account)
        finally:
            self.box.psql("alter schema elsewhere rename to ballast")
        self.assertEqual(self.credited(1, "gone")["version"], "3")

    def test_commits_are_durable_whatever_the_role_says(self):
        """Row 13."""
        self.box.psql("alter role app set synchronous_commit = off; "
                      "alter role app set default_transaction_isolation = serializable; "
                      "create table public.heard (setting text); "
                      "grant insert on public.heard to public; "
                      "create function public.hear() returns trigger language plpgsql as "
                      "$$begin insert into public.heard values "
                      "(current_setting('synchronous_commit')); return null; end$$; "
                      "create trigger hear before insert on ballast.transfer "
                      "execute function public.hear()")
        try:
            self.end_backends()
            self.credited(1, "durable")
            self.assertEqual(set(self.box.psql("select * from public.heard").split()), {"on"})
        finally:
            self.box.psql("drop trigger hear on ballast.transfer; drop function public.hear(); "
                          "drop table public.heard; alter role app reset all")

    @harness.level("full")
    def test_fsync_off(self):
        """Row 13. Nothing is acknowledged by a server that would forget it."""
        self.set_system("fsync = off")
        self.end_backends()
        harness.wait_for(lambda: "fsync is off" in self.box.daemon.log.read_text(),
                         30 * SLOWNESS, "the reason in the log")
        harness.wait_for(lambda: self.client.info("store")["store_writes"] != "up",
                         30 * SLOWNESS, "the end of the link that posts")
        with self.few_log_lines():
            self.refused_in_time("UNAVAILABLE", "CREDIT", self.account, 1, "KEY",
                                 f"{self.account}-fsync")
        self.alter_system("reset fsync")
        self.assertEqual(self.credited(1, "fsync")["duplicate"], 0)


if __name__ == "__main__":
    unittest.main()
