"""What another session commits between a posting's snapshot and its locks."""

import sys

from concurrency_test import batch, credit, decide, opening, outcomes, wait_until_blocked
from psql import Connection, Tests


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


def main():
    tests = Tests()
    one, two, watch = Connection(), Connection(), Connection()
    opened_meanwhile(tests, one, two, watch)
    for connection in (one, two, watch):
        connection.close()
    sys.exit(tests.failed > 0)


if __name__ == "__main__":
    main()
