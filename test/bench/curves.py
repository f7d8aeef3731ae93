"""The cost curves of `make bench BENCH_CURVES=1`: one size grows, all else stands still, and what
should not grow with it is seen to stay.

    accounts     what 10,000 to 10,000,000 accounts cost a read, a mutation, a rebuild; memory, disk
    connections  rates and latencies of 1 to 10,000 connections with one request each
    batch        what a mutation costs the store in batches of 1 to 10,000
    journal      what 0 to 10,000,000 journal rows cost a mutation, a look at history, a reconcile

Each has servers of its own, and its sizes grow one upon the other. BENCH_ROWS names the curves,
BENCH_CURVE_ACCOUNTS="10000 100000" (_CONNECTIONS, _BATCH, _JOURNAL) the sizes; BENCH_SECONDS,
BENCH_PAIRS (samples a figure, of which the median counts) and BENCH_ACCOUNTS (where they are not
what grows) are those of the table. The whole takes twenty minutes, 10 GB on disk and 3 GB of memory;
what does not fit is left out. Prints Markdown tables; writes run/bench-curves.json (all samples).
"""

import contextlib
import json
import math
import os
import shutil
import statistics
import subprocess
import time
from pathlib import Path

import costs
import harness

OUTPUT = harness.TOP / "run" / "bench-curves.json"
ACCOUNTS_MAX = 10 ** 7  # names have seven digits
# What an account or a journal row may need, with room for the write-ahead log and for growth.
DISK_BYTES_EACH, DISK_BYTES_SPARE = 600, 3 << 30
MEMORY_BYTES_ACCOUNT, MEMORY_BYTES_SPARE = 200, 1 << 30
CREDITS_IN_FLIGHT = (16, 64)
SPARE_CLIENTS = 100
REBUILD_SECONDS_MAX = 600
JOURNAL_CREDITS = 20000  # of one sample: few enough that all of them fit between two sizes


def sizes(name, default):
    return [int(word) for word in os.environ.get(f"BENCH_CURVE_{name}", default).split()]


class Curve:
    """One curve: a Bench, a Markdown table that is printed as it grows, and its samples."""

    def __init__(self, bench, name, raw):
        self.bench = bench
        self.name = name
        self.raw = raw

    def heading(self, *columns):
        print(f"\n| {' | '.join(columns)} |\n|{' --- |' * len(columns)}", flush=True)

    def row(self, size, cells, samples):
        """Cells are text; samples are everything that was measured for them."""
        print(f"| {size:,} | {' | '.join(cells)} |", flush=True)
        self.raw.setdefault(self.name, {})[size] = samples
        OUTPUT.parent.mkdir(exist_ok=True)
        OUTPUT.write_text(json.dumps(self.raw, indent=1) + "\n")

    def fits(self, disk_bytes, memory_bytes=0):
        """Whether the machine has so much left, and what it needs besides; says what is missing."""
        disk = shutil.disk_usage(self.bench.box.postgres.data).free
        with open("/proc/meminfo", encoding="ascii") as meminfo:
            lines = dict(line.split(":") for line in meminfo)
        memory = 1024 * int(lines["MemAvailable"].split()[0])
        for what, free, needed in (("disk", disk, disk_bytes + DISK_BYTES_SPARE),
                                   ("memory", memory, memory_bytes + MEMORY_BYTES_SPARE)):
            if free < needed:
                print(f"left out: {free / 1e9:.1f} GB of {what} are free, {needed / 1e9:.1f} "
                      "are needed", flush=True)
                return False
        return True

    def loads(self, *words, load=None, **options):
        """Samples of one load, on us if not told otherwise. Of mutations, with the bytes of
        write-ahead log that each took."""
        samples = []
        for _ in range(self.bench.pairs):
            before = self.wal()
            sample = (load or self.bench.load)(*words, **options)
            sample["wal_bytes"] = (self.wal() - before) / sample["replies"]
            samples.append(sample)
        return samples

    def wal(self):
        return int(self.bench.box.psql("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn"))

    def settle(self):
        """After much was written: what PostgreSQL would do behind it disturbs no measurement."""
        self.bench.box.psql("VACUUM ANALYZE")
        self.bench.box.psql("CHECKPOINT")


def median(samples, key):
    return statistics.median(sample[key] for sample in samples)


def figure(value):
    """Three digits that count."""
    digits = 2 - math.floor(math.log10(value)) if value > 0 else 0
    return f"{round(value, digits):,.{min(max(digits, 0), 2)}f}"


def rate(samples):
    return figure(median(samples, "per_second")) + "/s"


def milliseconds(samples, key):
    return figure(median(samples, key) / 1000) + " ms"


# --- accounts -------------------------------------------------------------------------------------

def grow_accounts(bench, size):
    """Redis is emptied while nobody believes it."""
    first = int(bench.box.psql("SELECT count(*) FROM ballast.account"))
    bench.accounts = size
    bench.box.cli("cache", "off", "--quiet")
    bench.box.redis.client(socket_timeout=120).flushall()
    bench.open_accounts(first)


def timed_rebuild(bench):
    """Its seconds, and the most memory that it had: the kernel's mark, as it stood last."""
    start, peak = time.monotonic(), 0
    with subprocess.Popen([str(harness.BUILD / "ballast"), "-c", str(bench.box.daemon.conf),
                           "rebuild", "--quiet"], stdin=subprocess.DEVNULL) as process:
        status = Path(f"/proc/{process.pid}/status")
        while process.returncode is None:
            if time.monotonic() - start > REBUILD_SECONDS_MAX:
                process.kill()
            for line in status.read_text(encoding="ascii").splitlines():
                if line.startswith("VmHWM:"):
                    peak = 1024 * int(line.split()[1])
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.01)
    if process.returncode != 0:
        raise SystemExit(f"bench: rebuild: exit {process.returncode}")
    return {"seconds": time.monotonic() - start, "peak_bytes": peak}


def bytes_in_redis(bench):
    """Of keys, values and their table: not of connections and scripts, nor of what Redis measures
    of its own commands."""
    redis = bench.box.redis.client()
    redis.config_set("latency-tracking", "no")
    redis.config_resetstat()
    stats = redis.memory_stats()
    return stats["dataset.bytes"] + stats["db.0"]["overhead.hashtable.main"]


def bytes_in_postgres(bench):
    return int(bench.box.psql("SELECT pg_total_relation_size('ballast.account') + "
                              "pg_total_relation_size('ballast.account_event')"))


def accounts(curve):
    bench = curve.bench
    curve.heading("accounts", "`GET`, 50 x 16", "Redis itself", "`CREDIT`, 16 x 64", "its WAL",
                  "`ballast rebuild`", "its memory", "an account in Redis", "in PostgreSQL")
    for size in sizes("ACCOUNTS", "10000 100000 1000000 10000000"):
        if size > ACCOUNTS_MAX or not curve.fits(size * DISK_BYTES_EACH,
                                                 size * MEMORY_BYTES_ACCOUNT):
            break
        start = time.monotonic()
        grow_accounts(bench, size)
        curve.settle()
        filled = time.monotonic() - start
        stored = bytes_in_postgres(bench) / size
        bench.box.cli("cache", "on", "--quiet")
        harness.wait_for(lambda: bench.box.client().info("trust")["trust"] == "trusting", 30,
                         "trust in an empty Redis")
        rebuilt = timed_rebuild(bench)
        cached = bytes_in_redis(bench) / size
        reads = curve.loads("get", 50, 16)
        theirs = curve.loads("get", 50, 16, load=bench.redis_load)
        mutations = curve.loads("credit", *CREDITS_IN_FLIGHT)
        curve.row(size, [rate(reads), rate(theirs), rate(mutations),
                         f"{figure(median(mutations, 'wal_bytes'))} bytes",
                         f"{figure(rebuilt['seconds'])} s",
                         f"{figure(rebuilt['peak_bytes'] / 1e6)} MB", f"{figure(cached)} bytes",
                         f"{figure(stored)} bytes"],
                  {"get": reads, "redis_get": theirs, "credit": mutations, "rebuild": rebuilt,
                   "redis_bytes": cached, "postgres_bytes": stored, "fill_seconds": filled})


# --- connections ----------------------------------------------------------------------------------

CONNECTIONS = sizes("CONNECTIONS", "1 10 100 1000 10000")


def connections(curve):
    curve.bench.fill()
    curve.heading("connections", "`GET`", "its p99", "`CREDIT`", "its p99")
    for size in CONNECTIONS:
        if not costs.may_open(size + SPARE_CLIENTS):
            print(f"left out: {size:,} open files are not allowed", flush=True)
            break
        reads = curve.loads("get", size, 1)
        mutations = curve.loads("credit", size, 1)
        curve.row(size, [rate(reads), milliseconds(reads, "p99_us"), rate(mutations),
                         milliseconds(mutations, "p99_us")], {"get": reads, "credit": mutations})


# --- batch ----------------------------------------------------------------------------------------

def batches(bench, size, accounts_hit, name):
    """Microseconds of the store for a mutation: what the function took, and the commit."""
    count, function_us, commit_us = bench.box.psql(
        f"CALL bench_batches({size}, {accounts_hit}, {bench.seconds}, 'batch-{name}-', NULL, NULL, "
        "NULL)").split("|")
    mutations = int(count) * size
    return {"batches": int(count), "function_us": float(function_us) / mutations,
            "commit_us": float(commit_us) / mutations,
            "us": (float(function_us) + float(commit_us)) / mutations}


def batch(curve):
    bench = curve.bench
    bench.open_accounts(0)
    curve.settle()
    curve.heading("batch", f"a credit, {bench.accounts:,} accounts", "of it the commit",
                  "a credit, one hot account", "of it the commit")
    for size in sizes("BATCH", "1 10 100 1000 10000"):
        uniform, hot = (
            [batches(bench, size, accounts_hit, f"{size}-{accounts_hit}-{sample}")
             for sample in range(bench.pairs)] for accounts_hit in (bench.accounts, 1))
        curve.row(size, [f"{figure(median(samples, key))} us" for samples in (uniform, hot)
                         for key in ("us", "commit_us")], {"uniform": uniform, "hot": hot})


# --- journal --------------------------------------------------------------------------------------

def journal_rows(bench):
    return int(bench.box.psql("SELECT count(*) FROM ballast.transfer"))


def grow_journal(bench, size):
    """Credits of 1. What the load generator left in flight is in order behind one more of the same
    worker's."""
    bench.box.client().execute_command("CREDIT", "b0000000", "1", "KEY", f"last-before-{size}")
    missing = size - journal_rows(bench)
    if missing > 0:
        bench.in_halves(0, lambda first, last: (
            f"CALL bench_credit({first}, {last}, {(missing + (first > 0)) // 2}, "
            f"'grow-{size}-{first}-', 1)"))


def journal(curve):
    bench = curve.bench
    bench.fill()
    curve.heading("journal rows", "`CREDIT`, 16 x 64", "its WAL", "`HISTORY` of 10",
                  "`ballast reconcile`", "the database")
    for size in sizes("JOURNAL", "0 100000 1000000 10000000"):
        if not curve.fits(size * DISK_BYTES_EACH):
            break
        start = time.monotonic()
        if size > 0:
            grow_journal(bench, size)
        curve.settle()
        filled = time.monotonic() - start
        rows = journal_rows(bench)
        stored = int(bench.box.psql("SELECT pg_database_size(current_database())"))
        history = curve.loads("history", 1, 1)
        start = time.monotonic()
        bench.box.cli("reconcile", "--quiet", timeout=600)
        seconds = time.monotonic() - start
        mutations = curve.loads("credit", *CREDITS_IN_FLIGHT, requests=JOURNAL_CREDITS)
        curve.row(rows, [rate(mutations), f"{figure(median(mutations, 'wal_bytes'))} bytes",
                         milliseconds(history, "mean_us"), f"{figure(seconds)} s",
                         f"{figure(stored / 1e6)} MB"],
                  {"credit": mutations, "history": history, "reconcile_seconds": seconds,
                   "database_bytes": stored, "fill_seconds": filled})


# --- all ------------------------------------------------------------------------------------------

# What the daemon of each is told beside the defaults: nothing fills the cache but the rebuild that
# is measured; as many clients as are to come.
CURVES = {
    "accounts": (accounts, "[cache]\nwarm = no\n"),
    "connections": (connections, f"[limits]\nclients = {max(CONNECTIONS) + SPARE_CLIENTS}\n"),
    "batch": (batch, ""),
    "journal": (journal, ""),
}


def measure(make_bench, wanted):
    raw = {}
    for name, (curve, conf) in CURVES.items():
        if not wanted or name in wanted:
            with harness.Sandbox(conf=conf) as box:
                curve(Curve(make_bench(box), name, raw))
    print(f"\nwritten: {OUTPUT.relative_to(harness.TOP)}")
