"""What a baseline allows on a given day: overlays end, and what they allowed ends with them.

The one place that knows. Whoever judges by a baseline, or makes a policy of it, asks for what is
in force first.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import Any

from ethogram.contracts.baseline_models import Baseline, Overlay, Rule, Withheld
from ethogram.contracts.baseline_values import DIMENSIONS, Dimension

__all__ = ["expired", "in_force", "is_over", "withheld_rule"]


def is_over(overlay: Overlay | None, today: date) -> bool:
    """Return whether *overlay* has ended: it holds to the end of its last day, in UTC."""
    if overlay is None or overlay.expires is None:
        return False
    return date.fromisoformat(overlay.expires) < today


def in_force(baseline: Baseline, today: date) -> Baseline:
    """Return *baseline* without the rules whose overlay is over *today*: they are withheld.

    What an overlay denies stays denied: a decision that was forgotten must not allow anything.
    """
    over = [
        (dimension, rule)
        for dimension, rule in baseline.rules.all()
        if is_over(rule.overlay, today)
    ]
    if not over:
        return baseline
    gone = {rule.id for _, rule in over}
    kept: dict[str, Any] = {
        dimension: tuple(rule for rule in getattr(baseline.rules, dimension) if rule.id not in gone)
        for dimension in DIMENSIONS
    }
    ended = (withheld_rule(dimension, rule, by="expired") for dimension, rule in over)
    return baseline.model_copy(
        update={
            "rules": baseline.rules.model_copy(update=kept),
            "withheld": _merged(baseline.withheld or (), ended),
        }
    )


def expired(baseline: Baseline) -> tuple[Withheld, ...]:
    """Return what *baseline*, as `in_force` gave it, withholds because an overlay is over."""
    return tuple(one for one in baseline.withheld or () if one.by == "expired")


def withheld_rule(
    dimension: Dimension, rule: Rule[Any], *, by: str, overlay: Overlay | None = None
) -> Withheld:
    """Return *rule* as what is withheld, *by* what says so; *overlay* is the one that denies it."""
    return Withheld.model_validate(
        {
            "id": rule.id,
            "dimension": dimension,
            "value": rule.value.model_dump(),
            "by": by,
            "evidence": rule.evidence,
            "widened_from": rule.widened_from,
            "marked": rule.marked,
            "indicators": rule.indicators,
            "overlay": overlay or rule.overlay,
        }
    )


def _merged(before: Iterable[Withheld], more: Iterable[Withheld]) -> tuple[Withheld, ...]:
    """Return both, once each, in the order of dimensions and ids."""
    known = {one.id: one for one in (*before, *more)}
    return tuple(sorted(known.values(), key=lambda one: (DIMENSIONS.index(one.dimension), one.id)))
