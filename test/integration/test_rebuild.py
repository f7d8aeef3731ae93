"""ballast rebuild: an emptied, a poisoned and a wrong Redis, under load, alone and together."""

import json
import signal
import subprocess
import threading

import harness

ACCOUNTS = 3000


def account(number):
    return f"r{number:05d}"


class Rebuild(harness.Case):
    conf = harness.PATIENT + "warm = no\n"  # what a rebuild writes would be there already

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        with cls.box.client() as client, client.pipeline(transaction=False) as pipe:
            for i in range(ACCOUNTS):
                pipe.execute_command("OPEN", account(i), "USD/2")
                pipe.execute_command("CREDIT", account(i), i + 1, "KEY", f"seed-{i}")
                if i % 250 == 249:
                    pipe.execute()
            pipe.execute()

    def rebuild(self, *words, expect=0):
        done = self.box.cli("rebuild", "--json", *words, expect=expect)
        return json.loads(done.stdout.splitlines()[-1])

    def keys(self):
        return set(self.box.redis.client().scan_iter("bal:r*", count=1000))

    def command(self, *words):
        return harness.launcher() + [str(harness.BUILD / "ballast"), "-c",
                                     str(self.box.daemon.conf), "rebuild", "--json", *words]

    def test_fills_an_emptied_redis(self):
        self.box.redis.client().flushall()
        done = self.rebuild()
        self.assertEqual((done["accounts"], done["written"], done["kept"]),
                         (ACCOUNTS, ACCOUNTS, 0))
        self.assertEqual(len(self.keys()), ACCOUNTS)
        again = self.rebuild()
        self.assertEqual((again["written"], again["kept"]), (0, ACCOUNTS))
        reply = harness.record(self.box.client().execute_command("BALANCE", account(7)))
        self.assertEqual((reply["balance"], reply["source"]), ("8", "cache"))

    def test_mends_only_what_is_wrong(self):
        self.rebuild()
        redis = self.box.redis.client()
        redis.set("bal:" + account(1), redis.get("bal:" + account(2)))
        redis.set("bal:" + account(3), "garbage")
        redis.delete("bal:" + account(4))
        redis.set("bal:nobody-here", "garbage")
        dry = self.rebuild("--dry-run")
        self.assertEqual((dry["written"], dry["kept"], dry["dropped"]), (3, ACCOUNTS - 3, 1))
        self.assertEqual(redis.get("bal:" + account(3)), "garbage")
        done = self.rebuild()
        self.assertEqual((done["written"], done["kept"], done["dropped"]), (3, ACCOUNTS - 3, 1))
        self.assertEqual(self.rebuild("--dry-run")["written"], 0)

    def test_one_account(self):
        redis = self.box.redis.client()
        redis.set("bal:" + account(5), "garbage")
        done = self.rebuild("--account", account(5))
        self.assertEqual((done["accounts"], done["written"]), (1, 1))
        done = self.rebuild("--account", account(5))
        self.assertEqual((done["accounts"], done["kept"]), (1, 1))
        self.assertEqual(self.rebuild("--account", "nobody")["accounts"], 0)
        self.box.cli("rebuild", "--account", "@world", expect=64)

    def test_rate_and_a_second_one(self):
        self.box.redis.client().flushall()
        # So slow that the second one comes while it runs.
        first = subprocess.Popen(self.command("--rate", "500"), stdout=subprocess.PIPE, text=True)
        self.addCleanup(first.kill)
        runs = "select count(*) from ballast.rebuild_run where state = 'running'"
        harness.wait_for(lambda: self.box.psql(runs) == "1", what="a rebuild")
        refused = self.box.cli("rebuild", "--no-wait", expect=75)
        self.assertIn(f":{first.pid}", refused.stderr)
        second = self.rebuild()
        out, _ = first.communicate(timeout=60)
        summary = json.loads(out.splitlines()[-1])
        self.assertGreater(summary["seconds"], 1.0)
        self.assertTrue(second["joined"])
        self.assertEqual(second["runner"], summary["runner"])
        self.assertEqual(second["written"], summary["written"])

    def test_interrupted_and_repeated(self):
        self.box.redis.client().flushall()
        process = subprocess.Popen(self.command("--rate", "500"), stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True)
        self.addCleanup(process.kill)
        harness.wait_for(lambda: len(self.keys()) > 200, what="some values")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
        self.assertEqual(process.returncode, 1)
        state = "select state from ballast.rebuild_run order by run desc limit 1"
        self.assertEqual(self.box.psql(state), "failed")
        done = self.rebuild()
        self.assertEqual(done["written"] + done["kept"], ACCOUNTS)
        self.assertGreater(done["kept"], 200)
        self.assertEqual(len(self.keys()), ACCOUNTS)

    def test_redis_restarts_empty_meanwhile(self):
        """What was through in the era before is written again."""
        self.box.redis.client().flushall()
        with subprocess.Popen(self.command("--rate", "500"), stdout=subprocess.PIPE,
                              text=True) as process:
            self.addCleanup(process.kill)
            harness.wait_for(lambda: len(self.keys()) > 500, 20, "some values")
            self.box.redis.stop()
            self.box.redis.start()
            out, _ = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 0)
        done = json.loads(out.splitlines()[-1])
        self.assertEqual(done["accounts"], ACCOUNTS)
        again = self.rebuild()
        self.assertEqual((again["era"], again["written"], again["kept"]),
                         (done["era"], 0, ACCOUNTS))

    def test_without_a_daemon(self):
        self.box.daemon.stop()
        try:
            self.box.redis.client().flushall()
            done = self.rebuild()
            self.assertEqual(done["written"], ACCOUNTS)
        finally:
            self.box.daemon.start()
        harness.wait_for(lambda: harness.record(self.box.client().execute_command(
            "BALANCE", account(9)))["source"] == "cache", what="a cached answer")

    def test_without_redis(self):
        self.box.redis.stop()
        try:
            self.box.cli("rebuild", expect=69)
        finally:
            self.box.redis.start()

    def test_under_load_nothing_older_is_shown(self):
        """Writers post and read back at once, while Redis is emptied and rebuilt."""
        over = threading.Event()
        wrong = []

        def write(number):
            name, balance, count = account(number), number + 1, 0
            client = self.box.client()
            while not over.is_set():
                count += 1
                done = harness.record(client.execute_command(
                    "CREDIT", name, 1, "KEY", f"load-{number}-{count}"))
                balance += 1
                seen = client.get(name)
                if done["balance"] != str(balance) or seen != str(balance):
                    wrong.append((name, balance, done, seen))
                    return

        writers = [threading.Thread(target=write, args=(100 + i,)) for i in range(6)]
        for writer in writers:
            writer.start()
        try:
            for _ in range(3):
                self.box.redis.client().flushall()
                done = self.rebuild()
                self.assertEqual(done["accounts"], ACCOUNTS)
        finally:
            over.set()
            for writer in writers:
                writer.join()
        self.assertEqual(wrong, [])
        self.box.cli("reconcile")
