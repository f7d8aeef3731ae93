"""Two daemons on one PostgreSQL and one Redis, and daemons that die: what one has acknowledged every
other shows, whatever happens to Redis or to either of them (invariants 1 to 4; fault rows 15, 32,
36, 36a and 37)."""

import contextlib
import random
import re
import signal
import threading
import time
import unittest
from pathlib import Path

import harness
import resp
from checker import (SLOWNESS, Load, TwoCase, Wire, findings, free_port, pass_time, trust_of,
                     wait_trusted)

TRUSTED_AGAIN_SECONDS_MAX = 3.5  # after a kill, on a machine that is not busy: W is 1.1 s


def stands_still(pid):
    states = [stat.read_text().rpartition(")")[2].split()[0]
              for stat in Path(f"/proc/{pid}/task").glob("*/stat")]
    return set(states) == {"T"}


class Together(TwoCase):
    @harness.level("quick")
    def test_what_one_acknowledges_the_other_shows(self):
        self.open("ping-pong")
        self.cached_at_both("ping-pong")
        clients = [self.first, self.second]
        for number in range(200):
            writer, reader = clients[number % 2], clients[1 - number % 2]
            writer.execute_command("CREDIT", "ping-pong", 1, "KEY", f"ping-{number}")
            self.assertEqual(reader.get("ping-pong"), str(number + 1))
            self.assertEqual(writer.get("ping-pong"), str(number + 1))

    @harness.level("quick")
    def test_open_after_nil_at_the_other(self):
        for number in range(30):
            account = f"unseen-{number}"
            for client in (self.first, self.second):
                self.assertIsNone(client.get(account))
                self.assertIsNone(client.get(account))
            self.first.execute_command("OPEN", account, "USD/2")
            self.assertEqual(self.second.get(account), "0")
            self.assertEqual(self.first.get(account), "0")

    @harness.level("quick")
    def test_the_same_key_at_both_at_once(self):
        self.open("same")
        answers = [{}, {}]
        failed = []
        barrier = threading.Barrier(2)

        def post(place):
            try:
                with resp.Connection(self.box.daemons[place]) as connection:
                    for turn in range(20):
                        commands = [("CREDIT", "same", 1, "KEY", f"same-{turn}-{number}")
                                    for number in range(25)]
                        barrier.wait(20)
                        for words, reply in zip(commands, connection.ask_all(commands),
                                                strict=True):
                            answers[place][words[4]] = harness.record(reply)
            except Exception as error:  # a thread's exceptions would be lost
                failed.append(error)
        threads = [threading.Thread(target=post, args=(place,)) for place in (0, 1)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(failed, [])
        for key, one in answers[0].items():
            other = answers[1][key]
            for field in ("transfer", "account", "balance", "version"):
                self.assertEqual(one[field], other[field], key)
            self.assertEqual(sorted((one["duplicate"], other["duplicate"])), [0, 1], key)
        self.assertEqual(len({one["transfer"] for one in answers[0].values()}), 500)
        self.assertEqual([self.first.get("same"), self.second.get("same")], ["500", "500"])

    def test_other_words_with_the_same_key_at_both(self):
        self.open("words")
        for number in range(20):
            replies = []

            def post(client, amount, key=f"words-{number}", replies=replies):
                try:
                    replies.append(client.execute_command("CREDIT", "words", amount, "KEY", key))
                except Exception as error:
                    replies.append(str(error).split(" ", 1)[0])
            threads = [threading.Thread(target=post, args=(self.first, 1)),
                       threading.Thread(target=post, args=(self.second, 2))]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            self.assertEqual(sum(reply == "KEYREUSED" for reply in replies), 1, replies)

    def test_transfers_in_both_directions(self):
        """Batches of two daemons that touch the same accounts do not stop each other."""
        accounts = [f"circle-{number}" for number in range(6)]
        self.open(*accounts)
        for account in accounts:
            self.first.execute_command("CREDIT", account, 1000, "KEY", f"{account}-open")
        failed = []

        def post(place):
            pick = random.Random(place)
            try:
                with resp.Connection(self.box.daemons[place % 2]) as connection:
                    for turn in range(10):
                        replies = connection.ask_all(
                            ("TRANSFER", *pick.sample(accounts, 2), 1,
                             "KEY", f"circle-{place}-{turn}-{number}") for number in range(40))
                        failed.extend(reply for reply in replies
                                      if isinstance(reply, resp.Failure))
            except Exception as error:
                failed.append(error)
        threads = [threading.Thread(target=post, args=(place,)) for place in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(failed, [])
        self.assertEqual(sum(map(int, self.first.mget(accounts))), 6000)
        self.assertEqual(self.first.mget(accounts), self.second.mget(accounts))

    def test_a_pipeline_never_goes_back(self):
        """Behind a read of the store, the cache may still hold what stood there before."""
        self.open("forwards")
        self.cached_at_both("forwards")
        ending = threading.Event()

        def post():
            number = 0
            while not ending.is_set():
                number += 1
                self.second.execute_command("CREDIT", "forwards", 1, "KEY", f"forwards-{number}")
        poster = threading.Thread(target=post)
        poster.start()
        commands = [("BALANCE", "forwards", "FRESH"), ("GET", "forwards"),
                    ("HISTORY", "forwards", "COUNT", 1), ("MGET", "trust-probe", "forwards")]
        try:
            with resp.Connection(self.box.daemons[0]) as connection:
                for _ in range(200):
                    fresh, value, rows, values = connection.ask_all(commands)
                    shown = [int(harness.record(fresh)["balance"]), int(value),
                             *(int(harness.record(row)["balance"]) for row in rows),
                             int(values[1])]
                    self.assertEqual(shown, sorted(shown))
        finally:
            ending.set()
            poster.join()

    @harness.level("quick")
    def test_the_same_key_through_a_daemon_and_in_sql(self):
        self.open("mixed")
        daemon = harness.record(
            self.first.execute_command("CREDIT", "mixed", 5, "KEY", "mixed-1"))
        self.assertEqual(self.post_in_sql("mixed-1", "mixed", 5), "OK|5|2|t")
        self.assertEqual(self.post_in_sql("mixed-1", "mixed", 6).split("|")[0], "KEYREUSED")
        self.assertEqual(self.post_in_sql("mixed-2", "mixed", 2), "OK|7|3|f")
        reply = harness.record(self.second.execute_command("CREDIT", "mixed", 2, "KEY", "mixed-2"))
        self.assertEqual((reply["balance"], reply["version"], reply["duplicate"]), ("7", "3", 1))
        self.assertEqual([self.first.get("mixed"), self.second.get("mixed")], ["7", "7"])
        self.assertEqual(daemon["duplicate"], 0)
        self.refused("KEYREUSED", self.second, "CREDIT", "mixed", 3, "KEY", "mixed-2")

    def test_shown_is_shown_everywhere(self):
        """A duplicate and a refusal bear the version of a posting made in SQL: from then on the
        cache shows nothing older, at the other daemon either (rule T7)."""
        self.open("shown")
        for number in range(25):
            self.cached_at_both("shown")
            self.post_in_sql(f"shown-{number}", "shown", 1)
            reply = harness.record(
                self.first.execute_command("CREDIT", "shown", 1, "KEY", f"shown-{number}"))
            self.assertEqual((reply["balance"], reply["duplicate"]), (str(number + 1), 1))
            self.assertEqual(self.second.get("shown"), str(number + 1))

    def test_fresh_is_shown_everywhere(self):
        self.open("fresh")
        for number in range(25):
            self.cached_at_both("fresh")
            self.post_in_sql(f"fresh-{number}", "fresh", 1)
            reply = harness.record(self.first.execute_command("BALANCE", "fresh", "FRESH"))
            self.assertEqual(reply["balance"], str(number + 1))
            self.assertEqual(self.second.get("fresh"), str(number + 1))

    def test_history_is_shown_everywhere(self):
        self.open("told")
        for number in range(25):
            self.cached_at_both("told")
            self.post_in_sql(f"told-{number}", "told", 1)
            rows = self.first.execute_command("HISTORY", "told", "COUNT", 1)
            self.assertEqual(harness.record(rows[0])["balance"], str(number + 1))
            self.assertEqual(self.second.get("told"), str(number + 1))


class Faults(TwoCase):
    """Every reply of the load is checked against what anybody had been told before."""

    # --- Redis, at random ---

    def storm(self, seconds, name):
        pick = random.Random(name)
        redis = self.box.redis
        with Load(self.box, name, daemons=(1, 2), clients=6) as load:
            deadline = time.monotonic() + seconds
            while time.monotonic() < deadline:
                load.await_operations(100, 30)
                fault = pick.choice(("flush", "delete", "kill", "pause", "readonly", "none"))
                if fault == "flush":
                    redis.client().flushall()
                elif fault == "delete":
                    redis.client().delete(*(f"bal:{account}" for account in load.accounts))
                elif fault == "kill":
                    redis.kill()
                    load.await_operations(pick.randint(0, 100), 30)
                    redis.start()
                elif fault == "pause":
                    redis.pause()
                    pass_time(pick.uniform(0.02, 1.0))
                    redis.resume()
                elif fault == "readonly":
                    redis.client().execute_command("REPLICAOF", "127.0.0.1", redis.port)
                    pass_time(pick.uniform(0.0, 0.3))
                    redis.client().execute_command("REPLICAOF", "NO", "ONE")
            for number in (1, 2):
                wait_trusted(self.box, daemon=number)
            load.sources.clear()
            load.await_operations(200, 30)
            harness.wait_for(lambda: load.sources["cache"] > 0, what="answers from the cache")
        load.check_store()

    def test_redis_at_random(self):
        self.storm(15, "storm")

    @harness.level("full")
    def test_redis_at_random_for_longer(self):
        self.storm(120, "long-storm")

    # --- one daemon dies or stands still: the other is right at once, and its cache back soon ---

    @contextlib.contextmanager
    def survivor_load(self, name):
        """A load at the second daemon, whatever is done to the first."""
        with Load(self.box, name, daemons=(2,)) as load:
            load.await_operations(200)
            yield load
            load.await_operations(200)
            wait_trusted(self.box, daemon=2)
        load.check_store()

    @harness.level("quick")
    def test_killed(self):
        with self.survivor_load("killed") as load:
            self.box.daemons[0].kill()
            load.await_operations(400)
            wait_trusted(self.box, daemon=2)
            self.box.daemons[0].start()
            wait_trusted(self.box, daemon=1)
            account = load.accounts[0]
            told = load.ledger.floor(account)
            self.assertGreaterEqual(int(self.box.client(1).get(account)) + 1, told)

    def test_paused_past_its_lease(self):
        """It goes on where it stood: what it then reads, publishes and fills is of a past era."""
        self.open("sleeper")
        for turn in range(3):
            self.cached_at_both("sleeper")
            daemon = self.box.daemons[0]
            waiting = resp.Connection(daemon)
            with self.survivor_load(f"paused-{turn}"):
                daemon.pause()
                harness.wait_for(lambda: stands_still(daemon.pid), what="a daemon that stands still")
                try:
                    waiting.send("GET", "sleeper")
                    waiting.send("CREDIT", "sleeper", 1, "KEY", f"sleeper-{turn}-late")
                    waiting.send("GET", "sleeper")
                    done = harness.record(self.second.execute_command(
                        "CREDIT", "sleeper", 10, "KEY", f"sleeper-{turn}"))
                    pass_time(random.Random(turn).uniform(0.0, 2.0))
                finally:
                    daemon.resume()
                told = int(done["balance"])
                value = waiting.read()
                if not isinstance(value, resp.Failure):
                    self.assertGreaterEqual(int(value), told - 10)
                credit, last = waiting.read(), waiting.read()
                self.assertEqual(harness.record(credit)["balance"], str(told + 1))
                self.assertEqual(last, str(told + 1))
            waiting.close()
            self.assertEqual(self.second.get("sleeper"), str(told + 1))
            wait_trusted(self.box, daemon=1)

    def test_paused_again_and_again_under_load(self):
        """A load on both, while one of them stands still for times around its lease."""
        pick = random.Random(7)
        with Load(self.box, "halting", daemons=(1, 2), clients=6) as load:
            for _ in range(6):
                load.await_operations(100, 30)
                daemon = pick.choice(self.box.daemons)
                daemon.pause()
                pass_time(pick.choice((0.05, 0.3, 0.9, 1.2, 1.6)))
                daemon.resume()
            load.await_operations(200, 30)
        load.check_store()
        for number in (1, 2):
            wait_trusted(self.box, daemon=number)

    @harness.level("quick")
    def test_killed_under_load_loses_nothing(self):
        """Everything acknowledged is there; everything else is there zero or one time, and its key
        says which."""
        accounts = [f"crash-{number}" for number in range(4)]
        self.open(*accounts)
        took = [self.kill_under_load(accounts, f"crash-{turn}") for turn in range(3)]
        self.assertLess(min(took), TRUSTED_AGAIN_SECONDS_MAX * SLOWNESS)
        self.assertEqual(findings(self.box), "")

    def kill_under_load(self, accounts, name):
        """Returns how long it took to be trusted again."""
        acknowledged, unanswered = {}, []
        daemon = self.box.daemons[0]

        def stream(number):
            account = accounts[number]
            sent = [("CREDIT", account, 1, "KEY", f"{name}-{number}-{place}")
                    for place in range(20000)]
            with contextlib.closing(resp.Connection(daemon)) as connection:
                place = 0
                with contextlib.suppress(OSError, EOFError):
                    for start in range(0, len(sent), 100):
                        connection.send_raw(resp.encode_all(sent[start:start + 100]))
                        while place < start:  # the batch before is read while this one is posted
                            acknowledged[sent[place]] = harness.record(connection.read())
                            place += 1
                unanswered.extend(sent[place:place + 300])
        threads = [threading.Thread(target=stream, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        harness.wait_for(lambda: len(acknowledged) > 500, 30 * SLOWNESS, "acknowledged mutations")
        daemon.kill()
        for thread in threads:
            thread.join()
        # At the other daemon, before it can have found the first one silent.
        for account in accounts:
            told = max((int(reply["balance"]) for words, reply in acknowledged.items()
                        if words[1] == account), default=0)
            self.assertGreaterEqual(int(self.second.get(account)), told)
        # What its backends have in their hands may still be committed.
        harness.wait_for(lambda: not self.named_backends(daemon) & set(self.box.backends("true")),
                         what="the end of its backends")
        in_store = dict(row.split("|") for row in self.box.psql(
            "select key, transfer from ballast.transfer "
            f"where key like '{name}-%'").splitlines())
        for words, reply in acknowledged.items():
            self.assertEqual(in_store.get(words[4]), reply["transfer"], words)
        with resp.Connection(self.box.daemons[1]) as connection:
            for words, reply in zip(unanswered, connection.ask_all(unanswered), strict=True):
                reply = harness.record(reply)
                self.assertEqual(reply["duplicate"], int(words[4] in in_store), words)
        for number, account in enumerate(accounts):
            keys = {words[4] for words in (*acknowledged, *unanswered) if words[1] == account}
            posted = self.box.psql("select count(*), count(distinct key) from ballast.transfer "
                                   f"where key like '{name}-{number}-%'")
            self.assertEqual(posted, f"{len(keys)}|{len(keys)}")
        daemon.start()
        started = time.monotonic()
        client = self.box.client(1)
        self.assertEqual([client.get(account) for account in accounts],
                         [self.second.get(account) for account in accounts])
        wait_trusted(self.box, daemon=1)
        return time.monotonic() - started

    def test_stopped_gracefully_the_other_keeps_its_cache(self):
        """On a busy machine an era may end for other reasons, too: not every time."""
        def leave(turn):
            self.setUp()
            self.cached_at_both("trust-probe")
            era = int(self.second.info("trust")["era"])
            with self.survivor_load(f"leaving-{turn}"):
                self.assertIn(self.box.daemons[0].stop(), (None, 0))
            return int(self.second.info("trust")["era"]) == era
        self.assertTrue(any(leave(turn) for turn in range(5)), "the era has ended each time")
        harness.wait_for(lambda: trust_of(self.second) == "trusting", 30 * SLOWNESS, "trust")

    # --- one daemon sees another Redis than the other, or none ---

    def cut_off(self, daemon, address):
        daemon.configure(f"[cache]\naddress = {address}")
        daemon.restart(signal.SIGKILL)

    def check_right(self, name):
        with Load(self.box, name, daemons=(1, 2), clients=4) as load:
            load.await_operations(400, 40)
            era = int(self.second.info("trust")["era"])
            pass_time(2)  # long enough for eras to be opened and closed in turn, were they
            load.await_operations(200, 40)
            self.assertLessEqual(int(self.second.info("trust")["era"]), era + 1)
        load.check_store()

    def test_one_without_redis(self):
        daemon = self.box.daemons[0]
        before = daemon.conf.read_text()
        self.cut_off(daemon, "127.0.0.1:1")
        try:
            self.check_right("cut-off")
        finally:
            daemon.conf.write_text(before)
            daemon.restart()
        for number in (1, 2):
            wait_trusted(self.box, daemon=number)

    def named_backends(self, daemon):
        """PostgreSQL's processes that have served this run of the daemon: numbers come again."""
        log = daemon.log.read_text().rpartition("event=start ")[2]
        return set(map(int, re.findall(r"event=store-up .* backend=(\d+)", log)))

    def backends_of(self, daemon):
        """Those of them that do nothing just now."""
        return self.named_backends(daemon) & set(self.box.backends("state = 'idle'"))

    def test_one_without_its_store_the_other_without_redis(self):
        """The first still has Redis, with the value and the stamp that it trusted: the end of its
        lease alone forbids it to believe them (rules T1, T4 and T6)."""
        self.open("between")
        wire = Wire(self.box.redis.port)
        daemon = self.box.daemons[1]
        before = daemon.conf.read_text()
        self.cut_off(daemon, f"127.0.0.1:{wire.port}")
        stopped = []
        try:
            for number in (1, 2):
                wait_trusted(self.box, daemon=number)
            self.second = self.box.client(2)
            self.cached_at_both("between")
            stopped = self.backends_of(self.box.daemons[0])
            for pid in stopped:
                harness.send_signal(pid, signal.SIGSTOP)
            wire.cut()
            self.second.execute_command("CREDIT", "between", 1, "KEY", "between")
            for _ in range(2):
                balance = harness.record(self.first.execute_command("BALANCE", "between"))
                self.assertTrue(balance["stale"] == 1 or balance["balance"] == "1", balance)
        finally:
            for pid in stopped:
                harness.send_signal(pid, signal.SIGCONT)
            daemon.conf.write_text(before)
            daemon.restart()
        self.assertEqual([self.first.get("between"), self.box.client(2).get("between")], ["1"] * 2)

    def test_each_on_its_own_redis(self):
        server = harness.RedisServer.beside(self.box, "redis-split", free_port())
        daemon = self.box.daemons[0]
        before = daemon.conf.read_text()
        self.cut_off(daemon, f"127.0.0.1:{server.port}")
        try:
            self.check_right("split")
        finally:
            daemon.conf.write_text(before)
            daemon.restart()
            server.remove()
        for number in (1, 2):
            wait_trusted(self.box, daemon=number)


if __name__ == "__main__":
    unittest.main()
