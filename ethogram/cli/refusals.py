"""What `learn` and `export` refuse to go by, unless they are told that it will do."""

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

__all__ = [
    "INEXPRESSIBLE",
    "allow_option",
    "allow_options",
    "as_allowed",
    "told_to_allow",
    "were_allowed",
]

_KINDS = ("thin", "lossy", "enforced")
# Not of a baseline: what a kind of policy has no words for.
INEXPRESSIBLE = "inexpressible"
_SHOWN = 20


class _Allowances(click.ParamType["tuple[str, ...]"]):
    """Kinds of shortcomings between commas."""

    name = "allowances"

    def __init__(self, known: Sequence[str]) -> None:
        self._known = known

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        words = tuple(word.strip() for word in str(value).split(","))
        if unknown := [word for word in words if word not in self._known]:
            known = ", ".join(f"`{kind}`" for kind in self._known)
            self.fail(f"`{unknown[0]}` is none of {known}", param, ctx)
        return words


def allow_option(command: Any) -> Any:
    """Add the option `--allow` of `learn`."""
    return click.option(
        "--allow",
        "allowances",
        multiple=True,
        metavar="WHAT",
        type=_Allowances(_KINDS),
        help="Learn all the same from what is `thin`, `lossy` or `enforced`; several between "
        "commas. The baseline says so.",
    )(command)


def allow_options(command: Any) -> Any:
    """Add the options of `export` that `told_to_allow` reads."""
    for option in (
        click.option(
            "--allow-lossy",
            is_flag=True,
            help=f"An older way to write `--allow {INEXPRESSIBLE}`.",
        ),
        click.option(
            "--allow",
            "allowances",
            multiple=True,
            metavar="WHAT",
            type=_Allowances((*_KINDS, INEXPRESSIBLE)),
            help="Export all the same baselines that are `thin`, `lossy` or `enforced`; and what a "
            f"target can say of one where it cannot say all (`{INEXPRESSIBLE}`). Several between "
            "commas. The policies say so.",
        ),
    ):
        command = option(command)
    return command


def told_to_allow(allowances: Iterable[tuple[str, ...]], *, allow_lossy: bool) -> tuple[str, ...]:
    """Return what `export` was told to allow, once each."""
    said = {kind for kinds in allowances for kind in kinds}
    if allow_lossy:
        said.add(INEXPRESSIBLE)
    return tuple(kind for kind in (*_KINDS, INEXPRESSIBLE) if kind in said)


def were_allowed(baselines: Sequence[Baseline], allowed: Sequence[str]) -> None:
    """Raise `CaptureError` where one of *baselines* is unfit for a policy and nobody allowed that.

    What is wrong with each is said before.
    """
    from ethogram.contracts.quality import needed_allowances

    needed = [needed_allowances(one.observation) for one in baselines]
    refused = [
        (one, [kind for kind in kinds if kind not in allowed])
        for one, kinds in zip(baselines, needed, strict=True)
    ]
    if not (refused := [(one, kinds) for one, kinds in refused if kinds]):
        return
    kinds = _say_refused(refused)
    option = ",".join(kind for kind in (*_KINDS, INEXPRESSIBLE) if kind in {*kinds, *allowed})
    raise CaptureError(
        f"nothing was written: {len(refused)} of {count(len(baselines), 'baseline')} "
        f"{'is' if len(refused) == 1 else 'are'} {' or '.join(kinds)}",
        hint=f"{_remedy(kinds)} and learn again, or pass `--allow {option}`: the policies will"
        " say so",
    )


def _say_refused(refused: Sequence[tuple[Baseline, Sequence[Allowance]]]) -> list[str]:
    """Print what is wrong with each of *refused*; return the kinds of that."""
    from ethogram.contracts.quality import grounds_of, reason_words

    for one, kinds in refused[:_SHOWN]:
        for kind in kinds:
            reasons = grounds_of(one.observation).get(kind, ())
            words = "; ".join(reason_words(one.observation, reason) for reason in reasons)
            why = f": {printable(words)}" if words else ""
            say(f"{kind}: {printable(subject_words(one.subject))}{why}")
    if len(refused) > _SHOWN:
        say(f"and {count(len(refused) - _SHOWN, 'workload')} more")
    return [kind for kind in _KINDS if any(kind in kinds for _, kinds in refused)]


def as_allowed(
    baselines: Sequence[Baseline], allowances: Iterable[tuple[str, ...]]
) -> list[Baseline]:
    """Return *baselines*, each with what of *allowances* it needed.

    `CaptureError` where one was watched too little, or too badly, and nobody allowed that; what
    is wrong with each is said before.
    """
    from ethogram.contracts.quality import grounds_of

    told = {kind for kinds in allowances for kind in kinds}
    needed = [tuple(grounds_of(one.observation)) for one in baselines]
    refused = [
        (one, [kind for kind in kinds if kind not in told])
        for one, kinds in zip(baselines, needed, strict=True)
    ]
    if not (refused := [(one, kinds) for one, kinds in refused if kinds]):
        return [_with(one, kinds) for one, kinds in zip(baselines, needed, strict=True)]
    kinds = _say_refused(refused)
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
