"""Fuses, the log of decisions, and the subcommands about them: fuse, incidents, sweep."""

import json
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone

import checker
import harness
import resp

SUSPENSIONS, CHARGES = 5, 3


class Fuses(resp.MutationCase):
    daemons = 2
    conf = harness.STEADY + f"[fuses]\ncharges = {CHARGES}\nsuspensions = {SUSPENSIONS}\n"

    def setUp(self):
        super().setUp()
        for fuse in ("charges", "suspensions"):
            self.box.cli("fuse", "reset", fuse, "--reason", "a clean start", "--quiet")
        self.since = datetime.now(timezone.utc).isoformat()
        self.open_all(self._testMethodName.replace("_", "-"), 8)

    def open_all(self, prefix, count):
        self.accounts = [f"{prefix}-{n}" for n in range(count)]
        for account in self.accounts:
            self.open(account)

    def lines(self, *words, expect=0):
        out = self.box.cli(*words, "--json", expect=expect).stdout
        return [json.loads(line) for line in out.splitlines()]

    def incidents(self):
        lines = self.lines("incidents", "--since", self.since)
        return ([x for x in lines if "decision" in x], [x for x in lines if "total" in x],
                lines[-1])

    def await_doctor(self, check, expected):
        """Until it finds this: the result, and words of the evidence and of what is next."""
        def finds():
            line = {x.get("check"): x for x in self.lines("doctor", expect=None)}.get(check)
            return line and line["result"] == expected[0] and expected[1] in line["evidence"] and (
                expected[2] in line["next"])
        harness.wait_for(finds, what=f"{check} {expected}")

    def blow_suspensions(self):
        for n, account in enumerate(self.accounts[:SUSPENSIONS]):
            self.done("SUSPEND", account, "KEY", f"{account}/s{n}")
        self.refused("FUSE", "SUSPEND", self.accounts[-1], "KEY", f"{self.accounts[-1]}/s",
                     parts=["suspensions", "ballast fuse"])

    def age_the_charges(self):
        self.box.cli("fuse", "reset", "charges", "--reason", "one more", "--quiet")
        self.done("CHARGE", "BEGIN", self.accounts[0], 1, "KEY", "aged", "THRESHOLD", 10**6)
        self.box.psql("set session_replication_role = replica; update ballast.charge set "
                      "begun_at = begun_at - interval '2 hours' where state = 'begun'")

    def test_suspensions(self):
        self.blow_suspensions()
        # On every daemon, and said everywhere; but what is no suspension goes on.
        with resp.Connection(self.box.daemons[1], 3) as other:
            self.assert_failure(other.ask("SUSPEND", self.accounts[-1], "KEY", "other"), "FUSE")
        last = self.accounts[-1]
        self.assertEqual(self.done("SUSPEND", last, "KEY", f"{last}/if", "IFBELOW")["changed"], 0)
        self.assertEqual(self.done("RESUME", self.accounts[0], "KEY", f"{last}/r")["changed"], 1)
        self.done("CHARGE", "BEGIN", last, 1, "KEY", f"{last}/c", "THRESHOLD", 1)
        for daemon in self.box.daemons:
            harness.wait_for(lambda d=daemon: checker.metrics_of(d).get(
                'fuse_blown{fuse="suspensions"}') == 1, what="the metric")
            harness.wait_for(lambda d=daemon: "fuse-blown fuse=suspensions" in d.log.read_text(),
                             what="the line in the log")
        self.assertIn("suspensions", self.box.cli("fuse").stdout)
        self.assertIn("fuse_suspensions:blown", self.box.cli("status").stdout)
        self.await_doctor("postgres-fuses", ("fail", "suspensions", "fuse reset suspensions"))
        states = {x["fuse"]: x for x in self.lines("fuse")[:-1]}
        self.assertEqual((states["suspensions"]["state"], states["suspensions"]["counted"],
                          states["suspensions"]["allowed"], states["charges"]["state"]),
                         ("blown", SUSPENSIONS, SUSPENSIONS, "whole"))

        self.box.cli("fuse", "reset", "suspensions", expect=64)
        self.box.cli("fuse", "reset", "nothing", "--reason", "x", expect=64)
        self.box.cli("fuse", "mend", "suspensions", "--reason", "x", expect=64)
        self.refused("FUSE", "SUSPEND", last, "KEY", f"{last}/s")
        self.assertIn("was blown", self.box.cli("fuse", "reset", "suspensions", "--reason",
                                                "looked at it").stderr)
        self.assertEqual(self.done("SUSPEND", last, "KEY", f"{last}/s")["changed"], 1)
        details = [x["detail"] for x in self.incidents()[0] if x["kind"] == "fuse"]
        self.assertEqual(len(details), 2, details)
        self.assertIn("blown: more than 5", details[0])
        self.assertRegex(details[1], r"reset by \S+@\S+, was blown: looked at it")

    def test_charges(self):
        words = [("CHARGE", "BEGIN", account, 100, "KEY", f"{account}/c", "THRESHOLD", 1)
                 for account in self.accounts]
        replies = self.at_once(words)
        begun = [r for r in replies if not isinstance(r, resp.Failure)]
        self.assertEqual(len(begun), CHARGES, replies)
        self.assertEqual({r.code for r in replies if isinstance(r, resp.Failure)}, {"FUSE"})
        # A blown fuse keeps no charge from being settled, and none is begun again by its key.
        for record in map(harness.record, begun):
            self.done("CHARGE", "SETTLE", record["charge"], "SUCCEEDED", "KEY",
                      f"{record['account']}/s")
        self.assertEqual(self.box.psql(
            "select count(*), sum(amount) from ballast.transfer where kind = 'settle' and "
            "key ~ 'test-charges'"), f"{CHARGES}|{CHARGES * 100}")
        decisions, totals, summary = self.incidents()
        self.assertEqual(summary["count"], len(decisions))
        charges = [x for x in decisions if x["kind"] == "charge"]
        self.assertEqual({(x["balance"], x["floor"], x["version"], x["detail"], x["era_state"])
                          for x in charges}, {("0", "0", "1", "threshold 1", "open")})
        self.assertEqual({x["account"] for x in charges}, {harness.record(r)["account"]
                                                           for r in begun})
        total = [x for x in totals if x["total"] == "charge"]
        self.assertEqual(sum(x["decisions"] for x in total), CHARGES)
        # Before and after the window there is nothing.
        self.assertEqual(self.lines("incidents", "--since", "2013-07-18T00:00:00Z", "--until",
                                    "2013-07-19T00:00:00Z"), [{"schema": 1, "count": 0}])
        self.assertIn(f"{summary['count']} decisions",
                      self.box.cli("incidents", "--since", self.since).stdout)
        self.box.cli("incidents", expect=64)
        self.box.cli("incidents", "--since", "yesterday", expect=64)
        # The record is in the order in which it was decided.
        self.assertEqual([x["kind"] for x in decisions][:CHARGES + 1],
                         ["charge"] * CHARGES + ["fuse"])

    def test_other_limits_by_a_reload(self):
        def reload(charges, suspensions):
            for daemon in self.box.daemons:
                daemon.configure(f"[fuses]\ncharges = {charges}\nsuspensions = {suspensions}")
                daemon.send(signal.SIGHUP)
                wanted = {"fuses.charges": str(charges), "fuses.suspensions": str(suspensions)}
                harness.wait_for(lambda c=daemon.client(): c.config_get("fuses.*") | wanted ==
                                 c.config_get("fuses.*"), what="the reload")
        self.addCleanup(reload, CHARGES, SUSPENSIONS)
        # Links that have decided already take the limits over: fewer of the one, more of the other.
        first, *others = self.accounts
        self.done("SUSPEND", first, "KEY", f"{first}/s")
        reload(CHARGES + 2, 2)
        with resp.Connection(self.box.daemons[1], 3) as other:
            self.assertEqual(harness.record(other.ask("SUSPEND", others[0], "KEY", "r/s0"))[
                "changed"], 1)
            self.assert_failure(other.ask("SUSPEND", others[1], "KEY", "r/s1"), "FUSE")
        begin = [("CHARGE", "BEGIN", account, 1, "KEY", f"{account}/c", "THRESHOLD", 1)
                 for account in self.accounts]
        for words in begin[:CHARGES + 2]:
            self.done(*words)
        self.refused("FUSE", *begin[CHARGES + 2])
        states = {x["fuse"]: (x["counted"], x["allowed"]) for x in self.lines("fuse")[:-1]}
        self.assertEqual(states, {"charges": (CHARGES + 2, CHARGES + 2), "suspensions": (2, 2)})

    def test_a_charge_that_nobody_settles(self):
        self.age_the_charges()
        self.await_doctor("postgres-charges", ("warn", "", "charge list"))
        harness.wait_for(lambda: checker.metrics_of(self.box.daemon)[
            "charge_open_oldest_seconds"] > 7000, what="the age of the oldest open charge")

    def test_sweep(self):
        for account in self.accounts[:3]:
            self.done("SETFLOOR", account, 1, "KEY", f"{account}/f")
        self.assertEqual(
            [(x["account"], x["suspended"]) for x in self.lines("sweep", "--dry-run")[:-1]],
            [(account, False) for account in self.accounts[:3]])
        lines = self.lines("sweep")
        self.assertEqual([(x["account"], x["suspended"]) for x in lines[:-1]],
                         [(account, True) for account in self.accounts[:3]])
        self.assertEqual((lines[-1]["below"], lines[-1]["suspended"], lines[-1]["whole"]),
                         (3, 3, True))
        for daemon in self.box.daemons:
            with resp.Connection(daemon, 3) as client:
                self.assertEqual(client.ask("BALANCE", self.accounts[0])["status"], "suspended")
        self.assertIn("0 below", self.box.cli("sweep").stdout)
        # The fuse ends it; what was suspended stays, and after a reset it goes on.
        for account in self.accounts[3:]:
            self.done("SETFLOOR", account, 1, "KEY", f"{account}/f")
        lines = self.lines("sweep", expect=1)
        self.assertEqual([x.get("error") for x in lines if "error" in x], ["FUSE"])
        self.assertEqual((lines[-1]["suspended"], lines[-1]["whole"]), (SUSPENSIONS - 3, False))
        self.box.cli("fuse", "reset", "suspensions", "--reason", "meant it", "--quiet")
        self.assertEqual(self.lines("sweep")[-1]["suspended"], 3)

    def await_suspension(self):
        harness.wait_for(lambda: self.box.psql(
            "select count(*) > 0 from pg_stat_activity where wait_event_type = 'Lock' "
            "and query like '%post_batch%'") == "t", what="the suspension that waits")

    def test_sweep_is_decided_by_the_store(self):
        """Money comes between the sweep's look and its suspension: the store has the last word."""
        account = self.accounts[0]
        self.done("SETFLOOR", account, 1, "KEY", f"{account}/f")
        with ThreadPoolExecutor() as pool:
            with self.box.transaction(
                    f"select ballast.post('{account}/1', '@world', '{account}', 5)", end="commit"):
                sweep = pool.submit(self.lines, "sweep")
                self.await_suspension()
            lines = sweep.result()
        self.assertEqual([(x["account"], x["suspended"]) for x in lines[:-1]], [(account, False)])
        self.assertEqual(self.three.ask("BALANCE", account, "FRESH")["status"], "active")

    def test_sweep_interrupted(self):
        """SIGTERM while it waits for an answer that comes: no later page is looked at."""
        account = self.accounts[0]
        self.done("SETFLOOR", account, 1, "KEY", f"{account}/f")
        with self.box.transaction(f"select ballast.post('{account}/1', '@world', '{account}', 5)"):
            sweep = subprocess.Popen([*harness.launcher(), str(harness.BUILD / "ballast"), "-c",
                                      self.box.env["BALLAST_CONF"], "sweep", "--json"],
                                     stdout=subprocess.PIPE, text=True)
            self.addCleanup(sweep.kill)
            self.await_suspension()
            sweep.terminate()
        out, _ = sweep.communicate(timeout=20)
        self.assertEqual(sweep.returncode, 1)
        summary = json.loads(out.splitlines()[-1])
        self.assertEqual((summary["suspended"], summary["whole"]), (1, False))

    def test_subcommands_of_the_protocol(self):
        account = self.accounts[0]
        self.box.cli("credit", account, 100, "KEY", f"{account}/1")
        held = json.loads(self.box.cli("hold", account, 60, "KEY", f"{account}/2", "TTL", 60,
                                       "--json").stdout)
        self.assertEqual(held["available"], "40")
        allowed = json.loads(self.box.cli("canspend", account, 40, "--json").stdout)
        self.assertEqual((allowed["answer"], allowed["available"]), ("ALLOW", "40"))
        self.assertIn("DENY", self.box.cli("canspend", account, 41, expect=1).stdout)
        self.box.cli("capture", held["hold"], 10, "KEY", f"{account}/3")
        second = json.loads(self.box.cli("hold", account, 90, "KEY", f"{account}/4",
                                         "--json").stdout)
        self.assertIn("90", self.box.cli("release", second["hold"], "KEY", f"{account}/5").stdout)
        charge = json.loads(self.box.cli("charge", "begin", account, 7, "KEY", f"{account}/6",
                                         "THRESHOLD", 91, "--json").stdout)["charge"]
        self.assertIn(charge, self.box.cli("charge", "list", account).stdout)
        self.box.cli("charge", "settle", charge, "succeeded", "KEY", f"{account}/7")
        self.assertIn("suspended", self.box.cli("suspend", account, "KEY", f"{account}/8").stdout)
        self.box.cli("suspend", account, "KEY", f"{account}/9", "IFBELOW")
        self.assertIn("active", self.box.cli("resume", account, "KEY", f"{account}/10").stdout)
        self.assertEqual(self.state(account), ("97", "9"))
