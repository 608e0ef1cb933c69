"""How well a workload was watched, in words: what stood in the way, and what follows from it.

A *reason* is one thing that stood in the way. Several may hold; `observation.state` is the gravest
state that one of them means. For some of them `learn` refuses, unless it is told to allow it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from ethogram.contracts.baseline_models import Observation
from ethogram.contracts.baseline_values import ALLOWANCES, REASONS, Allowance, Reason, State

__all__ = [
    "FEWEST_RUNS",
    "STEADY_SECONDS",
    "grounds_of",
    "needed_allowances",
    "reason_words",
    "state_of",
    "states_of",
    "was_told",
]

# A service that was steady for less, and a job that ran to its end fewer times, is thin.
STEADY_SECONDS = 300
FEWEST_RUNS = 2

_STATES: Mapping[Reason, State] = MappingProxyType(
    {
        "filter": "enforced",
        "refused": "enforced",
        "lost": "lossy",
        "blind": "partial",
        "incomplete": "partial",
        "killed": "partial",
        "no-start": "partial",
        "loader": "partial",
        "tier": "partial",
    }
)
_GROUNDS: Mapping[Reason, Allowance] = MappingProxyType(
    {
        "refused": "enforced",
        "lost": "lossy",
        "blind": "lossy",
        "incomplete": "lossy",
        "no-steady": "thin",
        "short": "thin",
    }
)


def state_of(reasons: Iterable[Reason]) -> State:
    """Return the gravest state that *reasons* mean."""
    found = {_STATES.get(reason) for reason in reasons}
    order: tuple[State, ...] = ("enforced", "lossy", "partial")
    return next((state for state in order if state in found), "complete")


def states_of(observation: Observation) -> tuple[State, ...]:
    """Return every state that holds, the gravest first; of an older baseline the one it states."""
    if observation.reasons is None:
        return (observation.state,)
    found = {_STATES.get(reason) for reason in observation.reasons} | {observation.state}
    order: tuple[State, ...] = ("enforced", "lossy", "partial", "complete")
    return tuple(state for state in order if state in found)


def grounds_of(observation: Observation) -> dict[Allowance, tuple[Reason, ...]]:
    """Return for what `learn` refuses such an observation unless told, with the reasons."""
    grounds: dict[Allowance, tuple[Reason, ...]] = {}
    for allowance in ALLOWANCES:
        reasons = observation.reasons or ()
        if found := tuple(reason for reason in reasons if _GROUNDS.get(reason) == allowance):
            grounds[allowance] = found
    return grounds


def needed_allowances(observation: Observation) -> tuple[Allowance, ...]:
    """Return what has to be allowed for a baseline of *observation* to be made a policy of.

    A baseline of an older version states no reasons: its state counts, whatever it came from.
    """
    if observation.reasons is not None:
        grounds: Iterable[str] = grounds_of(observation)
    else:
        grounds = {observation.state, *(observation.allowed or ())}
    return tuple(name for name in ALLOWANCES if name in grounds)


def was_told(observation: Observation) -> str | None:
    """Return in words what `learn` was told to allow, None where it was told nothing."""
    allowed = observation.allowed or ()
    if not allowed:
        return None
    grounds = grounds_of(observation)
    words = [
        reason_words(observation, reason) for name in allowed for reason in grounds.get(name, ())
    ]
    return f"learnt with `--allow {','.join(allowed)}`" + (f": {'; '.join(words)}" if words else "")


def reason_words(observation: Observation, reason: Reason) -> str:
    """Return what *reason* means in this *observation*."""
    assert reason in REASONS
    match reason:
        case "refused":
            names = ", ".join(observation.refused or ())
            return f"a seccomp filter refused {names}" if names else _REFUSED_UNSEEN
        case "lost":
            total = sum(observation.losses.values())
            kinds = ", ".join(observation.losses)
            return (
                f"{total:,} event{'' if total == 1 else 's'} lost ({kinds})"
                if total
                else "events lost"
            )
        case "short":
            return f"steady for {observation.steady_seconds or 0:,.0f} s of at least {_WHOLE}"
        case "no-steady":
            return f"never steady, of at least {_WHOLE}"
        case "truncated":
            return f"paths longer than 4,096 bytes, which were cut: {observation.truncated or 0:,}"
    return _WORDS[reason]


_REFUSED_UNSEEN = "it ran under a seccomp filter, and refused calls were not looked at"
_WHOLE = f"{STEADY_SECONDS} s, and not seen to run to its end {FEWEST_RUNS} times"
_WORDS: Mapping[Reason, str] = MappingProxyType(
    {
        "filter": "it ran under a seccomp filter",
        "blind": "a hook was not attached in some windows: part of what was done was not seen",
        "incomplete": "windows are incomplete",
        "killed": "a recorder was killed",
        "no-start": "no start was seen",
        "loader": "recorded with `--loader bcc`",
        "tier": "recorded with another tier than `full`",
    }
)
