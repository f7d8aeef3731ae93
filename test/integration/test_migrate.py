"""ballast migrate: an empty database, two runners at once, a schema that is newer."""

import json
import subprocess

import harness


class Migrate(harness.Case):
    daemons = 1

    def setUp(self):
        super().setUp()
        self.box.psql("drop database if exists other")
        self.box.psql("create database other")
        self.conf_path = self.box.dir / "other.conf"
        text = self.box.daemon.conf.read_text()
        name = self.box.env["PGDATABASE"]
        self.assertIn(f"dbname={name}", text)
        self.conf_path.write_text(text.replace(f"dbname={name}", "dbname=other"))

    def command(self, *words):
        return harness.launcher() + [str(harness.BUILD / "ballast"), "-c", str(self.conf_path),
                                     *words]

    def run_cli(self, *words, expect=0):
        done = subprocess.run(self.command(*words), capture_output=True, text=True, timeout=60,
                              check=False)
        self.assertEqual(done.returncode, expect, done.stdout + done.stderr)
        return done

    def schemas(self):
        return self.box.psql("select count(*) from pg_namespace where nspname = 'ballast'",
                             database="other")

    def test_plan_changes_nothing(self):
        lines = self.run_cli("migrate", "--plan", "--json").stdout.splitlines()
        self.assertEqual(json.loads(lines[0])["name"], "schema")
        self.assertEqual(json.loads(lines[-1])["pending"], len(lines) - 1)
        self.assertEqual(self.schemas(), "0")

    def test_two_at_once_and_again(self):
        runners = [subprocess.Popen(self.command("migrate", "--json"), stdout=subprocess.PIPE,
                                    stderr=subprocess.PIPE, text=True) for _ in range(3)]
        applied = 0
        for runner in runners:
            out, err = runner.communicate(timeout=60)
            self.assertEqual(runner.returncode, 0, err)
            applied += json.loads(out.splitlines()[-1])["applied"]
        count = int(self.box.psql("select count(*) from ballast.migration", database="other"))
        self.assertEqual(applied, count)
        self.assertIn("nothing to do", self.run_cli("migrate").stdout)

    def test_a_newer_schema_is_refused(self):
        self.run_cli("migrate")
        self.box.psql("insert into ballast.migration values (999, 'future')", database="other")
        self.assertIn("newer", self.run_cli("migrate", expect=78).stderr)
        self.assertIn("newer", self.run_cli("era", expect=78).stderr)

    def test_without_a_schema_jobs_say_what_to_do(self):
        for words in (("rebuild",), ("reconcile",), ("era",)):
            self.assertIn("ballast migrate", self.run_cli(*words, expect=78).stderr)
