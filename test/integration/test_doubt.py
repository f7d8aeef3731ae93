"""A commit in doubt: the connection to PostgreSQL is cut at every byte of the exchange of a batch,
on its way there and on its way back. Every batch is resolved, every client told the truth, every
key applied once (invariants 1 and 2; fault row 2)."""

import queue
import threading
import unittest

import fault_proxy
import harness
import resp
from checker import SLOWNESS, Change, wait_trusted

WHOLE = 999999
# How far apart the cuts are. The rows of a reply are some 600 bytes, the arrays of a batch 500.
STEP = {"quick": 97, "check": 41, "full": 1}[harness.LEVEL]
WORKERS = 8
WAITS = harness.WORKERS + " and wait_event_type = 'Lock'"


class Doubt(harness.BooksCase):
    conf = (f"[listen]\nworkers = {WORKERS}\n[limits]\nrequest-timeout-ms = 60000\n"
            "[store]\nlock-timeout-ms = 3900\n")

    def setUp(self):
        self.proxy = fault_proxy.Proxy(self.box.postgres.port)
        self.addCleanup(self.proxy.close)
        daemon = self.box.daemon
        text = daemon.conf.read_text()
        self.addCleanup(daemon.conf.write_text, text)
        daemon.conf.write_text(text.replace(f"port={self.box.postgres.port}",
                                            f"port={self.proxy.port}"))
        daemon.restart()
        wait_trusted(self.box)
        self.addCleanup(daemon.stop)  # before its way to the store ends
        self.failed = []

    @harness.level("quick")
    def test_every_byte(self):
        whole = self.exchange_bytes()
        cuts = queue.Queue()
        for direction, count in whole.items():
            for place in {*range(0, count, STEP), count - 1, count}:
                cuts.put((direction, place))
        change = Change(self.box.daemon)
        # One thread after the other would wait for its worker's next attempt to connect.
        threads = [threading.Thread(target=self.work, args=(number, cuts))
                   for number in range(2 * WORKERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(self.failed, [])
        self.assertTrue(cuts.empty())
        self.assertGreater(change.of('commits_total{result="in-doubt"}'), 0)
        self.assertGreater(change.of("mutations_resubmitted_total"), 0)
        self.assertGreater(change.of("store_disconnects_total"), whole["up"] // STEP)

    @harness.level("quick")
    def test_an_expiry_is_published(self):
        """No client asked for it, and no key tells of it; the cache hears of it all the same."""
        client = self.box.client()
        client.execute_command("OPEN", "held", "USD/2")
        client.execute_command("CREDIT", "held", 10, "KEY", "held-credit")
        client.execute_command("HOLD", "held", 7, "KEY", "held-hold")

        def shown(source):
            balance = harness.record(client.execute_command("BALANCE", "held"))
            return balance["source"] == source and balance["held"]
        self.assertEqual(harness.wait_for(lambda: shown("cache"), what="a cached value"), "7")
        with self.box.table_locked("ballast.account_event"):
            self.box.psql("set session_replication_role = replica; update ballast.hold "
                          "set begun_at = now() - interval '1 hour', expires = now()")
            harness.wait_for(lambda: self.box.backends(WAITS), what="an expiry under way")
            self.proxy.freeze("down")
        harness.wait_for(lambda: self.box.psql(
            "select held from ballast.account where account_id = 'held'") == "0",
            what="the expiry's commit")
        self.proxy.cut()
        self.proxy.mend()
        harness.wait_for(lambda: shown("cache") == "0", 15 * SLOWNESS, "the expiry in the cache")

    def exchange_bytes(self):
        """Of one batch with its answer."""
        Account(self, "whole").post("up", WHOLE)
        return self.proxy.exchanges()[f"cut/up/{WHOLE}/whole"]

    def work(self, number, cuts):
        try:
            account = Account(self, f"cut-{number}")
            while not self.failed:
                account.post(*cuts.get_nowait())
        except queue.Empty:
            account.check()
        except Exception as error:  # a thread's exceptions would be lost
            self.failed.append(f"{number}: {error!r}")


class Account:
    """Two of them, which nobody else touches: what each reply has to say is known."""

    def __init__(self, case, name):
        self.case = case
        self.name = name
        self.other = f"{name}-other"
        self.connection = resp.Connection(case.box.daemon, timeout=70)
        case.addCleanup(self.connection.close)
        for account in (self.name, self.other):
            self.connection.ask("OPEN", account, "USD/2")
        self.balance, self.version, self.batches = 0, 1, 0
        self.done = []

    def post(self, direction, place):
        """One batch whose exchange is cut there."""
        key = f"cut/{direction}/{place}/{self.name}"  # for the proxy, once
        rest = key.replace("/", "-")
        commands = [("DEBIT", self.name, self.balance + 1, "KEY", f"{rest}-refused"),
                    ("CREDIT", self.name, 5, "KEY", key),
                    ("TRANSFER", self.name, self.other, 2, "KEY", f"{rest}-transfer"),
                    ("CREDIT", self.name, 5, "KEY", key),
                    ("DEBIT", self.name, 1, "KEY", f"{rest}-debit")]
        refused, credit, transfer, again, debit = map(
            self.told, self.connection.ask_all(commands))
        case, where = self.case, (direction, place)
        case.assertIsInstance(refused, resp.Failure, where)
        case.assertEqual(refused.code, "INSUFFICIENT", where)
        for reply, amount in ((credit, 5), (transfer, -2), (debit, -1)):
            self.balance += amount
            self.version += 1
            case.assertEqual((reply["balance"], reply["version"]),
                             (str(self.balance), str(self.version)), where)
        case.assertEqual((again["transfer"], again["balance"], again["duplicate"]),
                         (credit["transfer"], credit["balance"], 1), where)
        self.batches += 1
        self.done += [(commands[1], credit), (commands[2], transfer), (commands[4], debit)]

    @staticmethod
    def told(reply):
        return reply if isinstance(reply, resp.Failure) else harness.record(reply)

    def check(self):
        """All of it once more, in one pipeline: each key was done, with the result told."""
        replies = self.connection.ask_all(words for words, _ in self.done)
        for (words, first), reply in zip(self.done, map(self.told, replies), strict=True):
            self.case.assertEqual((reply["transfer"], reply["version"], reply["duplicate"]),
                                  (first["transfer"], first["version"], 1), words)
        self.case.assertEqual(
            self.connection.ask("MGET", self.name, self.other),
            [str(self.balance), str(2 * self.batches)])


if __name__ == "__main__":
    unittest.main()
