"""A way to a local port on which things go wrong: the network between a daemon and its servers.

    with fault_proxy.Proxy(box.redis.port) as proxy:
        daemon.configure(f"[cache]\\naddress = 127.0.0.1:{proxy.port}")
        daemon.restart()
        proxy.cut()                     # every connection is closed; new ones are taken
        proxy.refuse()                  # the same, and new ones are refused until mend()
        proxy.freeze("down")            # nothing passes; neither end hears of the other's end
        proxy.slow(1, "up")             # bytes a second
        proxy.delay(0.08)               # seconds a chunk, in both directions
        proxy.cut_after(17, "down")     # so many more bytes of that direction pass, of all together
        proxy.say(b"*1000000000\\r\\n")   # to the client of every connection, as if the server had
        proxy.mend()                    # all of it is over

"up" is from the client to the server, "down" is the way back, and "both" the default.

A client can name a cut itself: where the bytes that go up hold `cut/up/17/`, that connection is
closed after 17 more bytes of that direction, counted from the beginning of the chunk in which the
words stand; each such text counts once. exchanges() tells how many bytes have passed since, on that
connection: with the number 999999, of the whole exchange.

It is a process of its own, so that a busy test does not slow it down, and the other way round.
"""

import asyncio
import contextlib
import json
import re
import socket
import struct
import subprocess
import sys

CHUNK_BYTES_MAX = 65536
NAMED_CUT = re.compile(rb"cut/(up|down)/(\d+)/[\w-]*")
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: closed at once, the other end is told so


class Proxy:
    def __init__(self, to):
        self.process = subprocess.Popen([sys.executable, __file__, str(to)], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        start_new_session=True)
        self.port = json.loads(self.process.stdout.readline())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()

    def tell(self, *words):
        """What the process answers, once it has done it."""
        self.process.stdin.write(json.dumps(words) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def cut(self, reset=False):
        self.tell("cut", reset)

    def refuse(self):
        self.tell("refuse")

    def freeze(self, direction="both"):
        self.tell("freeze", direction)

    def slow(self, bytes_per_second, direction="both"):
        self.tell("slow", bytes_per_second, direction)

    def delay(self, seconds, direction="both"):
        self.tell("delay", seconds, direction)

    def cut_after(self, count, direction="both"):
        self.tell("cut_after", count, direction)

    def say(self, data):
        self.tell("say", data.decode("latin-1"))

    def mend(self):
        self.tell("mend")

    def connections(self):
        """How many there are now, and have been."""
        return self.tell("connections")

    def exchanges(self):
        """Text of a named cut -> bytes that went up and down since."""
        return self.tell("exchanges")


class Direction:
    """What is wrong with all that goes up, or down."""

    def __init__(self):
        self.flowing = asyncio.Event()
        self.mend()

    def mend(self):
        self.flowing.set()
        self.bytes_per_second = None
        self.delay_seconds = 0
        self.bytes_left = None  # until everything is cut


class Connection:
    def __init__(self, line, near, far):
        self.line = line
        self.ends = {"up": near, "down": far}      # whose bytes go there: (reader, writer)
        self.targets = {"up": far[1], "down": near[1]}
        self.bytes_left = {"up": None, "down": None}
        self.exchange = None
        self.tasks = []

    async def run(self):
        self.tasks = [asyncio.ensure_future(self.carry(name)) for name in ("up", "down")]
        await asyncio.wait(self.tasks, return_when=asyncio.FIRST_COMPLETED)
        self.close()

    def close(self, reset=False):
        for task in self.tasks:
            task.cancel()
        for _, writer in self.ends.values():
            if reset:
                with contextlib.suppress(OSError):
                    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET,
                                                               socket.SO_LINGER, RESET)
                writer.transport.abort()
            writer.close()

    async def carry(self, name):
        direction = self.line.directions[name]
        with contextlib.suppress(OSError):
            while data := await self.ends[name][0].read(CHUNK_BYTES_MAX):
                if name == "up":
                    self.look_for_named_cut(data)
                await direction.flowing.wait()
                if direction.delay_seconds:
                    await asyncio.sleep(direction.delay_seconds)
                if not await self.pass_on(name, direction, data):
                    return
            await direction.flowing.wait()  # the end of a stream is held up like the rest

    def look_for_named_cut(self, data):
        for found in NAMED_CUT.finditer(data):
            text = found[0].decode()
            if text not in self.line.exchanges:
                self.line.exchanges[text] = self.exchange = {"up": 0, "down": 0}
                self.bytes_left = {"up": None, "down": None, found[1].decode(): int(found[2])}

    async def pass_on(self, name, direction, data):
        """False: this connection is to be closed."""
        while data:
            await direction.flowing.wait()
            count = len(data)
            if direction.bytes_per_second:
                count = 1
                await asyncio.sleep(1 / direction.bytes_per_second)
            left = [each for each in (self.bytes_left[name], direction.bytes_left)
                    if each is not None]
            count = min([count, *left])
            if self.exchange is not None:
                self.exchange[name] += count
            self.targets[name].write(data[:count])
            await self.targets[name].drain()
            data = data[count:]
            if self.bytes_left[name] is not None:
                self.bytes_left[name] -= count
            if direction.bytes_left is not None:
                direction.bytes_left -= count
            if self.bytes_left[name] == 0:
                return False
            if direction.bytes_left == 0:
                direction.bytes_left = None
                self.line.cut()
                return False
        return True


class Line:
    """The proxy in its process. Methods without an underscore are what Proxy.tell() names."""

    def __init__(self, to):
        self._to = to
        self._server = None
        self._port = 0
        self._current = set()
        self._count = 0
        self.directions = {"up": Direction(), "down": Direction()}
        self.exchanges = {}

    async def _listen(self):
        if self._server is None:
            self._server = await asyncio.start_server(self._accept, "127.0.0.1", self._port)
            self._port = self._server.sockets[0].getsockname()[1]
        return self._port

    async def _accept(self, *near):
        try:
            far = await asyncio.open_connection("127.0.0.1", self._to)
        except OSError:
            near[1].transport.abort()
            return
        connection = Connection(self, near, far)
        self._count += 1
        self._current.add(connection)
        try:
            await connection.run()
        except asyncio.CancelledError:  # the process ends
            pass
        finally:
            self._current.discard(connection)

    def _named(self, direction):
        return self.directions.values() if direction == "both" else [self.directions[direction]]

    def cut(self, reset=False):
        for connection in list(self._current):
            connection.close(reset)

    def refuse(self):
        if self._server is not None:
            self._server.close()
            self._server = None
        self.cut()

    def freeze(self, direction):
        for each in self._named(direction):
            each.flowing.clear()

    def slow(self, bytes_per_second, direction):
        for each in self._named(direction):
            each.bytes_per_second = bytes_per_second

    def delay(self, seconds, direction):
        for each in self._named(direction):
            each.delay_seconds = seconds

    def cut_after(self, count, direction):
        for each in self._named(direction):
            each.bytes_left = count

    def say(self, text):
        for connection in self._current:
            connection.targets["down"].write(text.encode("latin-1"))

    async def mend(self):
        for each in self.directions.values():
            each.mend()
        await self._listen()

    def connections(self):
        return len(self._current), self._count

    async def _serve(self):
        answers = sys.stdout
        print(json.dumps(await self._listen()), file=answers, flush=True)
        reader = asyncio.StreamReader(limit=1 << 28)
        await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        while line := await reader.readline():
            name, *arguments = json.loads(line)
            answer = self.exchanges if name == "exchanges" else getattr(self, name)(*arguments)
            if asyncio.iscoroutine(answer):
                answer = await answer
            print(json.dumps(answer), file=answers, flush=True)


async def main(to):
    await Line(to)._serve()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
