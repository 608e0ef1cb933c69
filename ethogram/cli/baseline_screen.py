"""What a baseline allows, and how settled it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from ethogram.cli.screen import count, seconds, subject_words
from ethogram.contracts.escape import printable
from ethogram.contracts.wording import in_words

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from ethogram.contracts.baseline import (
        AlertBudget,
        AnyValue,
        Baseline,
        ModelReference,
        Observation,
        Quarantined,
        Rule,
        Withheld,
        WithheldBy,
    )
    from learner.difference import Difference

__all__ = ["print_baseline", "started_words", "subject_of"]

_WITHHELD_BY: Mapping[WithheldBy, str] = MappingProxyType(
    {
        "without": "`--without`",
        "only-phase": "`--only-phase`",
        "min-replicas": "`--min-replicas`",
        "overlay": "denied by an overlay",
        "expired": "overlay expired",
    }
)
# How many rules of a dimension a screen names; the file has them all.
NAMED = 12
_MARKED = 4
_DAY_S = 86_400


def subject_of(baseline: Baseline) -> str:
    """Return what a baseline was learnt from: `shop/Deployment/checkout (nginx)`."""
    return subject_words(baseline.subject)


def print_baseline(console: Console, file: Path, baseline: Baseline, *, rules: bool) -> None:
    """Print what *baseline* in *file* was learnt from and how settled it is; *rules* names some."""
    from rich.padding import Padding
    from rich.text import Text

    from ethogram.cli.settled import curve_lines, settled_lines
    from ethogram.contracts.quality import reason_words
    from ethogram.contracts.reach import dimensions_in_words

    console.print(Text(subject_of(baseline), "bold"))
    console.print(f"  {printable(str(file))}")
    console.print(Padding(Text(_observed(baseline.observation)), (0, 0, 0, 2), expand=False))
    for kind, number in baseline.observation.losses.items():
        console.print(f"  lost: {count(number, 'event')}, {printable(kind)}")
    if not baseline.observation.losses:
        console.print("  nothing lost")
    for reason in baseline.observation.reasons or ():
        console.print(f"  {printable(reason_words(baseline.observation, reason))}")
    if allowed := baseline.observation.allowed:
        console.print(f"  learnt with `--allow {','.join(allowed)}`")
    if (base := baseline.base) is not None and base.carried:
        carried = count(base.carried, "rule")
        console.print(f"  started from an earlier baseline: {carried} of it not shown again")
    if unknown := baseline.observation.not_observed:
        console.print(f"  not looked at: {dimensions_in_words(unknown)}")
    for line in settled_lines(baseline):
        console.print(Padding(Text(line), (0, 0, 0, 2), expand=False))
    console.print(_grid(baseline, rules=rules))
    told = [
        *((*curve_lines(baseline), *_expected(baseline)) if rules else ()),
        *_set_apart(baseline.quarantined),
        *_marked(baseline),
        *_withheld(baseline.withheld or ()),
        *(_arguments(baseline) if rules else ()),
    ]
    if baseline.model is not None:
        told.append(f"model {_model(baseline.model)}")
    for line in told:
        console.print(Padding(Text(line), (0, 0, 0, 2), expand=False))


def _model(model: ModelReference) -> str:
    used = "" if model.used is None else f" of {model.used:,} of {model.windows or 0:,} windows"
    return f"{printable(model.file)}{used}{_alerts(model.alerts)}"


def _alerts(alerts: AlertBudget | None) -> str:
    """Return what the threshold of a model promises, or what it needs to promise it."""
    if alerts is None:
        return ""
    budget = printable(alerts.budget)
    if alerts.needs_seconds is not None:
        return f", insufficient: needs {_more(alerts.needs_seconds)} for the budget {budget}"
    return f", {budget}: {alerts.expected or 0:.2g} expected{_realised(alerts)}"


def _realised(alerts: AlertBudget) -> str:
    """Return what such thresholds did on later time, or how much more time shows it."""
    if (found := alerts.realised) is not None:
        above = ", more than promised" if found.low > found.promised else ""
        return (
            f"; on unseen time {found.rate:.2g} ({found.low:.2g} to {found.high:.2g}), "
            f"promised {found.promised:.2g}{above}"
        )
    if alerts.realised_needs_seconds is not None:
        return f"; {_more(alerts.realised_needs_seconds)} show what it does on unseen time"
    return ""


def _more(needs: float) -> str:
    return f"{needs / _DAY_S:.1f} more days" if needs > _DAY_S else f"{seconds(needs)} more"


def _arguments(baseline: Baseline) -> Iterator[str]:
    """Yield how many values the arguments of calls took."""
    words = []
    for call in baseline.arguments or ():
        arch = "" if call.arch in {"x86_64", "aarch64"} else f" ({call.arch})"
        others = " and others" if call.others else ""
        words.append(f"{printable(call.name)}{arch} {len(call.values):,}{others}")
    if words:
        yield f"values of arguments: {', '.join(words)}"


def _set_apart(quarantined: Sequence[Quarantined]) -> Iterator[str]:
    """Yield how much was quarantined, then some of it."""
    if not quarantined:
        return
    yield (
        f"quarantined: {count(len(quarantined), 'value')}, not allowed until an overlay says so:"
    )
    whys = Counter(why for one in quarantined for why in (*one.indicators, *(one.reasons or ())))
    yield "  by " + ", ".join(f"{printable(why)} {number:,}" for why, number in whys.most_common())
    for one in quarantined[:NAMED]:
        why = ", ".join((*one.indicators, *(one.reasons or ())))
        many = f", {count(one.count, 'name')}" if one.count else ""
        yield f"  {printable(in_words(one.value))} ({printable(why)}{many})"
    if more := quarantined[NAMED:]:
        yield f"  and {len(more):,} more"


def _marked(baseline: Baseline) -> Iterator[str]:
    """Yield for each mark how many rules have it, and some of them."""
    by_mark: dict[str, list[AnyValue]] = {}
    for _, rule in baseline.rules.all():
        for mark in rule.marked or ():
            by_mark.setdefault(mark, []).append(rule.value)
    for mark, values in sorted(by_mark.items()):
        words = ", ".join(in_words(value) for value in values[:_MARKED])
        more = f" and {len(values) - _MARKED:,} more" if len(values) > _MARKED else ""
        yield f"marked {printable(mark)}: {printable(words)}{more}"


def started_words(difference: Difference) -> str:
    """Return what a baseline that started from an earlier one has new, and has not shown again."""
    who = subject_words(difference.baseline.subject)
    if difference.old is None:
        return f"{who}: no earlier baseline"
    new = [change for change in difference.changes if change.way == "wider"]
    carried = sum(one.way == "narrower" and not one.is_apart for one in difference.changes)
    decided = sum(change.left_out is not None for change in new)
    left_out = f" ({decided:,} of them left out of the earlier one)" if decided else ""
    notes = "".join(f"; {note}" for note in difference.notes)
    return (
        f"{who}: {count(len(new), 'rule')} new{left_out}, {carried:,} carried that were not "
        f"shown again{notes}"
    )


def _withheld(withheld: Sequence[Withheld]) -> Iterator[str]:
    """Yield how much was left out, and by what; then some of it."""
    if not withheld:
        return
    by = Counter(one.by for one in withheld)
    reasons = ", ".join(f"{_WITHHELD_BY[reason]} {number:,}" for reason, number in by.items())
    yield f"withheld: {count(len(withheld), 'rule')}, {reasons}"
    for one in withheld[:NAMED]:
        yield f"  {one.dimension}: {printable(in_words(one.value))}"
    if more := max(0, len(withheld) - NAMED):
        yield f"  and {more:,} more"


def _observed(observation: Observation) -> str:
    phases = ", ".join(f"{name} {number:,}" for name, number in observation.phases.items())
    return (
        f"{observation.state}: {count(observation.instances, 'instance')}, "
        f"{count(observation.windows, 'window')}, {seconds(observation.seconds)}"
        + (f"; windows by phase: {phases}" if phases else "")
    )


def _grid(baseline: Baseline, *, rules: bool) -> Table:
    """Return one row a dimension: how many rules, then which, or what is still expected."""
    from rich.table import Table

    from ethogram.contracts.baseline import DIMENSIONS
    from learner.coverage import settledness_of

    settled = settledness_of(baseline)
    grid = Table(box=None, show_header=False, padding=(0, 1, 0, 1))
    grid.add_column(no_wrap=True)
    grid.add_column(justify="right", no_wrap=True)
    grid.add_column()
    for dimension in DIMENSIONS:
        listed = getattr(baseline.rules, dimension)
        if listed or (dimension in settled and not rules):
            words = _named(listed) if rules else settled.get(dimension, "")
            grid.add_row(dimension, f"{len(listed):,}", words)
    return grid


def _named(rules: Sequence[Rule[AnyValue]]) -> str:
    words = ", ".join(in_words(rule.value) for rule in rules[:NAMED])
    more = f" and {len(rules) - NAMED:,} more" if len(rules) > NAMED else ""
    return printable(words) + more


def _expected(baseline: Baseline) -> Iterator[str]:
    """Yield what is still expected to be new, or that nothing is."""
    from learner.coverage import settledness_of

    sentences = settledness_of(baseline).values()
    open_ends = [text for text in sentences if not text.startswith("no ")]
    yield from open_ends
    if sentences and not open_ends:
        horizon = next(iter(sentences)).rpartition(" in the next ")[2].partition(" (")[0]
        yield f"settled: nothing new is expected of one instance in the next {horizon}"
