#!/usr/bin/python3
"""conf/ballast.conf is the manual of the options: every option of the code's table stands there
with the same default, and nothing else does."""

import re
from pathlib import Path

import files

TABLE = Path("src/base/config_options.c")
MANUAL = Path("conf/ballast.conf")
ROW = re.compile(r'\{"([a-z]+\.[a-z-]+)",\s*CONFIG_[A-Z]+,\s*(NULL|"([^"]*)")')
SECTION = re.compile(r"\[([a-z]+)\]")
OPTION = re.compile(r"(?:# )?([a-z][a-z-]*) =(?: (.*))?$")


def options_of_code():
    return {name: default if word != "NULL" else None
            for name, word, default in ROW.findall(TABLE.read_text(encoding="utf-8"))}


def options_of_manual():
    section, options = None, {}
    for number, line in files.numbered_lines(MANUAL):
        if found := SECTION.match(line):
            section = found[1]
        elif section and (found := OPTION.match(line)):
            options.setdefault(f"{section}.{found[1]}", (number, (found[2] or "").strip()))
    return options


def main():
    errors = []
    if not (TABLE.is_file() and MANUAL.is_file()):
        files.finish([f"{TABLE} or {MANUAL} is missing"])
    code, manual = options_of_code(), options_of_manual()
    if not code:
        errors.append(f"{TABLE}: no option found: has the table's form changed?")
    for name, default in code.items():
        if name not in manual:
            errors.append(f"{MANUAL}: option {name} is not documented")
        elif default is not None and manual[name][1] != default:
            errors.append(f"{MANUAL}:{manual[name][0]}: {name} = {manual[name][1]}: "
                          f"the default in {TABLE} is {default!r}")
    for name, (number, _) in manual.items():
        if name not in code:
            errors.append(f"{MANUAL}:{number}: there is no option {name}")
    files.finish(errors)


main()
