"""What the clients of a chaos run ask for: operations at random, each key once.

Amounts are random and large, so that a balance names its version: GET, which shows no version, can
be checked against the journal afterwards like everything else.
"""

import itertools
from dataclasses import dataclass

HOT = [f"hot-{number}" for number in range(16)]
ASSET = "USD/2"
AMOUNT_MAX = 1_000_000
TOO_MUCH = 10 ** 12  # more than anybody has
TRANSFERS_MAX = 2000
READS = ("GET", "MGET", "BALANCE", "FRESH", "HISTORY", "CANSPEND")
HOLD_SECONDS = (1, 2, 30)
OUTCOMES = ("SUCCEEDED", "FAILED", "UNKNOWN")


@dataclass
class Operation:
    words: tuple
    key: str = None              # a mutation's; for OPEN, which has none, the account
    accounts: tuple = ()         # whose versions the reply may bear
    doubtful: bool = False       # some attempt may have been applied
    kept: bool = False           # repeated also after a definite "nothing was applied"

    @property
    def name(self):
        return self.words[0]

    @property
    def mutates(self):
        return self.key is not None


class Maker:
    """Of one client. `opened` is shared by all: how many accounts each client has opened."""

    def __init__(self, seed, client, pick, opened):
        self.prefix = f"{seed}-{client}"
        self.client = client
        self.pick = pick
        self.opened = opened
        self.keys = (f"{self.prefix}-{number}" for number in itertools.count())
        self.transfers = {}      # of ours, to be reversed once
        self.holds = {}          # of ours, to be captured or released once
        self.charges = {}        # of ours, to be settled
        self.life = None         # the operations left of an account that is opened and closed

    def account(self):
        return self.pick.choice(HOT)

    def amount(self):
        return self.pick.randint(1, AMOUNT_MAX)

    # --- reads ---

    def read(self):
        name = self.pick.choices(READS, (6, 3, 4, 2, 1, 2))[0]
        if name == "MGET":
            accounts = tuple(self.pick.choice((self.account, self.visitor))() for _ in range(3))
            return Operation(("MGET", *accounts), accounts=accounts)
        account = self.visitor() if self.pick.random() < 0.1 else self.account()
        words = {"FRESH": ("BALANCE", account, "FRESH"),
                 "CANSPEND": ("CANSPEND", account, self.wish()),
                 "HISTORY": ("HISTORY", account, "COUNT", 4)}.get(name, (name, account))
        return Operation(words, accounts=(account,))

    def visitor(self):
        """An account that some client has opened lately, or is about to open."""
        client = self.pick.randrange(len(self.opened))
        return self.visitor_name(client, max(0, self.opened[client] - self.pick.randint(-1, 2)))

    def visitor_name(self, client, number):
        return f"guest-{client}-{number}"

    def wish(self):
        return TOO_MUCH if self.pick.random() < 0.1 else self.amount()

    # --- mutations ---

    def mutation(self):
        makers = (self.credit, self.debit, self.transfer, self.mtransfer, self.reverse,
                  self.setfloor, self.visit, self.hold, self.end_hold, self.settle)
        return self.pick.choices(makers, (8, 5, 4, 2, 1, 1, 6, 2, 2, 1))[0]()

    def mutate(self, *words, accounts, key=None):
        key = key or next(self.keys)
        return Operation((*words, "KEY", key), key, accounts, kept=self.pick.random() < 0.7)

    def credit(self):
        account = self.account()
        return self.mutate("CREDIT", account, self.amount(), accounts=(account,))

    def debit(self):
        account = self.account()
        return self.mutate("DEBIT", account, self.wish(), accounts=(account,))

    def hold(self):
        account, key = self.account(), next(self.keys)
        return Operation(("HOLD", account, self.wish(), "KEY", key, "TTL",
                          self.pick.choice(HOLD_SECONDS)), key, (account,), kept=True)

    def end_hold(self):
        hold = self.unused(self.holds)
        if hold is None:
            return self.hold()
        return self.mutate(self.pick.choice(("CAPTURE", "RELEASE")), hold, accounts=())

    def settle(self):
        charge = self.unused(self.charges)
        if charge is None:
            return self.visit()
        outcome = self.pick.choice(OUTCOMES)
        self.charges[charge] = outcome != "UNKNOWN"  # that one stays open
        return self.mutate("CHARGE", "SETTLE", charge, outcome, accounts=())

    def unused(self, numbers):
        """One of them that is marked as used from now on; None where there is none."""
        left = [number for number, used in numbers.items() if not used]
        if not left:
            return None
        number = self.pick.choice(left)
        numbers[number] = True
        return number

    def transfer(self):
        source, target = self.pick.sample(HOT, 2)
        return self.mutate("TRANSFER", source, target, self.amount(), accounts=(source, target))

    def mtransfer(self):
        key = next(self.keys)
        legs = [("@world", *self.pick.sample(HOT, 1), self.amount()),
                (*self.pick.sample(HOT, 2), self.amount()),
                (*self.pick.sample(HOT, 2), self.amount())]
        return Operation(("MTRANSFER", "KEY", key, *itertools.chain(*legs)), key, (), kept=True)

    def reverse(self):
        transfer = self.unused(self.transfers)
        if transfer is None:
            return self.credit()
        return self.mutate("REVERSE", transfer, accounts=())

    def setfloor(self):
        account = self.account()
        return self.mutate("SETFLOOR", account, -self.amount(), accounts=(account,))

    def visit(self):
        """The next step in the life of an account: opened, charged or credited, perhaps suspended
        for a while, emptied, closed."""
        if self.life is None:
            account = self.visitor_name(self.client, self.opened[self.client])
            of = {"accounts": (account,)}
            key, amount = next(self.keys), self.amount()
            steps = [Operation(("OPEN", account, ASSET), account, (account,), kept=True),
                     Operation(("CHARGE", "BEGIN", account, self.amount(), "KEY", key,
                                "THRESHOLD", 1), key, (account,), kept=True),
                     self.mutate("CREDIT", account, amount, **of)]
            if self.pick.random() < 0.3:
                steps += [self.mutate("SUSPEND", account, **of),
                          self.mutate("DEBIT", account, 1, **of),
                          self.mutate("RESUME", account, **of)]
            steps += [self.mutate("DEBIT", account, amount, **of),
                      self.mutate("CLOSE", account, **of)]
            self.life = iter(steps)
        try:
            return next(self.life)
        except StopIteration:
            self.life = None
            return self.visit()

    # --- what became of it ---

    def succeeded(self, operation, reply):
        if operation.name == "OPEN":
            self.opened[self.client] += 1
        elif operation.name in ("CREDIT", "TRANSFER") and len(self.transfers) < TRANSFERS_MAX:
            self.transfers.setdefault(reply["transfer"], False)
        elif operation.name == "HOLD":
            self.holds.setdefault(reply["hold"], False)
        elif operation.words[:2] == ("CHARGE", "BEGIN"):
            self.charges.setdefault(reply["charge"], False)
