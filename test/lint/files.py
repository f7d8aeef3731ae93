"""What the lints share: the tree's own files, and how a finding is shown."""

import subprocess
import sys
from pathlib import Path


def tracked(*patterns):
    """Files that git knows or would take, matching pathspecs."""
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "--", *patterns],
                            capture_output=True, text=True, check=True).stdout.splitlines()
    return [Path(name) for name in sorted(set(listed)) if Path(name).is_file()]


def numbered_lines(path):
    return enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1)


def finish(errors, warnings=()):
    """Prints findings and leaves with the status: warnings do not fail."""
    for warning in warnings:
        print(f"        warning: {warning}")
    for error in errors:
        print(f"        {error}")
    sys.exit(1 if errors else 0)
