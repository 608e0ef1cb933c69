"""Write down what the default seccomp profile of the installed container engine allows.

The export says of each profile how much of the possible it still allows, and beside that what a
container has that names no profile:

    python -m tools.measure_default_profile exporters/data/default_profile
"""

from __future__ import annotations

import argparse
import json
import subprocess
from pathlib import Path
from typing import Any

from ethogram.contracts.policy_seccomp import DEFAULT_CAPABILITIES, Host, read_profile
from ethogram.contracts.syscall_names import names_of

__all__ = ["PACKAGE", "PROFILE", "measure"]

PACKAGE = "golang-github-containers-common"
PROFILE = Path("/usr/share/containers/seccomp.json")
_MACHINES = ("x86_64", "aarch64")


def measure(document: Any) -> dict[str, dict[str, list[str]]]:
    """Return what *document* allows by architecture, always and `by_argument`."""
    found: dict[str, dict[str, list[str]]] = {"calls": {}, "by_argument": {}}
    for machine in _MACHINES:
        profile = read_profile(document, Host(machine))
        answers = {name: profile.verdict(machine, name) for name in names_of(machine)}
        allowed = sorted(name for name, answer in answers.items() if answer.is_permitted)
        found["calls"][machine] = allowed
        found["by_argument"][machine] = sorted(
            name for name, answer in answers.items() if not answer.is_certain
        )
    return found


def main() -> None:
    """Write the data file of the installed package."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path, help="directory of the data files")
    output = parser.parse_args().output
    version = subprocess.run(
        ["dpkg-query", "-W", "-f", "${Version}", PACKAGE],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    document = {
        "schema": "ethogram.default-profile/1",
        "name": f"containers-common {version.partition('+')[0]}",
        "package": PACKAGE,
        "version": version,
        "how": f"{PROFILE} by tools/measure_default_profile.py, with the capabilities"
        f" {', '.join(sorted(DEFAULT_CAPABILITIES))} and a kernel as new as it asks for",
        **measure(json.loads(PROFILE.read_bytes())),
    }
    path = output / f"containers-common-{version}.json"
    path.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
