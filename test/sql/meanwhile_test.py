"""What another session commits between a posting's snapshot and its locks, and who is told of a
change that no answer shows."""

import sys
import time

from concurrency_test import DEADLINE_S, batch, credit, decide, opening, outcomes, wait_until_blocked
from psql import Connection, SqlError, Tests


def opened_meanwhile(tests, one, two, watch):
    """A batch waits for one account while another one of it is opened: that one is posted to, or
    refused, but not passed over with its key taken."""
    pid = two.run("SELECT pg_backend_pid()")[0][0]
    one.run(opening(["late.a"]))
    for name, rows in (
            ("late.b", [credit("late-1", "late.a"), credit("late-2", "late.b", 5)]),
            ("late.c", [decide("hold", "late-3", "late.a", 1), credit("late-4", "late.c", 5),
                        decide("hold", "late-5", "late.c", 2)])):
        one.run("BEGIN")
        one.run(batch([credit("late-0" + name, "late.a")]))
        two.send(batch(rows))
        blocked = wait_until_blocked(watch, pid)
        watch.run(opening([name]))
        one.run("COMMIT")
        got = outcomes(two.receive())
        again = outcomes(two.run(batch(rows)))
        left = watch.run("SELECT balance, held FROM ballast.account WHERE account_id = '%s'" % name)
        tests.check("an account that is opened while a batch of %s waits for another"
                    % " and ".join(sorted({row["kind"] for row in rows})),
                    blocked and got == [("OK", False)] * len(rows)
                    and again == [("OK", True)] * len(rows)
                    and left == [["5", "2" if name == "late.c" else "0"]],
                    str((blocked, got, again, left)))


def wait_until_due(watch, account):
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline and watch.run(
            "SELECT bool_and(expires < now()) FROM ballast.hold"
            " WHERE account_id = '%s'" % account) != [["t"]]:
        pass


def expired_by_a_refusal(tests, one, watch):
    """What post() does not do may have posted the expiry of a hold: daemons hear of that."""
    one.run(opening(["told.a"]))
    one.run("SELECT * FROM ballast.post('told-1', '@world', 'told.a', 100)")
    for key, amount, expected in (("told-2", 500, ["INSUFFICIENT", "f"]),
                                  ("told-1", 100, ["OK", "t"])):
        one.run(batch([decide("hold", "told-hold-" + key, "told.a", 10, 1)]))
        wait_until_due(watch, "told.a")
        one.run("DELETE FROM ballast.announcement")
        payer, payee = ("told.a", "@fees") if expected[0] != "OK" else ("@world", "told.a")
        got = one.run("SELECT outcome, duplicate FROM ballast.post('%s', '%s', '%s', %d)"
                      % (key, payer, payee, amount))
        held = watch.run("SELECT held FROM ballast.account WHERE account_id = 'told.a'")
        heard = watch.run("SELECT account_id FROM ballast.announcement")
        tests.check("what post() expires and then answers %s is announced" % expected,
                    got == [expected] and held == [["0"]] and heard == [["told.a"]],
                    str((got, held, heard)))
    one.run("DELETE FROM ballast.announcement")
    got = one.run("SELECT outcome FROM ballast.post('told-3', 'told.a', '@fees', 500)")
    heard = watch.run("SELECT account_id FROM ballast.announcement")
    tests.check("a refusal that changes nothing is not", got == [["INSUFFICIENT"]] and heard == [],
                str((got, heard)))


def expiries_are_noted(tests, one, watch):
    """A commit whose answer was lost has expired holds: under its number stands where, until the answer
    to it is known to have come."""
    one.run(opening(["noted.a", "noted.b"]))
    one.run(batch([credit("noted-1", "noted.a", 10), credit("noted-2", "noted.b", 10)]))
    one.run(batch([decide("hold", "noted-3", "noted.a", 1, 1),
                   decide("hold", "noted-4", "noted.b", 1, 1)]))
    wait_until_due(watch, "noted.b")
    rows = [credit("noted-5", "noted.b", 1), decide("expire", None, None, 1000)]
    one.run(batch(rows)[:-1] + ", p_commit => 4711)")
    left = watch.run("SELECT op, outcome, accounts FROM ballast.refusal WHERE commit_number = 4711")
    tests.check("where a commit has expired holds is noted",
                [row[:2] for row in left] == [["1", "OK"]]
                and {"noted.a", "noted.b"} <= set(left[0][2][1:-1].split(",")), str(left))
    one.run(batch([credit("noted-6", "noted.b", 1)])[:-1] + ", p_forget => 4711)")
    left = watch.run("SELECT count(*) FROM ballast.refusal WHERE commit_number = 4711")
    tests.check("and forgotten", left == [["0"]], str(left))


def other_collation(tests, one):
    """What is posted from columns of whatever collation is sorted as by daemons."""
    one.run(opening(["sorted.a", "sorted.B"]))
    one.run("CREATE TEMP TABLE job (key text COLLATE \"und-x-icu\", account text COLLATE \"C\")")
    one.run("INSERT INTO job VALUES ('sorted-1', 'sorted.a')")
    try:
        got = one.run("SELECT p.outcome FROM job, ballast.post(key, '@world', account, 5) AS p")
        got += one.run("SELECT p.outcome FROM job,"
                       " ballast.post(key || 'b', account, 'sorted.B', 5, key) AS p")
        got += one.run("SELECT p.outcome FROM job,"
                       " ballast.post('sorted-3', '@world', key || 'c', 5, key) AS p")
    except SqlError as error:
        got = str(error)
    tests.check("post() from columns of other collations",
                got == [["OK"], ["OK"], ["NOACCOUNT"]], str(got))


def main():
    tests = Tests()
    one, two, watch = Connection(), Connection(), Connection()
    opened_meanwhile(tests, one, two, watch)
    expired_by_a_refusal(tests, one, watch)
    expiries_are_noted(tests, one, watch)
    other_collation(tests, one)
    for connection in (one, two, watch):
        connection.close()
    sys.exit(tests.failed > 0)


if __name__ == "__main__":
    main()
