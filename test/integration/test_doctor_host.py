"""`ballast doctor` of what the daemon says of itself, of the host, and of clocks and disks: each is
planted. And every check of the table has a test that plants what it is for."""

import contextlib
import os
import re
import shutil
import struct
import subprocess
import tempfile
import threading
import unittest
from pathlib import Path

import fault_proxy
import harness
import resp
from checker import SLOWNESS
from doctor import DoctorCase, between, examine

HOUR = 3600


@harness.level("check")
class Daemon(DoctorCase):
    """A daemon that reaches its servers by ways that can be cut; doctor goes straight to them."""

    conf = ("[limits]\nqueue = 1000\nrequest-timeout-ms = 50000\n"
            "[store]\nstatement-timeout-ms = 40000\nlock-timeout-ms = 30000\n")

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.straight = cls.box.dir / "straight.conf"
        shutil.copy(cls.box.daemon.conf, cls.straight)
        cls.store = cls.enterClassContext(fault_proxy.Proxy(cls.box.postgres.port))
        cls.cache = cls.enterClassContext(fault_proxy.Proxy(cls.box.redis.port))
        cls.box.daemon.stop()
        cls.box.daemon.configure(
            f"[store]\nconninfo = hostaddr=127.0.0.1 port={cls.store.port} user=postgres "
            f"dbname=ballast sslmode=disable\n[cache]\naddress = 127.0.0.1:{cls.cache.port}")
        cls.box.daemon.start()

    def finds(self, *words, **options):
        super().finds(*words, **{"conf": self.straight, **options})

    def test_store_and_cache_away(self):
        self.is_well()
        self.cache.refuse()
        self.cache.cut()
        self.finds("daemon-cache", "fail", "cannot use Redis", "journalctl")
        self.finds("daemon-trust", "warn", "answers from the store", "era")
        self.store.refuse()
        self.store.cut()
        self.finds("daemon-store", "fail", "its store is away", "journalctl")
        self.cache.mend()
        self.store.mend()
        self.is_well()

    def test_what_waits(self):
        clients = [self.enterContext(resp.Connection(self.box.daemon)) for _ in range(12)]
        clients[0].ask("OPEN", "waits", "USD/2")
        with self.box.table_locked("ballast.account"):
            for number, client in enumerate(clients):
                client.send_raw(resp.encode_all(("CREDIT", "waits", 1, "KEY", f"{number}-{n}")
                                                for n in range(60)))
            self.finds("daemon-backlog", "warn", "0 mutations in doubt", "status")
            # The connections of those that wait for the lock are lost: who knows what became of them?
            self.store.refuse()
            self.store.cut()
            harness.wait_for(lambda: re.search(
                "; [1-9][0-9]* mutations in doubt",
                self.examine(self.straight)[0].get("daemon-backlog", {}).get("evidence", "")),
                             what="a doubt")
        self.store.mend()
        replies = [client.read() for client in clients for _ in range(60)]
        self.assertEqual({type(reply) for reply in replies}, {list}, replies)
        self.is_well()

    def test_version(self):
        version = self.box.client().info("server")["ballast_version"].encode()
        other = bytes([version[0] ^ 1]) + version[1:]
        with between(self.box.daemon.port, b"ballast_version:" + version,
                     b"ballast_version:" + other) as port:
            self.finds("daemon-version", "warn", f"ballastd is {other.decode()}",
                       "restart ballastd",
                       conf=self.conf_with(f"[listen]\naddress = 127.0.0.1:{port}"))


@unittest.skipIf(os.getuid() != 0, "only root may put other files over those of /proc and /sys")
class Kernel(unittest.TestCase):
    """Settings of the kernel, as doctor alone sees them: in a mount namespace of its own."""

    def finds(self, path, text, check, result, evidence):
        directory = Path(self.enterContext(tempfile.TemporaryDirectory()))
        conf, planted = directory / "ballast.conf", directory / "planted"
        conf.write_text("[listen]\naddress = 127.0.0.1:1\n[cache]\naddress = 127.0.0.1:1\n"
                        "[store]\nconninfo = hostaddr=127.0.0.1 port=1\n")
        planted.write_text(text)
        over = ["unshare", "-m", "sh", "-c", 'mount --bind "$0" "$1" && shift && exec "$@"',
                str(planted), path]
        if subprocess.run([*over, "true"], check=False, capture_output=True).returncode != 0:
            self.skipTest(f"nothing can be mounted over {path} here")
        line = examine(conf, over)[0][check]
        self.assertEqual((line["result"], line["next"] == ""), (result, result == "ok"), line)
        self.assertIn(evidence, line["evidence"])

    def test_overcommit(self):
        path = "/proc/sys/vm/overcommit_memory"
        self.finds(path, "0\n", "host-overcommit", "warn", "overcommit_memory is 0")
        self.finds(path, "1\n", "host-overcommit", "ok", "overcommit_memory is 1")

    def test_huge_pages(self):
        path = "/sys/kernel/mm/transparent_hugepage/enabled"
        self.finds(path, "[always] madvise never\n", "host-huge-pages", "warn", "always on")
        self.finds(path, "always [madvise] never\n", "host-huge-pages", "ok", "[madvise]")


@harness.level("check")
@unittest.skipIf(SLOWNESS > 1, "a sanitizer wants to be loaded first itself")
class Clock(DoctorCase):
    """Doctor's wall clock is turned, by what test_wall_clock.py turns those of the servers with."""

    def setUp(self):
        shim = self.box.dir / "wall_clock.so"
        source = Path(__file__).with_name("wall_clock.c")
        subprocess.run([os.environ.get("CC", "cc"), "-shared", "-fPIC", "-O2", "-o", shim, source],
                       check=True)
        self.clock = self.box.dir / "doctor.clock"
        self.env = {**os.environ, "LD_PRELOAD": str(shim), "WALL_CLOCK_FILE": str(self.clock)}
        self.turn(0)

    def turn(self, seconds):
        with open(self.clock, "r+b" if self.clock.exists() else "wb") as file:
            file.write(struct.pack("q", seconds))

    def test_postgres_has_another_time(self):
        self.finds("postgres-clock", "ok", "", "", env=self.env)
        for seconds, evidence in ((HOUR, "ms behind ours"), (-HOUR, "ms ahead of ours"),
                                  (3, "ms behind ours")):
            self.turn(seconds)
            self.finds("postgres-clock", "warn", evidence, "clock_timestamp()", env=self.env)

    def test_stepped(self):
        over = threading.Event()

        def step():
            hours = 0
            while not over.wait(0.005):
                hours += 1
                self.turn(hours * HOUR)
        thread = threading.Thread(target=step)
        thread.start()
        try:
            self.finds("host-clock", "warn", "it was stepped", "timedatectl", env=self.env)
        finally:
            over.set()
            thread.join()


@harness.level("check")
@unittest.skipIf(os.getuid() != 0, "only root may mount a small disk")
class Disk(DoctorCase):
    """PostgreSQL's data is on a disk of its own, too small for it; its log of transactions, without
    which it could not go on, is not (fault row 6)."""

    MEGABYTES = 160

    @contextlib.contextmanager
    def data_on_small_disk(self):
        data = self.box.postgres.data.resolve()
        kept = data.with_name(data.name + "-kept")
        self.box.postgres.stop()
        data.rename(kept)
        data.mkdir()
        words = ["mount", "-t", "tmpfs", "-o", f"size={self.MEGABYTES}m", "none", str(data)]
        mounted = subprocess.run(words, check=False, capture_output=True, text=True)
        try:
            if mounted.returncode == 0:
                subprocess.run(f"chown --reference={kept} {data} && chmod 0700 {data} && "
                               f"cd {kept} && find . -mindepth 1 -maxdepth 1 ! -name pg_wal "
                               f"-exec cp -a -t {data} {{}} + && ln -s {kept}/pg_wal {data}/pg_wal",
                               shell=True, check=True)
                self.box.postgres.start()
                yield
                self.box.postgres.stop()
        finally:
            subprocess.run(["umount", "-l", str(data)], check=False, stderr=subprocess.DEVNULL)
            data.rmdir()
            kept.rename(data)
        if mounted.returncode != 0:
            self.skipTest(f"mount: {mounted.stderr.strip()}")

    def test_full(self):
        with self.data_on_small_disk():
            data = self.box.postgres.data
            client = self.enterContext(resp.Connection(self.box.daemon))
            harness.wait_for(lambda: isinstance(client.ask("OPEN", "full", "USD/2"), list), 20,
                             "the store on its new disk")
            self.finds("postgres-disk", "ok", "", "")
            filler = data / "filler"
            left = os.statvfs(data).f_bavail * os.statvfs(data).f_frsize
            self.fill(filler, left - self.MEGABYTES * 1_000_000 // 14)
            self.finds("postgres-disk", "warn", f"are free in {data}", f"df -h {data}")
            self.fill(filler, left)
            self.finds("postgres-disk", "fail", f"are free in {data}", f"df -h {data}")

            # It is full indeed: what needs another page is refused, and reads go on.
            def refused():
                memo = "m" * 200
                replies = client.ask_all(("CREDIT", "full", 1, "KEY", f"{n}-{os.urandom(8).hex()}",
                                          "MEMO", memo) for n in range(200))
                return [r for r in replies if isinstance(r, resp.Failure)]
            failures = harness.wait_for(refused, 20, "a credit without room for it")
            self.assertEqual({failure.code for failure in failures}, {"UNAVAILABLE"})
            self.assertIn("No space left on device", failures[0])
            self.assertRegex(str(client.ask("GET", "full")), r"^\d+$")
            filler.unlink()
            harness.wait_for(lambda: not refused(), 20, "credits again")
            self.is_well()

    @staticmethod
    def fill(path, size):
        with open(path, "wb") as file:
            os.posix_fallocate(file.fileno(), 0, size)


class Table(unittest.TestCase):
    def test_every_check_is_planted(self):
        table = (harness.TOP / "include" / "ops" / "doctor_checks.h").read_text()
        checks = re.findall(r'X\([A-Z]+, "([a-z-]+)"', table)
        self.assertGreater(len(checks), 40)
        tests = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
        # finds("check", ...) or what an exam's line of it was compared with.
        self.assertEqual([check for check in checks
                          if f'"{check}", ' not in tests and f'["{check}"]' not in tests], [])


if __name__ == "__main__":
    unittest.main()
