"""What the kernel side recorded of one run, read straight from the loader, without names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address

import numpy as np

from ethogram.contracts.capabilities import capability_name
from ethogram.contracts.events import ARCHES, EventFlag, LossPlace, RecordKind
from ethogram.contracts.flags import Access, is_open
from ethogram.contracts.syscall_names import name_of
from ethogram.contracts.tables import ENUMS
from profiler.counted_operations import operation_and_target
from profiler.file_paths import path_of
from profiler.flows import begun
from profiler.loaders.base import Drained
from profiler.ring import Records
from profiler.ring_requests import RING_REQUEST, opcode_name

PHASES = ENUMS["phase"]


@dataclass(frozen=True)
class Opened:
    """One row of the file set."""

    path: str
    asked: str
    access: int
    errno: int
    calls: int
    flags: EventFlag


@dataclass(frozen=True)
class Peer:
    """One row of the flow set; addresses with their ports."""

    direction: str
    peer: tuple[str, int]
    nat: tuple[str, int] | None
    connections: int
    sent: int
    received: int
    cookie: int
    peer_cookie: int


@dataclass(frozen=True)
class Executed:
    """One exec record."""

    path: str
    argv: list[str]
    errno: int
    head: np.void
    tail: bytes


class Seen:
    """A drained window, in words. Calls of phase `runtime` are the harness's own.

    *after* are the windows before it, which told what its slots are.
    """

    def __init__(
        self, drained: Drained, cgroups: Sequence[int] = (), *, after: Sequence[Seen] = ()
    ) -> None:
        self.drained = drained
        self._cgroups = cgroups
        self._cgroup_of = {
            int(head["slot"]): int(head["cgroup_id"])
            for batch in self._records(RecordKind.SLOT)
            for head in batch.heads
        }
        self.phase_of = {slot: phase for one in after for slot, phase in one.phase_of.items()}
        self.phase_of |= {
            int(head["slot"]): PHASES[int(head["phase"])]
            for batch in self._records(RecordKind.SLOT)
            for head in batch.heads
        }

    def _records(self, kind: RecordKind) -> list[Records]:
        return self.drained.records.get(kind, [])

    def calls(self, *phases: str, arch: str = "x86_64") -> Counter[str]:
        """Return how often each call was made, in these phases or in all but `runtime`."""
        counted: Counter[str] = Counter()
        for row in self.drained.calls:
            phase = self.phase_of.get(int(row["slot"]))
            wanted = phase in phases if phases else phase not in ("runtime", None)
            if wanted and ARCHES[int(row["arch"])] == arch:
                counted[name_of(arch, int(row["nr"])) or str(int(row["nr"]))] += int(row["calls"])
        return counted

    def _keys(self, name: str) -> list[tuple[np.void, np.ndarray]]:
        keys, values = self.drained.sets[name]
        return [
            (key, value)
            for key, value in zip(keys, values, strict=True)
            if self.phase_of.get(int(key["slot"])) != "runtime"
        ]

    @property
    def errors(self) -> Counter[tuple[str, int]]:
        return Counter(
            {
                (name_of("x86_64", int(key["nr"])) or "?", int(key["errnum"])): int(value)
                for key, value in self._keys("errors")
            }
        )

    @property
    def arguments(self) -> dict[str, dict[int | None, int]]:
        """Return for each call how often its argument was what; None stands for others."""
        found: dict[str, dict[int | None, int]] = {}
        for key, calls in self._keys("arguments"):
            name = name_of("x86_64", int(key["nr"])) or "?"
            value = None if key["is_other"] else int(key["value"])
            found.setdefault(name, Counter())[value] += int(calls)
        return found

    @property
    def denied(self) -> Counter[tuple[str, str, int | None]]:
        counted: Counter[tuple[str, str, int | None]] = Counter()
        for key, value in self._keys("denials"):
            errno = int(key["errnum"]) if key["has_errno"] else None
            name = name_of(ARCHES[int(key["arch"])], int(key["nr"])) or str(int(key["nr"]))
            counted[name, ENUMS["action"][int(key["action"])], errno] += int(value)
        return counted

    @property
    def denied_calls(self) -> set[tuple[str, int]]:
        """Return (architecture, number) of what was refused."""
        return {(ARCHES[int(key["arch"])], int(key["nr"])) for key, _ in self._keys("denials")}

    @property
    def files(self) -> list[Opened]:
        paths = {}
        for batch in self._records(RecordKind.FILE):
            for head, tail in zip(batch.heads, batch.tails, strict=True):
                size = int(head["path_size"])
                place = head[["slot", "fingerprint", "dev", "ino"]].item()
                flags = EventFlag(int(head["flags"]))
                where = path_of(tail[:size], tail[size:], flags).path if size else b""
                paths[place] = (where, tail[size:], flags)
        found = []
        for key, value in self._keys("files"):
            path, asked, flags = paths[key[["slot", "fingerprint", "dev", "ino"]].item()]
            found.append(
                Opened(
                    path.decode(), asked.decode(), int(key["access"]), int(key["errnum"]),
                    int(value["calls"]), flags,
                )
            )  # fmt: skip
        return found

    def file(self, path: str) -> Opened:
        """Return the one row of this path, resolved or, where it failed, asked for."""
        (found,) = (row for row in self.files if path in (row.path or row.asked,))
        return found

    @property
    def changes(self) -> Counter[tuple[Access, str, int]]:
        """Return how often each thing was done to files without opening them."""
        counted: Counter[tuple[Access, str, int]] = Counter()
        for row in self.files:
            if not is_open(np.uint16(row.access)):
                counted[Access(row.access), row.path, row.errno] += row.calls
        return counted

    @property
    def execs(self) -> list[Executed]:
        kinds = (RecordKind.EXEC, RecordKind.EXEC_FAILED)
        found = []
        for batch in (batch for kind in kinds for batch in self._records(kind)):
            for head, tail in zip(batch.heads, batch.tails, strict=True):
                argv = tail[len(tail) - int(head["argv_size"]) :].split(b"\0")
                path = tail[: int(head["path_size"])].decode()
                words = [word.decode("utf-8", "replace") for word in argv[:-1]]
                found.append(Executed(path, words, int(head["errnum"]), head, tail))
        return sorted(found, key=lambda one: int(one.head["time_ns"]))

    @property
    def flows(self) -> list[tuple[str, str, int | None, int | None, int]]:
        """Return (direction, peer, local port, peer port, connections) of what was begun."""
        found = []
        for key, value in self._keys("flows"):
            if not value["connections"]:
                continue  # bytes of a connection that ended after its window
            raw = key["peer_addr"].tobytes()
            peer = ".".join(map(str, raw[:4])) if int(key["family"]) == 2 else raw.hex()
            found.append(
                (ENUMS["direction"][int(key["direction"])], peer, int(key["local_port"]) or None,
                 int(key["peer_port"]) or None, int(value["connections"]))
            )  # fmt: skip
        return sorted(found, key=str)

    @property
    def peers(self) -> list[Peer]:
        """Return what flows say of their peers; those that say nothing are left out."""
        keys, values = (
            np.array([row[part] for row in self._keys("flows")]) for part in (0, 1)
        )  # fmt: skip
        says = begun(keys, values) if len(keys) else []
        found = []
        for key, value in zip(keys[says], values[says], strict=True):
            size = 4 if int(key["family"]) == 2 else 16
            peer, nat = (
                (str(ip_address(key[f"{name}_addr"].tobytes()[:size])), int(key[f"{name}_port"]))
                for name in ("peer", "nat")
            )
            found.append(
                Peer(
                    ENUMS["direction"][int(key["direction"])], peer, nat if nat[1] else None,
                    int(value["connections"]), int(value["tx_bytes"]), int(value["rx_bytes"]),
                    int(value["cookie"]), int(value["peer_cookie"]),
                )
            )  # fmt: skip
        return found

    @property
    def unix(self) -> list[tuple[str, bytes, int]]:
        """Return (direction, path, connections) of UNIX sockets."""
        return sorted(
            (ENUMS["direction"][int(key["direction"])],
             key["path"].tobytes()[: int(key["path_size"])], int(value["connections"]))
            for key, value in self._keys("unix_flows")
        )  # fmt: skip

    @property
    def made(self) -> Counter[tuple[int, int, int]]:
        """Return (family, type, protocol) of sockets that are rows when they are made."""
        return Counter(
            {
                (int(key["family"]), int(key["type"]), int(key["protocol"])): int(
                    value["connections"]
                )
                for key, value in self._keys("flows")
                if ENUMS["direction"][int(key["direction"])] == "bind" and not key["local_port"]
            }
        )

    @property
    def grams(self) -> set[tuple[str, ...]]:
        """Return the six-grams, oldest first, `-` where there was no call yet."""
        return {gram for _, _, gram in self.grams_with_phase}

    @property
    def grams_with_phase(self) -> set[tuple[str, str, tuple[str, ...]]]:
        """Return (phase, architecture, six-gram)."""
        found = set()
        for key, _ in self._keys("grams"):
            gram, arch = int(key["gram"]), ARCHES[int(key["gram"]) >> 60]
            numbers = [gram >> shift & 1023 for shift in range(50, -10, -10)]
            names = ["-" if nr == 1023 else name_of(arch, nr) or str(nr) for nr in numbers]
            found.add((self.phase_of.get(int(key["slot"]), "?"), arch, tuple(names)))
        return found

    @property
    def capabilities(self) -> set[tuple[str, bool]]:
        return {
            (capability_name(int(key["capability"])), bool(key["granted"]))
            for key, _ in self._keys("privileges")
            if key["capability"] < RING_REQUEST
        }

    @property
    def requests(self) -> Counter[str]:
        """Return how often each request was handed to a ring, by opcode."""
        return Counter(
            {
                opcode_name(int(key["capability"])): int(value)
                for key, value in self._keys("privileges")
                if key["capability"] >> 8 == RING_REQUEST >> 8
            }
        )

    @property
    def unusual(self) -> Counter[tuple[str, str]]:
        """Return how often memory became executable and a socket standard input, by target."""
        counted: Counter[tuple[str, str]] = Counter()
        for key, value in self._keys("privileges"):
            operation, target = operation_and_target(int(key["capability"]))
            if operation in ("executable_memory", "input_socket"):
                counted[operation, (target or b"").decode()] += int(value)
        return counted

    @property
    def operations(self) -> Counter[tuple[str, str, int]]:
        counted: Counter[tuple[str, str, int]] = Counter()
        for batch in self._records(RecordKind.OPERATION):
            for head, tail in zip(batch.heads, batch.tails, strict=True):
                name = ENUMS["operation"][int(head["operation"])]
                target = tail[: int(head["target_size"])].decode()
                counted[name, target, int(head["errnum"])] += 1
        return counted

    @property
    def losses(self) -> list[tuple[str, str, int]]:
        return [
            (ENUMS["loss"][kind], LossPlace(place).name.lower(), count)
            for _, kind, place, count in self.drained.losses
        ]

    def losses_of(self, number: int) -> list[tuple[str, str, int]]:
        """Return what the run of this number lost."""
        slots = {slot for slot, cgroup in self._cgroup_of.items()
                 if cgroup == self._cgroups[number]}  # fmt: skip
        return [
            (ENUMS["loss"][kind], LossPlace(place).name.lower(), count)
            for slot, kind, place, count in self.drained.losses
            if slot in slots
        ]
