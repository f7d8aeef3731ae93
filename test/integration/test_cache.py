"""Redis may vanish, rewind or lie: what clients of one daemon see then (fault rows 18 to 30)."""

import contextlib
import shutil
import threading
import time
import unittest

import harness
from checker import SLOWNESS, Change, Load, free_port, trust_of, wait_trusted

PREFIX = "bal:"
STAMP = PREFIX + "~era"
TRUSTED_AGAIN_SECONDS_MAX = 2.0  # about one, on a machine that is busy


class CacheCase(harness.Case):
    def setUp(self):
        """Every test meets a daemon that has seen no fault lately: after several, the next era
        opens later."""
        daemon = self.box.daemon
        daemon.restart()
        self.redis = self.box.redis.client()
        wait_trusted(self.box)
        self.client = daemon.client()
        self.addCleanup(self.client.close)
        self.addCleanup(self.redis.close)

    def open(self, account, balance=0):
        self.client.execute_command("OPEN", account, "USD/2")
        if balance:
            self.credit(account, balance)

    def credit(self, account, amount, key=None):
        key = key or f"{self.id()}-{account}-{time.monotonic_ns()}"
        return harness.record(self.client.execute_command("CREDIT", account, amount, "KEY", key))

    def balance(self, account, *words):
        return harness.record(self.client.execute_command("BALANCE", account, *words))

    def warm(self, *accounts):
        """Until the cache answers for them; returns what stands there."""
        def cached():
            return all(self.balance(account)["source"] == "cache" for account in accounts)
        harness.wait_for(cached, 5 * SLOWNESS, "values in the cache")
        return [self.redis.get(PREFIX + account) for account in accounts]

    def new_era_since(self, era):
        harness.wait_for(lambda: int(self.client.info("trust")["era"]) > era
                         and trust_of(self.client) == "trusting",
                         TRUSTED_AGAIN_SECONDS_MAX * SLOWNESS, "a new era")

    def era(self):
        return int(self.client.info("trust")["era"])

    def second_redis(self):
        """Another Redis of the sandbox, removed at the end of the test; its directory and a
        client."""
        directory = self.box.dir / f"redis-{self._testMethodName}"
        directory.mkdir()
        conf = directory / "redis.conf"
        port = free_port()
        conf.write_text(f"bind 127.0.0.1\nport {port}\ndir {directory}\n"
                        f"logfile {directory}/redis.log\nsave \"\"\n")
        server = harness.RedisServer(self.box)
        server.port, server.dir, server.log = port, directory, directory / "redis.log"
        server.start()

        def remove():
            server.kill()
            server.process.wait()
            shutil.rmtree(directory)
        self.addCleanup(remove)
        return server, server.client()

    def make_replica(self, replica, of):
        for server in (self.redis, replica):
            server.config_set("repl-diskless-sync-delay", 0)
        replica.execute_command("REPLICAOF", "127.0.0.1", of)
        harness.wait_for(lambda: replica.info("replication")["master_link_status"] == "up",
                         20, "a replica in step")


class Faults(CacheCase):
    """Under a checked load: no wrong answer, no error at all, mutations acknowledged throughout,
    and the cache trusted again about a second after the fault is over."""

    conf = "[listen]\nworkers = 2\n"

    @contextlib.contextmanager
    def load(self, eras=1, **options):
        """`eras`: how many the fault ends; after each that did not last the next opens later."""
        name = self._testMethodName.removeprefix("test_")
        with Load(self.box, name, **options) as load:
            load.await_operations(200)
            yield load
            self.redis.ping()
            wait_trusted(self.box, TRUSTED_AGAIN_SECONDS_MAX if eras == 1 else 4)
            load.sources.clear()
            load.await_operations(200)
            harness.wait_for(lambda: load.sources["cache"] > 0, what="answers from the cache")
        load.check_store()

    def await_mutations(self, load, count=20):
        goal = sum(load.ledger.done.values()) + count

        def acknowledged():
            load.raise_wrong()
            return sum(load.ledger.done.values()) >= goal
        harness.wait_for(acknowledged, 10 * SLOWNESS, f"{count} acknowledged mutations")

    @harness.level("quick")
    def test_flushall(self):
        with self.load(eras=3) as load:
            for _ in range(3):
                self.redis.flushall()
                load.await_operations(60)

    def test_keys_deleted(self):
        with self.load() as load:
            era = self.era()
            for _ in range(5):
                self.redis.delete(*(PREFIX + account for account in load.accounts))
                load.await_operations(60)
            self.assertEqual(self.era(), era)  # a missing account is a miss, and nothing else

    def test_stamp_deleted_replaced_and_of_a_wrong_type(self):
        with self.load(eras=6) as load:
            for spoil in (lambda: self.redis.delete(STAMP),
                          lambda: self.redis.set(STAMP, "garbage"),
                          lambda: self.redis.set(STAMP, ""),
                          lambda: self.redis.rename(STAMP, PREFIX + "elsewhere"),
                          lambda: self.redis.swapdb(0, 1)):
                era = self.era()
                spoil()
                harness.wait_for(lambda: self.era() > era, 5 * SLOWNESS, "a new era")
                load.await_operations(60)
            self.redis.delete(STAMP)
            self.redis.rpush(STAMP, "a list")
            load.await_operations(60)

    @harness.level("quick")
    def test_stopped_and_restarted_empty(self):
        with self.load() as load:
            self.box.redis.stop()
            self.await_mutations(load)
            load.await_operations(100)
            self.box.redis.start()

    def test_killed(self):
        with self.load() as load:
            self.box.redis.kill()
            self.await_mutations(load)
            load.await_operations(100)
            self.box.redis.start()

    def test_paused(self):
        with self.load() as load:
            self.box.redis.pause()
            try:
                started = time.monotonic()
                self.await_mutations(load)
                load.await_operations(100)
                # W is waited for once, by the daemon that has to be sure of its own lease.
                self.assertLess(time.monotonic() - started, 4 * SLOWNESS)
            finally:
                self.box.redis.resume()

    def test_connections_killed(self):
        with self.load(eras=5) as load:
            for _ in range(5):
                self.redis.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
                load.await_operations(60)

    def test_restarted_with_an_old_rdb(self):
        with self.load() as load:
            self.redis.save()
            self.await_mutations(load, 50)
            self.box.redis.kill()
            self.box.redis.start()
            self.assertGreater(self.redis.dbsize(), 1)  # what it came back with
            load.await_operations(100)
        (self.box.redis.dir / "dump.rdb").unlink()

    def test_made_a_replica_of_itself(self):
        with self.load() as load:
            self.redis.execute_command("REPLICAOF", "127.0.0.1", self.box.redis.port)
            self.await_mutations(load)
            load.await_operations(100)
            self.redis.execute_command("REPLICAOF", "NO", "ONE")

    def test_refuses_writes(self):
        with self.load() as load:
            self.redis.config_set("min-replicas-to-write", 1)
            self.await_mutations(load)
            load.await_operations(100)
            self.redis.config_set("min-replicas-to-write", 0)

    def test_scripts_and_functions_flushed(self):
        with self.load() as load:
            era = self.era()
            for _ in range(3):
                self.redis.script_flush()
                load.await_operations(60)
            self.assertEqual(self.era(), era)

    def test_busy_with_a_script(self):
        self.redis.config_set("busy-reply-threshold", 50)
        with self.load() as load:
            def spin():
                with contextlib.closing(self.box.redis.client()) as other:
                    other.eval("local t = redis.call('TIME') repeat local n = redis.call('TIME') "
                               "until (n[1] - t[1]) * 1000000 + n[2] - t[2] > 700000", 0)
            spinner = threading.Thread(target=spin)
            spinner.start()
            self.await_mutations(load)
            spinner.join()


class Rewinds(CacheCase):
    """No load: nothing but the next read itself can notice. An old value must not be shown."""

    def setUp(self):
        super().setUp()
        self.account = self._testMethodName
        self.open(self.account, 5)
        self.warm(self.account)

    def read_right(self):
        """GET, MGET and BALANCE, again and again until the cache answers in a new era."""
        def right():
            self.assertEqual(self.client.get(self.account), "9")
            self.assertEqual(self.client.mget(self.account, self.account), ["9", "9"])
            balance = self.balance(self.account)
            self.assertEqual((balance["balance"], balance["version"]), ("9", "3"))
            return balance["source"] == "cache"
        harness.wait_for(right, 5 * SLOWNESS, "an answer from the cache")
        self.new_era_since(self.before)

    def mutate(self):
        self.before = self.era()
        self.credit(self.account, 4)
        self.assertEqual(self.client.get(self.account), "9")

    @harness.level("quick")
    def test_old_rdb(self):
        self.redis.save()
        self.mutate()
        self.box.redis.kill()
        self.box.redis.start()
        try:
            self.assertIn(" 5 ", self.redis.get(PREFIX + self.account))
            self.read_right()
        finally:
            (self.box.redis.dir / "dump.rdb").unlink()

    @harness.level("quick")
    def test_old_values_put_back(self):
        """Everything as it was, stamp and all, where Redis itself has not changed: only versions
        that this daemon has seen could tell; a rewind of the stamp alone is told by the stamp."""
        old = self.redis.dump(PREFIX + self.account)
        self.redis.flushall()
        self.mutate()
        self.redis.restore(PREFIX + self.account, 0, old, replace=True)
        self.read_right()

    @harness.level("quick")
    def test_replica_for_a_moment(self):
        """Made a replica of an old copy and promoted again while nobody looks: the same process,
        the same connections, the same run_id, the old values, the old stamp."""
        _, other = self.second_redis()
        self.make_replica(other, self.box.redis.port)
        other.execute_command("REPLICAOF", "NO", "ONE")
        self.mutate()
        run_id = self.redis.info("server")["run_id"]
        self.make_replica(self.redis, other.connection_pool.connection_kwargs["port"])
        self.redis.execute_command("REPLICAOF", "NO", "ONE")
        self.assertEqual(self.redis.info("server")["run_id"], run_id)
        self.assertIn(" 5 ", self.redis.get(PREFIX + self.account))
        self.read_right()

    def test_replica_for_a_moment_and_a_mutation_first(self):
        """The same, and the first that touches the rewound Redis is the publish of another
        account's mutation: what it finds must not count as confirmed."""
        self.open("rewound-too", 1)
        _, other = self.second_redis()
        self.make_replica(other, self.box.redis.port)
        other.execute_command("REPLICAOF", "NO", "ONE")
        self.mutate()
        self.make_replica(self.redis, other.connection_pool.connection_kwargs["port"])
        self.redis.execute_command("REPLICAOF", "NO", "ONE")
        self.credit("rewound-too", 1)
        self.assertEqual(self.client.get("rewound-too"), "2")
        self.read_right()

    def test_replica_that_stays_one(self):
        _, other = self.second_redis()
        self.make_replica(other, self.box.redis.port)
        other.execute_command("REPLICAOF", "NO", "ONE")
        self.mutate()
        self.make_replica(self.redis, other.connection_pool.connection_kwargs["port"])
        try:
            for _ in range(20):
                self.assertEqual(self.client.get(self.account), "9")
            self.credit("trust-probe", 1)
        finally:
            self.redis.execute_command("REPLICAOF", "NO", "ONE")
        self.read_right()

    def test_failover_to_a_lagging_replica(self):
        """The replica takes the address over; the old master lives on, first with our
        connections, then without."""
        server, other = self.second_redis()
        self.make_replica(other, self.box.redis.port)
        other.execute_command("REPLICAOF", "NO", "ONE")
        self.mutate()
        port = self.box.redis.port
        mine = self.redis.connection_pool.get_connection("PING")  # it outlives the listener
        self.redis.connection_pool.release(mine)
        try:
            self.redis.config_set("port", 0)
            other.config_set("port", port)
            for _ in range(20):
                self.assertEqual(self.client.get(self.account), "9")
            self.redis.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            self.read_right()
        finally:
            other.config_set("port", server.port)
            self.redis.config_set("port", port)
            other.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        wait_trusted(self.box)
        self.assertEqual(self.client.get(self.account), "9")


class Lies(CacheCase):
    """What stands at a key is wrong: the answer is right, the entry is mended, the event counts."""

    conf = "[cache]\nwarm = no\n"  # it is the readers who mend here

    def setUp(self):
        super().setUp()
        self.account = self._testMethodName
        self.open(self.account, 250)
        self.open("neighbour", 7)
        self.value, self.neighbour = self.warm(self.account, "neighbour")
        self.key = PREFIX + self.account

    def read_right_and_mended(self, poisoned=True):
        change = Change(self.box.daemon)
        reads = (lambda: self.client.get(self.account) == "250",
                 lambda: self.client.mget("neighbour", self.account)[1] == "250",
                 lambda: self.balance(self.account)["balance"] == "250")
        for read in reads:
            self.assertTrue(read())
        count = change.of('cache_lookups_total{result="poisoned"}')
        self.assertEqual(count, 1 if poisoned else 0)
        self.assertEqual(self.balance(self.account)["source"], "cache")
        fresh = self.redis.get(self.key)
        self.assertEqual(fresh.split(" ")[:4], self.value.split(" ")[:4])
        self.assertEqual(trust_of(self.client), "trusting")

    @harness.level("quick")
    def test_another_accounts_value(self):
        self.redis.set(self.key, self.neighbour)
        self.read_right_and_mended()

    @harness.level("quick")
    def test_garbage(self):
        for garbage in ("0", "250", "", "\x00\xff", "nil", self.value[:-1], self.value + " ",
                        self.value + "\n", " " + self.value, self.value.lower().swapcase(),
                        "9" * 5000):
            with self.subTest(garbage[:40]):
                self.redis.set(self.key, garbage)
                self.read_right_and_mended()

    @harness.level("quick")
    def test_wrong_types(self):
        for name, make in (("list", lambda: self.redis.rpush(self.key, "250")),
                           ("hash", lambda: self.redis.hset(self.key, "balance", "250")),
                           ("set", lambda: self.redis.sadd(self.key, "250")),
                           ("sorted set", lambda: self.redis.zadd(self.key, {"250": 1})),
                           ("stream", lambda: self.redis.xadd(self.key, {"balance": "250"}))):
            with self.subTest(name):
                self.redis.delete(self.key)
                make()
                for _ in range(3):
                    self.assertEqual(self.client.get(self.account), "250")
                self.assertEqual(self.warm(self.account)[0].split(" ")[:4],
                                 self.value.split(" ")[:4])
                self.assertEqual(trust_of(self.client), "trusting")

    @harness.level("quick")
    def test_every_changed_digit(self):
        fields = self.value.split(" ")
        for place in range(len(fields) - 1):
            if fields[place].lstrip("-").isdigit():
                with self.subTest(place):
                    changed = list(fields)
                    changed[place] = fields[place][:-1] + str((int(fields[place][-1]) + 1) % 10)
                    self.redis.set(self.key, " ".join(changed))
                    self.assertEqual(self.client.get(self.account), "250")
                    self.assertEqual(self.warm(self.account)[0].split(" ")[:4],
                                     self.value.split(" ")[:4])
        changed = list(fields)
        changed[fields.index("250")] = "251"
        self.redis.set(self.key, " ".join(changed))
        self.read_right_and_mended()

    def test_status_and_case(self):
        for old, new in ((" 250 ", " 250 s "), (" 250 ", " 250 h0 "), ("USD/2", "EUR/2"), (" 250 ", " 0250 ")):
            with self.subTest(new):
                self.assertIn(old, self.value)
                self.redis.set(self.key, self.value.replace(old, new, 1))
                self.read_right_and_mended()

    @harness.level("quick")
    def test_an_older_value_of_an_old_era(self):
        old = self.redis.get(self.key)
        era = self.era()
        self.redis.flushall()
        self.client.get(self.account)
        self.new_era_since(era)
        self.credit(self.account, 50)
        self.redis.set(self.key, old)
        change = Change(self.box.daemon)
        self.assertEqual(self.client.get(self.account), "300")
        self.assertEqual(change.of('cache_lookups_total{result="old-era"}'), 1)
        self.warm(self.account)
        self.assertEqual(self.client.get(self.account), "300")

    @harness.level("quick")
    def test_a_token_left_behind(self):
        """With and without an expiry; of this era, of another, of a shape that no daemon makes."""
        era = self.value.split(" ")[0]
        for token in (f"~{era} 0123456789abcdef-7", "~1 0123456789abcdef-7", "~", "~~~"):
            for expiry in (None, 100000):
                with self.subTest((token, expiry)):
                    self.redis.set(self.key, token, px=expiry)
                    for _ in range(3):
                        self.assertEqual(self.client.get(self.account), "250")
                    self.warm(self.account)

    def test_a_token_under_a_mutation(self):
        era = self.value.split(" ")[0]
        self.redis.set(self.key, f"~{era} 0123456789abcdef-7")
        self.credit(self.account, 1)
        self.assertEqual(self.client.get(self.account), "251")

    def test_absence_of_another_account(self):
        """A remembered absence copied over an account that exists."""
        self.assertIsNone(self.client.get("not-there"))
        absence = harness.wait_for(lambda: self.redis.get(PREFIX + "not-there"), what="an entry")
        self.redis.set(self.key, absence)
        self.read_right_and_mended()

    def test_a_value_that_is_huge(self):
        self.redis.set(self.key, "x" * (64 << 20))
        self.assertEqual(self.client.get(self.account), "250")
        self.warm(self.account)
        self.assertEqual(self.client.get(self.account), "250")
        rss = int(self.client.info("memory")["used_memory_peak"])
        self.assertLess(rss, 200 << 20)


class Absence(CacheCase):
    """nil comes only from the store (invariant 5, rule T10)."""

    @harness.level("quick")
    def test_unknown_ids_load_the_store_once(self):
        unknown = [f"once-{number}" for number in range(1000)]
        change = Change(self.box.daemon)
        self.assertEqual(self.client.mget(unknown), [None] * 1000)
        self.assertEqual(change.of("store_reads_total"), 1000)
        self.assertLessEqual(change.of("store_read_batches_total"), 3)
        change = Change(self.box.daemon)
        for _ in range(3):
            self.assertEqual(self.client.mget(unknown), [None] * 1000)
            self.assertIsNone(self.client.get(unknown[0]))
        self.assertEqual(change.of("store_reads_total"), 0)
        self.assertEqual(change.of('cache_lookups_total{result="negative"}'), 3003)

    @harness.level("quick")
    def test_open_after_nil_is_seen_at_once(self):
        for number in range(20):
            account = f"late-{number}"
            self.assertIsNone(self.client.get(account))
            self.assertIsNone(self.client.get(account))
            self.open(account)
            self.assertEqual(self.client.get(account), "0")
            self.assertEqual(self.balance(account)["version"], "1")
            self.assertEqual(self.client.exists(account), 1)

    def test_opened_in_between(self):
        """OPEN while reads of the same unknown account are under way, at several clients."""
        wrong = []

        def read(account, done):
            with contextlib.closing(self.box.client()) as client:
                opened = False
                while not done.is_set():
                    value = client.get(account)
                    if opened and value is None:
                        wrong.append(account)
                    opened = opened or value is not None
        for number in range(20):
            account, done = f"between-{number}", threading.Event()
            readers = [threading.Thread(target=read, args=(account, done)) for _ in range(3)]
            for reader in readers:
                reader.start()
            self.open(account)
            self.assertEqual(self.client.get(account), "0")
            done.set()
            for reader in readers:
                reader.join()
        self.assertEqual(wrong, [])

    def test_nothing_is_said_while_the_store_is_away(self):
        self.open("here", 1)
        self.warm("here")
        self.box.postgres.stop("immediate")
        try:
            self.redis.flushall()
            for words in (("GET", "here"), ("GET", "nobody"), ("MGET", "here", "nobody"),
                          ("BALANCE", "here"), ("BALANCE", "nobody"), ("EXISTS", "nobody")):
                self.assertRegex(self.refused("UNAVAILABLE", self.client, *words), "^UNAVAILABLE ")
        finally:
            self.box.postgres.start()
        # The warmed cache knows "here" before a reading link is up; "nobody" takes the store.
        harness.wait_for(lambda: self.client.get("nobody") is None, 10 * SLOWNESS, "the store")
        self.assertEqual(self.client.get("here"), "1")

    def test_remembered_absence_is_stale_while_the_store_is_away(self):
        self.assertIsNone(self.client.get("never"))
        self.assertIsNone(self.client.get("never"))
        self.client.execute_command("CLIENT", "STALE", "yes")
        self.box.postgres.stop("immediate")
        try:
            # The cache remembers it for longer than it is trusted.
            harness.wait_for(lambda: trust_of(self.client) != "trusting", 5 * SLOWNESS,
                             "the end of the lease")
            self.assertGreater(self.redis.pttl(PREFIX + "never"), 0)
            self.refused("UNAVAILABLE", self.client, "GET", "never")
            self.refused("UNAVAILABLE", self.client, "BALANCE", "never")
        finally:
            self.box.postgres.start()
        harness.wait_for(lambda: self.client.get("trust-probe") == "0", 10 * SLOWNESS, "the store")


class Memory(CacheCase):
    """Redis with an eviction policy, and Redis that is full (fault rows 26 and 27)."""

    def tearDown(self):
        self.redis.config_set("maxmemory", 0)
        self.redis.config_set("maxmemory-policy", "noeviction")
        self.redis.delete("filler")

    def test_eviction(self):
        count = 3000
        accounts = [f"evicted-{number}" for number in range(count)]
        pipe = self.client.pipeline(transaction=False)
        for account in accounts:
            pipe.execute_command("OPEN", account, "USD/2")
            pipe.execute_command("CREDIT", account, 5, "KEY", account)
        pipe.execute()
        self.redis.config_set("maxmemory-policy", "allkeys-lru")
        used = self.redis.info("memory")["used_memory"]
        self.redis.config_set("maxmemory", used + 100_000)
        for _ in range(3):
            for start in range(0, count, 500):
                self.assertEqual(self.client.mget(accounts[start:start + 500]), ["5"] * 500)
        self.assertGreater(self.redis.info("stats")["evicted_keys"], 0)
        with Load(self.box, "eviction") as load:
            load.await_operations(300)
            self.assertEqual(self.client.mget(accounts), ["5"] * count)
        load.check_store()
        harness.wait_for(lambda: self.balance("eviction-0")["source"] == "cache",
                         5 * SLOWNESS, "an answer from the cache")

    def test_full(self):
        with Load(self.box, "full") as load:
            load.await_operations(100)
            self.redis.config_set("maxmemory", 1)
            load.await_operations(300)
            done = sum(load.ledger.done.values())
            harness.wait_for(lambda: sum(load.ledger.done.values()) > done + 20, 10 * SLOWNESS,
                             "acknowledged mutations")
            self.redis.config_set("maxmemory", 0)
            wait_trusted(self.box, 4)
            load.sources.clear()
            harness.wait_for(lambda: load.sources["cache"] > 0, what="answers from the cache")
        load.check_store()

    def test_full_and_quiet(self):
        """The publish of a mutation cannot write the new value: the old one must go."""
        self.open("squeezed", 5)
        self.warm("squeezed")
        self.redis.config_set("maxmemory", 1)
        self.credit("squeezed", 4)
        for _ in range(3):
            self.assertEqual(self.client.get("squeezed"), "9")
        self.redis.config_set("maxmemory", 0)
        for _ in range(3):
            self.assertEqual(self.client.get("squeezed"), "9")
        wait_trusted(self.box, 4)
        self.warm("squeezed")
        self.assertEqual(self.client.get("squeezed"), "9")


if __name__ == "__main__":
    unittest.main()
