"""Users, roles and passwords."""

import signal
import subprocess

import harness
import resp

SECRETS = {"default": "plain", "reader": "r" * 512, "app": "p@ss wörd", "ops": "0"}
ROLES = {"default": "write", "reader": "read", "app": "write", "ops": "admin"}


class Auth(resp.Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        users = []
        for user, secret in SECRETS.items():
            (cls.box.dir / f"{user}.secret").write_text(secret + "\n", encoding="utf-8")
            users.append(f"user = {user} {ROLES[user]} {user}.secret")
        with resp.Connection(cls.box.daemon) as before:
            before.ask("OPEN", "alice", "USD/2")
            cls.box.daemon.configure("\n".join(["[auth]", *users]))
            cls.box.daemon.send(signal.SIGHUP)
            harness.wait_for(lambda: before.ask("PING").startswith("NOAUTH"), what="the reload")

    def setUp(self):
        """Connections are made by each test, as somebody."""

    def as_user(self, user, protocol=2):
        connection = self.connect()
        reply = connection.ask("HELLO", protocol, "AUTH", user, SECRETS[user])
        self.assertNotIsInstance(reply, resp.Failure, reply)
        return connection

    def test_nothing_without_authentication(self):
        connection = self.connect()
        for words in (("PING",), ("GET", "alice"), ("CREDIT", "alice", 1, "KEY", "no-1"),
                      ("CLIENT", "LIST"), ("COMMAND",), ("INFO",), ("CONFIG", "GET", "*"),
                      ("ECHO", "x"), ("SELECT", 0), ("CLIENT", "SETNAME", "x"), ("GET",)):
            self.assert_failure(connection.ask(*words), "NOAUTH", "Authentication required")
        self.assert_failure(connection.ask("HELLO", 3), "NOAUTH", "HELLO")
        self.assert_failure(connection.ask("NONSENSE"), "ERR", "unknown command")
        self.assert_status(connection.ask("RESET"), "RESET")
        self.assert_status(connection.ask("QUIT"), "OK")
        self.assertEqual(connection.await_end(), b"")
        self.assertEqual(self.box.psql("select count(*) from ballast.mutation where key = 'no-1'"),
                         "0")

    def test_passwords(self):
        connection = self.connect()
        for words in (("",), ("wrong",), ("plai",), ("plain ",), ("plain\0",), ("x" * 10000,),
                      ("default", "wrong"), ("app", "plain"), ("nobody", "plain"), ("", ""),
                      ("APP", SECRETS["app"]), ("app\0", SECRETS["app"])):
            self.assert_failure(connection.ask("AUTH", *words), "WRONGPASS",
                                "invalid username-password pair")
            self.assert_failure(connection.ask("PING"), "NOAUTH")
        self.assert_failure(connection.ask("AUTH", "a", "b", "c"), "ERR", "syntax error")
        self.assert_failure(connection.ask("AUTH"), "ERR", "wrong number of arguments")
        self.assert_status(connection.ask("AUTH", "plain"), "OK")
        self.assert_status(connection.ask("PING"), "PONG")
        for user, secret in SECRETS.items():
            self.assert_status(connection.ask("AUTH", user, secret), "OK")
            self.assertIn(f"user={user} ", connection.ask("CLIENT", "INFO"))
        # A failure takes nothing away, as in Redis.
        self.assert_failure(connection.ask("AUTH", "wrong"), "WRONGPASS")
        self.assertIn("user=ops ", connection.ask("CLIENT", "INFO"))

    def test_hello(self):
        connection = self.connect()
        self.assert_failure(connection.ask("HELLO", 3, "AUTH", "app", "x"), "WRONGPASS")
        self.assert_failure(connection.ask("HELLO", 3, "SETNAME", "me"), "NOAUTH")
        reply = connection.ask("HELLO", 3, "AUTH", "app", SECRETS["app"], "SETNAME", "me")
        self.assertEqual((type(reply), reply["proto"]), (dict, 3))
        self.assertEqual(connection.ask("CLIENT", "GETNAME"), "me")

    def test_reset_forgets_who_it_was(self):
        connection = self.as_user("ops", protocol=3)
        self.assert_status(connection.ask("RESET"), "RESET")
        self.assert_failure(connection.ask("PING"), "NOAUTH")
        self.assert_status(connection.ask("AUTH", "plain"), "OK")
        self.assertIsInstance(connection.ask("HELLO"), list)

    def test_roles(self):
        reads = (("GET", "alice"), ("MGET", "alice"), ("EXISTS", "alice"), ("BALANCE", "alice"),
                 ("HISTORY", "alice"), ("BALANCEAT", "alice", "2999-01-01T00:00:00Z"), ("INFO",),
                 ("COMMAND", "COUNT"), ("CLIENT", "ID"), ("CLIENT", "SETNAME", "x"), ("PING",))
        writes = (("OPEN", "bob", "USD/2"), ("CREDIT", "alice", 1, "KEY", "role-1"),
                  ("DEBIT", "alice", 1, "KEY", "role-2"),
                  ("TRANSFER", "@world", "alice", 1, "KEY", "role-3"),
                  ("MTRANSFER", "KEY", "role-4", "@world", "alice", 1),
                  ("REVERSE", 1, "KEY", "role-5"), ("SETFLOOR", "alice", 0, "KEY", "role-6"),
                  ("CLOSE", "bob", "KEY", "role-7"))
        admin = (("CLIENT", "LIST"), ("CLIENT", "KILL", "ID", 10**9), ("CONFIG", "GET", "*"),
                 ("CONFIG", "RESETSTAT"), ("SLOWLOG", "GET"), ("LATENCY", "HISTOGRAM"))
        for user, allowed, denied in (("reader", reads, writes + admin),
                                      ("default", reads + writes, admin),
                                      ("ops", reads + writes + admin, ())):
            connection = self.as_user(user)
            for words in denied:
                self.assert_failure(connection.ask(*words), "NOPERM", f"User {user} ")
            if user == "reader":
                self.assertEqual(self.box.psql("select count(*) from ballast.transfer"), "0")
            for words in allowed:
                reply = connection.ask(*words)
                code = reply.code if isinstance(reply, resp.Failure) else ""
                self.assertNotIn(code, ("NOPERM", "NOAUTH", "ERR"), (user, words, reply))

    def test_limits_before_authentication(self):
        for request in (b"*11\r\n", b"*2\r\n$4\r\nAUTH\r\n$16385\r\n"):
            connection = self.connect()
            connection.send_raw(request)
            self.assert_failure(connection.read(), "ERR", "Protocol error")
            self.assertEqual(connection.await_end(), b"")
        connection = self.as_user("reader")
        connection.send_raw(resp.encode("MGET", *["alice"] * 100, "x" * 17000))
        self.assert_failure(connection.read(), "ERR", "not an account")

    def test_what_was_in_flight_before_a_reset_is_answered(self):
        connection = self.as_user("app")
        replies = connection.ask_all([("GET", "alice"), ("RESET",), ("GET", "alice"),
                                      ("AUTH", "plain"), ("GET", "alice")])
        self.assertEqual((replies[1], replies[3]), ("RESET", "OK"))
        self.assertEqual(replies[0], replies[4])
        self.assert_failure(replies[2], "NOAUTH")

    def test_secrets_are_not_shown(self):
        connection = self.as_user("ops", protocol=3)
        connection.ask("AUTH", "reader", SECRETS["reader"])
        connection.ask("AUTH", "ops", "not-the-password")
        connection.ask("AUTH", "ops", SECRETS["ops"])
        shown = repr([connection.ask("CONFIG", "GET", "*"), connection.ask("SLOWLOG", "GET"),
                      connection.ask("CLIENT", "LIST"), connection.ask("INFO", "everything")])
        shown += self.box.daemon.log.read_text()
        for secret in (SECRETS["reader"], SECRETS["app"], "not-the-password"):
            self.assertNotIn(secret, shown)

    def test_an_address_beyond_loopback_needs_a_user(self):
        ballastd = str(harness.BUILD / "ballastd")
        conf = self.box.dir / "open.conf"

        def check(text):
            conf.write_text(text)
            done = subprocess.run(
                harness.launcher() + [ballastd, "-c", str(conf), "--check-config"],
                capture_output=True, text=True, check=False)
            return done.returncode, done.stderr
        for line in ("address = 0.0.0.0:6480", "address = [::]:6480", "address = 192.0.2.1:6480",
                     "http = 0.0.0.0:6481", "address = 127.0.0.1:6480\naddress = 0.0.0.0:6482"):
            status, text = check(f"[listen]\n{line}\n")
            self.assertEqual(status, 78, line)
            self.assertIn("refused without a user in [auth]", text)
            self.assertRegex(text, rf"^{conf}:\d+: ")
            status, text = check(f"[listen]\n{line}\n[auth]\nuser = app write app.secret\n")
            self.assertEqual((status, text), (0, ""), line)
        for line in ("address = 127.0.0.2:6480", "address = [::1]:6480"):
            self.assertEqual(check(f"[listen]\n{line}\n"), (0, ""))
