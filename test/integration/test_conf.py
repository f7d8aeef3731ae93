"""What is shipped around the programs: /metrics and the alerts and the dashboard that live on it,
the installation, the manual pages, the units, the example configuration, the completion.

promtool, man, mandoc and systemd-analyze are asked too, where they are there.
"""

import json
import os
import re
import shutil
import subprocess
import tempfile
import unittest
import urllib.request
from pathlib import Path

import harness

CONF = harness.TOP / "conf"
ALERTS = CONF / "ballast-alerts.yml"
DASHBOARD = CONF / "ballast-dashboard.json"
PREFIX = "/usr"
CONFIG_PATH = "/etc/ballast/ballast.conf"
INSTALLED = [
    "sbin/ballastd",
    "bin/ballast",
    "share/man/man8/ballastd.8",
    "share/man/man1/ballast.1",
    "share/man/man5/ballast.conf.5",
    "lib/systemd/system/ballastd.service",
    "lib/systemd/system/ballast-reconcile.service",
    "lib/systemd/system/ballast-reconcile.timer",
    "share/doc/ballast/examples/ballast.conf",
    "share/doc/ballast/examples/ballast-alerts.yml",
    "share/doc/ballast/examples/ballast-dashboard.json",
    "share/bash-completion/completions/ballast",
]

HEADER = re.compile(r"# (HELP|TYPE) (ballast_[a-z0-9_]+) (.+)")
SAMPLE = re.compile(r"([a-z0-9_]+)(?:\{(.*)\})? (\S+)")
LABEL = re.compile(r'([a-z_]+)="((?:[^"\\\n]|\\[\\"n])*)"(?:,|$)')
SELECTOR = re.compile(r"\b(ballast_[a-z0-9_]+)(?:\{([^}]*)\})?")
MATCHER = re.compile(r'([a-z_]+)(=~|=)"([^"]*)"(?:,|$)')
ADDED_BY_PROMETHEUS = {"instance", "job"}


def run(*words, **options):
    """Runs a command that must succeed; returns what it printed, on both outputs."""
    done = subprocess.run([str(word) for word in words], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
                          timeout=60, **options)
    if done.returncode != 0:
        raise AssertionError(f"{words}: exit {done.returncode}\n{done.stdout}")
    return done.stdout


def program(name, *words):
    return run(*harness.launcher(), harness.BUILD / name, *words)


def need(tool):
    if shutil.which(tool) is None:
        raise unittest.SkipTest(f"{tool} is not here")


# --- /metrics -----------------------------------------------------------------------------------


def parse_line(pattern, line):
    found = pattern.fullmatch(line)
    assert found, f"not understood: {line!r}"
    return found.groups()


def parse_all(pattern, text):
    """The groups of all matches, which must be the whole text."""
    found = list(pattern.finditer(text))
    assert "".join(match[0] for match in found) == text, f"not understood: {text!r}"
    return [match.groups() for match in found]


class Family:
    """One metric of the text format: its samples as (name, labels, value)."""

    def __init__(self, name):
        self.name = name
        self.help = self.type = None
        self.samples = []

    def suffixes(self):
        return ("_bucket", "_sum", "_count") if self.type == "histogram" else ("",)

    def check(self):
        """Raises where a rule of the format is broken."""
        assert self.help and self.type in ("counter", "gauge", "histogram"), self.name
        assert self.samples, f"{self.name} has no sample"
        assert (self.type == "counter") == self.name.endswith("_total"), f"{self.name}: name"
        series = [(name, tuple(sorted(labels.items()))) for name, labels, _ in self.samples]
        assert len(series) == len(set(series)), f"{self.name}: a series twice"
        if self.type != "gauge":
            assert all(value >= 0 for _, _, value in self.samples), f"{self.name}: negative"
        if self.type == "histogram":
            self.check_histogram()

    def check_histogram(self):
        ladders, counts = {}, {}
        for name, labels, value in self.samples:
            labels = dict(labels)
            edge = labels.pop("le", None)
            key = tuple(labels.items())
            if name.endswith("_bucket"):
                ladders.setdefault(key, []).append((float(edge), value))
            elif name.endswith("_count"):
                counts[key] = value
        assert ladders.keys() == counts.keys(), self.name
        for key, ladder in ladders.items():
            assert ladder == sorted(ladder), f"{self.name}: edges and counts must go up"
            values = [value for _, value in ladder]
            assert values == sorted(values), f"{self.name}: the buckets do not add up"
            assert ladder[-1] == (float("inf"), counts[key]), f"{self.name}: no bucket for all"


def parse_metrics(text):
    """Families of a page in the text format of Prometheus, in order."""
    assert text.endswith("\n")
    families = []
    for line in text.splitlines():
        if line.startswith("#"):
            kind, name, rest = parse_line(HEADER, line)
            if kind == "HELP":
                families.append(Family(name))
                families[-1].help = rest
            else:
                families[-1].type = rest
            assert families[-1].name == name, f"HELP and TYPE of {name} stand apart"
        else:
            name, labels, value = parse_line(SAMPLE, line)
            family = families[-1]
            assert name in [family.name + suffix for suffix in family.suffixes()], line
            family.samples.append((name, dict(parse_all(LABEL, labels or "")), float(value)))
    names = [family.name for family in families]
    assert len(names) == len(set(names)), "a family in two places"
    return families


# --- what is built on /metrics --------------------------------------------------------------------


def alert_rules():
    """The rules of the alerts' file, which keeps to a plain form: every key on its own line,
    texts on one line, expressions on one or in a block."""
    rules, block = [], None
    for line in ALERTS.read_text().splitlines():
        text, indent = line.strip(), len(line) - len(line.lstrip())
        if block is not None and indent > block:
            rules[-1]["expr"] += f" {text}"
            continue
        block = None
        if not text or text.startswith("#"):
            continue
        key, _, value = text.removeprefix("- ").partition(":")
        value = value.strip()
        if key == "alert":
            rules.append({})
        if key == "expr" and value == "|":
            block, value = indent, ""
        if rules and value:
            rules[-1][key] = value.strip('"')
        elif rules and key == "expr":
            rules[-1][key] = ""
    return rules


def dashboard_expressions(panels):
    for panel in panels:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]


def series_selected(expression, series):
    """For every selector of the expression, as (selector, whether a series of the page has it)."""
    for match in SELECTOR.finditer(expression):
        matchers = [matcher for matcher in parse_all(MATCHER, (match[2] or "").replace(" ", ""))
                    if matcher[0] not in ADDED_BY_PROMETHEUS]
        # Each alternative of a pattern must be there, not only one of them.
        wanted = [[(name, value) for value in words.split("|")] if sign == "=~" else [(name, words)]
                  for name, sign, words in matchers]
        found = [labels for name, labels, _ in series if name == match[1]]
        yield match[0], bool(found) and all(
            any(labels.get(name) == value for labels in found)
            for alternatives in wanted for name, value in alternatives)


class Metrics(harness.Case):
    def page(self):
        url = f"http://127.0.0.1:{self.box.daemon.http_port}/metrics"
        with urllib.request.urlopen(url, timeout=10) as response:
            return response.read().decode()

    def series(self):
        return [sample for family in parse_metrics(self.page()) for sample in family.samples]

    def check_expressions(self, expressions):
        series = self.series()
        count = 0
        for where, expression in expressions:
            for selector, found in series_selected(expression, series):
                count += 1
                self.assertTrue(found, f"{where}: /metrics has nothing for {selector}")
        self.assertGreater(count, 10)

    def test_format(self):
        client = self.box.client()
        client.execute_command("OPEN", "alice", "USD/2")
        client.execute_command("CREDIT", "alice", 5, "KEY", "conf-1")
        client.get("alice")
        families = parse_metrics(self.page())
        self.assertGreater(len(families), 30)
        for family in families:
            family.check()

    def test_promtool_takes_the_format(self):
        need("promtool")
        done = subprocess.run(["promtool", "check", "metrics"], input=self.page(), text=True,
                              capture_output=True, check=False, timeout=60)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))

    def test_alerts_use_what_is_there(self):
        self.check_expressions((rule["alert"], rule["expr"]) for rule in alert_rules())

    def test_dashboard_uses_what_is_there(self):
        panels = json.loads(DASHBOARD.read_text())["panels"]
        self.check_expressions(dashboard_expressions(panels))

    def test_alerts_name_commands_that_exist(self):
        usage = program("ballast", "--help")
        for rule in alert_rules():
            for subcommand in re.findall(r"(?:^|; )ballast ([a-z-]+)", rule["command"]):
                self.assertRegex(usage, rf"(?m)^  {subcommand} ", rule["alert"])


class Alerts(unittest.TestCase):
    def test_every_rule_says_what_to_do(self):
        rules = alert_rules()
        names = [rule["alert"] for rule in rules]
        self.assertEqual(len(names), len(set(names)))
        self.assertEqual(len(names), ALERTS.read_text().count("- alert:"))
        for rule in rules:
            self.assertIn(rule["severity"], ("page", "ticket"), rule["alert"])
            for key in ("expr", "summary", "description", "command"):
                self.assertTrue(rule.get(key), f"{rule['alert']} has no {key}")

    def test_promtool_takes_the_rules(self):
        need("promtool")
        run("promtool", "check", "rules", ALERTS)


class Dashboard(unittest.TestCase):
    def test_panels_stand_side_by_side(self):
        panels = json.loads(DASHBOARD.read_text())["panels"]
        taken = set()
        for panel in panels:
            grid = panel["gridPos"]
            cells = {(grid["x"] + x, grid["y"] + y)
                     for x in range(grid["w"]) for y in range(grid["h"])}
            self.assertFalse(taken & cells, panel["title"])
            self.assertLessEqual(grid["x"] + grid["w"], 24, panel["title"])
            taken |= cells
        self.assertEqual(len({panel["id"] for panel in panels}), len(panels))


# --- the installation -----------------------------------------------------------------------------


class Installation(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.root = Path(cls.enterClassContext(
            tempfile.TemporaryDirectory(dir=os.environ.get("BALLAST_TEST_DIR"))))
        # What is built stays as it is, also where a sanitizer built it.
        environment = {name: value for name, value in os.environ.items()
                       if name not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
        run("make", "--old-file=all", "install", f"BUILD={harness.BUILD}", f"DESTDIR={cls.root}",
            f"PREFIX={PREFIX}", cwd=harness.TOP, env=environment)

    def installed(self, name):
        return self.root / PREFIX.lstrip("/") / name

    def pages(self):
        pages = sorted(self.installed("share/man").glob("man*/*"))
        self.assertEqual(len(pages), 3)
        return pages

    def units(self):
        return sorted(self.installed("lib/systemd/system").iterdir())

    def test_every_file_is_in_its_place(self):
        found = {str(path.relative_to(self.installed("")))
                 for path in self.root.rglob("*") if path.is_file()}
        self.assertEqual(found, set(INSTALLED))
        for name in INSTALLED:
            path = self.installed(name)
            self.assertGreater(path.stat().st_size, 0, name)
            wanted = 0o755 if name.split("/")[0] in ("bin", "sbin") else 0o644
            self.assertEqual(path.stat().st_mode & 0o777, wanted, name)

    def test_man_formats_the_pages(self):
        need("man")
        for page in self.pages():
            done = subprocess.run(
                ["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", page], text=True,
                capture_output=True, check=False, timeout=60,
                env={**os.environ, "LC_ALL": "C.UTF-8", "MANWIDTH": "80"})
            self.assertEqual((done.returncode, done.stderr), (0, ""), page)

    def test_mandoc_takes_the_pages(self):
        need("mandoc")
        for page in self.pages():
            done = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", page], text=True,
                                  capture_output=True, check=False, timeout=60)
            # A page without a date is meant to be one: it goes with the version it came with.
            said = [line for line in done.stdout.splitlines() if "missing date" not in line]
            self.assertFalse(said, page)

    def test_the_manual_knows_every_subcommand(self):
        manual = self.installed("share/man/man1/ballast.1").read_text().replace("\\-", "-")
        for subcommand in subcommands():
            self.assertRegex(manual, rf"(?m)^\.B[A-Z]* \"?{subcommand}\b", subcommand)

    def test_units_name_what_is_installed(self):
        for unit in self.units():
            text = unit.read_text()
            self.assertNotRegex(text, r"@[A-Z]+@", unit.name)
            for words in re.findall(r"(?m)^Exec[A-Za-z]+=(.+)$", text):
                name, *rest = words.split()
                if name.startswith(PREFIX + "/"):
                    path = self.root / name.lstrip("/")
                    self.assertTrue(os.access(path, os.X_OK), f"{unit.name}: {words}")
                    self.assertEqual(rest[rest.index("-c") + 1], CONFIG_PATH, unit.name)
                else:
                    self.assertEqual(name, "/bin/kill", unit.name)
            for page, section in re.findall(r"man:([a-z.]+)\((\d)\)", text):
                path = self.installed(f"share/man/man{section}/{page}.{section}")
                self.assertTrue(path.is_file(), f"{unit.name}: {page}({section})")

    def test_systemd_takes_the_units(self):
        need("systemd-analyze")
        copies = Path(self.enterContext(tempfile.TemporaryDirectory()))
        for unit in self.units():
            # systemd looks for the programs where they are for now.
            text = unit.read_text().replace(f"{PREFIX}/", f"{self.installed('')}/")
            (copies / unit.name).write_text(text)
        for unit in self.units():
            said = run("systemd-analyze", "verify", "--man=no", copies / unit.name)
            self.assertNotIn(str(copies), said)
            self.assertNotIn(unit.name + ":", said)

    def test_the_example_is_a_good_configuration(self):
        program("ballastd", "--check-config", "-c",
                self.installed("share/doc/ballast/examples/ballast.conf"))

    def test_programs_look_for_the_configuration_of_the_units(self):
        self.assertIn(CONFIG_PATH, program("ballast", "--help"))


# --- completion -----------------------------------------------------------------------------------


def subcommands():
    return re.findall(r"(?m)^  ([a-z-]+)  ", program("ballast", "--help"))


def completions(*words):
    """What bash offers for the last of the words behind `ballast`."""
    script = ('source "$1"; shift; COMP_WORDS=(ballast "$@"); COMP_CWORD=$#; _ballast; '
              'printf "%s\\n" "${COMPREPLY[@]}"')
    return run("bash", "-c", script, "bash", CONF / "completion" / "ballast.bash", *words).split()


class Completion(unittest.TestCase):
    def test_bash_loads_it(self):
        file = CONF / "completion" / "ballast.bash"
        self.assertEqual(run("bash", "-n", file), "")
        said = run("bash", "-c", 'source "$1" && complete -p ballast', "bash", file)
        self.assertEqual(said, "complete -F _ballast ballast\n")

    def test_it_offers_the_subcommands(self):
        offered = [word for word in completions("") if not word.startswith("-")]
        self.assertCountEqual(offered, subcommands())

    def test_it_offers_the_options_of_a_subcommand(self):
        for subcommand in subcommands():
            told = re.findall(r"(?m)^  (?:-\w, |    )(--[a-z-]+)",
                              program("ballast", subcommand, "--help"))
            self.assertCountEqual(completions(subcommand, "--"), told, subcommand)
