"""A card processor that counts. Its answers are as bad as they come: some calls time out, whether the
card was charged or not, some answers come twice, and a card that is charged too often is refused."""

import threading
from collections import Counter

TIMEOUT_SHARE = 0.2
TWICE_SHARE = 0.2
CHARGES_A_CARD_MAX = 12  # then the bank takes it for fraud


class Processor:
    def __init__(self, random):
        self._random = random
        self._lock = threading.Lock()
        self._outcomes = {}       # by the merchant's reference
        self.calls = Counter()    # by reference
        self.charged = Counter()  # by account

    def charge(self, reference, account):
        """The answers that arrive: none where the call times out. The same reference is charged
        once, however often it is sent."""
        with self._lock:
            self.calls[reference] += 1
            if reference not in self._outcomes:
                accepted = self.charged[account] < CHARGES_A_CARD_MAX
                self.charged[account] += accepted
                self._outcomes[reference] = "SUCCEEDED" if accepted else "FAILED"
            chance = self._random.random()
            outcome = self._outcomes[reference]
        if chance < TIMEOUT_SHARE:
            return []
        return [outcome] * (2 if chance < TIMEOUT_SHARE + TWICE_SHARE else 1)

    def outcome(self, reference):
        """What became of it, asked later; None: it never arrived."""
        with self._lock:
            return self._outcomes.get(reference)

    def succeeded(self):
        with self._lock:
            return {each for each, outcome in self._outcomes.items() if outcome == "SUCCEEDED"}
