"""One harness for every test that needs servers.

A test class derives from Case and gets one sandbox (PostgreSQL, Redis, daemons: see
test/sandbox) for all its tests as `self.box`:

    class Credit(harness.Case):
        daemons = 2                       # default 1
        conf = "[limits]\\nqueue = 10\\n"   # appended to each daemon's configuration

        def test_first(self):
            client = self.box.client()
            client.execute_command("OPEN", "alice", "USD/2")
            reply = harness.record(client.execute_command("CREDIT", "alice", 5, "KEY", "k1"))
            self.assertEqual(reply["balance"], "5")
            self.refused("INSUFFICIENT", client, "DEBIT", "alice", 6, "KEY", "k2")

When a test fails, what the servers logged during it is printed. After the tests of a class, a
line in a daemon's log that tells of an assertion or of a sanitizer's finding fails the class.
"""

import contextlib
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

import redis

TOP = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("BALLAST_BUILD", TOP / "build")).resolve()
SANDBOX = TOP / "test" / "sandbox"
START_SECONDS_MAX = 30
STOP_SECONDS_MAX = 20
LOG_LINES_SHOWN_MAX = 60
# A busy machine keeps a process waiting for longer than the defaults of [cache] allow: a daemon
# then goes to the store, or ends the era, as it must. For tests in which Redis is well:
PATIENT = "[cache]\ntimeout-ms = 5000\npublish-timeout-ms = 900\n"
# Where the store is well, too, and no daemon is killed; a lease is a commit that may take its time.
STEADY = PATIENT + "lease-ms = 3000\n"
LEVELS = ("quick", "check", "full")
LEVEL = os.environ.get("BALLAST_TEST_LEVEL", "check")
WORKERS = "application_name like 'ballastd worker%'"  # of pg_stat_activity: their backends
FORBIDDEN_IN_LOG = re.compile(r"\bassert|Sanitizer|runtime error:", re.IGNORECASE)


def level(name):
    """Runs a test or class only from this level on: `quick` is also what the sanitizer builds
    run, `check` is the default, `full` is only for make check-full."""
    wanted, given = LEVELS.index(name), LEVELS.index(LEVEL)
    return unittest.skipIf(wanted > given, f"runs at level {name}")


def wait_for(predicate, seconds=30.0, what="the condition"):
    """Polls until predicate() is true and returns its value. Errors of a connection count as
    not yet. The time is for a machine with much else to do: it costs only where a test fails."""
    deadline = time.monotonic() + seconds
    while True:
        last = None
        try:
            value = predicate()
            if value:
                return value
            last = value
        except (OSError, redis.RedisError, subprocess.SubprocessError) as error:
            last = error
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {seconds} s (last: {last!r})")
        time.sleep(0.02)


def eventually(check, seconds=30.0):
    """Polls until check() fails no more, and returns its value."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(AssertionError):
            return check()
        time.sleep(0.02)
    return check()


def record(reply):
    """A reply that is a map, from RESP3 or from RESP2's flat array."""
    if reply is None or isinstance(reply, dict):
        return reply
    return dict(zip(reply[0::2], reply[1::2], strict=True))


def process_runs(pid):
    """A killed process is a zombie while other threads of it still hold its sockets."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
        threads = len(os.listdir(f"/proc/{pid}/task"))
    except (FileNotFoundError, ProcessLookupError):
        return False
    return threads > 1 or stat.rpartition(")")[2].split()[0] != "Z"


def send_signal(pid, number):
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def launcher():
    """The thread sanitizer does not bear every layout of the address space."""
    flags = BUILD / "flags"
    if flags.exists() and "fsanitize=thread" in flags.read_text():
        return ["setarch", "-R"]
    return []


class Server:
    """A process of the sandbox: `pid` is the server itself."""

    def __init__(self, box, pid):
        self.box = box
        self.pid = pid
        self.process = None  # where this harness started it

    @property
    def running(self):
        if self.process is not None:
            self.process.poll()
        return process_runs(self.pid)

    def send(self, number):
        send_signal(self.pid, number)

    def pause(self):
        self.send(signal.SIGSTOP)

    def resume(self):
        self.send(signal.SIGCONT)

    def stop(self, number=signal.SIGTERM, seconds=STOP_SECONDS_MAX):
        """Ends it and returns its exit status; None where the sandbox had started it."""
        self.send(number)
        wait_for(lambda: not self.running, seconds, f"the end of {self.pid}")
        return None if self.process is None else self.process.returncode

    def kill(self):
        return self.stop(signal.SIGKILL)

    def restart(self, number=signal.SIGTERM):
        status = self.stop(number)
        self.start()
        return status

    def start(self):
        raise NotImplementedError

    def spawn(self, words, log, **options):
        with open(log, "ab") as output:
            self.process = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                cwd=self.box.dir, start_new_session=True, **options)
        self.pid = self.process.pid


class Daemon(Server):
    def __init__(self, box, number):
        suffix = "" if number == 1 else f"_{number}"
        super().__init__(box, int(box.env["BALLAST_PID" + suffix]))
        self.port = int(box.env["BALLAST_PORT" + suffix])
        self.http_port = int(box.env["BALLAST_HTTP_PORT" + suffix])
        self.conf = Path(box.env["BALLAST_CONF" + suffix])
        self.log = Path(box.env["BALLAST_LOG" + suffix])
        self.socket = box.env.get("BALLAST_SOCKET" + suffix)

    def start(self, wait=True, env=None):
        """Starts the ended daemon again, with `env` added to its environment."""
        words = launcher() + [str(BUILD / "ballastd"), "-c", str(self.conf)]
        self.spawn(words, self.log, env={**os.environ, **(env or {})})
        if wait:
            self.await_ready()

    def await_ready(self):
        def answers():
            if not self.running:
                raise AssertionError(f"ballastd ended at its start: see {self.log}")
            return self.client().ping()
        wait_for(answers, START_SECONDS_MAX, "an answer to PING")

    def configure(self, text):
        """Appends to the configuration: a later value wins. Takes a restart or a SIGHUP."""
        with open(self.conf, "a", encoding="utf-8") as conf:
            conf.write("\n" + text + "\n")

    def client(self, **options):
        """A redis-py client with one connection; decodes replies to str."""
        settings = {"socket_timeout": 15, "decode_responses": True,
                    "single_connection_client": True, **options}
        return redis.Redis(host="127.0.0.1", port=self.port, **settings)


class RedisServer(Server):
    def __init__(self, box):
        super().__init__(box, int(box.env["REDIS_PID"]))
        self.port = int(box.env["REDIS_PORT"])
        self.dir = Path(box.env["REDIS_DIR"])
        self.log = self.dir / "redis.log"

    @classmethod
    def beside(cls, box, name, port):
        """Another Redis of the sandbox, started, in a directory of that name; see remove()."""
        server = cls(box)
        server.port, server.dir = port, box.dir / name
        server.log = server.dir / "redis.log"
        server.dir.mkdir()
        (server.dir / "redis.conf").write_text(
            f"bind 127.0.0.1\nport {port}\ndir {server.dir}\nlogfile {server.log}\nsave \"\"\n")
        server.start()
        return server

    def remove(self):
        self.kill()
        self.process.wait()
        shutil.rmtree(self.dir)

    def start(self):
        self.spawn(["redis-server", str(self.dir / "redis.conf")], self.log)
        wait_for(lambda: self.client().ping(), START_SECONDS_MAX, "Redis")

    def client(self, **options):
        return redis.Redis(host="127.0.0.1", port=self.port,
                           **{"socket_timeout": 15, "decode_responses": True, **options})


class Postgres:
    """The cluster. Its server refuses to run as root, so pg_ctl does everything."""

    def __init__(self, box):
        self.box = box
        self.data = Path(box.env["PG_DATA"])
        self.port = int(box.env["PGPORT"])
        self.log = self.data / "log" / "postgres.log"

    @property
    def pid(self):
        return int((self.data / "postmaster.pid").read_text().split()[0])

    def start(self):
        self.pg_ctl("-l", str(self.data / "startup.log"), "start")

    def stop(self, mode="fast"):
        self.pg_ctl("-m", mode, "stop")

    def restart(self, mode="immediate"):
        self.stop(mode)
        self.start()

    def pause(self):
        send_signal(self.pid, signal.SIGSTOP)

    def resume(self):
        send_signal(self.pid, signal.SIGCONT)

    def pg_ctl(self, *words):
        prefix = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []
        pg_ctl = str(Path(self.box.env["PG_BIN"]) / "pg_ctl")
        subprocess.run(prefix + [pg_ctl, "-D", str(self.data), "-s", "-w", *words], check=True,
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, cwd="/")


class Sandbox:
    """PostgreSQL, Redis and daemons under one directory; a context manager.

    `env` holds what stands in DIR/env; `daemons[0]`, `redis` and `postgres` are the servers."""

    def __init__(self, daemons=1, conf=""):
        self.daemon_count = daemons
        self.extra_conf = conf
        self.dir = None
        self.env = {}
        self.daemons = []
        self.redis = None
        self.postgres = None

    def __enter__(self):
        try:
            return self.up()
        except BaseException:
            self.down()
            raise

    def __exit__(self, *_):
        self.down()

    def up(self):
        self.dir = Path(tempfile.mkdtemp(prefix="sandbox-", dir=os.environ.get("BALLAST_TEST_DIR")))
        words = [str(SANDBOX), "up", str(self.dir)]
        words += ["--daemons", str(self.daemon_count)] if self.daemon_count else ["--no-daemon"]
        if self.extra_conf:
            extra = self.dir / "extra.conf"
            extra.write_text(self.extra_conf)
            words += ["--conf", str(extra)]
        self.run_sandbox(words)
        for line in (self.dir / "env").read_text().splitlines():
            name, _, value = line.partition("=")
            self.env[name] = "".join(shlex.split(value))
        self.redis = RedisServer(self)
        self.postgres = Postgres(self)
        self.daemons = [Daemon(self, number + 1) for number in range(self.daemon_count)]
        return self

    def down(self):
        if self.dir is None:
            return
        self.run_sandbox([str(SANDBOX), "down", str(self.dir)])
        for server in [*self.daemons, self.redis]:
            if server and server.process:
                server.process.wait()
        shutil.rmtree(self.dir, ignore_errors=True)
        self.dir = None

    @staticmethod
    def run_sandbox(words):
        done = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"{shlex.join(words)} failed:\n{done.stdout}")

    @property
    def daemon(self):
        return self.daemons[0]

    def client(self, daemon=1, **options):
        return self.daemons[daemon - 1].client(**options)

    def psql_words(self, database=None):
        return ["psql", "-XqtA", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1",
                "-p", self.env["PGPORT"], "-U", self.env["PGUSER"],
                "-d", database or self.env["PGDATABASE"]]

    def psql(self, sql, database=None):
        """Runs SQL as the superuser and returns the output: a line a row, `|` between columns."""
        done = subprocess.run(self.psql_words(database), input=sql, capture_output=True, text=True,
                              check=False)
        if done.returncode != 0:
            raise AssertionError(f"psql: {done.stderr.strip()}")
        return done.stdout.strip()

    def poster(self):
        """The pid of PostgreSQL's one process that commits a worker's batches. A link that is
        coming up shows the same words for a moment, while it prepares them."""
        def only():
            found = self.psql("select pid from pg_stat_activity where state = 'idle' and "
                              "application_name like '%worker%' and query like '%post_batch%'")
            return found.isdigit() and int(found)
        return wait_for(only, what="one process that posts")

    def backends(self, which=WORKERS):
        """The pids of PostgreSQL's processes of which this condition on pg_stat_activity holds."""
        return [int(pid) for pid in self.psql(
            f"select pid from pg_stat_activity where {which}").split()]

    @contextlib.contextmanager
    def paused_backends(self, which=WORKERS):
        """A block in which they stand still: what is asked of them has no snapshot before it ends."""
        pids = self.backends(which)
        for pid in pids:
            send_signal(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                send_signal(pid, signal.SIGCONT)

    def table_locked(self, table, mode="exclusive"):
        """A block in which nobody writes the table (`access exclusive`: nor reads it)."""
        return self.transaction(f"lock table {table} in {mode} mode")

    def locked(self, account):
        """A block in which somebody in SQL holds the account's row."""
        return self.transaction(f"select from ballast.account where account_id = '{account}' "
                                "for update")

    @contextlib.contextmanager
    def transaction(self, sql, end="rollback"):
        """A block in which somebody in SQL has run this and does not end his transaction."""
        with subprocess.Popen(self.psql_words(), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True) as psql:
            psql.stdin.write(f"begin; {sql}; \\echo ready\n")
            psql.stdin.flush()
            line = psql.stdout.readline()
            while line and line != "ready\n":
                line = psql.stdout.readline()
            if not line:
                raise AssertionError(f"psql ended at: {sql}")
            try:
                yield
            finally:
                psql.stdin.write(f"{end};\n")
                psql.stdin.close()
                psql.wait()

    def cli(self, *words, expect=0, daemon=1, input=None, timeout=120):
        """Runs `ballast` with this daemon's configuration; the exit status must be `expect`
        (None: any)."""
        conf = self.env["BALLAST_CONF" if daemon == 1 else f"BALLAST_CONF_{daemon}"]
        command = launcher() + [str(BUILD / "ballast"), "-c", conf, *map(str, words)]
        done = subprocess.run(command, input=input, capture_output=True, text=True, check=False,
                              timeout=timeout)
        if expect is not None and done.returncode != expect:
            raise AssertionError(f"{shlex.join(command)}: exit {done.returncode}, expected "
                                 f"{expect}\n{done.stdout}{done.stderr}")
        return done

    def logs(self):
        """Name and path of every log of the sandbox."""
        logs = {f"ballastd {number + 1}": daemon.log for number, daemon in enumerate(self.daemons)}
        return {**logs, "redis": self.redis.log, "postgres": self.postgres.log}


def log_sizes(box):
    return {name: path.stat().st_size if path.exists() else 0 for name, path in box.logs().items()}


def print_logs_since(box, sizes):
    for name, path in box.logs().items():
        if not path.exists():
            continue
        with open(path, "rb") as log:
            log.seek(sizes.get(name, 0))
            lines = log.read().decode(errors="replace").splitlines()
        if lines:
            print(f"--- {name} ({path})")
            print("\n".join(lines[-LOG_LINES_SHOWN_MAX:]))
    sys.stdout.flush()


class Case(unittest.TestCase):
    """A test class with one sandbox."""

    daemons = 1
    conf = ""
    box = None

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.box = cls.enterClassContext(Sandbox(cls.daemons, cls.conf))
        cls.addClassCleanup(cls.check_daemon_logs)

    @classmethod
    def check_daemon_logs(cls):
        # A sanitizer reports what leaked at the end of the process.
        for daemon in cls.box.daemons:
            daemon.resume()
            daemon.stop()
            for line in daemon.log.read_text(errors="replace").splitlines():
                if FORBIDDEN_IN_LOG.search(line):
                    print_logs_since(cls.box, {})
                    raise AssertionError(f"in the log of a daemon: {line}")

    def run(self, result=None):
        result = result if result is not None else self.defaultTestResult()
        if self.box is None:  # the class is skipped
            return super().run(result)
        bad = len(result.failures) + len(result.errors)
        sizes = log_sizes(self.box)
        super().run(result)
        if len(result.failures) + len(result.errors) > bad:
            print(f"\n=== logs during {self.id()}")
            print_logs_since(self.box, sizes)
        return result

    def refused(self, code, client, *words):
        """The command must fail with this code; returns the text behind it."""
        # redis-py takes "ERR " away from the text.
        with self.assertRaises(redis.RedisError) as caught:
            reply = client.execute_command(*words)
            self.fail(f"{words} was answered {reply!r} instead of -{code}")
        text = str(caught.exception)
        if code != "ERR":
            self.assertEqual(text.split(" ", 1)[0], code, text)
        return text


class BooksCase(Case):
    """A test class whose postings, all together, must leave books without a finding."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.addClassCleanup(cls.check_books)

    @classmethod
    def check_books(cls):
        if findings := cls.box.psql((TOP / "sql" / "invariants.sql").read_text()):
            raise AssertionError(f"sql/invariants.sql finds:\n{findings}")
