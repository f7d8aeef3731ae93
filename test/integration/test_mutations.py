"""Mutations: their replies field by field, what is refused and how, and repeats. Every rule of the
books is checked once more over everything that the tests have left (harness.BooksCase)."""

import threading

import checker
import harness
import resp

INT64_MAX = 2**63 - 1
INT64_MIN = -2**63
MOVE = ["transfer", "account", "balance", "available", "version", "duplicate"]
TRANSFER = MOVE + ["to", "to_balance", "to_available", "to_version"]
OPEN = ["account", "asset", "floor", "version", "created"]
SETTING = ["account", "status", "floor", "available", "version", "changed", "duplicate"]

BAD_AMOUNTS = ["0", "-1", "+1", "1.0", "1e3", "0x10", "01", "", " ", " 1", "1 ", "1\n", "1,000",
               "1_000", "one", "nan", "inf", "\u0661", "1\0", str(2**63), str(2**64 + 1), "9" * 400]
BAD_ACCOUNTS = ["", "x" * 65, "a b", " a", "a\n", "a\0b", "a/b", "a'b", 'a"b', "a%b", "a,b", "ä",
                "a@b", "@@a", "@", "@" + "x" * 64, "a" * 5000]
GOOD_ACCOUNTS = ["x" * 64, "a", "0", "-", ".", ":", "_", "A-Z.a:z_0-9", "-1", "nil"]
BAD_ASSETS = ["", "USD", "USD/", "/2", "usd/2", "USD/19", "USD/-1", "USD/02", "USD/2 ", " USD/2",
              "USD/2/2", "USD/a", "USDUSDUSDUSD1/2", "U-D/2", "USD\0/2", "US D/2", "€/2", "USD/1.5"]
GOOD_ASSETS = ["USD/0", "USD/18", "A/2", "0/0", "USDUSDUSDUSD/10"]
BAD_KEYS = ["", " ", "a b", "x" * 129, "a\n", "a\0", "ä", "\x7f", "\t"]
GOOD_KEYS = ["x" * 128, "!", "~", "';drop/**/table/**/ballast.transfer;--", "KEY", "%s%n", "\\",
             '"']
BAD_MEMOS = [b"\xff", b"\xc3", b"\xc0\x80", b"\xed\xa0\x80", b"\xf5\x80\x80\x80", b"a\0b", b"\0",
             b"x" * 257]
GOOD_MEMOS = ["", "plain", "two words", "žluťoučký kůň \U0001f40e", "x" * 256, "'\"\\", "\n\t\x01"]


class Mutations(resp.MutationCase):
    # --- replies ---

    def test_open(self):
        reply = self.three.ask("OPEN", "open", "USD/2")
        self.assertEqual(list(reply), OPEN)
        self.assertEqual(reply, {"account": "open", "asset": "USD/2", "floor": "0", "version": "1",
                                 "created": 1})
        flat = self.connection.ask("OPEN", "open", "USD/2", "FLOOR", 0)
        self.assertEqual(flat, ["account", "open", "asset", "USD/2", "floor", "0", "version", "1",
                                "created", 0])
        self.refused("EXISTS", "OPEN", "open", "USD/3", parts=["USD/2"])
        self.refused("EXISTS", "OPEN", "open", "EUR/2")
        self.refused("EXISTS", "OPEN", "open", "USD/2", "FLOOR", -1)
        # What the account has become since does not matter.
        self.done("CREDIT", "open", 5, "KEY", "open-1")
        self.done("SETFLOOR", "open", -7, "KEY", "open-2")
        self.assertEqual(self.three.ask("OPEN", "open", "USD/2")["created"], 0)
        self.refused("EXISTS", "OPEN", "open", "USD/2", "FLOOR", -7)

    def test_credit_and_debit(self):
        self.open("move")
        credit = self.done("CREDIT", "move", 1250, "KEY", "move-1", "MEMO", "x", "FROM", "@bank")
        self.assertEqual(list(credit), MOVE)
        self.assertEqual({**credit, "transfer": ""}, {
            "transfer": "", "account": "move", "balance": "1250", "available": "1250",
            "version": "2", "duplicate": 0})
        debit = self.done("DEBIT", "move", 1000, "KEY", "move-2", "TO", "@bank")
        self.assertEqual(list(debit), MOVE)
        self.assertEqual((debit["balance"], debit["version"]), ("250", "3"))
        self.assertGreater(int(debit["transfer"]), int(credit["transfer"]))
        self.assertEqual(self.three.ask("BALANCE", "@bank"),
                         [{"account": "@bank", "asset": "USD/2", "balance": "-250"}])
        self.assertEqual(self.box.psql("select from_account, to_account, amount, memo "
                                       "from ballast.transfer where key in ('move-1', 'move-2') "
                                       "order by key"), "@bank|move|1250|x\nmove|@bank|1000|")

    def test_transfer(self):
        self.open("payer", 100)
        self.open("payee", 1)
        reply = self.done("TRANSFER", "payer", "payee", 30, "KEY", "transfer-1", "MEMO", "rent")
        self.assertEqual(list(reply), TRANSFER)
        self.assertEqual({**reply, "transfer": ""}, {
            "transfer": "", "account": "payer", "balance": "70", "available": "70", "version": "3",
            "duplicate": 0, "to": "payee", "to_balance": "31", "to_available": "31",
            "to_version": "3"})

    def test_transfer_with_a_system_account(self):
        self.open("with-system", 100)
        paid = self.done("TRANSFER", "with-system", "@fees", 30, "KEY", "with-system-1")
        self.assertEqual(list(paid), MOVE)
        self.assertEqual((paid["account"], paid["balance"]), ("with-system", "70"))
        got = self.done("TRANSFER", "@fees", "with-system", 10, "KEY", "with-system-2")
        self.assertEqual(list(got), ["transfer", "duplicate", "to", "to_balance", "to_available",
                                     "to_version"])
        self.assertEqual((got["to"], got["to_balance"], got["to_version"]),
                         ("with-system", "80", "4"))
        # Its reverse moves money of the one account that has a balance, whatever its side.
        for number, target in enumerate((paid, got)):
            back = self.done("REVERSE", target["transfer"], "KEY", f"with-system-back-{number}")
            self.assertEqual((list(back), back["account"]), (MOVE, "with-system"))
        self.assertEqual(self.state("with-system"), ("100", "6"))

    def test_mtransfer(self):
        self.open("legs-a", 100)
        self.open("legs-b")
        self.open("legs-eur", 9, asset="EUR/2")
        reply = self.done("MTRANSFER", "KEY", "legs-1", "legs-a", "legs-b", 60, "legs-b", "legs-a",
                          10, "legs-eur", "@world", 9, "@world", "legs-b", 1)
        self.assertEqual((list(reply), reply["duplicate"]), (["transfer", "duplicate"], 0))
        self.assertEqual((self.state("legs-a"), self.state("legs-b"), self.state("legs-eur")),
                         (("50", "4"), ("51", "4"), ("0", "3")))
        self.assertEqual({row["transfer"] for row in self.three.ask("HISTORY", "legs-b")},
                         {reply["transfer"]})

    def test_mtransfer_is_all_or_none(self):
        names = [f"ring-{number}" for number in range(100)]
        for name in names:
            self.open(name, 2)
        ring = [word for number, name in enumerate(names)
                for word in (name, names[(number + 1) % 100], 2)]
        self.done("MTRANSFER", "KEY", "ring-1", *ring)
        before = self.three.ask("MGET", *names)
        self.assertEqual(before, ["2"] * 100)
        versions = [self.version(name) for name in names]
        self.assertEqual(versions, [4] * 100)
        # The last leg alone cannot be.
        self.refused("INSUFFICIENT", "MTRANSFER", "KEY", "ring-2", *ring[:-1], 5, parts=["leg 100"])
        self.refused("NOACCOUNT", "MTRANSFER", "KEY", "ring-2", *ring[:-2], "ring-none", 1)
        self.refused("ERR", "MTRANSFER", "KEY", "ring-2", *ring[:-1], "0", parts=["amount"])
        self.refused("ERR", "MTRANSFER", "KEY", "ring-2", *ring, "ring-0", "@world", 1,
                     parts=["1 to 100 legs"])
        self.refused("ERR", "MTRANSFER", "KEY", "ring-2", "ring-0", "ring-0", 1, parts=["same"])
        self.assertEqual([self.version(name) for name in names], versions)
        self.assertEqual(self.three.ask("MGET", *names), before)
        # And the key is still free.
        self.done("MTRANSFER", "KEY", "ring-2", "ring-0", "ring-1", 1)

    def test_an_account_may_pass_on_what_an_earlier_leg_brought(self):
        for name in ("pass-a", "pass-b", "pass-c"):
            self.open(name)
        self.refused("INSUFFICIENT", "MTRANSFER", "KEY", "pass-1", "pass-a", "pass-b", 5, "@world",
                     "pass-a", 5, parts=["leg 1"])
        self.done("MTRANSFER", "KEY", "pass-1", "@world", "pass-a", 5, "pass-a", "pass-b", 5,
                  "pass-b", "pass-c", 5)
        self.assertEqual(self.three.ask("MGET", "pass-a", "pass-b", "pass-c"), ["0", "0", "5"])

    def test_reverse_in_parts(self):
        self.open("refund", 1000)
        sale = self.done("DEBIT", "refund", 600, "KEY", "refund-sale", "TO", "@revenue")["transfer"]
        part = self.done("REVERSE", sale, "KEY", "refund-1", "AMOUNT", 150)
        self.assertEqual((list(part), part["account"], part["balance"]), (MOVE, "refund", "550"))
        self.refused("ERR", "REVERSE", sale, "KEY", "refund-2", "AMOUNT", 451, parts=["450"])
        self.done("REVERSE", sale, "KEY", "refund-2", "AMOUNT", 50)
        rest = self.done("REVERSE", sale, "KEY", "refund-3")
        self.assertEqual(rest["balance"], "1000")
        self.refused("ERR", "REVERSE", sale, "KEY", "refund-4")
        self.refused("ERR", "REVERSE", sale, "KEY", "refund-4", "AMOUNT", 1)
        self.refused("ERR", "REVERSE", part["transfer"], "KEY", "refund-4")
        self.refused("NOTRANSFER", "REVERSE", INT64_MAX, "KEY", "refund-4")
        for amount in BAD_AMOUNTS:
            self.refused("ERR", "REVERSE", sale, "KEY", "refund-4", "AMOUNT", amount)
        self.assertEqual(self.state("refund"), ("1000", "6"))
        self.assertEqual(self.three.ask("HISTORY", "refund")[0]["kind"], "reverse")

    def test_reverse_of_every_kind(self):
        self.open("back-a", 100)
        self.open("back-b")
        transfer = self.done("TRANSFER", "back-a", "back-b", 40, "KEY", "back-t")["transfer"]
        reply = self.done("REVERSE", transfer, "KEY", "back-t-r", "AMOUNT", 15)
        self.assertEqual(list(reply)[:6], MOVE)
        self.assertEqual((reply["account"], reply["balance"]), ("back-b", "25"))
        legs = self.done("MTRANSFER", "KEY", "back-m", "back-a", "back-b", 1, "back-b", "@world", 2)
        self.refused("ERR", "REVERSE", legs["transfer"], "KEY", "back-m-r", "AMOUNT", 1,
                     parts=["whole"])
        reply = self.done("REVERSE", legs["transfer"], "KEY", "back-m-r")
        self.assertEqual(list(reply), ["transfer", "duplicate"])
        self.assertEqual(self.three.ask("MGET", "back-a", "back-b"), ["75", "25"])
        credit = self.done("CREDIT", "back-b", 10, "KEY", "back-c")["transfer"]
        self.done("DEBIT", "back-b", 30, "KEY", "back-d")
        self.refused("INSUFFICIENT", "REVERSE", credit, "KEY", "back-c-r")
        reply = self.done("REVERSE", credit, "KEY", "back-c-r", "AMOUNT", 5)
        self.assertEqual((list(reply), reply["balance"]), (MOVE, "0"))

    def test_setfloor(self):
        self.open("floor", 10)
        reply = self.done("SETFLOOR", "floor", -100, "KEY", "floor-1")
        self.assertEqual(list(reply), SETTING)
        self.assertEqual(reply, {"account": "floor", "status": "active", "floor": "-100",
                                 "available": "10", "version": "3", "changed": 1, "duplicate": 0})
        same = self.done("SETFLOOR", "floor", -100, "KEY", "floor-2")
        self.assertEqual((same["changed"], same["version"]), (0, "3"))
        self.done("DEBIT", "floor", 110, "KEY", "floor-3")
        self.refused("INSUFFICIENT", "DEBIT", "floor", 1, "KEY", "floor-4",
                     parts=["available -100", "floor -100"])
        # Above the balance: nothing is taken away, and only credits are possible.
        self.done("SETFLOOR", "floor", 50, "KEY", "floor-5")
        self.refused("INSUFFICIENT", "DEBIT", "floor", 1, "KEY", "floor-6")
        self.assertEqual(self.done("CREDIT", "floor", 1, "KEY", "floor-7")["balance"], "-99")
        for bad in ("", "x", "1.5", "1e3", "+5", " 5", "-0", "--1", str(INT64_MAX + 1),
                    str(INT64_MIN - 1)):
            self.refused("ERR", "SETFLOOR", "floor", bad, "KEY", "floor-8", parts=["floor"])
            self.refused("ERR", "OPEN", "floor-bad", "USD/2", "FLOOR", bad, parts=["floor"])
        self.refused("NOACCOUNT", "SETFLOOR", "floor-none", 1, "KEY", "floor-8")
        self.refused("ERR", "SETFLOOR", "@world", 1, "KEY", "floor-8")

    def test_floors_at_the_edges(self):
        self.open("edge-low", floor=INT64_MIN)
        self.open("edge-high", 5, floor=INT64_MAX)
        self.refused("INSUFFICIENT", "DEBIT", "edge-high", 1, "KEY", "edge-1")
        self.assertEqual(self.done("DEBIT", "edge-low", INT64_MAX, "KEY", "edge-2")["balance"],
                         str(-INT64_MAX))
        self.assertEqual(self.done("DEBIT", "edge-low", 1, "KEY", "edge-3")["balance"],
                         str(INT64_MIN))
        self.refused("INSUFFICIENT", "DEBIT", "edge-low", 1, "KEY", "edge-4")
        self.refused("INSUFFICIENT", "DEBIT", "edge-low", INT64_MAX, "KEY", "edge-4")
        self.assertEqual(self.three.ask("GET", "edge-low"), str(INT64_MIN))
        self.assertEqual(self.three.ask("BALANCE", "edge-low", "FRESH")["floor"], str(INT64_MIN))
        self.assertEqual(self.done("CREDIT", "edge-low", INT64_MAX, "KEY", "edge-5")["balance"],
                         "-1")
        reply = self.done("SETFLOOR", "edge-low", INT64_MAX, "KEY", "edge-6")
        self.assertEqual((reply["floor"], reply["available"]), (str(INT64_MAX), "-1"))

    def test_overflow(self):
        self.open("full", INT64_MAX)
        self.open("full-peer", 1)
        self.assertEqual(self.three.ask("GET", "full"), str(INT64_MAX))
        self.refused("OVERFLOW", "CREDIT", "full", 1, "KEY", "full-1", parts=[str(INT64_MAX)])
        self.refused("OVERFLOW", "CREDIT", "full", INT64_MAX, "KEY", "full-1")
        self.refused("OVERFLOW", "TRANSFER", "full-peer", "full", 1, "KEY", "full-1")
        self.refused("OVERFLOW", "MTRANSFER", "KEY", "full-1", "full-peer", "@world", 1, "@world",
                     "full", 1, parts=["leg 2"])
        self.assertEqual(self.state("full-peer"), ("1", "2"))
        self.done("DEBIT", "full", 1, "KEY", "full-2")
        self.done("CREDIT", "full", 1, "KEY", "full-1")
        # The world may owe more than 64 bits hold.
        self.open("full-too", INT64_MAX, asset="BIG/0")
        self.open("full-three", INT64_MAX, asset="BIG/0")
        world = {row["asset"]: row["balance"] for row in self.three.ask("BALANCE", "@world")}
        self.assertEqual(world["BIG/0"], str(-2 * INT64_MAX))

    def test_legs_are_taken_back_within_the_limits(self):
        """In the order of the legs, the balance of `brim` would pass the limit in between."""
        self.open("brim", INT64_MAX - 5)
        self.open("brim-source", 10)
        self.open("brim-empty")
        self.refused("INSUFFICIENT", "MTRANSFER", "KEY", "brim-1", "brim", "@world", 10,
                     "brim-source", "brim", 10, "brim-empty", "brim", 1, parts=["leg 3"])
        self.assertEqual(self.state("brim"), (str(INT64_MAX - 5), "2"))
        self.done("MTRANSFER", "KEY", "brim-1", "brim", "@world", 10, "brim-source", "brim", 10)

    def test_close(self):
        self.open("shut", 5)
        self.refused("NOTEMPTY", "CLOSE", "shut", "KEY", "shut-1", parts=["balance 5"])
        self.done("DEBIT", "shut", 5, "KEY", "shut-2")
        reply = self.done("CLOSE", "shut", "KEY", "shut-1")
        self.assertEqual(list(reply), SETTING)
        self.assertEqual(reply, {"account": "shut", "status": "closed", "floor": "0",
                                 "available": "0", "version": "4", "changed": 1, "duplicate": 0})
        self.assertEqual(self.done("CLOSE", "shut", "KEY", "shut-3")["changed"], 0)
        self.open("shut-peer", 5)
        self.refused("CLOSED", "CREDIT", "shut", 1, "KEY", "shut-4")
        self.refused("CLOSED", "DEBIT", "shut", 1, "KEY", "shut-4")
        self.refused("CLOSED", "TRANSFER", "shut-peer", "shut", 1, "KEY", "shut-4")
        self.refused("CLOSED", "TRANSFER", "shut", "shut-peer", 1, "KEY", "shut-4")
        self.refused("CLOSED", "SETFLOOR", "shut", -1, "KEY", "shut-4")
        self.refused("NOACCOUNT", "CLOSE", "shut-none", "KEY", "shut-4")
        self.refused("ERR", "CLOSE", "@world", "KEY", "shut-4")
        self.assertEqual(self.three.ask("GET", "shut"), "0")
        self.assertEqual(self.three.ask("BALANCE", "shut")["status"], "closed")
        self.assertEqual(self.three.ask("OPEN", "shut", "USD/2")["created"], 0)

    def test_a_suspended_account_takes_credits_and_no_debits(self):
        self.open("suspended", 100)
        self.open("suspended-peer", 100)
        self.box.psql("set session_replication_role = replica; "
                      "update ballast.account set status = 'suspended' "
                      "where account_id = 'suspended'")
        for words in (("DEBIT", "suspended", 1), ("TRANSFER", "suspended", "suspended-peer", 1)):
            self.refused("SUSPENDED", *words, "KEY", "suspended-1", parts=["resume"])
        self.refused("SUSPENDED", "MTRANSFER", "KEY", "suspended-1", "@world", "suspended-peer", 1,
                     "suspended", "@world", 1, parts=["leg 2"])
        self.done("CREDIT", "suspended", 5, "KEY", "suspended-2")
        self.done("TRANSFER", "suspended-peer", "suspended", 5, "KEY", "suspended-3")
        self.assertEqual(self.three.ask("BALANCE", "suspended", "FRESH")["status"], "suspended")
        self.box.psql("set session_replication_role = replica; "
                      "update ballast.account set status = 'active' "
                      "where account_id = 'suspended'")
        self.assertEqual(self.done("DEBIT", "suspended", 1, "KEY", "suspended-1")["balance"], "109")

    # --- refusals ---

    def test_unknown_accounts(self):
        self.open("known", 100)
        for words in (("CREDIT", "unknown", 1), ("DEBIT", "unknown", 1),
                      ("TRANSFER", "unknown", "known", 1), ("TRANSFER", "known", "unknown", 1)):
            self.refused("NOACCOUNT", *words, "KEY", "unknown-1", parts=["unknown"])
        self.refused("NOACCOUNT", "MTRANSFER", "KEY", "unknown-1", "known", "@world", 1, "unknown",
                     "known", 1, parts=["leg 2", "unknown"])
        self.assertEqual(self.state("known"), ("100", "2"))
        self.assertEqual(self.box.psql("select count(*) from ballast.mutation "
                                       "where key = 'unknown-1'"), "0")
        # The same key does it once the account is there.
        self.open("unknown")
        self.done("CREDIT", "unknown", 1, "KEY", "unknown-1")

    def test_sides(self):
        self.open("side", 100)
        self.open("side-eur", 100, asset="EUR/2")
        self.open("side-fine", 100, asset="USD/6")
        self.refused("ERR", "TRANSFER", "side", "side", 1, "KEY", "side-1", parts=["same account"])
        self.refused("ERR", "MTRANSFER", "KEY", "side-1", "side", "@world", 1, "side", "side", 1,
                     parts=["same account"])
        self.refused("ERR", "TRANSFER", "@a", "@b", 1, "KEY", "side-1", parts=["system account"])
        self.refused("ERR", "CREDIT", "@a", 1, "KEY", "side-1", parts=["system account"])
        self.refused("ERR", "DEBIT", "@a", 1, "KEY", "side-1", parts=["system account"])
        self.refused("ERR", "CREDIT", "side", 1, "KEY", "side-1", "FROM", "side-eur")
        self.refused("ERR", "OPEN", "@a", "USD/2", parts=["system account"])
        for other in ("side-eur", "side-fine"):
            self.refused("ASSET", "TRANSFER", "side", other, 1, "KEY", "side-1", parts=["USD/2"])
            self.refused("ASSET", "MTRANSFER", "KEY", "side-1", "side", other, 1)
        self.assertEqual(self.state("side"), ("100", "2"))

    def test_bad_amounts(self):
        self.open("amount", 10)
        self.open("amount-peer")
        for amount in BAD_AMOUNTS:
            for words in (("CREDIT", "amount", amount, "KEY", "amount-1"),
                          ("DEBIT", "amount", amount, "KEY", "amount-1"),
                          ("TRANSFER", "amount", "amount-peer", amount, "KEY", "amount-1"),
                          ("MTRANSFER", "KEY", "amount-1", "amount", "amount-peer", amount)):
                self.refused("ERR", *words, parts=["amount must be an integer of minor units from "
                                                   "1 to 9223372036854775807"])
        self.refused("INSUFFICIENT", "DEBIT", "amount", INT64_MAX, "KEY", "amount-1")
        self.assertEqual(self.state("amount"), ("10", "2"))

    def test_bad_and_good_accounts(self):
        self.open("id", 100)
        for account in BAD_ACCOUNTS:
            for words in (("CREDIT", account, 1, "KEY", "id-1"), ("DEBIT", account, 1, "KEY", "i"),
                          ("TRANSFER", account, "id", 1, "KEY", "id-1"),
                          ("TRANSFER", "id", account, 1, "KEY", "id-1"),
                          ("MTRANSFER", "KEY", "id-1", "id", account, 1),
                          ("CREDIT", "id", 1, "KEY", "id-1", "FROM", account),
                          ("OPEN", account, "USD/2"), ("SETFLOOR", account, 0, "KEY", "id-1"),
                          ("CLOSE", account, "KEY", "id-1")):
                self.refused("ERR", *words, parts=["account"])
        for number, account in enumerate(GOOD_ACCOUNTS):
            self.open(account)
            self.done("TRANSFER", "id", account, 1, "KEY", f"id-good-{number}")
            self.assertEqual(self.three.ask("GET", account), "1")
        self.assertEqual(self.three.ask("GET", "id"), str(100 - len(GOOD_ACCOUNTS)))

    def test_bad_and_good_assets(self):
        for asset in BAD_ASSETS:
            self.refused("ERR", "OPEN", "asset", asset, parts=["asset"])
        self.assertIsNone(self.three.ask("GET", "asset"))
        for number, asset in enumerate(GOOD_ASSETS):
            self.open(f"asset-{number}", 3, asset=asset)
            self.assertEqual(self.three.ask("BALANCE", f"asset-{number}")["asset"], asset)

    def test_bad_and_good_keys(self):
        self.open("key")
        for key in BAD_KEYS:
            self.refused("ERR", "CREDIT", "key", 1, "KEY", key, parts=["key"])
            self.refused("ERR", "MTRANSFER", "KEY", key, "@world", "key", 1, parts=["key"])
            self.refused("ERR", "SETFLOOR", "key", 1, "KEY", key, parts=["key"])
        for number, key in enumerate(GOOD_KEYS):
            self.assertEqual(self.done("CREDIT", "key", 1, "KEY", key)["balance"], str(number + 1))
            self.assertEqual(self.three.ask("HISTORY", "key", "COUNT", 1)[0]["key"], key)

    def test_bad_and_good_memos(self):
        self.open("memo")
        for memo in BAD_MEMOS:
            self.refused("ERR", "CREDIT", "memo", 1, "KEY", "memo-1", "MEMO", memo, parts=["memo"])
        self.assertEqual(self.state("memo"), ("0", "1"))
        for number, memo in enumerate(GOOD_MEMOS):
            self.done("CREDIT", "memo", 1, "KEY", f"memo-{number}", "MEMO", memo)
            shown = self.three.ask("HISTORY", "memo", "COUNT", 1)[0]["memo"]
            self.assertEqual(shown or "", memo)

    # --- repeats ---

    def test_a_repeat_shows_the_result_of_that_time(self):
        self.open("repeat", 100)
        self.open("repeat-peer")
        # done() repeats each at once; here, much has happened in between.
        words = [("CREDIT", "repeat", 5, "KEY", "repeat-1", "MEMO", "m"),
                 ("DEBIT", "repeat", 6, "KEY", "repeat-2"),
                 ("TRANSFER", "repeat", "repeat-peer", 7, "KEY", "repeat-3"),
                 ("MTRANSFER", "KEY", "repeat-4", "repeat", "repeat-peer", 1),
                 ("SETFLOOR", "repeat", -5, "KEY", "repeat-5")]
        first = [self.done(*each) for each in words]
        first.append(self.done("REVERSE", first[0]["transfer"], "KEY", "repeat-6", "AMOUNT", 2))
        words.append(("REVERSE", first[0]["transfer"], "KEY", "repeat-6", "AMOUNT", 2))
        self.done("SETFLOOR", "repeat", -50, "KEY", "repeat-7")
        self.done("DEBIT", "repeat", 100, "KEY", "repeat-8")
        state = self.state("repeat")
        for each, reply in zip(words, first, strict=True):
            self.assertEqual(self.three.ask(*each), {**reply, "duplicate": 1}, each)
        self.assertEqual(self.state("repeat"), state)

    def test_a_repeat_is_known_by_its_words(self):
        self.open("words", 100)
        self.open("words-peer", 100)
        self.done("CREDIT", "words", 5, "KEY", "words-1", "MEMO", "m")
        # The same words in another order, and what goes without saying.
        for same in (("MEMO", "m", "KEY", "words-1"),
                     ("FROM", "@world", "KEY", "words-1", "MEMO", "m")):
            self.assertEqual(self.three.ask("CREDIT", "words", 5, *same)["duplicate"], 1)
        for other in (("CREDIT", "words", 6, "KEY", "words-1", "MEMO", "m"),
                      ("CREDIT", "words", 5, "KEY", "words-1"),
                      ("CREDIT", "words", 5, "KEY", "words-1", "MEMO", "n"),
                      ("CREDIT", "words", 5, "KEY", "words-1", "MEMO", "m", "FROM", "@bank"),
                      ("CREDIT", "words-peer", 5, "KEY", "words-1", "MEMO", "m"),
                      ("DEBIT", "words", 5, "KEY", "words-1", "MEMO", "m"),
                      ("TRANSFER", "words-peer", "words", 5, "KEY", "words-1", "MEMO", "m"),
                      ("MTRANSFER", "KEY", "words-1", "@world", "words", 5),
                      ("REVERSE", 1, "KEY", "words-1"),
                      ("SETFLOOR", "words", 5, "KEY", "words-1"),
                      ("CLOSE", "words", "KEY", "words-1")):
            self.refused("KEYREUSED", *other, parts=["new key"])
        self.assertEqual((self.state("words"), self.state("words-peer")),
                         (("105", "3"), ("100", "2")))
        # Also where it would be refused otherwise.
        self.refused("KEYREUSED", "DEBIT", "words", 10**9, "KEY", "words-1")

    def test_a_refusal_is_not_remembered(self):
        self.open("poor", 5)
        self.refused("INSUFFICIENT", "DEBIT", "poor", 6, "KEY", "poor-1",
                     parts=["available 5", "floor 0", "asked 6"])
        # Not even its words: the key is free for anything.
        self.done("CREDIT", "poor", 1, "KEY", "poor-2")
        self.assertEqual(self.done("DEBIT", "poor", 6, "KEY", "poor-1")["balance"], "0")

    def test_repeats_within_one_batch(self):
        self.open("batch", 10)
        self.open("batch-peer")
        replies = self.three.ask_all([
            ("DEBIT", "batch", 11, "KEY", "batch-1"), ("CREDIT", "batch", 1, "KEY", "batch-2"),
            ("DEBIT", "batch", 11, "KEY", "batch-1"), ("DEBIT", "batch", 11, "KEY", "batch-1"),
            ("CREDIT", "batch", 2, "KEY", "batch-1"), ("CREDIT", "batch", 2, "KEY", "batch-3"),
            ("TRANSFER", "batch", "batch-peer", 2, "KEY", "batch-4"),
            ("CREDIT", "batch", 2, "KEY", "batch-3"),
            ("TRANSFER", "batch", "batch-peer", 2, "KEY", "batch-4")])
        shown = [reply.code if isinstance(reply, resp.Failure)
                 else (reply["balance"], reply["version"], reply["duplicate"]) for reply in replies]
        self.assertEqual(shown, ["INSUFFICIENT", ("11", "3", 0), ("0", "4", 0), ("0", "4", 1),
                                 "KEYREUSED", ("2", "5", 0), ("0", "6", 0), ("2", "5", 1),
                                 ("0", "6", 1)])

    def test_every_version_has_its_row(self):
        self.open("rows", 50)
        self.open("rows-peer", 50)
        for number in range(40):
            self.three.ask_all([
                ("CREDIT", "rows", 1, "KEY", f"rows-{number}-a"),
                ("DEBIT", "rows", 10**6, "KEY", f"rows-{number}-b"),
                ("TRANSFER", "rows", "rows-peer", 1, "KEY", f"rows-{number}-c"),
                ("CREDIT", "rows", 1, "KEY", f"rows-{number}-a"),
                ("SETFLOOR", "rows", -number, "KEY", f"rows-{number}-d"),
                ("MTRANSFER", "KEY", f"rows-{number}-e", "rows-peer", "rows", 1, "rows", "@w", 1)])
        versions = self.box.psql(
            "select version from (select from_version, from_account from ballast.transfer union all"
            " select to_version, to_account from ballast.transfer union all"
            " select version, account_id from ballast.account_event) as x (version, account_id)"
            " where account_id = 'rows' order by 1")
        last = self.version("rows")
        self.assertEqual(last, 2 + 39 + 40 * 4)
        self.assertEqual([int(line) for line in versions.split()], list(range(1, last + 1)))

    def test_an_account_that_is_locked_in_sql(self):
        """For longer than the daemon waits for a lock: nobody is refused for it, and what is in
        the cache is read meanwhile."""
        self.open("held-row", 1)
        self.open("free-row", 1)
        self.three.ask("GET", "held-row")
        commits = checker.Change(self.box.daemon)
        with self.box.locked("held-row"):
            self.connection.send("CREDIT", "held-row", 1, "KEY", "held-row-1")
            self.three.send("CREDIT", "free-row", 1, "KEY", "free-row-1")
            self.assertEqual(self.connect().ask("GET", "held-row"), "1")
            harness.wait_for(lambda: commits.of('commits_total{result="failed"}') > 0,
                             what="a commit that gave up the lock")
        self.assertEqual(harness.record(self.connection.read())["balance"], "2")
        self.assertEqual(self.three.read()["balance"], "2")


class TwoDaemons(resp.Case):
    daemons = 2

    def test_the_same_keys_on_both_at_once(self):
        """One posting; both get its result."""
        self.connection.ask("OPEN", "twice", "USD/2")
        commands = [("CREDIT", "twice", 1, "KEY", f"twice-{number}") for number in range(500)]
        replies = []

        def post(daemon):
            with resp.Connection(daemon, protocol=3) as connection:
                replies.append(connection.ask_all(commands))
        threads = [threading.Thread(target=post, args=(daemon,)) for daemon in self.box.daemons]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(len(replies), 2)
        for one, other in zip(*replies, strict=True):
            self.assertEqual(sorted([one.pop("duplicate"), other.pop("duplicate")]), [0, 1])
            self.assertEqual(one, other)
        for daemon in self.box.daemons:
            with resp.Connection(daemon) as connection:
                self.assert_bulk(connection.ask("GET", "twice"), "500")

    def test_a_read_at_one_sees_what_the_other_has_acknowledged(self):
        pair = [self.connect(), resp.Connection(self.box.daemons[1])]
        self.addCleanup(pair[1].close)
        pair[0].ask("OPEN", "seen", "USD/2")
        for number in range(1, 201):
            writer, reader = pair[number % 2], pair[1 - number % 2]
            reply = writer.ask("CREDIT", "seen", 1, "KEY", f"seen-{number}")
            self.assertEqual(harness.record(reply)["balance"], str(number))
            self.assert_bulk(reader.ask("GET", "seen"), str(number))
