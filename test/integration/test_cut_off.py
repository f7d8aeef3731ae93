"""A daemon that is alive but cut off from Redis while another one is not ([cache] when-cut-off)."""

import socket
import unittest

import harness


def nobody():
    """A port of the loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class CutOff(harness.Case):
    daemons = 2
    conf = harness.PATIENT

    def cut_off(self, daemon, how):
        daemon.configure(f"[cache]\naddress = 127.0.0.1:{nobody()}\nwhen-cut-off = {how}")
        daemon.restart()

    def connect_again(self, daemon):
        daemon.configure(f"[cache]\naddress = 127.0.0.1:{self.box.redis.port}")
        daemon.restart()

    def source(self, daemon):
        return harness.record(self.box.client(daemon).execute_command("BALANCE", "alice"))["source"]

    def test_both_ways(self):
        client, daemon = self.box.client(), self.box.daemons[1]
        client.execute_command("OPEN", "alice", "USD/2")
        client.execute_command("CREDIT", "alice", 5, "KEY", "k1")
        harness.wait_for(lambda: self.source(1) == "cache", what="the cache")

        with self.subTest("drain: both answer from the store, and both post"):
            self.cut_off(daemon, "drain")
            for number, balance in ((2, "6"), (1, "7")):
                reply = harness.record(self.box.client(number).execute_command(
                    "CREDIT", "alice", 1, "KEY", f"drain-{number}"))
                self.assertEqual(reply["balance"], balance)
                for reader in (1, 2):
                    self.assertEqual(self.box.client(reader).get("alice"), balance)
            self.assertEqual({self.source(1), self.source(2)}, {"sql"})

        with self.subTest("aside: it refuses, and the other one has its cache"):
            self.cut_off(daemon, "aside")
            harness.wait_for(lambda: self.box.client(2).info("trust")["trust"] == "aside",
                             what="standing aside")
            self.assertIn("stands aside", self.refused(
                "UNAVAILABLE", self.box.client(2), "CREDIT", "alice", 1, "KEY", "aside"))
            self.refused("UNAVAILABLE", self.box.client(2), "GET", "alice")
            self.refused("UNAVAILABLE", self.box.client(2), "HISTORY", "alice")
            harness.wait_for(lambda: self.source(1) == "cache", what="the cache of the other")
            reply = harness.record(client.execute_command("CREDIT", "alice", 1, "KEY", "k2"))
            self.assertEqual(reply["balance"], "8")
            harness.wait_for(lambda: self.source(1) == "cache", what="the cache of the other, still")
            self.assertEqual(self.box.psql("SELECT count(*) FROM ballast.lease"), "1")

        with self.subTest("connected again it joins"):
            self.connect_again(daemon)
            harness.wait_for(lambda: self.source(2) == "cache", what="the cache of both")
            self.assertEqual(self.box.client(2).get("alice"), "8")


if __name__ == "__main__":
    unittest.main()
