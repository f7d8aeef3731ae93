#!/usr/bin/python3
"""conf/ballast.conf is the manual of the options: every option of the code's table stands there
with the same default, and nothing else does; and the page that is made of it, ballast.conf(5),
shows them all."""

import re
import subprocess
from pathlib import Path

import files

TABLE = Path("src/base/config_options.c")
MANUAL = Path("conf/ballast.conf")
PAGE = Path("conf/man/ballast.conf.awk")
ROW = re.compile(r'\{"([a-z]+\.[a-z-]+)",\s*CONFIG_[A-Z]+,\s*(NULL|"([^"]*)")')
SECTION = re.compile(r"\[([a-z]+)\]")
OPTION = re.compile(r"(?:# )?([a-z][a-z-]*) =(?: (.*))?$")
PAGE_SECTION = re.compile(r"\.SH \[([a-z]+)\]")
PAGE_OPTION = re.compile(r"\\fB([a-z-]+)\\fR =(?: (.*))?$")


def options_of_code():
    return {name: default if word != "NULL" else None
            for name, word, default in ROW.findall(TABLE.read_text(encoding="utf-8"))}


def options_of_manual():
    """Name -> where it stands, its default."""
    section, options = None, {}
    for number, line in files.numbered_lines(MANUAL):
        if found := SECTION.match(line):
            section = found[1]
        elif section and (found := OPTION.match(line)):
            options.setdefault(f"{section}.{found[1]}",
                               (f"{MANUAL}:{number}", (found[2] or "").strip()))
    return options


def options_of_page():
    """The same; the page marks an option as a term (.TP, .TQ) of its section."""
    made = subprocess.run(["awk", "-f", PAGE, MANUAL], capture_output=True, text=True, check=True)
    section, before, options = None, "", {}
    for line in made.stdout.replace("\\-", "-").splitlines():
        if found := PAGE_SECTION.match(line):
            section = found[1]
        elif before in (".TP", ".TQ") and (found := PAGE_OPTION.match(line)):
            options.setdefault(f"{section}.{found[1]}", (PAGE, (found[2] or "").strip()))
        before = line
    return options


def compare(code, documented, source):
    for name, default in code.items():
        if name not in documented:
            yield f"{source}: option {name} is not documented"
        elif default is not None and documented[name][1] != default:
            where, shown = documented[name]
            yield f"{where}: {name} = {shown}: the default in {TABLE} is {default!r}"
    for name in documented.keys() - code.keys():
        yield f"{documented[name][0]}: there is no option {name}"


def main():
    for path in (TABLE, MANUAL, PAGE):
        if not path.is_file():
            files.finish([f"{path} is missing"])
    code = options_of_code()
    errors = [] if code else [f"{TABLE}: no option found: has the table's form changed?"]
    errors += compare(code, options_of_manual(), MANUAL)
    errors += compare(code, options_of_page(), PAGE)
    files.finish(errors)


main()
