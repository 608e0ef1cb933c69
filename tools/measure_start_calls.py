"""Measure which calls of a runtime's base set a container does not start without.

A runtime survives that some of its own calls are refused. For each call of the base set of the
installed version this runs a container under a profile that allows everything else, refusing it
with ENOSYS and with EPERM, with no_new_privs and without:

    python -m tools.measure_start_calls runc exporters/data/start_calls

Root is needed.
"""

from __future__ import annotations

import argparse
import json
import platform
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from demo.containers import Container, ContainerError
from demo.oci import Spec
from demo.rootfs import busybox_root
from ethogram.contracts.syscall_names import names_of
from exporters.runtime_base import load_runtime_bases
from tools.measure_libseccomp import measure as known_names
from tools.measure_runtime_base import release

_ERRNOS = {"ENOSYS": 38, "EPERM": 1}


def starts(image: Path, runtime: str, refused: Sequence[str], **how: Any) -> bool:
    """Return whether a container starts and ends where just *refused* are not allowed."""
    allowed = sorted(names_of(platform.machine()) & set(known_names()) - set(refused))
    profile = {
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": how["errno"],
        "architectures": ["SCMP_ARCH_X86_64"],
        "syscalls": [{"names": allowed, "action": "SCMP_ACT_ALLOW"}],
    }
    spec = Spec(["true"], seccomp=profile, no_new_privileges=how["no_new_privs"])
    try:
        with Container(image, spec, runtime=runtime) as container:
            return container.run(timeout_s=10).returncode == 0
    except (ContainerError, TimeoutError):
        return False


def measure(image: Path, runtime: str) -> dict[str, Any]:
    """Return the data of the installed version of *runtime*."""
    version, arch = release(runtime)[0], platform.machine()
    (base,) = (
        base
        for base in load_runtime_bases()
        if (base.runtime, base.version, base.arch) == (runtime, version, arch)
    )
    sets = []
    for no_new_privs in (True, False):
        for word, errno in _ERRNOS.items():
            how = {"no_new_privs": no_new_privs, "errno": errno}
            if not starts(image, runtime, [], **how):
                raise SystemExit(f"{runtime} does not start a container that may do everything")
            needed = [
                name
                for name in base.calls(no_new_privs)
                if not starts(image, runtime, [name], **how)
            ]
            sets.append({"no_new_privs": no_new_privs, "refused_with": word, "calls": needed})
    return {
        "schema": "ethogram.start-calls/1",
        "runtime": runtime,
        "version": version,
        "arch": arch,
        "how": "starts of `true` with one call refused, by tools/measure_start_calls.py",
        "sets": sets,
    }


def main() -> None:
    """Write the data file of one runtime."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runtime", choices=["runc", "crun"])
    parser.add_argument("output", type=Path, help="directory of the data files")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        data = measure(busybox_root(Path(directory) / "image"), arguments.runtime)
    name = f"{data['runtime']}-{data['version']}-{data['arch']}.json"
    (arguments.output / name).write_text(json.dumps(data, indent=1) + "\n")


if __name__ == "__main__":
    main()
