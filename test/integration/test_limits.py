"""Whoever abuses the protocol, asks too much or takes nothing: told, bounded, closed; the others
notice nothing."""

import contextlib
import random
import resource
import signal
import socket
import threading
import time
import unittest

import checker
import harness
import resp

MB = 1024 * 1024


def memory(pid, field):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        for line in status:
            if line.startswith(field):
                return int(line.split()[1]) * 1024
    raise AssertionError(field)


class Peak:
    """By how much a process grew beyond what it had, at its greatest, since this was made."""

    def __init__(self, daemon):
        self.pid = daemon.pid
        with open(f"/proc/{self.pid}/clear_refs", "w", encoding="ascii") as clear:
            clear.write("5")  # the greatest so far is forgotten
        self.before = memory(self.pid, "VmRSS")

    def grown(self):
        return memory(self.pid, "VmHWM") - self.before


class Limits(resp.Case):
    def limit(self, **options):
        """Sets limits for this test, by a reload."""
        names = {f"limits.{name.replace('_', '-')}": str(value) for name, value in options.items()}
        before = self.connection.ask("CONFIG", "GET", *names)
        self.reload(names)
        self.addCleanup(self.reload, harness.record(before))

    def reload(self, settings):
        self.box.daemon.configure("\n".join(
            ["[limits]", *(f"{name.partition('.')[2]} = {value}"
                           for name, value in settings.items())]))
        self.box.daemon.send(signal.SIGHUP)
        harness.wait_for(lambda: harness.record(
            self.connection.ask("CONFIG", "GET", *settings)) == settings, what="the reload")

    def assert_grown(self, peak, most):
        if checker.SLOWNESS == 1:  # sanitizers keep what was freed
            self.assertLess(peak.grown(), most)

    def assert_broken(self, connection, *parts):
        self.assert_failure(connection.read(), "ERR", "Protocol error: ", *parts)
        self.assertEqual(connection.await_end(), b"")

    # --- broken requests ---

    def test_broken_requests(self):
        self.connection.ask("OPEN", "abuse", "USD/2")
        broken = [
            (b"*1\r\n$1073741824\r\n", "invalid bulk length"),
            (b"*1\r\n$65537\r\n", "invalid bulk length"),
            (b"*1\r\n$-1\r\n", "invalid bulk length"), (b"*1\r\n$-\r\n", "invalid bulk length"),
            (b"*1\r\n$\r\n", "invalid bulk length"), (b"*1\r\n$1x\r\n", "invalid bulk length"),
            (b"*1\r\n$9223372036854775808\r\n", "invalid bulk length"),
            (b"*1\r\n$18446744073709551617\r\n", "invalid bulk length"),
            (b"*1\r\n$+1\r\n", "invalid bulk length"), (b"*1\r\n$01\r\n", "invalid bulk length"),
            (b"*1\r\n$" + b"9" * 100 + b"\r\n", "bulk"),
            (b"*4097\r\n", "invalid multibulk length"),
            (b"*1073741824\r\n", "invalid multibulk length"),
            (b"*4294967297\r\n", "invalid multibulk length"),
            (b"*18446744073709551617\r\n", "invalid multibulk length"),
            (b"*x\r\n", "invalid multibulk length"), (b"*1.0\r\n", "invalid multibulk length"),
            (b"*" + b"1" * 100 + b"\r\n", "multibulk"), (b"*" + b"x" * 100, "mbulk"),
            (b"*1\r\n:4\r\nPING\r\n", "expected '$', got ':'"),
            (b"*1\r\nPING\r\n", "expected '$', got 'P'"), (b"*1\r\n\0\r\n", "expected '$'"),
            (b"*1\r\n$4\r\nPINGPING\r\n", "CRLF"),
            (b"*2\r\n$3\r\nGET\r\n$5\r\nabuse*1\r\n", "CRLF"),
            (b'GET "abuse\r\n', "unbalanced quotes"), (b"GET 'abuse'x\r\n", "unbalanced quotes"),
            (b"x" * 70000, "too big inline request"),
            (b"POST / HTTP/1.1\r\nHost: localhost\r\n\r\nCREDIT abuse 1 KEY http-1\r\n", ""),
            (b"Host: localhost\r\nCREDIT abuse 1 KEY http-2\r\n", ""),
            (b"post / HTTP/1.1\r\nCREDIT abuse 1 KEY http-3\r\n", ""),
        ]
        errors = checker.Change(self.box.daemon)
        for request, text in broken:
            with self.subTest(request=request[:60]):
                connection = self.connect()
                with contextlib.suppress(ConnectionError):  # closed before all of it was sent
                    connection.send_raw(resp.encode("GET", "abuse") + request)
                self.assert_bulk(connection.read(), "0")
                self.assert_broken(connection, text)
        self.assertEqual(errors.of("protocol_errors_total"), len(broken))
        self.assert_bulk(self.connection.ask("GET", "abuse"), "0")

    def test_http_on_the_port_of_resp(self):
        self.connection.ask("OPEN", "browser", "USD/2")
        connection = self.connect()
        connection.send_raw(b"GET / HTTP/1.1\r\nHost: localhost\r\n"
                            b"X: \r\nCREDIT browser 1 KEY http-4\r\n\r\n")
        self.assert_failure(connection.read(), "ERR", "wrong number of arguments for 'get'")
        self.assert_broken(connection)
        self.assert_bulk(self.connection.ask("GET", "browser"), "0")

    def test_what_was_announced_costs_nothing(self):
        peak = Peak(self.box.daemon)
        for _ in range(200):
            self.connect().send_raw(b"*4096\r\n$3\r\nGET\r\n$65536\r\nabc")
        self.assert_status(self.connection.ask("PING"), "PONG")
        self.assert_grown(peak, 8 * MB)

    def test_a_gigabyte(self):
        """Sent behind an announcement, and within the limits one by one: it is not kept."""
        peak = Peak(self.box.daemon)
        chunk = b"x" * 65536
        for start, again in ((b"*1\r\n$1073741824\r\n", chunk),
                             (b"*4096\r\n", b"$65536\r\n" + chunk + b"\r\n"), (b"", chunk)):
            connection = self.connect()
            connection.send_raw(start)
            with contextlib.suppress(ConnectionError):
                for _ in range(400):
                    connection.send_raw(again)
            with contextlib.suppress(ConnectionError):
                self.assert_failure(connection.read(), "ERR", "Protocol error")
        self.assert_status(self.connection.ask("PING"), "PONG")
        self.assert_grown(peak, 8 * MB)

    def test_random_bytes(self):
        pick = random.Random(20)
        journal = self.box.psql("select count(*) from ballast.transfer")
        peak = Peak(self.box.daemon)
        starts = (b"", b"*", b"*3\r\n$", b"*2\r\n$4\r\nECHO\r\n$", b"GET ", b"\r\n", b"*1\r\n")
        for number in range(300):
            connection = self.connect()
            data = pick.choice(starts) + pick.randbytes(pick.randrange(1, 4000))
            with contextlib.suppress(ConnectionError):
                connection.send_raw(data)
                connection.socket.shutdown(socket.SHUT_WR)
                for line in connection.await_end().splitlines():
                    self.assertTrue(line.startswith(b"-ERR "), (number, line))
        self.assert_status(self.connection.ask("PING"), "PONG")
        self.assert_grown(peak, 8 * MB)
        self.assertEqual(self.box.psql("select count(*) from ballast.transfer"), journal)
    # --- deep pipelines and lazy readers ---

    def limit_depth(self):
        self.limit(pipeline=100, output_buffer_bytes=256 * 1024)
        self.connection.ask("OPEN", "depth", "USD/2")

    def test_a_pipeline_of_a_million_reads(self):
        self.limit_depth()
        count = 1000000 if harness.LEVEL == "full" else 200000
        peak = Peak(self.box.daemon)
        connection = self.connect(timeout=120)
        request, reply = resp.encode("GET", "depth"), b"$1\r\n0\r\n"
        sender = threading.Thread(target=connection.send_raw, args=(request * count,))
        sender.start()
        self.addCleanup(sender.join)
        self.assertEqual(connection.input.read(len(reply) * count), reply * count)
        self.assert_status(connection.ask("PING"), "PONG")
        self.assert_grown(peak, 8 * MB)

    @harness.level("check")
    def test_who_takes_nothing_is_not_read_from(self):
        self.limit_depth()
        peak = Peak(self.box.daemon)
        connection = self.connect(timeout=30)
        for buffer in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            connection.socket.setsockopt(socket.SOL_SOCKET, buffer, 65536)
        request = b"BALANCE depth" + b" " * 200 + b"\r\n"
        count = 40000
        sender = threading.Thread(target=connection.send_raw, args=(request * count,))
        sender.start()
        self.addCleanup(sender.join)
        sender.join(1)
        self.assertTrue(sender.is_alive(), "what nobody takes was asked for without end")
        started = time.monotonic()
        self.assert_bulk(self.connect().ask("GET", "depth"), "0")
        self.assertLess(time.monotonic() - started, checker.BUSY_SECONDS, "another client waits")
        self.assert_grown(peak, 8 * MB)
        for _ in range(count):
            self.assertEqual(connection.read()[5], "0")
        self.assert_status(connection.ask("PING"), "PONG")

    def test_deep_pipelines_of_mutations(self):
        self.limit_depth()
        replies = self.three.ask_all([("CREDIT", "depth", 1, "KEY", f"depth-{number}")
                                      for number in range(5000)])
        self.assertEqual([reply["balance"] for reply in replies],
                         [str(number) for number in range(1, 5001)])
        self.three.ask("DEBIT", "depth", 5000, "KEY", "depth-back")

    @harness.level("full")
    def test_who_never_reads_is_closed(self):
        self.limit_depth()
        closed = checker.Change(self.box.daemon)
        connection = self.connect()
        connection.socket.setblocking(False)
        request = resp.encode("BALANCE", "depth") * 1000

        def ended():
            with contextlib.suppress(BlockingIOError, ConnectionError):
                while True:
                    connection.socket.send(request)
            return closed.of('connections_closed_total{reason="output-buffer"}')
        harness.wait_for(ended, 30, "the end of a client that never reads")
        self.assertEqual(closed.of('connections_closed_total{reason="output-buffer"}'), 1)

    # --- idle clients ---

    def test_idle_and_half_a_command(self):
        self.limit(idle_timeout_ms=1500)
        idle, half, slow = (self.connect() for _ in range(3))
        half.send_raw(b"*2\r\n$3\r\nGET\r\n$5\r\nab")
        started = time.monotonic()

        def ended():
            """One keeps asking, another keeps sending a command that never ends."""
            self.assert_status(self.connection.ask("PING"), "PONG")
            with contextlib.suppress(ConnectionError):
                slow.send_raw(b"x")
            shown = self.connection.ask("CLIENT", "LIST")
            return not any(f"addr=127.0.0.1:{port} " in shown for port in ports)
        ports = [each.socket.getsockname()[1] for each in (idle, half, slow)]
        harness.wait_for(ended, 30 * checker.SLOWNESS, "the end of who asks nothing")
        self.assertGreater(time.monotonic() - started, 1.4)
        for each in (idle, half, slow):
            self.assertEqual(each.await_end(), b"")

    @harness.level("check")
    def test_who_waits_for_an_answer_is_not_idle(self):
        self.limit(idle_timeout_ms=1500)
        self.connection.ask("OPEN", "waits", "USD/2")
        with self.box.table_locked("ballast.account"):
            self.connection.send("CREDIT", "waits", 1, "KEY", "waits-1")
            time.sleep(2.6)  # past the timeout, and the next look for idle clients
        self.assertEqual(harness.record(self.connection.read())["balance"], "1")

    # --- the number of clients ---

    def test_too_many_clients(self):
        """The two of setUp count."""
        self.limit(clients=300)
        others = [self.connect() for _ in range(298)]
        self.assert_status(others[-1].ask("PING"), "PONG")
        refused = self.connect()
        self.assert_failure(refused.read(), "ERR", "max number of clients reached")
        self.assertEqual(refused.await_end(), b"")
        others.pop().close()

        def accepted():
            connection = resp.Connection(self.box.daemon)
            try:
                return connection.ask("PING") == "PONG"
            except EOFError:
                return False
            finally:
                connection.close()
        harness.wait_for(accepted, what="room for another client")

    @harness.level("check")
    def test_ten_thousand_idle_clients(self):
        count = 10000 if harness.LEVEL == "full" else 3000
        needed = count + 200
        before = resource.getrlimit(resource.RLIMIT_NOFILE)
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (needed, max(needed, before[1])))
        except (ValueError, OSError) as error:
            raise unittest.SkipTest(f"{needed} open files are not allowed: {error}") from error
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, before)
        if resource.prlimit(self.box.daemon.pid, resource.RLIMIT_NOFILE)[0] < needed:
            raise unittest.SkipTest(f"{needed} open files are not allowed to the daemon")
        self.connection.ask("OPEN", "many", "USD/2")
        peak = Peak(self.box.daemon)
        clients = []
        self.addCleanup(lambda: [client.close() for client in clients])
        for _ in range(count - 10):
            clients.append(socket.create_connection(("127.0.0.1", self.box.daemon.port), 20))
            clients[-1].sendall(b"*2\r\n$3\r\nGET\r\n$4\r\nma")
        self.assert_bulk(self.connection.ask("GET", "many"), "0")
        self.assert_grown(peak, count * 4096)
        started = time.monotonic()
        for number in range(100):
            self.assert_bulk(self.connection.ask("GET", "many"), "0")
            self.connection.ask("CREDIT", "many", 1, "KEY", f"many-{number}")
            self.connection.ask("DEBIT", "many", 1, "KEY", f"many-{number}-back")
        self.assertLess(time.monotonic() - started, 30 * checker.SLOWNESS)
        for client in clients:
            client.sendall(b"ny\r\n")
        for client in clients:
            self.assertEqual(client.recv(100), b"$1\r\n0\r\n")


class Shed(resp.Case):
    """Limits that all clients share."""

    conf = ("[limits]\nbatch = 10\nqueue = 10\nread-queue = 10\nrequest-timeout-ms = 30s\n"
            "[store]\nlock-timeout-ms = 20s\nstatement-timeout-ms = 20s\n")

    def test_the_queue_of_mutations(self):
        self.connection.ask("OPEN", "queue", "USD/2")
        busy = checker.Change(self.box.daemon)
        with self.box.table_locked("ballast.account"):
            for number in range(10):
                self.connection.send("CREDIT", "queue", 1, "KEY", f"queue-{number}")
            harness.wait_for(lambda: "mutations_queued:10" in self.three.ask("INFO", "store"),
                             what="a full queue")
            started = time.monotonic()
            for words in (("CREDIT", "queue", 1, "KEY", "queue-more"),
                          ("OPEN", "queue-more", "USD/2")):
                reply = self.three.ask(*words)
                self.assert_failure(reply, "BUSY", "nothing was applied", "try again after a while")
            self.assertLess(time.monotonic() - started, checker.BUSY_SECONDS, "not shed early")
            self.assert_bulk(self.three.ask("GET", "queue"), "0")
        self.assertEqual([harness.record(self.connection.read())["balance"] for _ in range(10)],
                         [str(number) for number in range(1, 11)])
        self.assertGreaterEqual(busy.of('busy_total{limit="queue"}'), 2)
        self.assertEqual(self.three.ask("CREDIT", "queue", 1, "KEY", "queue-more")["balance"], "11")

    def test_the_queue_of_reads(self):
        sent = 0

        def full():
            """What waits is asked for in batches; so many are under way at most."""
            nonlocal sent
            self.connection.send_raw(resp.encode_all(
                [("GET", f"reads-{sent + number}") for number in range(20)]))
            sent += 20
            return "reads_waiting:10" in self.three.ask("INFO", "store")
        with self.box.table_locked("ballast.account", "access exclusive"):
            harness.wait_for(full, what="a full queue")
            started = time.monotonic()
            for words in (("GET", "reads-more"), ("MGET", "reads-more"), ("EXISTS", "reads-more"),
                          ("BALANCE", "reads-more")):
                self.assert_failure(self.three.ask(*words), "BUSY", "try again after a while")
            self.assertLess(time.monotonic() - started, checker.BUSY_SECONDS, "not shed early")
        replies = [self.connection.read() for _ in range(sent)]
        shed = [reply for reply in replies if reply is not None]
        self.assertEqual({reply.code for reply in shed}, {"BUSY"})
        self.assertGreaterEqual(len(replies) - len(shed), 10)
        self.assertIsNone(self.three.ask("GET", "reads-more"))


@harness.level("full")
class Behind(resp.Case):
    """Requests that are answered, and whose answer waits behind another one's, count as well."""

    conf = ("[limits]\npipeline = 1000000\nrequest-timeout-ms = 60s\n"
            "[store]\nlock-timeout-ms = 50s\nstatement-timeout-ms = 50s\n")
    limit = 262144  # LIMIT_WORKER_REQUESTS

    def test_answers_that_wait_for_one_before_them(self):
        checker.wait_trusted(self.box, 20)
        self.connection.ask("OPEN", "behind", "USD/2")
        harness.wait_for(lambda: "cache" in self.connection.ask("BALANCE", "behind"),
                         what="a value in the cache")
        busy = checker.Change(self.box.daemon)
        connection = self.connect(timeout=120)
        with self.box.table_locked("ballast.account", "access exclusive"):
            connection.send("GET", "nobody")
            connection.send_raw(resp.encode_all([("GET", "behind"), ("PING",)]) *
                                (self.limit + 1000))
            harness.wait_for(lambda: busy.of("command_errors_total") >= 1000, 60, "the limit")
        self.assertIsNone(connection.read())
        pong, shed = b"+PONG\r\n", 1001
        found = b"$1\r\n0\r\n" + pong
        self.assertEqual(connection.input.read(len(found) * (self.limit - 1)),
                         found * (self.limit - 1))
        for _ in range(shed):
            self.assert_failure(connection.read(), "BUSY", "try again after a while")
            self.assert_status(connection.read(), "PONG")
        self.assert_status(connection.ask("PING"), "PONG")
