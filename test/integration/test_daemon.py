"""The life of the daemon: command line, start, signals, reload, listeners, HTTP."""

import contextlib
import fcntl
import http.client
import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

import redis

import harness
from checker import SLOWNESS

BALLASTD = harness.BUILD / "ballastd"

# The end at once leaves threads running; the thread sanitizer need not say so, nor wait for them.
os.environ["TSAN_OPTIONS"] = "report_thread_leaks=0 atexit_sleep_ms=0"


def run_daemon(*words, timeout=30):
    return subprocess.run(harness.launcher() + [str(BALLASTD), *map(str, words)], check=False,
                          capture_output=True, text=True, timeout=timeout)


def fetch(daemon, path, method="GET", body=None):
    """Status, headers and text of one request."""
    connection = http.client.HTTPConnection("127.0.0.1", daemon.http_port, timeout=10)
    try:
        connection.request(method, path, body=body)
        response = connection.getresponse()
        return response.status, response.headers, response.read().decode()
    finally:
        connection.close()


def status_of(daemon):
    return json.loads(fetch(daemon, "/status.json")[2])


def metric(daemon, name):
    return status_of(daemon)["metrics"][name]


def log_size(daemon):
    return daemon.log.stat().st_size


def wait_for_log(daemon, size, *parts):
    """The first line behind `size` bytes of the log that holds all parts."""
    def look():
        with open(daemon.log, encoding="utf-8") as log:
            log.seek(size)
            return next((line for line in log if all(part in line for part in parts)), None)
    return harness.wait_for(look, what=f"a line in the log with {parts}")


def encode(*words):
    parts = [str(word).encode() for word in words]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(p), p) for p in parts)


class CommandLine(unittest.TestCase):
    def setUp(self):
        self.dir = Path(tempfile.mkdtemp(prefix="daemon-"))
        self.addCleanup(shutil.rmtree, self.dir)

    def write(self, text):
        conf = self.dir / "ballast.conf"
        conf.write_text(text)
        return conf

    def test_version_and_help(self):
        version = run_daemon("--version")
        self.assertEqual((version.returncode, version.stdout.split()[0]), (0, "ballastd"))
        usage = run_daemon("--help")
        self.assertEqual(usage.returncode, 0)
        self.assertIn("--check-config", usage.stdout)

    def test_wrong_usage(self):
        for words in (["--nonsense"], ["-c"], ["extra"]):
            done = run_daemon(*words)
            self.assertEqual((done.returncode, done.stdout), (64, ""), words)
            self.assertIn("usage: ballastd", done.stderr)

    def test_check_config_accepts(self):
        conf = self.write("[limits]\nclients = 10\n[cache]\nprefix = x:\n")
        done = run_daemon("-c", conf, "--check-config")
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_check_config_names_file_and_line(self):
        for line, text in ((2, "[limits]\nclients = many\n"),
                           (3, "[limits]\nclients = 10\ncleints = 10\n"),
                           (2, "[limits]\nrequest-timeout-ms = 5 parsecs\n"),
                           (1, "[nowhere]\nx = 1\n"),
                           (3, "\n[cache]\naddress = redis.example.org:6379\n")):
            conf = self.write(text)
            for words in (["--check-config"], []):
                done = run_daemon("-c", conf, *words)
                self.assertEqual(done.returncode, 78, (text, done.stderr))
                self.assertRegex(done.stderr, rf"^{conf}:({line}|{line + 1}): ", text)

    def test_conninfo_that_libpq_cannot_read(self):
        done = run_daemon("-c", self.write("[store]\nconninfo = nonsense\n"), "--check-config")
        self.assertEqual(done.returncode, 78)
        self.assertIn("conninfo", done.stderr)

    def test_missing_file(self):
        done = run_daemon("-c", self.dir / "absent.conf")
        self.assertEqual(done.returncode, 78)
        self.assertIn("absent.conf", done.stderr)


class Unprepared(harness.Case):
    """A store without a schema."""
    daemons = 0

    def test_ends_and_names_the_command(self):
        conf = self.box.env["BALLAST_CONF"]
        done = run_daemon("-c", conf)
        self.assertEqual(done.returncode, 78, done.stderr)
        self.assertIn(f"ballast -c {conf} migrate", done.stderr)


class Life(harness.Case):
    conf = "[listen]\nworkers = 2\n"

    def setUp(self):
        self.daemon = self.box.daemon
        if self.daemon.process is None or not self.daemon.running:
            if self.daemon.running:
                self.daemon.stop()
            self.daemon.start()  # as a child of ours: its exit status is seen
        harness.wait_for(lambda: fetch(self.daemon, "/readyz")[0] == 200, what="readiness")

    def stop(self):
        """SIGTERM; returns the exit status."""
        self.daemon.send(signal.SIGTERM)
        return self.daemon.process.wait(timeout=harness.STOP_SECONDS_MAX)

    @contextlib.contextmanager
    def locked_account(self, name):
        """Mutations of the account stay in flight until the block ends."""
        client = self.daemon.client()
        client.execute_command("OPEN", name, "USD/2")
        with self.box.locked(name):
            yield

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.daemon.port), timeout=15)

    # --- listeners ---

    def test_unix_socket(self):
        client = redis.Redis(unix_socket_path=self.daemon.socket, decode_responses=True)
        self.assertTrue(client.ping())
        client.close()

    def test_connections_are_spread_over_the_workers(self):
        with contextlib.ExitStack() as stack:
            for _ in range(64):
                stack.enter_context(self.connect())
            harness.wait_for(lambda: all(worker["clients"] > 0
                                         for worker in status_of(self.daemon)["workers"]),
                             what="clients on both workers")

    def test_a_second_daemon_does_not_share_the_port(self):
        conf = self.box.dir / "second.conf"
        conf.write_text(self.daemon.conf.read_text() + "\n[listen]\nhttp = off\nunix =\n")
        done = run_daemon("-c", conf)
        self.assertEqual(done.returncode, 1)
        self.assertIn("in use", done.stderr)
        conf.write_text(self.daemon.conf.read_text() +
                        "\n[listen]\nhttp = off\naddress = 127.0.0.1:0\n")
        done = run_daemon("-c", conf)
        self.assertEqual(done.returncode, 1)
        self.assertIn(self.daemon.socket, done.stderr)
        self.assertTrue(Path(self.daemon.socket).exists())

    def test_places_that_become_free_in_a_moment_are_waited_for(self):
        """As a predecessor holds them that was killed and still gives back its memory."""
        conf = self.box.dir / "successor.conf"
        path = self.box.dir / "successor.sock"
        with socket.create_server(("127.0.0.1", 0)) as taken, \
                socket.socket(socket.AF_UNIX) as taken_file:
            taken_file.bind(str(path))
            taken_file.listen()
            conf.write_text(self.daemon.conf.read_text() + "\n[listen]\nhttp = off\n"
                            f"address = 127.0.0.1:{taken.getsockname()[1]}\nunix = {path}\n")
            successor = subprocess.Popen(
                harness.launcher() + [str(BALLASTD), "-c", str(conf)], stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL)
            self.addCleanup(successor.communicate)
            self.addCleanup(successor.kill)
            with self.assertRaises(subprocess.TimeoutExpired):
                successor.wait(0.5)
        client = redis.Redis(unix_socket_path=str(path))
        harness.wait_for(client.ping, what="the successor's answer")
        client.close()
        successor.terminate()
        self.assertEqual(successor.wait(harness.STOP_SECONDS_MAX), 0)

    def test_a_socket_file_left_behind_is_replaced(self):
        self.daemon.kill()
        self.daemon.process.wait()
        self.assertTrue(Path(self.daemon.socket).exists())
        self.daemon.start()
        self.test_unix_socket()
        self.assertEqual(self.stop(), 0)
        self.assertFalse(Path(self.daemon.socket).exists())

    def test_out_of_descriptors(self):
        size = log_size(self.daemon)
        client = self.daemon.client()
        client.ping()
        used = len(os.listdir(f"/proc/{self.daemon.pid}/fd"))
        before = resource.prlimit(self.daemon.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(self.daemon.pid, resource.RLIMIT_NOFILE, (used + 4, before[1]))
        try:
            with contextlib.ExitStack() as stack:
                waiting = [stack.enter_context(self.connect()) for _ in range(20)]
                wait_for_log(self.daemon, size, "event=accept-paused")
                self.assertTrue(client.ping())
                ticks = self.processor_ticks()
                time.sleep(0.5)  # the length of the measurement
                self.assertLess(self.processor_ticks() - ticks, 25, "it spins")
                resource.prlimit(self.daemon.pid, resource.RLIMIT_NOFILE, before)
                for one in waiting:
                    one.sendall(b"PING\r\n")
                    self.assertEqual(one.recv(7), b"+PONG\r\n")
            wait_for_log(self.daemon, size, "event=accept-resumed")
        finally:
            resource.prlimit(self.daemon.pid, resource.RLIMIT_NOFILE, before)

    def processor_ticks(self):
        fields = Path(f"/proc/{self.daemon.pid}/stat").read_text().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])

    # --- HTTP ---

    def test_probes(self):
        self.assertEqual(fetch(self.daemon, "/livez")[::2], (200, "ok\n"))
        status, _, text = fetch(self.daemon, "/readyz?verbose")
        self.assertEqual(status, 200)
        self.assertEqual([line.split()[0] for line in text.splitlines()],
                         ["reads", "writes", "cache", "ready"])
        for what in ("reads", "writes"):
            self.assertEqual(fetch(self.daemon, f"/readyz/{what}")[::2], (200, f"{what} ok\n"))

    def test_metrics(self):
        status, headers, text = fetch(self.daemon, "/metrics")
        self.assertEqual(status, 200)
        self.assertTrue(headers["Content-Type"].startswith("text/plain; version=0.0.4"))
        families = [line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")]
        self.assertEqual(len(families), len(set(families)), "a family stands twice")
        self.assertTrue(all(name.startswith("ballast_") for name in families))
        self.assertIn('ballast_trust_phase{phase="trusting"} ', text)
        for line in text.splitlines():
            if not line.startswith("#"):
                float(line.rpartition(" ")[2])

    def test_status_json(self):
        status = status_of(self.daemon)
        self.assertEqual(status["schema"], 1)
        self.assertEqual(status["pid"], self.daemon.pid)
        self.assertEqual([worker["worker"] for worker in status["workers"]], [0, 1])
        self.assertIn(status["trust"]["phase"],
                      ("no-store", "trusting", "elsewhere", "closing", "drained"))

    def test_status_page(self):
        status, headers, text = fetch(self.daemon, "/")
        self.assertEqual(status, 200)
        self.assertTrue(headers["Content-Type"].startswith("text/html"))
        self.assertIn("<main>", text)
        self.assertIn("setInterval", fetch(self.daemon, "/status.js")[2])

    def test_what_http_refuses(self):
        status, headers, text = fetch(self.daemon, "/nothing/here")
        self.assertEqual((status, headers["Content-Type"]), (404, "application/problem+json"))
        self.assertEqual(json.loads(text)["status"], 404)
        for method in ("POST", "PUT", "DELETE", "OPTIONS", "PATCH"):
            status, headers, _ = fetch(self.daemon, "/livez", method, body="x")
            self.assertEqual((status, headers["Allow"]), (405, "GET, HEAD"), method)
        self.assertEqual(fetch(self.daemon, "/livez", "HEAD")[::2], (200, ""))
        with contextlib.suppress(OSError, http.client.HTTPException):
            self.assertGreaterEqual(fetch(self.daemon, "/" + "x" * 100000)[0], 400)
        self.assertEqual(fetch(self.daemon, "/livez")[0], 200)

    # --- reload ---

    def test_reload(self):
        before = self.daemon.conf.read_text()
        self.addCleanup(self.reload_with, before)
        size = log_size(self.daemon)
        self.reload_with(before + "\n[limits]\nclients = 2\nbatch = 7\n")
        self.assertIn("limits.batch", wait_for_log(self.daemon, size, "event=config-reloaded"))
        with contextlib.ExitStack() as stack:
            def refused():
                one = stack.enter_context(self.connect())
                one.sendall(b"PING\r\n")
                return one.recv(100).startswith(b"-ERR max number of clients")
            harness.wait_for(refused, what="the new limit of clients")

    def test_a_bad_file_changes_nothing(self):
        before = self.daemon.conf.read_text()
        self.addCleanup(self.reload_with, before)
        size = log_size(self.daemon)
        self.reload_with(before + "\n[limits]\nclients = none\n")
        line = wait_for_log(self.daemon, size, "event=config-rejected")
        self.assertIn(f"{self.daemon.conf}:{len(before.splitlines()) + 3}", line)
        self.assertTrue(self.daemon.client().ping())

    def reload_with(self, text):
        self.daemon.conf.write_text(text)
        if self.daemon.running:
            self.daemon.send(signal.SIGHUP)

    def test_the_log_file_is_opened_again(self):
        before = self.daemon.conf.read_text()
        log = self.box.dir / "own.log"
        self.daemon.stop()
        self.daemon.conf.write_text(before + f"\n[log]\nfile = {log}\n")
        try:
            self.daemon.start()
            harness.wait_for(lambda: "event=start" in log.read_text(), what="the log")
            log.rename(self.box.dir / "own.log.1")
            self.daemon.send(signal.SIGHUP)
            harness.wait_for(lambda: "event=config-reloaded" in log.read_text(),
                             what="the new file")
        finally:
            self.daemon.conf.write_text(before)
            self.daemon.restart()

    # --- the end ---

    def test_work_in_flight_is_answered(self):
        count = 10
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(self.connect()) for _ in range(count)]
            with self.locked_account("busy"):
                for number, client in enumerate(clients):
                    client.sendall(encode("CREDIT", "busy", 1, "KEY", f"busy-{number}") +
                                   encode("GET", "busy"))
                harness.wait_for(
                    lambda: metric(self.daemon, "requests_in_flight") >= count,
                    what="the mutations in flight")
                self.daemon.send(signal.SIGTERM)
                harness.wait_for(self.refuses_connections, what="closed listeners")
                self.assertEqual(fetch(self.daemon, "/readyz")[0], 503)
            for client in clients:
                text = b""
                while more := client.recv(4096):
                    text += more
                self.assertTrue(text.startswith(b"*"), text)
                self.assertRegex(text, rb"\$\d+\r\n\d+\r\n$")
        self.assertEqual(self.daemon.process.wait(timeout=10), 0)
        self.assertEqual(self.box.psql(
            "select balance from ballast.account where account_id = 'busy'"), str(count))
        self.assertEqual(self.box.psql(
            f"select count(*) from ballast.lease where daemon like '%-{self.daemon.pid}-%'"), "0")

    def test_the_end_has_a_deadline(self):
        """A store that hangs: what is in flight is answered at its deadline, then it ends."""
        before = self.daemon.conf.read_text()
        self.addCleanup(self.daemon.conf.write_text, before)
        self.daemon.configure("[limits]\nrequest-timeout-ms = 3000\n[store]\nread-links = 3")
        self.assertEqual(self.stop(), 0)
        self.daemon.start()
        harness.wait_for(lambda: fetch(self.daemon, "/readyz")[0] == 200, what="readiness")
        backends = self.box.psql("select pid from pg_stat_activity "
                                 "where application_name like 'ballastd%'").split()
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(self.connect()) for _ in range(8)]
            for backend in map(int, backends):
                stack.callback(harness.send_signal, backend, signal.SIGCONT)
                harness.send_signal(backend, signal.SIGSTOP)
            for number, client in enumerate(clients):
                client.sendall(encode("CREDIT", "hung", 1, "KEY", f"hung-{number}") +
                               encode("BALANCE", f"hung-{number}", "FRESH"))
            queries = [stack.enter_context(self.connect()) for _ in range(8)]
            for client in queries:  # on every connection that reads
                client.sendall(encode("HISTORY", "hung-a") + encode("HISTORY", "hung-b"))
            harness.wait_for(lambda: metric(self.daemon, "requests_in_flight") >= 16,
                             what="the requests in flight")
            self.assertEqual(self.stop(), 0)
            for client in clients:
                text = b""
                while more := client.recv(4096):
                    text += more
                self.assertRegex(text, rb"^-(UNKNOWN|UNAVAILABLE) [^\n]*\n-UNAVAILABLE ")
            for client in queries:
                self.assertTrue(client.recv(4096).startswith(b"-UNAVAILABLE "))

    def refuses_connections(self):
        try:
            self.connect().close()
        except ConnectionRefusedError:
            return True
        return False

    def test_a_second_signal_ends_it_at_once(self):
        with self.connect() as client, self.locked_account("slow"):
            client.sendall(encode("CREDIT", "slow", 1, "KEY", "slow-1"))
            harness.wait_for(lambda: metric(self.daemon, "requests_in_flight") > 0,
                             what="the mutation in flight")
            size = log_size(self.daemon)
            self.daemon.send(signal.SIGINT)
            wait_for_log(self.daemon, size, "event=stopping", "SIGINT")
            self.assertEqual(self.stop(), 1)  # 0, where the mutation was waited for

    def test_idle_clients_do_not_delay_the_end(self):
        with self.connect() as client:
            client.sendall(b"PING\r\n")
            self.assertEqual(client.recv(7), b"+PONG\r\n")
            started = time.monotonic()
            self.assertEqual(self.stop(), 0)
            # Before the deadline of what might be in flight.
            self.assertLess(time.monotonic() - started, 4 * SLOWNESS)
            self.assertEqual(client.recv(1), b"")

    # --- surroundings ---

    def test_without_a_store_at_the_start(self):
        self.daemon.stop()
        self.box.postgres.stop()
        try:
            self.daemon.start()
            self.assertTrue(self.daemon.client().ping())
            status, _, text = fetch(self.daemon, "/readyz?verbose")
            self.assertEqual(status, 503)
            self.assertIn("writes failed: ", text)
        finally:
            self.box.postgres.start()
        harness.wait_for(lambda: fetch(self.daemon, "/readyz")[0] == 200, what="readiness")

    def test_the_service_manager_is_told(self):
        path = self.box.dir / "notify.sock"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind(str(path))
            manager.settimeout(10)
            self.daemon.stop()
            self.daemon.start(env={"NOTIFY_SOCKET": str(path)})
            self.assertEqual(manager.recv(100), b"READY=1")
            self.daemon.stop()
            self.assertEqual(manager.recv(100), b"STOPPING=1")
        path.unlink()

    def test_a_blocked_log_blocks_nobody(self):
        self.daemon.stop()
        reader, writer = os.pipe()
        flags = fcntl.fcntl(writer, fcntl.F_GETFL)
        fcntl.fcntl(writer, fcntl.F_SETFL, flags | os.O_NONBLOCK)
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(writer, b"x" * 4096)
        fcntl.fcntl(writer, fcntl.F_SETFL, flags)
        blocked = subprocess.Popen(
            harness.launcher() + [str(BALLASTD), "-c", str(self.daemon.conf)],
            stdin=subprocess.DEVNULL, stdout=writer, stderr=writer)
        try:
            client = harness.wait_for(self.daemon.client, what="a connection")
            for _ in range(100):
                blocked.send_signal(signal.SIGHUP)
                self.assertTrue(client.ping())
            blocked.terminate()
            self.assertEqual(blocked.wait(timeout=10), 0)
        finally:
            blocked.kill()
            blocked.wait()
            os.close(reader)
            os.close(writer)

    # --- postings made in SQL ---

    def post(self, account, amount):
        return self.box.psql("select outcome from ballast.post("
                             f"gen_random_uuid()::text, '@world', '{account}', {amount}, 'sql')")

    def test_a_posting_in_sql_is_seen(self):
        client = self.daemon.client()
        client.execute_command("OPEN", "dba", "USD/2")
        client.execute_command("CREDIT", "dba", 10, "KEY", "dba-1")
        for balance in range(11, 16):
            self.assertEqual(client.get("dba"), str(balance - 1))
            self.assertEqual(self.post("dba", 1), "OK")
            harness.wait_for(lambda: client.get("dba") == str(balance),
                             what="the posting made in SQL")

    def test_a_posting_in_sql_while_no_daemon_ran_is_seen(self):
        client = self.daemon.client()
        client.execute_command("OPEN", "dark", "USD/2")
        client.execute_command("CREDIT", "dark", 10, "KEY", "dark-1")
        self.assertEqual(client.get("dark"), "10")
        self.assertEqual(client.get("dark"), "10")
        self.daemon.stop()
        self.assertEqual(self.post("dark", 5), "OK")
        self.daemon.start()
        client = self.daemon.client()
        harness.wait_for(lambda: client.get("dark") == "15", what="the posting")


if __name__ == "__main__":
    unittest.main()
