"""Rules that go by the name of a privileged operation alone."""

from __future__ import annotations

from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from ethogram.indicators.predicates import Mask, matching, outside_runtime, word_is
from ethogram.indicators.protocol import IndicatorMetadata
from ethogram.indicators.rule import Rule, everything

__all__ = ["on_operations"]

Outcome = Literal["granted", "refused", "any"]


def on_operations(
    metadata: IndicatorMetadata,
    *names: str,
    outcome: Outcome = "any",
    in_containers: bool = False,
    taints: bool = True,
    target: str | None = None,
) -> Rule:
    """Return a rule on rows of `privileges` with one of the operations *names*.

    The *outcome* may be asked for, and a *target*, a regular expression. Preparing a container is
    the runtime's work: that phase is not judged. With *in_containers* only what a container does
    is. Where the gate is `always`, all that matches taints, unless *taints* is false.
    """

    def bad(rows: pa.Table) -> Mask:
        named = word_is(rows.column("operation"), *names)
        found = pc.and_(named, outside_runtime(rows))
        if outcome != "any":
            granted = rows.column("granted")
            found = pc.and_(found, granted if outcome == "granted" else pc.invert(granted))
        if target is not None:
            found = pc.and_(found, matching(rows.column("target"), target))
        if in_containers:
            found = pc.and_(found, rows.column("instance_is_container"))
        return found

    return Rule(metadata, bad, everything if taints and metadata.gate == "always" else None)
