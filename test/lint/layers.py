#!/usr/bin/python3
"""Each layer includes only lower ones, and only the adapters know the client libraries."""

import re
from pathlib import Path

import files

# From low to high; layers of one step do not see each other.
STEPS = [["base"], ["wire"], ["model"], ["store", "cache"], ["core"], ["ops"], ["server"],
         ["programs"]]
RANK = {layer: rank for rank, step in enumerate(STEPS) for layer in step}

# Header of a library -> the layers that may include it, and single files beside them.
LIBRARIES = [
    (re.compile(r"libpq|postgres"), {"store"}, set()),
    (re.compile(r"hiredis"), {"cache"}, {"include/programs/client.h", "src/programs/client.c"}),
    (re.compile(r"^(event2/|event\.h|ev)"), {"store", "cache", "ops", "server", "programs"}, set()),
    (re.compile(r"^ini\.h"), {"base"}, set()),
    # The core is driven by events only: a simulator brings the sockets and the clock.
    (re.compile(r"^(sys/socket|sys/epoll|netinet/|poll|time|sys/time|unistd)\b"),
     set(RANK) - {"model", "core"}, set()),
]
GENERATED = {"gen/sql.h": {"store", "ops", "programs"}}
INCLUDE = re.compile(r'\s*#\s*include\s*([<"])([^>"]+)[>"]')


def own_header_error(layer, header):
    if header in GENERATED:
        allowed = GENERATED[header]
        return None if layer in allowed else f"{header} is for {', '.join(sorted(allowed))}"
    target = header.split("/")[0]
    if target not in RANK or not (Path("include") / header).is_file():
        return f'"{header}" is no header of include/: name it as "layer/name.h"'
    if target != layer and RANK[target] >= RANK[layer]:
        return f"layer {layer} must not include {target} ({header})"
    return None


def library_error(layer, path, header):
    for pattern, layers, extra in LIBRARIES:
        if pattern.search(header) and layer not in layers and str(path) not in extra:
            return f"<{header}> does not belong into layer {layer}"
    return None


def main():
    errors = []
    for path in files.tracked("src/*.[ch]", "include/*.h"):
        layer = path.parts[1]
        if layer not in RANK or len(path.parts) != 3:
            errors.append(f"{path}: not in a layer (src/LAYER/x.c, include/LAYER/x.h)")
            continue
        for number, line in files.numbered_lines(path):
            found = INCLUDE.match(line)
            if not found:
                continue
            own, header = found[1] == '"', found[2]
            error = own_header_error(layer, header) if own else library_error(layer, path, header)
            if error:
                errors.append(f"{path}:{number}: {error}")
    files.finish(errors)


main()
