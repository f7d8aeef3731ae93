"""Judges a chaos run from what every client was told and what the store holds at the end.

    3   a read that began after a version had been told to anybody shows it, or a later one
    4   one client is shown no version after a later one, in the order of its replies
        (a duplicate shows the result of its time)
    5   nil, only before the account was opened
    6   INSUFFICIENT, only if the account stood so at some moment of the request
    1   what was acknowledged is in the journal, with the transfer, balance and version told, once
    2   what was answered definitely as not done is not; at the end nothing is unknown
    9   an answer within the deadline; no refusal while the store was well
    -   a shown state is what the journal has for that version, and nobody was shown it before its
        mutation had been sent
"""

import re
from bisect import bisect_left
from collections import Counter, defaultdict

from clients import LOST, NOT_DEFINITE

# What their replies show: the state by balance and available, or by floor and status.
MONEY = ("CREDIT", "DEBIT", "TRANSFER", "REVERSE", "HOLD", "RELEASE", "CAPTURE", "CHARGE")
EVENTS = ("SETFLOOR", "SUSPEND", "RESUME", "CLOSE")
SPENDS = ("DEBIT", "TRANSFER", "HOLD", "CANSPEND")  # account and amount stand next


class Told:
    """When which version of one account had been told: (time, version), both growing."""

    def __init__(self):
        self.times = []
        self.versions = []

    def add(self, time, version):
        """In the order of time."""
        if not self.versions or version > self.versions[-1]:
            self.times.append(time)
            self.versions.append(version)

    def before(self, time):
        place = bisect_left(self.times, time)
        return self.versions[place - 1] if place else 0


class Verdict:
    """`events` in the order of their ends; `excuses(event)` says whether something that was done
    on purpose explains a refusal or a delay; `sent_in_sql` key -> time of what was posted there."""

    def __init__(self, events, journal, excuses, answer_seconds_max, sent_in_sql):
        self.events = events
        self.journal = journal
        self.excuses = excuses
        self.answer_seconds_max = answer_seconds_max
        self.sent = dict(sent_in_sql)
        self.violations = []     # (event or None, text)
        self.counts = Counter()
        self.refusals = Counter()
        self.slowest = 0.0
        self.told = defaultdict(Told)
        self.seen = defaultdict(int)  # client, account -> the last version shown
        self.nobody_before = {}       # account -> when its opening had been acknowledged
        self.attempts = defaultdict(list)

    def wrong(self, event, text):
        self.violations.append((event, text))

    def judge(self):
        for event in self.events:
            if event.key is not None:
                self.attempts[event.key].append(event)
                self.sent[event.key] = min(event.start, self.sent.get(event.key, event.start))
        for event in self.events:
            self.tell(event)
        for event in sorted(self.events, key=lambda each: (each.client, each.place)):
            self.judge_event(event)
        for key, attempts in self.attempts.items():
            self.judge_key(key, attempts)
        return self.violations

    @staticmethod
    def names_account(word):
        return re.match(r"(hot|guest)-", str(word)) is not None

    # --- what a reply shows ---

    def shown(self, event):
        """account, version, (balance, held, floor, status or None each), for all that it shows."""
        reply = event.reply
        if event.code != "OK" or reply is None:
            return []
        if event.name == "BALANCE":
            state = (int(reply["balance"]), int(reply["held"]), int(reply["floor"]),
                     reply["status"])
            return [(reply["account"], int(reply["version"]), state)]
        if event.name == "HISTORY":
            return [(event.words[1], int(row["version"]), (int(row["balance"]), None, None, None))
                    for row in reply]
        if event.name in MONEY and "balance" in reply:
            return self.sides(reply)
        if event.name in EVENTS:
            return [(reply["account"], int(reply["version"]),
                     (None, None, int(reply["floor"]), reply["status"]))]
        if event.name in ("OPEN", "CHARGE"):
            return [(reply["account"], int(reply["version"]), (None, None, None, None))]
        if event.name == "CANSPEND" and int(reply[3] or 0) > 0:
            return [(event.words[1], int(reply[3]), (None, None, None, None))]
        return []

    @staticmethod
    def sides(reply):
        """A side that is a system account has no version."""
        sides = []
        for account, prefix in (("account", ""), ("to", "to_")):
            if reply.get(account) and reply.get(prefix + "version") not in (None, "0", ""):
                balance = int(reply[prefix + "balance"])
                sides.append((reply[account], int(reply[prefix + "version"]),
                              (balance, balance - int(reply[prefix + "available"]), None, None)))
        return sides

    def values(self, event):
        """account, balance or None: what a read without versions shows."""
        if event.code != "OK":
            return []
        if event.name == "GET":
            return [(event.words[1], event.reply)]
        if event.name == "MGET":
            return list(zip(event.words[1:], event.reply, strict=True))
        if event.name == "BALANCE" and event.reply is None:
            return [(event.words[1], None)]
        return []

    def tell(self, event):
        for name, version, _ in self.shown(event):
            self.told[name].add(event.end, version)
            self.nobody_before.setdefault(name, event.end)
        for name, value in self.values(event):
            account = self.journal.account(name)
            versions = account.by_balance.get(int(value), []) if account and value else []
            if value is not None:
                self.nobody_before.setdefault(name, event.end)
            if len(versions) == 1:
                self.told[name].add(event.end, versions[0])

    # --- one reply ---

    def judge_event(self, event):
        self.counts[event.name, event.code] += 1
        took = event.end - event.start
        excused = self.excuses(event)
        if not excused:
            self.slowest = max(self.slowest, took)
            if took > self.answer_seconds_max:
                self.wrong(event, f"answered after {took:.1f} s")
        if event.code in NOT_DEFINITE or event.code == "STALE":
            if not excused:
                self.refusals[event.code] += 1
                self.wrong(event, "refused while all that it needs was well")
        elif event.code == "INSUFFICIENT":
            self.judge_insufficient(event)
        elif event.name == "CANSPEND" and event.code == "OK":
            self.judge_canspend(event, excused)
        elif event.code == "NOACCOUNT":
            opened = [self.nobody_before.get(name, event.end) < event.start
                      for name in event.words[1:] if self.names_account(name)]
            if all(opened):
                self.wrong(event, "the account had been opened")
        elif event.code in ("ERR", "KEYREUSED"):
            self.wrong(event, "an error that nothing asked for")
        elif event.code == "OK":
            self.judge_reply(event)

    def judge_reply(self, event):
        stale = event.name == "BALANCE" and event.reply is not None and event.reply["stale"]
        if stale and not self.excuses(event):
            self.wrong(event, "stale while the store was well")
        duplicate = event.key is not None and (
            event.reply.get("duplicate") or event.reply.get("created") == 0)
        for place, (name, version, state) in enumerate(self.shown(event)):
            self.judge_state(event, name, version, state)
            # The lower rows of a HISTORY are old by right.
            if not stale and not duplicate and not (event.name == "HISTORY" and place > 0):
                self.judge_age(event, name, version)
        for name, value in self.values(event):
            self.judge_value(event, name, value)

    def judge_state(self, event, name, version, state):
        account = self.journal.account(name)
        found = account.at(version) if account else None
        if found is None:
            self.wrong(event, f"{name} never had version {version}")
            return
        for told, real in zip(state, found, strict=False):
            if told is not None and told != real:
                self.wrong(event, f"{name} version {version} is shown as {state}, it is {found}")
        if self.sent.get(found.key, 0) > event.end:
            self.wrong(event, f"{name} version {version} was shown before {found.key} was sent")

    def floor(self, event, name):
        """What this reply may not be older than. HISTORY shows movements only."""
        return max(self.told[name].before(event.start), self.seen[event.client, name])

    def judge_age(self, event, name, version):
        least = self.floor(event, name)
        if event.name == "HISTORY":
            account = self.journal.account(name)
            while (state := account.at(least)) and state.key not in self.journal.moved:
                least -= 1
        if version < least:
            self.wrong(event, f"{name} is shown at version {version} after {least}")
        self.seen[event.client, name] = max(self.seen[event.client, name], version)

    def judge_value(self, event, name, value):
        if value is None:
            if self.nobody_before.get(name, event.end) < event.start:
                self.wrong(event, f"{name} is nil after it had been opened")
            return
        account = self.journal.account(name)
        least = self.floor(event, name)
        version = account.oldest_with(int(value), least) if account else None
        if version is None:
            newest = account.newest_with(int(value)) if account else None
            self.wrong(event, f"{name} is shown as {value}, which was last right at version "
                              f"{newest}, after {least}")
            return
        if self.sent.get(account.at(version).key, 0) > event.end:
            self.wrong(event, f"{name} was shown as {value} before that was sent")
        self.seen[event.client, name] = max(self.seen[event.client, name], version)

    def judge_insufficient(self, event):
        """At some version between the first that it may have met and the last, the amount was too
        much; a transfer of several legs, and the reverse of one, may lack at any of them."""
        if event.name not in SPENDS:
            return
        name = event.words[1]
        amount = int(event.words[3 if event.name == "TRANSFER" else 2])
        account = self.journal.account(name)
        version = max(1, self.told[name].before(event.start))
        while (state := account.at(version)) is not None:
            if self.sent.get(state.key, 0) > event.end:
                break
            if state.balance - state.held - amount < state.floor:
                return
            version += 1
        self.wrong(event, f"{name} had enough all the time")

    def judge_canspend(self, event, excused):
        """DENY is the store's word; UNKNOWN is for when it cannot be asked."""
        answer, reason, available, version, source = event.reply
        if answer == "UNKNOWN":
            if not excused:
                self.wrong(event, "UNKNOWN while the store was well")
            return
        self.judge_reply(event)
        account = self.journal.account(event.words[1])
        state = account.at(int(version or 0)) if account else None
        if answer == "DENY" and source != "sql":
            self.wrong(event, "denied by the cache")
        if state is None:
            return
        if int(available) != state.balance - state.held:
            self.wrong(event, f"available is shown as {available}, it is {state}")
        may = state.status == "active" and int(available) - int(event.words[2]) >= state.floor
        if may != (answer == "ALLOW"):
            self.wrong(event, f"{answer} for {reason} at {state}")

    # --- one key ---

    def judge_key(self, key, attempts):
        done = [event for event in attempts if event.code == "OK"]
        opened = attempts[0].name == "OPEN"
        found = self.journal.account(key) if opened else self.journal.keys.get(key)
        last = max(attempts, key=lambda event: event.end)
        if done:
            if found is None:
                self.wrong(done[0], f"acknowledged, and {key} is not in the store")
            elif not opened:
                self.judge_results(key, done, found)
        elif self.is_settled(attempts):
            if found is not None:
                self.wrong(last, f"answered as not applied, and {key} is in the store")
        else:
            self.wrong(last, f"{key} has no definite answer in the end")

    @staticmethod
    def is_settled(attempts):
        """Every attempt that may have been applied was followed by a definite refusal."""
        doubt = max((event.end for event in attempts if event.code in ("UNKNOWN", LOST)),
                    default=0)
        definite = max((event.start for event in attempts if event.code not in NOT_DEFINITE),
                       default=0)
        return doubt == 0 or definite > doubt

    def judge_results(self, key, done, found):
        fields = ("transfer", "hold", "charge", "state", "account", "balance", "available",
                  "version", "to", "to_balance", "to_version", "floor", "status")
        results = {tuple(event.reply.get(each) for each in fields) for event in done}
        if len(results) > 1:
            self.wrong(done[-1], f"{key} was answered in different ways: {results}")
        if sum(not event.reply.get("duplicate") for event in done) > 1:
            self.wrong(done[-1], f"{key} was done for the first time more than once")
        transfer, version = found
        first = done[0].reply
        if "transfer" not in first and done[0].name not in EVENTS:
            return  # a hold or charge: their ids stand in other tables
        if (transfer is not None and first.get("transfer") != transfer) or (
                transfer is None and version is not None and first.get("version") != version):
            self.wrong(done[0], f"{key} is {found} in the store")


def about(event, events, most_before=16, most_after=4):
    """The attempts at the same accounts around a wrong one."""
    names = set(filter(Verdict.names_account, event.words))
    same = [each for each in events if names & set(each.words)]
    return ([each for each in same if each.end <= event.end][-most_before:]
            + [each for each in same if each.end > event.end][:most_after])
