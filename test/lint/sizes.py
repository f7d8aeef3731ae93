#!/usr/bin/python3
"""Files and functions that have outgrown one idea."""

import files

FILE_LINES_WARN, FILE_LINES_MAX = 500, 650
FUNCTION_LINES_WARN, FUNCTION_LINES_MAX = 70, 100


def function_lengths(path):
    """First line and length of every function: the braces of a body stand in the first column."""
    start = None
    for number, line in files.numbered_lines(path):
        if line == "{":
            start = number
        elif line == "}" and start is not None:
            yield start, number - start + 1
            start = None


def judge(what, lines, warn, most, errors, warnings):
    if lines > most:
        errors.append(f"{what}: {lines} lines, {most} at most")
    elif lines > warn:
        warnings.append(f"{what}: {lines} lines")


def main():
    errors, warnings = [], []
    for path in files.tracked("src", "include", "test", "sql", "Makefile"):
        if path.suffix in {".txt", ".csv", ".gz", ".json"}:
            continue
        lines = sum(1 for _ in files.numbered_lines(path))
        judge(path, lines, FILE_LINES_WARN, FILE_LINES_MAX, errors, warnings)
        if path.suffix == ".c":
            for start, length in function_lengths(path):
                judge(f"{path}:{start}: function", length, FUNCTION_LINES_WARN,
                      FUNCTION_LINES_MAX, errors, warnings)
    files.finish(errors, warnings)


main()
