"""Drop-ins of systemd: which calls, capabilities, sockets and files of a unit they would refuse."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from ethogram.contracts.capabilities import capability_name
from ethogram.contracts.escape import escape
from ethogram.contracts.flags import CHANGES, Access
from ethogram.contracts.policy_systemd import DropIn, parse_drop_in
from ethogram.contracts.syscall_names import name_of
from ethogram.errors import ExportError
from exporters.replay.observations import Observations, Sight
from exporters.replay.protocol import (
    NOTHING_TO_RELAX,
    Denied,
    Effect,
    Judged,
    Outcome,
    Policy,
    Relaxation,
    Unjudged,
)
from exporters.replay.subjects import of_workloads
from exporters.systemd_groups import load_groups

__all__ = ["SystemdReplayer", "replayer"]

_KEYS = ("workload", "instance", "phase")
_WRITES = int(Access.WRITE | Access.CREATE | Access.TRUNCATE | Access.APPEND | CHANGES)
_FAMILIES = {1: "AF_UNIX", 2: "AF_INET", 10: "AF_INET6", 16: "AF_NETLINK", 17: "AF_PACKET"}
_PROTOCOLS = {6: "tcp", 17: "udp"}
_JUDGED = frozenset(
    {"SystemCallFilter", "SystemCallLog", "CapabilityBoundingSet", "ProtectHome", "ProtectSystem",
     "PrivateTmp", "PrivateDevices", "ProtectClock", "ProtectHostname", "ProtectKernelLogs",
     "ProtectKernelModules", "ProtectKernelTunables", "ProtectControlGroups", "PrivateNetwork",
     "RestrictAddressFamilies", "RestrictNamespaces", "RestrictSUIDSGID"}
)  # fmt: skip
# Settings that can refuse something, and of which nothing is said here.
_REFUSING = re.compile(
    r"(Protect|Private|Restrict|Lock|NoNew|MemoryDeny|Inaccessible|ReadOnly|NoExec|IPAddress|Device"
    r"|SystemCallArch|TemporaryFile|Root|Bind|User|DynamicUser|AppArmor|SELinux)\w*"
)


@dataclass(frozen=True, slots=True)
class _Done:
    """Something that was done: *rule* names it, *line* may let it through."""

    rule: str
    line: str | None
    count: int
    sight: Sight
    passes: Callable[[DropIn], bool]


@dataclass(frozen=True, slots=True)
class SystemdReplayer:
    """Answers by the words of systemd.exec(5); *groups* are systemd's groups of calls."""

    groups: Mapping[str, frozenset[str]]
    target: str = "systemd"

    def reads(self, path: str, document: Mapping[str, Any]) -> bool:
        """Say whether *document* is the text of a drop-in or of a unit's file."""
        return isinstance(document.get("text"), str) and path.endswith((".conf", ".service"))

    def replay(self, policies: Sequence[Policy], seen: Observations) -> Iterator[Outcome]:
        """Yield what each drop-in does to the units that it is for."""
        units = {number: key for number, key in seen.keys.items() if key.kind == "Unit"}
        for workload, for_it in of_workloads(policies, units).items():
            mine = [one for one in for_it if _is_for(one, units[workload].name)]
            done = list(self._done(workload, seen)) if mine else []
            for policy in mine:
                yield from self._of_unit(policy, workload, done)

    def _of_unit(self, policy: Policy, workload: int, done: Sequence[_Done]) -> Iterator[Outcome]:
        drop_in = parse_drop_in(policy.document["text"].replace("\\\n", " "))
        names = {name for name in drop_in.settings if _REFUSING.fullmatch(name)} - _JUDGED
        for name in sorted(names - {"BindPaths", "BindReadOnlyPaths"}):
            yield Unjudged(f"what `{name}` refuses is not judged", 1, policy.path, workload)
        try:
            for one in done:
                if not one.passes(drop_in):
                    yield _denied(policy, workload, drop_in, one, "denied")
                elif not one.passes(_logging(drop_in)):
                    yield _denied(policy, workload, drop_in, one, "logged")
        except KeyError as error:
            raise ExportError(f"`{policy.path}`: no group of calls is called {error}") from error
        yield Judged("actions", sum(one.count for one in done), workload, policy.path)

    def _call(self, row: Mapping[str, Any], name: str) -> _Done:
        line = f"SystemCallFilter={name}"
        return _done(row, name, line, lambda policy: policy.allows_call(name, self.groups))

    def _done(self, workload: int, seen: Observations) -> Iterator[_Done]:
        """Yield what the unit itself did, without what was done for it before it ran."""
        for row in _rows(seen, "syscalls", ("arch", "nr"), workload):
            if (name := name_of(row["arch"], row["nr"])) is not None:
                yield self._call(row, name)
        for row in _rows(seen, "privileges", ("operation", "capability", "granted"), workload):
            if row["granted"]:
                yield from _privileges(row)
        for row in _rows(seen, "files", ("path", "access", "errno"), workload):
            if row["errno"] is None and row["path"].startswith(b"/"):
                yield _file(row)
        keys = ("direction", "family", "protocol", "local_port")
        for row in _rows(seen, "network", keys, workload, count="connections"):
            yield from _socket(row)


def replayer() -> SystemdReplayer:
    """Return the replayer with the groups of the newest known systemd."""
    groups = load_groups()
    return SystemdReplayer(groups[max(groups)].groups)


def _is_for(policy: Policy, unit: str) -> bool:
    """Return whether the file's own name says another unit; where an index knows, that counts."""
    if policy.workload_key is not None:
        return True
    path = PurePosixPath(policy.path)
    named = path.name if path.suffix == ".service" else path.parent.name.removesuffix(".d")
    return not named.endswith(".service") or named == unit


def _rows(
    seen: Observations, table: str, keys: Sequence[str], workload: int, *, count: str = "calls"
) -> Iterator[dict[str, Any]]:
    for row in seen.grouped(table, (*_KEYS, *keys), count=count).to_pylist():
        if row["workload"] == workload and row["phase"] != "runtime":
            yield {**row, "calls": max(1, row[count] or 0)}


def _done(
    row: Mapping[str, Any], rule: str, line: str | None, passes: Callable[[DropIn], bool]
) -> _Done:
    sight = Sight(row["window"], row["instance"], row["phase"])
    return _Done(rule, line, row["calls"], sight, passes)


def _privileges(row: Mapping[str, Any]) -> Iterator[_Done]:
    if row["capability"] is not None:
        name = capability_name(row["capability"])
        line = f"CapabilityBoundingSet={name}"
        yield _done(row, name, line, lambda policy: policy.allows_capability(name))
    operation = row["operation"]
    yield _done(row, operation, None, lambda policy: policy.allows_operation(operation))


def _file(row: Mapping[str, Any]) -> _Done:
    path = row["path"].decode("utf-8", "replace")
    is_written = bool(row["access"] & _WRITES)
    shown = escape(row["path"])
    return _done(
        row,
        f"{'change' if is_written else 'use'} {shown}",
        f"ReadWritePaths={path}" if is_written and shown == path and " " not in path else None,
        lambda policy: policy.allows_path(path, is_written=is_written),
    )


def _socket(row: Mapping[str, Any]) -> Iterator[_Done]:
    family = _FAMILIES.get(row["family"])
    if family is not None:
        line = f"RestrictAddressFamilies={family}"
        yield _done(row, f"socket {family}", line, lambda policy: policy.allows_family(family))
    protocol, port = _PROTOCOLS.get(row["protocol"]), row["local_port"] or 0
    is_bound = row["direction"] in ("listen", "bind") and row["family"] in (2, 10)
    if is_bound and protocol is not None:
        line = f"SocketBindAllow={protocol}:{port}"
        yield _done(
            row, f"bind {protocol} {port}", line, lambda policy: policy.allows_bind(protocol, port)
        )


def _logging(drop_in: DropIn) -> DropIn:
    """Return what would refuse just the calls that *drop_in* logs."""
    lines = drop_in.settings.get("SystemCallLog", ())
    turned = tuple(line[1:] if line.startswith("~") else f"~{line}" for line in lines)
    return DropIn({"SystemCallFilter": turned} if turned else {})


def _denied(policy: Policy, workload: int, drop_in: DropIn, one: _Done, effect: Effect) -> Denied:
    relaxation = NOTHING_TO_RELAX
    if one.line is not None and effect == "denied":
        name, _, value = one.line.partition("=")
        lines = (*drop_in.settings.get(name, ()), value)
        if one.passes(DropIn({**drop_in.settings, name: lines})):
            relaxation = Relaxation(f"add `{one.line}`")
    return Denied(
        policy=policy.path,
        rule=one.rule,
        answer="refused" if effect == "denied" else "logged",
        workload=workload,
        count=one.count,
        sight=one.sight,
        relaxation=relaxation,
        effect=effect,
    )
