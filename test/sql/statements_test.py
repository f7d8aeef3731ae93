"""The statements of sql/*.sql: their types are what their head comments promise, and they read
what was posted. The invariants come last, over everything that the other tests have left."""

import glob
import json
import os
import re
import sys
import time

from psql import Connection, Tests, post_batch

SQL = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../sql")
TYPES = {"int8": "bigint", "int4": "integer", "int2": "smallint", "text": "text",
         "bool": "boolean", "float8": "double precision", "text[]": "text[]"}
NOT_STATEMENTS = ("invariants", "migration_table")


def read(name):
    with open(os.path.join(SQL, name + ".sql"), encoding="utf-8") as file:
        return file.read()


def promised_types(text):
    comment = " ".join(line.lstrip("- ") for line in text.splitlines() if line.startswith("--"))
    rows = re.search(r"Rows: (.*?)(Locks:|$)", comment).group(1)
    return [TYPES[m.group(1)] for m in re.finditer(r"\b[a-z_]+ (int8|int4|int2|text|bool|float8)\b",
                                                   rows)]


def is_copy(name):
    """COPY cannot be prepared and has no parameters: numbers are put into its text."""
    return "\nCOPY (" in read(name)


def copy(connection, name, *numbers):
    """The rows of a COPY, as lists of texts."""
    text = read(name)
    for place, number in enumerate(numbers, 1):
        text = text.replace("$%d" % place, str(number))
    return [line[0].split("\t") for line in connection.run(text)]


def check_types(tests, connection, names):
    for name in names:
        text = read(name)
        connection.process.stdin.write(text + "\\gdesc\n")
        found = [row[1] for row in connection.run("")]
        tests.check("types of " + name, found == promised_types(text),
                    "%s, not %s" % (found, promised_types(text)))


class Store:
    """The statements, prepared, by name."""

    def __init__(self, connection, names):
        self.connection = connection
        for name in names:
            connection.run("PREPARE %s AS\n%s" % (name, read(name)))

    def __call__(self, name, *arguments):
        call = "(" + ", ".join(arguments) + ")" if arguments else ""
        return self.connection.run("EXECUTE " + name + call)


def post(connection, *rows):
    return connection.run(post_batch([dict(row, op=op) for op, row in enumerate(rows)]))


def move(kind, key, account, peer, amount, memo=None):
    return {"kind": kind, "key": key, "account": account, "peer": peer, "amount": amount,
            "memo": memo}


def check_reads(tests, store, connection):
    post(connection, {"kind": "open", "account": "q.a", "asset": "USD/2", "amount": -10},
         {"kind": "open", "account": "q.b", "asset": "USD/2"},
         move("credit", "q-1", "q.a", "@world", 100, "first"),
         move("transfer", "q-2", "q.a", "q.b", 30),
         {"kind": "setfloor", "key": "q-3", "account": "q.a", "amount": -20},
         move("debit", "q-4", "q.a", "@fees", 5))
    era = connection.run("SELECT id, state FROM ballast.era")[0]
    present = era + ["q.a", "USD/2", "65", "0", "-20", "active", "5"]
    got = store("read_accounts", "ARRAY['q.a', 'q.b', 'q.none']")
    tests.check("read_accounts", len(got) == 2 and present in got, str(got))
    got = store("read_accounts", "ARRAY['q.none']")
    tests.check("read_accounts of none still has the era", got == [era + [None] * 7], str(got))
    tests.check("read_accounts of an empty list still has the era",
                store("read_accounts", "ARRAY[]::text[]") == [era + [None] * 7])
    got = store("read_history", "'q.a'", "NULL", "10")
    shown = [[row[11], row[12], row[13], row[14], row[15], row[16], row[17]] for row in got]
    tests.check("read_history", all(row[:9] == present for row in got) and shown == [
        ["5", "-5", "65", "@fees", "debit", "q-4", None],
        ["3", "-30", "70", "q.b", "transfer", "q-2", None],
        ["2", "100", "100", "@world", "credit", "q-1", "first"]], str(got))
    tests.check("read_history's time", re.fullmatch(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", got[0][18]) is not None, str(got[0][18]))
    got = store("read_history", "'q.a'", "5", "1")
    tests.check("read_history before a version", [row[11] for row in got] == ["3"], str(got))
    got = store("read_history", "'q.none'", "NULL", "10")
    tests.check("read_history of none", got == [era + [None] * 17], str(got))
    got = store("explain_account", "'q.a'")[0]
    tests.check("explain_account", got[:2] == era and '"balance": 65' in got[2]
                and got[3].count('"kind"') == 5, str(got))
    tests.check("explain_account shows nothing that is only of the table",
                not {"room", "deferred"} & set(json.loads(got[2])), got[2])
    got = store("account_page", "'q.'", "2")
    tests.check("account_page", [row[0] for row in got] == ["q.a", "q.b"], str(got))


def check_balance_at(tests, store, connection):
    """Every version's time finds that version; bisection against a plain look at the journal."""
    post(connection, {"kind": "open", "account": "b.a", "asset": "USD/2"})
    for n in range(40):
        post(connection, move("credit", "b-%d" % n, "b.a", "@world", n + 1))
    times = connection.run("""
        SELECT version, balance, to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
          FROM (SELECT to_version AS version, to_balance AS balance, at
                  FROM ballast.transfer WHERE to_account = 'b.a'
                UNION ALL
                SELECT version, balance, at
                  FROM ballast.account_event WHERE account_id = 'b.a') AS x
         ORDER BY version""")
    wrong = [row for row in times
             if [list(reversed(r[9:])) for r in store("read_balance_at", "'b.a'", "'%s'" % row[2])]
             != [row[:2]]]
    tests.check("read_balance_at the time of each version", len(times) == 41 and not wrong,
                str(wrong))
    got = store("read_balance_at", "'b.a'", "'1999-01-01T00:00:00Z'")
    tests.check("read_balance_at before the opening", got[0][2] == "b.a"
                and got[0][9:] == [None, None], str(got))
    got = store("read_balance_at", "'b.none'", "'2030-01-01T00:00:00Z'")
    tests.check("read_balance_at of none", len(got) == 1 and got[0][2:] == [None] * 9, str(got))


def check_long_history(tests, store, connection):
    connection.run("""
        SELECT count(*) FROM ballast.post_batch(
            array_fill('credit'::text, ARRAY[20000]),
            ARRAY(SELECT 'long-' || i FROM generate_series(1, 20000) AS i),
            array_fill('b.a'::text, ARRAY[20000]), array_fill('@world'::text, ARRAY[20000]),
            array_fill(NULL::text, ARRAY[20000]), array_fill(1::bigint, ARRAY[20000]),
            array_fill(NULL::bigint, ARRAY[20000]), array_fill(NULL::text, ARRAY[20000]),
            ARRAY(SELECT generate_series(0, 19999)))""")
    took = []
    for _ in range(5):  # a busy machine is slow with one or the other
        start = time.monotonic()
        store("read_balance_at", "'b.a'", "'1999-01-01T00:00:00Z'")
        took.append(time.monotonic() - start)
    tests.check("read_balance_at does not walk the history", min(took) < 0.5, str(took))


def check_no_scans(tests, store, connection):
    """Not even where a scan looks cheap to the planner, as that of an empty table does."""
    connection.run("SET seq_page_cost = 0; SET cpu_tuple_cost = 0; SET cpu_operator_cost = 0; "
                   "DISCARD PLANS")
    for name, arguments in (("read_accounts", ["ARRAY['b.a', 'q.a']"]),
                            ("read_history", ["'b.a'", "NULL", "10"])):
        scans = """SELECT relname, seq_scan FROM pg_stat_xact_user_tables
                    WHERE relname IN ('account', 'transfer', 'account_event') ORDER BY relname"""
        connection.run("BEGIN")
        before = connection.run(scans)
        store(name, *arguments)
        after = connection.run(scans)
        connection.run("COMMIT")
        tests.check(name + " scans no table", len(before) == 3 and before == after,
                    str((before, after)))
    connection.run("RESET seq_page_cost; RESET cpu_tuple_cost; RESET cpu_operator_cost; "
                   "DISCARD PLANS")


def check_records(tests, store, connection):
    run = store("reconcile_start", "'test'", "1", "false")[0][0]
    finding = store("reconcile_finding", run, "'q.a'", "'row'", "'1'", "'2'", "false")
    finished = [store("reconcile_finish", run, "1", "2", "3", "0", "'clean'")[0][0]
                for _ in range(2)]
    tests.check("the record of a reconciliation", finding and finished == ["t", "f"])
    run = store("rebuild_start", "'test'", "7")[0][0]
    states = [store("rebuild_progress", run, "10", "5", "'%s'" % state)[0][0]
              for state in ("running", "done", "done")]
    tests.check("the record of a rebuild", states == ["t", "t", "f"], str(states))
    hello = store("daemon_hello")[0]
    tests.check("daemon_hello", hello[0] == "f" and hello[1] == "on" and int(hello[3]) >= 5
                and len(hello[5]) == 32 and len(hello[6]) == 8, str(hello))


def disagreeing(store, connection):
    accounts = [row[0] for row in connection.run("SELECT account_id FROM ballast.account")]
    return [account for account in accounts + ["q.gone"]
            if store("reconcile_account", "'" + account + "'")]


def check_reconcile(tests, store, connection):
    tests.check("reconcile_account finds nothing in a sound store",
                disagreeing(store, connection) == [], str(disagreeing(store, connection)))
    tests.check("reconcile_assets finds nothing in a sound store", store("reconcile_assets") == [])
    for damage, what in (
            ("UPDATE ballast.account SET balance = 66 WHERE account_id = 'q.a'", "balance"),
            ("UPDATE ballast.account SET version = 6 WHERE account_id = 'q.a'", "version"),
            ("DELETE FROM ballast.account_event WHERE account_id = 'q.a' AND version = 4", "gap"),
            ("UPDATE ballast.account_event SET version = 2 WHERE account_id = 'q.a' AND version = 4",
             "repetition"),
            ("UPDATE ballast.transfer SET amount = 6 WHERE key = 'q-4'", "journal")):
        connection.run("BEGIN; SET LOCAL session_replication_role = replica; " + damage)
        found = disagreeing(store, connection)
        assets = store("reconcile_assets")
        invariants = sum(len(rows) for _, rows in run_invariants(connection))
        connection.run("ROLLBACK")
        tests.check("reconcile_account finds a wrong " + what,
                    found == ["q.a"] and invariants > 0, str((found, invariants)))
        if what in ("balance", "journal"):
            tests.check("reconcile_assets finds a wrong " + what, len(assets) == 1, str(assets))
    connection.run("BEGIN; SET LOCAL session_replication_role = replica; "
                   "DELETE FROM ballast.account WHERE account_id = 'q.a'")
    found = store("reconcile_account", "'q.a'")
    connection.run("ROLLBACK")
    tests.check("reconcile_account finds a journal without a row",
                len(found) == 1 and found[0][:2] == [None, None], str(found))


def check_books(tests, connection):
    """What the streams hold is the tables, and of four parts each holds something else of it."""
    whole = {name: copy(connection, name, 0, 0)
             for name in ("books_accounts", "books_events", "books_movements")}
    for name, table in (("books_accounts", "account"), ("books_events", "account_event"),
                        ("books_movements", "transfer")):
        count = int(connection.run("SELECT count(*) FROM ballast." + table)[0][0])
        tests.check(name + " reads the table", len(whole[name]) == count > 0,
                    "%d, not %d" % (len(whole[name]), count))
    tests.check("books_accounts", ["q.a", "65", "5"] in whole["books_accounts"])
    tests.check("books_events", ["q.a", "4"] in whole["books_events"])
    tests.check("books_movements", ["q.a", "3", "q.b", "2", "30"] in whole["books_movements"]
                and ["\\N", "\\N", "q.a", "2", "100"] in whole["books_movements"])

    def sides(rows):
        return [tuple(side) + (row[4],) for row in rows for side in (row[:2], row[2:4])
                if side[0] != "\\N"]
    for name in whole:
        parts = [copy(connection, name, 3, part) for part in range(4)]
        whole_rows, part_rows = whole[name], [row for part in parts for row in part]
        if name == "books_movements":
            whole_rows, part_rows = sides(whole_rows), sides(part_rows)
        tests.check("the parts of " + name, all(parts)
                    and sorted(map(tuple, whole_rows)) == sorted(map(tuple, part_rows)))


def run_invariants(connection):
    for part in read("invariants").split(";"):
        name = re.search(r"^-- (\w+): ", part, re.MULTILINE)
        if name:
            yield name.group(1), connection.run(part)


def main():
    tests, connection = Tests(), Connection()
    names = sorted(os.path.basename(path)[:-4] for path in glob.glob(os.path.join(SQL, "*.sql")))
    names = [name for name in names if name not in NOT_STATEMENTS]
    names = [name for name in names if not is_copy(name)]
    check_types(tests, connection, names)
    store = Store(connection, names)
    check_reads(tests, store, connection)
    check_balance_at(tests, store, connection)
    check_long_history(tests, store, connection)
    check_no_scans(tests, store, connection)
    check_records(tests, store, connection)
    check_reconcile(tests, store, connection)
    check_books(tests, connection)
    rows = connection.run("SELECT account_id FROM ballast.account "
                          "WHERE (room IS NULL) <> (version > 1)")
    tests.check("an account gives its room up at its first posting", rows == [], str(rows[:5]))
    for name, rows in run_invariants(connection):
        tests.check("invariant " + name, rows == [], str(rows[:5]))
    connection.close()
    sys.exit(tests.failed > 0)


if __name__ == "__main__":
    main()
