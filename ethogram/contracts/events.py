"""The structs that the kernel side and `profiler` exchange: the mirror of `bpf/events.h`.

One declaration gives the numpy dtype and the docs page; a test compares it with the BTF of the
compiled objects, without root. Fields stand in the order of the C struct, grouped by type; there
are no holes, so offsets follow from the order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

__all__ = [
    "ARCHES",
    "GRAM_NEW",
    "NATIVE_CALLS",
    "NO_SLOT",
    "STRUCTS",
    "EventFlag",
    "LossPlace",
    "News",
    "RecordKind",
    "Struct",
]

NO_SLOT = 0xFFFFFFFF
NATIVE_CALLS = 512
# `enum arch`: the order of ENUMS["arch"].
ARCHES = ("x86_64", "i386", "x32", "aarch64", "arm")
# Value of map `grams` for a sequence that the slot's model does not know; else 1.
GRAM_NEW = 1 << 16


class RecordKind(IntEnum):
    """`enum record_kind`: the first field of every ring record."""

    SLOT = 1
    CGROUP = 2
    EXEC = 3
    EXEC_FAILED = 4
    FORK = 5
    EXIT = 6
    FILE = 7
    OPERATION = 8
    PACKET = 9
    SEGMENT = 10
    NEWS = 11


class News(IntEnum):
    """`enum news`: what a news record tells of, the entry of a set or a record beside it."""

    EXEC = 0
    OPERATION = 1
    PACKET = 2
    CALL = 3
    ODD_CALL = 4
    FILE = 5
    FLOW = 6
    UNIX = 7
    PRIVILEGE = 8
    DENIED = 9
    GRAM = 10


class LossPlace(IntEnum):
    """`enum loss_place`: what could not take the event."""

    SYSCALLS = 0
    ERRORS = 1
    DENIED = 2
    NGRAMS = 3
    FILES = 4
    NETWORK = 5
    PRIVILEGES = 6
    PROCESSES = 7
    SLOTS = 8
    DNS = 9
    TASKS = 10
    ARGUMENTS = 11


class EventFlag(IntFlag):
    """`enum event_flag`: below 2^16 as in `flags.ProcessFlag`, the others on the wire only."""

    PATH_TRUNCATED = 4
    DELETED = 16
    UPPER_LAYER = 32
    NO_NEW_PRIVS = 128
    SECCOMP_FILTER = 256
    SNAPSHOT = 1 << 16
    OVERLAY = 1 << 17
    PATH_RACY = 1 << 18
    READ_FAULT = 1 << 19
    REMOVED = 1 << 20
    GRANTED = 1 << 21
    CREDENTIALS_BEFORE = 1 << 22
    START = 1 << 23


_NUMPY = {"u8": "u1", "u16": "<u2", "u32": "<u4", "u64": "<u8", "i32": "<i4"}


@dataclass(frozen=True)
class Struct:
    """One struct: *fields* are (name, type), a type being `u32` or `u8[16]`."""

    name: str
    doc: str
    fields: tuple[tuple[str, str], ...]

    @cached_property
    def dtype(self) -> np.dtype[np.void]:
        """The numpy dtype, packed in the order of the fields."""
        import numpy  # noqa: PLC0415  the table alone costs nothing

        parts: list[tuple[str, str] | tuple[str, str, tuple[int]]] = []
        for name, word in self.fields:
            kind, _, count = word.rstrip("]").partition("[")
            parts.append((name, _NUMPY[kind], (int(count),)) if count else (name, _NUMPY[kind]))
        return numpy.dtype(parts)


def _struct(name: str, doc: str, *groups: tuple[str, str]) -> Struct:
    fields = tuple((field, word) for word, names in groups for field in names.split())
    return Struct(name, doc, fields)


_ALL = (
    _struct(
        "slot_record",
        "A slot came into use: one instance in one phase. `mntns` is no inode: see `mntns_of()`.",
        ("u32", "kind slot"),
        ("u64", "time_ns cgroup_id caps_bounding"),
        ("u32", "phase mntns netns tgid host_namespace_bits flags mntns_inode pad"),
    ),
    _struct(
        "cgroup_record",
        "A cgroup came or, with `REMOVED`, went. Its path follows.",
        ("u32", "kind slot"),
        ("u64", "time_ns cgroup_id"),
        ("u32", "flags path_size"),
    ),
    _struct(
        "process_record",
        "An exec, done or failed, or a process that was there before.",
        ("u32", "kind slot"),
        ("u64",
         "time_ns exec_key parent_key fork_parent_key session_key exe_key "
         "cgroup_id dev ino ctime_ns caps_effective caps_permitted caps_inheritable "
         "caps_ambient caps_bounding caps_effective_before caps_permitted_before"),
        ("u32",
         "flags tgid ns_tgid ppid uid euid gid egid euid_before egid_before loginuid sessionid "
         "pgid sid ns_pgid ns_sid nlink host_namespace_bits lineage"),
        ("u32[8]", "namespaces"),
        ("u16",
         "path_size cwd_size interpreter_size script_size peers_size argv_size errnum "
         "seccomp_filters"),
        ("u8[3]", "stdio"),
        ("u8", "seccomp_mode"),
    ),
    _struct(
        "stdio_peer",
        "A standard stream that is a socket; the path of a UNIX socket follows.",
        ("u16", "fd family type local_port peer_port path_size"),
        ("u8[16]", "local_addr peer_addr"),
    ),
    _struct(
        "fork_record",
        "A process was forked; it has not executed anything yet.",
        ("u32", "kind slot"),
        ("u64", "time_ns exec_key parent_key session_key exe_key"),
        ("u32", "tgid ns_tgid"),
    ),
    _struct(
        "exit_record",
        "A process ended.",
        ("u32", "kind slot"),
        ("u64", "time_ns exec_key"),
        ("u32", "tgid"),
        ("i32", "exit_code"),
    ),
    _struct(
        "file_record",
        "First sight of a file in a window: its path, then the string that was asked for, follow.",
        ("u32", "kind slot"),
        ("u64", "time_ns fingerprint dev ino"),
        ("u32", "window flags path_size asked_size"),
    ),
    _struct(
        "operation_record",
        "A call that needs or changes privilege; its target string follows.",
        ("u32", "kind slot"),
        ("u64", "time_ns exec_key argument"),
        ("u32", "window flags"),
        ("u16", "operation errnum"),
        ("u32", "target_size"),
    ),
    _struct(
        "packet_record",
        "A DNS reply, or a part of a stream of them over TCP from this position; it follows.",
        ("u32", "kind slot"),
        ("u64", "time_ns exe_key cookie"),
        ("u32", "window payload_size family position"),
        ("u8[16]", "resolver"),
    ),
    _struct(
        "news_record",
        "A workload did something for the first time: the key of its entry, if any, follows. "
        "`exec_key` is of who made a call, else 0.",
        ("u32", "kind slot"),
        ("u64", "time_ns exec_key"),
        ("u32", "window"),
        ("u16", "news key_size"),
    ),
    _struct(
        "program_key",
        "Key of map `passed_programs`: who executes what, and under which name.",
        ("u64", "exe_key from_key dev ino ctime_ns"),
        ("u32", "slot euid flags"),
        ("u8[3]", "stdio"),
        ("u8", "pad"),
        ("u8[64]", "first_word"),
    ),
    _struct(
        "slot_key",
        "Key of map `slots`.",
        ("u64", "cgroup_id"),
        ("u32", "mntns phase"),
    ),
    _struct(
        "call_key",
        "Key of maps `odd_calls` and `errors`.",
        ("u32", "slot window nr"),
        ("u16", "arch errnum"),
    ),
    _struct(
        "argument_key",
        "Key of map `arguments`.",
        ("u64", "value"),
        ("u32", "slot window nr is_other"),
    ),
    _struct(
        "denied_key",
        "Key of map `denials`.",
        ("u64", "exec_key"),
        ("u32", "slot window nr"),
        ("u16", "arch errnum"),
        ("u32", "action has_errno"),
    ),
    _struct(
        "gram_key",
        "Key of map `grams`.",
        ("u64", "gram"),
        ("u32", "slot window"),
    ),
    _struct(
        "file_key",
        "Key of map `files`.",
        ("u64", "fingerprint ino dev exe_key"),
        ("u32", "slot window generation"),
        ("u16", "access errnum"),
    ),
    _struct(
        "flow_key",
        "Key of map `flows`; addresses and ports in network and host order.",
        ("u64", "exe_key"),
        ("u32", "slot window"),
        ("u16", "family type protocol direction local_port peer_port nat_port pad"),
        ("u8[16]", "local_addr peer_addr nat_addr"),
    ),
    _struct(
        "unix_key",
        "Key of map `unix_flows`; the path is zero behind its size.",
        ("u64", "exe_key"),
        ("u32", "slot window"),
        ("u16", "type"),
        ("u8", "direction path_size"),
        ("u8[108]", "path"),
    ),
    _struct(
        "privilege_key",
        "Key of map `privileges`.",
        ("u64", "exec_key"),
        ("u32", "slot window capability granted"),
    ),
    _struct(
        "loss_key",
        "Key of map `losses`.",
        ("u32", "slot"),
        ("u16", "kind place"),
    ),
    _struct(
        "use",
        "Value of map `files`.",
        ("u64", "calls first_ns last_ns last_jiffies"),
    ),
    _struct(
        "flow_use",
        "Value of map `flows`.",
        ("u64", "connections tx_bytes rx_bytes cookie peer_cookie first_ns last_ns"),
    ),
    _struct(
        "slot_places",
        "Value of map `places`: where each native call of a slot is counted.",
        ("u16[128]", "numbers"),
        ("u8[512]", "places"),
        ("u32", "used pad"),
    ),
    _struct(
        "slot_counts",
        "Value of map `counts`, one a CPU: native calls by place.",
        ("u32[128]", "calls"),
    ),
    _struct(
        "target",
        "Value of map `targets`.",
        ("u64", "instance_cgroup"),
        ("u32", "is_recorded pad"),
    ),
    _struct(
        "scope",
        "Value of map `scopes`: within what a slot's news are told, and what is none there.",
        ("u64", "number"),
        ("u64[8]", "calls"),
        ("u64", "capabilities"),
        ("u32", "is_muted grams grams_new pad"),
    ),
    _struct(
        "instance_key",
        "Key of map `instances`.",
        ("u64", "cgroup_id"),
        ("u32", "mntns pad"),
    ),
    _struct(
        "instance",
        "Value of map `instances`.",
        ("u64", "startup_ns"),
        ("u32", "init_tgid has_main is_steady is_shutting_down"),
    ),
)  # fmt: skip

STRUCTS: Mapping[str, Struct] = MappingProxyType({struct.name: struct for struct in _ALL})
