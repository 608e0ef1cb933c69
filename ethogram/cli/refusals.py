"""What `learn` refuses to make a baseline of, unless it is told that it will do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import click

from ethogram.cli.screen import count, say, subject_words
from ethogram.contracts.escape import printable
from ethogram.errors import CaptureError

if TYPE_CHECKING:
    from ethogram.contracts.baseline import Baseline
    from ethogram.contracts.baseline_values import Allowance

__all__ = ["allow_option", "as_allowed"]

_KINDS = ("thin", "lossy", "enforced")
_SHOWN = 20


class _Allowances(click.ParamType["tuple[str, ...]"]):
    """Kinds of shortcomings between commas."""

    name = "allowances"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        words = tuple(word.strip() for word in str(value).split(","))
        if unknown := [word for word in words if word not in _KINDS]:
            known = ", ".join(f"`{kind}`" for kind in _KINDS)
            self.fail(f"`{unknown[0]}` is none of {known}", param, ctx)
        return words


def allow_option(command: Any) -> Any:
    """Add the option `--allow`."""
    return click.option(
        "--allow",
        "allowances",
        multiple=True,
        metavar="WHAT",
        type=_Allowances(),
        help="Learn all the same from what is `thin`, `lossy` or `enforced`; several between "
        "commas. The baseline says so.",
    )(command)


def as_allowed(
    baselines: Sequence[Baseline], allowances: Iterable[tuple[str, ...]]
) -> list[Baseline]:
    """Return *baselines*, each with what of *allowances* it needed.

    `CaptureError` where one was watched too little, or too badly, and nobody allowed that; what
    is wrong with each is said before.
    """
    from ethogram.contracts.quality import grounds_of, reason_words

    told = {kind for kinds in allowances for kind in kinds}
    needed = [grounds_of(one.observation) for one in baselines]
    refused = [
        (one, {kind: why for kind, why in grounds.items() if kind not in told})
        for one, grounds in zip(baselines, needed, strict=True)
    ]
    refused = [(one, grounds) for one, grounds in refused if grounds]
    if not refused:
        return [_with(one, tuple(kinds)) for one, kinds in zip(baselines, needed, strict=True)]
    for one, grounds in refused[:_SHOWN]:
        for kind, reasons in grounds.items():
            words = "; ".join(reason_words(one.observation, reason) for reason in reasons)
            say(f"{kind}: {printable(subject_words(one.subject))}: {printable(words)}")
    if len(refused) > _SHOWN:
        say(f"and {count(len(refused) - _SHOWN, 'workload')} more")
    kinds = [kind for kind in _KINDS if any(kind in grounds for _, grounds in refused)]
    option = ",".join(kind for kind in _KINDS if kind in {*kinds, *told})
    raise CaptureError(
        f"nothing was learnt: {len(refused)} of {count(len(baselines), 'workload')} "
        f"{'is' if len(refused) == 1 else 'are'} {' or '.join(kinds)}",
        hint=f"{_remedy(kinds)}, or pass `--allow {option}`: the baseline will say so",
    )


def _remedy(kinds: Sequence[str]) -> str:
    remedies = {
        "thin": "record for longer or more than once",
        "lossy": "record again without loss",
        "enforced": "record without the seccomp filter",
    }
    return ", ".join(remedies[kind] for kind in kinds)


def _with(baseline: Baseline, kinds: tuple[Allowance, ...]) -> Baseline:
    """Return *baseline* saying that *kinds* had to be allowed."""
    if not kinds:
        return baseline
    observation = baseline.observation.model_copy(update={"allowed": kinds})
    return baseline.model_copy(update={"observation": observation})
