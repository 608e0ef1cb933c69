"""Settings that take away what a unit never used, each from the rules of its baseline.

What is meant by each is in systemd.exec(5). A setting that sets up a mount namespace hides the
unit's mounts from the host, so a unit that mounts gets none of these.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from exporters.systemd_paths import protect_system
from exporters.systemd_seen import Path, Seen, lies_in
from exporters.systemd_setting import LeftOut, Setting, because_of, unused

__all__ = ["MOUNTS", "protections"]

_Items = Iterator[Setting | LeftOut]
_MOUNTING = ("mount", "umount", "move_mount", "open_tree", "pivot_root")
# Of a private `/dev` these are what is there.
_ORDINARY_DEVICE = re.compile(
    r"/dev(/(null|zero|full|random|urandom|tty|ptmx|fd|stdin|stdout|stderr|log"
    r"|(pts|shm|mqueue|hugepages|fd)(/.*)?))?"
)
_TUNABLES = (
    "/proc/sys", "/sys", "/proc/sysrq-trigger", "/proc/latency_stats", "/proc/acpi",
    "/proc/timer_stats", "/proc/fs", "/proc/irq", "/proc/bus", "/proc/mtrr", "/proc/apm",
    "/proc/asound",
)  # fmt: skip
_PROCESS = re.compile(r"/proc/[0-9*].*")
MOUNTS = frozenset(
    {
        "PrivateDevices", "PrivateTmp", "ProtectControlGroups", "ProtectHome", "ProtectKernelLogs",
        "ProtectKernelModules", "ProtectKernelTunables", "ProtectProc", "ProtectSystem",
    }
)  # fmt: skip


def protections(seen: Seen) -> _Items:
    """Yield the settings about what surrounds the unit, and those that are left out."""
    if mounts := _first(seen.operations, _MOUNTING):
        for name in sorted(MOUNTS):
            yield LeftOut(name, f"it did `{mounts}`, which only the host sees without this",
                          seen.operations[mounts])  # fmt: skip
    else:
        yield from protect_system(seen)
        yield from _home(seen)
        yield from _temporary(seen)
        yield from _devices(seen)
        yield from _kernel_files(seen)
        yield from _processes(seen)
        yield from _modules(seen)
        yield from _logs(seen)
    yield from _clock(seen)
    yield from _hostname(seen)
    yield from _realtime(seen)
    yield from _set_id(seen)


def _first(found: dict[str, tuple[str, ...]], names: Sequence[str]) -> str | None:
    return next((name for name in names if name in found), None)


def _unless(
    seen: Seen,
    name: str,
    evidence: str,
    *,
    paths: Sequence[Path | None] = (),
    calls: Sequence[str] = (),
    capabilities: Sequence[str] = (),
    operations: Sequence[str] = (),
) -> _Items:
    """Yield setting *name*, or that it is left out for the first of these that was seen."""
    for path in paths:
        if path is not None:
            yield because_of(name, path)
            return
    for found, wanted in (
        (seen.calls, calls),
        (seen.capabilities, capabilities),
        (seen.operations, operations),
    ):
        if (one := _first(found, wanted)) is not None:
            yield LeftOut(name, f"it used {one}", found[one])
            return
    value = "invisible" if name == "ProtectProc" else "yes"
    yield unused(name, value, evidence)


def _home(seen: Seen) -> _Items:
    homes = ("/home", "/root", "/run/user")
    if (path := seen.under(*homes, is_written=True)) is not None:
        yield because_of("ProtectHome", path)
    elif (path := seen.under(*homes)) is not None:
        evidence = "it only read below /home, /root and /run/user"
        yield Setting("ProtectHome", ("read-only",), "observed", evidence, (path.rule,))
    else:
        evidence = "it used nothing below /home, /root and /run/user"
        yield unused("ProtectHome", "tmpfs", evidence)


def _temporary(seen: Seen) -> _Items:
    yield from _unless(
        seen, "PrivateTmp", "it used nothing in /tmp and /var/tmp",
        paths=[seen.under("/tmp", "/var/tmp")],  # noqa: S108  whose they are is the question
    )  # fmt: skip


def _device(seen: Seen) -> Path | None:
    """Return the first device that only some units have, or what was run or mapped in `/dev`."""
    for path in seen.paths:
        if lies_in(path.path, "/dev") and (
            "x" in path.access or not _ORDINARY_DEVICE.fullmatch(path.path)
        ):
            return path
    return None


def _devices(seen: Seen) -> _Items:
    yield from _unless(
        seen, "PrivateDevices", "it used no device but those that every process has",
        paths=[_device(seen)],
        calls=("ioperm", "iopl", "pciconfig_iobase", "pciconfig_read", "pciconfig_write",
               "s390_pci_mmio_read", "s390_pci_mmio_write", "mknod", "mknodat"),
        capabilities=("CAP_MKNOD", "CAP_SYS_RAWIO"),
        operations=("mknod",),
    )  # fmt: skip


def _kernel_files(seen: Seen) -> _Items:
    yield from _unless(
        seen, "ProtectKernelTunables", "it changed nothing of /proc/sys, /sys and their like",
        paths=[seen.under(*_TUNABLES, is_written=True),
               seen.under("/proc/kallsyms", "/proc/kcore")],
    )  # fmt: skip
    yield from _unless(
        seen, "ProtectControlGroups", "it changed nothing below /sys/fs/cgroup",
        paths=[seen.under("/sys/fs/cgroup", is_written=True)],
    )  # fmt: skip


def _processes(seen: Seen) -> _Items:
    # Whose process it was, a pattern does not say.
    others = next((path for path in seen.paths if _PROCESS.fullmatch(path.path)), None)
    yield from _unless(
        seen, "ProtectProc", "it looked at no process in /proc",
        paths=[others or seen.under("/proc/self")],
        operations=("ptrace", "process_vm_write"),
    )  # fmt: skip


def _modules(seen: Seen) -> _Items:
    yield from _unless(
        seen, "ProtectKernelModules", "it loaded no kernel module and looked at none",
        paths=[seen.under("/usr/lib/modules", "/lib/modules")],
        calls=("init_module", "finit_module", "delete_module"),
        capabilities=("CAP_SYS_MODULE",),
        operations=("load_module",),
    )  # fmt: skip


def _logs(seen: Seen) -> _Items:
    yield from _unless(
        seen, "ProtectKernelLogs", "it did not look at the kernel's log",
        paths=[seen.under("/dev/kmsg", "/proc/kmsg")],
        calls=("syslog",),
        capabilities=("CAP_SYSLOG",),
        operations=("syslog",),
    )  # fmt: skip


def _clock(seen: Seen) -> _Items:
    # It allows one device, and so no other that the unit's file does not name.
    yield from _unless(
        seen, "ProtectClock", "it did not set the clock, and used no device of its own",
        paths=[_device(seen)],
        calls=("adjtimex", "clock_adjtime", "clock_adjtime64", "clock_settime", "clock_settime64",
               "settimeofday", "stime"),
        capabilities=("CAP_SYS_TIME", "CAP_WAKE_ALARM"),
        operations=("set_time",),
    )  # fmt: skip


def _hostname(seen: Seen) -> _Items:
    yield from _unless(
        seen, "ProtectHostname", "it did not set the name of the host",
        calls=("sethostname", "setdomainname"), operations=("set_hostname",),
    )  # fmt: skip


def _realtime(seen: Seen) -> _Items:
    yield from _unless(
        seen, "RestrictRealtime", "it never asked for another scheduling policy",
        calls=("sched_setscheduler", "sched_setattr", "sched_setparam"),
    )  # fmt: skip


def _set_id(seen: Seen) -> _Items:
    yield from _unless(
        seen, "RestrictSUIDSGID", "it gave no file a set-user-id or set-group-id bit",
        operations=("chmod_set_id",),
    )  # fmt: skip
