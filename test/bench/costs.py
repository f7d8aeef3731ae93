"""The rows of `make bench` that are no rates: memory and instructions."""

import re
import resource
import shutil
import subprocess

import harness

IDLE_CONNECTIONS = 9900  # below [limits] clients, with room for the bench itself
COUNTED = 20000


def memory(bench):
    """A key of ours, and a plain SET of the same digits at the same name."""
    client = bench.box.redis.client()
    account = "b0000001"
    client.set("plain" + account, bench.box.client().get(account))
    bench.row("memory-account", "bytes of Redis for an account, against a plain SET of its digits",
              lambda: {"bytes": client.memory_usage("bal:" + account)},
              lambda: {"bytes": client.memory_usage("plain" + account)}, "bytes", "b", pairs=1)
    client.delete("plain" + account)


def resident_bytes(pid):
    with open(f"/proc/{pid}/statm", encoding="ascii") as statm:
        return int(statm.read().split()[1]) * resource.getpagesize()


def may_open(files):
    """Whether this process and its children may have so many files open: now they may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < files:
        return False
    if soft != resource.RLIM_INFINITY and soft < files:
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))
    return True


def idle(bench):
    if not may_open(2 * IDLE_CONNECTIONS):
        bench.skip("memory-idle", "skipped: too few open files are allowed")
        return
    bench.box.daemon.restart()
    before = resident_bytes(bench.box.daemon.pid)
    with subprocess.Popen([str(harness.BUILD / "test" / "bench" / "load"), "--port",
                           str(bench.port), "--mode", "idle", "--connections",
                           str(IDLE_CONNECTIONS), "--seconds", "60"],
                          stdout=subprocess.PIPE) as load:
        load.stdout.readline()
        clients = bench.box.client()
        harness.wait_for(lambda: clients.info("clients")["connected_clients"] >= IDLE_CONNECTIONS,
                         20, "all connections")
        after = resident_bytes(bench.box.daemon.pid)
        load.terminate()
    bench.row("memory-idle", f"resident bytes of the daemon with {IDLE_CONNECTIONS} idle "
              "connections, against 60 MB", lambda: {"bytes": after},
              lambda: {"bytes": 60 << 20}, "bytes", "b", pairs=1)
    bench.raw["memory-idle-before"] = [before]


# --- instructions ---------------------------------------------------------------------------------

SLOW = ("[cache]\nlease-ms = 60000\ntimeout-ms = 10000\npublish-timeout-ms = 9000\n"
        "connect-timeout-ms = 10000\nwarm = no\n")


def callgrind(words, out):
    return ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", "--instr-atstart=no",
            *words]


def control(pid, *words):
    subprocess.run(["callgrind_control", *words, str(pid)], check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def allocations(text):
    """Calls of malloc and its like in a dump: a name stands with its number where it is first."""
    names, total, callee = {}, 0, None
    for line in text.splitlines():
        if line.startswith(("fn=", "cfn=")):
            number, _, name = line.partition("=")[2].partition(" ")
            names.setdefault(number, name)
            callee = names[number] if line.startswith("cfn=") else callee
        elif line.startswith("calls="):
            if callee in ("malloc", "calloc", "realloc", "reallocarray"):
                total += int(line.split("=")[1].split()[0])
    return total


def counted(pid, out, load):
    """Instructions and allocations of a request of the process."""
    load(COUNTED // 10)
    control(pid, "-i", "on")
    control(pid, "-z")
    replies = load(COUNTED)["replies"]
    control(pid, "-d")
    control(pid, "-i", "off")
    newest = max(out.parent.glob(out.name + ".*"), key=lambda path: path.stat().st_mtime)
    text = newest.read_text()
    total = int(re.search(r"^(?:totals|summary): (\d+)", text, re.MULTILINE).group(1))
    return {"instructions": total / replies, "allocations": allocations(text) / replies}


def instructions(bench):
    if shutil.which("valgrind") is None:
        bench.skip("instructions-get", "skipped: valgrind is not installed")
        return
    box = bench.box
    out = {name: box.dir / f"callgrind.{name}" for name in ("ballastd", "redis")}
    daemon = box.daemon
    daemon.stop()
    daemon.configure(SLOW)
    daemon.spawn(callgrind([str(harness.BUILD / "ballastd"), "-c", str(daemon.conf)],
                           out["ballastd"]), daemon.log)
    harness.wait_for(lambda: daemon.client().ping(), 60, "the daemon under valgrind")
    box.cli("rebuild", "--quiet", timeout=600)
    harness.wait_for(lambda: daemon.client().info("trust")["trust"] == "trusting", 60,
                     "trust in what was rebuilt")
    ours = counted(daemon.pid, out["ballastd"], lambda n: bench.load("get", 50, 1, requests=n))
    daemon.stop()
    redis = box.redis
    redis.client().save()
    redis.stop()
    redis.spawn(callgrind(["redis-server", str(redis.dir / "redis.conf")], out["redis"]),
                redis.log)
    harness.wait_for(lambda: redis.client().ping(), 60, "Redis under valgrind")
    theirs = counted(redis.pid, out["redis"], lambda n: bench.redis_load("get", 50, 1, requests=n))
    redis.stop()
    redis.start()
    daemon.start()
    bench.row("instructions-get", "instructions of a GET, 50 connections, against redis-server's",
              lambda: ours, lambda: theirs, "instructions", "", pairs=1)
    bench.row("allocations-get", "allocations a thousand GETs, against one a GET",
              lambda: {"count": 1000 * ours["allocations"]}, lambda: {"count": 1000.0}, "count",
              "", pairs=1)
