"""How far what is seen of a workload can be relied on, window by window.

From the gravest; the first that holds is the state:

- `unknown`: no baseline is for it, so that nothing it does is a deviation
- `blind`: the kernel refused a program, or a seccomp filter refuses calls and nobody sees which
- `degraded`: in one of the last `HEALED_AFTER` windows events of it were lost, or events of which
  nobody knows whose they were; not those of containers without a name, because it has one
- `rollout`: it runs an image that the baseline was not learnt from
- `learning`: the baseline is thin (`detector.thinness`); what it lacks may be normal
- `deviating`: it would be `ok`, and lately a finding of severity medium or more was told of it
- `ok`

A seccomp filter alone, as container engines install it, leaves nobody blind: the calls that it
refuses are recorded as refused. Silence is to be trusted in `ok`, `deviating`, `learning` and
`rollout` alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from detector.library import Known, subject_of
from detector.moments import moment
from detector.thinness import EVERYTHING, thinness
from detector.visibility import Visibility
from ethogram.contracts.baseline import Baseline, Dimension, Subject
from ethogram.contracts.baseline_places import BaselineFile
from ethogram.contracts.escape import escape
from ethogram.contracts.finding import WorkloadState
from ethogram.contracts.keys import workload_key_of
from ethogram.contracts.quality import states_of
from ethogram.contracts.reach import dimensions_in_words

__all__ = [
    "DEVIATING_S",
    "HEALED_AFTER",
    "NAME_TO_COME",
    "NO_BASELINE",
    "QUIET_AGAIN",
    "RECORDED",
    "Judged",
    "StateChange",
    "States",
    "judge",
    "newness",
]

HEALED_AFTER = 5
DEVIATING_S = 600
# Reasons of `unknown`.
NO_BASELINE = "no baseline is for it"
QUIET_AGAIN = "no medium or graver finding in the last 10 minutes"
RECORDED = f"{NO_BASELINE}; it is recorded, so that one can be learnt"
NAME_TO_COME = "its name is still to come"


@dataclass(frozen=True, slots=True)
class Judged:
    """A state, and why in one sentence; in `learning`, which dimensions are *unsettled*."""

    state: WorkloadState
    reason: str
    unsettled: frozenset[Dimension] = EVERYTHING


@dataclass(frozen=True, slots=True)
class StateChange:
    """A workload is in another state than *before*, which is None the first time; *time* ISO."""

    workload_key: str
    subject: Subject
    before: WorkloadState | None
    after: WorkloadState
    reason: str
    baseline: BaselineFile | None
    time: str


# --- one window -----------------------------------------------------------------------------------


def judge(
    workload: Mapping[str, Any],
    known: Known | None,
    seen: Visibility,
    *,
    rivals: Sequence[Known] = (),
    refused: Sequence[str] = (),
    sees_denied: bool = True,
    unseen: Sequence[Dimension] = (),
    is_recorded: bool = False,
) -> Judged:
    """Return the state of a row of table `workloads` in a window that was seen as *seen* says.

    *known* is its baseline; *rivals* are those of which none applies. *refused* names the programs
    that the kernel refused. *sees_denied*: calls that a filter refuses are recorded.
    *unseen*: dimensions that are not looked at. *is_recorded*: the watch writes a recording.
    """
    if known is None:
        return Judged("unknown", _why_unknown(workload, rivals, is_recorded=is_recorded))
    for state, reason in (
        ("blind", _why_blind(seen, refused, sees_denied=sees_denied)),
        ("degraded", _why_degraded(seen)),
    ):
        if reason:
            return Judged(state, reason)  # type: ignore[arg-type]  # the words stand above
    if new := newness(workload, known.baseline, seen):
        return new
    # Said last: it never changes, and what else there is to say comes and goes.
    if unseen:
        return Judged("degraded", f"not looked at: {dimensions_in_words(unseen)}")
    return Judged("ok", "everything was seen")


def _why_unknown(workload: Mapping[str, Any], rivals: Sequence[Known], *, is_recorded: bool) -> str:
    if rivals:
        files = " and ".join(f"`{one.file}`" for one in rivals)
        return f"{files} apply equally: `match.namespace` of each can say where"
    if workload.get("state") == "pending":
        return NAME_TO_COME
    return RECORDED if is_recorded else NO_BASELINE


def _why_blind(seen: Visibility, refused: Sequence[str], *, sees_denied: bool) -> str | None:
    if refused:
        others = f" and {len(refused) - 1} more" if len(refused) > 1 else ""
        return f"the kernel refused the program `{refused[0]}`{others}, so that part is not seen"
    if seen.is_blind:
        return "the kernel refused a program, so that part of it is not seen"
    if seen.has_filter and not sees_denied:
        return "a seccomp filter refuses calls, and this loader or tier does not see which"
    return None


def _why_degraded(seen: Visibility) -> str | None:
    why = f" ({seen.why})" if seen.why else ""
    if seen.lost:
        return f"{_events(seen.lost)} of it lost in a window{why}"
    if seen.unowned:
        return f"{_events(seen.unowned)} lost in a window, nobody knows whose{why}"
    return None


def _events(number: int) -> str:
    return "1 event" if number == 1 else f"{number:,} events"


def _why_rollout(workload: Mapping[str, Any], baseline: Baseline) -> str | None:
    digest, learnt = workload.get("image_digest"), baseline.observation.image_digests
    if not digest or not learnt or escape(digest) in learnt:
        return None
    return f"the baseline was not learnt from its image `{escape(digest)}`"


def newness(
    workload: Mapping[str, Any], baseline: Baseline, seen: Visibility | None = None
) -> Judged | None:
    """Return why the image or the baseline of *workload* is new; None where neither is."""
    if reason := _why_rollout(workload, baseline):
        return Judged("rollout", reason)
    if seen and (reason := _why_bolder(seen, baseline)):
        return Judged("learning", reason)
    thin = thinness(baseline)
    return Judged("learning", thin.reason, thin.dimensions) if thin else None


def _why_bolder(seen: Visibility, baseline: Baseline) -> str | None:
    if "enforced" in states_of(baseline.observation) and seen.has_none:
        return "it was learnt under a seccomp filter and now runs without one"
    return None


# --- over time ------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Current:
    judged: Judged
    windows_since_loss: int
    deviated_ns: int | None = None
    lost: str = ""


class States:
    """Keeps the state of every workload. The keywords are those of `judge`.

    A loss is over after `HEALED_AFTER` windows without one, so that states do not flicker.
    """

    def __init__(
        self,
        *,
        refused: Sequence[str] = (),
        sees_denied: bool = True,
        unseen: Sequence[Dimension] = (),
        is_recorded: bool = False,
    ) -> None:
        self._is_recorded = is_recorded
        self._refused = tuple(refused)
        self._unseen = tuple(unseen)
        self._sees_denied = sees_denied
        self._current: dict[str, _Current] = {}
        # Of whom something was told before the first window had ended.
        self._early: dict[str, int] = {}
        # Why nothing can be relied on any more: something was done to the sensor.
        self.blinded: str | None = None

    def update(
        self,
        workload: Mapping[str, Any],
        known: Known | None,
        seen: Visibility,
        *,
        now_ns: int,
        rivals: Sequence[Known] = (),
    ) -> StateChange | None:
        """Take the window that ended at *now_ns*; return what changed, None where nothing did."""
        key = workload_key_of(workload)
        before = self._current.get(key)
        judged = judge(
            workload, known, seen,
            rivals=rivals, refused=self._refused, sees_denied=self._sees_denied,
            unseen=self._unseen, is_recorded=self._is_recorded,
        )  # fmt: skip
        if self.blinded and judged.state != "unknown":
            judged = Judged("blind", self.blinded)
        since = before.windows_since_loss + 1 if before else HEALED_AFTER
        lost = before.lost if before else ""
        if seen.lost or seen.unowned:
            since, lost = 0, seen.why
        if 0 < since < HEALED_AFTER and judged.state not in {"unknown", "blind"}:
            why = f" ({lost})" if lost else ""
            judged = Judged("degraded", f"events were lost {_windows(since)} ago{why}")
        deviated_ns = before.deviated_ns if before else self._early.pop(key, None)
        if judged.state == "ok" and _is_lately(deviated_ns, now_ns):
            judged = Judged("deviating", "a medium or graver finding in the last 10 minutes")
        self._current[key] = _Current(judged, since, deviated_ns, lost)
        if before is not None and before.judged.state == judged.state:
            return None
        was = before.judged.state if before else None
        return _change(workload, known, was, judged, now_ns)

    def pass_time(
        self, workload: Mapping[str, Any], known: Known | None, *, key: str, now_ns: int
    ) -> StateChange | None:
        """Return what changed of a workload, *key*, of which there is nothing new at *now_ns*."""
        current = self._current.get(key)
        if current is None or current.judged.state != "deviating":
            return None
        if _is_lately(current.deviated_ns, now_ns):
            return None
        current.judged = Judged("ok", QUIET_AGAIN)
        return _change(workload, known, "deviating", current.judged, now_ns)

    def deviated(self, workload_key: str, now_ns: int) -> None:
        """Note that something of severity medium or more was told of a workload."""
        if current := self._current.get(workload_key):
            current.deviated_ns = now_ns
        else:
            self._early[workload_key] = now_ns

    def expected(self, workload: Mapping[str, Any], known: Known) -> Judged:
        """Return the state that a workload will have if its first window, still open, is whole."""
        if self.blinded:
            return Judged("blind", self.blinded)
        return judge(
            workload, known, Visibility(),
            refused=self._refused, sees_denied=self._sees_denied, unseen=self._unseen,
        )  # fmt: skip

    def of(self, workload_key: str) -> Judged | None:
        """Return the state that a workload is in, None before its first window."""
        current = self._current.get(workload_key)
        return current.judged if current else None

    def forget(self, workload_key: str) -> None:
        """Let go of a workload of which nothing runs any more."""
        self._current.pop(workload_key, None)
        self._early.pop(workload_key, None)


def _is_lately(deviated_ns: int | None, now_ns: int) -> bool:
    return bool(deviated_ns) and now_ns - (deviated_ns or 0) < DEVIATING_S * 10**9


def _change(
    workload: Mapping[str, Any],
    known: Known | None,
    before: WorkloadState | None,
    judged: Judged,
    now_ns: int,
) -> StateChange:
    return StateChange(
        workload_key=workload_key_of(workload),
        subject=subject_of(workload),
        before=before,
        after=judged.state,
        reason=judged.reason,
        baseline=known.file if known else None,
        time=moment(now_ns),
    )


def _windows(number: int) -> str:
    return "1 window" if number == 1 else f"{number} windows"
