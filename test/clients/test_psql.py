"""psql, which posts through ballast.post(): the other way in, with the same rules and keys."""

import subprocess

import harness


class Psql(harness.BooksCase):
    def post(self, *arguments):
        """A line of ballast.post()'s result, as an application's role sees it."""
        values = ", ".join("null" if value is None else f"'{value}'" if isinstance(value, str)
                           else str(value) for value in arguments)
        return self.box.psql(f"set role ballast_poster; select * from ballast.post({values})")

    def test_what_psql_posts_is_read_through_the_daemon(self):
        client = self.box.client()
        client.execute_command("OPEN", "sql", "USD/2")
        client.execute_command("OPEN", "sql-peer", "USD/2")

        def cached():
            return harness.record(client.execute_command("BALANCE", "sql"))["source"] == "cache"
        for number in range(1, 21):
            # The value to be replaced stands in the cache.
            harness.wait_for(cached, what="a cached value")
            outcome, transfer, *rest = self.post(f"sql-{number}", "@world", "sql", 5).split("|")
            self.assertEqual((outcome, rest), ("OK", [str(5 * number), str(number + 1), "f"]))
            harness.wait_for(lambda: client.get("sql") == str(5 * number), what="the posting")
        row = harness.record(client.execute_command("HISTORY", "sql", "COUNT", 1)[0])
        self.assertEqual((row["transfer"], row["key"], row["amount"]), (transfer, "sql-20", "5"))
        # The same keys and rules on both ways in.
        reply = harness.record(client.execute_command("CREDIT", "sql", 5, "KEY", "sql-20"))
        self.assertEqual((reply["transfer"], reply["duplicate"]), (transfer, 1))
        client.execute_command("DEBIT", "sql", 10, "KEY", "sql-21", "MEMO", "m")
        self.assertTrue(self.post("sql-21", "sql", "@world", 10, "m").endswith("|90|22|t"))
        self.assertEqual(self.post("sql-22", "sql", "sql-peer", 30).split("|")[2:],
                         ["60", "23", "f"])
        harness.wait_for(lambda: client.mget("sql", "sql-peer") == ["60", "30"],
                         what="the transfer")
        for outcome, arguments in (("KEYREUSED", ("sql-22", "sql", "sql-peer", 31)),
                                   ("INSUFFICIENT", ("sql-23", "sql", "@world", 61)),
                                   ("NOACCOUNT", ("sql-23", "sql-none", "@world", 1)),
                                   ("ERR", ("sql-23", "sql", "sql", 1)),
                                   ("ERR", ("sql-23", "sql", "@world", 0)),
                                   ("ERR", ("sql 23", "sql", "@world", 1))):
            self.assertEqual(self.post(*arguments).split("|")[0], outcome, arguments)
        self.refused("KEYREUSED", client, "DEBIT", "sql", 6, "KEY", "sql-20")

    def test_what_is_rolled_back_is_not_seen(self):
        client = self.box.client()
        client.execute_command("OPEN", "sql-back", "USD/2")
        self.box.psql("begin; select ballast.post('sql-back-1', '@world', 'sql-back', 5); rollback")
        self.assertEqual(client.get("sql-back"), "0")
        reply = harness.record(client.execute_command("CREDIT", "sql-back", 7, "KEY", "sql-back-1"))
        self.assertEqual((reply["balance"], reply["duplicate"]), ("7", 0))

    def test_the_tables_are_not_written_but_by_posting(self):
        for statement in ("update ballast.account set balance = 1",
                          "insert into ballast.mutation (key, fingerprint, kind) "
                          "values ('x', 1, 'x')",
                          "delete from ballast.transfer"):
            done = subprocess.run(
                ["psql", "-Xq", "-h", "127.0.0.1", "-p", self.box.env["PGPORT"],
                 "-U", self.box.env["PGUSER"], "-d", self.box.env["PGDATABASE"],
                 "-c", "set role ballast_poster", "-c", statement],
                capture_output=True, text=True, check=False)
            self.assertIn("permission denied", done.stderr, statement)
