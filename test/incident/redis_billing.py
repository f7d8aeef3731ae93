"""The same usage, as it was done in 2013: balances in Redis, a missing one reads as zero, and what
cannot be written is lost. The double-entry books in SQL are kept, and nobody asks them."""

import threading
from collections import Counter

import redis

from ballast_billing import RECHARGE, THRESHOLD


class Redis:
    title = "as in 2013"

    def __init__(self, stage, processor, random, customers, name):
        self.processor = processor
        self.random = random
        self.redis = stage.box.redis.client(socket_timeout=2)
        self.customers = [f"{name}:{number:03}" for number in range(customers)]
        self.books = Counter()  # what the SQL knew all along
        self.lock = threading.Lock()
        self.suspended = set()
        self.reads = self.charges = self.wrong_charges = self.calls = 0
        self.wrong = []
        for account in self.customers:
            self.books[account] = RECHARGE
            self.redis.set(account, RECHARGE)

    def balance(self, account):
        try:
            return int(self.redis.get(account) or 0)
        except redis.RedisError:
            return 0

    def add(self, account, amount):
        try:
            self.redis.incrby(account, amount)
        except redis.RedisError:
            pass  # "billing is off": usage and credit are lost

    def use(self, account):
        if account in self.suspended:
            return
        amount = self.random.randint(50, 150)
        with self.lock:
            self.books[account] -= amount
        self.add(account, -amount)
        if self.balance(account) < THRESHOLD:
            self.recharge(account)

    def recharge(self, account):
        with self.lock:
            self.calls += 1
            due = self.books[account] < THRESHOLD
            reference = f"{account}/{self.calls}"
        if "SUCCEEDED" in self.processor.charge(reference, account):
            with self.lock:
                self.books[account] += RECHARGE
                self.charges += 1
                self.wrong_charges += not due
                if not due:
                    self.wrong.append(f"{account} was charged with {self.books[account]} in SQL")
            self.add(account, RECHARGE)
        elif self.processor.outcome(reference) == "FAILED":
            with self.lock:
                self.suspended.add(account)
                if self.books[account] >= 0:
                    self.wrong.append(f"{account} suspended with {self.books[account]} in SQL")

    def follow_up(self):
        pass

    def look(self):
        account = self.random.choice(self.customers)
        shown = self.balance(account)
        self.reads += 1
        if shown == 0 and self.books[account] > 0:
            with self.lock:
                self.wrong.append(f"{account} read as 0, {self.books[account]} in SQL")

    def finish(self):
        pass

    def report(self):
        return (f"{self.reads} reads, {self.charges} charges ({self.wrong_charges} of accounts that "
                f"had the money), {len(self.suspended)} suspensions, {len(self.wrong)} wrong answers")
