#!/usr/bin/python3
"""Words and calls that must not stand in the tree."""

import re

import files

C_CODE = ["src/*.[ch]", "include/*.h", "test/*.[ch]"]
PRODUCT_CODE = ["src/*.[ch]", "include/*.h"]
MONEY_CODE = ["src/model/*", "src/core/*", "include/model/*", "include/core/*"]
EVERYTHING = ["."]

RULES = [
    (EVERYTHING, r"\b(TODO|FIXME|XXX|HACK)\b", "left-over mark"),
    (EVERYTHING, r"(^|[\s\"'=(])/(home|root|work)/", "path of one machine"),
    (EVERYTHING, r"[ \t]+$", "white space at the end"),
    (C_CODE, r"\t", "tab"),
    (PRODUCT_CODE, r"\b(strcat|vsprintf|gets|strtok|atof|alloca|rand)\(",
     "call without a bound, an error or a thread"),
    (C_CODE, r"\b(usleep|nanosleep|sleep)\(", "sleeping where a poll with a deadline belongs"),
    (C_CODE, r"\btypedef struct\b", "typedef of a struct"),
    (MONEY_CODE, r"\b(float|double)\b(?!.*\*/)", "floating point near money"),
]
# Form is theirs: recorded inputs, texts of licences, and this list.
EXEMPT = re.compile(r"^(test/lint/words\.py|test/fuzz/.*corpus.*|.*\.(gz|md))$")


def main():
    errors = []
    for paths, pattern, reason in RULES:
        matcher = re.compile(pattern)
        for path in files.tracked(*paths):
            if EXEMPT.match(str(path)):
                continue
            for number, line in files.numbered_lines(path):
                if matcher.search(line):
                    errors.append(f"{path}:{number}: {reason}: {line.strip()}")
    files.finish(errors)


main()
