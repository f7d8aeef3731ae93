"""A load of clients that know what they may be told.

Every account is only ever credited with 1, so that each version has one right balance, version - 1,
and GET, which shows no version, can be checked like BALANCE. What a client may be told:

    at least   what any client, at any daemon, had been told before it asked (invariants 3 and 4)
    at most    what had been sent by the time the answer came

    with checker.Load(box, "faults", daemons=(1, 2)) as load:
        box.redis.client().flushall()
        load.await_operations(200)
    load.check_store()

Leaving the block ends the load and raises where anything was wrong: an answer outside the bounds,
an error that was not `tolerated`, an answer later than `answer_seconds_max`. A credit whose
outcome is unknown is sent again with its key until the answer is definite (invariant 2).
"""

import contextlib
import http.client
import random
import socket
import threading
import time
from collections import Counter

import redis

import harness

WRONG_SHOWN_MAX = 10
FAILED = object()
# A sanitizer's build is several times slower.
SLOWNESS = 4 if "fsanitize" in (
    (harness.BUILD / "flags").read_text() if (harness.BUILD / "flags").exists() else "") else 1
# What a machine with much else to do adds to an answer that has a deadline.
BUSY_SECONDS = 3.0 * SLOWNESS


def pass_time(seconds):
    """The length of a fault, not a wait for something."""
    threading.Event().wait(seconds)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def trust_of(client):
    return client.info("trust")["trust"]


def wait_trusted(box, seconds=30.0, daemon=1):
    """Until that daemon answers from the cache, and its links to the store are up."""
    client = box.client(daemon)
    client.execute_command("OPEN", "trust-probe", "USD/2")

    def trusted():
        client.get("trust-probe")
        source = harness.record(client.execute_command("BALANCE", "trust-probe"))["source"]
        store = client.info("store")
        return (trust_of(client) == "trusting" and source == "cache" and
                store["store_writes"] == store["store_reads"] == "up")
    try:
        harness.wait_for(trusted, seconds * SLOWNESS, f"trust in the cache at daemon {daemon}")
    finally:
        client.close()


def metrics_of(daemon):
    """Family with labels -> number, of a daemon's /metrics."""
    connection = http.client.HTTPConnection("127.0.0.1", daemon.http_port, timeout=10)
    try:
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
    finally:
        connection.close()
    lines = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
    return {name.removeprefix("ballast_"): float(value) for name, _, value in lines}


class Change:
    """What a metric grew by since this was made."""

    def __init__(self, daemon):
        self.daemon = daemon
        self.before = metrics_of(daemon)

    def of(self, name):
        return metrics_of(self.daemon)[name] - self.before[name]


def findings(box):
    """What the queries that must return nothing return."""
    return box.psql((harness.TOP / "sql" / "invariants.sql").read_text())


class Wire:
    """A way to a local port that can be cut and mended."""

    def __init__(self, to):
        self.to = to
        self.port = free_port()
        self.sockets = []
        self.flowing = threading.Event()
        self.flowing.set()
        self.mend()

    def mend(self):
        self.flowing.set()
        self.listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self.accept, args=(self.listener,), daemon=True).start()

    def hold(self):
        """From here on what comes back from the port stays on the way, and is lost at cut()."""
        self.flowing.clear()

    def cut(self):
        """Both ends of every connection are closed, and new ones are refused."""
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for end in self.sockets:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def accept(self, listener):
        with contextlib.suppress(OSError):
            while True:
                near, _ = listener.accept()
                far = socket.create_connection(("127.0.0.1", self.to))
                self.sockets += [near, far]
                for source, target in ((near, far), (far, near)):
                    threading.Thread(target=self.carry, args=(source, target, source is far),
                                     daemon=True).start()

    def carry(self, source, target, is_back):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if is_back:
                    self.flowing.wait()
                target.sendall(data)
            target.shutdown(socket.SHUT_RDWR)


class Ledger:
    """What has been sent, and what anybody has been told, of each account."""

    def __init__(self, accounts):
        self.lock = threading.Lock()
        self.sent = dict.fromkeys(accounts, 1)   # the highest version that can exist
        self.told = dict.fromkeys(accounts, 1)   # the highest that somebody was told
        self.keys = {}                           # account, version -> the key that made it
        self.done = Counter()                    # credits with a definite OK, by account

    def sending(self, account):
        with self.lock:
            self.sent[account] += 1

    def floor(self, account):
        with self.lock:
            return self.told[account]

    def show(self, account, version, floor):
        """An answer; returns what is wrong about it, or None."""
        with self.lock:
            self.told[account] = max(self.told[account], version)
            if floor <= version <= self.sent[account]:
                return None
            return f"{account}: version {version}, not in {floor}..{self.sent[account]}"

    def credited(self, account, key, version):
        with self.lock:
            self.done[account] += 1
            if self.keys.setdefault((account, version), key) != key:
                return f"{account}: version {version} is of {key} and {self.keys[account, version]}"
            return None


class Load:
    def __init__(self, box, name, *, daemons=(1,), clients=4, accounts=12, writes=0.3,
                 tolerated=(), broken=False, answer_seconds_max=5.0 + 3.0):
        """`tolerated`: the codes of errors that may be answered; with STALE, values so marked too.
        `broken`: connections may break."""
        self.box = box
        self.name = name
        self.daemons = daemons
        self.clients = clients
        self.accounts = [f"{name}-{number}" for number in range(accounts)]
        self.writes = writes
        self.tolerated = frozenset(tolerated)
        self.broken = broken
        self.answer_seconds_max = answer_seconds_max * SLOWNESS
        self.ledger = Ledger(self.accounts)
        self.wrong = []
        self.errors = Counter()
        self.sources = Counter()
        self.operations = 0
        self.slowest = 0.0
        self.lock = threading.Lock()
        self.stopping = threading.Event()
        self.threads = []

    # --- life ---

    def __enter__(self):
        with contextlib.closing(self.box.client(self.daemons[0])) as client:
            for account in self.accounts:
                client.execute_command("OPEN", account, "USD/2")
        for number in range(self.clients):
            daemon = self.daemons[number % len(self.daemons)]
            thread = threading.Thread(target=self.run, args=(number, daemon), daemon=True)
            thread.start()
            self.threads.append(thread)
        return self

    def __exit__(self, kind, *_):
        self.stopping.set()
        for thread in self.threads:
            thread.join(60 * SLOWNESS)
            if thread.is_alive():
                self.complain("a client hangs")
        if kind is None:
            self.raise_wrong()

    def complain(self, text):
        with self.lock:
            self.wrong.append(f"{time.strftime('%H:%M:%S')} {text}")

    def raise_wrong(self):
        if self.wrong:
            shown = "\n  ".join(self.wrong[:WRONG_SHOWN_MAX])
            raise AssertionError(f"{len(self.wrong)} wrong answers:\n  {shown}")

    def await_operations(self, count, seconds=20.0):
        """Until so many more have been answered rightly; raises at the first wrong one."""
        goal = self.operations + count

        def enough():
            self.raise_wrong()
            return self.operations >= goal
        harness.wait_for(enough, seconds * SLOWNESS, f"{count} operations")

    # --- one client ---

    def run(self, number, daemon):
        client = self.box.client(daemon, socket_timeout=self.answer_seconds_max + 10)
        pick = random.Random(f"{self.name}-{number}")
        count = 0
        try:
            while not self.stopping.is_set():
                count += 1
                account = pick.choice(self.accounts)
                if pick.random() < self.writes:
                    self.credit(client, account, f"{self.name}-{number}-{count}")
                else:
                    self.read(client, pick.choice(("GET", "MGET", "BALANCE")), account)
                self.stopping.wait(0.001)
        except Exception as error:  # a thread's exceptions would be lost
            self.complain(f"client {number}: {error!r}")
        finally:
            client.close()

    def ask(self, client, *words):
        """The reply, or FAILED after an error."""
        started = time.monotonic()
        try:
            reply = client.execute_command(*words)
        except (redis.ConnectionError, redis.TimeoutError) as error:
            self.errors[words[0], "connection"] += 1
            if not self.broken:
                self.complain(f"{words}: {error!r}")
            return FAILED
        except redis.ResponseError as error:
            code = str(error).split(" ", 1)[0]
            self.errors[words[0], code] += 1
            if code not in self.tolerated:
                self.complain(f"{words}: -{error}")
            return FAILED
        finally:
            took = time.monotonic() - started
            self.slowest = max(self.slowest, took)
            if took > self.answer_seconds_max:
                self.complain(f"{words}: answered after {took:.1f} s")
        with self.lock:
            self.operations += 1
        return reply

    def credit(self, client, account, key):
        self.ledger.sending(account)
        floor = self.ledger.floor(account)
        deadline = time.monotonic() + 40 * SLOWNESS
        while (reply := self.ask(client, "CREDIT", account, 1, "KEY", key)) is FAILED:
            if time.monotonic() > deadline:
                raise AssertionError(f"{key} has no definite answer")
            self.stopping.wait(0.02)
        reply = harness.record(reply)
        version = int(reply["version"])
        if int(reply["balance"]) != version - 1:
            self.complain(f"CREDIT {account} KEY {key}: {reply}")
        # Also of a duplicate: it was done after the first attempt had been sent.
        wrong = (self.ledger.show(account, version, floor + 1) or
                 self.ledger.credited(account, key, version))
        if wrong:
            self.complain(f"CREDIT {account} KEY {key}: {wrong}")

    def read(self, client, command, account):
        if command == "MGET":
            accounts = [account, *self.accounts[:3]]
        else:
            accounts = [account]
        floors = [self.ledger.floor(each) for each in accounts]
        reply = self.ask(client, command, *accounts)
        if reply is FAILED:
            return
        if reply is None:
            self.complain(f"{command} {account}: nil")
            return
        if command == "BALANCE":
            balance = harness.record(reply)
            self.sources[balance["source"]] += 1
            if balance["stale"] and "STALE" in self.tolerated:
                return
            if balance["stale"] or int(balance["version"]) != int(balance["balance"]) + 1:
                self.complain(f"BALANCE {account}: {balance}")
            values = [balance["balance"]]
        else:
            values = reply if command == "MGET" else [reply]
        for each, value, floor in zip(accounts, values, floors, strict=True):
            wrong = ("nil" if value is None
                     else self.ledger.show(each, int(value) + 1, floor))
            if wrong:
                self.complain(f"{command} {each}: {wrong}")

    # --- afterwards ---

    def check_store(self):
        """Each credit with a definite answer is in the store once, and no other is."""
        rows = self.box.psql(
            "select to_account, count(*), count(distinct key), max(to_version), max(to_balance) "
            f"from ballast.transfer where to_account like '{self.name}-%' group by 1")
        found = {}
        for row in rows.splitlines():
            account, *numbers = row.split("|")
            found[account] = [int(number) for number in numbers]
        for account in self.accounts:
            done = self.ledger.done[account]
            expected = [done, done, done + 1, done] if done else None
            if found.get(account) != expected:
                raise AssertionError(f"{account}: {done} credits were answered, the journal has "
                                     f"{found.get(account)} (rows, keys, version, balance)")
        if wrong := findings(self.box):
            raise AssertionError(f"invariants.sql: {wrong}")


class TwoCase(harness.BooksCase):
    """Two daemons that both trust the cache when a test begins; clients `first` and `second`."""

    daemons = 2
    conf = "[limits]\nrequest-timeout-ms = 10000\n"

    def setUp(self):
        for number, daemon in enumerate(self.box.daemons, 1):
            if not daemon.running:
                daemon.start()
            wait_trusted(self.box, daemon=number)
        self.first, self.second = (self.box.client(number) for number in (1, 2))
        self.addCleanup(self.first.close)
        self.addCleanup(self.second.close)

    def open(self, *accounts):
        for account in accounts:
            self.first.execute_command("OPEN", account, "USD/2")

    def cached_at_both(self, account):
        """Until both answer from the cache."""
        def cached():
            return all(harness.record(client.execute_command("BALANCE", account))["source"]
                       == "cache" for client in (self.first, self.second))
        harness.wait_for(cached, 30 * SLOWNESS, "cached values at both")

    def post_in_sql(self, key, account, amount):
        return self.box.psql("select outcome, balance, version, duplicate from "
                             f"ballast.post('{key}', '@world', '{account}', {amount})")
