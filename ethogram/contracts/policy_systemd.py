"""What a drop-in for a service lets happen, by the words of systemd.exec(5).

An evaluator of its own for tests and replays: it reads the lines of a file, and shares no code with
what writes them. Of the settings that it does not know it says nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

__all__ = ["DropIn", "parse_drop_in"]

_HOMES = ("/home", "/root", "/run/user")
_SYSTEM = {"yes": ("/usr", "/boot", "/efi"), "full": ("/usr", "/boot", "/efi", "/etc")}
_APART = ("/dev", "/proc", "/sys")
_KERNEL = {
    "ProtectKernelTunables": ("/proc/sys", "/sys", "/proc/sysrq-trigger", "/proc/irq", "/proc/bus"),
    "ProtectControlGroups": ("/sys/fs/cgroup",),
}
_HIDDEN = {
    "ProtectKernelModules": ("/usr/lib/modules", "/lib/modules"),
    "ProtectKernelLogs": ("/dev/kmsg", "/proc/kmsg"),
    "ProtectKernelTunables": ("/proc/kallsyms", "/proc/kcore"),
    "PrivateTmp": ("/tmp", "/var/tmp"),  # noqa: S108  what was there before is not any more
}
_DEVICES = re.compile(r"/dev/(sd|nvme|tty[A-Z0-9]|dri|kvm|net|input|rtc|mem|snd|video|fuse).*")
# Calls and capabilities that a setting refuses by itself.
_CALLS = {
    "ProtectClock": {"settimeofday", "clock_settime", "clock_adjtime", "adjtimex", "stime"},
    "ProtectHostname": {"sethostname", "setdomainname"},
    "ProtectKernelLogs": {"syslog"},
    "ProtectKernelModules": {"init_module", "finit_module", "delete_module"},
    "PrivateDevices": {"ioperm", "iopl"},
}
_CAPABILITIES = {
    "ProtectClock": {"CAP_SYS_TIME", "CAP_WAKE_ALARM"},
    "ProtectKernelLogs": {"CAP_SYSLOG"},
    "ProtectKernelModules": {"CAP_SYS_MODULE"},
    "PrivateDevices": {"CAP_MKNOD", "CAP_SYS_RAWIO"},
}
_WORD = re.compile(r'"((?:[^"\\]|\\.)*)"|(\S+)')


@dataclass(frozen=True, slots=True)
class DropIn:
    """The settings that are in force, each with the values that count, in order."""

    settings: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def words(self, name: str) -> list[str]:
        """Return the words of setting *name*, over all its lines."""
        return [word for value in self.settings.get(name, ()) for word in _words(value)]

    def _is(self, name: str) -> bool:
        return self.settings.get(name, ("no",))[-1] not in ("no", "false", "off", "0")

    def allows_call(self, name: str | None, groups: Mapping[str, Iterable[str]]) -> bool:
        """Return whether call *name* passes; of one without a name only a list of all others."""
        if any(name in calls for setting, calls in _CALLS.items() if self._is(setting)):
            return False
        default = set(groups["@default"])
        lines = self.settings.get("SystemCallFilter", ())
        if not lines:
            return True
        is_deny = lines[0].startswith("~")
        filtered: set[str] = set()
        for line in lines:
            calls: set[str] = set()
            for word in line.removeprefix("~").split():
                entry = word.partition(":")[0]
                calls |= set(groups[entry]) if entry.startswith("@") else {entry}
            filtered = filtered | calls if line.startswith("~") == is_deny else filtered - calls
        if is_deny:
            return name not in filtered
        # What is in @default is allowed whether or not a list of allowed calls has it.
        return name in filtered or name in default

    def allows_capability(self, name: str) -> bool:
        """Return whether capability *name* can be had."""
        if any(name in found for setting, found in _CAPABILITIES.items() if self._is(setting)):
            return False
        return "CapabilityBoundingSet" not in self.settings or name in self.words(
            "CapabilityBoundingSet"
        )

    def allows_path(self, path: str, *, is_written: bool = False) -> bool:
        """Return whether *path*, of the root's file systems, can be used, or changed."""
        home = self.settings.get("ProtectHome", ("no",))[-1]
        if _is_below(path, _HOMES) and (home in ("yes", "tmpfs") or (is_written and home != "no")):
            return False
        if any(_is_below(path, places) for name, places in _HIDDEN.items() if self._is(name)):
            return False
        if self._is("PrivateDevices") and _DEVICES.fullmatch(path):
            return False
        if not is_written:
            return True
        if any(_is_below(path, places) for name, places in _KERNEL.items() if self._is(name)):
            return False
        return self._is_writable(path)

    def _is_writable(self, path: str) -> bool:
        system = self.settings.get("ProtectSystem", ("no",))[-1]
        if system == "strict":
            writable = [word.lstrip("-+") for word in self.words("ReadWritePaths")]
            # Of a new name the directory is written to.
            return _is_below(path, _APART) or _is_below(path, writable)
        return not _is_below(path, _SYSTEM.get(system, ()))

    def allows_family(self, family: str) -> bool:
        """Return whether a socket of *family* (`AF_INET`) can be made and reach somebody."""
        if self._is("PrivateNetwork") and family != "AF_UNIX":
            return False
        lines = self.settings.get("RestrictAddressFamilies", ())
        if not lines:
            return True
        is_deny = lines[0].startswith("~")
        return (family in {w.removeprefix("~") for w in self.words("RestrictAddressFamilies")}) != (
            is_deny
        )

    def allows_bind(self, protocol: str, port: int) -> bool:
        """Return whether *port* of *protocol* can be bound; an allowed one goes first."""
        return not self.words("SocketBindDeny") or f"{protocol}:{port}" in self.words(
            "SocketBindAllow"
        )

    def allows_operation(self, operation: str) -> bool:
        """Return whether *operation*, a word of table `privileges`, can succeed."""
        refused = {
            "RestrictNamespaces": ("unshare", "setns", "clone_namespace"),
            "RestrictSUIDSGID": ("chmod_set_id",),
            "ProtectHostname": ("set_hostname",),
            "ProtectClock": ("set_time",),
            "ProtectKernelModules": ("load_module",),
            "ProtectKernelLogs": ("syslog",),
            "PrivateDevices": ("mknod",),
            # Only the unit itself would see what it mounts.
            "ProtectSystem": ("mount", "umount", "move_mount", "open_tree", "pivot_root"),
            "ProtectProc": ("ptrace",),
        }
        return not any(operation in words and self._is(name) for name, words in refused.items())


def parse_drop_in(text: str) -> DropIn:
    """Return the settings of section `[Service]` of *text*; comments are not in force.

    An empty value takes away what stands before it.
    """
    settings: dict[str, tuple[str, ...]] = {}
    for line in text.splitlines():
        if not line or line.startswith(("#", ";", "[")):
            continue
        name, _, value = line.partition("=")
        settings[name] = (*settings.get(name, ()), value) if value else ()
    return DropIn(settings)


def _words(value: str) -> list[str]:
    return [
        (re.sub(r"\\(.)", r"\1", quoted) if quoted else plain).replace("%%", "%")
        for quoted, plain in _WORD.findall(value)
    ]


def _is_below(path: str, places: Sequence[str]) -> bool:
    return any(path == place or path.startswith(f"{place.rstrip('/')}/") for place in places)
