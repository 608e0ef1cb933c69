"""The values that rules allow, one model for each dimension of behaviour.

Text that a workload chose (paths, names) is escaped as `ethogram.contracts.escape` says. In the
path of a file rule `*` stands for any run of characters but `/`; a literal one is `\\x2a`.
"""

from __future__ import annotations

import hashlib
import json
from types import MappingProxyType
from typing import Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

__all__ = [
    "ALLOWANCES",
    "DIMENSIONS",
    "PHASES",
    "REASONS",
    "VALUE_MODELS",
    "Allowance",
    "AnyValue",
    "Arch",
    "CapabilityValue",
    "ContainerKind",
    "Count",
    "Digest",
    "Dimension",
    "DnsValue",
    "ExecValue",
    "FileValue",
    "Frozen",
    "ListenValue",
    "OperationValue",
    "PeerIdentity",
    "PeerKind",
    "PeerValue",
    "Phase",
    "Port",
    "Real",
    "Reason",
    "State",
    "SyscallValue",
    "Text",
    "Time",
    "rule_id",
]

Phase = Literal["unknown", "runtime", "startup", "steady", "exec", "shutdown"]
PHASES: tuple[Phase, ...] = get_args(Phase)
Arch = Literal["x86_64", "i386", "x32", "aarch64", "arm"]
ContainerKind = Literal["main", "init", "sidecar", "ephemeral", "none"]
Dimension = Literal[
    "syscalls", "execs", "files", "peers", "listens", "dns", "capabilities", "operations"
]
PeerKind = Literal["pod", "service", "node", "apiserver", "dns", "external"]
State = Literal["complete", "partial", "lossy", "enforced"]
Reason = Literal[
    "filter", "refused", "lost", "blind", "incomplete", "killed", "no-start", "loader", "tier",
    "no-steady", "short", "truncated",
]  # fmt: skip
REASONS: tuple[Reason, ...] = get_args(Reason)
Allowance = Literal["lossy", "thin", "enforced"]
ALLOWANCES: tuple[Allowance, ...] = get_args(Allowance)

# YAML turns `port: yes` into a bool and "5" stays a string: neither is a number here.
Count = Annotated[int, Field(strict=True, ge=0)]
Port = Annotated[int, Field(strict=True, ge=0, le=65535)]
Real = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Text = Annotated[str, Field(min_length=1, max_length=32768)]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Time = Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z$")]


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class SyscallValue(Frozen):
    """One system call of one architecture; *name* is absent where no table names the number."""

    arch: Arch
    name: Text | None = None
    nr: Count


class ExecValue(Frozen):
    """An executable, by its resolved path; *upper* where it is not the image's.

    It lies in the overlay's upper layer then: the container wrote it.
    """

    path: Text
    upper: Literal[True] | None = None


class FileValue(Frozen):
    """A file, and how it was opened or what was done to its name: letters of `rwxctandlp`.

    Read, write, execute, create, truncate, append. Opened for its path alone: no letter. Without
    an open: `n` it got this name, made or renamed, `d` lost it, deleted or renamed, `l` got another
    one by a hard link, `p` got other permissions or another owner. They stand in that order.
    """

    path: Text
    access: Annotated[str, Field(pattern=r"^r?w?x?c?t?a?n?d?l?p?$")]


class PeerIdentity(Frozen):
    """Whose an address was when it was talked to, as the inventory had it.

    A pod is named by its *owner*'s kind and name, everything else by its own name. *selector* are
    the labels that pick the pods which answer, *targets* the pods' own ports behind a service's
    port, *addresses* what answers where no labels pick it: nodes, the API server, outside.
    """

    kind: PeerKind
    namespace: Text | None = None
    owner: Text | None = None
    name: Text
    selector: dict[str, str] = Field(default_factory=dict)
    targets: tuple[Text, ...] = ()
    addresses: tuple[Text, ...] = ()

    def __hash__(self) -> int:
        # Values are gathered in sets; pydantic's own hash cannot take a field that is a dict.
        return hash((self.kind, self.namespace, self.owner, self.name, self.targets))


class PeerValue(Frozen):
    """Who was talked to.

    *port* is the one that was connected to: the peer's for `out`, the workload's own for `in`.
    *address* is empty where *identity* says who it was and pods come and go under addresses.
    *name* is what a configured resolver had answered the address for.
    """

    direction: Literal["in", "out"]
    protocol: Text
    address: str
    port: Port | None = None
    name: Text | None = None
    identity: PeerIdentity | None = None


class ListenValue(Frozen):
    """A socket that was bound or listened; without *port* the kernel chose it, or there is none."""

    protocol: Text
    address: str
    port: Port | None = None


class DnsValue(Frozen):
    """A name that was asked for, lower case, without the last dot."""

    name: str


class CapabilityValue(Frozen):
    """A capability that was used and granted."""

    name: Annotated[str, Field(pattern=r"^CAP_[A-Z0-9_]+$")]


class OperationValue(Frozen):
    """A namespace, mount or other privileged operation that succeeded."""

    operation: Text
    target: str | None = None


AnyValue = (
    SyscallValue
    | ExecValue
    | FileValue
    | PeerValue
    | ListenValue
    | DnsValue
    | CapabilityValue
    | OperationValue
)
VALUE_MODELS: MappingProxyType[Dimension, type[AnyValue]] = MappingProxyType(
    {
        "syscalls": SyscallValue,
        "execs": ExecValue,
        "files": FileValue,
        "peers": PeerValue,
        "listens": ListenValue,
        "dns": DnsValue,
        "capabilities": CapabilityValue,
        "operations": OperationValue,
    }
)
DIMENSIONS: tuple[Dimension, ...] = tuple(VALUE_MODELS)


def rule_id(dimension: Dimension, value: AnyValue) -> str:
    """Return the name of the rule for *value*: the same in every baseline and on every machine."""
    canonical = json.dumps(value.model_dump(exclude_none=True), sort_keys=True)
    return f"{dimension}-{hashlib.sha256(f'{dimension} {canonical}'.encode()).hexdigest()[:12]}"
