"""Two sessions at once: the same keys, opposite orders, refusals, openings, and the roll-up."""

import os
import random
import sys
import time

from psql import Connection, SqlError, Tests, post_batch

DEADLINE_S = 30


def credit(key, account, amount=1, kind="credit"):
    return {"kind": kind, "key": key, "account": account, "peer": "@world", "amount": amount}


def batch(rows):
    return post_batch([dict(row, op=op) for op, row in enumerate(rows)])


def opening(names):
    return batch([{"kind": "open", "account": name, "asset": "USD/2", "amount": 0}
                  for name in names])


def outcomes(rows):
    return [(row[2], row[11] == "t") for row in sorted(rows, key=lambda r: int(r[0]))
            if row[1] == "0"]


def wait_until_blocked(connection, pid):
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        if connection.run("SELECT count(*) FROM pg_stat_activity WHERE pid = %s"
                          " AND wait_event_type = 'Lock'" % pid) == [["1"]]:
            return True
    return False


def same_keys(tests, one, two, watch):
    pid = two.run("SELECT pg_backend_pid()")[0][0]
    for end, expected in (("COMMIT", ("OK", True)), ("ROLLBACK", ("OK", False))):
        keys = ["same-%s-%d" % (end, n) for n in range(3)]
        one.run(opening(["same.a", "same.b"]))
        one.run("BEGIN")
        one.run(batch([credit(keys[n], "same.a") for n in (0, 1, 2)]))
        two.send(batch([credit(keys[n], "same.a") for n in (2, 1, 0)]))
        blocked = wait_until_blocked(watch, pid)
        one.run(end)
        got = outcomes(two.receive())
        tests.check("the same keys in two sessions, the first to " + end,
                    blocked and got == [expected] * 3, str((blocked, got)))
    left = watch.run("SELECT balance, version FROM ballast.account WHERE account_id = 'same.a'")
    tests.check("the same keys took effect once", left == [["6", "7"]], str(left))


def waiting_for_a_row(tests, one, two, watch):
    """A session that waits for an account decides on what the other left."""
    pid = two.run("SELECT pg_backend_pid()")[0][0]
    one.run(opening(["wait.a", "wait.b"]))
    one.run(batch([credit("wait-0", "wait.a", 100)]))
    for kind in ("debit", "transfer"):
        peer = "@fees" if kind == "debit" else "wait.b"
        one.run("BEGIN")
        one.run(batch([credit("wait-1" + kind, "wait.a", 70, "debit")]))
        two.send(batch([dict(credit("wait-2" + kind, "wait.a", 31, kind), peer=peer),
                        dict(credit("wait-3" + kind, "wait.a", 30, kind), peer=peer)]))
        blocked = wait_until_blocked(watch, pid)
        one.run("COMMIT")
        got = outcomes(two.receive())
        tests.check("a %s that waited sees what was committed" % kind,
                    blocked and got == [("INSUFFICIENT", False), ("OK", False)], str(got))
        one.run(batch([credit("wait-4" + kind, "wait.a", 100)]))


def opened_twice(tests, one, two, watch):
    pid = two.run("SELECT pg_backend_pid()")[0][0]
    one.run("BEGIN")
    one.run(opening(["twice.a"]))
    two.send(opening(["twice.a"]))
    blocked = wait_until_blocked(watch, pid)
    one.run("COMMIT")
    got = two.receive()
    tests.check("an account opened by two at once is created by one",
                blocked and got[0][2] == "OK" and got[0][12] == "f", str(got))


def decide(kind, key, account, amount=1, target=None, memo=None):
    return {"kind": kind, "key": key, "account": account, "amount": amount, "target": target,
            "memo": memo}


def one_charge(tests, one, two, watch):
    """Of two sessions that begin a charge, the one that waited finds the other's."""
    pid = two.run("SELECT pg_backend_pid()")[0][0]
    one.run(opening(["charge.a"]))
    for end, expected in (("ROLLBACK", "OK"), ("COMMIT", "OPENCHARGE")):
        one.run("BEGIN")
        one.run(batch([decide("charge", "charge-1" + end, "charge.a", 5, 1)]))
        two.send("BEGIN;" + batch([decide("charge", "charge-2" + end, "charge.a", 5, 1)]))
        blocked = wait_until_blocked(watch, pid)
        one.run(end)
        got = outcomes(two.receive())
        two.run("ROLLBACK")
        tests.check("a charge that waited for another, which ended in " + end,
                    blocked and got == [(expected, False)], str((blocked, got)))


def fuses_of_the_fleet(tests, one, two, watch):
    """Two sessions count as one: the second waits, and finds that the fuse lets no more pass."""
    pid = two.run("SELECT pg_backend_pid()")[0][0]
    one.run(opening(["fuse.%d" % n for n in range(4)]))
    for session in (one, two):
        session.run("SET ballast.fuses = 'charges=9,0 suspensions=2,0 window=600'")
    one.run("SELECT ballast.reset_fuse('suspensions', 'test', 'a clean start')")
    one.run(batch([decide("suspend", "fuse-0", "fuse.0", None)]))
    one.run("BEGIN")
    one.run(batch([decide("suspend", "fuse-1", "fuse.1", None)]))
    two.send(batch([decide("suspend", "fuse-2", "fuse.2", None)]))
    blocked = wait_until_blocked(watch, pid)
    one.run("COMMIT")
    got = outcomes(two.receive())
    tests.check("a suspension that waited for another counts it",
                blocked and got == [("FUSE", False)], str((blocked, got)))
    # What is refused on other grounds waits for nobody.
    one.run("SELECT ballast.reset_fuse('suspensions', 'test', 'a clean start')")
    one.run("BEGIN")
    one.run(batch([decide("suspend", "fuse-3", "fuse.3", None)]))
    two.run("SET lock_timeout = '1s'")
    got = outcomes(two.run(batch([decide("suspend", "fuse-4", "fuse.2", None, memo="ifbelow"),
                                  decide("charge", "fuse-5", "fuse.2", 1, 0)])))
    one.run("ROLLBACK")
    for session in (one, two):
        session.run("RESET ballast.fuses; RESET lock_timeout")
    tests.check("refusals do not wait for the fuses",
                got == [("OK", False), ("NOTDUE", False)], str(got))


def expired_once(tests, one, two, watch):
    """A session that meets a hold which another one is ending; and a sweep that waits for none."""
    pid = two.run("SELECT pg_backend_pid()")[0][0]
    one.run(opening(["due.a", "due.b"]))
    one.run(batch([credit("due-1", "due.a", 100), credit("due-2", "due.b", 100)]))
    one.run(batch([decide("hold", "due-3", "due.a", 100, 1), decide("hold", "due-4", "due.b", 100, 1)]))
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline and watch.run(
            "SELECT bool_and(expires < now()) FROM ballast.hold WHERE account_id ~ '^due'") != [["t"]]:
        pass
    one.run("BEGIN")
    one.run(batch([credit("due-5", "due.a", 60, "debit")]))
    swept = two.run(batch([decide("expire", None, None, 100)]))
    tests.check("a sweep leaves out what is locked",
                [row[4] for row in swept if row[1] == "2"] == ["due.b"], str(swept))
    two.send(batch([credit("due-6", "due.a", 60, "debit"), credit("due-7", "due.a", 40, "debit")]))
    blocked = wait_until_blocked(watch, pid)
    one.run("COMMIT")
    got = outcomes(two.receive())
    left = watch.run("SELECT balance, held, version FROM ballast.account WHERE account_id = 'due.a'")
    tests.check("a hold that another session was ending has ended once",
                blocked and got == [("INSUFFICIENT", False), ("OK", False)] and
                left == [["0", "0", "6"]], str((blocked, got, left)))


def locked_behind_the_look(tests, one, two, watch):
    """An account that somebody locks after a sweep has found it free is passed by as well: the sweep is
    stopped in between by an account that its batch names."""
    pid = two.run("SELECT pg_backend_pid()")[0][0]
    one.run(opening(["behind.a", "behind.b"]))
    one.run(batch([credit("behind-1", "behind.b", 100)]))
    one.run(batch([decide("hold", "behind-2", "behind.b", 100, 1)]))
    one.run("SET session_replication_role = replica; UPDATE ballast.hold SET "
            "expires = expires - interval '1 hour' WHERE account_id = 'behind.b'; "
            "RESET session_replication_role")
    one.run("BEGIN")
    one.run(batch([credit("behind-3", "behind.a")]))
    two.send("SET lock_timeout = '9s';"
             + batch([decide("expire", None, None, 1000), credit("behind-4", "behind.a")]))
    blocked = wait_until_blocked(watch, pid)
    watch.run("BEGIN; SELECT FROM ballast.account WHERE account_id = 'behind.b' FOR UPDATE")
    one.run("COMMIT")
    try:
        got = outcomes(two.receive())
    except SqlError as error:
        got = str(error)[:200]
    watch.run("ROLLBACK")
    two.run("RESET lock_timeout")
    tests.check("a sweep does not wait for what was locked after it looked",
                blocked and got == [("OK", False)] * 2, str((blocked, got)))
    swept = two.run(batch([decide("expire", None, None, 1000)]))
    tests.check("and posts it when it is free",
                "behind.b" in [row[4] for row in swept if row[1] == "2"], str(swept))


def ended_at_once(tests, one, two, watch):
    """A batch of ends of holds that waited for the account: what the other session has ended meanwhile
    is over, the rest takes effect."""
    pid = two.run("SELECT pg_backend_pid()")[0][0]
    one.run(opening(["ends.a", "ends.b"]))
    one.run(batch([credit("ends-0", "ends.a", 100), credit("ends-1", "ends.b", 100)]))
    for end, expected in (("COMMIT", "NOHOLD"), ("ROLLBACK", "OK")):
        made = one.run(batch([decide("hold", "ends-2%s%d" % (end, n), account, 10)
                              for n, account in enumerate(["ends.a", "ends.a", "ends.b"])]))
        ids = [int(row[3]) for row in sorted(made, key=lambda r: int(r[0]))]
        one.run("BEGIN")
        one.run(batch([{"kind": "capture", "key": "ends-3" + end, "target": ids[0],
                        "peer": "@fees"}]))
        two.send(batch([{"kind": "release", "key": "ends-4" + end, "target": ids[0]},
                        {"kind": "capture", "key": "ends-5" + end, "target": ids[1],
                         "peer": "@fees", "amount": 4},
                        credit("ends-6" + end, "ends.a", 1),
                        {"kind": "release", "key": "ends-7" + end, "target": ids[2]}]))
        blocked = wait_until_blocked(watch, pid)
        one.run(end)
        got = outcomes(two.receive())
        tests.check("ends of holds that waited for one which ended in " + end,
                    blocked and got == [(expected, False)] + [("OK", False)] * 3,
                    str((blocked, got)))
    left = watch.run("SELECT balance, held, version FROM ballast.account"
                     " WHERE account_id ~ '^ends' ORDER BY account_id")
    tests.check("holds that two sessions were ending have ended once",
                left == [["84", "0", "12"], ["100", "0", "6"]], str(left))


def ended_alone_at_once(tests, one, two, watch):
    """The same of one end of a hold by itself."""
    pid = two.run("SELECT pg_backend_pid()")[0][0]
    one.run(opening(["alone.a"]))
    one.run(batch([credit("alone-0", "alone.a", 100)]))
    for end, expected in (("COMMIT", "NOHOLD"), ("ROLLBACK", "OK")):
        made = one.run(batch([decide("hold", "alone-1" + end, "alone.a", 10)]))
        one.run("BEGIN")
        one.run(batch([{"kind": "capture", "key": "alone-2" + end, "target": int(made[0][3]),
                        "peer": "@fees"}]))
        two.send(batch([{"kind": "release", "key": "alone-3" + end, "target": int(made[0][3])}]))
        blocked = wait_until_blocked(watch, pid)
        one.run(end)
        got = outcomes(two.receive())
        tests.check("an end of a hold that waited for one which ended in " + end,
                    blocked and got == [(expected, False)], str((blocked, got)))
    left = watch.run("SELECT balance, held, version FROM ballast.account"
                     " WHERE account_id = 'alone.a'")
    tests.check("a hold that two sessions were ending has ended once",
                left == [["90", "0", "6"]], str(left))


def locked_in_front(tests, one, two, watch):
    """An account that is locked, with all of the holds that have waited longest, is in nobody's way."""
    one.run(opening(["front.a", "front.b", "front.c", "front.d"]))
    one.run(batch([credit("front-%s" % name, "front.%s" % name, 100) for name in "abcd"]))
    for name in "abcd":
        one.run(batch([decide("hold", "front-%s-%d" % (name, n), "front.%s" % name, 1, 10 + n)
                       for n in range(20)]))
        watch.run("SET session_replication_role = replica; UPDATE ballast.hold SET "
                  "begun_at = begun_at - interval '1 year', expires = expires - interval '1 year' "
                  "WHERE account_id = 'front.%s'" % name)
    watch.run("RESET session_replication_role")
    one.run("BEGIN; SELECT FROM ballast.account WHERE account_id IN ('front.a', 'front.b') FOR UPDATE")
    two.run("SET lock_timeout = '1s'")
    swept = [two.run(batch([decide("expire", None, None, 15)])) for _ in range(4)]
    one.run("ROLLBACK")
    two.run("RESET lock_timeout")
    left = dict(watch.run("SELECT account_id, held FROM ballast.account "
                          "WHERE account_id ~ '^front'"))
    tests.check("a sweep passes by accounts that are locked, with whatever is due on them",
                left == {"front.a": "20", "front.b": "20", "front.c": "0", "front.d": "0"},
                str((swept, left)))
    for _ in range(3):
        two.run(batch([decide("expire", None, None, 1000)]))
    left = watch.run("SELECT sum(held) FROM ballast.account WHERE account_id ~ '^front'")
    tests.check("and ends it when they are free", left == [["0"]], str(left))


def mixed_batch(rng, names, session, turn, holds):
    rows = []
    for n in range(rng.randint(2, 12)):
        key = "mix-%d-%d-%d" % (session, turn, n)
        kind = rng.choice(["credit", "debit", "debit", "transfer", "open", "again", "mtransfer",
                           "hold", "suspend", "resume", "charge", "canspend", "expire",
                           "capture", "release"])
        account, peer = rng.sample(names, 2)
        if kind == "open":
            rows.append({"kind": "open", "account": account + ".%d" % (turn % 7),
                         "asset": "USD/2", "amount": 0})
        elif kind in ("canspend", "expire"):
            rows.append(decide(kind, None, account if kind == "canspend" else None, 1000))
        elif kind in ("hold", "suspend", "resume", "charge"):
            rows.append(decide(kind, key, account, 1 if kind in ("hold", "charge") else None,
                               1 if kind == "hold" else None))
        elif kind in ("capture", "release"):
            rows.append({"kind": kind, "key": key, "target": rng.choice(holds[-12:] or [1]),
                         "peer": "@fees" if kind == "capture" else None})
        elif kind in ("transfer", "mtransfer"):
            rows.append({"kind": kind, "key": key, "account": account, "peer": peer,
                         "amount": rng.randint(1, 60)})
        elif kind == "again":
            rows.append(credit("mix-again-%d" % rng.randint(0, 20), "mix.0", 1))
        else:
            rows.append(credit(key, account, rng.randint(1, 60), kind))
    rng.shuffle(rows)
    return rows


def other_key(key):
    """The second session's key for what the first does too; some are meant to meet."""
    return key if key is None or key.startswith("mix-again") else key + "-b"


def crossing(tests, sessions, rng, turns, simple):
    """Both sessions send at once, in opposite orders; a deadlock is an error from the server. simple:
    the only kinds, None for all; each hold is asked for by both."""
    names = ["mix.%d" % n for n in range(8)]
    sessions[0].run(opening(names))
    trouble, holds = None, []
    for turn in range(turns):
        rows = mixed_batch(rng, names, 0, turn, holds)
        if simple:
            rows = [r for r in rows if r["kind"] in simple]
            rows.append(credit("mix-simple-%d" % turn, names[0], 30))
            suffix = "-%d" % len(simple)
            rows = list({r["key"]: dict(r, key=r["key"] + suffix) for r in rows}.values())
        other = [dict(r, key=other_key(r.get("key"))) for r in reversed(rows)]
        sessions[0].send(batch(rows))
        sessions[1].send(batch(other))
        for session in sessions:
            try:
                kinds = {op: row["kind"] for op, row in enumerate(rows if session == sessions[0]
                                                                  else other)}
                holds += [int(r[3]) for r in session.receive()
                          if r[3] and kinds[int(r[0])] == "hold"]
            except SqlError as error:
                trouble = str(error)[:300]
        if trouble:
            break
    tests.check("opposite orders do not deadlock (%s)" % " ".join(simple or ["everything"]),
                not trouble, trouble)


def system_balance(connection, account):
    return sorted((row[0], int(row[1])) for row in connection.run(
        "EXECUTE read_system_balance('%s')" % account))


def rolled_up_to(connection, least):
    """Rolls up until the journal is in up to there, and returns up to where it is: once nothing older is
    under way, such as an analysis of a table by the server itself."""
    deadline, upto = time.monotonic() + DEADLINE_S, 0
    while upto < least and time.monotonic() < deadline:
        upto = int(connection.run("SELECT ballast.roll_up()")[0][0])
    return upto


def rolled_up(tests, one, two, watch):
    here = os.path.dirname(os.path.abspath(__file__))
    with open(os.path.join(here, "../../sql/read_system_balance.sql"), encoding="utf-8") as file:
        watch.run("PREPARE read_system_balance AS\n" + file.read())
    one.run(opening(["roll.a", "roll.b"]))

    def rows(name, key, amount):
        return batch([dict(credit(key, name, amount), peer="@roll")])

    tests.check("a system account never used has no balance",
                system_balance(watch, "@roll") == [])
    one.run(rows("roll.a", "roll-1", 5))
    one.run("BEGIN")
    one.run(rows("roll.a", "roll-2", 70))
    two.run(rows("roll.b", "roll-3", 900))
    before = [watch.run("SELECT ballast.roll_up()")[0][0] for _ in range(4)]
    late = one.run("SELECT max(transfer) FROM ballast.transfer WHERE key = 'roll-2'")[0][0]
    tests.check("the roll-up stays before an id that is still to come",
                all(int(upto) < int(late) for upto in before), str((before, late)))
    tests.check("a system account's balance, in part rolled up",
                system_balance(watch, "@roll") == [("USD/2", -905)],
                str(system_balance(watch, "@roll")))
    one.run("COMMIT")
    after = rolled_up_to(watch, int(late))
    tests.check("the roll-up advances once it has come", after >= int(late), str(after))
    watch.run("UPDATE ballast.system_roll_up SET pending_xact = '4611686018427387904'")
    two.run(rows("roll.b", "roll-restored", 1))
    two.run(batch([dict(credit("roll-restored-back", "roll.b", 1, "debit"), peer="@roll")]))
    restored = rolled_up_to(watch, after + 1)
    tests.check("and after a restore from a dump, in which transactions had higher numbers",
                restored > after, str((after, restored)))
    tests.check("a system account's balance, rolled up",
                system_balance(watch, "@roll") == [("USD/2", -975)],
                str(system_balance(watch, "@roll")))
    one.run("BEGIN")
    one.run(rows("roll.a", "roll-youngest", 25))
    late = one.run("SELECT max(transfer) FROM ballast.transfer WHERE key = 'roll-youngest'")[0][0]
    before = [watch.run("SELECT ballast.roll_up()")[0][0] for _ in range(4)]
    tests.check("the roll-up waits for the youngest transaction, too",
                all(int(upto) < int(late) for upto in before), str((before, late)))
    one.run("COMMIT")
    one.run("BEGIN")
    one.run(rows("roll.a", "roll-own", 1))
    try:
        got = one.run("SELECT ballast.roll_up()")
    except SqlError as error:
        got = str(error)
    one.run("ROLLBACK")
    tests.check("the roll-up is refused where ids are drawn before it",
                "a transaction of its own" in got, str(got))
    most = 2 ** 63 - 1000
    two.run(rows("roll.a", "roll-4", most))
    two.run(rows("roll.b", "roll-5", most - 900))
    beyond = [("USD/2", -1000 - 2 * most + 900)]
    tests.check("a system account's balance beyond int64",
                system_balance(watch, "@roll") == beyond, str(system_balance(watch, "@roll")))
    for _ in range(3):
        watch.run("SELECT ballast.roll_up()")
    tests.check("the same, rolled up", system_balance(watch, "@roll") == beyond)


def heard(tests, one, two):
    """post() announces what it changed, at the commit; post_batch() leaves that to its caller."""
    two.run("LISTEN ballast_journal")
    one.run(opening(["note.a", "note.b"]))
    one.run(batch([credit("note-1", "note.a", 50)]))
    quiet = two.run("SELECT 1")
    one.run("SELECT * FROM ballast.post('note-2', 'note.a', 'note.b', 20)")
    noise = two.run("SELECT 1")
    tests.check("post() notifies, post_batch() does not",
                quiet == [["1"]] and "ballast_journal" in str(noise), str((quiet, noise)))
    announced = ("SELECT account_id, mark FROM ballast.announced('note', 10) "
                 "WHERE account_id LIKE 'note.%'")
    rows = one.run(announced)
    tests.check("post() announces both sides",
                [row[0] for row in rows] == ["note.a", "note.b"], str(rows))
    again = "SELECT outcome FROM ballast.post('note-3', '@world', 'note.b', 1)"
    forget = (f"SELECT ballast.forget_announced(ARRAY['note.a', 'note.b'], "
              f"ARRAY[{rows[0][1]}, {rows[1][1]}])")
    two.run("BEGIN")
    two.run(again)
    tests.check("what a posting under way announces again is left", one.run(forget) == [["1"]])
    two.run("COMMIT")
    rows = one.run(announced)
    tests.check("and stands with a new mark", [row[0] for row in rows] == ["note.b"], str(rows))
    tests.check("which the old one does not take away", one.run(forget) == [["0"]])
    one.run("SELECT ballast.forget_announced(ARRAY['note.b'], "
            f"ARRAY[{rows[0][1]}])")
    tests.check("but its own does", one.run(announced) == [])
    two.run("UNLISTEN *")


def main():
    chance = random.randrange(10 ** 9) if os.environ.get("BALLAST_TEST_LEVEL") == "full" else 2013
    seed = int(os.environ.get("SEED", chance))
    rng = random.Random(seed)
    tests = Tests()
    one, two, watch = Connection(), Connection(), Connection()
    same_keys(tests, one, two, watch)
    waiting_for_a_row(tests, one, two, watch)
    opened_twice(tests, one, two, watch)
    one_charge(tests, one, two, watch)
    fuses_of_the_fleet(tests, one, two, watch)
    expired_once(tests, one, two, watch)
    ended_at_once(tests, one, two, watch)
    ended_alone_at_once(tests, one, two, watch)
    locked_in_front(tests, one, two, watch)
    locked_behind_the_look(tests, one, two, watch)
    crossing(tests, (one, two), rng, 250, None)
    crossing(tests, (one, two), rng, 150, ["credit", "debit"])
    crossing(tests, (one, two), rng, 250, ["credit", "debit", "hold", "capture", "release"])
    rolled_up(tests, one, two, watch)
    heard(tests, one, two)
    print("# seed", seed)
    for connection in (one, two, watch):
        connection.close()
    sys.exit(tests.failed > 0)


if __name__ == "__main__":
    main()
