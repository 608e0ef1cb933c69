"""A new version starts from the old one's baseline: what it has not shown yet stays allowed.

A recording of a new image is short at first. Its baseline alone would report as deviations all
that it does seldom; the old one alone would report all that is new. So the old rules that the new
version did not show are carried over, marked `carried`, for a reviewer to drop.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ethogram.contracts.baseline import CARRIED, DIMENSIONS, Base, Baseline, Rule, Rules
from learner.arguments import joined
from learner.difference import Difference, Named, differences
from learner.order import order_of

__all__ = ["started_from"]


def started_from(
    old: Sequence[Named], new: Sequence[Named], *, digests: dict[str, str]
) -> list[tuple[Baseline, Difference]]:
    """Return each of *new* with what its baseline of *old* allows, and how the two differ.

    *digests* are the SHA-256 of the old files, by name. What has no old baseline stays as it is.
    What the new recordings have in quarantine is not carried, nor what was left out of them, nor
    what nobody looked at that time and nobody looks at now, nor what only the old one's container
    runtime did.
    """
    found = []
    for difference in differences(old, new):
        if difference.new is None:
            continue
        baseline = difference.new[1]
        if difference.old is not None:
            name = str(difference.old[0])
            baseline = _joined(difference.old[1], baseline, difference, digests[name])
        found.append((baseline, difference))
    return found


def _joined(old: Baseline, new: Baseline, difference: Difference, digest: str) -> Baseline:
    apart = {one.id for one in (*new.quarantined, *(new.withheld or ()))}
    gone = {change.rule for change in difference.changes if change.way == "narrower"} - apart
    rules: dict[str, Any] = {}
    for dimension in DIMENSIONS:
        carried = [_carried(rule) for rule in getattr(old.rules, dimension) if rule.id in gone]
        # What only the new one's runtime did is allowed by the old one's rule, and by that alone.
        shown = [rule for rule in getattr(new.rules, dimension) if rule.id not in gone]
        rules[dimension] = tuple(
            sorted(
                [*shown, *carried],
                key=lambda rule: order_of(dimension, rule.value),
            )
        )
    inputs = {one.recording_id: one for one in (*old.inputs, *new.inputs)}
    base = Base(sha256=digest, image_digests=old.observation.image_digests, carried=len(gone))
    return new.model_copy(
        update={
            "rules": Rules.model_construct(**rules),
            "arguments": joined(old.arguments, new.arguments),
            "inputs": tuple(inputs[name] for name in sorted(inputs)),
            "base": base,
        }
    )


def _carried(rule: Rule[Any]) -> Rule[Any]:
    marks = dict.fromkeys([*(rule.marked or ()), CARRIED])
    return rule.model_copy(update={"marked": tuple(marks)})
