"""ballast import: real rows against their published balances, with everything killed on the way;
and rows that it must not take."""

import csv
import gzip
import io
import json
import subprocess
import unittest

import harness

BANK = harness.TOP.parent / "shared" / "data" / "bank.csv.gz"
BANK_FLOOR = -100000000
HEADER = "account,kind,amount,key\n"


def bank_rows(prefix):
    """The file with other accounts and keys, so that each test starts from nothing."""
    with gzip.open(BANK, "rt", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        row["account"] = prefix + row["account"]
        row["key"] = prefix + row["key"]
    return rows


class Import(harness.Case):
    def load(self, text, *words, expect=0, packed=False):
        """Imports the text over standard input; returns the process and the summary."""
        data = text.encode()
        command = harness.launcher() + [
            str(harness.BUILD / "ballast"), "-c", str(self.box.daemon.conf), "import", "-",
            "--json", *words]
        done = subprocess.run(command, input=gzip.compress(data) if packed else data,
                              capture_output=True, timeout=120, check=False)
        self.assertEqual(done.returncode, expect, done.stderr)
        return done, json.loads(done.stdout.splitlines()[-1])

    def test_opens_loads_and_repeats(self):
        text = HEADER + "a1,credit,500,a-1\na2,credit,7,a-2\na1,debit,200,a-3\n"
        _, first = self.load(text, "--asset", "USD/2")
        self.assertEqual((first["rows"], first["duplicates"], first["opened"]), (3, 0, 2))
        _, again = self.load(text, "--asset", "USD/2")
        self.assertEqual((again["rows"], again["duplicates"], again["opened"]), (3, 3, 0))
        self.assertEqual(self.box.client().mget("a1", "a2"), ["300", "7"])

    def test_takes_gzip_from_standard_input_and_quotes(self):
        text = ("\ufeffkey,memo,account,kind,amount,balance\r\n"
                'b-1,"one, ""two""",b1,credit,5,5\r\nb-2,,b1,debit,2,3')
        _, done = self.load(text, "--asset", "USD/2", packed=True)
        self.assertEqual((done["rows"], done["checked"]), (2, 2))
        self.assertEqual(
            self.box.psql("select memo from ballast.transfer where key = 'b-1'"), 'one, "two"')

    def test_a_damaged_gzip_file_fails(self):
        data = gzip.compress((HEADER + "".join(
            f"c1,credit,1,c-{i}\n" for i in range(5000))).encode())
        path = self.box.dir / "cut.csv.gz"
        path.write_bytes(data[:len(data) // 2])
        done = self.box.cli("import", path, "--asset", "USD/2", expect=1)
        self.assertIn("damaged or cut off", done.stderr)

    def test_a_bad_row_is_named_and_ends_it(self):
        self.load(HEADER + "d1,credit,1,d-0\n", "--asset", "USD/2")
        for number, (bad, what) in enumerate([
                ("d1,credit,0,d-bad", "amount"), ("d1,credit,1.5,d-bad", "amount"),
                ("d1,credit,-1,d-bad", "amount"), ("d1,gift,1,d-bad", "kind"),
                ("d 1,credit,1,d-bad", "account"), ("d1,credit,1,", "key"),
                ("d1,credit,1", "3 fields"), ('d1,credit,1,"d-bad', "quote"),
                ("d1,debit,99999,d-bad", "INSUFFICIENT"), ("@world,credit,1,d-bad", "system"),
                ("d1,credit,2,d-0", "KEYREUSED"),
                ("d1,credit,9223372036854775807,d-bad", "OVERFLOW")]):
            text = (HEADER + f"d1,credit,1,d-before-{number}\n" + bad +
                    f"\nd1,credit,1,d-after-{number}\n")
            done, summary = self.load(text, expect=1)
            with self.subTest(bad):
                self.assertEqual((summary["result"], summary["line"]), ("bad-row", 3))
                self.assertEqual(summary["rows"], 1)
                self.assertIn(b":3: ", done.stderr)
                self.assertIn(what.encode(), done.stderr)
                after = self.box.psql("select count(*) from ballast.mutation "
                                      f"where key in ('d-bad', 'd-after-{number}')")
                self.assertEqual(after, "0")

    def test_an_account_that_is_missing_or_other(self):
        _, missing = self.load(HEADER + "e1,credit,1,e-1\n", expect=1)
        self.assertEqual(missing["line"], 2)
        self.load(HEADER + "e1,credit,1,e-1\n", "--asset", "USD/2")
        done, other = self.load(HEADER + "e1,credit,1,e-2\n", "--asset", "EUR/2", expect=1)
        self.assertEqual((other["line"], other["rows"]), (2, 0))
        self.assertIn(b"EXISTS", done.stderr)

    def test_an_account_with_its_own_floor(self):
        self.box.client().execute_command("OPEN", "h1", "USD/2", "FLOOR", -50)
        rows = HEADER + "h1,debit,30,h-1\nh2,credit,1,h-2\nh1,debit,20,h-3\n"
        _, summary = self.load(rows, "--asset", "USD/2", "--floor", "-10")
        self.assertEqual((summary["rows"], summary["opened"]), (3, 1))
        self.assertEqual(self.box.psql("select account_id, floor from ballast.account where "
                                       "account_id in ('h1', 'h2') order by 1"), "h1|-50\nh2|-10")

    def test_a_balance_that_differs(self):
        text = "account,kind,amount,key,balance\nf1,credit,5,f-1,5\nf1,credit,5,f-2,11\n"
        for _ in range(2):  # the second time, as a duplicate
            done, summary = self.load(text, "--asset", "USD/2", expect=2)
            self.assertEqual((summary["result"], summary["line"]), ("difference", 3))
            self.assertIn(b"10", done.stderr)

    def test_usage_and_bad_files(self):
        self.box.cli("import", expect=64)
        self.box.cli("import", "x", "--asset", "usd", expect=64)
        self.box.cli("import", "x", "--window", "0", expect=64)
        self.box.cli("import", self.box.dir / "missing.csv", expect=1)
        self.box.cli("import", self.box.dir, expect=1)
        self.load("", expect=1)
        self.load("account,kind,amount\n", expect=1)

    def test_without_a_daemon(self):
        self.box.daemon.stop()
        try:
            path = self.box.dir / "small.csv"
            path.write_text(HEADER + "g1,credit,1,g-1\n")
            done = self.box.cli("import", path, "--asset", "USD/2", "--patience", "1", expect=69)
            self.assertIn("small.csv:2", done.stderr)
        finally:
            self.box.daemon.start()


@unittest.skipUnless(BANK.exists(), f"the data is not here: {BANK}")
class RealRows(harness.Case):
    """Every published balance, whatever happens on the way."""

    def start(self, prefix):
        self.rows = bank_rows(prefix)
        self.prefix = prefix
        self.path = self.box.dir / f"{prefix}.csv.gz"
        text = io.StringIO()
        writer = csv.DictWriter(text, self.rows[0].keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        self.path.write_bytes(gzip.compress(text.getvalue().encode(), 1))
        return self.spawn()

    def spawn(self):
        command = harness.launcher() + [
            str(harness.BUILD / "ballast"), "-c", str(self.box.daemon.conf), "import",
            str(self.path), "--json", "--asset", "CZK/2", "--floor", str(BANK_FLOOR)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   text=True)
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        return process

    def done_rows(self):
        return int(self.box.psql("select count(*) from ballast.transfer "
                                 f"where key like '{self.prefix}%'"))

    def await_rows(self, count):
        harness.wait_for(lambda: self.done_rows() >= count, 60, f"{count} rows")

    def finish(self, process):
        out, err = process.communicate(timeout=180)
        self.assertEqual(process.returncode, 0, err)
        summary = json.loads(out.splitlines()[-1])
        self.assertEqual((summary["rows"], summary["checked"]), (len(self.rows), len(self.rows)))
        return summary

    def check(self):
        """Each row once, and the last published balance of each account, in store and reads."""
        self.assertEqual(self.done_rows(), len(self.rows))
        last = {row["account"]: row["balance"] for row in self.rows}
        accounts = sorted(last)
        self.assertEqual(self.box.client().mget(accounts), [last[a] for a in accounts])
        stored = dict(line.split("|") for line in self.box.psql(
            "select account_id, balance from ballast.account "
            f"where account_id like '{self.prefix}%'").splitlines())
        self.assertEqual(stored, last)

    def test_all_of_it_and_once_more(self):
        summary = self.finish(self.start("plain-"))
        self.assertEqual(summary["duplicates"], 0)
        self.check()
        again = self.finish(self.spawn())
        self.assertEqual(again["duplicates"], len(self.rows))
        self.check()

    def test_killed_import_is_run_again(self):
        process = self.start("again-")
        self.await_rows(10000)
        process.kill()
        process.wait()
        summary = self.finish(self.spawn())
        self.assertGreaterEqual(summary["duplicates"], 10000)
        self.check()

    def test_daemon_killed(self):
        process = self.start("daemon-")
        for rows in (10000, 30000):
            self.await_rows(rows)
            self.box.daemon.kill()
            self.box.daemon.start()
        self.finish(process)
        self.check()

    def test_redis_flushed_and_killed(self):
        process = self.start("redis-")
        self.await_rows(10000)
        self.box.redis.client().flushall()
        self.await_rows(25000)
        self.box.redis.kill()
        self.await_rows(40000)
        self.box.redis.start()
        self.finish(process)
        self.check()

    def test_postgres_restarted(self):
        process = self.start("postgres-")
        for rows in (10000, 30000):
            self.await_rows(rows)
            self.box.postgres.restart("immediate")
        self.finish(process)
        self.check()
