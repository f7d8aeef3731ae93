"""What the store says at the end of a chaos run: every version of every account, and every key."""

from bisect import bisect_right
from collections import namedtuple

# The state that a read shows; `key` is of the mutation that made it.
State = namedtuple("State", "balance held floor status key")

VERSIONS = """
select x.account, x.version, x.balance, x.held, x.floor, x.status, x.key
  from (select from_account as account, from_version as version, from_balance as balance,
               from_held as held, null::bigint as floor, null as status, key
          from ballast.transfer where from_version is not null
         union all
        select to_account, to_version, to_balance, to_held, null, null, key
          from ballast.transfer where to_version is not null
         union all
        select account_id, version, balance, held, floor, status, coalesce(key, account_id)
          from ballast.account_event) as x
 order by x.account, x.version
"""
KEYS = """
select m.key, m.transfer, coalesce(m.version, h.released_version)
  from ballast.mutation as m
  left join ballast.hold as h on h.hold = m.made and m.kind = 'release'
"""


class Account:
    """states[v - 1] is what a read shows at version v."""

    def __init__(self):
        self.states = []
        self.by_balance = {}

    def add(self, version, state):
        if version != len(self.states) + 1:
            raise AssertionError(f"version {version} follows {len(self.states)} in the journal")
        self.states.append(state)
        self.by_balance.setdefault(state.balance, []).append(version)

    def at(self, version):
        return self.states[version - 1] if 0 < version <= len(self.states) else None

    def newest_with(self, balance):
        versions = self.by_balance.get(balance)
        return versions[-1] if versions else None

    def oldest_with(self, balance, least):
        """The first version from `least` on that had this balance, or None."""
        versions = self.by_balance.get(balance, [])
        place = bisect_right(versions, least - 1)
        return versions[place] if place < len(versions) else None


class Journal:
    def __init__(self, box):
        self.accounts = {}
        for row in box.psql(VERSIONS).splitlines():
            name, version, balance, held, floor, status, key = row.split("|")
            account = self.accounts.setdefault(name, Account())
            last = account.states[-1] if account.states else None
            account.add(int(version), State(
                int(balance), int(held), int(floor) if floor else last.floor,
                status or last.status, key))
        self.keys = {}
        for row in box.psql(KEYS).splitlines():
            key, transfer, version = row.split("|")
            self.keys[key] = (transfer or None, version or None)
        self.moved = {key for key, (transfer, _) in self.keys.items() if transfer}

    def account(self, name):
        return self.accounts.get(name)
