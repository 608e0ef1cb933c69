"""What people decided about a value that a baseline does not allow, for the reason of a finding."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ethogram.contracts.baseline import (
    RULE_MODELS,
    AnyValue,
    Baseline,
    Dimension,
    Rules,
    Withheld,
    rule_id,
)
from ethogram.contracts.matching import Allowlist

__all__ = ["Decisions"]


class Decisions:
    """The rules that a baseline withholds, ready to be asked.

    Those of overlays are few and may be patterns; those that options left out may be thousands and
    are known by their ids.
    """

    def __init__(self, baseline: Baseline) -> None:
        withheld = baseline.withheld or ()
        self._overlaid = [
            (one, _allowlist(baseline, one)) for one in withheld if one.overlay is not None
        ]
        self._left_out: Mapping[str, Withheld] = {
            one.id: one for one in withheld if one.overlay is None
        }

    def about(self, dimension: Dimension, value: AnyValue) -> str | None:
        """Return in words who decided that *value* is not allowed; None where nobody did."""
        return next(self._words(dimension, value), None)

    def _words(self, dimension: Dimension, value: AnyValue) -> Iterator[str]:
        for one, allowlist in self._overlaid:
            if one.overlay is None or not allowlist.allows(dimension, value):
                continue
            if one.by == "expired":
                yield f"the overlay of {one.overlay.author} that allowed it expired on" + (
                    f" {one.overlay.expires}"
                )
            elif one.by == "overlay":
                yield f"an overlay of {one.overlay.author} denies it: {one.overlay.reason}"
        if self._left_out and (left := self._left_out.get(rule_id(dimension, value))):
            yield f"it was seen when the baseline was learnt, and `--{left.by}` left it out"


def _allowlist(baseline: Baseline, one: Withheld) -> Allowlist:
    rule = RULE_MODELS[one.dimension](id=one.id, value=one.value, evidence=one.evidence)
    return Allowlist(
        baseline.model_copy(update={"rules": Rules.model_validate({one.dimension: (rule,)})})
    )
