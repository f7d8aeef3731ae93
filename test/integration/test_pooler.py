"""A daemon that is sent to PgBouncer instead of PostgreSQL (fault row 17): found out and refused with
the reason, and nothing is posted through it."""

import os
import shutil
import subprocess
import unittest

import harness
from checker import SLOWNESS, free_port

PGBOUNCER = shutil.which("pgbouncer", path=os.environ["PATH"] + ":/usr/sbin")


@harness.level("full")
@unittest.skipUnless(PGBOUNCER, "there is no pgbouncer here")
class Pooler(harness.BooksCase):
    conf = "[limits]\nrequest-timeout-ms = 1000\n"

    def setUp(self):
        self.port = free_port()
        self.daemon = self.box.daemon
        text = self.daemon.conf.read_text()
        self.addCleanup(self.daemon.conf.write_text, text)
        self.daemon.conf.write_text(text.replace(f"port={self.box.postgres.port}",
                                                 f"port={self.port}"))

    def pool(self, mode):
        """Starts PgBouncer, until the end of the test."""
        directory = self.box.dir / f"pooler-{mode}"
        directory.mkdir()
        conf = directory / "pgbouncer.ini"
        conf.write_text(
            f"[databases]\n* = host=127.0.0.1 port={self.box.postgres.port} user=postgres\n"
            f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {self.port}\nunix_socket_dir =\n"
            f"auth_type = any\nuser = postgres\npool_mode = {mode}\n")
        for path in (directory, conf):
            path.chmod(0o755)
        user = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []
        with open(self.box.dir / f"pooler-{mode}.log", "wb") as log:
            process = subprocess.Popen(user + [PGBOUNCER, str(conf)], stdin=subprocess.DEVNULL,
                                       stdout=log, stderr=log, cwd="/", start_new_session=True)

        def end():
            subprocess.run(["pkill", "-INT", "-P", str(process.pid)] if user
                           else ["kill", "-INT", str(process.pid)], check=False)
            process.wait()
        self.addCleanup(end)
        self.addCleanup(self.daemon.stop)

    def test_session_pooling(self):
        self.refuses("session")

    def test_transaction_pooling(self):
        self.refuses("transaction")

    def refuses(self, mode):
        self.pool(mode)
        before = self.said()
        self.daemon.restart()
        harness.wait_for(lambda: self.said() > before, 30 * SLOWNESS, "the reason in the log")
        client = self.box.client()
        self.refused("UNAVAILABLE", client, "OPEN", f"refused-{mode}", "USD/2")
        self.assertIn("pooler", self.refused("UNAVAILABLE", client, "CREDIT", "anybody", 1,
                                             "KEY", "refused"))
        self.assertEqual(self.box.psql("select count(*) from ballast.account "
                                       f"where account_id = 'refused-{mode}'"), "0")
        # The log says it once for each link.
        self.assertLess(self.said() - before, 8)

    def said(self):
        return self.daemon.log.read_text().count("a connection pooler stands between")


if __name__ == "__main__":
    unittest.main()
