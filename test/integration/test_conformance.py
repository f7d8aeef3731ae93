"""The simulator's fakes of PostgreSQL and Redis answer as the real ones do: one script of requests,
through the same headers, and every answer compared (test/conformance)."""

import difflib
import subprocess
import unittest

import harness

SCRIPT = harness.TOP / "test" / "conformance" / "script"
SECONDS_MAX = 60


def answers(*words):
    command = [*harness.launcher(), *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS_MAX, check=False)
    if done.returncode != 0:
        raise AssertionError(f"{words[0]}: exit {done.returncode}: {done.stderr.strip()}")
    return done.stdout.splitlines()


@harness.level("check")
class Conformance(harness.Case):
    def test_the_fakes_answer_as_the_servers_do(self):
        """The rows of trust and the cache as they are before the first daemon comes."""
        self.box.daemon.stop()
        self.box.psql("update ballast.era set id = 0, nonce = '', state = 'drained', run_id = null,"
                      " replid = null; delete from ballast.lease;")
        with self.box.redis.client() as client:
            client.flushall()
        real = answers(harness.BUILD / "test" / "conformance", SCRIPT,
                       f"hostaddr=127.0.0.1 port={self.box.env['PGPORT']} "
                       f"user={self.box.env['PGUSER']} dbname={self.box.env['PGDATABASE']}",
                       f"127.0.0.1:{self.box.redis.port}")
        fake = answers(harness.BUILD / "sim", f"SCRIPT={SCRIPT}")
        differences = "\n".join(difflib.unified_diff(real, fake, "servers", "fakes", lineterm="",
                                                     n=6))
        self.assertEqual("", differences, differences)
        self.assertGreater(len(real), 500)


if __name__ == "__main__":
    unittest.main()
