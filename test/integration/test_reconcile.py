"""ballast reconcile: clean books, and each kind of difference."""

import contextlib
import json
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor

import harness


class Reconcile(harness.Case):
    conf = harness.PATIENT

    def setUp(self):
        super().setUp()
        client = self.box.client()
        for name in ("ada", "bob", "cyd"):
            client.execute_command("OPEN", name, "USD/2")
            client.execute_command("CREDIT", name, 100, "KEY", f"seed-{name}")
        client.execute_command("TRANSFER", "ada", "bob", 10, "KEY", "seed-move")
        self.box.cli("rebuild")

    def reconcile(self, *words, expect=0):
        done = self.box.cli("reconcile", "--json", *words, expect=expect)
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        for line in lines:
            self.assertEqual(line["schema"], 1)
        return lines[:-1], lines[-1]

    def tamper(self, sql):
        self.box.psql("set session_replication_role = replica; " + sql)

    def test_clean(self):
        findings, summary = self.reconcile()
        self.assertEqual(findings, [])
        self.assertEqual(summary["result"], "clean")
        self.assertTrue(summary["cache_checked"])
        row = self.box.psql("select result, findings, accounts from ballast.reconciliation_run "
                            f"where run = {summary['run']}")
        self.assertEqual(row, f"clean|0|{summary['accounts']}")

    def test_a_journal_that_takes_longer_than_other_statements(self):
        """Played by a roll-up that sleeps: what a nightly job has to sum may be ten million rows."""
        self.box.psql("create function public.slow() returns trigger language plpgsql as "
                      "$$begin perform pg_sleep(2); return null; end$$; "
                      "create trigger slow before insert on ballast.system_balance "
                      "execute function public.slow()")
        self.addCleanup(self.box.psql, "drop trigger slow on ballast.system_balance; "
                        "drop function public.slow()")
        self.box.daemon.configure("[store]\nstatement-timeout-ms = 1500")
        self.addCleanup(self.box.daemon.configure, "[store]\nstatement-timeout-ms = 4000")
        upto = "select upto from ballast.system_roll_up"
        before = int(self.box.psql(upto))

        def rolled_up():
            """At once, unless the server has something older under way."""
            self.assertEqual(self.reconcile()[1]["result"], "clean")
            return int(self.box.psql(upto)) > before
        harness.wait_for(rolled_up, 60, "the roll-up")

    def test_old_denials_are_forgotten(self):
        client = self.box.client()
        for amount in (1000, 2000, 3000):
            self.assertEqual(client.execute_command("CANSPEND", "cyd", amount)[0], "DENY")
        client.execute_command("SUSPEND", "cyd", "KEY", "suspend-cyd")
        self.addCleanup(client.execute_command, "RESUME", "cyd", "KEY", "resume-cyd")
        self.tamper("update ballast.decision set at = at - interval '400 days' "
                    "where account_id = 'cyd' and coalesce(amount, 0) <> 3000;"
                    "update ballast.decision set at = at + interval '2 hours' where amount = 2000")
        _, summary = self.reconcile()
        self.assertEqual(summary["denials_forgotten"], 1)

        def left():
            return self.box.psql("select kind, amount from ballast.decision "
                                 "where account_id = 'cyd' order by 1, 2")
        self.assertEqual(left(), "deny|2000\ndeny|3000\nsuspend|")
        self.box.daemon.configure("[store]\ndenials-kept-days = 399")
        self.assertEqual(self.reconcile()[1]["denials_forgotten"], 1)
        self.assertEqual(left(), "deny|3000\nsuspend|")

    def test_what_no_reader_believes_is_no_difference(self):
        redis = self.box.redis.client()
        redis.delete("bal:ada")
        self.box.client().get("nobody")  # a remembered absence
        redis.set("bal:cyd", "~1 0123456789abcdef")
        findings, _ = self.reconcile()
        self.assertEqual(findings, [])

    def test_cache_off_by_one(self):
        """A value with a good checksum that is not the row: the row was changed behind it."""
        self.tamper("update ballast.account set balance = balance + 1 where account_id = 'ada'")
        self.box.cli("rebuild", "--account", "ada")
        self.tamper("update ballast.account set balance = balance - 1 where account_id = 'ada'")
        findings, summary = self.reconcile(expect=2)
        self.assertEqual([(f["check"], f["account"], f["repaired"]) for f in findings],
                         [("cache", "ada", False)])
        self.assertEqual(summary["result"], "differences")
        findings, summary = self.reconcile("--repair", expect=2)
        self.assertEqual([(f["account"], f["repaired"]) for f in findings], [("ada", True)])
        self.assertEqual(self.box.psql("select balance from ballast.account "
                                       "where account_id = 'ada'"), "90")
        self.reconcile()

    def test_poison_and_a_neighbours_value(self):
        redis = self.box.redis.client()
        redis.set("bal:ada", redis.get("bal:bob"))
        redis.set("bal:bob", "1 2 nonsense")
        report = self.box.dir / "report.json"
        findings, _ = self.reconcile("--report", report, expect=2)
        self.assertEqual(sorted(f["account"] for f in findings), ["ada", "bob"])
        lines = [json.loads(line) for line in report.read_text().splitlines()]
        self.assertEqual(lines[:-1], findings)
        recorded = self.box.psql(
            'select account_id, "check" from ballast.reconciliation_finding '
            f"where run = {lines[-1]['run']} order by 1")
        self.assertEqual(recorded, "ada|cache\nbob|cache")
        self.reconcile("--repair", expect=2)
        self.reconcile()
        self.assertEqual(self.box.client().mget("ada", "bob"), ["90", "110"])

    def test_orphan(self):
        """The account of a cached value is gone from the store."""
        self.tamper("insert into ballast.account (account_id, asset, balance, version, opened_at, "
                    "changed_at) values ('ghost', 'USD/2', 0, 1, now(), now())")
        self.box.cli("rebuild", "--account", "ghost")
        self.tamper("delete from ballast.account where account_id = 'ghost'")
        findings, _ = self.reconcile(expect=2)
        self.assertEqual([(f["check"], f["account"]) for f in findings], [("orphan", "ghost")])
        self.reconcile("--repair", expect=2)
        self.reconcile()
        self.assertIsNone(self.box.client().get("ghost"))

    def test_store_row_off_by_one_is_never_repaired(self):
        self.tamper("update ballast.account set balance = balance + 1 where account_id = 'cyd'")
        self.box.cli("rebuild", "--account", "cyd")
        for words in ((), ("--repair",)):
            findings, summary = self.reconcile(*words, expect=2)
            self.assertEqual([(f["check"], f["account"]) for f in findings],
                             [("journal", "cyd"), ("asset", None)])
            self.assertEqual(summary["repaired"], 0)
        self.assertEqual(self.box.psql("select balance from ballast.account "
                                       "where account_id = 'cyd'"), "101")
        self.tamper("update ballast.account set balance = balance - 1 where account_id = 'cyd'")
        self.box.cli("rebuild", "--account", "cyd")
        self.reconcile()

    def test_gap_in_the_versions(self):
        self.tamper("update ballast.account set version = version + 1 where account_id = 'cyd'")
        self.box.cli("rebuild", "--account", "cyd")
        findings, _ = self.reconcile(expect=2)
        self.assertEqual([(f["check"], f["account"]) for f in findings], [("journal", "cyd")])
        self.tamper("update ballast.account set version = version - 1 where account_id = 'cyd'")
        self.box.cli("rebuild", "--account", "cyd")
        self.reconcile()

    def test_a_journal_without_a_row(self):
        self.tamper("create table public.kept as select * from ballast.account "
                    "where account_id = 'cyd'; delete from ballast.account where account_id = 'cyd'")
        self.box.cli("rebuild")
        findings, _ = self.reconcile(expect=2)
        self.assertEqual([(f["check"], f["account"], f["found"]) for f in findings],
                         [("journal", "cyd", "no row"), ("asset", None, findings[1]["found"])])
        self.tamper("insert into ballast.account select * from public.kept")
        self.box.psql("drop table public.kept")
        self.box.cli("rebuild")
        self.reconcile()

    def command(self):
        return [*harness.launcher(), str(harness.BUILD / "ballast"), "-c",
                self.box.env["BALLAST_CONF"], "reconcile", "--json"]

    def interrupt(self, where):
        """SIGTERM while it waits for an answer that is minutes away."""
        with subprocess.Popen(self.command(), stdout=subprocess.PIPE) as job:
            self.addCleanup(job.kill)
            harness.wait_for(lambda: self.box.backends(
                f"application_name = 'ballast reconcile' and {where}"))
            job.terminate()
            job.communicate(timeout=20)
            self.assertEqual(job.returncode, 1)
        self.assertEqual(self.box.psql("select result from ballast.reconciliation_run "
                                       "order by run desc limit 1"), "failed")

    def test_interrupted_while_it_looks_at_the_cache(self):
        """SIGTERM while it waits for an answer that comes: no later page is looked at."""
        waits = "application_name = 'ballast reconcile' and wait_event_type = 'Lock' and query like "
        self.box.daemon.configure("[store]\nlock-timeout-ms = 600000")
        self.addCleanup(self.box.daemon.configure, "[store]\nlock-timeout-ms = 1000")
        with contextlib.ExitStack() as before, contextlib.ExitStack() as era:
            before.enter_context(
                self.box.transaction("select from ballast.system_roll_up for update"))
            job = subprocess.Popen(self.command(), stdout=subprocess.PIPE, text=True)
            self.addCleanup(job.kill)
            harness.wait_for(lambda: self.box.backends(waits + "'%roll_up%'"), 20)
            era.enter_context(self.box.transaction("lock table ballast.era"))
            before.close()
            harness.wait_for(lambda: self.box.backends(waits + "'%era_read%'"), 20)
            job.terminate()
        out, _ = job.communicate(timeout=20)
        self.assertEqual(job.returncode, 1)
        summary = json.loads(out.splitlines()[-1])
        self.assertEqual((summary["result"], summary["cache_checked"]), ("failed", False))

    def test_interrupted_in_the_roll_up(self):
        self.box.daemon.configure("[store]\nlock-timeout-ms = 600000")
        self.addCleanup(self.box.daemon.configure, "[store]\nlock-timeout-ms = 1000")
        with self.box.transaction("select from ballast.system_roll_up for update"):
            self.interrupt("wait_event_type = 'Lock'")

    @contextlib.contextmanager
    def slow_journal(self, seconds):
        """A block in which it takes so long to read the events of accounts; it yields how to find who
        does."""
        self.box.psql(f"create table public.slow as select {seconds} as seconds; "
                      "alter table ballast.account_event rename to kept; "
                      "create view ballast.account_event as select k.* from ballast.kept as k, "
                      "pg_sleep((select seconds from public.slow))")
        try:
            yield "wait_event = 'PgSleep'"
        finally:
            self.box.psql("select pg_terminate_backend(pid) from pg_stat_activity "
                          "where wait_event = 'PgSleep'; drop view ballast.account_event; "
                          "alter table ballast.kept rename to account_event; "
                          "drop table public.slow")

    def test_interrupted_while_it_reads_the_journal(self):
        with self.slow_journal(600) as reading:
            self.interrupt(reading)

    def test_reads_again_what_broke_off(self):
        with self.slow_journal(600) as reading, ThreadPoolExecutor() as pool:
            job = pool.submit(self.reconcile)
            harness.wait_for(lambda: self.box.backends(reading))
            self.box.psql("update public.slow set seconds = 0")
            self.box.psql("select pg_terminate_backend(pid) from pg_stat_activity "
                          f"where {reading}")
            findings, summary = job.result(60)
        self.assertEqual((findings, summary["result"]), ([], "clean"))

    def test_without_redis_the_store_is_still_checked(self):
        self.box.redis.stop()
        try:
            findings, summary = self.reconcile(expect=69)
            self.assertEqual(findings[:-1], [])
            self.assertFalse(summary["cache_checked"])
            self.assertGreaterEqual(summary["accounts"], 3)
        finally:
            self.box.redis.start()

    def test_sample(self):
        _, summary = self.reconcile("--sample", "0.0001")
        self.assertEqual(summary["cached"], 0)
        self.box.cli("reconcile", "--sample", "0", expect=64)

    def test_under_load_nothing_is_reported(self):
        over = threading.Event()

        def write(name):
            client = self.box.client()
            count = 0
            while not over.is_set():
                count += 1
                client.execute_command("CREDIT", name, 1, "KEY", f"load-{name}-{count}")
                client.execute_command("DEBIT", name, 1, "KEY", f"load-{name}-back-{count}")

        writers = [threading.Thread(target=write, args=(n,)) for n in ("ada", "bob", "cyd")]
        for writer in writers:
            writer.start()
        try:
            for _ in range(3):
                self.reconcile()
        finally:
            over.set()
            for writer in writers:
                writer.join()
