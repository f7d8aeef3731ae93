"""The cache of a new era is filled in the background: without a read, under load, once over all
daemons, and out of everybody's way."""

import json
import signal
import time
import urllib.request

import harness
from checker import SLOWNESS, Load, metrics_of, trust_of

ACCOUNTS = 20000
WARM_SECONDS_MAX = 30 * SLOWNESS  # a few seconds, on a machine that is not busy
STOP_SECONDS_MAX = 10


def account(number):
    return f"w{number:05d}"


def open_accounts(box, count):
    with box.client() as client, client.pipeline(transaction=False) as pipe:
        for first in range(0, count, 500):
            for number in range(first, min(first + 500, count)):
                pipe.execute_command("OPEN", account(number), "USD/2")
            pipe.execute()
    box.psql("analyze ballast.account")


class WarmCase(harness.Case):
    accounts = 3000
    conf = harness.PATIENT

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        open_accounts(cls.box, cls.accounts)

    def setUp(self):
        self.redis = self.box.redis.client()
        self.addCleanup(self.redis.close)
        self.client = self.box.client()
        self.addCleanup(self.client.close)
        self.configure("warm = yes\nwarm-rate = 0")
        self.flush()
        self.await_warm()

    def configure(self, text):
        """Of all daemons, by SIGHUP."""
        for daemon in self.box.daemons:
            daemon.configure("[cache]\n" + text)
            daemon.send(signal.SIGHUP)
            with daemon.client() as client:
                for line in text.splitlines():
                    key, value = line.split(" = ")
                    harness.wait_for(
                        lambda key=key, value=value, client=client:
                        client.config_get(f"cache.{key}")[f"cache.{key}"] == value,
                        30 * SLOWNESS, f"{key} = {value}")

    def cached(self):
        """Accounts of this file that Redis has a key of."""
        return sum(1 for _ in self.redis.scan_iter("bal:w[0-9]*", count=5000))

    def await_warm(self, seconds=WARM_SECONDS_MAX):
        harness.wait_for(lambda: self.cached() == self.accounts
                         and self.last_run()[1] == "done", seconds, "a warm cache")

    def last_run(self):
        """Era, state, runner, accounts of the last rebuild, or warming."""
        row = self.box.psql("select era, state, runner, accounts from ballast.rebuild_run "
                            "order by run desc limit 1")
        return row.split("|") if row else [None, None, None, None]

    def warming(self, client=None):
        return (client or self.client).info("trust")["warming"] == "yes"

    def await_warming(self):
        harness.wait_for(self.warming, 30 * SLOWNESS, "a warming")

    def flush(self):
        """Empties Redis, and waits until the next era is trusted."""
        era = self.client.info("trust")["era"]
        self.redis.flushall()
        harness.wait_for(lambda: self.client.info("trust")["era"] > era
                         and trust_of(self.client) == "trusting", 30 * SLOWNESS, "a new era")


class Warm(WarmCase):
    accounts = ACCOUNTS

    @harness.level("quick")
    def test_an_idle_daemon_fills_an_emptied_redis(self):
        reads = metrics_of(self.box.daemon)['commands_total{class="read"}']
        started = time.monotonic()
        self.flush()
        self.await_warm()
        print(f"{ACCOUNTS} accounts were warm after {time.monotonic() - started:.1f} s")
        era, state, runner, accounts = self.last_run()
        total = int(self.box.psql("select count(*) from ballast.account"))
        self.assertEqual((int(era), state, int(accounts)),
                         (self.client.info("trust")["era"], "done", total))
        self.assertRegex(runner, f"^ballastd .*:{self.box.daemon.pid}$")
        harness.wait_for(lambda: not self.warming(), what="the end")
        trust = self.client.info("trust")
        self.assertEqual((trust["warmed_accounts"], trust["warm_percent"]), (total, 100))
        metrics = metrics_of(self.box.daemon)
        self.assertEqual(metrics['commands_total{class="read"}'], reads)
        self.assertEqual(metrics["warm_running"], 0)
        self.assertEqual(metrics["warm_accounts"], total)
        self.assertGreaterEqual(metrics['warm_runs_total{end="done"}'], 1)
        page = f"http://127.0.0.1:{self.box.daemon.http_port}/status.json"
        with urllib.request.urlopen(page, timeout=10) as reply:
            warm = json.load(reply)["warm"]
        self.assertEqual((warm["warming"], warm["accounts"], warm["percent"]),
                         (False, total, 100))
        self.box.cli("reconcile")

    def test_a_redis_that_restarts(self):
        self.box.redis.restart(signal.SIGKILL)
        self.await_warm()
        self.box.cli("reconcile")

    @harness.level("check")
    def test_the_last_changed_come_first(self):
        changed = [account(ACCOUNTS - 1 - number) for number in range(50)]
        for name in changed:
            self.client.execute_command("CREDIT", name, 1, "KEY", f"{self.id()}-{name}")
        self.configure("warm-rate = 500")
        self.flush()
        harness.wait_for(lambda: self.redis.exists(*(f"bal:{name}" for name in changed)) == 50,
                         30 * SLOWNESS, "the accounts that changed last")
        self.assertLess(self.cached(), 4000)
        trust = self.client.info("trust")
        self.assertEqual(trust["warming"], "yes")
        self.assertLess(trust["warm_percent"], 30)

    @harness.level("quick")
    def test_under_load_nothing_older_is_shown(self):
        with Load(self.box, "busy", clients=6) as load:
            for _ in range(3):
                self.flush()
                self.await_warming()
                load.await_operations(200)
            self.await_warm()
            load.await_operations(200)
        load.check_store()
        self.box.cli("reconcile")

    @harness.level("check")
    def test_emptied_again_in_the_middle(self):
        self.configure("warm-rate = 5000")
        for _ in range(3):
            self.flush()
            self.await_warming()
        self.configure("warm-rate = 0")
        self.await_warm()
        self.assertEqual(int(self.last_run()[0]), self.client.info("trust")["era"])

    @harness.level("quick")
    def test_a_daemon_that_ends_in_the_middle(self):
        self.configure("warm-rate = 1000")
        self.flush()
        self.await_warming()
        started = time.monotonic()
        self.box.daemon.restart()
        self.assertLess(time.monotonic() - started, STOP_SECONDS_MAX * SLOWNESS)
        self.client = self.box.client()
        self.addCleanup(self.client.close)
        self.configure("warm-rate = 0")
        self.await_warm()

    @harness.level("check")
    def test_a_daemon_that_ends_while_postgresql_hangs(self):
        self.configure("warm-rate = 1000")
        self.flush()
        self.await_warming()
        backends = [int(pid) for pid in self.box.psql(
            "select pid from pg_stat_activity where application_name = 'ballastd warm'").split()]
        self.assertEqual(len(backends), 2)
        for pid in backends:
            harness.send_signal(pid, signal.SIGSTOP)
        try:
            time.sleep(0.5)  # until one of them has something to answer
            started = time.monotonic()
            self.box.daemon.stop()
            self.assertLess(time.monotonic() - started, STOP_SECONDS_MAX * SLOWNESS)
        finally:
            for pid in backends:
                harness.send_signal(pid, signal.SIGCONT)
        self.box.daemon.start()
        self.client = self.box.client()
        self.addCleanup(self.client.close)
        self.configure("warm-rate = 0")
        self.await_warm()


class Ways(WarmCase):
    @harness.level("quick")
    def test_switched_off_and_on(self):
        self.configure("warm = no")
        runs = self.box.psql("select count(*) from ballast.rebuild_run")
        self.flush()
        self.client.get(account(7))
        time.sleep(3)  # nothing happens in that time
        self.assertLess(self.cached(), 10)
        self.assertEqual(self.box.psql("select count(*) from ballast.rebuild_run"), runs)
        self.configure("warm = yes")
        self.await_warm()

    def test_switched_off_in_the_middle(self):
        self.configure("warm-rate = 200")
        self.flush()
        self.await_warming()
        self.configure("warm = no")
        harness.wait_for(lambda: not self.warming(), 30 * SLOWNESS, "the end")
        self.assertEqual(self.last_run()[1], "failed")

    def test_a_rebuild_takes_over(self):
        self.configure("warm-rate = 100")
        self.flush()
        self.await_warming()
        self.assertIn("ballastd", self.box.cli("rebuild", "--no-wait", expect=75).stderr)
        started = time.monotonic()
        done = json.loads(self.box.cli("rebuild", "--json").stdout.splitlines()[-1])
        self.assertLess(time.monotonic() - started, 20 * SLOWNESS)  # 30, at the warming's rate
        self.assertFalse(done["joined"])
        self.assertEqual(done["written"] + done["kept"], self.accounts)
        self.assertEqual(self.cached(), self.accounts)
        states = self.box.psql("select state from ballast.rebuild_run order by run desc limit 2")
        self.assertEqual(states.split(), ["done", "failed"])
        time.sleep(3)  # what a rebuild did is not done again
        self.assertNotRegex(self.last_run()[2], "^ballastd")
        self.assertFalse(self.warming())

    @harness.level("check")
    def test_a_redis_without_room(self):
        """It stops while there is room for what clients need."""
        warm = self.redis.info("memory")["used_memory"]
        self.addCleanup(self.redis.config_set, "maxmemory", 0)
        log = self.box.daemon.log.stat().st_size
        self.redis.config_set("maxmemory", int(warm / 0.85))
        self.configure("warm-rate = 2000")
        self.flush()
        harness.wait_for(lambda: "maxmemory: the rest" in self.box.daemon.log.read_text()[log:],
                         30 * SLOWNESS, "the line in the log")
        self.assertLess(self.cached(), self.accounts)
        self.redis.config_set("maxmemory", 0)
        self.flush()

    @harness.level("check")
    def test_what_stands_there_is_left_alone(self):
        """A warming writes what is missing; what a reader has filled is kept."""
        self.configure("warm = no")
        self.flush()
        for number in range(300):
            self.client.get(account(number))
        harness.wait_for(lambda: self.cached() == 300, 30 * SLOWNESS, "what was read")
        self.configure("warm = yes")
        self.await_warm()
        written = self.box.psql(
            "select written from ballast.rebuild_run order by run desc limit 1")
        self.assertEqual(int(written), self.accounts - 300)


class Two(WarmCase):
    daemons = 2

    def runs(self):
        return self.box.psql("select era || ' ' || state from ballast.rebuild_run "
                             "order by run").splitlines()

    @harness.level("quick")
    def test_one_of_them_warms(self):
        for _ in range(2):
            self.flush()
            self.await_warm()
        time.sleep(3)  # the other one looks, and finds it done
        done = [run.split()[0] for run in self.runs() if run.endswith("done")]
        self.assertEqual(len(done), len(set(done)), self.runs())
        self.box.cli("reconcile")

    @harness.level("check")
    def test_the_other_goes_on(self):
        """The one that warms is killed."""
        self.configure("warm-rate = 300")
        self.flush()
        clients = [self.box.client(number) for number in (1, 2)]
        for client in clients:
            self.addCleanup(client.close)
        def find():
            return [number for number in (0, 1) if self.warming(clients[number])]
        victim = harness.wait_for(find, 30 * SLOWNESS, "a warming")[0]
        self.box.daemons[victim].kill()
        try:
            self.client = clients[1 - victim]
            survivor = self.box.daemons[1 - victim]
            survivor.configure("[cache]\nwarm-rate = 0")
            survivor.send(signal.SIGHUP)
            self.await_warm(20 * SLOWNESS)
            self.assertRegex(self.last_run()[2], f":{survivor.pid}$")
        finally:
            self.box.daemons[victim].start()

    @harness.level("check")
    def test_under_load_at_both(self):
        with Load(self.box, "both", daemons=(1, 2), clients=6) as load:
            for _ in range(3):
                self.flush()
                load.await_operations(300)
            self.await_warm()
        load.check_store()
        self.box.cli("reconcile")
