"""redis-cli, by the line and interactive, and redis-benchmark."""

import csv
import fcntl
import io
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time

import harness

CONTROL = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]|\r")
COLUMNS = 200
CLEAR_LINE = "\x15"


class Terminal:
    """A program at a terminal, and what it has shown without the control sequences."""

    def __init__(self, words):
        self.shown = b""
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 50, COLUMNS, 0, 0))
        self.process = subprocess.Popen(
            words, stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
            env={**os.environ, "TERM": "xterm", "REDISCLI_HISTFILE": "/dev/null",
                 "REDISCLI_RCFILE": "/dev/null"})
        os.close(slave)

    def type(self, text):
        self.shown = b""
        os.write(self.master, text.encode())

    def await_text(self, text, seconds=15.0):
        deadline = time.monotonic() + seconds
        while text not in self.text():
            left = max(deadline - time.monotonic(), 0)
            if not select.select([self.master], [], [], left)[0]:
                raise AssertionError(f"not shown: {text!r} in {self.text()!r}")
            self.shown += os.read(self.master, 65536)

    def text(self):
        return CONTROL.sub(b"", self.shown).decode(errors="replace")

    def close(self):
        self.process.kill()
        self.process.wait()
        os.close(self.master)


class RedisTools(harness.BooksCase):
    # --- redis-cli ---

    def cli(self, *words, input=None, expect=0):
        done = subprocess.run(["redis-cli", "-p", str(self.box.daemon.port), *map(str, words)],
                              input=input, capture_output=True, text=True, check=False, timeout=60)
        self.assertEqual(done.returncode, expect, done.stderr)
        return done.stdout

    def test_one_command(self):
        self.assertEqual(self.cli("ping"), "PONG\n")
        self.assertEqual(self.cli("OPEN", "cli", "USD/2"),
                         "account\ncli\nasset\nUSD/2\nfloor\n0\nversion\n1\ncreated\n1\n")
        transfer = self.cli("CREDIT", "cli", 5, "KEY", "cli-1", "MEMO", "two words").split()[1]
        self.assertEqual(self.cli("CREDIT", "cli", 5, "KEY", "cli-1", "MEMO", "two words"),
                         f"transfer\n{transfer}\naccount\ncli\nbalance\n5\navailable\n5\n"
                         "version\n2\nduplicate\n1\n")
        self.assertEqual(self.cli("GET", "cli"), "5\n")
        self.assertEqual(self.cli("--no-raw", "GET", "cli"), '"5"\n')
        self.assertEqual(self.cli("--no-raw", "GET", "cli-none"), "(nil)\n")
        self.assertEqual(self.cli("--no-raw", "EXISTS", "cli", "cli-none"), "(integer) 1\n")
        self.assertEqual(self.cli("-s", self.box.daemon.socket, "GET", "cli"), "5\n")
        self.assertEqual(self.cli("-n", 0, "--json", "MGET", "cli", "cli-none"), '["5",null]\n')
        refused = self.cli("-e", "DEBIT", "cli", 6, "KEY", "cli-2", expect=1)
        self.assertEqual(refused, "")
        self.assertTrue(self.cli("DEBIT", "cli", 6, "KEY", "cli-2").startswith("INSUFFICIENT "))

    def test_resp3(self):
        self.cli("OPEN", "three", "USD/2")
        self.cli("CREDIT", "three", 5, "KEY", "three-1")
        shown = self.cli("-3", "--no-raw", "BALANCE", "three", "FRESH")
        self.assertEqual([line.strip() for line in shown.splitlines()], [
            '1# "account" => "three"', '2# "asset" => "USD/2"', '3# "balance" => "5"',
            '4# "held" => "0"', '5# "available" => "5"', '6# "floor" => "0"',
            '7# "status" => "active"', '8# "version" => "2"', '9# "source" => "sql"',
            '10# "age_ms" => (integer) 0', '11# "stale" => (integer) 0'])
        self.assertIn("# Server", self.cli("-3", "INFO", "server"))

    def test_standard_input(self):
        lines = ["OPEN batch USD/2"]
        lines += [f'CREDIT batch 3 KEY batch-{number} MEMO "line {number}"' for number in range(50)]
        shown = self.cli(input="\n".join(lines + ["GET batch", "nonsense", "GET batch"]) + "\n")
        self.assertEqual(shown.splitlines()[-4], "150")
        self.assertRegex(shown, r"ERR unknown command 'nonsense'")
        self.assertTrue(shown.endswith("150\n"))

    def test_pipe(self):
        """Its end is an ECHO that must come back behind everything else."""
        self.cli("OPEN", "mass", "USD/2")
        lines = [f"CREDIT mass 1 KEY mass-{number}\r\n" for number in range(10000)]
        shown = self.cli("--pipe", input="".join(lines) + "DEBIT mass 99999 KEY mass-x\r\n",
                         expect=1)
        self.assertIn("errors: 1, replies: 10001", shown)
        self.assertEqual(self.cli("GET", "mass"), "10000\n")

    def test_interactive(self):
        terminal = Terminal(["redis-cli", "-p", str(self.box.daemon.port)])
        self.addCleanup(terminal.close)
        prompt = f"127.0.0.1:{self.box.daemon.port}> "
        terminal.await_text(prompt)

        def enter(text, end):
            """The prompt behind the answer: only then is the next line read as it is typed."""
            terminal.type(text + "\r")
            terminal.await_text(end + "\n" + prompt)
        enter("OPEN tty USD/2", "10) (integer) 1")
        # What COMMAND DOCS says stands behind what is typed.
        for typed, hint in (
                ("CREDIT ", "account amount KEY key [FROM system-account] [MEMO memo]"),
                ("tty 1250 ", "KEY key [FROM system-account] [MEMO memo]"),
                ("KEY tty-1 ", "[FROM system-account] [MEMO memo]")):
            terminal.type(typed)
            terminal.await_text(hint)
        enter("", "12) (integer) 0")
        enter("GET tty", '"1250"')
        terminal.type("MTRANSFER ")
        terminal.await_text("KEY key from to amount [from to amount ...]")
        terminal.type(CLEAR_LINE + "client ki\t")
        terminal.await_text("CLIENT KILL")
        enter(CLEAR_LINE + "help balance", "group: read\n")
        self.assertIn("BALANCE account [FRESH] [MINVERSION version] [MAXAGE ms]", terminal.text())
        enter("HELLO 3", '7# "modules" => (empty array)')
        terminal.type("quit\r")
        self.assertEqual(terminal.process.wait(15), 0)

    # --- redis-benchmark ---

    def benchmark(self, *words, requests=20000):
        """Names and rates; any error ends redis-benchmark."""
        done = subprocess.run(
            ["redis-benchmark", "-p", str(self.box.daemon.port), "-n", str(requests), "-c", "20",
             "--csv", *words], capture_output=True, text=True, check=False, timeout=120)
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
        rows = list(csv.DictReader(io.StringIO(done.stdout)))
        for row in rows:
            self.assertGreater(float(row["rps"]), 0)
        return [row["test"] for row in rows]

    def calls(self, command):
        stats = self.box.client().info("commandstats").get(f"cmdstat_{command}")
        return (stats["calls"], stats["failed_calls"]) if stats else (0, 0)

    def grown(self, command, before):
        return tuple(now - then for now, then in zip(self.calls(command), before, strict=True))

    def test_get(self):
        client = self.box.client()
        for pipeline in ("1", "16"):
            before = self.calls("get")
            self.assertEqual(self.benchmark("-t", "get", "-P", pipeline), ["GET"])
            self.assertEqual(self.benchmark("-t", "get", "-P", pipeline, "-r", "100"), ["GET"])
            self.assertEqual(self.grown("get", before), (40000, 0))
            # The second time, the accounts that it asks for are there.
            for number in range(100):
                client.execute_command("OPEN", f"key:{number:012}", "USD/2")
            client.execute_command("OPEN", "key:__rand_int__", "USD/2")
        self.assertEqual(self.benchmark("-t", "get,ping", "-3", requests=2000),
                         ["PING_INLINE", "PING_MBULK", "GET"])

    def test_credit(self):
        client = self.box.client()
        client.execute_command("OPEN", "bench", "USD/2")
        self.benchmark("-r", "1000000", "-P", "8", "CREDIT", "bench", "2", "KEY", "b-__rand_int__",
                       requests=4000)
        keys = int(self.box.psql("select count(*) from ballast.mutation where key like 'b-%'"))
        self.assertGreater(keys, 3900)
        self.assertEqual(client.get("bench"), str(2 * keys))
