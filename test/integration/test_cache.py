"""Redis may vanish or rewind: what clients of one daemon see then (fault rows 18 to 27)."""

import contextlib
import threading
import time
import unittest

import harness
from cache_case import PREFIX, STAMP, CacheCase
from checker import SLOWNESS, Load, wait_trusted


class Faults(CacheCase):
    """Under a checked load: no wrong answer, no error at all, mutations acknowledged throughout,
    and the cache trusted again when the fault is over (how soon: test_figures.py)."""

    conf = "[listen]\nworkers = 2\n"

    @contextlib.contextmanager
    def load(self, **options):
        name = self._testMethodName.removeprefix("test_")
        with Load(self.box, name, **options) as load:
            load.await_operations(200)
            yield load
            self.redis.ping()
            wait_trusted(self.box)
            load.sources.clear()
            load.await_operations(200)
            harness.wait_for(lambda: load.sources["cache"] > 0, what="answers from the cache")
        load.check_store()

    def await_mutations(self, load, count=20):
        goal = sum(load.ledger.done.values()) + count

        def acknowledged():
            load.raise_wrong()
            return sum(load.ledger.done.values()) >= goal
        harness.wait_for(acknowledged, 30 * SLOWNESS, f"{count} acknowledged mutations")

    def outlived_by_the_era(self, fault):
        """On a busy machine an era may end for other reasons, too: not every time."""
        def lasts():
            era = self.era()
            fault()
            return self.era() == era
        harness.wait_for(lasts, 30 * SLOWNESS, "an era that outlives it")

    @harness.level("quick")
    def test_flushall(self):
        with self.load() as load:
            for _ in range(3):
                self.redis.flushall()
                load.await_operations(60)

    def test_keys_deleted(self):
        """A missing account is a miss, and nothing else."""
        with self.load() as load:
            def delete():
                for _ in range(5):
                    self.redis.delete(*(PREFIX + account for account in load.accounts))
                    load.await_operations(60)
            self.outlived_by_the_era(delete)

    def test_stamp_deleted_replaced_and_of_a_wrong_type(self):
        with self.load() as load:
            for spoil in (lambda: self.redis.delete(STAMP),
                          lambda: self.redis.set(STAMP, "garbage"),
                          lambda: self.redis.set(STAMP, ""),
                          lambda: self.redis.rename(STAMP, PREFIX + "elsewhere"),
                          lambda: self.redis.swapdb(0, 1)):
                era = self.era()
                spoil()
                harness.wait_for(lambda: self.era() > era, 30 * SLOWNESS, "a new era")
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
                self.await_mutations(load, 60)
                load.await_operations(100)
                # W is waited for once, by the daemon that has to be sure of its own lease; for each
                # of a client's mutations, the four would take 17 seconds.
                self.assertLess(time.monotonic() - started, 10 * SLOWNESS)
            finally:
                self.box.redis.resume()

    def test_connections_killed(self):
        with self.load() as load:
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
            def flush():
                for _ in range(3):
                    self.redis.script_flush()
                    load.await_operations(60)
            self.outlived_by_the_era(flush)

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
        harness.wait_for(right, 30 * SLOWNESS, "an answer from the cache")
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
                         30 * SLOWNESS, "an answer from the cache")

    def test_full(self):
        with Load(self.box, "full") as load:
            load.await_operations(100)
            self.redis.config_set("maxmemory", 1)
            load.await_operations(300)
            done = sum(load.ledger.done.values())
            harness.wait_for(lambda: sum(load.ledger.done.values()) > done + 20, 30 * SLOWNESS,
                             "acknowledged mutations")
            self.redis.config_set("maxmemory", 0)
            wait_trusted(self.box)
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
        wait_trusted(self.box)
        self.warm("squeezed")
        self.assertEqual(self.client.get("squeezed"), "9")


if __name__ == "__main__":
    unittest.main()
