"""The protocol: how requests are read, the commands of connections, and reads; what replies look
like on the wire, to the letter."""

import harness
import resp

BALANCE_FIELDS = ["account", "asset", "balance", "held", "available", "floor", "status", "version",
                  "source", "age_ms", "stale"]
HISTORY_FIELDS = ["transfer", "version", "amount", "balance", "counterparty", "kind", "key", "memo",
                  "at"]
DIGITS = "^[1-9][0-9]*$"


class Protocol(resp.Case):
    conf = harness.STEADY

    # --- from bytes to commands ---

    def test_any_case(self):
        connection = self.connect()
        connection.ask("oPeN", "case", "USD/2", "fLoOr", -5)
        reply = connection.ask("credit", "case", 7, "key", "case-1", "mEmO", "x", "From", "@bank")
        self.assertEqual(harness.record(reply)["balance"], "7")
        for word in ("get", "GET", "gEt"):
            self.assert_bulk(connection.ask(word, "case"), "7")
        self.assertIsNone(connection.ask("GET", "CASE"), "ids are not folded")
        self.assertEqual(connection.ask("client", "setname", "c"), "OK")

    def test_inline(self):
        connection = self.connect()
        connection.ask("OPEN", "inline", "USD/2")
        connection.send_raw(b'PING\r\nCREDIT inline 9 KEY "inline-1" MEMO "a \\"b\\" c"\n'
                            b"  GET   inline  \r\n\r\necho 'x y'\r\n")
        self.assert_status(connection.read(), "PONG")
        self.assertEqual(harness.record(connection.read())["balance"], "9")
        self.assert_bulk(connection.read(), "9")
        self.assert_bulk(connection.read(), "x y")
        self.assertEqual(connection.ask("HISTORY", "inline")[0][15], 'a "b" c')

    def test_empty_commands_are_passed_over(self):
        connection = self.connect()
        connection.send_raw(b"*0\r\n\r\n*-1\r\n\n" + resp.encode("ECHO", "") + b"*0\r\n")
        self.assert_bulk(connection.read(), "")
        self.assert_status(connection.ask("PING"), "PONG")

    def test_cut_anywhere(self):
        """The replies do not depend on how the bytes arrived."""
        connection = self.connect()
        connection.ask("OPEN", "cut", "USD/2")
        connection.ask("CREDIT", "cut", 5, "KEY", "cut-1")
        stream = resp.encode_all([("GET", "cut"), ("CREDIT", "cut", 5, "KEY", "cut-1"),
                                  ("ECHO", "a\r\nb"), ("NONE",)]) + b"GET cut\r\n"
        connection.send_raw(stream)
        whole = [connection.read() for _ in range(5)]
        self.assertEqual((whole[0], whole[2], whole[4]), ("5", "a\r\nb", "5"))
        for cut in range(1, len(stream)):
            connection.send_raw(stream[:cut])
            connection.send_raw(stream[cut:])
            self.assertEqual([connection.read() for _ in range(5)], whole, stream[:cut])
        for byte in stream:
            connection.send_raw(bytes([byte]))
        self.assertEqual([connection.read() for _ in range(5)], whole)

    def test_unknown_commands(self):
        connection = self.connect()
        self.assert_failure(connection.ask("SET", "a", "1"), "ERR", "unknown command 'SET'", "'a'")
        self.assert_failure(connection.ask("x" * 500), "ERR", "unknown command")
        self.assert_failure(connection.ask(""), "ERR", "unknown command ''")
        self.assert_failure(connection.ask("GET\r\nINJECTED"), "ERR", "unknown command")
        self.assert_failure(connection.ask("GET\0", "a"), "ERR", "unknown command")
        self.assert_failure(connection.ask("CLIENT", "NONE"), "ERR", "unknown subcommand 'NONE'")
        self.assert_status(connection.ask("PING"), "PONG")

    def test_every_arity(self):
        connection = self.connect(protocol=3)
        checked = 0

        def check(name, arity):
            nonlocal checked
            words = name.split("|")
            counts = {abs(arity) - 1} | ({arity + 1} if arity > 0 else set())
            for count in counts - set(range(len(words))):
                reply = connection.ask(*words, *["x"] * (count - len(words)))
                self.assert_failure(reply, "ERR", f"wrong number of arguments for '{name}'")
                checked += 1
        for name, arity, *rest in connection.ask("COMMAND"):
            subcommands = rest[-1]
            if not subcommands:
                check(name, arity)
            for subcommand in subcommands:
                check(*subcommand[:2])
        self.assertGreater(checked, 40)
        self.assert_status(connection.ask("PING"), "PONG")

    def test_syntax_errors_of_options(self):
        connection = self.connect()
        connection.ask("OPEN", "options", "USD/2")
        for words, part in (
                (("CREDIT", "options", 1, "KEY"), "arguments"),
                (("CREDIT", "options", 1, "KEY", "o", "MEMO"), "MEMO needs a value"),
                (("CREDIT", "options", 1, "KEY", "o", "KEY", "p"), "KEY is given twice"),
                (("CREDIT", "options", 1, "MEMO", "o"), "KEY is needed"),
                (("CREDIT", "options", 1, "KEY", "o", "TO", "@x"), "unexpected 'TO'"),
                (("CREDIT", "options", 1, "KEY", "o", "FROM", "other"), "not a system account"),
                (("CREDIT", "options", 1, "KEY", "o", "FROM", "@"), "not an account"),
                (("DEBIT", "options", 1, "KEY", "o", "FROM", "@x"), "unexpected 'FROM'"),
                (("MTRANSFER", "o", "KEY", "options", "@x", 1), "MTRANSFER KEY key from to"),
                (("MTRANSFER", "KEY", "o", "options", "@x"), "arguments"),
                (("MTRANSFER", "KEY", "o", "options", "@x", 1, "a"), "1 to 100 legs"),
                (("REVERSE", "1", "KEY"), "arguments"),
                (("REVERSE", "x", "KEY", "o"), "transfer must be"),
                (("REVERSE", "-1", "KEY", "o"), "transfer must be"),
                (("REVERSE", "0", "KEY", "o"), "transfer must be"),
                (("OPEN", "options", "USD/2", "FLOOR"), "FLOOR needs a value"),
                (("OPEN", "options", "USD/2", "KEY", "o"), "unexpected 'KEY'")):
            self.assert_failure(connection.ask(*words), "ERR", part)
        for words in (("BALANCE", "options", "FRESHER"), ("BALANCE", "options", "MINVERSION"),
                      ("BALANCE", "options", "MINVERSION", "-1"),
                      ("BALANCE", "options", "MINVERSION", "x"),
                      ("BALANCE", "options", "MAXAGE", "1.5"), ("HISTORY", "options", "COUNT", "0"),
                      ("HISTORY", "options", "COUNT", "1001"), ("HISTORY", "options", "BEFORE", 0)):
            self.assert_failure(connection.ask(*words), "ERR")
        self.assertEqual(connection.ask("BALANCE", "options")[15], "1", "no version was made")

    # --- what clients send on connect ---

    def test_ping_echo_select_quit(self):
        connection = self.connect()
        self.assert_status(connection.ask("PING"), "PONG")
        self.assert_bulk(connection.ask("PING", "hello"), "hello")
        self.assert_bulk(connection.ask("ECHO", "a\r\nb\0c"), "a\r\nb\0c")
        self.assert_status(connection.ask("SELECT", 0), "OK")
        self.assert_failure(connection.ask("SELECT", 1), "ERR", "DB index is out of range")
        self.assert_failure(connection.ask("SELECT", "x"), "ERR", "not an integer")
        self.assertEqual(connection.ask_all([("GET", "nobody"), ("QUIT",)]), [None, "OK"])
        self.assertEqual(connection.await_end(), b"")

    def test_nothing_behind_quit_is_run(self):
        connection = self.connect()
        connection.ask("OPEN", "quit", "USD/2")
        connection.send_raw(resp.encode_all([("CREDIT", "quit", 1, "KEY", "quit-1"), ("QUIT",),
                                             ("CREDIT", "quit", 1, "KEY", "quit-2")]))
        self.assertEqual(harness.record(connection.read())["balance"], "1")
        self.assert_status(connection.read(), "OK")
        self.assertEqual(connection.await_end(), b"")
        self.assert_bulk(self.connect().ask("GET", "quit"), "1")

    def test_hello(self):
        connection = self.connect()
        fields = ["server", "version", "proto", "id", "mode", "role", "modules"]
        flat = connection.ask("HELLO")
        self.assertEqual((flat[0::2], flat[1], flat[5]), (fields, "ballast", 2))
        reply = connection.ask("HELLO", 3, "SETNAME", "me")
        self.assertEqual((list(reply), reply["proto"], reply["modules"]), (fields, 3, []))
        self.assertEqual(connection.ask("CLIENT", "GETNAME"), "me")
        self.assert_failure(connection.ask("HELLO", 4), "NOPROTO")
        self.assert_failure(connection.ask("HELLO", "x"), "ERR", "not an integer")
        self.assert_failure(connection.ask("HELLO", 2, "SETNAME"), "ERR", "SETNAME")
        self.assert_failure(connection.ask("HELLO", 2, "AUTH", "someone", "x"), "WRONGPASS")
        self.assert_failure(connection.ask("HELLO", 2, "SETNAME", "a b"), "ERR")
        self.assertIsInstance(connection.ask("HELLO"), dict, "a refused HELLO changes nothing")
        self.assertIsInstance(connection.ask("HELLO", 2, "AUTH", "default", "any"), list)

    def test_reset(self):
        connection = self.connect(protocol=3)
        connection.ask("CLIENT", "SETNAME", "me")
        self.assert_status(connection.ask("RESET"), "RESET")
        self.assertIsInstance(connection.ask("HELLO"), list)
        self.assertIsNone(connection.ask("CLIENT", "GETNAME"))

    def test_names(self):
        connection = self.connect()
        self.assertIsNone(connection.ask("CLIENT", "GETNAME"))
        self.assert_status(connection.ask("CLIENT", "SETNAME", "worker-7"), "OK")
        self.assert_status(connection.ask("CLIENT", "SETINFO", "LIB-NAME", "lib(x_y)"), "OK")
        self.assert_status(connection.ask("CLIENT", "SETINFO", "lib-ver", "1.2"), "OK")
        for words in (("SETNAME", "two words"), ("SETNAME", "a\nb"), ("SETNAME", "x" * 5000),
                      ("SETINFO", "LIB-NAME", "a b"), ("SETINFO", "COLOUR", "red"),
                      ("NO-EVICT", "perhaps"), ("TRACKING", "ON")):
            self.assert_failure(connection.ask("CLIENT", *words), "ERR")
        for words in (("NO-EVICT", "on"), ("NO-TOUCH", "OFF"), ("STALE", "yes"), ("STALE", "no"),
                      ("TRACKING", "off")):
            self.assert_status(connection.ask("CLIENT", *words), "OK")
        info = dict(field.partition("=")[::2] for field in connection.ask("CLIENT", "INFO").split())
        self.assertEqual({name: info[name] for name in ("name", "lib-name", "lib-ver", "resp",
                                                        "cmd", "db")},
                         {"name": "worker-7", "lib-name": "lib(x_y)", "lib-ver": "1.2",
                          "resp": "2", "cmd": "client|info", "db": "0"})
        self.assertEqual(info["id"], str(connection.ask("CLIENT", "ID")))
        self.assert_status(connection.ask("CLIENT", "SETNAME", ""), "OK")
        self.assertIsNone(connection.ask("CLIENT", "GETNAME"))

    def test_list_and_kill(self):
        connection, by_id, by_address = (self.connect() for _ in range(3))
        port = by_address.socket.getsockname()[1]
        number = by_id.ask("CLIENT", "ID")
        self.assertEqual(len(connection.ask("CLIENT", "LIST", "ID", number).splitlines()), 1)
        listed = connection.ask("CLIENT", "LIST")
        self.assertIn(f"id={number} ", listed)
        self.assertIn(f"addr=127.0.0.1:{port} ", listed)
        self.assertEqual(connection.ask("CLIENT", "LIST", "TYPE", "pubsub"), "")
        self.assertEqual(connection.ask("CLIENT", "KILL", "ID", number), 1)
        self.assert_status(connection.ask("CLIENT", "KILL", f"127.0.0.1:{port}"), "OK")
        self.assertEqual((by_id.await_end(), by_address.await_end()), (b"", b""))
        self.assertEqual(connection.ask("CLIENT", "KILL", "ID", number), 0)
        self.assert_failure(connection.ask("CLIENT", "KILL", f"127.0.0.1:{port}"), "ERR",
                            "No such client")
        self.assert_failure(connection.ask("CLIENT", "KILL", "ID", "x"), "ERR")
        mine = connection.ask("CLIENT", "ID")
        self.assertEqual(connection.ask("CLIENT", "KILL", "ID", mine, "SKIPME", "yes"), 0)
        self.assertEqual(connection.ask("CLIENT", "KILL", "ID", mine, "SKIPME", "no"), 1)
        self.assertEqual(connection.await_end(), b"")

    def test_command(self):
        connection = self.connect(protocol=3)
        names = connection.ask("COMMAND", "LIST")
        self.assertEqual(connection.ask("COMMAND", "COUNT"), len(names))
        self.assertEqual([row[0] for row in connection.ask("COMMAND")], names)
        self.assertLessEqual(
            {"get", "mget", "exists", "balance", "history", "balanceat", "open", "credit", "debit",
             "transfer", "mtransfer", "reverse", "setfloor", "close", "auth", "ping", "echo",
             "select", "quit", "reset", "hello", "client", "command", "info", "config", "slowlog",
             "latency"}, set(names))
        get, none = connection.ask("COMMAND", "INFO", "get", "none")
        self.assertIsNone(none)
        self.assertEqual((get[:2], get[2], get[3:6]), (["get", 2], ["readonly", "fast"], [1, 1, 1]))
        self.assertIsInstance(get[2], resp.Set)
        self.assertEqual(connection.ask("COMMAND", "LIST", "FILTERBY", "PATTERN", "*transfer"),
                         ["mtransfer", "transfer"])
        self.assertEqual(connection.ask("COMMAND", "GETKEYS", "TRANSFER", "a", "b", 1, "KEY", "k"),
                         ["a", "b"])
        self.assertEqual(connection.ask("COMMAND", "GETKEYS", "MGET", "a", "b", "c"),
                         ["a", "b", "c"])

    def test_command_docs(self):
        connection = self.connect(protocol=3)
        everything = connection.ask("COMMAND", "DOCS")
        self.assertEqual(sorted(everything), sorted(connection.ask("COMMAND", "LIST")))
        for name, docs in everything.items():
            self.assertLessEqual({"summary", "since", "group"}, set(docs), name)
            self.assertTrue(docs["summary"].endswith("."), name)
        docs = connection.ask("COMMAND", "DOCS", "CREDIT", "none")
        self.assertEqual(list(docs), ["credit"])
        self.assertEqual([(argument["name"], argument.get("token"), "optional" in
                           argument.get("flags", [])) for argument in docs["credit"]["arguments"]],
                         [("account", None, False), ("amount", None, False), ("key", "KEY", False),
                          ("system-account", "FROM", True), ("memo", "MEMO", True)])

    def test_info_config_slowlog_latency(self):
        connection = self.connect(protocol=3)
        info = connection.ask("INFO")
        self.assertIsInstance(info, resp.Verbatim)
        self.assertRegex(info, r"(?m)^redis_version:\d+\.\d+\.\d+\r?$")
        server = connection.ask("INFO", "server")
        self.assertTrue(server.startswith("# Server"), server)
        self.assertNotIn("# Clients", server)
        self.assertEqual(connection.ask("INFO", "nonsense"), "")
        self.assertIn("cmdstat_info:", connection.ask("INFO", "commandstats"))
        self.assertEqual(connection.ask("CONFIG", "GET", "limits.pipeline", "save", "limits.pi*"),
                         {"limits.pipeline": "1024", "save": ""})
        self.assertEqual(connection.ask("CONFIG", "GET", "nonsense"), {})
        self.assert_failure(connection.ask("CONFIG", "SET", "limits.pipeline", "1"), "ERR",
                            "SIGHUP")
        self.assertEqual(connection.ask("SLOWLOG", "RESET"), "OK")
        self.assertEqual(connection.ask("SLOWLOG", "LEN"), 0)
        self.assertEqual(connection.ask("SLOWLOG", "GET"), [])
        connection.ask("PING")
        latency = connection.ask("LATENCY", "HISTOGRAM", "ping")
        self.assertEqual(list(latency["ping"]), ["calls", "histogram_usec"])
        for container in ("CLIENT", "COMMAND", "CONFIG", "LATENCY", "SLOWLOG"):
            self.assertIn("HELP", connection.ask(container, "HELP"))

    def test_unix_socket(self):
        connection = self.connect(protocol=3, unix=True)
        connection.ask("OPEN", "unix", "USD/2")
        self.assert_bulk(connection.ask("GET", "unix"), "0")

    # --- reads ---

    def open(self, account, *amounts, asset="USD/2"):
        """Credits and, for negative amounts, debits it; their keys are ACCOUNT/1 and so on."""
        self.connection.ask("OPEN", account, asset)
        for number, amount in enumerate(amounts, start=1):
            reply = self.connection.ask("CREDIT" if amount > 0 else "DEBIT", account, abs(amount),
                                        "KEY", f"{account}/{number}", "MEMO", f"memo {number}")
            self.assertIsInstance(reply, list, reply)

    def test_get(self):
        self.open("get", 1250)
        self.open("get-zero")
        for connection in (self.connection, self.three):
            self.assert_bulk(connection.ask("GET", "get"), "1250")
            self.assert_bulk(connection.ask("GET", "get-zero"), "0")
            self.assertIsNone(connection.ask("GET", "get-none"))
        for bad in ("", "x" * 65, "a b", "a\0b", "ä", "a/b", "@", "@" + "x" * 64):
            self.assert_failure(self.connection.ask("GET", bad), "ERR", "not an account")
        self.assert_failure(self.connection.ask("GET", "@world"), "ERR", "BALANCE")
        self.assertIsNone(self.connection.ask("GET", "x" * 64))

    def test_nil_on_the_wire(self):
        self.connection.send("GET", "nil")
        self.assertEqual(self.connection.read_line(), "$-1")
        self.three.send("GET", "nil")
        self.assertEqual(self.three.read_line(), "_")

    def test_mget_and_exists(self):
        self.open("mget-a", 5)
        self.open("mget-b", 7, -2)
        self.assertEqual(
            self.connection.ask("MGET", "mget-a", "mget-none", "mget-b", "mget-a", "mget-none"),
            ["5", None, "5", "5", None])
        self.assertEqual(
            self.connection.ask("EXISTS", "mget-a", "mget-none", "mget-a", "mget-b"), 3)
        self.assertEqual(self.connection.ask("EXISTS", "mget-none"), 0)
        self.assertEqual(self.connection.ask("EXISTS", "@world", "mget-a"), 2)
        self.assert_failure(self.connection.ask("MGET", "mget-a", "a b"), "ERR", "'a b'")
        self.assert_failure(self.connection.ask("MGET", "mget-a", "@world"), "ERR")
        many = [f"mget-many-{number}" for number in range(1000)]
        self.connection.ask_all([("OPEN", account, "USD/2") for account in many[::2]])
        self.assertEqual(self.connection.ask("MGET", *many), ["0", None] * 500)
        self.assertEqual(self.connection.ask("EXISTS", *many), 500)

    def test_balance(self):
        self.open("balance", 100, -30)
        self.connection.ask("SETFLOOR", "balance", -50, "KEY", "balance-floor")
        flat = self.connection.ask("BALANCE", "balance")
        reply = self.three.ask("BALANCE", "balance", "FRESH")
        self.assertEqual((flat[0::2], list(reply)), (BALANCE_FIELDS, BALANCE_FIELDS))
        self.assertEqual(reply, {
            "account": "balance", "asset": "USD/2", "balance": "70", "held": "0",
            "available": "70", "floor": "-50", "status": "active", "version": "4",
            "source": "sql", "age_ms": 0, "stale": 0})
        self.assertIsNone(self.connection.ask("BALANCE", "balance-none"))
        self.assertIsNone(self.connection.ask("BALANCE", "balance-none", "FRESH"))

    def test_where_a_balance_comes_from(self):
        self.open("source", 5)

        def cached(*words):
            reply = self.three.ask("BALANCE", "source", *words)
            self.assertEqual((reply["balance"], reply["version"]), ("5", "2"))
            return reply["source"] == "cache"
        harness.wait_for(cached, what="an answer from the cache")
        self.assertTrue(cached("MINVERSION", 2))
        self.assertTrue(cached("MAXAGE", 600000))
        self.assertTrue(cached("minversion", 1, "maxage", 600000))
        self.assertFalse(cached("FRESH"))
        self.assertFalse(cached("MINVERSION", 3))
        self.assertTrue(harness.wait_for(lambda: not cached("MAXAGE", 0), what="an old value"))
        self.assertFalse(cached("FRESH", "MINVERSION", 1))

    def test_balance_of_a_system_account(self):
        self.open("system-usd", 100, -30)
        self.open("system-eur", asset="EUR/3")
        self.connection.ask("CREDIT", "system-usd", 5, "KEY", "system-1", "FROM", "@till")
        self.connection.ask("DEBIT", "system-usd", 20, "KEY", "system-2", "TO", "@till")
        self.connection.ask("CREDIT", "system-eur", 8, "KEY", "system-3", "FROM", "@till")
        rows = [{"account": "@till", "asset": "EUR/3", "balance": "-8"},
                {"account": "@till", "asset": "USD/2", "balance": "15"}]
        self.assertEqual(self.three.ask("BALANCE", "@till"), rows)
        self.assertEqual(list(self.three.ask("BALANCE", "@till")[0]),
                         ["account", "asset", "balance"])
        self.assertEqual([harness.record(row) for row in self.connection.ask("BALANCE", "@till")],
                         rows)
        self.assertEqual(self.connection.ask("BALANCE", "@never"), [])

    def test_history(self):
        self.open("history-peer", 1)
        self.open("history", 100, -30)
        self.connection.ask("TRANSFER", "history", "history-peer", 10, "KEY", "history-t")
        self.connection.ask("SETFLOOR", "history", -1, "KEY", "history-f")
        self.connection.ask("TRANSFER", "history-peer", "history", 4, "KEY", "history-u",
                            "MEMO", "žluťoučký kůň")
        rows = self.three.ask("HISTORY", "history")
        self.assertEqual([list(row) for row in rows], [HISTORY_FIELDS] * 4)
        self.assertEqual([harness.record(row) for row in self.connection.ask("HISTORY", "history")],
                         rows)
        shown = [tuple(row[name] for name in HISTORY_FIELDS[1:-1]) for row in rows]
        self.assertEqual(shown, [
            ("6", "4", "64", "history-peer", "transfer", "history-u", "žluťoučký kůň"),
            ("4", "-10", "60", "history-peer", "transfer", "history-t", None),
            ("3", "-30", "70", "@world", "debit", "history/2", "memo 2"),
            ("2", "100", "100", "@world", "credit", "history/1", "memo 1")])
        for row in rows:
            self.assertRegex(row["transfer"], DIGITS)
            self.assertRegex(row["at"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$")

    def test_history_in_pages(self):
        self.open("pages", *[1] * 25)
        self.assertEqual(len(self.three.ask("HISTORY", "pages")), 10)
        self.assertEqual(len(self.three.ask("HISTORY", "pages", "COUNT", 1000)), 25)
        seen, before = [], ()
        while page := self.three.ask("HISTORY", "pages", "COUNT", 7, *before):
            seen += [int(row["version"]) for row in page]
            before = ("BEFORE", page[-1]["version"])
        self.assertEqual(seen, list(range(26, 1, -1)))
        self.assertEqual(self.three.ask("HISTORY", "pages", "BEFORE", 2), [])
        self.assertEqual(len(self.three.ask("HISTORY", "pages", "BEFORE", 2**63 - 1)), 10)
        self.open("pages-none")
        self.assertEqual(self.three.ask("HISTORY", "pages-none"), [])
        self.assertIsNone(self.three.ask("HISTORY", "pages-unknown"))
        self.assert_failure(self.three.ask("HISTORY", "@world"), "ERR")

    def test_balance_at(self):
        self.open("at", 100, -30, 5)
        times = [row["at"] for row in reversed(self.three.ask("HISTORY", "at"))]
        for time, balance, version in zip(times, ("100", "70", "75"), "234", strict=True):
            reply = self.three.ask("BALANCEAT", "at", time)
            self.assertEqual(list(reply), ["account", "balance", "version", "at"])
            self.assertEqual(reply, {"account": "at", "balance": balance, "version": version,
                                     "at": time})
            self.assertEqual(harness.record(self.connection.ask("BALANCEAT", "at", time)), reply)
        before = self.box.psql(
            f"select to_char('{times[1]}'::timestamptz at time zone 'UTC' - interval '1 us', "
            "'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')")
        self.assertEqual(self.three.ask("BALANCEAT", "at", before)["balance"], "100")
        self.assertEqual(self.three.ask("BALANCEAT", "at", "2999-12-31T23:59:59Z")["balance"], "75")
        self.assertIsNone(self.three.ask("BALANCEAT", "at", "1999-12-31T23:59:59.5+01:00"))
        self.assertIsNone(self.three.ask("BALANCEAT", "at-none", "2999-12-31T23:59:59Z"))
        offset = self.box.psql(
            f"select to_char('{times[1]}'::timestamptz at time zone 'UTC' + interval '5:30', "
            "'YYYY-MM-DD\"T\"HH24:MI:SS.US\"+05:30\"')")
        self.assertEqual(self.three.ask("BALANCEAT", "at", offset)["balance"], "70")
        for bad in ("", "now", "yesterday", "2024-05-01", "2024-05-01T12:00", "1714564800",
                    "2024-13-01T12:00:00Z", "2023-02-29T12:00:00Z", "2024-05-01T24:00:00Z",
                    "2024-05-01T12:00:00", "2024-05-01T12:00:00Z;", "2024-05-01T12:00:00.Z",
                    "2024-05-01T12:00:00Z" + "0" * 60, "-infinity", "epoch"):
            self.assert_failure(self.three.ask("BALANCEAT", "at", bad), "ERR", "RFC 3339")
        self.assert_failure(self.three.ask("BALANCEAT", "@world", times[0]), "ERR")
