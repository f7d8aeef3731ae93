"""The servers of a chaos run: three daemons, the second with a proxy before Redis, the third with
one before PostgreSQL. The first is never restarted: its memory, descriptors and threads are what
has to stay flat."""

import signal
import threading
import time
from pathlib import Path

import fault_proxy
import harness
from checker import SLOWNESS, free_port, wait_trusted
from faults import LANES, Lane

# How long after the end of a fault a refusal may still be told: reconnecting, a renewed lease.
SETTLE_SECONDS = 3.0
RECOVERY_SECONDS_MAX = 30.0
REDIS_TIMEOUT_SECONDS = 60
CONF = ("[limits]\nrequest-timeout-ms = 5000\n"
        "[fuses]\nsuspensions = 1000000\ncharges = 1000000\n")


class World:
    def __init__(self, seed):
        self.seed = seed
        self.box = harness.Sandbox(daemons=3, conf=CONF)
        self.stopping = threading.Event()
        self.faults = []         # every one, in the order of their beginnings
        self.broken = []         # what went wrong with making them
        self.sent_in_sql = {}    # key -> when
        self.samples = []        # (time, rss in kB, descriptors, threads) of the first daemon
        self.lanes = []

    # --- up and down ---

    def __enter__(self):
        self.box.__enter__()
        try:
            self.build_ways()
            self.start_other_redis()
            self.redis = self.box.redis.client(socket_timeout=REDIS_TIMEOUT_SECONDS)
            self.await_trust()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for each in (getattr(self, "redis_way", None), getattr(self, "store_way", None)):
            if each is not None:
                each.close()
        self.box.down()

    def build_ways(self):
        redis_port, store_port = self.box.redis.port, self.box.postgres.port
        self.redis_way = fault_proxy.Proxy(redis_port)
        self.store_way = fault_proxy.Proxy(store_port)
        for number, old, proxy in ((2, f"127.0.0.1:{redis_port}", self.redis_way),
                                   (3, f"port={store_port}", self.store_way)):
            daemon = self.box.daemons[number - 1]
            text = daemon.conf.read_text()
            new = old.replace(str(redis_port if number == 2 else store_port), str(proxy.port))
            daemon.conf.write_text(text.replace(old, new))
            daemon.restart()

    def start_other_redis(self):
        """What the first one is made a replica of. test/sandbox ends it."""
        directory = self.box.dir / "redis-other"
        directory.mkdir()
        self.other_port = free_port()
        conf = directory / "redis.conf"
        conf.write_text(f"bind 127.0.0.1\nport {self.other_port}\ndir {directory}\n"
                        f"logfile {directory}/redis.log\nsave \"\"\nrepl-diskless-sync-delay 0\n")
        with open(self.box.redis.dir / "redis.conf", "a", encoding="utf-8") as main:
            main.write("repl-diskless-sync-delay 0\n")
        self.box.redis.client().config_set("repl-diskless-sync-delay", 0)
        self.other_server = harness.RedisServer(self.box)
        self.other_server.port, self.other_server.dir = self.other_port, directory
        self.other_server.log = directory / "redis.log"
        self.other_server.start()
        self.other_redis = self.other_server.client()

    # --- faults ---

    def rest(self, seconds):
        """True when the run ends."""
        return self.stopping.wait(seconds)

    def start_faults(self):
        self.lanes = [Lane(self, name, faults) for name, faults in LANES.items()]
        self.lanes.append(threading.Thread(target=self.watch, daemon=True))
        for lane in self.lanes:
            lane.start()

    def end_faults(self):
        self.stopping.set()
        for lane in self.lanes:
            lane.join(60 * SLOWNESS)
            if lane.is_alive():
                self.broken.append(f"{lane.name} does not end")

    def restart_daemon(self, number, how):
        return self.box.daemons[number - 1].restart(how)

    def await_trust(self, seconds=RECOVERY_SECONDS_MAX):
        """Until every daemon answers from the cache; how long that took."""
        started = time.monotonic()
        for number in (1, 2, 3):
            wait_trusted(self.box, seconds, number)
        return time.monotonic() - started

    def restart_everything(self):
        for number, daemon in enumerate(self.box.daemons, 1):
            if daemon.stop(signal.SIGTERM, 30 * SLOWNESS) not in (None, 0):
                self.broken.append(f"daemon {number} ended with {daemon.process.returncode}")
        self.box.redis.stop()
        self.box.postgres.restart("fast")
        self.box.redis.start()
        for daemon in self.box.daemons:
            daemon.start()

    # --- what is known of them ---

    def excuses(self, event):
        """Whether something that was done on purpose explains a refusal or a late answer."""
        settle = SETTLE_SECONDS * SLOWNESS
        return any(event.daemon in done.excused and done.begin <= event.end
                   and event.start <= done.end + settle for done in self.faults)

    def watch(self):
        while not self.rest(1.0):
            self.sample()

    def sample(self):
        proc = Path("/proc") / str(self.box.daemons[0].pid)
        status = dict(line.split(":", 1) for line in (proc / "status").read_text().splitlines())
        self.samples.append((time.monotonic(), int(status["VmRSS"].split()[0]),
                             len(list((proc / "fd").iterdir())), int(status["Threads"])))

    def log_lines(self):
        return [len(daemon.log.read_text(errors="replace").splitlines())
                for daemon in self.box.daemons]
