"""HOLD, CAPTURE, RELEASE and CANSPEND: replies, refusals, and that time alone frees held money. The
books are checked over everything that the tests have left (harness.BooksCase)."""

import re

import checker
import harness
import resp

HOLD = ["hold", "account", "balance", "available", "version", "expires", "duplicate"]
RELEASE = ["hold", "account", "balance", "available", "version", "duplicate"]
MOVE = ["transfer", "account", "balance", "available", "version", "duplicate"]
MOMENT = re.compile(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


class Holds(resp.MutationCase):
    daemons = 2
    conf = harness.PATIENT

    def hold(self, account, amount, key, *more):
        return self.done("HOLD", account, amount, "KEY", key, *more)

    def spend(self, account, amount):
        """The five words of CANSPEND, the same in both protocols."""
        replies = [c.ask("CANSPEND", account, amount) for c in (self.connection, self.three)]
        self.assertEqual([r[:4] for r in replies], [replies[0][:4]] * 2, replies)
        return replies[1]

    def stop_all(self):
        for daemon in self.box.daemons:
            daemon.kill()

    def start_all(self):
        for daemon in self.box.daemons:
            daemon.start()
        self.setUp()

    # --- replies ---

    def test_hold_capture_release(self):
        self.open("ann", 1000)
        held = self.hold("ann", 600, "ann-1", "TTL", 3600)
        self.assertEqual(list(held), HOLD)
        self.assertEqual({**held, "hold": "", "expires": ""}, {
            "hold": "", "account": "ann", "balance": "1000", "available": "400", "version": "3",
            "expires": "", "duplicate": 0})
        self.assertRegex(held["expires"], MOMENT)
        balance = self.three.ask("BALANCE", "ann")
        self.assertEqual((balance["balance"], balance["held"], balance["available"]),
                         ("1000", "600", "400"))
        self.refused("INSUFFICIENT", "DEBIT", "ann", 401, "KEY", "ann-2",
                     parts=["available 400"])
        self.refused("INSUFFICIENT", "HOLD", "ann", 401, "KEY", "ann-2")
        self.refused("INSUFFICIENT", "CAPTURE", held["hold"], 601, "KEY", "ann-2")
        self.refused("KEYREUSED", "HOLD", "ann", 600, "KEY", "ann-1")
        self.refused("NOTEMPTY", "CLOSE", "ann", "KEY", "ann-2")

        taken = self.done("CAPTURE", held["hold"], 250, "KEY", "ann-3", "TO", "@shop")
        self.assertEqual(list(taken), MOVE)
        self.assertEqual({**taken, "transfer": ""}, {
            "transfer": "", "account": "ann", "balance": "750", "available": "750",
            "version": "4", "duplicate": 0})
        self.refused("NOHOLD", "CAPTURE", held["hold"], "KEY", "ann-4", parts=["captured"])
        self.refused("NOHOLD", "RELEASE", held["hold"], "KEY", "ann-4")

        second = self.hold("ann", 750, "ann-5")
        given = self.done("RELEASE", second["hold"], "KEY", "ann-6")
        self.assertEqual(list(given), RELEASE)
        self.assertEqual((given["hold"], given["available"], given["version"]),
                         (second["hold"], "750", "6"))
        whole = self.hold("ann", 700, "ann-7")
        self.assertEqual(self.done("CAPTURE", whole["hold"], "KEY", "ann-8")["balance"], "50")
        self.assertEqual(
            [(row["kind"], row["amount"], row["counterparty"])
             for row in self.three.ask("HISTORY", "ann")],
            [("capture", "-700", "@world"), ("capture", "-250", "@shop"),
             ("credit", "1000", "@world")])
        # What was captured is refunded like any transfer.
        self.assertEqual(self.done("REVERSE", taken["transfer"], "KEY", "ann-9")["balance"], "300")

    def test_words(self):
        self.open("words", 10)
        for words in (("HOLD", "words", 0, "KEY", "w"), ("HOLD", "words", 1),
                      ("HOLD", "words", 1, "KEY", "w", "TTL", 0),
                      ("HOLD", "words", 1, "KEY", "w", "TTL", 10**9),
                      ("HOLD", "words", 1, "KEY", "w", "MEMO", "m"),
                      ("HOLD", "@world", 1, "KEY", "w"), ("CAPTURE", "x", "KEY", "w"),
                      ("CAPTURE", 0, "KEY", "w"), ("CAPTURE", 1, 0, "KEY", "w"),
                      ("CAPTURE", 1, "KEY", "w", "TO", "words"), ("RELEASE", -1, "KEY", "w"),
                      ("RELEASE", 2**63, "KEY", "w"), ("CAPTURE", 1, 5, "TO", "@world")):
            self.refused("ERR", *words)
        self.refused("NOHOLD", "CAPTURE", 2**63 - 1, "KEY", "w")
        self.refused("NOHOLD", "RELEASE", 2**40, "KEY", "w")
        self.refused("NOACCOUNT", "HOLD", "nobody", 1, "KEY", "w")
        self.assertEqual(self.hold("words", 1, "words-1", "ttl", 315360000)["available"], "9")

    def test_canspend(self):
        self.open("spend", 100, floor=-50)
        harness.wait_for(lambda: self.spend("spend", 150) == ["ALLOW", "OK", "100", "2", "cache"],
                         what="an allowance from the cache")
        self.assertEqual(self.spend("spend", 151), ["DENY", "INSUFFICIENT", "100", "2", "sql"])
        self.hold("spend", 120, "spend-1")
        self.assertEqual(self.spend("spend", 31), ["DENY", "INSUFFICIENT", "-20", "3", "sql"])
        self.assertEqual(self.spend("spend", 30)[0], "ALLOW")
        self.done("SUSPEND", "spend", "KEY", "spend-2")
        checker.wait_trusted(self.box)
        self.assertEqual(self.spend("spend", 1), ["DENY", "SUSPENDED", "-20", "4", "sql"])
        for account in ("nobody", "nobody"): # the second time it is a remembered absence
            self.assert_failure(self.three.ask("CANSPEND", account, 1), "NOACCOUNT")
        for words in (("spend", 0), ("spend", "x"), ("@world", 1), ("a b", 1), ("spend",)):
            self.assert_failure(self.three.ask("CANSPEND", *words), "ERR")
        self.assertEqual(self.box.psql(
            "select amount, balance, held, floor, version, status, detail, era_state "
            "from ballast.decision where kind = 'deny' and account_id = 'spend' "
            "order by decision desc limit 1"), "1|100|120|-50|4|suspended|SUSPENDED|open")

    def test_what_cannot_be_recorded_is_not_decided(self):
        """The store is there, and takes no record of a decision."""
        self.open("unsaid", 10)
        self.box.psql("CREATE FUNCTION ballast.full_disk() RETURNS trigger LANGUAGE plpgsql AS "
                      "$$ BEGIN RAISE EXCEPTION 'no space left' USING ERRCODE = '53100'; END $$;"
                      "CREATE TRIGGER full_disk BEFORE INSERT ON ballast.decision "
                      "FOR EACH STATEMENT EXECUTE FUNCTION ballast.full_disk()")
        try:
            self.assertEqual(self.spend("unsaid", 11)[:2], ["UNKNOWN", "UNAVAILABLE"])
            self.refused("UNAVAILABLE", "SUSPEND", "unsaid", "KEY", "unsaid-1")
            self.refused("UNAVAILABLE", "CHARGE", "BEGIN", "unsaid", 5, "KEY", "unsaid-2",
                         "THRESHOLD", 11)
        finally:
            self.box.psql("DROP FUNCTION ballast.full_disk() CASCADE")
        harness.wait_for(lambda: self.spend("unsaid", 11)[:2] == ["DENY", "INSUFFICIENT"],
                         what="a denial")
        self.assertEqual(self.state("unsaid"), ("10", "2"))
        self.assertEqual(self.three.ask("CHARGE", "LIST", "unsaid"), [])

    # --- time ---

    def test_time_frees_what_is_held(self):
        self.open("time", 100)
        held = self.hold("time", 60, "time-1", "TTL", 1)
        self.hold("time", 40, "time-2", "TTL", 3600)

        def freed():
            reply = self.three.ask("BALANCE", "time")
            return (reply["held"], reply["available"], reply["version"], reply["source"]) == (
                "40", "60", "5", "cache")
        harness.wait_for(freed, 20, "the expiry, in the cache")
        self.refused("NOHOLD", "CAPTURE", held["hold"], "KEY", "time-3", parts=["expired"])
        again = self.three.ask("HOLD", "time", 60, "KEY", "time-1", "TTL", 1)
        self.assertEqual(again, {**held, "duplicate": 1})
        self.assertEqual(self.box.psql(
            "select kind, key is null, balance, held, version, detail from ballast.account_event "
            "where account_id = 'time' and kind = 'expire'"),
            f"expire|t|100|40|5|hold {held['hold']}")

    def test_whoever_needs_the_money_frees_it(self):
        """Also after every daemon was down: nobody else has ended the hold."""
        self.open("down", 100)
        self.hold("down", 100, "down-1", "TTL", 1)
        self.stop_all()
        harness.wait_for(lambda: self.box.psql("select expires < now() from ballast.hold "
                                               "where account_id = 'down'") == "t",
                         what="the end of the hold")
        with self.box.table_locked("ballast.account", "share update exclusive"):
            self.assertEqual(self.box.psql("select held from ballast.account "
                                           "where account_id = 'down'"), "100")
        self.assertEqual(self.box.psql("select outcome, balance, version from ballast.post("
                                       "'down-2', 'down', '@world', 70)"), "OK|30|5")
        self.start_all()
        self.assertEqual(self.state("down"), ("30", "5"))

    def test_a_hold_that_was_due_while_all_were_down_ends(self):
        self.open("later", 100)
        self.hold("later", 100, "later-1", "TTL", 1)
        self.stop_all()
        harness.wait_for(lambda: self.box.psql("select expires < now() from ballast.hold "
                                               "where account_id = 'later'") == "t",
                         what="the end of the hold")
        self.start_all()
        # Needs no sweep: the store is asked and sees that the time is up.
        reply = harness.wait_for(lambda: self.spend("later", 100)[0] == "ALLOW" and
                                 self.spend("later", 100), 20, "the money")
        self.assertEqual(reply[2:4], ["100", "4"])

    def test_more_are_due_than_one_transaction_ends(self):
        """All their money is free at once; their expiries are posted as the daemons get to it."""
        count = 1700
        self.open("crowd", count)
        self.three.ask_all(("HOLD", "crowd", 1, "KEY", f"crowd-{n}", "TTL", 1)
                           for n in range(count))
        self.stop_all()
        harness.wait_for(lambda: self.box.psql("select bool_and(expires < now()) from ballast.hold "
                                               "where account_id = 'crowd'") == "t",
                         what="the end of the holds")
        self.start_all()
        self.assertEqual(self.done("DEBIT", "crowd", count, "KEY", "crowd-all")["balance"], "0")
        closed = self.done("CLOSE", "crowd", "KEY", "crowd-close")
        self.assertEqual((closed["status"], closed["changed"]), ("closed", 1))
        for daemon in self.box.daemons:
            with resp.Connection(daemon, 3) as client:
                harness.wait_for(lambda c=client: [c.ask("BALANCE", "crowd")[x] for x in (
                    "held", "available", "status", "version")] == [
                        "0", "0", "closed", str(2 * count + 4)],
                    30 * checker.SLOWNESS, "the end of every hold")

    def test_a_locked_account_holds_up_no_others(self):
        """It has more holds that are due than daemons look at in one go; all of them wait longer than
        that of somebody else."""
        count = 600
        self.open("locked", count)
        self.open("behind", 1)
        self.three.ask_all(("HOLD", "locked", 1, "KEY", f"locked-{n}", "TTL", 2)
                           for n in range(count))
        with self.box.locked("locked"):
            self.hold("behind", 1, "behind-1", "TTL", 2)
            harness.wait_for(lambda: self.three.ask("BALANCE", "behind")["held"] == "0",
                             30 * checker.SLOWNESS, "the end of the other's hold")
            self.assertEqual(self.box.psql("select held from ballast.account "
                                           "where account_id = 'locked'"), str(count))
        harness.wait_for(lambda: self.three.ask("BALANCE", "locked")["held"] == "0",
                         30 * checker.SLOWNESS, "the end of its holds")

    # --- races ---

    def test_one_of_many_ends_a_hold(self):
        self.open("race", 1000)
        for turn in range(5):
            held = self.hold("race", 10, f"race-{turn}")
            before = int(self.three.ask("BALANCE", "race", "FRESH")["balance"])
            words = [("CAPTURE", held["hold"], 10, "KEY"), ("RELEASE", held["hold"], "KEY")] * 4
            replies = self.at_once([(*w, f"race-{turn}-{n}") for n, w in enumerate(words)])
            won = [r for r in replies if not isinstance(r, resp.Failure)]
            self.assertEqual(len(won), 1, replies)
            self.assertEqual({r.code for r in replies if isinstance(r, resp.Failure)}, {"NOHOLD"})
            after = self.three.ask("BALANCE", "race", "FRESH")
            self.assertEqual((after["held"], int(after["balance"])),
                             ("0", before - (10 if "transfer" in won[0][::2] else 0)))

    def test_hold_debit_and_suspension_at_once(self):
        """Any order, and never below the floor."""
        for turn in range(6):
            name = f"mix-{turn}"
            self.open(name, 100)
            replies = self.at_once([
                *((kind, name, 30, "KEY", f"{name}-{kind}-{n}")
                  for n in range(4) for kind in ("HOLD", "DEBIT")),
                ("SUSPEND", name, "KEY", f"{name}-suspend")])
            codes = {r.code for r in replies if isinstance(r, resp.Failure)}
            self.assertLessEqual(codes, {"INSUFFICIENT", "SUSPENDED"})
            state = self.three.ask("BALANCE", name, "FRESH")
            taken = sum(not isinstance(r, resp.Failure) for r in replies[:-1])
            self.assertEqual((int(state["available"]), state["status"]),
                             (100 - 30 * taken, "suspended"))
            self.assertGreaterEqual(int(state["available"]), 0)

    def test_the_same_key_on_both(self):
        self.open("two", 100)
        other = resp.Connection(self.box.daemons[1], 3)
        self.addCleanup(other.close)
        for turn in range(10):
            words = ("HOLD", "two", 1, "KEY", f"two-{turn}")
            self.three.send(*words)
            other.send(*words)
            first, second = self.three.read(), other.read()
            self.assertEqual({first["duplicate"], second["duplicate"]}, {0, 1}, (first, second))
            self.assertEqual({**first, "duplicate": 0}, {**second, "duplicate": 0})
        self.assertEqual(self.three.ask("BALANCE", "two", "FRESH")["held"], "10")

    def test_both_end_what_is_due(self):
        """Each hold ends once, and both daemons show it."""
        count = 200
        self.three.ask_all(("OPEN", f"due-{n}", "USD/2") for n in range(count))
        self.three.ask_all(("CREDIT", f"due-{n}", 5, "KEY", f"due-{n}-1") for n in range(count))
        replies = self.three.ask_all(("HOLD", f"due-{n}", 5, "KEY", f"due-{n}-2", "TTL", 1)
                                     for n in range(count))
        self.assertEqual({r["available"] for r in replies}, {"0"})
        for daemon in self.box.daemons:
            with resp.Connection(daemon, 3) as client:
                def ended(client=client):
                    states = client.ask_all(("BALANCE", f"due-{n}") for n in range(count))
                    return {(s["held"], s["version"]) for s in states} == {("0", "4")}
                harness.wait_for(ended, 30 * checker.SLOWNESS, "the end of every hold")
        self.assertEqual(self.box.psql("select count(*), count(distinct account_id) from "
                                       "ballast.account_event where kind = 'expire' "
                                       "and account_id like 'due-%'"),
                         f"{count}|{count}")
