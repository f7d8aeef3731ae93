"""What the tests of `ballast doctor` share: a run of it, and what it must have found."""

import contextlib
import json
import subprocess
import sys
import time

import harness

SECONDS_MAX = 2.0  # of the program itself; a sanitizer's build has more for its start
EXAMS_MAX = 3      # a busy machine keeps a program waiting, too: one of them must be in time
SLOW_BUILD = "fsanitize" in (harness.BUILD / "flags").read_text(errors="replace")

BETWEEN = """
import re, socket, sys, threading
port, pattern, other = int(sys.argv[1]), *(bytes.fromhex(word) for word in sys.argv[2:])
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)

def carry(source, target, change):
    while data := source.recv(65536):
        target.sendall(change(data))
    target.shutdown(socket.SHUT_WR)

while True:
    near, _ = listener.accept()
    far = socket.create_connection(("127.0.0.1", port))
    change = lambda data: re.sub(pattern, other, data, flags=re.DOTALL)
    threading.Thread(target=carry, args=(near, far, bytes), daemon=True).start()
    threading.Thread(target=carry, args=(far, near, change), daemon=True).start()
"""


@contextlib.contextmanager
def between(port, pattern, other):
    """Somebody between a server and its clients, who makes of what the server says something else
    of the same length; the block has his port."""
    words = [sys.executable, "-c", BETWEEN, str(port), pattern.hex(), other.hex()]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield int(process.stdout.readline())
        finally:
            process.terminate()


def examine(conf, before=(), env=None):
    """Runs doctor; returns name of the check -> its line, and the summary, with the exit status.
    `before`: words in front of the command."""
    for _ in range(EXAMS_MAX):
        lines, summary, late = examine_once(conf, before, env)
        if not late:
            return lines, summary
    raise AssertionError(late)


def examine_once(conf, before, env):
    """As examine(), and what took too long, if anything did."""
    words = [*before, *harness.launcher(), str(harness.BUILD / "ballast"), "-c", str(conf),
             "doctor", "--json"]
    start = time.monotonic()
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60, env=env)
    seconds = time.monotonic() - start
    *lines, summary = [json.loads(line) for line in done.stdout.splitlines()]
    summary["exit"] = done.returncode
    late = ""
    if summary["took_ms"] > SECONDS_MAX * 1000 or (seconds > SECONDS_MAX and not SLOW_BUILD):
        late = f"doctor took {seconds:.2f} s, {summary['took_ms']} ms of it asking"
    elif unfinished := [line for line in lines if line["evidence"].startswith("no end within")]:
        late = f"doctor did not come to an end: {unfinished}"
    for line in [*lines, summary]:
        if line["schema"] != 1 or done.stderr:
            raise AssertionError(f"{line} {done.stderr}")
    return {line["check"]: line for line in lines}, summary, late


class DoctorCase(harness.Case):
    def conf_with(self, text):
        """Another file: the daemon's configuration, and this."""
        conf = self.box.dir / "other.conf"
        conf.write_text(f"{self.box.daemon.conf.read_text()}\n{text}\n")
        return conf

    def examine(self, conf=None, before=(), env=None):
        return examine(conf or self.box.daemon.conf, before, env)

    def finds(self, check, result, evidence, following, **options):
        """Polls: what a fault brings about takes a moment to be seen. `options`: of examine()."""
        def found():
            lines, summary = self.examine(**options)
            line = lines.get(check, {"result": "skipped"})
            fits = line["result"] == result and evidence in line["evidence"]
            if fits:
                self.assertIn(following, line["next"])
                fails = sum(other["result"] == "fail" for other in lines.values())
                self.assertEqual(summary["fail"], fails)
                self.assertEqual(summary["exit"], 2 if fails else 0)
            return fits or self.note(check, lines)
        self.seen = None
        try:
            harness.wait_for(found, what=f"{result} of {check} with '{evidence}'")
        except AssertionError as error:
            raise AssertionError(f"{error}\nseen: {self.seen}") from None

    def note(self, check, lines):
        self.seen = lines.get(check)

    def is_well(self, conf=None):
        def well():
            lines, summary = self.examine(conf)
            self.seen = [line for line in lines.values() if line["result"] == "fail"]
            return summary["fail"] == 0
        try:
            harness.wait_for(well, what="doctor without a fail")
        except AssertionError as error:
            raise AssertionError(f"{error}\nseen: {self.seen}") from None

    @contextlib.contextmanager
    def paused(self, server):
        server.pause()
        try:
            yield
        finally:
            server.resume()
