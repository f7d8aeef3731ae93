"""Subcommands that look: explain, and output that nobody takes."""

import json
import subprocess
import unittest

import harness


class Explain(harness.Case):
    def setUp(self):
        super().setUp()
        client = self.box.client()
        client.execute_command("OPEN", "ada", "USD/2")
        for key, memo in (("e-1", "plain"), ("e-2", 'a quote " and a } brace'), ("e-3", "ends \\")):
            client.execute_command("CREDIT", "ada", 5, "KEY", key, "MEMO", memo)

    def explain(self, account):
        lines = self.box.cli("explain", account, "--json").stdout.splitlines()
        self.assertEqual(len(lines), 1)
        shown = json.loads(lines[0])
        self.assertEqual(shown["schema"], 1)
        return shown

    def test_all_agree(self):
        shown = self.explain("ada")
        self.assertEqual((shown["store"]["balance"], shown["daemon"]["balance"]), (15, "15"))
        self.assertTrue(shown["agrees"])
        self.assertEqual([change["key"] for change in shown["changes"]],
                         ["e-3", "e-2", "e-1", None])

    def test_a_line_a_change(self):
        _, changes = self.box.cli("explain", "ada").stdout.split("changes, the newest first:\n")
        self.assertEqual([json.loads(line)["key"] for line in changes.splitlines()],
                         ["e-3", "e-2", "e-1", None])

    def test_garbage_in_the_cache(self):
        self.box.redis.client().set("bal:ada", b'\xff\x00\n"{')
        shown = self.explain("ada")
        self.assertEqual((shown["cache"], shown["agrees"]), ("poison", False))
        self.assertEqual(self.explain("ada")["daemon"]["balance"], "15")

    def test_without_a_row(self):
        shown = self.explain("nobody")
        self.assertEqual((shown["store"], shown["daemon"], shown["changes"]), (None, None, []))
        self.assertEqual(self.explain("@nobody")["daemon"], [])
        self.assertIn("@world", [entry["account"] for entry in self.explain("@world")["daemon"]])


class Output(harness.Case):
    """Output that cannot be written is no success."""

    def run_to(self, stdout, *words):
        return subprocess.run([*harness.launcher(), str(harness.BUILD / "ballast"), "-c",
                               self.box.env["BALLAST_CONF"], *words], stdout=stdout,
                              stderr=subprocess.PIPE, text=True, check=False, timeout=60)

    def test_a_full_disk(self):
        for words in (["status"], ["era", "--json"], ["reconcile", "--json"],
                      ["incidents", "--since", "2020-01-01T00:00:00Z"]):
            with self.subTest(words), open("/dev/full", "w", encoding="utf-8") as full:
                done = self.run_to(full, *words)
                self.assertEqual(done.returncode, 1)
                self.assertIn("cannot write the output: No space left on device", done.stderr)

    def test_top_ends_when_nobody_reads(self):
        with subprocess.Popen(["head", "-n", "1"], stdin=subprocess.PIPE,
                              stdout=subprocess.DEVNULL) as head:
            done = self.run_to(head.stdin, "top", "--interval", "200")
        self.assertEqual(done.returncode, 1)
        self.assertIn("Broken pipe", done.stderr)


if __name__ == "__main__":
    unittest.main()
