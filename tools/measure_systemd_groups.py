"""Write down which system calls the groups of the installed systemd hold.

A drop-in names groups (`@mount`), and which calls they hold differs between versions:

    python -m tools.measure_systemd_groups exporters/data/systemd
"""

from __future__ import annotations

import argparse
import json
import subprocess
from collections.abc import Mapping
from pathlib import Path

__all__ = ["expanded", "parse_groups"]

_SCHEMA = "ethogram.systemd-groups/1"


def parse_groups(text: str) -> dict[str, list[str]]:
    """Return the groups that `systemd-analyze syscall-filter` prints, each with its entries.

    An entry is a call or another group. What follows the last group is a list of calls in none.
    """
    groups: dict[str, list[str]] = {}
    name = ""
    for line in text.splitlines():
        if line.startswith("@"):
            name = line.strip()
            groups[name] = []
        elif line.startswith("    ") and not line.strip().startswith("#"):
            groups[name].append(line.strip())
        elif line and not line.startswith(" "):
            break
    return groups


def expanded(groups: Mapping[str, list[str]], name: str) -> set[str]:
    """Return the calls of group *name*, those of the groups in it among them."""
    calls: set[str] = set()
    for entry in groups[name]:
        calls |= expanded(groups, entry) if entry.startswith("@") else {entry}
    return calls


def main() -> None:
    """Write the data file of the installed systemd."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path, help="directory of the data files")
    output = parser.parse_args().output
    package = _printed("dpkg-query", "-W", "-f", "${Version}", "systemd")
    groups = parse_groups(_printed("systemd-analyze", "syscall-filter"))
    document = {
        "schema": _SCHEMA,
        "package": package,
        "how": "`systemd-analyze syscall-filter`, groups in groups expanded",
        "groups": {name: sorted(expanded(groups, name)) for name in sorted(groups)},
    }
    path = output / f"{package}.json"
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def _printed(*command: str) -> str:
    return subprocess.run(command, capture_output=True, check=True, text=True).stdout


if __name__ == "__main__":
    main()
