"""How a daemon says what is wrong with its parts: cause, since when, and what it does about it, in
INFO, /status.json, /readyz?verbose, /metrics and one line of the log a change."""

import contextlib
import json
import re
import signal
import threading
import unittest
import urllib.error
import urllib.request
from datetime import datetime, timezone

import checker
import harness

PARTS = ("store", "cache", "era", "lease", "backlog")


class Health(harness.Case):
    conf = "[limits]\nrequest-timeout-ms = 3s\n[store]\nstatement-timeout-ms = 300ms\n"

    def setUp(self):
        self.await_all_well()
        self.box.client().execute_command("OPEN", "poor", "USD/2")
        # In its first seconds a daemon does not tell the log what is still on its way.
        harness.wait_for(lambda: self.box.client().info("server")["uptime_in_seconds"] >= 4)
        self.log_size = self.box.daemon.log.stat().st_size

    def fetch(self, path):
        url = f"http://127.0.0.1:{self.box.daemon.http_port}{path}"
        try:
            with urllib.request.urlopen(url, timeout=10) as response:
                return response.read().decode()
        except urllib.error.HTTPError as error:
            return error.read().decode()

    def health(self):
        return json.loads(self.fetch("/status.json"))["health"]

    def await_all_well(self):
        harness.wait_for(lambda: {part["state"] for part in self.health().values()} == {"ok"}, 30,
                         "all parts well")

    @contextlib.contextmanager
    def ill(self, part, state, cause):
        """A block that begins when the part is so: by its end one line of the log has told it,
        perhaps behind one of another state on the way."""
        def lines():
            with open(self.box.daemon.log, encoding="utf-8", errors="replace") as file:
                file.seek(self.log_size)
                return re.findall(rf"event=health part={part} state=(\w+) .*", file.read())

        def seen():
            item = self.health()[part]
            return item["state"] == state and cause in item["cause"] and item
        item = harness.wait_for(seen, 20, f"{part} {state}: {cause}")
        self.assertTrue(item["action"], item)
        self.check_everywhere(part, state)
        yield item
        told = lines()
        self.assertEqual(told[-1:], [state])
        self.assertEqual(len(told), len(set(told)), told)

    def check_everywhere(self, part, state):
        info = self.box.client().info("health")
        self.assertEqual(info[f"health_{part}"], state)
        self.assertGreaterEqual(info[f"health_{part}_since_ms"], 0)
        for what in ("cause", "action"):
            self.assertTrue(info[f"health_{part}_{what}"])
        page = self.fetch("/metrics")
        self.assertIn(f'ballast_health{{part="{part}",state="{state}"}} 1\n', page)
        self.assertIn(f'ballast_health{{part="{part}",state="ok"}} 0\n', page)
        self.assertRegex(self.box.cli("status").stdout, rf"(?m)^health_{part}:{state}$")

    def await_line(self, path, pattern):
        return harness.wait_for(lambda: re.search(pattern, self.fetch(path)), 20, pattern)

    def decided_with(self, kind, since):
        """The health that the last decision of a kind was made with, as `incidents` has it."""
        lines = [json.loads(line) for line in self.box.cli(
            "incidents", "--since", since, "--json").stdout.splitlines()]
        last = [x["health"] for x in lines if x.get("kind") == kind][-1]
        self.assertIn(last.partition(":")[0],
                      {x["health"] for x in lines if x.get("total") == kind})
        return last

    def denied_with(self, pattern):
        client = self.box.client()

        def denied():
            since = datetime.now(timezone.utc).isoformat()
            self.assertEqual(client.execute_command("CANSPEND", "poor", 1)[0], "DENY")
            return re.search(pattern, self.decided_with("deny", since))
        harness.wait_for(denied, 20, f"a denial decided with health {pattern}")

    def test_well(self):
        self.denied_with("^ok$")
        self.assertEqual(tuple(self.health()), PARTS)
        harness.eventually(self.check_metrics_of_the_well)

    def check_metrics_of_the_well(self):
        page = self.fetch("/metrics")
        for part in PARTS:
            self.assertIn(f'ballast_health{{part="{part}",state="ok"}} 1\n', page)
        self.assertIn("ballast_oldest_doubt_seconds 0\n", page)

    def test_cache(self):
        self.box.redis.pause()
        try:
            with self.ill("cache", "degraded", "in time"):
                self.await_line("/readyz?verbose", r"(?m)^cache failed: .*in time "
                                r"\(since \d+\.\d s; connects again; answers from the store\)$")
                self.assertRegex(self.fetch("/readyz?verbose"), r"reads ok\nwrites ok\n")
                self.denied_with("^cache degraded: .*in time")
        finally:
            self.box.redis.resume()
        self.await_all_well()

    def test_store(self):
        self.box.postgres.stop()
        try:
            with self.ill("store", "failed", "Connection refused"):
                self.await_line("/readyz?verbose", r"(?m)^reads failed: worker 0: .*refused "
                                r"\(since \d+\.\d s; connects again; answers mutations UNAVAILABLE")
                harness.wait_for(lambda: self.health()["lease"]["state"] == "degraded")
                harness.wait_for(lambda: self.health()["era"]["state"] == "degraded")
        finally:
            self.box.postgres.start()
        self.await_all_well()

    @harness.level("check")
    def test_a_lease_that_cannot_be_renewed(self):
        with self.box.table_locked("ballast.lease", "share"), \
                self.ill("lease", "degraded", "not renewed"):
            harness.wait_for(lambda: self.box.psql("select clock_timestamp() - told_at > '2.1 s' "
                                                   "from ballast.lease") == "t")
            since = datetime.now(timezone.utc).isoformat()
            # Committed, and not to be shown in time.
            self.refused("UNKNOWN", self.box.client(), "SUSPEND", "poor", "KEY", "suspended")
            self.assertEqual(self.decided_with("suspend", since), "told more than 2 s before: ok")
        self.await_all_well()

    def test_a_store_that_takes_no_writes(self):
        client = self.box.client()
        client.execute_command("OPEN", "alice", "USD/2")
        # As on a full disk: the link is up, and each posting is refused.
        self.box.psql("CREATE FUNCTION ballast.full_disk() RETURNS trigger LANGUAGE plpgsql AS "
                      "$$ BEGIN RAISE EXCEPTION 'no space left' USING ERRCODE = '53100'; END $$;"
                      "CREATE TRIGGER full_disk BEFORE INSERT ON ballast.mutation "
                      "FOR EACH STATEMENT EXECUTE FUNCTION ballast.full_disk()")
        try:
            text = self.refused("UNAVAILABLE", client, "CREDIT", "alice", 1, "KEY", "k1")
            self.assertIn("no space left", text)
            with self.ill("store", "failed", "no writes are taken: no space left"):
                self.await_line("/readyz?verbose", r"(?m)^writes failed: no space left \(since")
                self.assertRegex(self.fetch("/readyz?verbose"), r"(?s)reads ok.*\nready\n")
                self.assertRegex(self.fetch("/readyz/writes"), "no space left")
        finally:
            self.box.psql("DROP FUNCTION ballast.full_disk() CASCADE")
        client.execute_command("CREDIT", "alice", 1, "KEY", "k1")
        self.await_all_well()

    @harness.level("check")
    def test_a_commit_in_doubt(self):
        client = self.box.client()
        client.execute_command("OPEN", "bob", "USD/2")
        pid = self.box.poster()
        harness.send_signal(pid, signal.SIGSTOP)
        poster = threading.Thread(
            target=lambda: self.refused("UNKNOWN", client, "CREDIT", "bob", 1, "KEY", "doubt"))
        poster.start()
        try:
            with self.ill("backlog", "degraded", "1 mutations in doubt, the oldest since"):
                page = self.fetch("/metrics")
                self.assertIn("ballast_mutations_in_doubt 1\n", page)
                self.assertNotIn("ballast_oldest_doubt_seconds 0\n", page)
                self.assertGreaterEqual(self.box.client().info("answers")["commits_in_doubt"], 1)
                poster.join()
        finally:
            harness.send_signal(pid, signal.SIGCONT)
        self.await_all_well()
        harness.wait_for(lambda: client.execute_command("CREDIT", "bob", 1, "KEY", "doubt"))

    def test_where_answers_came_from(self):
        client = self.box.client()
        client.execute_command("OPEN", "carol", "USD/2")
        checker.wait_trusted(self.box)
        before = client.info("answers")
        client.execute_command("BALANCE", "carol", "FRESH")
        harness.wait_for(lambda: harness.record(
            client.execute_command("BALANCE", "carol"))["source"] == "cache")
        after = client.info("answers")
        for source in ("cache", "store"):
            self.assertGreater(after[f"answers_from_{source}"], before[f"answers_from_{source}"])
        self.assertGreater(after["answers_from_store_percent"], 0)

    def test_top(self):
        client = self.box.client()
        client.execute_command("OPEN", "dave", "USD/2")
        stop = threading.Event()

        def load():
            other = self.box.client()
            while not stop.is_set():
                other.get("dave")
        loader = threading.Thread(target=load)
        loader.start()
        try:
            harness.eventually(self.check_top)
        finally:
            stop.set()
            loader.join()
        self.box.daemon.stop()
        self.addCleanup(self.box.daemon.start)
        self.assertIn("ballastd at 127.0.0.1", self.box.cli("top", "--once", expect=69).stderr)

    def check_top(self):
        frame = json.loads(self.box.cli("top", "--once", "--json", "--interval", 300).stdout)
        shown = self.box.cli("top", "--once", "--interval", 300).stdout
        self.assertEqual(frame["schema"], 1)
        self.assertGreater(frame["requests_reads_per_second"], 0)
        self.assertEqual(frame["trust_leases"], 1)
        self.assertEqual([frame[f"health_{part}"] for part in PARTS], ["ok"] * 5)
        self.assertRegex(shown, r"(?m)^health     store ok  cache ok  era ok  lease ok  backlog ok")
        self.assertRegex(shown, r"(?m)^requests   reads [1-9]\d*/s ")
        self.assertNotIn("\033", shown)


if __name__ == "__main__":
    unittest.main()
