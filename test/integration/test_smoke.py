"""The shortest way through everything: a daemon answers, opens, credits and reads."""

import harness


class Smoke(harness.Case):
    def test_ping(self):
        self.assertTrue(self.box.client().ping())

    def test_open_credit_get(self):
        client = self.box.client()
        opened = harness.record(client.execute_command("OPEN", "alice", "USD/2"))
        self.assertEqual(opened["created"], 1)
        done = harness.record(client.execute_command("CREDIT", "alice", 1250, "KEY", "smoke-1"))
        self.assertEqual((done["balance"], done["duplicate"]), ("1250", 0))
        self.assertEqual(client.get("alice"), "1250")
        self.assertEqual(
            self.box.psql("select balance from ballast.account where account_id = 'alice'"), "1250")

    def test_unknown_account(self):
        client = self.box.client()
        self.assertIsNone(client.get("nobody"))
        self.refused("NOACCOUNT", client, "CREDIT", "nobody", 1, "KEY", "smoke-2")
