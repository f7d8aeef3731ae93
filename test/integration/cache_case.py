"""What tests of one daemon and its Redis have in common."""

import time

import harness
from checker import SLOWNESS, free_port, trust_of, wait_trusted

PREFIX = "bal:"
STAMP = PREFIX + "~era"


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
        harness.wait_for(cached, 30 * SLOWNESS, "values in the cache")
        return [self.redis.get(PREFIX + account) for account in accounts]

    def new_era_since(self, era):
        harness.wait_for(lambda: int(self.client.info("trust")["era"]) > era
                         and trust_of(self.client) == "trusting", 30 * SLOWNESS, "a new era")

    def era(self):
        return int(self.client.info("trust")["era"])

    def second_redis(self):
        """Another Redis of the sandbox, removed at the end of the test, and a client of it."""
        server = harness.RedisServer.beside(self.box, f"redis-{self._testMethodName}", free_port())
        self.addCleanup(server.remove)
        return server, server.client()

    def make_replica(self, replica, of):
        for server in (self.redis, replica):
            server.config_set("repl-diskless-sync-delay", 0)
        replica.execute_command("REPLICAOF", "127.0.0.1", of)
        harness.wait_for(lambda: replica.info("replication")["master_link_status"] == "up",
                         30 * SLOWNESS, "a replica in step")
