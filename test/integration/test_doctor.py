"""`ballast doctor`: a healthy sandbox has no fail; each fault of the configuration, of Redis, of
PostgreSQL and of the trust in the cache is planted, and named with its evidence and the next command.
What the daemon, the host and their clocks and disks can have is in test_doctor_host.py."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import tempfile
import threading
import unittest
from pathlib import Path

import fault_proxy
import harness
from doctor import DoctorCase, between, examine


def store_at(port):
    return (f"[store]\nconninfo = hostaddr=127.0.0.1 port={port} user=postgres dbname=ballast "
            "sslmode=disable")


class Servers(DoctorCase):
    """Two daemons that go on through all that happens to Redis, and to their trust in it."""

    daemons = 2

    def setUp(self):
        self.redis = self.box.redis.client()

    @contextlib.contextmanager
    def setting(self, name, value):
        before = self.redis.config_get(name)[name]
        self.redis.config_set(name, value)
        try:
            yield
        finally:
            self.redis.config_set(name, before)

    # --- nothing is wrong ---

    def test_no_fail(self):
        harness.eventually(self.check_no_fail)

    def check_no_fail(self):
        lines, summary = self.examine()
        self.assertEqual(summary["exit"], 0)
        self.assertEqual(summary["ok"] + summary["warn"], len(lines))
        self.assertEqual(len({name.split("-")[0] for name in lines}), 6)  # every section
        for line in lines.values():
            self.assertIn(line["result"], ("ok", "warn"))
            self.assertTrue(line["evidence"])
            self.assertEqual(line["next"] == "", line["result"] == "ok", line)
        self.assertIn("2 leases, all renewed", lines["era-leases"]["evidence"])
        queries = (harness.TOP / "sql" / "invariants.sql").read_text()
        self.assertRegex(lines["postgres-books"]["evidence"],
                         rf"^({len(re.findall(r'(?m)^-- [a-z_]+: ', queries))} queries|.*others)")

    def test_for_people(self):
        self.is_well()
        shown = harness.eventually(lambda: self.box.cli("doctor").stdout)
        self.assertRegex(shown, r"(?m)^ok    redis-role +a master with 0 replicas$")
        self.assertRegex(shown.splitlines()[-1], r"^(ok|warn): \d+ ok, \d+ warn, 0 fail; ")
        self.assertNotIn("\033", shown)
        quiet = harness.eventually(lambda: self.box.cli("doctor", "--quiet").stdout)
        self.assertNotIn("redis-role", quiet)

    # --- Redis ---

    def test_redis_silent(self):
        with self.paused(self.box.redis):
            self.finds("redis-reachable", "fail", "no reply in time", "PING")

    def test_redis_gone(self):
        self.box.redis.stop()
        self.finds("redis-reachable", "fail", "Connection refused", "systemctl status redis")
        self.box.redis.start()
        self.is_well()

    @harness.level("full")
    def test_redis_on_a_bad_way(self):
        with fault_proxy.Proxy(self.box.redis.port) as proxy:
            conf = self.conf_with(f"[cache]\naddress = 127.0.0.1:{proxy.port}")
            proxy.delay(0.06)
            lines, _ = examine(conf)
            self.assertEqual(lines["redis-latency"]["result"], "fail")
            self.assertIn("--latency-history", lines["redis-latency"]["next"])
            proxy.slow(1, "down")
            lines, _ = examine(conf)
            self.assertIn("no reply in time", lines["redis-reachable"]["evidence"])
            proxy.mend()
            proxy.freeze("up")
            lines, _ = examine(conf)
            self.assertIn("no reply in time", lines["redis-reachable"]["evidence"])

    def test_replica(self):
        self.redis.execute_command("REPLICAOF", "127.0.0.1", self.box.redis.port)
        self.finds("redis-role", "fail", "a replica of itself", "REPLICAOF NO ONE")
        self.finds("redis-writable", "fail", "READONLY", "REPLICAOF NO ONE")
        self.redis.execute_command("REPLICAOF", "127.0.0.1", 1)
        self.finds("redis-role", "fail", "a replica of 127.0.0.1:1 (link down)", "127.0.0.1:1")
        with self.setting("replica-serve-stale-data", "no"):
            self.finds("redis-serves", "fail", "MASTERDOWN", "REPLICAOF NO ONE")
        self.redis.execute_command("REPLICAOF", "NO", "ONE")
        self.is_well()

    def test_memory(self):
        with self.setting("maxmemory", "1mb"):
            self.finds("redis-memory", "fail", "of maxmemory 1.0 MB", "CONFIG SET maxmemory ")
            self.finds("redis-eviction", "warn", "noeviction", "maxmemory-policy allkeys-lru")
            with self.setting("maxmemory-policy", "allkeys-lru"):
                self.finds("redis-eviction", "ok", "", "")
                self.finds("redis-memory", "ok", "", "")

    def test_clients(self):
        most = self.redis.info("clients")["connected_clients"] + 2  # one of them for doctor
        with self.setting("maxclients", most):
            self.finds("redis-clients", "warn", f"of {most} clients", "CLIENT LIST")

    def test_version(self):
        version = self.redis.info("server")["redis_version"].encode()
        old = b"5" + version[1:]
        with between(self.box.redis.port, b"redis_version:" + version,
                     b"redis_version:" + old) as port:
            self.finds("redis-version", "fail", old.decode(), "INFO server",
                       conf=self.conf_with(f"[cache]\naddress = 127.0.0.1:{port}"))

    @harness.level("check")
    def test_refused(self):
        with self.setting("min-replicas-to-write", "1"):
            self.finds("redis-writable", "fail", "NOREPLICAS", "min-replicas-to-write")
        in_the_way = self.box.redis.dir / "dump.rdb"
        with self.setting("save", "900 1"):
            in_the_way.mkdir()
            self.redis.set("x", 1)
            self.redis.bgsave()
            self.finds("redis-writable", "fail", "MISCONF", "INFO persistence")
            self.finds("redis-persistence", "fail", "RDB snapshot failed", "BGSAVE")
            in_the_way.rmdir()
            self.redis.bgsave()
            harness.wait_for(
                lambda: self.redis.info("persistence")["rdb_last_bgsave_status"] == "ok")
        in_the_way.unlink()
        self.is_well()

    def test_password(self):
        with self.setting("requirepass", "x"):
            self.finds("redis-reachable", "fail", "NOAUTH", "password-file")
        secret = self.box.dir / "redis.secret"
        secret.write_text("wrong\n")
        secret.chmod(0o600)
        conf = self.conf_with("[cache]\nuser = default\npassword-file = redis.secret")
        self.redis.execute_command("ACL", "SETUSER", "default", ">right", "resetpass", ">right")
        lines, _ = examine(conf)
        self.redis.execute_command("ACL", "SETUSER", "default", "nopass")
        self.assertIn("WRONGPASS", lines["redis-reachable"]["evidence"])

    @harness.level("check")
    def test_settings_and_backlog(self):
        with self.setting("repl-backlog-size", "64kb"), self.setting("appendonly", "yes"):
            self.finds("redis-settings", "warn", "appendonly is 'yes', 'no' after a restart",
                       "CONFIG REWRITE")
            self.finds("redis-settings", "warn", "repl-backlog-size is '65536'", "CONFIG REWRITE")
            self.finds("redis-backlog", "warn", "too small for a partial resync",
                       "CONFIG SET repl-backlog-size")

    @harness.level("check")
    def test_restart_would_empty_replicas(self):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        replica = self.box.dir / "replica"
        replica.mkdir()
        words = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", str(replica),
                 "--save", "", "--replicaof", "127.0.0.1", str(self.box.redis.port)]
        with subprocess.Popen(words, stdout=subprocess.DEVNULL) as server:
            try:
                self.finds("redis-restart", "warn", "empties its 1 replicas", "appendonly yes")
                self.finds("redis-backlog", "warn", "1 replicas: too small", "repl-backlog-size")
                with self.setting("save", "900 1"):
                    self.finds("redis-restart", "ok", "", "")
            finally:
                server.terminate()

    @harness.level("full")
    def test_loading(self):
        conf = self.box.redis.dir / "redis.conf"
        text = conf.read_text()
        for number in range(2000):
            self.redis.set(f"filler:{number}", "x" * 100)
        self.redis.save()
        conf.write_text(text + "key-load-delay 2000\nloading-process-events-interval-bytes 1024\n")
        self.box.redis.stop()
        self.box.redis.spawn(["redis-server", str(conf)], self.box.redis.log)
        self.finds("redis-serves", "fail", "LOADING", "INFO persistence")
        self.box.redis.stop(signal.SIGKILL)
        (self.box.redis.dir / "dump.rdb").unlink()
        conf.write_text(text)
        self.box.redis.start()
        self.is_well()

    # --- trust ---

    def test_switched_off(self):
        self.box.cli("cache", "off")
        self.finds("era-state", "warn", "switched off (cache off by", "cache on")
        self.box.cli("cache", "on")
        self.is_well()

    def test_silent_daemons(self):
        with self.paused(self.box.daemon), self.paused(self.box.daemons[1]):
            self.finds("era-leases", "warn", "was not renewed", "era")
            self.finds("daemon-reachable", "fail", "no reply in time", "journalctl")
        self.is_well()

    def test_without_daemons(self):
        for daemon in self.box.daemons:
            daemon.kill()
        self.finds("daemon-reachable", "warn", "Connection refused", "systemctl status ballastd")
        self.finds("era-leases", "warn", "was not renewed", "era")
        self.box.psql("DELETE FROM ballast.lease")  # they would be watched each time
        stamp = self.redis.get("bal:~era")
        self.redis.set("bal:~era", f"0:{stamp.partition(':')[2]}")
        self.finds("era-stamp", "fail", "rewound", "rebuild")
        self.redis.flushall()
        self.finds("era-stamp", "fail", "empty or was flushed", "rebuild")
        self.box.redis.restart()
        self.finds("era-redis", "fail", "was restarted", "rebuild")
        for daemon in self.box.daemons:
            daemon.start()
        self.is_well()

    def test_what_the_daemon_says(self):
        client = self.box.client()
        client.execute_command("OPEN", "poisoned", "USD/2")

        def poisoned():
            self.redis.set("bal:poisoned", "1000000")
            client.get("poisoned")
            lines, _ = self.examine()
            return lines["daemon-poison"]["result"] == "warn"
        harness.wait_for(poisoned, what="a warning of the poisoned value")


@harness.level("check")
class Postgres(DoctorCase):
    @contextlib.contextmanager
    def setting(self, name, value):
        self.box.psql(f"ALTER SYSTEM SET {name} = '{value}'")
        self.box.psql("SELECT pg_reload_conf()")
        try:
            yield
        finally:
            self.box.psql(f"ALTER SYSTEM RESET {name}")
            self.box.psql("SELECT pg_reload_conf()")

    def test_silent(self):
        with self.paused(self.box.postgres):
            self.finds("postgres-reachable", "fail", "no connection within", "pg_isready")

    def test_gone(self):
        self.box.postgres.stop()
        self.finds("postgres-reachable", "fail", "Connection refused", "systemctl status")
        self.box.postgres.start()
        self.is_well()

    def test_pooler(self):
        """As PgBouncer does, somebody in between makes up the process ids that clients are told."""
        key = rb"(K\0\0\0\x0c).{4}"  # BackendKeyData: process id, secret
        with between(self.box.postgres.port, key, rb"\g<1>\0\0\0\007") as port:
            self.finds("postgres-reachable", "fail", "pooler", "grep -n conninfo",
                       conf=self.conf_with(store_at(port)))

    def test_version(self):
        old = (rb"(\0\0\0\x06)15(\d{4})", rb"\g<1>14\g<2>")  # server_version_num
        with between(self.box.postgres.port, *old) as port:
            self.finds("postgres-version", "fail", "version 14", "pg_upgradecluster",
                       conf=self.conf_with(store_at(port)))

    def test_what_a_commit_is_worth(self):
        self.box.daemon.stop()  # it would wait for the standby
        with self.setting("fsync", "off"):
            self.finds("postgres-fsync", "fail", "fsync is off", "set fsync = on")
        with self.setting("full_page_writes", "off"), self.setting("synchronous_commit", "off"):
            self.finds("postgres-full-page-writes", "warn", "torn pages", "full_page_writes = on")
            self.finds("postgres-synchronous-commit", "warn", "is off", "synchronous_commit = on")
        with self.setting("default_transaction_read_only", "on"):
            self.finds("postgres-writable", "fail", "read-only", "default_transaction_read_only")
            # What puts it back has to write.
            os.environ["PGOPTIONS"] = "-c default_transaction_read_only=off"
        del os.environ["PGOPTIONS"]
        with self.setting("synchronous_standby_names", "nobody"):
            self.finds("postgres-standbys", "fail", "'nobody'", "pg_stat_replication")
        self.box.daemon.start()
        self.is_well()

    def test_locks(self):
        with self.box.table_locked("ballast.account"):
            self.finds("postgres-locks", "fail", "holds ExclusiveLock on ballast.account",
                       "pg_terminate_backend")
        client = self.box.client()
        client.execute_command("OPEN", "locked", "USD/2")
        row = "SELECT FROM ballast.account WHERE account_id = 'locked' FOR UPDATE"
        waiting = threading.Thread(target=self.box.psql, args=(row,))
        with self.box.transaction(row):
            waiting.start()
            self.finds("postgres-locks", "fail", "1 sessions wait for it", "pg_terminate_backend")
        waiting.join()

    def test_schema(self):
        # The daemons must not meet it: they would end, or fence.
        self.box.daemon.stop()
        newest = self.box.psql("SELECT max(version) FROM ballast.migration")
        self.box.psql("INSERT INTO ballast.migration VALUES (999, 'of tomorrow')")
        self.finds("postgres-schema", "fail", "newer (version 999)", "install the newer program")
        self.box.psql("DELETE FROM ballast.migration WHERE version = 999")
        self.box.psql(f"UPDATE ballast.migration SET version = 0 WHERE version = {newest}")
        self.finds("postgres-schema", "fail", "older", "migrate")
        self.box.psql(f"UPDATE ballast.migration SET version = {newest} WHERE version = 0")
        self.box.psql("ALTER SCHEMA ballast RENAME TO gone")
        self.finds("postgres-schema", "fail", "no schema ballast", "migrate")
        self.box.psql("ALTER SCHEMA gone RENAME TO ballast")
        self.box.daemon.start()
        self.is_well()

    def test_privileges(self):
        self.box.psql("CREATE ROLE app LOGIN")
        conf = self.conf_with(f"[store]\nconninfo = hostaddr=127.0.0.1 "
                              f"port={self.box.postgres.port} user=app dbname=ballast")
        self.finds("postgres-schema", "fail", "permission denied", "grant ballast_daemon",
                   conf=conf)
        self.box.psql("GRANT ballast_daemon TO app")
        self.is_well(conf)
        self.box.psql("REVOKE EXECUTE ON FUNCTION ballast.era_read() FROM ballast_daemon")
        try:
            self.finds("postgres-privileges", "fail", "may not call ballast.era_read", "",
                       conf=conf)
        finally:
            self.box.psql("GRANT EXECUTE ON FUNCTION ballast.era_read() TO ballast_daemon")

    def test_timeline(self):
        self.box.psql("UPDATE ballast.era SET accepted = '00000000'")
        self.finds("postgres-timeline", "fail", "accepted is 00000000", "accept-timeline")
        self.box.cli("accept-timeline")
        self.is_well()

    def test_books(self):
        self.box.client().execute_command("OPEN", "cooked", "USD/2")
        edit = ("SET session_replication_role = replica;"
                "UPDATE ballast.account SET balance = {} WHERE account_id = 'cooked'")
        self.box.psql(edit.format(7))
        self.finds("postgres-books", "fail", "cooked", "reconcile")
        self.box.psql(edit.format(0))

    @harness.level("full")
    def test_connections(self):
        conf = self.box.postgres.data / "postgresql.conf"
        text = conf.read_text()
        conf.write_text(text + "\nmax_connections = 8\nsuperuser_reserved_connections = 4\n")
        self.box.postgres.restart("fast")
        harness.wait_for(lambda: self.box.client().execute_command("OPEN", "c", "USD/2"))
        self.finds("postgres-connections", "fail", "of 4 connections are taken", "pg_stat_activity")
        with contextlib.ExitStack() as stack:
            def full():
                stack.enter_context(self.box.transaction("SELECT 1"))
            with self.assertRaises(AssertionError):
                for _ in range(9):
                    full()
            self.finds("postgres-reachable", "fail", "too many clients", "pg_stat_activity")
        conf.write_text(text)
        self.box.postgres.restart("fast")
        self.is_well()

    def test_standby(self):
        self.box.postgres.stop()
        mark = self.box.postgres.data / "standby.signal"
        mark.touch()
        self.box.postgres.start()
        self.finds("postgres-role", "fail", "a standby", "pg_ctl promote")
        self.box.postgres.stop()
        mark.unlink()
        self.box.postgres.start()
        self.is_well()


class Config(unittest.TestCase):
    """Nothing is there: the configuration is looked at all the same."""

    def setUp(self):
        self.dir = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.conf = self.dir / "ballast.conf"

    def examine(self, text):
        self.conf.write_text("[listen]\naddress = 127.0.0.1:1\n[cache]\naddress = 127.0.0.1:1\n"
                             "[store]\nconninfo = hostaddr=127.0.0.1 port=1\n" + text)
        return examine(self.conf)

    def test_nothing_runs(self):
        lines, summary = self.examine("")
        self.assertEqual(summary["exit"], 2)
        for check, result in (("config-file", "ok"), ("config-secrets", "ok"),
                              ("redis-reachable", "fail"), ("postgres-reachable", "fail"),
                              ("daemon-reachable", "warn")):
            self.assertEqual(lines[check]["result"], result, lines[check])

    def test_a_bad_file(self):
        lines, summary = self.examine("[cache]\nleese-ms = 1000\n")
        self.assertEqual(summary["exit"], 2)
        self.assertEqual(lines["config-file"]["result"], "fail")
        self.assertIn("ballast.conf:8: unknown option 'leese-ms'", lines["config-file"]["evidence"])
        self.assertIn("--check-config", lines["config-file"]["next"])
        self.assertNotIn("redis-reachable", lines)  # the defaults are somebody else's servers

    def test_secrets(self):
        secret = self.dir / "secret"
        secret.write_text("x\n")
        secret.chmod(0o644)
        lines, _ = self.examine("[store]\npassword-file = secret\n")
        self.assertEqual(lines["config-secrets"]["result"], "fail")
        self.assertIn("mode 0644", lines["config-secrets"]["evidence"])
        self.assertIn(f"chmod o-rwx,g-w {secret}", lines["config-secrets"]["next"])
        secret.chmod(0o640)
        lines, _ = self.examine("[store]\npassword-file = secret\n")
        self.assertEqual(lines["config-secrets"]["result"], "ok")
        self.conf.chmod(0o644)
        lines, _ = self.examine("[store]\nconninfo = hostaddr=127.0.0.1 password=x\n")
        self.assertEqual(lines["config-secrets"]["result"], "fail")

    def test_values(self):
        for text, check, evidence in (
                ("[store]\nconninfo = host=localhost port=1\n", "config-store", "localhost"),
                ("[listen]\nunix = /tmp/b.sock\nunix-mode = 0777\n", "config-listen", "0777"),
                ("[store]\nstatement-timeout-ms = 9s\n", "config-timeouts", "request-timeout-ms"),
                ("[limits]\nclients = 1000000\n", "host-descriptors", "want 1000"),
                ("[listen]\nbacklog = 65535\n", "host-backlog", "backlog = 65535")):
            lines, _ = self.examine(text)
            self.assertIn(lines[check]["result"], ("warn", "fail"), lines[check])
            self.assertIn(evidence, lines[check]["evidence"])


if __name__ == "__main__":
    unittest.main()
