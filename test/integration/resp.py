"""RESP as it is on the wire: a connection that shows what redis-py hides, the types of replies, the
order of fields, and what the server does with bytes that no client would send.

    with resp.Connection(box.daemon, protocol=3) as connection:
        connection.ask("GET", "alice")                      # "1250"
        connection.ask_all([("PING",), ("GET", "alice")])   # one pipeline, the replies in order
        connection.send_raw(b"*1\\r\\n$-7\\r\\n")
        connection.read()                                   # Failure("ERR Protocol error: ...")
        connection.await_end()
"""

import socket
import threading

import harness


class Status(str):
    """A simple string. A bulk string is a plain str."""


class Failure(str):
    """An error."""

    @property
    def code(self):
        return self.partition(" ")[0]


class Verbatim(str):
    """Text with a format, whose mark is taken away."""


class Set(list):
    """In the order of the wire."""


def encode(*words):
    parts = [word if isinstance(word, bytes) else str(word).encode() for word in words]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(p), p) for p in parts)


def encode_all(commands):
    return b"".join(encode(*words) for words in commands)


class Connection:
    """Raises EOFError where the server has closed, and OSError as a socket does. Every wait ends
    after `timeout` seconds."""

    def __init__(self, daemon, protocol=2, timeout=20, unix=False):
        if unix:
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(timeout)
            self.socket.connect(daemon.socket)
        else:
            self.socket = socket.create_connection(("127.0.0.1", daemon.port), timeout)
        self.input = self.socket.makefile("rb")
        if protocol == 3:
            self.ask("HELLO", 3)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.input.close()
        self.socket.close()

    def send_raw(self, data):
        self.socket.sendall(data)

    def send(self, *words):
        self.send_raw(encode(*words))

    def ask(self, *words):
        self.send(*words)
        return self.read()

    def ask_all(self, commands):
        """Sends while it reads: a server may stop to read until its replies are taken."""
        commands = list(commands)
        sender = threading.Thread(target=self.send_raw, args=(encode_all(commands),))
        sender.start()
        try:
            return [self.read() for _ in commands]
        finally:
            sender.join()

    def read_line(self):
        line = self.input.readline()
        if not line.endswith(b"\r\n"):
            raise EOFError(f"closed by the server after {line!r}")
        return line[:-2].decode("utf-8", "surrogateescape")

    def read_bulk(self, length):
        data = self.input.read(length + 2)
        if len(data) != length + 2 or not data.endswith(b"\r\n"):
            raise EOFError(f"closed by the server after {data[:40]!r}")
        return data[:-2].decode("utf-8", "surrogateescape")

    def read(self):
        """One reply: Status, Failure, str, int, float, bool, list, Set, dict, Verbatim, None."""
        line = self.read_line()
        kind, rest = line[:1], line[1:]
        if kind == "+":
            return Status(rest)
        if kind == "-":
            return Failure(rest)
        if kind == ":":
            return int(rest)
        if kind == "$":
            return None if rest == "-1" else self.read_bulk(int(rest))
        if kind == "*":
            return None if rest == "-1" else [self.read() for _ in range(int(rest))]
        if kind == "_":
            return None
        if kind == "%":
            return {self.read(): self.read() for _ in range(int(rest))}
        if kind == "~":
            return Set(self.read() for _ in range(int(rest)))
        if kind == "=":
            return Verbatim(self.read_bulk(int(rest))[4:])
        if kind == "#":
            return rest == "t"
        if kind == ",":
            return float(rest)
        raise ValueError(f"no RESP: {line!r}")

    def await_end(self):
        """Returns what the server still sent before it closed."""
        try:
            return self.input.read()
        except ConnectionResetError:
            return b""


class Case(harness.BooksCase):
    """Has a connection of either protocol for each test."""

    def setUp(self):
        self.connection = self.connect()
        self.three = self.connect(protocol=3)

    def connect(self, protocol=2, **options):
        connection = Connection(self.box.daemon, protocol, **options)
        self.addCleanup(connection.close)
        return connection

    def assert_failure(self, reply, code, *parts):
        self.assertIsInstance(reply, Failure, reply)
        self.assertEqual(reply.code, code, reply)
        for part in parts:
            self.assertIn(part, reply)

    def assert_status(self, reply, text):
        self.assertEqual((type(reply), reply), (Status, text))

    def assert_bulk(self, reply, text):
        self.assertEqual((type(reply), reply), (str, text))


class MutationCase(Case):
    """Mutations, and what their replies must be like."""

    FLAGS = {"duplicate", "created", "changed"}

    def open(self, account, balance=0, asset="USD/2", floor=0):
        reply = self.three.ask("OPEN", account, asset, "FLOOR", floor)
        self.assertIsInstance(reply, dict, reply)
        if balance:
            self.done("CREDIT", account, balance, "KEY", f"{account}/open")

    def done(self, *words):
        """The reply, a map, of what must not be refused; the flat form of RESP2 must say the same
        when the mutation is repeated."""
        reply = self.three.ask(*words)
        self.assertIsInstance(reply, dict, words + (reply,))
        for name, value in reply.items():
            self.assertIs(type(value), int if name in self.FLAGS else str, (name, value))
        flat = self.connection.ask(*words)
        self.assertIsInstance(flat, list, flat)
        self.assertEqual(flat[0::2], list(reply))
        again = harness.record(flat)
        if "duplicate" in reply:
            self.assertEqual(again, {**reply, "duplicate": 1})
        return reply

    def refused(self, code, *words, parts=(), applied="nothing was applied"):
        """Refused, saying so; and again in the same way: a refusal is not remembered."""
        for connection in (self.three, self.connection):
            reply = connection.ask(*words)
            self.assert_failure(reply, code, applied, *parts)
            # What happened; whether it was applied; where there is a choice, what to do.
            happened = reply.partition(" ")[2].partition(";")[0]
            self.assertGreater(len(happened), 5, reply)
            if code != "ERR":
                self.assertEqual(reply.count(";"), 2, reply)
        return reply

    def version(self, account):
        return int(self.three.ask("BALANCE", account, "FRESH")["version"])

    def state(self, account):
        reply = self.three.ask("BALANCE", account, "FRESH")
        return reply["balance"], reply["version"]

    def at_once(self, commands):
        """The replies to commands that are sent at the same time, each over its own connection."""
        commands = list(commands)
        connections = [self.connect() for _ in commands]
        replies = [None] * len(commands)
        barrier = threading.Barrier(len(commands))

        def ask(number):
            barrier.wait()
            replies[number] = connections[number].ask(*commands[number])
        threads = [threading.Thread(target=ask, args=(n,)) for n in range(len(commands))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for connection in connections:
            connection.close()
        return replies
