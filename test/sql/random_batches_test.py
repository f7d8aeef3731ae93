"""Random batches against a model that posts one operation after the other.

The model is the contract in its plainest form: dictionaries, Python's integers, no batches. Every
result row, and at the end every account, must be what it says. SEED and BATCHES scale the run; a
failure prints the batch that it happened in.
"""

import os
import random
import sys

from psql import Connection, Tests, post_batch

INT64_MAX = 2 ** 63 - 1
ACCOUNTS = ["ann", "bea", "cyd", "dot", "eve", "fay", "gil"]
ASSETS = ["USD/2", "USD/2", "USD/2", "EUR/2"]
SYSTEMS = ["@world", "@fees"]
AT_ONCE = ["credit", "debit", "hold", "hold", "capture", "release"]
DECISIONS = {"hold", "capture", "release", "suspend", "resume", "charge", "settle", "canspend"}


def is_system(account):
    return account.startswith("@")


class Refused(Exception):
    pass


class Account:
    def __init__(self, asset, floor):
        self.asset, self.floor, self.opening_floor = asset, floor, floor
        self.balance, self.held, self.status, self.version = 0, 0, "active", 1
        self.charge = None

    @property
    def available(self):
        return self.balance - self.held

    def state(self, name):
        return (name, self.asset, self.balance, self.held, self.floor, self.status, self.version)


class Model:
    """accounts by name; done: key -> (words, results); journal: id -> legs; returned by leg; holds:
    id -> [account, amount, open]; charges: id -> [account, amount, state, result]."""

    def __init__(self):
        self.accounts, self.done, self.journal, self.returned = {}, {}, {}, {}
        self.holds, self.charges, self.denials = {}, {}, 0

    def move(self, payer, payee, amount):
        """One leg; returns the states of its sides, None for a system account."""
        for name in (payer, payee):
            if not is_system(name) and name not in self.accounts:
                raise Refused("NOACCOUNT")
        source, sink = self.accounts.get(payer), self.accounts.get(payee)
        if source and sink and source.asset != sink.asset:
            raise Refused("ASSET")
        if source and source.status != "active":
            raise Refused(source.status.upper())
        if sink and sink.status == "closed":
            raise Refused("CLOSED")
        if source and source.available - amount < source.floor:
            raise Refused("INSUFFICIENT")
        if sink and sink.balance + amount > INT64_MAX:
            raise Refused("OVERFLOW")
        states = []
        for name, account, change in ((payer, source, -amount), (payee, sink, amount)):
            if account:
                account.balance += change
                account.version += 1
            states.append(account.state(name) if account else None)
        return states

    def move_all(self, legs):
        saved = {name: (a.balance, a.version) for name, a in self.accounts.items()}
        try:
            return [self.move(*leg) for leg in legs]
        except Refused:
            for name, (balance, version) in saved.items():
                self.accounts[name].balance, self.accounts[name].version = balance, version
            raise

    def reverse_legs(self, row):
        target = row["target"]
        if target not in self.journal:
            raise Refused("NOTRANSFER")
        kind, legs = self.journal[target]
        left = [amount - self.returned.get((target, n), 0) for n, (_, _, amount) in enumerate(legs)]
        if kind == "reverse" or left[0] == 0:
            raise Refused("ERR")
        if row["amount"] is not None:
            if kind == "mtransfer" or row["amount"] > left[0]:
                raise Refused("ERR")
            left[0] = row["amount"]
        return kind, [(payee, payer, left[n])
                      for n, (payer, payee, _) in reversed(list(enumerate(legs)))]

    def apply(self, rows, new_id):
        """One operation. Returns (outcome, id, part 0, part 1, changed, duplicate, accounts)."""
        row = rows[0]
        kind, key, name = row["kind"], row.get("key"), row.get("account")
        words = [tuple(r.get(c) for c in ("kind", "account", "peer", "amount", "target", "memo"))
                 for r in rows]
        if kind in ("credit", "debit", "transfer", "mtransfer"):
            for r in rows:
                if r["account"] == r["peer"] or is_system(r["account"]) and is_system(r["peer"]):
                    return ("ERR", None, None, None, False, False)
        if key in self.done and key is not None:
            if self.done[key][0] != words:
                return ("KEYREUSED", None, None, None, False, False)
            return ("OK",) + self.done[key][1][1:5] + (True,)
        try:
            if kind in DECISIONS:
                result = self.decide(kind, row, name, new_id)
            else:
                result = self.effect(kind, row, rows, name, new_id)
        except Refused as refusal:
            return (str(refusal), None, None, None, False, False)
        if key is not None:
            self.done[key] = (words, result)
        return result

    def effect(self, kind, row, rows, name, new_id):
        account = self.accounts.get(name)
        if kind == "open":
            created = account is None
            if created:
                account = self.accounts[name] = Account(row["asset"], row["amount"] or 0)
            elif (account.asset, account.opening_floor) != (row["asset"], row["amount"] or 0):
                raise Refused("EXISTS")
            return ("OK", None, account.state(name), None, created, False)
        if kind in ("setfloor", "close"):
            if account is None:
                raise Refused("NOACCOUNT")
            if kind == "close" and (account.balance != 0 or account.held != 0):
                raise Refused("NOTEMPTY")
            if kind == "close" and account.charge is not None:
                raise Refused("OPENCHARGE")
            if kind == "setfloor" and account.status == "closed":
                raise Refused("CLOSED")
            before = (account.floor, account.status)
            if kind == "close":
                account.status = "closed"
            else:
                account.floor = row["amount"]
            changed = before != (account.floor, account.status)
            account.version += changed
            return ("OK", None, account.state(name), None, changed, False)
        origin = kind
        if kind == "reverse":
            origin, legs = self.reverse_legs(row)
        elif kind == "credit":
            legs = [(row["peer"], name, row["amount"])]
        else:
            legs = [(r["account"], r["peer"], r["amount"]) for r in rows]
        states = self.move_all(legs)
        self.journal[new_id] = (kind, legs)
        if kind == "reverse":
            for n, (_, _, amount) in enumerate(reversed(legs)):
                at = (row["target"], n)
                self.returned[at] = self.returned.get(at, 0) + amount
        if origin == "mtransfer":
            return ("OK", new_id, None, None, True, False)
        payer, payee = states[0]
        if origin == "transfer":
            if payer is None:
                payer = (legs[0][0], payee[1], None, None, None, None, None)
            return ("OK", new_id, payer, payee, True, False)
        return ("OK", new_id, payer or payee, None, True, False)

    def decide(self, kind, row, name, new_id):
        """Holds, suspensions, charges; new_id as the store has given it."""
        amount, target, words = row["amount"], row["target"], row["memo"]
        if kind in ("capture", "release"):
            name, held, is_open = self.holds.get(target, (None, 0, False))
            if not is_open or kind == "capture" and amount is not None and amount > held:
                raise Refused("INSUFFICIENT" if is_open else "NOHOLD")
        elif kind == "settle":
            if target not in self.charges:
                raise Refused("NOCHARGE")
            name, paid, state, result = self.charges[target]
            if state in ("succeeded", "failed") or state == words:
                if state != words:
                    raise Refused("SETTLED")
                if state == "unknown":
                    result = ("OK", None, self.accounts[name].state(name), None, False, False)
                return ("OK", None) + result[2:4] + (False, True)
        account = self.accounts.get(name)
        if account is None:
            raise Refused("NOACCOUNT")
        if kind in ("suspend", "resume", "hold", "charge", "canspend") and \
                account.status == "closed":
            self.denials += kind == "canspend"
            raise Refused("CLOSED")
        if kind in ("hold", "canspend"):
            if account.status == "suspended" or account.available - amount < account.floor:
                self.denials += kind == "canspend"
                raise Refused("SUSPENDED" if account.status == "suspended" else "INSUFFICIENT")
            if kind == "hold" and account.held + amount > INT64_MAX:
                raise Refused("OVERFLOW")
        if kind == "charge":
            if account.charge is not None:
                raise Refused("OPENCHARGE")
            if account.available >= (target or 0):
                raise Refused("NOTDUE")
            if account.balance + amount > INT64_MAX:
                raise Refused("OVERFLOW")
            account.charge = new_id
            self.charges[new_id] = [name, amount, "begun", None]
            return ("OK", new_id, account.state(name), None, False, False)
        if kind == "capture":
            if account.status != "active":
                raise Refused(account.status.upper())
            moved = held if amount is None else amount
            self.journal[new_id] = (kind, [(name, row["peer"], moved)])
            account.balance -= moved
        if kind in ("capture", "release"):
            account.held -= held
            self.holds[target][2] = False
        elif kind == "settle":
            return self.settle(account, name, target, words, new_id)
        elif kind == "hold":
            account.held += amount
            self.holds[new_id] = [name, amount, True]
        changed = kind in ("hold", "capture", "release") or kind == "resume" and \
            account.status == "suspended" or kind == "suspend" and account.status == "active" and \
            (words is None or account.available < account.floor)
        if changed and kind in ("suspend", "resume"):
            account.status = "suspended" if kind == "suspend" else "active"
        account.version += changed
        made = new_id if kind in ("hold", "capture") else None
        return ("OK", made, account.state(name), None, changed, False)

    def settle(self, account, name, charge, words, new_id):
        made = None
        if words == "succeeded":
            paid = self.charges[charge][1]
            if account.balance + paid > INT64_MAX:
                raise Refused("OVERFLOW")
            account.balance += paid
            account.version += 1
            made = new_id
            self.journal[new_id] = ("settle", [("@world", name, paid)])
        if words != "unknown":
            account.charge = None
        result = ("OK", made, account.state(name), None, made is not None, False)
        self.charges[charge][2:] = [words, result]
        return result

    def touched(self, rows):
        names = []
        for row in rows:
            if row["kind"] in ("capture", "release"):
                names.append(self.holds.get(row["target"], [None])[0])
            if row["kind"] == "settle":
                names.append(self.charges.get(row["target"], [None])[0])
            if row["kind"] == "reverse":
                for payer, payee, _ in self.journal.get(row["target"], (None, []))[1]:
                    names += [payer, payee]
            else:
                names += [row.get("account"), row.get("peer")]
        return {n for n in names if n and not is_system(n) and n in self.accounts}


class Generator:
    def __init__(self, rng):
        self.rng, self.keys, self.ids, self.made = rng, 0, [], []
        self.holds, self.charges = [], []

    def key(self):
        self.keys += 1
        return "k%d" % self.keys

    def amount(self):
        pick = self.rng.random()
        if pick < 0.90:
            return self.rng.randint(1, 300)
        return self.rng.choice([INT64_MAX, INT64_MAX - 5, 2 ** 62, 2 ** 61, 1])

    def decision(self, kind):
        rng = self.rng
        row = {"kind": kind, "key": self.key(), "account": rng.choice(ACCOUNTS), "peer": None,
               "asset": None, "amount": None, "target": None, "memo": None}
        if kind in ("hold", "charge", "canspend"):
            row["amount"] = self.amount()
        if kind == "hold":
            row["target"] = rng.choice([None, 3600])
        elif kind == "charge":
            row["target"] = rng.choice([None, 100, 1000])
        elif kind == "canspend":
            row["key"] = None
        elif kind == "suspend":
            row["memo"] = rng.choice([None, "ifbelow", "ifbelow"])
        elif kind in ("capture", "release", "settle"):
            known = self.charges[-5:] if kind == "settle" else self.holds[-12:]
            row.update(account=None, target=rng.choice(known + [10 ** 12]))
        if kind == "capture":
            row.update(peer=rng.choice(SYSTEMS), amount=rng.choice([None, None, 1, 40, 300]))
        elif kind == "settle":
            row["memo"] = rng.choice(["succeeded", "failed", "unknown"])
        return row

    def operation(self, only_simple):
        rng = self.rng
        if self.made and rng.random() < 0.12:
            rows = [dict(r) for r in rng.choice(self.made[-40:])]
            if rng.random() < 0.3 and rows[0]["kind"] not in ("settle", "suspend"):
                rows[0]["memo"] = "other words"
            if not only_simple or rows[0]["kind"] in only_simple:
                return rows
        kind = rng.choice(only_simple) if only_simple else rng.choice(
            ["open", "credit", "credit", "debit", "debit", "transfer", "transfer", "transfer",
             "mtransfer", "reverse", "reverse", "setfloor", "close", "hold", "hold", "capture",
             "release", "suspend", "resume", "charge", "settle", "settle", "canspend"])
        if kind in DECISIONS:
            row = self.decision(kind)
            self.made.append([row])
            return [dict(row)]
        row = {"kind": kind, "key": self.key(), "account": rng.choice(ACCOUNTS), "peer": None,
               "asset": None, "amount": self.amount(), "target": None,
               "memo": rng.choice([None, None, "", "a memo"])}
        if kind == "open":
            row.update(key=None, asset=rng.choice(ASSETS), memo=None,
                       amount=rng.choice([None, 0, 0, -500]))
        elif kind in ("credit", "debit"):
            row["peer"] = rng.choice(SYSTEMS)
        elif kind == "transfer":
            row["peer"] = rng.choice(ACCOUNTS + SYSTEMS)
            if rng.random() < 0.1:
                row["account"] = rng.choice(SYSTEMS)
        elif kind == "mtransfer":
            rows = []
            for _ in range(rng.randint(1, 4)):
                leg = dict(row, account=rng.choice(ACCOUNTS), peer=rng.choice(ACCOUNTS + SYSTEMS),
                           amount=rng.randint(1, 100))
                rows.append(leg)
            self.made.append(rows)
            return [dict(r) for r in rows]
        elif kind == "reverse":
            row.update(account=None, memo=None, amount=rng.choice([None, None, 1, 50, 300]),
                       target=rng.choice(self.ids[-30:] + [10 ** 12]))
        elif kind == "setfloor":
            row.update(memo=None, amount=rng.choice([0, 0, -100, -500, 50, INT64_MAX, -2 ** 63]))
        else:
            row.update(memo=None, amount=None)
        self.made.append([row])
        return [dict(row)]


def as_row(outcome, ident, state, duplicate, changed):
    state = state or (None,) * 7
    return (outcome, ident) + tuple(state) + (duplicate, changed)


def number(text):
    return None if text is None else int(text)


def parse(row):
    """A result row as op, part and what as_row makes."""
    return (int(row[0]), int(row[1]),
            (row[2], number(row[3]), row[4], row[5], number(row[6]), number(row[7]),
             number(row[8]), row[9], number(row[10]), row[11] == "t", row[12] == "t"))


def without_floor_and_status(row):
    return row[:6] + row[8:]


def compare(model, operations, got):
    """Applies the batch to the model, and returns what differs, or None."""
    by_op, reused = {}, []
    for row in got:
        op, part, values = parse(row)
        by_op.setdefault(op, {}).setdefault(part, []).append(values)
    for op, rows in enumerate(operations):
        parts = by_op.get(op, {})
        if len(parts.get(0, [])) != 1:
            return "op %d: %d rows of part 0" % (op, len(parts.get(0, [])))
        main = parts[0][0]
        known = model.touched(rows)
        outcome, ident, first, second, changed, duplicate = model.apply(rows, main[1])
        named = rows[0].get("account")
        if outcome == "OK":
            expected = [as_row("OK", ident, first, duplicate, changed)]
            if second:
                expected.append(as_row("OK", ident, second, duplicate, changed))
            found = parts[0] + parts.get(1, [])
            if rows[0]["kind"] not in ("open", "setfloor", "close", "suspend", "resume"):
                expected = [e[:-1] for e in expected]
                found = [f[:-1] for f in found]
            if duplicate:
                expected = [without_floor_and_status(e) for e in expected]
                found = [without_floor_and_status(f) for f in found]
        else:
            # The state that a refusal shows: the account's as it stands, if it is shown. A reused
            # key may be found after the rest of the batch was posted.
            shown = main[2]
            if outcome == "KEYREUSED" and main[0] == outcome:
                reused.append(main)
                continue
            state = model.accounts[shown].state(shown) if shown in model.accounts else None
            expected = [as_row(outcome, None, state, False, False)]
            found = parts[0]
            single = rows[0]["kind"] not in ("mtransfer", "reverse", "capture", "release",
                                             "settle")
            if single and named in model.accounts and shown != named and outcome != "ERR":
                return "op %d: %s shows %s, not %s" % (op, outcome, shown, named)
        if found != expected:
            return "op %d %s:\n  expected %s\n  found    %s" % (op, rows, expected, found)
        wanted = known if duplicate or (outcome == "OK" and first is None) else set()
        published = {values[2] for part in parts.values() for values in part}
        if not wanted <= published or (wanted and not wanted <= {v[2] for v in parts.get(2, [])}):
            return "op %d: present rows of %s, not of %s" % (op, published, wanted)
    for parts in by_op.values():
        for values in parts.get(2, []):
            state = model.accounts[values[2]].state(values[2])
            if values[2:9] != state:
                return "present row %s, not %s" % (values, state)
    for values in reused:
        account = model.accounts.get(values[2])
        if values[2] and (account is None or values[8] > account.version):
            return "reused key shows %s" % (values,)
    return None


def main():
    chance = random.randrange(10 ** 9) if os.environ.get("BALLAST_TEST_LEVEL") == "full" else 2013
    seed = int(os.environ.get("SEED", chance))
    batches = int(os.environ.get("BATCHES", "600"))
    rng = random.Random(seed)
    tests, connection = Tests(), Connection()
    # The fuses would stop it: they are tested by themselves.
    connection.run("SET ballast.fuses = 'charges=1000000000,0 suspensions=1000000000,0 window=600'")
    model, generator = Model(), Generator(rng)
    outcomes = {}
    trouble = None
    for batch in range(batches):
        if batch % 60 == 0:
            # Fresh accounts from time to time: closed and overfull ones pile up.
            ACCOUNTS[:] = [name.rstrip("0123456789") + str(batch) for name in ACCOUNTS]
        only_simple = rng.choice([["hold"], ["credit", "debit"], AT_ONCE, AT_ONCE] + [None] * 4)
        operations = [generator.operation(only_simple) for _ in range(rng.randint(1, 14))]
        if batch % 60 == 0:
            operations = [[{"kind": "open", "account": name, "amount": 0,
                            "asset": "EUR/2" if i == 5 else "USD/2"}]
                          for i, name in enumerate(ACCOUNTS[:-1])]
        rows = [dict(row, op=op) for op, legs in enumerate(operations) for row in legs]
        for legs in operations:
            for row in legs:
                for column in ("key", "peer", "asset", "amount", "target", "memo"):
                    row.setdefault(column, None)
        got = connection.run(post_batch(rows))
        trouble = compare(model, operations, got)
        for row in got:
            if row[1] == "0":
                outcome = row[2] + ("/duplicate" if row[11] == "t" else "")
                outcomes[outcome] = outcomes.get(outcome, 0) + 1
                kind = operations[int(row[0])][0]["kind"]
                if row[3] is not None:
                    {"hold": generator.holds, "charge": generator.charges}.get(
                        kind, generator.ids).append(int(row[3]))
        if trouble:
            trouble = "seed %d, batch %d: %s\n%s" % (seed, batch, trouble, post_batch(rows))
            break
    tests.check("random batches against the model", trouble is None, trouble)
    if trouble is None:
        denied = connection.run("SELECT count(*) FROM ballast.decision AS d WHERE d.kind = 'deny'"
                                " AND d.account_id ~ '^(%s)[0-9]+$'"
                                % "|".join(n.rstrip("0123456789") for n in ACCOUNTS))
        tests.check("every denial is on record", denied == [[str(model.denials)]],
                    str((denied, model.denials)))
        stored = connection.run("SELECT account_id, asset, balance, held, floor, status, version"
                                " FROM ballast.account WHERE account_id ~ '^(%s)[0-9]+$'"
                                % "|".join(n.rstrip("0123456789") for n in ACCOUNTS))
        stored = {tuple(r[:2]) + tuple(map(int, r[2:5])) + (r[5], int(r[6])) for r in stored}
        expected = {a.state(name) for name, a in model.accounts.items()}
        tests.check("every account as the model has it", stored == expected,
                    str(stored ^ expected))
        needed = {"OK", "OK/duplicate", "NOACCOUNT", "EXISTS", "INSUFFICIENT", "CLOSED", "ASSET",
                  "OVERFLOW", "KEYREUSED", "NOTRANSFER", "NOTEMPTY", "ERR", "NOHOLD", "NOCHARGE",
                  "SUSPENDED", "NOTDUE", "OPENCHARGE", "SETTLED"}
        tests.check("every outcome was met", batches < 600 or needed <= set(outcomes),
                    str(needed - set(outcomes)))
        print("#", ", ".join("%s %d" % item for item in sorted(outcomes.items())), "seed", seed)
    connection.close()
    sys.exit(tests.failed > 0)


if __name__ == "__main__":
    main()
