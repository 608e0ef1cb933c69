"""Compile every `bpf/*.bpf.c` for each machine: `python3 bpf/build.py [--force]`.

The objects go to `profiler/_objects/<machine>/NAME.bpf.o`. A source is compiled again only when
it, a header beside it or this script is newer than its object, and an object is replaced whole or
not at all. Needs the standard library alone: the Makefile and the wheel's build hook both call it.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

# Directory under `_objects` (as `uname -m` says it) -> the word that libbpf's headers want.
MACHINES = {"x86_64": "x86", "aarch64": "arm64"}
NEEDS = "on Debian: apt-get install clang llvm libbpf-dev linux-libc-dev"


class BuildError(Exception):
    """An object could not be built; the message says which, why, and what to install."""


def build(root: Path, *, force: bool = False) -> list[Path]:
    """Bring the objects of the source tree *root* up to date and return those that were compiled.

    Raises `BuildError` where a tool or a header is missing or a source does not compile.
    """
    return [
        compile_object(source, target, machine)
        for machine in MACHINES
        for source in sorted((root / "bpf").glob("*.bpf.c"))
        if is_stale(target := object_of(root, machine, source), source) or force
    ]


def object_of(root: Path, machine: str, source: Path) -> Path:
    """Return where the object of *source* for *machine* belongs."""
    return root / "profiler" / "_objects" / machine / f"{source.name.removesuffix('.c')}.o"


def is_stale(target: Path, source: Path) -> bool:
    """Return whether *target* is missing or older than what it is made of."""
    if not target.exists():
        return True
    made_of = [source, Path(__file__), *source.parent.glob("*.[ch]")]
    return max(path.stat().st_mtime_ns for path in made_of) > target.stat().st_mtime_ns


def compile_object(source: Path, target: Path, machine: str) -> Path:
    """Compile *source* for *machine* into *target*, without DWARF but with its BTF."""
    clang, strip = tool("clang"), tool("llvm-strip")
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=".", suffix=".o", dir=target.parent)
    os.close(handle)
    scratch = Path(name)
    try:
        _run([clang, *flags(source, machine), "-c", str(source), "-o", str(scratch)], source)
        _run([strip, "-g", str(scratch)], source)
        scratch.chmod(0o644)
        scratch.replace(target)
    finally:
        scratch.unlink(missing_ok=True)
    return target


def flags(source: Path, machine: str) -> list[str]:
    """Return clang's flags for *machine*."""
    return [
        "-O2",
        "-g",  # the source of the BTF; llvm-strip removes the rest of it
        "-target",
        "bpf",
        "-mcpu=v3",  # clang 14 crashes on the result of an atomic add below v3
        f"-D__TARGET_ARCH_{MACHINES[machine]}",
        "-Wall",
        "-Werror",
        "-I",
        str(source.parent),
        # Debian keeps <asm/types.h> by multiarch name; the BPF target does not look there.
        "-idirafter",
        str(multiarch_include()),
        # The build directory has no place in an object: the same source gives the same bytes.
        f"-ffile-prefix-map={source.parent.parent}=.",
    ]


def multiarch_include() -> Path:
    """Return the directory that holds this host's `asm/types.h`."""
    for path in sorted(Path("/usr/include").glob("*-linux-gnu*/asm/types.h")):
        if path.parts[3].startswith(os.uname().machine):
            return path.parent.parent
    if Path("/usr/include/asm/types.h").exists():
        return Path("/usr/include")
    raise BuildError(f"no `asm/types.h` under `/usr/include`; {NEEDS}")


def tool(name: str) -> str:
    """Return the path of *name*, or of the newest `NAME-<version>` that Debian installed."""
    names = [name, *(f"{name}-{version}" for version in range(25, 13, -1))]
    for candidate in names:
        if found := shutil.which(candidate):
            return found
    raise BuildError(f"no `{name}` found; {NEEDS}")


def _run(command: list[str], source: Path) -> None:
    if not Path("/usr/include/bpf/bpf_helpers.h").exists():
        raise BuildError(f"no `bpf/bpf_helpers.h` found; {NEEDS}")
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  fixed
    if done.returncode:
        raise BuildError(f"`{source.name}` does not compile:\n{done.stderr.strip()}")


def main() -> int:
    parser = argparse.ArgumentParser(description="compile the BPF objects")
    parser.add_argument("--force", action="store_true", help="compile all, stale or not")
    arguments = parser.parse_args()
    root = Path(__file__).resolve().parent.parent
    try:
        built = build(root, force=arguments.force)
    except BuildError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    for path in built:
        sys.stderr.write(f"built `{path.relative_to(root)}`, {path.stat().st_size} bytes\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
