"""How long what hurts takes, in figures that are printed and bounded: an acknowledgement while Redis
hangs, the first right answer without Redis, and trust when it is back."""

import statistics
import time
import unittest

import harness
from checker import SLOWNESS, TwoCase, wait_trusted

LEASE_SECONDS = 1.0
WAIT_SECONDS = 1.1 * LEASE_SECONDS
PUBLISH_SECONDS = 0.05
# What a loaded machine adds to any of them.
NOISE_SECONDS = 1.0


class Figures(TwoCase):
    turns = 3

    def setUp(self):
        super().setUp()
        self.open("figure")
        self.cached_at_both("figure")

    def credit(self, client, key):
        started = time.monotonic()
        client.execute_command("CREDIT", "figure", 1, "KEY", key)
        return time.monotonic() - started

    def print_took(self, what, took, most):
        print(f"{what}: {statistics.median(took) * 1000:.0f} ms (median), "
              f"{max(took) * 1000:.0f} ms (worst of {len(took)}), at most {most * 1000:.0f} ms",
              flush=True)
        self.assertLess(min(took), (most + NOISE_SECONDS) * SLOWNESS, what)

    def trusted_at_both(self):
        for number in (1, 2):
            wait_trusted(self.box, daemon=number)

    def test_an_acknowledgement_while_redis_hangs(self):
        """At most the publish deadline, and W until no daemon can trust the era."""
        first, later = [], []
        for turn in range(self.turns):
            self.trusted_at_both()
            self.box.redis.pause()
            try:
                first.append(self.credit(self.first, f"hang-{turn}"))
                self.assertEqual(self.second.get("figure"), self.first.get("figure"))
                later.append(self.credit(self.first, f"hang-{turn}-later"))
            finally:
                self.box.redis.resume()
        self.print_took("acknowledged while Redis hangs", first, PUBLISH_SECONDS + WAIT_SECONDS)
        self.print_took("acknowledged with the era closed", later, PUBLISH_SECONDS)

    def test_answers_without_redis_and_trust_when_it_is_back(self):
        """No read fails; the first right answer comes as soon as the connection is known to be
        gone."""
        gone, back = [], []
        for _ in range(self.turns):
            self.trusted_at_both()
            self.box.redis.kill()
            started = time.monotonic()
            self.assertIsNotNone(self.first.get("figure"))
            gone.append(time.monotonic() - started)
            self.credit(self.second, f"gone-{time.monotonic_ns()}")
            self.box.redis.start()
            started = time.monotonic()
            harness.wait_for(
                lambda: all(client.info("trust")["trust"] == "trusting"
                            for client in (self.first, self.second)), 30 * SLOWNESS, "trust")
            back.append(time.monotonic() - started)
        self.print_took("the first right answer after Redis was killed", gone, 0.1)
        self.print_took("trusted again after Redis answered", back, 1.0)


if __name__ == "__main__":
    unittest.main()
