"""redis-py: connections, pools, pipelines, and its parsers of replies."""

import threading
import unittest

import redis

import harness


class RedisPy(harness.BooksCase):
    def pool(self, **options):
        client = redis.Redis(host="127.0.0.1", port=self.box.daemon.port, socket_timeout=20,
                             **options)
        self.addCleanup(client.close)
        return client

    def test_resp2(self):
        client = self.pool(db=0, client_name="redis-py", health_check_interval=1)
        self.assertEqual(client.execute_command("OPEN", "py", "USD/2"), [
            b"account", b"py", b"asset", b"USD/2", b"floor", b"0", b"version", b"1", b"created", 1])
        reply = harness.record(client.execute_command("CREDIT", "py", 2**63 - 1, "KEY", "py-1"))
        self.assertEqual({**reply, b"transfer": b""}, {
            b"transfer": b"", b"account": b"py", b"balance": b"9223372036854775807",
            b"available": b"9223372036854775807", b"version": b"2", b"duplicate": 0})
        self.assertEqual(client.get("py"), b"9223372036854775807")
        self.assertIsNone(client.get("py-none"))
        self.assertEqual(client.mget(["py", "py-none"]), [b"9223372036854775807", None])
        self.assertEqual(client.exists("py", "py-none", "py"), 2)
        self.assertEqual((client.ping(), client.echo("x"), client.client_getname()),
                         (True, b"x", "redis-py"))
        with self.assertRaisesRegex(redis.ResponseError, "^OVERFLOW "):
            client.execute_command("CREDIT", "py", 1, "KEY", "py-2")
        with self.assertRaisesRegex(redis.ResponseError, "^unknown command 'SET'"):
            client.set("py", 1)
        with self.assertRaisesRegex(redis.ResponseError, "DB index is out of range"):
            self.pool(db=1).ping()

    def test_what_it_parses(self):
        """Its parsers of INFO, CLIENT LIST and the like take the replies."""
        client = self.pool(decode_responses=True)
        info = client.info()
        self.assertEqual((info["redis_mode"], info["role"], info["loading"]),
                         ("standalone", "master", 0))
        self.assertIn("get", client.command())
        self.assertEqual(client.command_count(), len(client.command()))
        self.assertEqual(client.config_get("save"), {"save": ""})
        self.assertTrue(all(row["duration"] >= 0 for row in client.slowlog_get()))
        self.assertTrue(client.slowlog_reset())
        self.assertTrue(client.config_resetstat())
        mine = client.client_id()
        self.assertEqual([row["id"] for row in client.client_list()
                          if row["id"] == str(mine)], [str(mine)])
        self.assertEqual(client.client_kill_filter(_id=10**9), 0)
        self.assertEqual(len(client.time()), 2)

    @unittest.skipIf(int(redis.__version__.split(".")[0]) < 5,
                     f"redis-py {redis.__version__} speaks RESP2 only")
    def test_resp3(self):
        client = self.pool(protocol=3, decode_responses=True)
        self.assertEqual(client.execute_command("OPEN", "py3", "USD/2"), {
            "account": "py3", "asset": "USD/2", "floor": "0", "version": "1", "created": 1})
        self.assertEqual(client.get("py3"), "0")
        self.assertIsNone(client.get("py3-none"))

    def test_pipelines(self):
        client = self.pool(decode_responses=True)
        client.execute_command("OPEN", "py-pipe", "USD/2")
        pipeline = client.pipeline(transaction=False)
        for number in range(300):
            pipeline.execute_command("CREDIT", "py-pipe", 1, "KEY", f"py-pipe-{number}")
            pipeline.get("py-pipe")
        pipeline.execute_command("DEBIT", "py-pipe", 301, "KEY", "py-pipe-x")
        replies = pipeline.execute(raise_on_error=False)
        for number in range(300):
            self.assertEqual(harness.record(replies[2 * number])["balance"], str(number + 1))
            self.assertEqual(replies[2 * number + 1], str(number + 1))
        self.assertRegex(str(replies[600]), "^INSUFFICIENT available 300, floor 0, asked 301;")

    def test_threads_share_a_pool(self):
        client = self.pool(decode_responses=True, max_connections=8)
        client.execute_command("OPEN", "py-pool", "USD/2")
        wrong = []

        def work(thread):
            try:
                for number in range(50):
                    key = f"py-pool-{thread}-{number}"
                    reply = client.execute_command("CREDIT", "py-pool", 1, "KEY", key)
                    seen = int(client.get("py-pool"))
                    if seen < int(harness.record(reply)["balance"]):
                        wrong.append((key, seen, reply))
            except redis.RedisError as error:
                wrong.append(error)
        threads = [threading.Thread(target=work, args=(thread,)) for thread in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual((wrong, client.get("py-pool")), ([], "400"))

    def test_killed_connections_are_made_again(self):
        client = self.pool(retry_on_error=[redis.ConnectionError], decode_responses=True)
        client.execute_command("OPEN", "py-again", "USD/2")
        with redis.Redis(host="127.0.0.1", port=self.box.daemon.port) as killer:
            for number in range(20):
                killer.client_kill_filter(_id=client.client_id())
                reply = client.execute_command("CREDIT", "py-again", 1, "KEY", f"py-again-{number}")
                self.assertEqual(harness.record(reply)["balance"], str(number + 1))
