"""Group commit: mutations that arrive while a batch is in flight form the next one. What that buys
shows in a metric of batch sizes; what it must not cost is here: the order of one connection, and
the fate of neighbours in a batch."""

import contextlib
import random
import threading
import unittest

import harness
import resp
from checker import SLOWNESS, Change, wait_trusted

CONNECTIONS = 8
DEPTH = 50
TURNS = 5
COUNT = CONNECTIONS * DEPTH * TURNS
KINDS = ("credit", "debit", "too much", "get", "balance", "repeat")


class Batching(harness.BooksCase):
    conf = "[limits]\nrequest-timeout-ms = 30000\n"

    def setUp(self):
        wait_trusted(self.box)
        self.client = self.box.client()
        self.addCleanup(self.client.close)

    def open(self, *accounts):
        for account in accounts:
            self.client.execute_command("OPEN", account, "USD/2")

    def run_connections(self, stream, count=CONNECTIONS):
        """stream(number, connection) on as many threads; what one raises fails the test."""
        failed = []

        def run(number):
            try:
                with resp.Connection(self.box.daemon, timeout=60) as connection:
                    stream(number, connection)
            except Exception as error:  # a thread's exceptions would be lost
                failed.append(error)
        threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failed:
            raise failed[0]

    def batches_of(self, name, account_of):
        """Posts COUNT credits; returns how many batches they took, and checks the metric."""
        change = Change(self.box.daemon)

        def stream(number, connection):
            for turn in range(TURNS):
                replies = connection.ask_all(
                    ("CREDIT", account_of(number, place), 1,
                     "KEY", f"{name}-{number}-{turn}-{place}") for place in range(DEPTH))
                for reply in replies:
                    self.assertEqual(harness.record(reply)["duplicate"], 0)
        self.run_connections(stream)
        batches = change.of("batch_size_count")
        self.assertEqual(change.of("batch_size_sum"), COUNT)
        self.assertEqual(change.of('commits_total{result="ok"}'), batches)
        self.assertEqual(change.of('mutations_total{outcome="ok"}'), COUNT)
        # A bucket counts the batches up to its edge: some were larger than one mutation.
        self.assertLess(change.of('batch_size_bucket{le="1"}'), batches)
        return batches

    @harness.level("quick")
    def test_one_hot_account(self):
        self.open("hot")
        batches = self.batches_of("hot", lambda number, place: "hot")
        self.assertLess(batches, COUNT / 4)
        self.assertEqual(self.client.get("hot"), str(COUNT))

    @harness.level("quick")
    def test_many_accounts(self):
        accounts = [f"many-{number}" for number in range(CONNECTIONS * DEPTH)]
        self.open(*accounts)
        batches = self.batches_of("many", lambda number, place: accounts[number * DEPTH + place])
        self.assertLess(batches, COUNT / 4)
        self.assertEqual(self.client.mget(accounts), [str(TURNS)] * len(accounts))

    def test_one_commit_of_the_store_a_batch(self):
        """The batches are PostgreSQL's transactions, not only ours."""
        self.open("wal")
        commits = ("select xact_commit from pg_stat_database "
                   "where datname = current_database()")
        before = int(self.box.psql(commits))
        batches = self.batches_of("wal", lambda number, place: "wal")
        harness.wait_for(lambda: int(self.box.psql(commits)) >= before + batches, what="statistics")
        self.assertLess(int(self.box.psql(commits)) - before, COUNT / 2)
        self.assertEqual(self.box.psql(
            "select count(distinct xmin::text) < count(*) / 4 from ballast.transfer "
            "where key like 'wal-%'"), "t")

    @harness.level("quick")
    def test_a_single_mutation_does_not_wait(self):
        self.open("single")
        change = Change(self.box.daemon)
        for number in range(10):
            self.client.execute_command("CREDIT", "single", 1, "KEY", f"single-{number}")
        self.assertEqual(change.of("batch_size_count"), 10)

    # --- order on one connection ---

    def walk(self, account, name, length, seed, kinds=KINDS):
        """Commands with what each must be answered: a balance, or a code."""
        pick = random.Random(seed)
        balance, version, commands = 0, 1, []
        for number in range(length):
            key = f"{name}-{number}"
            kind = pick.choice(kinds)
            if kind == "credit":
                amount = pick.randint(1, 1000)
                balance, version = balance + amount, version + 1
                commands.append((("CREDIT", account, amount, "KEY", key), (balance, version)))
            elif kind == "debit" and balance > 0:
                amount = pick.randint(1, balance)
                balance, version = balance - amount, version + 1
                commands.append((("DEBIT", account, amount, "KEY", key), (balance, version)))
            elif kind == "too much":
                commands.append((("DEBIT", account, balance + 1, "KEY", key), "INSUFFICIENT"))
            elif kind == "repeat" and commands and commands[-1][0][0] in ("CREDIT", "DEBIT"):
                commands.append(commands[-1] if isinstance(commands[-1][1], tuple)
                                else (("GET", account), str(balance)))
            elif kind == "balance":
                commands.append((("BALANCE", account), (balance, version)))
            else:
                commands.append((("GET", account), str(balance)))
        return commands

    def check_walk(self, connection, commands, reads_may_fail=()):
        replies = connection.ask_all(words for words, _ in commands)
        for place, ((words, expected), reply) in enumerate(zip(commands, replies, strict=True)):
            if isinstance(expected, tuple) and isinstance(reply, list):
                reply = harness.record(reply)
                if reads_may_fail and reply.get("stale") == 1:
                    continue
                reply = int(reply["balance"]), int(reply["version"])
            elif isinstance(reply, resp.Failure):
                if words[0] in ("GET", "BALANCE") and reply.code in reads_may_fail:
                    continue
                reply = reply.code if reply.code == expected else str(reply)
            self.assertEqual(reply, expected, f"command {place}: {words}")

    @harness.level("quick")
    def test_running_balances_of_pipelines(self):
        accounts = [f"walk-{number}" for number in range(4)]
        self.open(*accounts)

        def stream(number, connection):
            self.check_walk(connection, self.walk(accounts[number], f"walk-{number}", 600, number))
        self.run_connections(stream, len(accounts))

    def test_running_balances_through_a_restart(self):
        accounts = [f"torn-{number}" for number in range(4)]
        self.open(*accounts)
        change = Change(self.box.daemon)

        def stream(number, connection):
            # Refusals that are sent again have a test of their own, in test_store.py.
            kinds = [kind for kind in KINDS if kind != "too much"]
            self.check_walk(connection,
                            self.walk(accounts[number], f"torn-{number}", 6000, number, kinds),
                            ("STALE", "UNAVAILABLE"))  # the store may be away for too long
        walking = threading.Event()
        failed = []

        def walk_all():
            try:
                self.run_connections(stream, len(accounts))
            except Exception as error:
                failed.append(error)
            walking.set()
        walker = threading.Thread(target=walk_all)
        walker.start()
        harness.wait_for(lambda: change.of("batch_size_sum") > 500, 30 * SLOWNESS, "mutations")
        self.box.postgres.restart("immediate")
        self.assertFalse(walking.is_set(), "the walk was over before the restart")
        walker.join()
        if failed:
            raise failed[0]

    def test_two_accounts_of_one_connection(self):
        """A transfer between two accounts of a pipeline sees what stood before it, and is seen by
        what stands behind it."""
        self.open("left", "right")
        with resp.Connection(self.box.daemon) as connection:
            commands = []
            for number in range(100):
                commands += [("CREDIT", "left", 1, "KEY", f"two-a-{number}"),
                             ("TRANSFER", "left", "right", 1, "KEY", f"two-b-{number}"),
                             ("MGET", "left", "right")]
            replies = connection.ask_all(commands)
        for number in range(100):
            credit, transfer, values = replies[3 * number:3 * number + 3]
            self.assertEqual(harness.record(credit)["balance"], "1")
            transfer = harness.record(transfer)
            self.assertEqual((transfer["balance"], transfer["to_balance"]), ("0", str(number + 1)))
            self.assertEqual(values, ["0", str(number + 1)])

    # --- neighbours ---

    @harness.level("quick")
    def test_a_bad_operation_is_refused_alone(self):
        """Every kind of refusal in pipelines among good ones, from several connections at once."""
        self.open("good", "poor", "other")
        self.client.execute_command("OPEN", "euro", "EUR/2")
        self.client.execute_command("OPEN", "brim", "USD/2")
        self.client.execute_command("CREDIT", "brim", 2**63 - 1, "KEY", "brim")
        self.client.execute_command("OPEN", "shut", "USD/2")
        self.client.execute_command("CLOSE", "shut", "KEY", "shut")
        bad = (("INSUFFICIENT", ("DEBIT", "poor", 1)),
               ("NOACCOUNT", ("CREDIT", "no-such-account", 1)),
               ("NOACCOUNT", ("TRANSFER", "good", "no-such-account", 1)),
               ("ASSET", ("TRANSFER", "good", "euro", 1)),
               ("OVERFLOW", ("CREDIT", "brim", 1)),
               ("CLOSED", ("CREDIT", "shut", 1)),
               ("KEYREUSED", None),
               ("NOTRANSFER", ("REVERSE", 999999999999)))

        def stream(number, connection):
            commands, expected = [], []
            for turn in range(10):
                for code, words in bad:
                    key = f"bad-{number}-{len(commands)}"
                    commands.append(("CREDIT", "good", 1, "KEY", key))
                    expected.append("OK")
                    commands.append((*words, "KEY", f"{key}-bad") if words
                                    else ("CREDIT", "good", 2, "KEY", key))
                    expected.append(code)
            replies = connection.ask_all(commands)
            self.assertEqual([reply.code if isinstance(reply, resp.Failure) else "OK"
                              for reply in replies], expected)
        change = Change(self.box.daemon)
        self.run_connections(stream)
        count = CONNECTIONS * 10 * len(bad)
        self.assertEqual(self.client.get("good"), str(count))
        self.assertEqual(change.of('mutations_total{outcome="ok"}'), count)
        self.assertEqual(change.of('mutations_total{outcome="refused"}'), count)
        self.assertEqual(change.of('commits_total{result="failed"}'), 0)
        self.assertLess(change.of("batch_size_count"), count)

    def test_the_same_key_in_one_batch(self):
        """From several connections at once: one posting, and everybody gets its result."""
        self.open("same")
        transfers = set()

        def stream(number, connection):
            replies = connection.ask_all(("CREDIT", "same", 3, "KEY", f"same-{turn}")
                                         for turn in range(50))
            for turn, reply in enumerate(replies):
                transfers.add((turn, harness.record(reply)["transfer"],
                               harness.record(reply)["version"]))
        self.run_connections(stream)
        self.assertEqual(len(transfers), 50)
        self.assertEqual(self.client.get("same"), "150")


class SmallQueue(harness.Case):
    """The limit answers BUSY, and what it sheds is not applied (invariant 10)."""

    conf = "[limits]\nbatch = 5\nqueue = 20\npipeline = 1000\n"

    def test_busy(self):
        client = self.box.client()
        client.execute_command("OPEN", "crowd", "USD/2")
        with contextlib.closing(resp.Connection(self.box.daemon)) as connection:
            commands = [("CREDIT", "crowd", 1, "KEY", f"crowd-{number}") for number in range(400)]
            replies = connection.ask_all(commands)
        codes = {reply.code for reply in replies if isinstance(reply, resp.Failure)}
        self.assertLessEqual(codes, {"BUSY"})
        done = sum(not isinstance(reply, resp.Failure) for reply in replies)
        self.assertGreaterEqual(done, 20)
        self.assertLess(done, 400)
        self.assertEqual(client.get("crowd"), str(done))


if __name__ == "__main__":
    unittest.main()
