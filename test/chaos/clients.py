"""The load of a chaos run: processes that send random operations to random daemons, and note every
attempt with its time and its answer. They judge nothing: see verdict.py.

A mutation without a definite answer is sent again, at any daemon, until there is one (invariant 2).
"""

import contextlib
import multiprocessing
import pickle
import random
import select
import time
from collections import namedtuple

import harness
import resp
from operations import HOT, Maker, Operation

LOADING, RESTING, RESOLVING = range(3)
REPLY_SECONDS_MAX = 30
RESOLVE_SECONDS_MAX = 60
LOST = "LOST"          # the connection broke before the answer
REFUSED = "REFUSED"    # no connection
# After these it is open whether an earlier attempt, or this one, has been applied.
NOT_DEFINITE = ("UNKNOWN", "UNAVAILABLE", "BUSY", LOST, REFUSED)

# One attempt. `place` counts the client's attempts, in the order of its connections' replies;
# `code` is OK or an error's; start and end are seconds of the monotonic clock.
Event = namedtuple("Event", "client place daemon start end name key words code reply")


class Client:
    def __init__(self, number, seed, ports, opened, phase):
        self.number = number
        self.pick = random.Random(f"{seed} client {number}")
        self.maker = Maker(seed, number, self.pick, opened)
        self.ports = ports
        self.phase = phase
        self.connections = {}
        self.pending = []
        self.events = []

    # --- one exchange ---

    def connection(self, daemon):
        if daemon in self.connections and select.select(
                [self.connections[daemon].socket], [], [], 0)[0]:
            self.drop(daemon)  # that daemon was restarted while this connection was idle
        if daemon not in self.connections:
            place = type("Place", (), {"port": self.ports[daemon]})
            connection = resp.Connection(place, timeout=REPLY_SECONDS_MAX)
            self.connections[daemon] = connection
        return self.connections[daemon]

    def drop(self, daemon):
        connection = self.connections.pop(daemon, None)
        if connection is not None:
            connection.close()

    def note(self, daemon, start, operation, code, reply):
        self.events.append(Event(self.number, len(self.events), daemon, start, time.monotonic(),
                                 operation.name, operation.key, operation.words, code, reply))
        if not operation.mutates:
            return
        if code == "OK":
            self.maker.succeeded(operation, reply)
        elif code in NOT_DEFINITE:
            operation.doubtful |= code in ("UNKNOWN", LOST)
            if operation.doubtful or operation.kept:
                self.pending.append(operation)

    def read_reply(self, daemon, start, operation):
        reply = self.connections[daemon].read()
        if isinstance(reply, resp.Failure):
            self.note(daemon, start, operation, reply.code, str(reply))
            return
        if operation.mutates or (operation.name == "BALANCE" and reply is not None):
            reply = harness.record(reply)
        elif operation.name == "HISTORY":
            reply = [harness.record(row) for row in reply or ()]
        self.note(daemon, start, operation, "OK", reply)

    def send(self, daemon, operations):
        """False, and the attempts noted, where that daemon cannot be reached."""
        start = time.monotonic()
        try:
            self.connection(daemon).send_raw(
                resp.encode_all(operation.words for operation in operations))
            return start
        except OSError as error:
            self.drop(daemon)
            code = REFUSED if isinstance(error, ConnectionRefusedError) else LOST
            for operation in operations:
                self.note(daemon, start, operation, code, repr(error))
            return None

    def read_replies(self, daemon, start, operations):
        for place, operation in enumerate(operations):
            try:
                self.read_reply(daemon, start, operation)
            except (OSError, EOFError) as error:
                self.drop(daemon)
                for rest in operations[place:]:
                    self.note(daemon, start, rest, LOST, repr(error))
                return

    def exchange(self, parts):
        """Everything is sent to all of them before the first answer is read."""
        sent = [(daemon, self.send(daemon, operations), operations)
                for daemon, operations in parts]
        for daemon, start, operations in sent:
            if start is not None:
                self.read_replies(daemon, start, operations)

    # --- what to do next ---

    def step(self):
        daemons = list(self.ports)
        if self.pending and self.pick.random() < 0.3:
            self.repeat()
        elif self.pick.random() < 0.1:
            # The same key at two daemons at once.
            operation = self.maker.credit()
            twin = Operation(operation.words, operation.key, operation.accounts, kept=operation.kept)
            pair = self.pick.sample(daemons, 2)
            self.exchange([(pair[0], [operation]), (pair[1], [twin])])
        else:
            makers = self.pick.choices((self.maker.read, self.maker.mutation), (6, 4),
                                       k=self.pick.choice((1, 1, 1, 2, 3, 6)))
            self.exchange([(self.pick.choice(daemons), [make() for make in makers])])

    def repeat(self):
        operation = self.pending.pop(self.pick.randrange(len(self.pending)))
        self.exchange([(self.pick.choice(list(self.ports)), [operation])])

    def run(self, path, pause_seconds):
        while self.phase.value == LOADING:
            self.step()
            time.sleep(self.pick.uniform(0, 2 * pause_seconds))
        for daemon in list(self.connections):
            self.drop(daemon)
        while self.phase.value == RESTING:
            time.sleep(0.05)
        deadline = time.monotonic() + RESOLVE_SECONDS_MAX
        while self.pending and time.monotonic() < deadline:
            self.repeat()
            time.sleep(0.01)
        with open(path, "wb") as output:
            pickle.dump(self.events, output)


def run_client(number, seed, ports, opened, phase, path, pause_seconds):
    with contextlib.suppress(KeyboardInterrupt):
        Client(number, seed, ports, opened, phase).run(path, pause_seconds)


class Clients:
    """All of them. `ports`: number of a daemon -> its port."""

    def __init__(self, count, seed, ports, directory, pause_seconds):
        context = multiprocessing.get_context("fork")
        self.phase = context.Value("i", LOADING)
        opened = context.Array("q", count)
        self.paths = [directory / f"client-{number}.events" for number in range(count)]
        self.processes = [
            context.Process(target=run_client, daemon=True,
                            args=(number, seed, ports, opened, self.phase, path, pause_seconds))
            for number, path in enumerate(self.paths)]
        self.first = next(iter(ports.values()))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.processes:
            if process.is_alive():
                process.kill()

    def open_accounts(self):
        with contextlib.closing(resp.Connection(type("Place", (), {"port": self.first}))) as one:
            for account in HOT:
                one.ask("OPEN", account, "USD/2")

    def start(self):
        for process in self.processes:
            process.start()

    def enter(self, phase):
        self.phase.value = phase

    def collect(self):
        """Every attempt, in the order of the answers."""
        events = []
        for process, path in zip(self.processes, self.paths, strict=True):
            process.join(RESOLVE_SECONDS_MAX + REPLY_SECONDS_MAX)
            if process.exitcode != 0:
                process.kill()
                raise AssertionError(f"a client ended with {process.exitcode}")
            with open(path, "rb") as source:
                events += pickle.load(source)
        return sorted(events, key=lambda event: event.end)
