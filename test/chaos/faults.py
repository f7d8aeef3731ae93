"""The faults of a chaos run. Each lane makes one after the other, all lanes at once; which, and for
how long, comes from the seed.

    redis      row 18 to 28 of the faults to survive
    postgres   1, 3, 6, 7, 15
    daemons    32, 33, 36a, 38
    way of daemon 2 to Redis, way of daemon 3 to PostgreSQL   2, 3, 10, 29, 36
"""

import contextlib
import random
import signal
import threading
import time
from dataclasses import dataclass

import harness
from operations import HOT

PREFIX = "bal:"
STAMP = PREFIX + "~era"
PAUSE_SECONDS = (0.3, 3.0)
WORKERS = "application_name like 'ballastd worker%'"
ALL = "application_name like 'ballastd %'"
EVERY_DAEMON = (1, 2, 3)


@dataclass
class Done:
    """A fault. `excused`: what may be refused at these daemons until it is over: their store is
    away, or they are themselves."""

    lane: str
    name: str
    begin: float
    end: float = float("inf")
    excused: tuple = ()


class Lane(threading.Thread):
    """A thread that makes faults until `stopping`."""

    def __init__(self, world, name, faults):
        super().__init__(name=name, daemon=True)
        self.world = world
        self.pick = random.Random(f"{world.seed} {name}")
        self.faults = faults

    def run(self):
        world = self.world
        try:
            while not world.rest(self.pick.uniform(*PAUSE_SECONDS)):
                self.pick.choice(self.faults)(self)
        except Exception as error:  # a thread's exceptions would be lost
            world.broken.append(f"{self.name}: {error!r}")

    @contextlib.contextmanager
    def fault(self, name, excused=()):
        done = Done(self.name, name, time.monotonic(), excused=tuple(excused))
        self.world.faults.append(done)
        try:
            yield done
        finally:
            done.end = time.monotonic()

    def last(self, low, high):
        """The length of a fault; less when the run ends."""
        self.world.rest(self.pick.uniform(low, high))


# --- Redis ----------------------------------------------------------------------------------------


def redis_flushed(lane):
    with lane.fault("flushed"):
        lane.world.redis.flushall()


def redis_keys_deleted(lane):
    with lane.fault("keys deleted"):
        lane.world.redis.delete(*(PREFIX + account for account in lane.pick.sample(HOT, 8)))


def redis_stamp_spoilt(lane):
    redis = lane.world.redis
    with lane.fault("stamp spoilt"):
        lane.pick.choice((lambda: redis.delete(STAMP), lambda: redis.set(STAMP, "garbage"),
                          lambda: redis.swapdb(0, 1)))()


def redis_renamed(lane):
    redis = lane.world.redis
    with lane.fault("renamed"), contextlib.suppress(harness.redis.ResponseError):
        redis.rename(STAMP, "elsewhere")


def redis_lies(lane):
    """Garbage, and one account's value under another's name."""
    redis, pick = lane.world.redis, lane.pick
    with lane.fault("lies"):
        for account in pick.sample(HOT, 4):
            other = redis.get(PREFIX + pick.choice(HOT))
            redis.set(PREFIX + account, pick.choice((other, None, "")) or "0")


def redis_killed(lane):
    with lane.fault("killed"):
        lane.world.box.redis.kill()
        lane.last(0, 1.5)
        lane.world.box.redis.start()


def redis_rewound(lane):
    """Comes back with what it had saved a while ago."""
    with lane.fault("restarted with an old RDB"):
        lane.world.redis.save()
        lane.last(0.1, 1.0)
        lane.world.box.redis.kill()
        lane.world.box.redis.start()
        (lane.world.box.redis.dir / "dump.rdb").unlink()


def redis_paused(lane):
    with lane.fault("paused"):
        lane.world.box.redis.pause()
        lane.last(0.02, 1.5)
        lane.world.box.redis.resume()


def redis_replica_of_itself(lane):
    with lane.fault("replica of itself"):
        lane.world.redis.execute_command("REPLICAOF", "127.0.0.1", lane.world.box.redis.port)
        lane.last(0, 0.6)
        lane.world.redis.execute_command("REPLICAOF", "NO", "ONE")


def redis_replica_of_the_past(lane):
    """A replica that was cut loose becomes the master of the master for a moment: the same
    process, run_id and connections, and old values."""
    redis, other = lane.world.redis, lane.world.other_redis
    with lane.fault("replica of an old copy"):
        for copy, origin in ((other, lane.world.box.redis.port), (redis, lane.world.other_port)):
            copy.execute_command("REPLICAOF", "127.0.0.1", origin)
            deadline = time.monotonic() + 5
            while (copy.info("replication")["master_link_status"] != "up"
                   and time.monotonic() < deadline):
                time.sleep(0.01)
            copy.execute_command("REPLICAOF", "NO", "ONE")
            lane.last(0.1, 0.8)


def redis_full(lane):
    with lane.fault("out of memory"):
        lane.world.redis.config_set("maxmemory", 1)
        lane.last(0.1, 1.0)
        lane.world.redis.config_set("maxmemory", 0)


def redis_refuses_writes(lane):
    with lane.fault("refuses writes"):
        lane.world.redis.config_set("min-replicas-to-write", 1)
        lane.last(0, 1.0)
        lane.world.redis.config_set("min-replicas-to-write", 0)


def redis_clients_killed(lane):
    with lane.fault("clients killed"):
        lane.world.redis.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")


def redis_scripts_flushed(lane):
    with lane.fault("scripts flushed"):
        lane.world.redis.script_flush()


# --- PostgreSQL -----------------------------------------------------------------------------------


def backends(lane, which=WORKERS):
    return [int(pid) for pid in lane.world.box.psql(
        f"select pid from pg_stat_activity where {which}").split()]


def postgres_restarted(lane):
    with lane.fault("restarted at once", EVERY_DAEMON):
        lane.world.box.postgres.restart("immediate")


def postgres_backends_ended(lane):
    which = lane.pick.choice((WORKERS, ALL))
    with lane.fault("backends ended"):
        lane.world.box.psql(f"select pg_terminate_backend(pid) from pg_stat_activity where {which}")


def postgres_backends_paused(lane):
    """What they hold may stop every other process of PostgreSQL as well."""
    with lane.fault("backends paused", EVERY_DAEMON):
        pids = backends(lane, lane.pick.choice((WORKERS, ALL)))
        for pid in pids:
            harness.send_signal(pid, signal.SIGSTOP)
        lane.last(0.05, 2.5)
        for pid in pids:
            harness.send_signal(pid, signal.SIGCONT)


def postgres_account_locked(lane):
    account = lane.pick.choice(HOT)
    with lane.fault(f"{account} locked"), lane.world.box.transaction(
            f"select from ballast.account where account_id = '{account}' for update"):
        lane.last(0.05, 1.5)


def postgres_posts(lane):
    """A batch job in SQL."""
    with lane.fault("posts"):
        for number in range(5):
            key = f"sql-{lane.world.seed}-{time.monotonic_ns()}"
            lane.world.sent_in_sql[key] = time.monotonic()
            lane.world.box.psql(f"select ballast.post('{key}', '@world', "
                                f"'{lane.pick.choice(HOT)}', {1000 + number})")


def postgres_read_only(lane):
    with lane.fault("read-only", EVERY_DAEMON):
        lane.world.box.psql("alter system set default_transaction_read_only = on; "
                            "select pg_reload_conf()")
        lane.last(0.1, 1.0)
        lane.world.box.psql("set default_transaction_read_only = off; "
                            "alter system reset default_transaction_read_only; "
                            "select pg_reload_conf()")


# --- daemons --------------------------------------------------------------------------------------


def daemon_killed(lane):
    number = lane.pick.choice((2, 3))
    with lane.fault(f"{number} killed", (number,)):
        lane.world.restart_daemon(number, signal.SIGKILL)


def daemon_ended(lane):
    number = lane.pick.choice((2, 3))
    with lane.fault(f"{number} ended", (number,)):
        status = lane.world.restart_daemon(number, signal.SIGTERM)
        if status not in (None, 0):
            lane.world.broken.append(f"daemon {number} ended with {status}")


def daemon_paused(lane):
    number = lane.pick.choice(EVERY_DAEMON)
    daemon = lane.world.box.daemons[number - 1]
    with lane.fault(f"{number} paused", (number,)):
        daemon.pause()
        lane.last(0.02, 2.5)
        daemon.resume()


def daemon_reloaded(lane):
    number = lane.pick.choice(EVERY_DAEMON)
    with lane.fault(f"{number} reloaded"):
        lane.world.box.daemons[number - 1].send(signal.SIGHUP)


# --- the ways -------------------------------------------------------------------------------------


def way(proxy_of, excused, kinds):
    """The faults of one proxy."""
    def make(kind):
        def fault(lane):
            proxy = proxy_of(lane.world)
            with lane.fault(kind, excused):
                begin_on_way(lane, proxy, kind)
                proxy.mend()
        return fault
    return [make(kind) for kind in kinds]


def begin_on_way(lane, proxy, kind):
    pick = lane.pick
    direction = pick.choice(("up", "down", "both"))
    if kind == "cut":
        proxy.cut(reset=pick.random() < 0.5)
        return
    if kind == "refused":
        proxy.refuse()
    elif kind == "frozen":
        proxy.freeze(direction)
    elif kind == "slow":
        proxy.slow(pick.choice((1, 100, 10000)), direction)
    elif kind == "late":
        proxy.delay(pick.uniform(0.005, 0.15), direction)
    elif kind == "cut in the middle":
        proxy.cut_after(pick.randint(0, 3000), direction)
    lane.last(0.05, 1.5)


WAYS = ("cut", "refused", "frozen", "slow", "late", "cut in the middle")
LANES = {
    "redis": [redis_flushed, redis_keys_deleted, redis_stamp_spoilt, redis_renamed, redis_lies,
              redis_killed, redis_rewound, redis_paused, redis_replica_of_itself,
              redis_replica_of_the_past, redis_full, redis_refuses_writes, redis_clients_killed,
              redis_scripts_flushed],
    "postgres": [postgres_restarted, postgres_backends_ended, postgres_backends_paused,
                 postgres_account_locked, postgres_posts, postgres_posts, postgres_read_only],
    "daemons": [daemon_killed, daemon_ended, daemon_paused, daemon_paused, daemon_reloaded],
    "way of daemon 2 to Redis": way(lambda world: world.redis_way, (), WAYS),
    "way of daemon 3 to PostgreSQL": way(lambda world: world.store_way, (3,), WAYS),
}
