"""Write down which system call names the installed libseccomp knows.

runc and crun drop a name silently that their libseccomp does not know: the call is then denied
although the profile lists it. Distributions backport names, so the data file carries the package's
version and not just the library's:

    python -m tools.measure_libseccomp exporters/data/libseccomp
"""

from __future__ import annotations

import argparse
import ctypes
import json
import subprocess
from pathlib import Path
from typing import Any

from ethogram.contracts.syscall_names import names_of

__all__ = ["TOKENS", "measure", "resolver"]

# `SCMP_ARCH_*` of seccomp.h, by our words for the architectures.
TOKENS = {
    "x86_64": 0xC000003E,
    "i386": 0x40000003,
    "x32": 0x4000003E,
    "aarch64": 0xC00000B7,
    "arm": 0x40000028,
}
_UNKNOWN = -1


def resolver() -> Any:
    """Return `seccomp_syscall_resolve_name_arch(token, name) -> number` of the real library.

    -1 is a name that libseccomp does not know; other negative numbers stand for names that the
    architecture lacks, or has only behind `socketcall` and `ipc`.
    """
    function = ctypes.CDLL("libseccomp.so.2").seccomp_syscall_resolve_name_arch
    function.argtypes = [ctypes.c_uint32, ctypes.c_char_p]
    function.restype = ctypes.c_int
    return function


def measure() -> list[str]:
    """Return the names, of any of our architectures, that the installed library knows."""
    resolve = resolver()
    names = {name for arch in TOKENS for name in names_of(arch)}
    return sorted(n for n in names if resolve(TOKENS["x86_64"], n.encode()) != _UNKNOWN)


def main() -> None:
    """Write the data file of the installed library."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path, help="directory of the data files")
    output = parser.parse_args().output
    package = subprocess.run(
        ["dpkg-query", "-W", "-f", "${Version}", "libseccomp2"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    data = {
        "schema": "ethogram.libseccomp-names/1",
        "version": package.partition("-")[0],
        "package": package,
        "how": "seccomp_syscall_resolve_name_arch() by tools/measure_libseccomp.py",
        "names": measure(),
    }
    (output / f"{package}.json").write_text(json.dumps(data, indent=1) + "\n")


if __name__ == "__main__":
    main()
