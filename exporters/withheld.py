"""What of a policy people decided: what it leaves out, and what it allows that nobody saw."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from ethogram.contracts.baseline import Baseline, Dimension, Withheld
from ethogram.contracts.overlays import expired
from ethogram.contracts.wording import in_words
from exporters.protocol import Finding, shown

__all__ = ["overlaid_findings", "withheld_findings"]


def withheld_findings(baseline: Baseline, dimensions: Collection[Dimension]) -> Iterator[Finding]:
    """Yield what of *dimensions* the policy of *baseline* refuses although it was seen or allowed.

    *baseline* is as `in_force` gave it.
    """
    over = [one for one in expired(baseline) if one.dimension in dimensions]
    if over:
        yield Finding(
            "warning",
            f"{_rules(over)} left out, whose overlay is over: {shown(_ends(over))}",
            hint="renew the entry and learn again with `--overlay`, or see what needs it no more",
        )
    chosen = [
        one
        for one in baseline.withheld or ()
        if one.dimension in dimensions and one.by != "expired"
    ]
    if chosen:
        yield Finding(
            "info",
            f"{'1 rule was' if len(chosen) == 1 else f'{len(chosen)} rules were'} left out when the"
            " baseline was learnt:"
            f" {shown([in_words(one.value) for one in chosen])}",
            hint="`ethogram explain BASELINE RULE` says by what",
        )


def overlaid_findings(baseline: Baseline, dimensions: Collection[Dimension]) -> Iterator[Finding]:
    """Yield what of *dimensions* the policy of *baseline* allows on somebody's word alone."""
    alone = [
        rule
        for dimension, rule in baseline.rules.all()
        if dimension in dimensions and rule.overlay is not None and not rule.evidence.windows
    ]
    if alone:
        rest = "1 rule rests" if len(alone) == 1 else f"{len(alone)} rules rest"
        yield Finding(
            "info",
            f"{rest} on an overlay alone, never seen:"
            f" {shown(sorted(in_words(rule.value) for rule in alone))}",
            hint="`ethogram explain BASELINE RULE` says whose decision it is, and until when",
        )


def _rules(withheld: Sequence[Withheld]) -> str:
    return "1 rule is" if len(withheld) == 1 else f"{len(withheld)} rules are"


def _ends(over: Sequence[Withheld]) -> list[str]:
    return [
        f"{in_words(one.value)} ({one.overlay.author}, {one.overlay.expires})"
        for one in over
        if one.overlay is not None
    ]
