"""C text from the contracts: the wire structs and enums that the BCC program is compiled with."""

from __future__ import annotations

from collections.abc import Iterable

from ethogram.contracts.events import ARCHES, NO_SLOT, STRUCTS, EventFlag, LossPlace, RecordKind
from ethogram.contracts.flags import ProcessFlag
from ethogram.contracts.tables import ENUMS

__all__ = ["definitions", "wire_text"]

_NEEDED = (
    "slot_record", "cgroup_record", "process_record", "fork_record", "exit_record", "call_key",
    "flow_key", "flow_use", "loss_key", "target",
)  # fmt: skip


def wire_text() -> str:
    """Return declarations of the structs that this loader fills, their sizes asserted."""
    return "\n".join([*map(_struct, _NEEDED), *_constants(), ""])


def definitions(**values: int) -> list[str]:
    """Return compiler flags that define *values*."""
    return [f"-D{name}={int(value)}" for name, value in values.items()]


def _struct(name: str) -> str:
    declared = STRUCTS[name]
    lines = [f"struct {name} {{"]
    for field, word in declared.fields:
        kind, bracket, count = word.partition("[")
        base = "s32" if kind == "i32" else kind
        lines.append(f"\t__{base} {field}{bracket}{count};")
    size = declared.dtype.itemsize
    return "\n".join([*lines, "};", f'_Static_assert(sizeof(struct {name}) == {size}, "{name}");'])


def _constants() -> Iterable[str]:
    yield f"#define NO_SLOT {NO_SLOT}u"
    for prefix, names in (("ARCH", ARCHES), ("PHASE", ENUMS["phase"]), ("LOSS", ENUMS["loss"]),
                          ("DIRECTION", ENUMS["direction"])):  # fmt: skip
        for number, name in enumerate(names):
            yield f"#define {prefix}_{name.upper()} {number}"
    flags = {str(flag.name): flag.value for flag in (*ProcessFlag, *EventFlag)}
    for prefix, values in (
        ("RECORD", {kind.name: kind.value for kind in RecordKind}),
        ("PLACE", {place.name: place.value for place in LossPlace}),
        ("EVENT", flags),
    ):
        for name, value in values.items():
            yield f"#define {prefix}_{name} {value}"
