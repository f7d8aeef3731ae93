"""The rows of `make bench`: rates and latencies. Each takes the Bench of test/bench/run."""

import shutil
import subprocess
import time
from pathlib import Path

import checker
import harness
import redis

HERE = Path(__file__).resolve().parent
HALF = 0.5


def reads(bench):
    """Counted only if they went to Redis: its keyspace_hits tell."""
    for name, what, mode, connections, pipeline, keys in (
            ("get", "GET, 50 connections, against Redis itself", "get", 50, 1, 1),
            ("get-pipeline-16", "GET, 50 connections, pipeline of 16, against Redis", "get", 50,
             16, 1),
            ("mget-100", "MGET of 100, 16 connections, against Redis", "mget", 16, 1, 100)):
        before = bench.box.redis.client().info("stats")["keyspace_hits"]
        asked = []

        def ours(mode=mode, connections=connections, pipeline=pipeline, asked=asked):
            result = bench.load(mode, connections, pipeline)
            asked.append(result["replies"])
            return result

        bench.row(name, what, ours,
                  lambda m=mode, c=connections, p=pipeline: bench.redis_load(m, c, p))
        hits = bench.box.redis.client().info("stats")["keyspace_hits"] - before
        if hits < keys * sum(asked):
            raise SystemExit(f"bench: {name}: {sum(asked)} reads, but only {hits} reached Redis")
    try:
        bench.box.client().execute_command("CANSPEND", "b0000001", "1")
    except redis.ResponseError:
        bench.skip("canspend", "skipped: there is no CANSPEND")
        return
    bench.row("canspend", "CANSPEND, 50 connections, against our GET",
              lambda: bench.load("canspend", 50, 1), lambda: bench.load("get", 50, 1))


def latency_of_reads(bench):
    """At half of what we can do, whatever Redis could: latency counts from the intended start."""
    peak = bench.load("get", 50, 1)["per_second"]
    bench.raw["get-peak"] = [peak]
    bench.row("get-p99-half", f"p99 of GET at {HALF * peak:,.0f}/s, against Redis at that rate",
              lambda: bench.load("get", 50, 64, rate=HALF * peak),
              lambda: bench.redis_load("get", 50, 64, rate=HALF * peak), "p99_us", "us")


def proxy(bench):
    """twemproxy, where Debian's package is installed."""
    nutcracker = shutil.which("nutcracker") or shutil.which("nutcracker", path="/usr/sbin")
    if nutcracker is None:
        bench.skip("get-nutcracker", "skipped: nutcracker is not installed")
        return
    port = bench.redis_port + 1
    conf = bench.box.dir / "nutcracker.yml"
    conf.write_text(f"bench:\n  listen: 127.0.0.1:{port}\n  hash: fnv1a_64\n"
                    "  distribution: modula\n  redis: true\n"
                    f"  servers:\n   - 127.0.0.1:{bench.redis_port}:1\n")
    with subprocess.Popen([nutcracker, "-c", str(conf), "-s", str(port + 1)],
                          stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL) as process:
        try:
            harness.wait_for(lambda: redis.Redis(port=port).get("bal:b0000000"), 10, "nutcracker")
            for pipeline in (1, 16):
                bench.row(f"get-nutcracker-{pipeline}",
                          f"GET, 50 connections, pipeline of {pipeline}, against twemproxy",
                          lambda p=pipeline: bench.load("get", 50, p),
                          lambda p=pipeline: bench.load("get", 50, p, port=port, prefix="bal:"))
        finally:
            process.terminate()


def mutations(bench):
    for hot in (False, True):
        where = "one hot account" if hot else f"{bench.accounts} accounts"
        suffix = "-hot" if hot else ""
        for name, connections, pipeline in (("credit", 64, 1), ("credit-pipelined", 16, 64)):
            bench.row(f"{name}{suffix}", f"CREDIT, {connections} x {pipeline} in flight, "
                      f"{where}, against hand-written transactions",
                      lambda c=connections, p=pipeline, h=hot: bench.load("credit", c, p, hot=h),
                      lambda h=hot: bench.pgbench("transaction.sql", h))
        bench.row(f"credit-function{suffix}", f"CREDIT, 16 x 64 in flight, {where}, "
                  "against one function call a mutation",
                  lambda h=hot: bench.load("credit", 16, 64, hot=h),
                  lambda h=hot: bench.pgbench("function.sql", h))


def latency_of_mutations(bench):
    bench.row("credit-latency", "mean latency of a single CREDIT, idle system, against one "
              "function call", lambda: bench.load("credit", 1, 1),
              lambda: bench.pgbench("function.sql", clients=1), "mean_us", "us")


def redis_away(bench):
    """The last rows but for those that bring Redis back themselves: it comes back empty."""
    bench.box.redis.stop()
    harness.wait_for(lambda: bench.load("get", 1, 1, requests=1), 10, "a read from the store")
    harness.wait_for(lambda: bench.box.client().info("trust")["trust"] == "drained", 10,
                     "the end of the era")
    bench.row("get-redis-stopped", "GET with Redis stopped, 50 x 16 in flight, against prepared "
              "selects", lambda: bench.load("get", 50, 16),
              lambda: bench.pgbench("select.sql"))
    bench.box.redis.start()
    bench.box.cli("rebuild", "--quiet", timeout=600)


def timed(what):
    start = time.monotonic()
    what()
    return {"seconds_ms": 1000 * (time.monotonic() - start)}


def rebuild(bench):
    """Ours is guarded, online and verified; the peer is the fastest that anybody could write. Both
    write into a Redis that holds none of it, the peer into a database of its own."""
    sink = bench.redis_port
    client = bench.box.redis.client()
    peers = bench.box.redis.client(db=1)

    def plain():
        copy = (f"COPY (SELECT 'SET peer:' || account_id || ' ' || balance FROM ballast.account) "
                "TO STDOUT")
        words = " ".join(f"'{word}'" for word in bench.box.psql_words())
        subprocess.run(f"{words} -c \"{copy}\" | redis-cli -p {sink} -n 1 --pipe", shell=True,
                       check=True, stdout=subprocess.DEVNULL)

    def peer():
        peers.flushdb()
        return timed(plain)

    def again():
        return timed(lambda: bench.box.cli("rebuild", "--quiet", timeout=600))

    def anew():
        cursor = 0
        while True:
            cursor, keys = client.scan(cursor, match="bal:b*", count=10000)
            if keys:
                client.unlink(*keys)
            if cursor == 0:
                return again()

    bench.row("rebuild", f"rebuild of {bench.accounts} accounts, time, against COPY piped into "
              "redis-cli --pipe", anew, peer, "seconds_ms", "ms")
    bench.row("rebuild-again", "the same where all stands in Redis already",
              again, peer, "seconds_ms", "ms")
    peers.flushdb()


def reconcile(bench):
    """With five rows of the journal an account, as the aggregate over it wants some."""
    bench.in_halves(0, lambda first, last: f"CALL bench_credit({first}, {last}, "
                    f"{5 * (last - first + 1)}, 'reconcile-{first}', 10)")
    bench.box.psql("VACUUM ANALYZE")
    bench.box.cli("reconcile", "--quiet", timeout=600)  # rolls up what is new
    bench.row("reconcile", "reconcile, time, against the bare aggregate over the journal",
              lambda: timed(lambda: bench.box.cli("reconcile", "--quiet", timeout=600)),
              lambda: timed(lambda: bench.box.psql(
                  "SELECT count(*) FROM (SELECT account, sum(amount) FROM ("
                  "SELECT to_account AS account, amount FROM ballast.transfer UNION ALL "
                  "SELECT from_account, -amount FROM ballast.transfer) AS t GROUP BY 1) AS s")),
              "seconds_ms", "ms")


def resync(bench):
    """Four replicas ask for everything at once. The very first replica that a Redis ever has gives
    it a new replication id, and so ends the era: that is done before."""
    replicas = []
    try:
        for number in range(4):
            directory = bench.box.dir / f"replica-{number}"
            directory.mkdir()
            replicas.append(subprocess.Popen(
                ["redis-server", "--port", str(bench.redis_port + 10 + number), "--save", "",
                 "--dir", str(directory), "--replicaof", "no", "one"],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL))

        def during():
            for number in range(4):
                subprocess.run(["redis-cli", "-p", str(bench.redis_port + 10 + number),
                                "replicaof", "127.0.0.1", str(bench.redis_port)],
                               check=True, stdout=subprocess.DEVNULL)
            result = bench.load("get", 50, 16)
            for number in range(4):
                subprocess.run(["redis-cli", "-p", str(bench.redis_port + 10 + number),
                                "replicaof", "no", "one"], check=True, stdout=subprocess.DEVNULL)
                subprocess.run(["redis-cli", "-p", str(bench.redis_port + 10 + number),
                                "flushall"], check=True, stdout=subprocess.DEVNULL)
            return result

        harness.wait_for(lambda: all(
            subprocess.run(["redis-cli", "-p", str(bench.redis_port + 10 + number), "ping"],
                           check=False, capture_output=True).stdout == b"PONG\n"
            for number in range(4)), 10, "the replicas")
        during()
        checker.wait_trusted(bench.box, 20)
        bench.box.cli("rebuild", "--quiet", timeout=600)
        bench.row("get-resync", "GET, 50 x 16 in flight, while four replicas resync, against "
                  "before", during, lambda: bench.load("get", 50, 16))
    finally:
        for replica in replicas:
            replica.terminate()
            replica.wait()
