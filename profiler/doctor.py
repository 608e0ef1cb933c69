"""What this host can record: each part that recording needs, looked at or tried.

Nothing is judged by a kernel's version or configuration: programs are loaded, never attached.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ethogram.errors import CaptureError, EthogramError, PreflightError
from profiler import privileges
from profiler.clock import BootClock
from profiler.identity.hierarchy import Hierarchy
from profiler.identity.runtimes import version_of
from profiler.libbpf import Btf, Object, Program, library, version
from profiler.loaders.bcc_host import bcc_module, kernel_source, require_tracefs
from profiler.loaders.core import object_path
from profiler.loaders.features import KernelFeatures
from profiler.loaders.optional import FILE_OPENED, NOT_TAKEN, attach_file_opened, is_taken
from profiler.loaders.programs import BASE_PROGRAMS, not_missed, without_hook

__all__ = ["Check", "can_record", "checks"]

_NEEDED = ("CAP_BPF", "CAP_PERFMON", "CAP_NET_ADMIN")
_INSTEAD = "CAP_SYS_ADMIN"  # which these three were split off from
_WANTED = ("CAP_SYS_PTRACE", "CAP_DAC_READ_SEARCH", "CAP_KILL", "CAP_SETUID", "CAP_SETGID")
_BTF = Path("/sys/kernel/btf/vmlinux")
_CLOCK_SOURCE = Path("/sys/devices/system/clocksource/clocksource0/current_clocksource")
_LOCKDOWN = Path("/sys/kernel/security/lockdown")
_TYPEDEF = 8
_MACHINES = ("x86_64", "aarch64")
_REASON_LIMIT = 200

# What there is no recording of where an optional program does not load.
_WITHOUT = {
    "cgroup_removed": "the end of containers",
    "socket_connect": "peers that are connected to",
    "socket_send": "peers of datagrams",
    "socket_bind": "listening ports",
    "socket_made": "which workload a socket belongs to",
    "tcp_state_set": "the direction of connections",
    "packet_received": "DNS replies, and so the names of peers",
    "file_opened": "files that are opened otherwise than by a call for that",
    "capability_": "which capabilities are used",
    "ring_completed": "files and UNIX sockets that are used through `io_uring`",
    "ring_submitted": "what is done through `io_uring`",
    "signal_sent": "phase `shutdown`",
    "task_renamed": "the credentials of a process before it executed",
    "tasks_seed": "processes that ran before",
    "sockets_seed": "sockets that were open before",
}

# Engines are found by what they keep; how far each was tested is in docs/identity.md.
_ENGINES = (
    ("podman", ("/run/containers/storage", "/var/lib/containers/storage"), "tested live"),
    ("containerd", ("/run/containerd/io.containerd.runtime.v2.task",), "tested live"),
    ("CRI-O", ("/run/crio",), "parsed only"),
    ("Docker", ("/var/lib/docker/containers", "/run/docker"), "parsed only"),
    ("kubelet", ("/var/lib/kubelet/pods",), "parsed only"),
    ("systemd", ("/run/systemd/system",), "parsed only"),
)
_TESTED = {"runc": "1.1.5", "crun": "1.8.1"}


@dataclass(frozen=True, slots=True)
class Check:
    """One part. *ok* None: missing or partly there, and recording does without it."""

    name: str
    ok: bool | None
    detail: str
    hint: str | None = None


def can_record(found: Sequence[Check]) -> bool:
    """Say whether nothing is missing that recording needs."""
    return all(check.ok is not False for check in found)


def checks(root: Path = Path("/")) -> list[Check]:
    """Look at everything, and try to load each program; takes about a second."""
    privileged = _privileges()
    core = [_libbpf(), types := _btf()]
    reason = None if types.ok else types.detail
    core += _programs(reason if privileged.ok is not False else "that needs privileges")
    bcc = _bcc(root)
    loader = _loader(core, bcc)
    if bcc.ok and any(check.ok is False for check in core):
        core = [_spared(check) for check in core]
    return [privileged, _kernel(), *core, bcc, loader, _cgroups(root), *_runtimes(root), _clock()]


def _loader(core: Iterable[Check], bcc: Check) -> Check:
    """Say which loader `--loader auto` takes, and why."""
    lacking = next((check for check in core if check.ok is False), None)
    if lacking is None:
        return Check("loader", True, "`auto` takes `core`: nothing that it needs is missing")
    why = f"{lacking.name}: {lacking.detail}"
    if bcc.ok:
        return Check(
            "loader", None, f"`auto` takes `bcc`: {why}", "`bcc` sees less: docs/loaders.md"
        )
    return Check("loader", False, f"`auto` takes none: {why}; {bcc.name}: {bcc.detail}", bcc.hint)


def _spared(check: Check) -> Check:
    """Return *check* where BCC can take the place of what is missing."""
    if check.ok is not False:
        return check
    return replace(check, ok=None, hint="record with `--loader bcc`, which needs none of it")


def _privileges() -> Check:
    if os.geteuid() != 0:
        return Check("privileges", False, "this is not root", "run it with `sudo`")
    lacking = privileges.missing(_NEEDED) if privileges.missing([_INSTEAD]) else []
    if lacking:
        return Check(
            "privileges", False, f"root without {', '.join(lacking)}",
            "give the container these capabilities, or run on the host itself",
        )  # fmt: skip
    lacking = privileges.missing(_WANTED)
    if lacking:
        return Check(
            "privileges", None, f"root without {', '.join(lacking)}",
            "names, paths or commands of other users may be missing: give these capabilities",
        )  # fmt: skip
    return Check("privileges", True, "root, with all capabilities that recording uses")


def _kernel() -> Check:
    lockdown, machine = _read(_LOCKDOWN), platform.machine()
    detail = f"Linux {platform.release()}, {machine}"
    if machine not in _MACHINES:
        return Check("kernel", False, detail, f"use one of these: {', '.join(_MACHINES)}")
    return Check("kernel", True, f"{detail}, lockdown {lockdown}" if lockdown else detail)


def _btf() -> Check:
    try:
        Btf.of_kernel().close()
    except EthogramError as error:
        return Check("kernel types (BTF)", False, error.message, error.hint)
    try:
        size = f", {_BTF.stat().st_size:,} bytes"
    except OSError:
        size = ""
    return Check("kernel types (BTF)", True, f"`{_BTF}`{size}")


def _libbpf() -> Check:
    try:
        library()
    except PreflightError as error:
        return Check("libbpf", False, error.message, error.hint)
    return Check("libbpf", True, f"`libbpf.so.1`, version {version()}")


def _clock() -> Check:
    offset_s = BootClock.now().utc_offset_ns / 1e9
    source = _read(_CLOCK_SOURCE) or "unknown"
    return Check("clock", True, f"CLOCK_BOOTTIME plus {offset_s:,.3f} s is UTC; source `{source}`")


def _read(path: Path) -> str | None:
    try:
        return path.read_text().strip()
    except OSError:
        return None


# --- programs -------------------------------------------------------------------------------------


def _programs(not_tried: str | None) -> Iterator[Check]:
    """Look at the object, and load its programs unless there is a reason why that cannot be."""
    try:
        path = object_path(is_plain=_is_plain())
        opened = Object(path)
    except EthogramError as error:
        yield Check("BPF object", False, error.message, error.hint)
        return
    sections = {name: program.section for name, program in opened.programs.items()}
    absent = _absent(opened.programs.values())
    opened.close()
    yield Check("BPF object", True, f"`{path}`: {len(sections)} programs")
    if not_tried:
        yield Check("BPF programs", None, f"not tried: {not_tried}")
        return
    wanted = [name for name in sections if name not in absent]
    # All at once is ten times as quick, and says as much where it works.
    needed = [name for name in wanted if name != FILE_OPENED]
    refused = {} if _refusal(path, needed) is None else _refusals(path, needed)
    if FILE_OPENED in wanted and (reason := _optional_refusal(path)) is not None:
        refused[FILE_OPENED] = reason
    for name, section in sections.items():
        if name in not_missed(absent):
            yield Check(f"program {name}", True, f"`{section}`: the hook has another name here")
        elif name in absent:
            yield _failed(name, section, "the kernel has no such hook")
        elif name in refused:
            yield _failed(name, section, refused[name])
        else:
            yield Check(f"program {name}", True, f"`{section}`: loaded")


def _is_plain() -> bool:
    """Say whether it is the object for older kernels that a recorder would load."""
    try:
        with Btf.of_kernel() as kernel:
            return not KernelFeatures.of(kernel).has_rdonly_cast
    except EthogramError:
        return False


def _absent(programs: Iterable[Program]) -> set[str]:
    """Return the programs whose hook the kernel does not have, or has for another of them."""
    try:
        kernel = Btf.of_kernel()
    except EthogramError:
        return set()
    with kernel:
        return without_hook({program.name: program.section for program in programs}, kernel)


def _refusals(path: Path, names: Iterable[str]) -> dict[str, str]:
    """Try each program by loading it alone; return why those that did not load did not."""
    tried = ((name, _refusal(path, [name])) for name in names)
    return {name: reason for name, reason in tried if reason is not None}


def _refusal(path: Path, names: Sequence[str]) -> str | None:
    """Load *names* and nothing else; return why that failed, None if it did not."""
    opened = Object(path)
    try:
        with Btf.of_kernel() as kernel:
            KernelFeatures.of(kernel).configure(opened)
        for name, program in opened.programs.items():
            program.set_autoload(name in names)
        opened.load()
    except CaptureError as error:
        return _reason(error)
    finally:
        opened.close()
    return None


def _optional_refusal(path: Path) -> str | None:
    """Attach `file_opened` for a moment, unarmed: kernels take it and never ask it."""
    if not is_taken():
        return NOT_TAKEN
    opened = Object(path)
    try:
        with Btf.of_kernel() as kernel:
            KernelFeatures.of(kernel).configure(opened)
        for name, program in opened.programs.items():
            program.set_autoload(name == FILE_OPENED)
        opened.load()
        attach_file_opened(opened).close()
    except CaptureError as error:
        return _reason(error)
    finally:
        opened.close()
    return None


def _reason(error: CaptureError) -> str:
    """Return the errno, and what the verifier said last."""
    lines = [line.strip() for line in (error.log or "").splitlines()]
    said = [
        line
        for line in lines
        if line and not line.startswith(("libbpf:", "processed ", "--", "max_states"))
    ]
    number = error.message.rpartition(": ")[2]
    return f"{number}: {said[-1]}"[:_REASON_LIMIT] if said else number


def _failed(name: str, section: str, reason: str) -> Check:
    detail = f"`{section}`: {reason}"
    if name in BASE_PROGRAMS:
        return Check(
            f"program {name}", False, detail,
            "recording needs it: use a kernel that has it, or try `--loader bcc`",
        )  # fmt: skip
    missing = next((what for key, what in _WITHOUT.items() if name.startswith(key)), None)
    hint = f"without it a recording does not have {missing}" if missing else None
    return Check(f"program {name}", None, detail, hint)


# --- the host -------------------------------------------------------------------------------------


def _bcc(root: Path) -> Check:
    name = "BCC (optional)"
    try:
        found = bcc_module(root)
        require_tracefs(root)
        with kernel_source(root=root):
            pass
    except (EthogramError, OSError) as error:
        message = error.message if isinstance(error, EthogramError) else f"{error.strerror}".lower()
        hint = error.hint if isinstance(error, EthogramError) else None
        return Check(name, None, message, hint and f"only where the kernel has no BTF: {hint}")
    return Check(name, True, f"`python3-bpfcc` {getattr(found, '__version__', '')}, with headers")


def _cgroups(root: Path) -> Check:
    hierarchy = Hierarchy(root)
    if hierarchy.mount is None:
        return Check(
            "cgroups", False, "no cgroup v2 hierarchy is mounted",
            "mount it: `mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified`",
        )  # fmt: skip
    return Check("cgroups", True, f"{hierarchy.mode}: v2 at `{hierarchy.mount}`")


def _runtimes(root: Path) -> list[Check]:
    found = []
    for runtime, tested in _TESTED.items():
        if (installed := version_of(runtime)) is not None:
            is_that = installed.partition("+")[0] == tested
            how = "tested live" if is_that else f"tested live with {tested}"
            found.append(Check(f"runtime {runtime}", True, f"version {installed}: {how}"))
    for engine, places, how in _ENGINES:
        place = next((place for place in places if _is_there(root / place.lstrip("/"))), None)
        if place is not None:
            found.append(Check(f"engine {engine}", True, f"`{place}`: {how}"))
    if found:
        return found
    hint = "commands and cgroups can be recorded; containers of other runtimes by their cgroup"
    return [Check("container runtimes", None, "none found", hint)]


def _is_there(path: Path) -> bool:
    """Return whether *path* exists; where only root may look, that it is there is all one sees."""
    try:
        return path.exists()
    except PermissionError:
        return True
