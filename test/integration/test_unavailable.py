"""The store away or silent: every request is answered by its deadline, and says what may have been
applied."""

import contextlib
import signal
import threading
import time

import checker
import harness
import resp

TIMEOUT_SECONDS = 1.5


class Unavailable(resp.Case):
    conf = "[limits]\nrequest-timeout-ms = 1500\n[store]\nstatement-timeout-ms = 1000\n"

    def setUp(self):
        super().setUp()
        checker.wait_trusted(self.box)

    @contextlib.contextmanager
    def store_stopped(self):
        self.box.postgres.stop("immediate")
        try:
            yield
        finally:
            self.box.postgres.start()
            self.await_store()

    def await_store(self):
        harness.wait_for(lambda: self.connect().ask("OPEN", "back", "USD/2")[0] == "account",
                         30 * checker.SLOWNESS, "an answer of the store")

    @contextlib.contextmanager
    def poster_paused(self):
        """PostgreSQL's process that commits the daemon's batches does not move."""
        pid = self.box.poster()
        harness.send_signal(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            harness.send_signal(pid, signal.SIGCONT)

    def timed(self, connection, *words):
        started = time.monotonic()
        reply = connection.ask(*words)
        self.assertLess(time.monotonic() - started, TIMEOUT_SECONDS + checker.BUSY_SECONDS, words)
        return reply

    def open_cached(self, account, amount):
        # The test before has left links that may still be coming up: keys make it safe to repeat.
        for words in (("OPEN", account, "USD/2"),
                      ("CREDIT", account, amount, "KEY", f"{account}/open")):
            harness.wait_for(lambda w=words: isinstance(self.three.ask(*w), dict), what=words[0])

        def cached():
            reply = self.three.ask("BALANCE", account)
            return isinstance(reply, dict) and reply["source"] == "cache"
        harness.wait_for(cached, what="a cached value")

    def test_without_a_store(self):
        self.open_cached("away", 5)
        willing = self.connect()
        self.assert_status(willing.ask("CLIENT", "STALE", "yes"), "OK")
        with self.store_stopped():
            for words in (("CREDIT", "away", 1, "KEY", "away-1"), ("OPEN", "away-new", "USD/2"),
                          ("MTRANSFER", "KEY", "away-2", "@world", "away", 1),
                          ("CLOSE", "away", "KEY", "away-3")):
                reply = self.timed(self.three, *words)
                self.assert_failure(reply, "UNAVAILABLE", "store", "nothing was applied",
                                    "try again")

            def stale():
                return self.three.ask("BALANCE", "away")["stale"] == 1
            harness.wait_for(stale, what="a stale answer")
            balance = self.timed(self.three, "BALANCE", "away")
            self.assertEqual((balance["balance"], balance["version"], balance["source"],
                              balance["stale"]), ("5", "2", "cache", 1))
            self.assertGreaterEqual(balance["age_ms"], 0)
            for words in (("GET", "away"), ("MGET", "away")):
                self.assert_failure(self.timed(self.three, *words), "STALE", "CLIENT STALE yes")
            self.assert_bulk(self.timed(willing, "GET", "away"), "5")
            self.assertEqual(self.timed(willing, "MGET", "away", "away"), ["5", "5"])
            for words in (("GET", "away-none"), ("MGET", "away", "away-none"),
                          ("EXISTS", "away-none"), ("BALANCE", "away-none"), ("HISTORY", "away"),
                          ("BALANCEAT", "away", "2999-01-01T00:00:00Z"), ("BALANCE", "@world")):
                self.assert_failure(self.timed(willing, *words), "UNAVAILABLE", "store")
            self.assert_status(self.timed(willing, "PING"), "PONG")
        self.assertEqual(self.three.ask("BALANCE", "away", "FRESH")["balance"], "5")
        reply = self.three.ask("CREDIT", "away", 1, "KEY", "away-1")
        self.assertEqual((reply["balance"], reply["duplicate"]), ("6", 0))

    def test_stale_is_for_what_is_behind_it(self):
        self.open_cached("stale", 5)
        with self.store_stopped():
            harness.wait_for(lambda: self.three.ask("BALANCE", "stale")["stale"] == 1,
                             what="a stale answer")
            replies = self.three.ask_all([("GET", "stale"), ("CLIENT", "STALE", "YES"),
                                          ("GET", "stale"), ("CLIENT", "STALE", "NO"),
                                          ("GET", "stale")])
        shown = [reply.code if isinstance(reply, resp.Failure) else reply for reply in replies]
        self.assertEqual(shown, ["STALE", "OK", "5", "OK", "STALE"])

    def test_a_commit_in_doubt(self):
        self.open_cached("doubt", 5)
        with self.poster_paused():
            reply = self.timed(self.three, "CREDIT", "doubt", 1, "KEY", "doubt-1")
            self.assert_failure(reply, "UNKNOWN", "it may or may not have been applied",
                                "repeat with the same key")

        def repeated():
            reply = self.three.ask("CREDIT", "doubt", 1, "KEY", "doubt-1")
            return not isinstance(reply, resp.Failure) and reply
        reply = harness.wait_for(repeated, 30 * checker.SLOWNESS, "a definite answer")
        self.assertEqual((reply["balance"], reply["version"]), ("6", "3"))
        self.assertEqual(self.three.ask("GET", "doubt"), "6")

    @harness.level("check")
    def test_a_store_that_is_slow_to_read(self):
        self.open_cached("slow", 5)
        change = checker.Change(self.box.daemon)
        with self.box.table_locked("ballast.account", "access exclusive"):
            started = time.monotonic()
            asked = (("HISTORY", "slow"), ("GET", "slow-none"), ("BALANCE", "slow", "FRESH"))
            connections = [self.connect() for _ in asked]
            for connection, words in zip(connections, asked, strict=True):
                connection.send(*words)
            self.assert_bulk(self.three.ask("GET", "slow"), "5")
            for connection in connections[:2]:
                self.assert_failure(connection.read(), "UNAVAILABLE", "did not answer in time",
                                    "try again")
            last_known = harness.record(connections[2].read())
            self.assertEqual((last_known["balance"], last_known["source"], last_known["stale"]),
                             ("5", "cache", 1))
            self.assertLess(time.monotonic() - started, TIMEOUT_SECONDS + checker.BUSY_SECONDS)
        self.assertIsNone(self.three.ask("GET", "slow-none"))
        self.assertGreaterEqual(change.of("store_read_pauses_total"), 1)  # the breaker opened

    @harness.level("check")
    def test_a_pipeline_does_not_multiply_the_deadline(self):
        self.open_cached("queue", 5)
        with self.store_stopped():
            started = time.monotonic()
            replies = self.connect().ask_all(
                [("CREDIT", "queue", 1, "KEY", f"queue-{number}"), ("HISTORY", "queue")][number % 2]
                for number in range(40))
            took = time.monotonic() - started
        self.assertEqual({reply.code for reply in replies}, {"UNAVAILABLE"})
        self.assertLess(took, TIMEOUT_SECONDS + checker.BUSY_SECONDS)

    def reload(self, milliseconds):
        daemon = self.box.daemon
        before = daemon.log.read_text().count("event=config-reloaded")
        daemon.configure(f"[limits]\nrequest-timeout-ms = {milliseconds}")
        daemon.send(signal.SIGHUP)
        harness.wait_for(lambda: daemon.log.read_text().count("event=config-reloaded") > before,
                         what="the reload")
        self.connect().ask("PING")  # its worker has taken it over before it takes the next request

    def test_a_reload_that_shortens_the_deadline(self):
        """What waits already keeps its own, and holds up nobody behind it."""
        self.open_cached("shortened", 5)
        patient = [self.connect() for _ in range(2)]
        self.addCleanup(self.reload, int(TIMEOUT_SECONDS * 1000))
        self.reload(60000)
        with self.poster_paused():
            for number, connection in enumerate(patient):
                connection.send("CREDIT", "shortened", 1, "KEY", f"patient-{number}")
                harness.wait_for(lambda n=number: checker.metrics_of(self.box.daemon)
                                 ["requests_in_flight"] > n, what="a request in flight")
            self.reload(int(TIMEOUT_SECONDS * 1000))
            reply = self.timed(self.three, "CREDIT", "shortened", 1, "KEY", "hasty")
            self.assert_failure(reply, "UNAVAILABLE", "nothing was applied")
        for number, connection in enumerate(patient):
            self.assertEqual(harness.record(connection.read())["balance"], str(6 + number))
        self.assertEqual(self.three.ask("CREDIT", "shortened", 1, "KEY", "hasty")["duplicate"], 0)

    def test_order_through_lost_connections(self):
        """Each debit needs the credit before it, also when both are sent again."""
        self.reload(20000)  # long enough: what was never sent would be refused
        self.addCleanup(self.reload, int(TIMEOUT_SECONDS * 1000))
        self.three.ask("OPEN", "order", "USD/2")
        over = threading.Event()

        def terminate():
            while not over.wait(0.03):
                self.box.psql("select pg_terminate_backend(pid) from pg_stat_activity "
                              "where query like '%post_batch%' and pid <> pg_backend_pid()")
        killer = threading.Thread(target=terminate)
        killer.start()
        try:
            commands = [(("CREDIT", "DEBIT")[number % 2], "order", 1, "KEY", f"order-{number}")
                        for number in range(4000)]
            replies = self.three.ask_all(commands)
        finally:
            over.set()
            killer.join()
        self.await_store()
        definite = self.repeat_unknown(commands, replies)
        self.assertEqual(definite, ["1", "0"] * 2000)
        self.assertEqual(self.three.ask("BALANCE", "order", "FRESH")["version"], "4001")

    def repeat_unknown(self, commands, replies):
        """The balances; those whose outcome was unknown are asked for again."""
        balances = []
        for words, reply in zip(commands, replies, strict=True):
            if isinstance(reply, resp.Failure):
                self.assertEqual(reply.code, "UNKNOWN", reply)
                reply = self.three.ask(*words)
                self.assertEqual(reply["duplicate"], 1)
            balances.append(reply["balance"])
        return balances
