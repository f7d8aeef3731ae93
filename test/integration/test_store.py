"""PostgreSQL restarts, stalls, locks and refuses: no posting twice, none lost, every answer definite
(invariants 1, 2 and 9; fault rows 1 to 10)."""

import contextlib
import signal
import threading
import time
import unittest
from http.client import HTTPConnection

import redis

import harness
import resp
from checker import (BUSY_SECONDS, SLOWNESS, Change, Load, Wire, metrics_of, pass_time, trust_of,
                     wait_trusted)

ALL = "application_name like 'ballastd %'"
# Read while the store is away for longer than a restart takes.
AWAY = ("STALE", "UNAVAILABLE")


class StoreCase(harness.BooksCase):
    def setUp(self):
        wait_trusted(self.box)
        self.client = self.box.client()
        self.addCleanup(self.client.close)

    def journal_of(self, account):
        """Rows and different keys."""
        return self.box.psql("select count(*), count(distinct key) from ballast.transfer "
                             f"where to_account = '{account}'")


class Streams:
    """Connections that send pipelines of credits of 1, each to an account of its own and to a
    shared one, until told to end; `answers` holds each key's reply."""

    def __init__(self, box, name, connections=4, depth=40):
        self.box = box
        self.name = name
        self.depth = depth
        self.ending = threading.Event()
        self.answers = {}
        self.failed = []
        self.accounts = [f"{name}-{number}" for number in range(connections)] + [f"{name}-hot"]
        self.threads = [threading.Thread(target=self.stream, args=(number,), daemon=True)
                        for number in range(connections)]

    def __enter__(self):
        with contextlib.closing(self.box.client()) as client:
            for account in self.accounts:
                client.execute_command("OPEN", account, "USD/2")
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.ending.set()
        for thread in self.threads:
            thread.join(60 * SLOWNESS)

    def stream(self, number):
        try:
            with resp.Connection(self.box.daemon, timeout=60) as connection:
                turn = 0
                while not self.ending.is_set() and not self.failed:
                    turn += 1
                    commands = [("CREDIT", self.accounts[number if place % 2 else -1], 1,
                                 "KEY", f"{self.name}-{number}-{turn}-{place}")
                                for place in range(self.depth)]
                    for words, reply in zip(commands, connection.ask_all(commands), strict=True):
                        self.answers[words[4]] = (words[1], reply)
                        if isinstance(reply, resp.Failure):
                            self.failed.append(reply)
        except Exception as error:  # a thread's exceptions would be lost
            self.failed.append(f"connection {number}: {error!r}")

    def await_answers(self, count):
        goal = len(self.answers) + count
        harness.wait_for(lambda: self.failed or len(self.answers) >= goal, 30 * SLOWNESS,
                         f"{count} answers")

    def check(self, case):
        """Each got a definite answer, and stands in the journal once."""
        case.assertEqual(self.failed, [])
        for account in self.accounts:
            versions = [int(harness.record(reply)["version"])
                        for name, reply in self.answers.values() if name == account]
            case.assertEqual(sorted(versions), list(range(2, len(versions) + 2)), account)
            case.assertEqual(case.journal_of(account), f"{len(versions)}|{len(versions)}")
            balance = harness.wait_for(lambda: case.client.get(account), 30 * SLOWNESS,
                                       "a connection for reads")
            case.assertEqual(balance, str(len(versions)))


class Interrupted(StoreCase):
    """The deadline is long: whatever happens, latency is all that clients see."""

    conf = "[limits]\nrequest-timeout-ms = 30000\n[store]\nstatement-timeout-ms = 1000\n"

    @harness.level("quick")
    def test_restarted_at_once_under_load(self):
        change = Change(self.box.daemon)
        with Streams(self.box, "restart") as streams:
            streams.await_answers(500)
            for _ in range(20):  # until one meets a commit
                self.box.postgres.restart("immediate")
                streams.await_answers(500)
                if change.of('commits_total{result="in-doubt"}') > 0:
                    break
        streams.check(self)
        self.assertGreater(change.of('commits_total{result="in-doubt"}'), 0)
        self.assertGreater(change.of("mutations_resubmitted_total"), 0)

    @harness.level("quick")
    def test_backends_terminated_under_load(self):
        with Streams(self.box, "terminate") as streams:
            for _ in range(8):
                streams.await_answers(150)
                self.box.psql(f"select pg_terminate_backend(pid) from pg_stat_activity "
                              f"where {harness.WORKERS}")
        streams.check(self)

    def test_checked_load_through_a_restart(self):
        with Load(self.box, "through", tolerated=AWAY) as load:
            load.await_operations(200)
            self.box.postgres.restart("immediate")
            load.await_operations(300, 30)
        self.assertFalse([error for error in load.errors if error[0] == "CREDIT"])
        load.check_store()

    @harness.level("quick")
    def test_late_backend(self):
        """The backend gets the batch and does not move; the daemon gives it up; then the old one
        moves again, and may find the batch in its socket: what it has refused or posted by then
        is what the client is told."""
        for number in range(2):
            account = f"late-{number}"
            self.client.execute_command("OPEN", account, "USD/2")
            with resp.Connection(self.box.daemon) as connection:
                with self.box.paused_backends():
                    connection.send_raw(resp.encode_all((
                        ("DEBIT", account, 3, "KEY", f"{account}-debit"),
                        ("CREDIT", account, 5, "KEY", f"{account}-credit"))))
                    pass_time(2)
                refused, credit = connection.read(), connection.read()
            self.assertIsInstance(refused, resp.Failure, refused)
            self.assertEqual(refused.code, "INSUFFICIENT")
            credit = harness.record(credit)
            self.assertEqual((credit["balance"], credit["version"]), ("5", "2"))
            harness.wait_for(lambda: self.box.psql(
                "select count(*) from pg_stat_activity where state = 'active' and "
                f"{harness.WORKERS}") == "0", 30 * SLOWNESS, "the end of the old backend's work")
            self.assertEqual(self.journal_of(account), "1|1")
            self.assertEqual(self.client.get(account), "5")

    def test_refused_in_a_batch_whose_answer_was_lost(self):
        """The batch is committed and its answer lost: the debit that was refused stood before the
        credit, and is refused again when the batch is sent again (order of one connection)."""
        daemon = self.box.daemon
        wire = Wire(self.box.postgres.port)
        before = daemon.conf.read_text()
        daemon.conf.write_text(before.replace(f"port={self.box.postgres.port}",
                                              f"port={wire.port}"))
        daemon.restart()
        try:
            wait_trusted(self.box)
            self.client = self.box.client()
            self.client.execute_command("OPEN", "refused", "USD/2")
            with resp.Connection(daemon) as connection:
                wire.hold()
                connection.send_raw(resp.encode_all((
                    ("DEBIT", "refused", 3, "KEY", "refused-debit"),
                    ("CREDIT", "refused", 5, "KEY", "refused-credit"))))
                harness.wait_for(lambda: self.journal_of("refused") == "1|1", what="the commit")
                wire.cut()
                wire.mend()
                refused, credit = connection.read(), connection.read()
        finally:
            daemon.conf.write_text(before)
            daemon.restart()
            wire.cut()
        self.assertEqual(harness.record(credit)["balance"], "5")
        self.assertIsInstance(refused, resp.Failure, refused)
        self.assertEqual(refused.code, "INSUFFICIENT")

    def test_backends_paused_under_load(self):
        """In the middle of whatever they do, for longer than the daemon waits. What they hold may
        stop every other process of PostgreSQL as well, and is let go later."""
        with Streams(self.box, "paused") as streams:
            for _ in range(3):
                streams.await_answers(100)
                with self.box.paused_backends():
                    pass_time(2)
        streams.check(self)

    def test_postmaster_paused(self):
        """No new connection, and those that were there have just been lost."""
        with Streams(self.box, "postmaster") as streams:
            streams.await_answers(200)
            pids = self.box.backends()
            self.box.postgres.pause()
            try:
                streams.await_answers(200)  # the backends are alive
                for pid in pids:
                    harness.send_signal(pid, signal.SIGTERM)
                pass_time(2)
            finally:
                self.box.postgres.resume()
            streams.await_answers(200)
        streams.check(self)

    def test_deadlock_with_another_client_of_the_store(self):
        """A transaction in psql that locks in the other order: one of the two is rolled back, and
        the batch is tried again."""
        for account in ("dead-a", "dead-b"):
            self.client.execute_command("OPEN", account, "USD/2")
        with Streams(self.box, "deadlock", connections=1) as streams:
            for _ in range(3):
                transfer = threading.Thread(target=lambda: self.box.client().execute_command(
                    "MTRANSFER", "KEY", f"dead-{time.monotonic_ns()}", "@world", "dead-a", 1,
                    "@world", "dead-b", 1))
                transfer.start()
                with contextlib.suppress(AssertionError):  # psql may be the victim
                    self.box.psql("begin; update ballast.account set version = version "
                                  "where account_id = 'dead-b'; select pg_sleep(0.1); "
                                  "update ballast.account set version = version "
                                  "where account_id = 'dead-a'; commit")
                transfer.join()
            streams.await_answers(50)
        streams.check(self)


class Locked(StoreCase):
    conf = ("[listen]\nworkers = 1\n[limits]\nrequest-timeout-ms = 8000\n"
            "[store]\nlock-timeout-ms = 300\n")

    def test_only_the_locked_account_waits(self):
        for account in ("locked", "free"):
            self.client.execute_command("OPEN", account, "USD/2")
        answers = []

        def credit_locked():
            with contextlib.closing(self.box.client()) as other, \
                 contextlib.suppress(redis.ResponseError):
                for number in range(3):
                    answers.append(harness.record(other.execute_command(
                        "CREDIT", "locked", 1, "KEY", f"locked-{number}")))
        waiter = threading.Thread(target=credit_locked)
        self.addCleanup(waiter.join, 30 * SLOWNESS)
        slowest = 0.0
        with self.box.locked("locked"):
            waiter.start()
            harness.wait_for(lambda: metrics_of(self.box.daemon)["requests_in_flight"] > 0,
                             what="the mutation of the locked account")
            for number in range(20):
                started = time.monotonic()
                self.client.execute_command("CREDIT", "free", 1, "KEY", f"free-{number}")
                slowest = max(slowest, time.monotonic() - started)
                self.assertEqual(self.client.get("free"), str(number + 1))
            self.assertEqual(answers, [])
        waiter.join(20 * SLOWNESS)
        self.assertEqual([answer["balance"] for answer in answers], ["1", "2", "3"])
        # In one batch with the locked account it waits for one lock timeout, and no longer.
        self.assertLess(slowest, 0.3 + BUSY_SECONDS)

    def test_order_of_a_connection_with_a_locked_account(self):
        """Mutations behind the locked one take effect after it, on the same connection."""
        for account in ("first", "second"):
            self.client.execute_command("OPEN", account, "USD/2")
        with resp.Connection(self.box.daemon) as connection:
            with self.box.locked("first"):
                connection.send("CREDIT", "first", 5, "KEY", "order-1")
                connection.send("TRANSFER", "first", "second", 3, "KEY", "order-2")
                connection.send("GET", "second")
                harness.wait_for(lambda: metrics_of(self.box.daemon)["requests_in_flight"] > 0,
                                 what="the mutations in flight")
            self.assertEqual(harness.record(connection.read())["balance"], "5")
            self.assertEqual(harness.record(connection.read())["to_balance"], "3")
            self.assertEqual(connection.read(), "3")

    def test_order_of_a_connection_before_a_locked_account(self):
        """Nor does what goes round the lock overtake what the same connection has sent before."""
        self.box.daemon.restart()  # so that one connection alone has posted
        with contextlib.closing(self.box.client()) as client:
            for account in ("paying", "behind"):
                client.execute_command("OPEN", account, "USD/2")
        poster = self.box.poster()
        commits = Change(self.box.daemon)
        with resp.Connection(self.box.daemon) as first, resp.Connection(self.box.daemon) as second:
            with contextlib.ExitStack() as pause:
                with self.box.locked("behind"):
                    first.send("CREDIT", "behind", 1, "KEY", "before-1")
                    harness.wait_for(lambda: commits.of('commits_total{result="failed"}') > 1,
                                     what="two commits that gave up the lock")
                    pause.enter_context(self.box.paused_backends(f"pid = {poster}"))
                    second.send("CREDIT", "paying", 5, "KEY", "before-2")
                    second.send("TRANSFER", "paying", "behind", 3, "KEY", "before-3")
                    harness.wait_for(lambda: metrics_of(self.box.daemon)["requests_in_flight"] > 2,
                                     what="the mutations in flight")
                self.assertEqual(harness.record(first.read())["balance"], "1")
                pass_time(0.3)  # the transfer could be done, and would be refused
            self.assertEqual(harness.record(second.read())["balance"], "5")
            self.assertEqual(harness.record(second.read())["balance"], "2")

    def test_a_lock_that_outlasts_the_deadline(self):
        self.client.execute_command("OPEN", "for-ever", "USD/2")
        with self.box.locked("for-ever"):
            started = time.monotonic()
            with self.assertRaisesRegex(redis.ResponseError, "^(UNAVAILABLE|UNKNOWN) "):
                self.client.execute_command("CREDIT", "for-ever", 1, "KEY", "ever-1")
            self.assertLess(time.monotonic() - started, 8 + BUSY_SECONDS)
        for _ in range(2):
            reply = harness.record(self.client.execute_command("CREDIT", "for-ever", 1,
                                                               "KEY", "ever-1"))
            self.assertEqual((reply["balance"], reply["version"]), ("1", "2"))


class Away(StoreCase):
    """Longer than any restart: bounded, definite, and back without anybody's help."""

    conf = "[limits]\nrequest-timeout-ms = 1500\n[store]\nstatement-timeout-ms = 1000\n"

    def setUp(self):
        super().setUp()
        self.account = self._testMethodName
        for words in (("OPEN", self.account, "USD/2", "FLOOR", -10),
                      ("CREDIT", self.account, 7, "KEY", f"{self.account}-open")):
            harness.wait_for(lambda w=words: self.client.execute_command(*w), what=words[0])
        harness.wait_for(lambda: trust_of(self.client) == "trusting" and
                         self.balance()["source"] == "cache", 30 * SLOWNESS, "a value")

    def balance(self, *words):
        return harness.record(self.client.execute_command("BALANCE", self.account, *words))

    def readiness(self):
        connection = HTTPConnection("127.0.0.1", self.box.daemon.http_port, timeout=10)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status
        finally:
            connection.close()

    def in_time(self, call, *words):
        started = time.monotonic()
        try:
            return call(*words)
        finally:
            self.assertLess(time.monotonic() - started, 1.5 + BUSY_SECONDS, words)

    @harness.level("quick")
    def test_stale_and_refused_until_it_is_back(self):
        self.box.postgres.stop("immediate")
        try:
            started = time.monotonic()

            def stale():
                return self.in_time(self.balance)["stale"] == 1
            harness.wait_for(stale, 30 * SLOWNESS, "an answer marked stale")
            # The lease ends a second after the last renewal, and not before the store was lost.
            self.assertLess(time.monotonic() - started, 3 + BUSY_SECONDS)
            for words in (("GET", self.account), ("MGET", self.account, self.account)):
                self.in_time(self.refused, "STALE", self.client, *words)
            balance = self.in_time(self.balance)
            self.assertEqual((balance["balance"], balance["version"], balance["floor"],
                              balance["source"]), ("7", "2", "-10", "cache"))
            self.client.execute_command("CLIENT", "STALE", "yes")
            self.assertEqual(self.in_time(self.client.get, self.account), "7")
            self.assertEqual(self.in_time(self.client.mget, self.account), ["7"])
            self.client.execute_command("CLIENT", "STALE", "no")
            self.in_time(self.refused, "STALE", self.client, "GET", self.account)
            for words in (("CREDIT", self.account, 1, "KEY", "away-1"),
                          ("DEBIT", self.account, 1, "KEY", "away-2"),
                          ("OPEN", "away-new", "USD/2")):
                self.in_time(self.refused, "UNAVAILABLE", self.client, *words)
            for words in (("HISTORY", self.account), ("BALANCE", "@world")):
                self.in_time(self.refused, "UNAVAILABLE", self.client, *words)
            self.assertEqual(self.readiness(), 503)
            self.assertEqual(metrics_of(self.box.daemon)["store_up"], 0)
        finally:
            self.box.postgres.start()
        harness.wait_for(lambda: self.client.get(self.account) == "7", 30 * SLOWNESS, "the store")
        self.assertEqual(self.balance()["stale"], 0)
        harness.wait_for(lambda: self.client.execute_command(
            "CREDIT", self.account, 1, "KEY", "away-1"), 30 * SLOWNESS, "mutations")
        self.assertEqual(self.client.get(self.account), "8")  # the refused one was not applied
        harness.wait_for(lambda: self.readiness() == 200, 30 * SLOWNESS, "readiness")

    def test_in_doubt_until_it_is_back(self):
        """A commit that is under way when the server dies: UNKNOWN at the deadline, and the same
        key tells afterwards."""
        replies = []
        with resp.Connection(self.box.daemon) as connection:
            commands = [("CREDIT", self.account, 1, "KEY", f"doubt-{number}")
                        for number in range(3000)]
            sender = threading.Thread(target=lambda: replies.extend(connection.ask_all(commands)))
            change = Change(self.box.daemon)
            sender.start()
            harness.wait_for(lambda: change.of('commits_total{result="ok"}') > 1, what="commits")
            self.box.postgres.stop("immediate")
            try:
                sender.join(20 * SLOWNESS)
            finally:
                self.box.postgres.start()
        codes = {reply.code if isinstance(reply, resp.Failure) else "OK" for reply in replies}
        self.assertLessEqual(codes, {"OK", "UNKNOWN", "UNAVAILABLE"})
        wait_trusted(self.box)
        with resp.Connection(self.box.daemon) as connection:  # in parts: the deadline is short
            repeated = [reply for start in range(0, len(commands), 200)
                        for reply in connection.ask_all(commands[start:start + 200])]
        first = {}
        for words, reply, again in zip(commands, replies, repeated, strict=True):
            again = harness.record(again)
            if isinstance(reply, resp.Failure) and reply.code == "UNAVAILABLE":
                self.assertEqual(again["duplicate"], 0, words)  # said not to have been applied
            elif not isinstance(reply, resp.Failure):
                self.assertEqual(again["transfer"], harness.record(reply)["transfer"])
                self.assertEqual(again["duplicate"], 1)
            first[again["transfer"]] = words
        self.assertEqual(len(first), len(commands))
        self.assertEqual(self.client.get(self.account), str(7 + len(commands)))

    @harness.level("quick")
    def test_read_only(self):
        self.box.psql("alter system set default_transaction_read_only = on")
        self.box.psql("select pg_reload_conf()")
        try:
            harness.wait_for(self.refuses_writes, what="a refusal")
            for _ in range(30):
                self.assertEqual(self.in_time(self.client.get, self.account), "7")
                self.assertEqual(self.in_time(self.balance, "FRESH")["stale"], 0)
                self.in_time(self.refused, "UNAVAILABLE", self.client,
                             "CREDIT", self.account, 1, "KEY", "read-only-1")
            self.assertIsNone(self.in_time(self.client.get, "read-only-nobody"))
        finally:
            self.box.psql("set default_transaction_read_only = off; "
                          "alter system reset default_transaction_read_only")
            self.box.psql("select pg_reload_conf()")
        harness.wait_for(lambda: self.client.execute_command(
            "CREDIT", self.account, 1, "KEY", "read-only-1"), 30 * SLOWNESS, "mutations")
        self.assertEqual(self.client.get(self.account), "8")

    def refuses_writes(self):
        """With postings that have their own account: the setting takes effect a moment later."""
        try:
            self.client.execute_command("OPEN", "read-only-probe", "USD/2")
            self.client.execute_command("CREDIT", "read-only-probe", 1,
                                        "KEY", f"read-only-{time.monotonic_ns()}")
        except redis.ResponseError as error:
            return str(error).startswith("UNAVAILABLE ")
        return False

    def test_silent(self):
        """Every process of PostgreSQL stands still: nothing is refused, nothing is closed."""
        with self.box.paused_backends(ALL):
            self.box.postgres.pause()
            try:
                self.in_time(self.refused, "UNKNOWN", self.client,
                             "CREDIT", self.account, 1, "KEY", "silent-1")
                self.assertEqual(self.in_time(self.balance)["balance"], "7")
                self.in_time(self.refused, "UNAVAILABLE", self.client, "HISTORY", self.account)
                self.assertTrue(self.client.ping())
            finally:
                self.box.postgres.resume()
        reply = harness.record(harness.wait_for(lambda: self.client.execute_command(
            "CREDIT", self.account, 1, "KEY", "silent-1"), 30 * SLOWNESS, "a definite answer"))
        self.assertEqual((reply["balance"], reply["version"]), ("8", "3"))
        self.assertEqual(self.journal_of(self.account), "2|2")


if __name__ == "__main__":
    unittest.main()
