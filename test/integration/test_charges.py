"""CHARGE, SUSPEND, RESUME: what is decided against a customer is decided by the store, once, with the
record of it. The books are checked over everything that the tests have left (harness.BooksCase)."""

import checker
import harness
import resp

BEGIN = ["charge", "account", "amount", "state", "version", "duplicate"]
SETTLE = ["charge", "state", "account", "balance", "available", "version", "duplicate"]
LIST = ["charge", "account", "amount", "state", "begun"]
SETTING = ["account", "status", "floor", "available", "version", "changed", "duplicate"]


class Charges(resp.MutationCase):
    daemons = 2

    def begin(self, account, amount, key, threshold):
        return self.done("CHARGE", "BEGIN", account, amount, "KEY", key, "THRESHOLD", threshold)

    def evidence(self, account):
        return self.box.psql("select kind, key, amount, balance, held, floor, version, detail from "
                             f"ballast.decision where account_id = '{account}' order by decision")

    # --- charges ---

    def test_a_charge(self):
        self.open("ann", 100)
        self.refused("NOTDUE", "CHARGE", "BEGIN", "ann", 500, "KEY", "ann-1")
        self.refused("NOTDUE", "CHARGE", "BEGIN", "ann", 500, "KEY", "ann-1", "THRESHOLD", 100,
                     parts=["available 100"])
        begun = self.begin("ann", 500, "ann-2", 101)
        self.assertEqual(list(begun), BEGIN)
        self.assertEqual({**begun, "charge": ""}, {
            "charge": "", "account": "ann", "amount": "500", "state": "begun", "version": "2",
            "duplicate": 0})
        charge = begun["charge"]
        self.refused("OPENCHARGE", "CHARGE", "BEGIN", "ann", 500, "KEY", "ann-3", "THRESHOLD", 101,
                     parts=[charge])
        self.done("DEBIT", "ann", 100, "KEY", "ann-4")
        self.refused("OPENCHARGE", "CLOSE", "ann", "KEY", "ann-5")
        listed = self.three.ask("CHARGE", "LIST", "ann")
        self.assertEqual([list(row) for row in listed], [LIST])
        self.assertEqual((listed[0]["charge"], listed[0]["state"]), (charge, "begun"))
        self.assertEqual(self.connection.ask("CHARGE", "LIST", "ann")[0][::2], LIST)

        unknown = self.done("CHARGE", "SETTLE", charge, "unknown", "KEY", "ann-6")
        self.assertEqual(list(unknown), SETTLE)
        self.assertEqual((unknown["state"], unknown["balance"], unknown["version"]),
                         ("unknown", "0", "3"))
        self.assertEqual(self.three.ask("CHARGE", "LIST")[0]["state"], "unknown")
        paid = self.done("CHARGE", "SETTLE", charge, "SUCCEEDED", "KEY", "ann-7")
        self.assertEqual({**paid}, {
            "charge": charge, "state": "succeeded", "account": "ann", "balance": "500",
            "available": "500", "version": "4", "duplicate": 0})
        self.done("DEBIT", "ann", 500, "KEY", "ann-8")
        # The processor answers twice, late, and otherwise: under the same key and under another.
        for key in ("ann-7", "ann-9"):
            self.assertEqual(self.three.ask("CHARGE", "SETTLE", charge, "SUCCEEDED", "KEY", key),
                             {**paid, "duplicate": 1})
        self.refused("SETTLED", "CHARGE", "SETTLE", charge, "FAILED", "KEY", "ann-10")
        self.refused("SETTLED", "CHARGE", "SETTLE", charge, "UNKNOWN", "KEY", "ann-10")
        self.assertEqual(self.state("ann"), ("0", "5"))
        self.assertEqual(self.three.ask("CHARGE", "LIST", "ann"), [])
        self.assertEqual(self.evidence("ann"), "\n".join([
            "charge|ann-2|500|100|0|0|2|threshold 101", "settle|ann-6|500|0|0|0|3|unknown",
            "settle|ann-7|500|0|0|0|3|succeeded"]))

        failed = self.begin("ann", 5, "ann-11", 1)["charge"]
        reply = self.done("CHARGE", "SETTLE", failed, "FAILED", "KEY", "ann-12")
        self.assertEqual((reply["state"], reply["balance"], reply["version"]), ("failed", "0", "5"))
        self.refused("SETTLED", "CHARGE", "SETTLE", failed, "SUCCEEDED", "KEY", "ann-13")
        self.assertEqual(self.state("ann"), ("0", "5"))
        # Where the account owes, it is due without a word.
        self.open("owes", floor=-10)
        self.done("DEBIT", "owes", 1, "KEY", "owes-1")
        self.assertEqual(
            self.done("CHARGE", "BEGIN", "owes", 1, "KEY", "owes-2")["state"], "begun")

    def test_words(self):
        self.open("words")
        for words in (("BEGIN", "words", 1), ("BEGIN", "words", 0, "KEY", "w"),
                      ("BEGIN", "@world", 1, "KEY", "w"),
                      ("BEGIN", "words", 1, "KEY", "w", "THRESHOLD", "x"),
                      ("SETTLE", 1, "MAYBE", "KEY", "w"), ("SETTLE", 0, "FAILED", "KEY", "w"),
                      ("SETTLE", "x", "FAILED", "KEY", "w")):
            self.refused("ERR", "CHARGE", *words)
        for words in (("NOW",), (), ("LIST", "a b"), ("LIST", "@world"), ("LIST", "a", "b")):
            self.assert_failure(self.three.ask("CHARGE", *words), "ERR")
        self.refused("NOCHARGE", "CHARGE", "SETTLE", 2**62, "FAILED", "KEY", "w")
        self.refused("NOACCOUNT", "CHARGE", "BEGIN", "nobody", 1, "KEY", "w")
        self.assertEqual(self.three.ask("CHARGE", "LIST", "nobody"), [])
        self.assertIn("BEGIN", "".join(self.three.ask("CHARGE", "HELP")))

    def test_forty_begin_and_one_wins(self):
        self.open("forty")
        replies = self.at_once(("CHARGE", "BEGIN", "forty", 500, "KEY", f"forty-{n}", "THRESHOLD",
                                1) for n in range(40))
        won = [r for r in replies if not isinstance(r, resp.Failure)]
        self.assertEqual(len(won), 1, replies)
        self.assertEqual({r.code for r in replies if isinstance(r, resp.Failure)}, {"OPENCHARGE"})
        charge = harness.record(won[0])["charge"]
        # The processor answered everybody who asked, some of them wrongly: money comes once.
        replies = self.at_once(("CHARGE", "SETTLE", charge, ("SUCCEEDED", "UNKNOWN")[n % 2], "KEY",
                                f"forty-s{n}") for n in range(12))
        self.assertEqual(self.state("forty"), ("500", "2"))
        refused = {r.code for r in replies if isinstance(r, resp.Failure)}
        self.assertLessEqual(refused, {"SETTLED"})
        self.refused("NOTDUE", "CHARGE", "BEGIN", "forty", 500, "KEY", "forty-x", "THRESHOLD", 1)

    def test_the_same_keys_on_both_daemons(self):
        other = resp.Connection(self.box.daemons[1], 3)
        self.addCleanup(other.close)
        self.open("both")

        def on_both(*words):
            self.three.send(*words)
            other.send(*words)
            replies = self.three.read(), other.read()
            self.assertEqual({r["duplicate"] for r in replies}, {0, 1}, replies)
            self.assertEqual({**replies[0], "duplicate": 0}, {**replies[1], "duplicate": 0})
            return replies[0]
        for turn in range(5):
            charge = on_both("CHARGE", "BEGIN", "both", 7, "KEY", f"both-{turn}", "THRESHOLD",
                             100)["charge"]
            on_both("CHARGE", "SETTLE", charge, "SUCCEEDED", "KEY", f"both-s{turn}")
            on_both("SUSPEND", "both", "KEY", f"both-x{turn}")
            on_both("RESUME", "both", "KEY", f"both-y{turn}")
        self.assertEqual(self.state("both"), ("35", "16"))

    # --- suspensions ---

    def test_suspend_and_resume(self):
        self.open("sus", 100)
        first = self.done("SUSPEND", "sus", "KEY", "sus-1", "IFBELOW")
        self.assertEqual(list(first), SETTING)
        self.assertEqual(first, {"account": "sus", "status": "active", "floor": "0",
                                 "available": "100", "version": "2", "changed": 0, "duplicate": 0})
        self.done("SETFLOOR", "sus", 101, "KEY", "sus-2")
        below = self.done("SUSPEND", "sus", "KEY", "sus-3", "IFBELOW")
        self.assertEqual((below["status"], below["changed"], below["version"]),
                         ("suspended", 1, "4"))
        self.refused("KEYREUSED", "SUSPEND", "sus", "KEY", "sus-3")
        again = self.done("SUSPEND", "sus", "KEY", "sus-4")
        self.assertEqual((again["changed"], again["version"]), (0, "4"))
        self.done("SETFLOOR", "sus", 0, "KEY", "sus-5")
        self.open("sus-to")
        for words in (("DEBIT", "sus", 1), ("HOLD", "sus", 1), ("TRANSFER", "sus", "sus-to", 1)):
            self.refused("SUSPENDED", *words, "KEY", "sus-6")
        self.assertEqual(self.done("CREDIT", "sus", 5, "KEY", "sus-7")["balance"], "105")
        harness.wait_for(lambda: self.three.ask("BALANCE", "sus")["source"] == "cache",
                         what="a cached value")
        self.assertEqual(self.three.ask("BALANCE", "sus")["status"], "suspended")
        self.assertEqual(self.three.ask("CANSPEND", "sus", 1)[:2], ["DENY", "SUSPENDED"])
        resumed = self.done("RESUME", "sus", "KEY", "sus-8")
        self.assertEqual((resumed["status"], resumed["changed"]), ("active", 1))
        self.assertEqual(self.done("RESUME", "sus", "KEY", "sus-9")["changed"], 0)
        self.done("DEBIT", "sus", 105, "KEY", "sus-10")
        self.done("CLOSE", "sus", "KEY", "sus-11")
        for kind in ("SUSPEND", "RESUME", "CHARGE BEGIN"):
            words = (*kind.split(), "sus") + ((1,) if "CHARGE" in kind else ())
            self.refused("CLOSED", *words, "KEY", "sus-12")
        for words in (("SUSPEND", "@world", "KEY", "w"), ("SUSPEND", "sus"),
                      ("SUSPEND", "sus", "KEY", "w", "IFBELOW", "x"),
                      ("RESUME", "sus", "KEY", "w", "IFBELOW")):
            self.refused("ERR", *words)
        self.refused("NOACCOUNT", "SUSPEND", "nobody", "KEY", "w")
        self.assertEqual(self.evidence("sus").partition("\n")[0],
                         "suspend|sus-3||100|0|101|3|ifbelow")

    def await_both(self):
        for number in (1, 2):
            checker.wait_trusted(self.box, daemon=number)

    def test_nothing_is_decided_without_the_store(self):
        self.open("away", 5)
        for words in (("BALANCE", "away"), ("CANSPEND", "away", 5)):
            harness.wait_for(lambda w=words: "cache" in str(self.three.ask(*w)), 20, "a cached value")
        before = self.box.psql("select count(*) from ballast.decision")
        self.addCleanup(self.await_both)
        self.box.postgres.stop("immediate")
        try:
            harness.wait_for(lambda: self.three.ask("CANSPEND", "away", 6)[0] == "UNKNOWN", 20,
                             "that the store is away")
            # Once the lease is over, not even an allowance may come from the cache.
            reply = harness.wait_for(
                lambda: self.three.ask("CANSPEND", "away", 5)[0] == "UNKNOWN" and
                self.three.ask("CANSPEND", "away", 5), 20, "UNKNOWN")
            self.assertEqual(reply, ["UNKNOWN", "UNAVAILABLE", "5", "2", "cache"])
            self.assertEqual(self.three.ask("CANSPEND", "never-seen", 5),
                             ["UNKNOWN", "UNAVAILABLE", None, None, None])
            for words in (("SUSPEND", "away", "KEY", "away-1"), ("HOLD", "away", 1, "KEY", "away-1"),
                          ("CHARGE", "BEGIN", "away", 1, "KEY", "away-1", "THRESHOLD", 9)):
                self.assert_failure(self.three.ask(*words), "UNAVAILABLE", "nothing was applied")
            self.assert_failure(self.three.ask("CHARGE", "LIST"), "UNAVAILABLE")
        finally:
            self.box.postgres.start()
        harness.wait_for(lambda: self.three.ask("CANSPEND", "away", 5)[0] == "ALLOW",
                         30 * checker.SLOWNESS, "the store back")
        self.assertEqual(self.box.psql("select count(*) from ballast.decision"), before)
        # The keys were not used up.
        harness.wait_for(lambda: isinstance(self.three.ask("SUSPEND", "away", "KEY", "away-1"),
                                            dict), 30 * checker.SLOWNESS, "a suspension")

    @harness.level("check")
    def test_a_daemon_is_killed_while_it_decides(self):
        """Whatever was answered stands, and every key tells what became of it."""
        self.addCleanup(self.await_both)
        accounts = [f"kill-{n}" for n in range(6)]
        for account in accounts:
            self.open(account, 100)
        daemon = self.box.daemons[1]
        for turn in range(4):
            sent, answered = [], {}
            with resp.Connection(daemon, 3) as client:
                for n, account in enumerate(accounts):
                    for kind in ("HOLD", "SUSPEND", "RESUME", "CHARGE BEGIN"):
                        words = (*kind.split(), account) + ((3,) if kind[0] in "HC" else ())
                        words += ("KEY", f"kill-{turn}-{n}-{kind[0]}")
                        sent.append(words + (("THRESHOLD", 1000) if "BEGIN" in kind else ()))
                client.send_raw(b"".join(resp.encode(*words) for words in sent))
                for words in sent[:turn * 7]:
                    answered[words] = client.read()
                daemon.kill()
            for words in sent:
                reply = self.three.ask(*words)
                if words in answered and isinstance(answered[words], dict):
                    self.assertEqual(reply, {**answered[words], "duplicate": 1}, words)
                if words[0] == "CHARGE" and isinstance(reply, dict):
                    self.done("CHARGE", "SETTLE", reply["charge"], "FAILED", "KEY",
                              words[5] + "/s")
            daemon.start()
