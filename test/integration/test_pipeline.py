"""Pipelines: the order of replies and of effects."""

import signal
import threading

import harness
import resp
from checker import metrics_of, wait_trusted


class Pipeline(resp.Case):
    def test_a_read_sees_the_mutations_before_it(self):
        connection = self.connect()
        commands = [("OPEN", "order", "USD/2")]
        for number in range(300):
            commands += [("CREDIT", "order", 2, "KEY", f"order-{number}"), ("GET", "order"),
                         ("MGET", "order", "order-none"), ("BALANCE", "order"), ("PING", number)]
        replies = connection.ask_all(commands)[1:]
        for number in range(300):
            credit, get, mget, balance, ping = replies[number * 5:number * 5 + 5]
            total = str(2 * number + 2)
            self.assertEqual((harness.record(credit)["balance"], get, mget, balance[5], ping),
                             (total, total, [total, None], total, str(number)))

    def test_deep_and_mixed(self):
        """Runs of reads, mutations, refusals and commands that need no store, of every length."""
        connection = self.connect(protocol=3)
        connection.ask("OPEN", "deep", "USD/2")
        commands, expected, balance = [], [], 0
        for number in range(4000):
            kind = (number * 7919 + number // 13) % 7
            if kind < 2:
                balance += 3
                commands.append(("CREDIT", "deep", 3, "KEY", f"deep-{number}"))
                expected.append(str(balance))
            elif kind == 2 and balance > 0:
                balance -= 1
                commands.append(("DEBIT", "deep", 1, "KEY", f"deep-{number}"))
                expected.append(str(balance))
            elif kind == 3:
                commands.append(("DEBIT", "deep", balance + 1, "KEY", f"deep-{number}"))
                expected.append("INSUFFICIENT")
            elif kind == 4:
                commands.append(("ECHO", number))
                expected.append(str(number))
            elif kind == 5:
                commands.append(("NONSENSE", number))
                expected.append("ERR")
            else:
                commands.append(("GET", "deep"))
                expected.append(str(balance))

        def shown(reply):
            if isinstance(reply, resp.Failure):
                return reply.code
            return reply["balance"] if isinstance(reply, dict) else reply
        self.assertEqual([shown(reply) for reply in connection.ask_all(commands)], expected)
        self.assertEqual(connection.ask("BALANCE", "deep", "FRESH")["balance"], str(balance))

    def test_mutations_take_effect_in_their_order(self):
        """Each is refused in any other order."""
        connection = self.connect()
        commands = []
        for number in range(200):
            commands += [("OPEN", f"chain-{number}", "USD/2"),
                         ("CREDIT", "chain-0", 1, "KEY", f"chain-{number}-c"),
                         ("TRANSFER", "chain-0", f"chain-{number + 1}", 1, "KEY",
                          f"chain-{number}-t")]
        # The payee of each transfer is opened by the command behind it.
        replies = connection.ask_all(commands)
        self.assertEqual({reply.code for reply in replies[2::3]}, {"NOACCOUNT"})
        again = connection.ask_all(
            [("OPEN", "chain-200", "USD/2")] + commands[2::3])
        self.assertEqual([harness.record(reply)["balance"] for reply in again[1:]],
                         [str(balance) for balance in range(199, -1, -1)])

    def test_hello_in_a_pipeline_changes_only_what_is_behind_it(self):
        connection = self.connect()
        connection.ask("OPEN", "switch", "USD/2")
        replies = connection.ask_all([
            ("BALANCE", "switch"), ("HELLO", 3), ("BALANCE", "switch"),
            ("CREDIT", "switch", 1, "KEY", "switch-1"), ("HELLO", 2), ("BALANCE", "switch")])
        self.assertEqual([type(reply) for reply in replies], [list, dict, dict, dict, list, list])

    def test_many_connections_at_once(self):
        connections = [self.connect() for _ in range(40)]
        connections[0].ask("OPEN", "shared", "USD/2")
        for round_number in range(20):
            for number, connection in enumerate(connections):
                connection.send_raw(resp.encode_all([
                    ("CREDIT", "shared", 1, "KEY", f"shared-{round_number}-{number}"),
                    ("GET", "shared")]))
            for connection in connections:
                credited = int(harness.record(connection.read())["balance"])
                self.assertGreaterEqual(int(connection.read()), credited)
        self.assertEqual(connections[0].ask("GET", "shared"), "800")
        versions = self.box.psql("select count(*), count(distinct to_version), max(to_version) "
                                 "from ballast.transfer where to_account = 'shared'")
        self.assertEqual(versions, "800|800|801")

    def test_a_client_that_stops_sending_gets_its_answers(self):
        connection = self.connect()
        connection.ask("OPEN", "half-closed", "USD/2")
        connection.send_raw(resp.encode_all([("CREDIT", "half-closed", 1, "KEY", "half-closed-1"),
                                             ("GET", "half-closed")]) + b"*2\r\n$3\r\nGET")
        connection.socket.shutdown(1)
        self.assertEqual(harness.record(connection.read())["balance"], "1")
        self.assert_bulk(connection.read(), "1")
        self.assertEqual(connection.await_end(), b"")


class TwoReaders(resp.Case):
    """A daemon with two connections that read: the statements of one client may take their snapshots
    in any order, and what it is shown of an account does not go back all the same (invariant 4)."""

    conf = ("[listen]\nworkers = 1\n[limits]\nrequest-timeout-ms = 30000\n"
            "[store]\nread-links = 2\nstatement-timeout-ms = 20000\n")

    def setUp(self):
        super().setUp()
        wait_trusted(self.box, 20)
        self.account = self._testMethodName.removeprefix("test_")
        self.connection.ask("OPEN", self.account, "USD/2")
        self.connection.ask("CREDIT", self.account, 1, "KEY", self.account)

    def readers(self):
        """Their backends, known by what they were asked last."""
        self.connection.ask_all([("HISTORY", f"nobody-{number}") for number in range(20)])
        pids = self.box.backends(f"{harness.WORKERS} and query like '%read_history%'")
        return len(pids) == 2 and sorted(pids)

    def ask_while_it_changes(self, commands, first):
        """The replies to a pipeline; one of the connections answers before a posting, one behind it."""
        pids = harness.wait_for(self.readers, what="two connections that read")
        in_flight = lambda: metrics_of(self.box.daemon)["requests_in_flight"]  # noqa: E731
        try:
            for pid in pids:
                harness.send_signal(pid, signal.SIGSTOP)
            self.three.send_raw(resp.encode_all(commands))
            harness.wait_for(lambda: in_flight() > 0, what="the requests")
            harness.send_signal(pids[first], signal.SIGCONT)
            harness.wait_for(lambda: in_flight() < 2, what="one answer")
            self.box.psql(f"select ballast.post('{self.account}-{first}', '@world', "
                          f"'{self.account}', 1)")
        finally:
            for pid in pids:
                harness.send_signal(pid, signal.SIGCONT)
        return [self.three.read() for _ in commands]

    def test_history(self):
        for first in (0, 1):
            shown = [int(reply[0]["version"]) for reply in self.ask_while_it_changes(
                [("HISTORY", self.account)] * 2, first)]
            self.assertEqual(shown, sorted(shown))

    def test_fresh_behind_what_the_cache_may_answer(self):
        stop = threading.Event()

        def credit():
            number = 0
            while not stop.is_set():
                number += 1
                self.three.ask("CREDIT", self.account, 1, "KEY", f"{self.account}-{number}")
        thread = threading.Thread(target=credit)
        thread.start()
        try:
            for _ in range(300):
                shown = [int(harness.record(reply)["version"]) for reply in self.connection.ask_all(
                    [("BALANCE", self.account, "MINVERSION", 2**62),
                     ("BALANCE", self.account, "FRESH")])]
                self.assertEqual(shown, sorted(shown))
        finally:
            stop.set()
            thread.join()
