"""The servers of July 2013: a master of Redis and four replicas behind one network, PostgreSQL, and
two daemons; what happened to them, step by step."""

import time

import fault_proxy
import harness
from checker import free_port, wait_trusted

REPLICAS = 4
FILLER_KEYS = 100000  # so that a full resync has something to carry
FILLER = """for i = 1, tonumber(ARGV[1]) do
    redis.call('SET', 'filler:' .. i, string.rep('x', 200)) end"""
# Every customer may be charged in a few seconds here: the fuses are tested elsewhere.
CONF = "[fuses]\ncharges = 100000\nsuspensions = 100000\n"


class Stage:
    def __init__(self):
        self.box = harness.Sandbox(daemons=2, conf=CONF)
        self.replicas = []

    def __enter__(self):
        self.box.__enter__()
        try:
            self.usual_conf = (self.box.redis.dir / "redis.conf").read_text()
            self.network = fault_proxy.Proxy(self.box.redis.port)
            for number in range(REPLICAS):
                self.start_replica(number)
            self.await_calm()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if hasattr(self, "network"):
            self.network.close()
        self.box.down()

    def start_replica(self, number):
        directory = self.box.dir / f"replica-{number}"
        directory.mkdir()
        replica = harness.RedisServer(self.box)
        replica.port, replica.dir, replica.log = free_port(), directory, directory / "redis.log"
        (directory / "redis.conf").write_text(
            f"bind 127.0.0.1\nport {replica.port}\ndir {directory}\nlogfile {replica.log}\n"
            f"save \"\"\nreplicaof 127.0.0.1 {self.network.port}\n")
        replica.start()
        self.replicas.append(replica)

    def in_sync(self):
        return sum(each.client().info("replication")["master_link_status"] == "up"
                   for each in self.replicas)

    def await_calm(self):
        for number in (1, 2):
            wait_trusted(self.box, 20, number)
        harness.wait_for(lambda: self.in_sync() == REPLICAS, 60, "the replicas in sync")
        self.box.redis.client(socket_timeout=60).eval(FILLER, 0, FILLER_KEYS)

    # --- what happened ---

    def lose_the_network(self):
        self.network.refuse()
        # What the replicas missed is more than the backlog holds.
        self.box.redis.client().config_set("repl-backlog-size", 16384)

    def let_all_resync(self):
        self.network.mend()

    def restart_empty(self):
        """With the configuration of another role: an append-only file that does not exist."""
        (self.box.redis.dir / "redis.conf").write_text(
            self.usual_conf + "appendonly yes\nappendfilename lost.aof\nappenddirname lost\n")
        self.box.redis.kill()
        self.box.redis.start()

    def make_replica_of_itself(self):
        self.box.redis.client().replicaof("127.0.0.1", self.box.redis.port)

    def mend(self):
        (self.box.redis.dir / "redis.conf").write_text(self.usual_conf)
        client = self.box.redis.client()
        client.replicaof("NO", "ONE")
        client.config_set("appendonly", "no")

    # --- who noticed ---

    def await_trust(self):
        """Seconds until both daemons answer from the cache again."""
        started = time.monotonic()
        for number in (1, 2):
            wait_trusted(self.box, 30, number)
        return time.monotonic() - started
