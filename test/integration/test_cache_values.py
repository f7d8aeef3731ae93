"""What stands under an account's key, or does not, is not believed for that alone: values that are wrong,
and accounts that are not there (fault rows 24, 25 and 30)."""

import contextlib
import threading
import unittest

import harness
from cache_case import PREFIX, CacheCase
from checker import SLOWNESS, Change, trust_of


class Lies(CacheCase):
    """What stands at a key is wrong: the answer is right, the entry is mended, the event counts."""

    conf = harness.STEADY + "warm = no\n"  # it is the readers who mend here

    def setUp(self):
        super().setUp()
        self.account = self._testMethodName
        self.open(self.account, 250)
        self.open("neighbour", 7)
        self.value, self.neighbour = self.warm(self.account, "neighbour")
        self.key = PREFIX + self.account

    def read_right_and_mended(self, poisoned=True):
        change = Change(self.box.daemon)
        reads = (lambda: self.client.get(self.account) == "250",
                 lambda: self.client.mget("neighbour", self.account)[1] == "250",
                 lambda: self.balance(self.account)["balance"] == "250")
        for read in reads:
            self.assertTrue(read())
        count = change.of('cache_lookups_total{result="poisoned"}')
        self.assertEqual(count, 1 if poisoned else 0)
        self.assertEqual(self.balance(self.account)["source"], "cache")
        fresh = self.redis.get(self.key)
        self.assertEqual(fresh.split(" ")[:4], self.value.split(" ")[:4])
        self.assertEqual(trust_of(self.client), "trusting")

    @harness.level("quick")
    def test_another_accounts_value(self):
        self.redis.set(self.key, self.neighbour)
        self.read_right_and_mended()

    @harness.level("quick")
    def test_garbage(self):
        for garbage in ("0", "250", "", "\x00\xff", "nil", self.value[:-1], self.value + " ",
                        self.value + "\n", " " + self.value, self.value.lower().swapcase(),
                        "9" * 5000):
            with self.subTest(garbage[:40]):
                self.redis.set(self.key, garbage)
                self.read_right_and_mended()

    @harness.level("quick")
    def test_wrong_types(self):
        for name, make in (("list", lambda: self.redis.rpush(self.key, "250")),
                           ("hash", lambda: self.redis.hset(self.key, "balance", "250")),
                           ("set", lambda: self.redis.sadd(self.key, "250")),
                           ("sorted set", lambda: self.redis.zadd(self.key, {"250": 1})),
                           ("stream", lambda: self.redis.xadd(self.key, {"balance": "250"}))):
            with self.subTest(name):
                self.redis.delete(self.key)
                make()
                for _ in range(3):
                    self.assertEqual(self.client.get(self.account), "250")
                self.assertEqual(self.warm(self.account)[0].split(" ")[:4],
                                 self.value.split(" ")[:4])
                self.assertEqual(trust_of(self.client), "trusting")

    @harness.level("quick")
    def test_every_changed_digit(self):
        fields = self.value.split(" ")
        for place in range(len(fields) - 1):
            if fields[place].lstrip("-").isdigit():
                with self.subTest(place):
                    changed = list(fields)
                    changed[place] = fields[place][:-1] + str((int(fields[place][-1]) + 1) % 10)
                    self.redis.set(self.key, " ".join(changed))
                    self.assertEqual(self.client.get(self.account), "250")
                    self.assertEqual(self.warm(self.account)[0].split(" ")[:4],
                                     self.value.split(" ")[:4])
        changed = list(fields)
        changed[fields.index("250")] = "251"
        self.redis.set(self.key, " ".join(changed))
        self.read_right_and_mended()

    def test_status_and_case(self):
        for old, new in ((" 250 ", " 250 s "), (" 250 ", " 250 h0 "), ("USD/2", "EUR/2"), (" 250 ", " 0250 ")):
            with self.subTest(new):
                self.assertIn(old, self.value)
                self.redis.set(self.key, self.value.replace(old, new, 1))
                self.read_right_and_mended()

    @harness.level("quick")
    def test_an_older_value_of_an_old_era(self):
        old = self.redis.get(self.key)
        era = self.era()
        self.redis.flushall()
        self.client.get(self.account)
        self.new_era_since(era)
        self.credit(self.account, 50)
        self.redis.set(self.key, old)
        change = Change(self.box.daemon)
        self.assertEqual(self.client.get(self.account), "300")
        self.assertEqual(change.of('cache_lookups_total{result="old-era"}'), 1)
        self.warm(self.account)
        self.assertEqual(self.client.get(self.account), "300")

    @harness.level("quick")
    def test_a_token_left_behind(self):
        """With and without an expiry; of this era, of another, of a shape that no daemon makes."""
        era = self.value.split(" ")[0]
        for token in (f"~{era} 0123456789abcdef-7", "~1 0123456789abcdef-7", "~", "~~~"):
            for expiry in (None, 100000):
                with self.subTest((token, expiry)):
                    self.redis.set(self.key, token, px=expiry)
                    for _ in range(3):
                        self.assertEqual(self.client.get(self.account), "250")
                    self.warm(self.account)

    def test_a_token_under_a_mutation(self):
        era = self.value.split(" ")[0]
        self.redis.set(self.key, f"~{era} 0123456789abcdef-7")
        self.credit(self.account, 1)
        self.assertEqual(self.client.get(self.account), "251")

    def test_absence_of_another_account(self):
        """A remembered absence copied over an account that exists."""
        self.assertIsNone(self.client.get("not-there"))
        absence = harness.wait_for(lambda: self.redis.get(PREFIX + "not-there"), what="an entry")
        self.redis.set(self.key, absence)
        self.read_right_and_mended()

    def test_a_value_that_is_huge(self):
        """Redis itself is slow with it: not so slow that it would seem to be gone."""
        size = 16 << 20
        before = int(self.client.info("memory")["used_memory_peak"])
        self.redis.set(self.key, "x" * size)
        self.assertEqual(self.client.get(self.account), "250")
        self.warm(self.account)
        self.assertEqual(self.client.get(self.account), "250")
        after = int(self.client.info("memory")["used_memory_peak"])
        self.assertLess(after - before, size)


class Absence(CacheCase):
    """nil comes only from the store (invariant 5, rule T10)."""

    conf = harness.PATIENT

    @harness.level("quick")
    def test_unknown_ids_load_the_store_once(self):
        unknown = [f"once-{number}" for number in range(1000)]
        change = Change(self.box.daemon)
        self.assertEqual(self.client.mget(unknown), [None] * 1000)
        self.assertEqual(change.of("store_reads_total"), 1000)
        self.assertLessEqual(change.of("store_read_batches_total"), 3)
        change = Change(self.box.daemon)
        for _ in range(3):
            self.assertEqual(self.client.mget(unknown), [None] * 1000)
            self.assertIsNone(self.client.get(unknown[0]))
        self.assertEqual(change.of("store_reads_total"), 0)
        self.assertEqual(change.of('cache_lookups_total{result="negative"}'), 3003)

    @harness.level("quick")
    def test_open_after_nil_is_seen_at_once(self):
        for number in range(20):
            account = f"late-{number}"
            self.assertIsNone(self.client.get(account))
            self.assertIsNone(self.client.get(account))
            self.open(account)
            self.assertEqual(self.client.get(account), "0")
            self.assertEqual(self.balance(account)["version"], "1")
            self.assertEqual(self.client.exists(account), 1)

    def test_opened_in_between(self):
        """OPEN while reads of the same unknown account are under way, at several clients."""
        wrong = []

        def read(account, done):
            with contextlib.closing(self.box.client()) as client:
                opened = False
                while not done.is_set():
                    value = client.get(account)
                    if opened and value is None:
                        wrong.append(account)
                    opened = opened or value is not None
        for number in range(20):
            account, done = f"between-{number}", threading.Event()
            readers = [threading.Thread(target=read, args=(account, done)) for _ in range(3)]
            for reader in readers:
                reader.start()
            self.open(account)
            self.assertEqual(self.client.get(account), "0")
            done.set()
            for reader in readers:
                reader.join()
        self.assertEqual(wrong, [])

    def test_nothing_is_said_while_the_store_is_away(self):
        self.open("here", 1)
        self.warm("here")
        self.box.postgres.stop("immediate")
        try:
            self.redis.flushall()
            for words in (("GET", "here"), ("GET", "nobody"), ("MGET", "here", "nobody"),
                          ("BALANCE", "here"), ("BALANCE", "nobody"), ("EXISTS", "nobody")):
                self.assertRegex(self.refused("UNAVAILABLE", self.client, *words), "^UNAVAILABLE ")
        finally:
            self.box.postgres.start()
        # The warmed cache knows "here" before a reading link is up; "nobody" takes the store.
        harness.wait_for(lambda: self.client.get("nobody") is None, 30 * SLOWNESS, "the store")
        self.assertEqual(self.client.get("here"), "1")

    def test_remembered_absence_is_stale_while_the_store_is_away(self):
        self.assertIsNone(self.client.get("never"))
        self.assertIsNone(self.client.get("never"))
        self.client.execute_command("CLIENT", "STALE", "yes")
        self.box.postgres.stop("immediate")
        try:
            # The cache remembers it for longer than it is trusted.
            harness.wait_for(lambda: trust_of(self.client) != "trusting", 30 * SLOWNESS,
                             "the end of the lease")
            self.assertGreater(self.redis.pttl(PREFIX + "never"), 0)
            self.refused("UNAVAILABLE", self.client, "GET", "never")
            self.refused("UNAVAILABLE", self.client, "BALANCE", "never")
        finally:
            self.box.postgres.start()
        harness.wait_for(lambda: self.client.get("trust-probe") == "0", 30 * SLOWNESS, "the store")


if __name__ == "__main__":
    unittest.main()
