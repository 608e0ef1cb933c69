"""What a baseline allows, and how settled it is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ethogram.cli.screen import count, seconds
from ethogram.contracts.escape import printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from ethogram.contracts.baseline import AnyValue, Baseline, Coverage, Observation

__all__ = ["print_baseline", "subject_of", "value_words"]

# How many rules of a dimension a screen names; the file has them all.
NAMED = 12


def subject_of(baseline: Baseline) -> str:
    """Return what a baseline was learnt from: `shop/Deployment/checkout (nginx)`."""
    subject = baseline.subject
    parts = (subject.cluster, subject.namespace, subject.kind, subject.name)
    title = "/".join(part for part in parts if part is not None)
    return printable(f"{title} ({subject.container})" if subject.container else title)


def print_baseline(console: Console, file: Path, baseline: Baseline, *, rules: bool) -> None:
    """Print what *baseline* in *file* was learnt from and how settled it is; *rules* names some."""
    from rich.text import Text

    console.print(Text(subject_of(baseline), "bold"))
    console.print(f"  {printable(str(file))}")
    console.print(f"  {_observed(baseline.observation)}")
    for kind, number in baseline.observation.losses.items():
        console.print(f"  lost: {count(number, 'event')}, {printable(kind)}")
    if not baseline.observation.losses:
        console.print("  nothing lost")
    console.print(_grid(baseline, rules=rules))
    if baseline.quarantined:
        console.print(
            f"  quarantined: {count(len(baseline.quarantined), 'value')}, not allowed until an "
            "overlay says so:"
        )
        for one in baseline.quarantined[:NAMED]:
            indicators = ", ".join(one.indicators)
            console.print(f"    {printable(value_words(one.value))} ({printable(indicators)})")
    if baseline.model is not None:
        console.print(f"  model {printable(baseline.model.file)}")
    console.print()


def _observed(observation: Observation) -> str:
    phases = ", ".join(f"{name} {number:,}" for name, number in observation.phases.items())
    return (
        f"{observation.state}: {count(observation.instances, 'instance')}, "
        f"{count(observation.windows, 'window')}, {seconds(observation.seconds)}"
        + (f"; windows by phase: {phases}" if phases else "")
    )


def _grid(baseline: Baseline, *, rules: bool) -> Table:
    from rich.table import Table

    from ethogram.contracts.baseline import DIMENSIONS

    grid = Table(box=None, show_header=False, padding=(0, 1, 0, 1))
    for justify in ("left", "right", "left"):
        grid.add_column(justify=justify, no_wrap=not rules and justify != "left")
    for dimension in DIMENSIONS:
        listed = getattr(baseline.rules, dimension)
        coverage = baseline.coverage.get(dimension)
        if not listed and coverage is None:
            continue
        settled = _settled(coverage)
        if rules and listed:
            words = ", ".join(value_words(rule.value) for rule in listed[:NAMED])
            more = f" and {len(listed) - NAMED:,} more" if len(listed) > NAMED else ""
            settled = f"{printable(words)}{more}" + (f"; {settled}" if settled else "")
        grid.add_row(dimension, f"{len(listed):,}", settled)
    return grid


def _settled(coverage: Coverage | None) -> str:
    if coverage is None:
        return ""
    if coverage.unseen < 0.005:
        return "settled: no new one expected in the next window"
    return (
        f"{coverage.unseen:.2g} new expected in the next window "
        f"(between {coverage.low:.2g} and {coverage.high:.2g})"
    )


def value_words(value: AnyValue) -> str:
    """Return an allowed value in a few words."""
    fields = value.model_dump(exclude_none=True)
    match fields:
        case {"arch": arch, "nr": nr}:
            name = fields.get("name", str(nr))
            return name if arch in {"x86_64", "aarch64"} else f"{name} ({arch})"
        case {"direction": direction, "protocol": protocol, "address": address}:
            to = "to" if direction == "out" else "from"
            name = f" ({fields['name']})" if "name" in fields else ""
            return f"{protocol} {to} {_endpoint(address, fields.get('port'))}{name}"
        case {"protocol": protocol, "address": address}:
            return f"{protocol} {_endpoint(address, fields.get('port'))}"
    return " ".join(str(part) for part in fields.values())


def _endpoint(address: str, port: int | None) -> str:
    if port is None:
        return address
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
