"""Usage with auto-recharge, as an application server does it with Ballast: it may go on whatever is
broken, and what hurts a customer is asked of Ballast, which decides it in SQL.

Every mutation is repeated with its key until the answer is definite."""

import itertools
import threading
import time

import redis

import harness

RECHARGE = 2000
THRESHOLD = 500
FLOOR = -1000000
NOT_DEFINITE = ("UNKNOWN", "UNAVAILABLE", "BUSY", "LOADING")
PATIENCE_SECONDS = 60


class Ballast:
    title = "with Ballast"

    def __init__(self, stage, processor, random, customers, name):
        self.stage = stage
        self.processor = processor
        self.random = random
        self.name = name
        self.customers = [f"{name}:{number:03}" for number in range(customers)]
        self.numbers = itertools.count()
        self.lock = threading.Lock()
        self.local = threading.local()
        self.shown = {}    # account -> the highest version that anybody was shown
        self.reads = 0
        self.wrong = []    # sentences
        self.charges = 0
        self.suspensions = 0
        for account in self.customers:
            self.ask("OPEN", account, "USD/2", "FLOOR", FLOOR)
            self.mutate("CREDIT", account, RECHARGE)

    # --- asking ---

    def client(self):
        """One of the daemons, another after each failure."""
        if getattr(self.local, "client", None) is None:
            self.local.client = self.stage.box.client(1 + next(self.numbers) % 2)
        return self.local.client

    def ask(self, *words):
        """A reply that is a map, or the error's code, once it is definite."""
        reply = self.ask_list(*words)
        return reply if isinstance(reply, str) else self.note(harness.record(reply))

    def ask_list(self, *words):
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                return self.client().execute_command(*words)
            except redis.ResponseError as error:
                code = str(error).split(" ", 1)[0]
                if code not in NOT_DEFINITE:
                    return code
            except redis.RedisError as error:
                code = repr(error)
                self.local.client = None
            if time.monotonic() > deadline:
                self.complain(f"{words}: nothing definite in {PATIENCE_SECONDS} s, last {code}")
                return code
            time.sleep(0.01)

    def mutate(self, *words):
        return self.ask(*words, "KEY", f"{self.name}:{next(self.numbers)}")

    def note(self, reply):
        if reply is not None and "version" in reply:
            with self.lock:
                account = reply["account"]
                self.shown[account] = max(self.shown.get(account, 0), int(reply["version"]))
        return reply

    def complain(self, text):
        with self.lock:
            self.wrong.append(text)

    # --- the application ---

    def use(self, account):
        verdict = self.ask_list("CANSPEND", account, 100)
        if verdict[0] not in ("ALLOW", "UNKNOWN"):
            self.complain(f"{account} may not spend: {verdict}")
        reply = self.mutate("DEBIT", account, self.random.randint(50, 150))
        if not isinstance(reply, dict):
            self.complain(f"a debit of {account} was refused: {reply}")
        elif int(reply["available"]) < THRESHOLD:
            self.recharge(account)

    def recharge(self, account):
        begun = self.mutate("CHARGE", "BEGIN", account, RECHARGE, "THRESHOLD", THRESHOLD)
        if not isinstance(begun, dict):
            if begun not in ("NOTDUE", "OPENCHARGE"):
                self.complain(f"CHARGE BEGIN {account}: {begun}")
            return
        with self.lock:
            self.charges += 1
        answers = self.processor.charge(begun["charge"], account)
        for outcome in answers or ["UNKNOWN"]:
            self.settle(begun["charge"], outcome)
        if answers == ["FAILED"]:
            self.suspend(account)

    def settle(self, charge, outcome):
        settled = self.mutate("CHARGE", "SETTLE", charge, outcome)
        if not isinstance(settled, dict) and settled != "SETTLED":
            self.complain(f"CHARGE SETTLE {charge} {outcome}: {settled}")

    def suspend(self, account):
        reply = self.mutate("SUSPEND", account, "IFBELOW")
        if not isinstance(reply, dict) or reply["changed"]:
            with self.lock:
                self.suspensions += 1
            self.complain(f"SUSPEND {account} IFBELOW: {reply}")

    def follow_up(self):
        """Asks the processor about the charges that timed out."""
        for charge in self.ask_list("CHARGE", "LIST"):
            charge = harness.record(charge)
            outcome = self.processor.outcome(charge["charge"])
            if charge["state"] == "unknown" and outcome is not None:
                self.settle(charge["charge"], outcome)

    def look(self):
        """A reader: nobody may see less than anybody has been shown."""
        account = self.random.choice(self.customers)
        with self.lock:
            least = self.shown.get(account, 0)
        reply = self.ask("BALANCE", account)
        self.reads += 1
        if not isinstance(reply, dict) or reply["stale"] or int(reply["version"]) < least:
            self.complain(f"BALANCE {account} after version {least}: {reply}")

    # --- the end ---

    def finish(self):
        """Everything is mended: what was wanted is done, and the books are looked at."""
        self.follow_up()
        for account in self.customers:
            self.recharge(account)
        self.follow_up()
        box = self.stage.box
        mine = f"account_id like '{self.name}:%'"
        booked = set(box.psql("select charge from ballast.charge where state = 'succeeded' and "
                              f"{mine}").split())
        if booked != self.processor.succeeded():
            self.complain(f"booked and charged differ: {booked ^ self.processor.succeeded()}")
        credits = box.psql(
            "select count(distinct t.transfer) from ballast.charge as c join ballast.transfer as t "
            "on t.transfer = c.transfer and t.to_account = c.account_id and t.amount = c.amount "
            f"where c.{mine}")
        if int(credits) != len(booked):
            self.complain(f"{len(booked)} charges are booked, {credits} credits")
        for what, condition in (("suspended", "status <> 'active'"),
                                ("below the threshold",
                                 f"balance - held < {THRESHOLD} and not exists (select from "
                                 "ballast.charge as c where c.account_id = a.account_id and "
                                 "c.state = 'failed')")):
            if found := box.psql(f"select account_id from ballast.account as a where {mine} and "
                                 f"({condition})"):
                self.complain(f"{what}: {found.split()}")

    def report(self):
        return (f"{self.reads} reads, {self.charges} charges, {self.suspensions} suspensions, "
                f"{len(self.wrong)} wrong answers")
