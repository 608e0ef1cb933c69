"""What the BCC loader needs of this host: BCC's Python binding, kernel headers, tracefs.

The binding is the distribution's; it lies outside of a virtual environment, and is imported from
where it is without putting the distribution's other packages on the path.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from ethogram.errors import PreflightError

__all__ = [
    "bcc_module",
    "headers_named",
    "host_namespaces",
    "kept_output",
    "kernel_source",
    "require_tracefs",
]

_MODULE = "_distribution_bcc"
_PLACES = ("python3/dist-packages/bcc", "python3.*/site-packages/bcc")
_NAMESPACES = ("mnt", "pid", "net", "uts", "ipc", "user", "cgroup", "time")
_LOG_SIZE = 1 << 16
_TRACEFS = ("sys/kernel/tracing", "sys/kernel/debug/tracing")


def bcc_module(root: Path = Path("/")) -> ModuleType:
    """Import the distribution's BCC from below *root*; `PreflightError` where there is none."""
    if _MODULE in sys.modules:
        return sys.modules[_MODULE]
    library = root / "usr/lib"
    found = [path for place in _PLACES for path in sorted(library.glob(f"{place}/__init__.py"))]
    hint = (
        "install it: `apt-get install python3-bpfcc` (Debian, Ubuntu) or `dnf install python3-bcc`"
    )
    if not found:
        raise PreflightError("BCC's Python binding is not installed", hint=hint)
    spec = importlib.util.spec_from_file_location(
        _MODULE, found[0], submodule_search_locations=[str(found[0].parent)]
    )
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[_MODULE] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except (ImportError, OSError) as error:  # its shared library is missing, or another version
        for name in [name for name in sys.modules if name.split(".")[0] == _MODULE]:
            del sys.modules[name]
        raise PreflightError(f"BCC does not load: {error}", hint=hint) from error
    return module


def require_tracefs(root: Path = Path("/")) -> None:
    """Raise `PreflightError` unless the formats of tracepoints can be read."""
    if not any((root / place / "events/sched").is_dir() for place in _TRACEFS):
        raise PreflightError(
            "tracefs is not mounted",
            hint="mount it: `mount -t tracefs tracefs /sys/kernel/tracing`",
        )


@contextmanager
def kernel_source(
    environment: Mapping[str, str] = os.environ, root: Path = Path("/")
) -> Iterator[Path | None]:
    """Give the directory of kernel headers to compile against; None where BCC finds its own.

    In this order: `BCC_KERNEL_SOURCE`, the running kernel's own, those of an installed
    `linux-headers-*` package. Debian splits the last in two: they are merged, by links, in a
    directory that is removed afterwards. `PreflightError` where there are none.
    """
    if chosen := environment.get("BCC_KERNEL_SOURCE"):
        if not (Path(chosen) / "include/linux").is_dir():
            raise PreflightError(
                f"`BCC_KERNEL_SOURCE` has no kernel headers: `{chosen}`",
                hint="it names one tree that has both `include/linux` and `include/generated`",
            )
        yield Path(chosen)
        return
    if (root / "lib/modules" / platform.release() / "build/include").is_dir():
        yield None
        return
    parts = _installed(root / "usr/src")
    if not parts:
        raise PreflightError(
            "no kernel headers are installed",
            hint="install this kernel's `linux-headers` package, or another's for this machine:"
            " `apt-get install linux-headers-cloud-amd64` (Debian)",
        )
    with tempfile.TemporaryDirectory(prefix="ethogram-headers-") as made:
        tree = Path(made)
        for name in ("include", "arch"):
            _merge(tree / name, [part / name for part in parts])
        yield tree


def _installed(sources: Path) -> list[Path]:
    """Return the parts of the newest whole tree among the installed header packages."""
    found = []
    for path in sources.glob("linux-headers-*"):
        if not (path / "include/generated").is_dir():
            continue
        parts = [path] if (path / "include/linux").is_dir() else [path, *_common_half(path)]
        if (parts[-1] / "include/linux").is_dir():
            version = tuple(int(number) for number in re.findall(r"\d+", path.name))
            found.append((version, parts))
    return max(found)[1] if found else []


def _common_half(flavoured: Path) -> list[Path]:
    """Return what Debian's `linux-headers-VERSION-FLAVOUR` has in common with other flavours."""
    words = flavoured.name.split("-")
    ending = "common-rt" if "rt" in words else "common"
    names = ("-".join([*words[:count], ending]) for count in range(len(words) - 1, 2, -1))
    return [path for name in names if (path := flavoured.with_name(name)).is_dir()][:1]


def _merge(target: Path, sources: list[Path]) -> None:
    """Make *target* a directory that shows what is in each of *sources*, the first one's first."""
    entries: dict[str, list[Path]] = {}
    for source in sources:
        for path in source.iterdir() if source.is_dir() else ():
            entries.setdefault(path.name, []).append(path)
    target.mkdir()
    for name, paths in entries.items():
        if len(paths) > 1 and all(path.is_dir() for path in paths):
            _merge(target / name, paths)
        else:
            (target / name).symlink_to(paths[0])


def host_namespaces() -> tuple[int, ...]:
    """Return the inodes of our own namespaces: the recorder runs in those of the host."""
    places = [Path("/proc/self/ns") / name for name in _NAMESPACES]
    return tuple(place.stat().st_ino if place.exists() else 0 for place in places)


@contextmanager
def headers_named(source: Path | None) -> Iterator[None]:
    """Let BCC, which looks only there, find kernel headers."""
    before = os.environ.get("BCC_KERNEL_SOURCE")
    if source is not None:
        os.environ["BCC_KERNEL_SOURCE"] = str(source)
    try:
        yield
    finally:
        if source is not None and before is None:
            del os.environ["BCC_KERNEL_SOURCE"]


@contextmanager
def kept_output() -> Iterator[Callable[[], str]]:
    """Keep what BCC's C++ side prints: compiler and verifier write to standard error."""
    sys.stderr.flush()
    saved = os.dup(2)
    with tempfile.TemporaryFile() as kept:
        os.dup2(kept.fileno(), 2)
        try:
            yield lambda: os.pread(kept.fileno(), _LOG_SIZE, 0).decode("utf-8", "replace")
        finally:
            os.dup2(saved, 2)
            os.close(saved)
