"""Why a window is strange: which calls and sequences make it so, and how far outside they are.

Importing this module costs no scikit-learn; a model that was loaded has it loaded already.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from ethogram.contracts.syscall_names import name_of
from ethogram.contracts.tables import ENUMS
from learner.anomaly import AnomalyModel

if TYPE_CHECKING:
    from learner.ensemble import Combine, Windows
    from learner.windows import SteadyWindows

__all__ = ["Explanation", "Reason", "explain", "sequence", "sequence_of"]

_NONE_YET, _OTHER = 65535, 65534
_ARCHES = ENUMS["arch"]
_TOLD = 5


@dataclass(frozen=True, slots=True)
class Reason:
    """A call or a sequence of calls, and its *share* in how strange the window is.

    A call was made *count* times, for the first time where *is_new*; 98 of 100 windows make it
    between *low* and *high* times. Of a
    sequence the last *known* calls were seen in this order before; six: the whole sequence was.
    """

    kind: Literal["call", "sequence"]
    what: tuple[str, ...]
    share: float
    count: float
    low: float = 0.0
    high: float = 0.0
    known: int = 0
    is_new: bool = False

    def __str__(self) -> str:
        if self.kind == "call":
            usual = f"usually {self.low:.0f} to {self.high:.0f}" if self.high else "usually never"
            usual = "never before" if self.is_new else usual
            return f"{self.what[0]} {self.count:.0f} times, {usual}"
        words = " ".join(self.what)
        if self.known >= len(self.what):
            return f"{words}: seen before"
        if not self.known:
            return f"{words}: {self.what[-1]} was never made"
        return f"{words}: new, of which the last {self.known} were seen"


@dataclass(frozen=True, slots=True)
class Explanation:
    """How normal a window is, how strange each detector finds it, and why.

    *detectors* are minus the decimal logarithms of p-values, the strangest first. The shares of all
    features add up to minus the score, but for detectors whose own score is zero; *reasons* are the
    largest.
    """

    score: float
    detectors: tuple[tuple[str, float], ...]
    reasons: tuple[Reason, ...]


def explain(
    model: AnomalyModel, windows: SteadyWindows, row: int, *, most: int = _TOLD
) -> Explanation:
    """Return why window *row* of *windows* scores what it does, by its *most* largest reasons."""
    looked_at = model.looked_at(windows.take(np.array([row])))
    members = {name: float(s[0]) for name, s in model.ensemble.members(looked_at).items()}
    calls, grams = _shares(model, looked_at, members)
    new = _new_calls(model, windows, row, float(calls[-1]))
    reasons = [*_of_calls(model, looked_at, calls), *new, *_of_grams(model, looked_at, grams)]
    reasons.sort(key=lambda reason: (-reason.share, reason.what))
    return Explanation(
        score=float(model.ensemble.score(looked_at)[0]),
        detectors=tuple(sorted(members.items(), key=lambda pair: (-pair[1], pair[0]))),
        reasons=tuple(reason for reason in reasons[:most] if reason.share > 0),
    )


def _shares(
    model: AnomalyModel, window: Windows, members: dict[str, float]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return what each column of counts, and each of sequences, has in how strange *window* is.

    A detector counts as much as the ensemble lets it, and divides that as its own score.
    """
    fitted = model.ensemble.fitted
    columns = fitted.columns(window)
    found: dict[str, Any] = {}
    for name, detector in fitted.detectors.items():
        row = detector.contributions(columns[detector.looks_at])
        row = row.toarray()[0] if hasattr(row, "toarray") else row[0]
        weight = _weight(members, name, model.ensemble.combine)
        total = row.sum()
        part = row * (weight / total) if total > 0 else np.zeros(len(row))
        found[detector.looks_at] = found.get(detector.looks_at, 0.0) + part
    width = fitted.vocabulary.columns if fitted.vocabulary else 0
    calls = found.get("counts", np.zeros(len(model.calls) + 1))
    return calls, found.get("grams", np.zeros(width))


def _weight(members: dict[str, float], name: str, combine: Combine) -> float:
    """Return what detector *name* has of what *members* combine to."""
    mine, every = members[name], list(members.values())
    match combine:
        case "mean":
            return mine / len(every)
        case "max":
            return mine if name == max(members, key=lambda other: members[other]) else 0.0
        case "square":
            root = float(np.sqrt(np.mean(np.square(every))))
            return mine * mine / len(every) / root if root > 0 else 0.0


def _of_calls(
    model: AnomalyModel, window: Windows, shares: npt.NDArray[np.float64]
) -> list[Reason]:
    counts, low, high = window.counts[0], *model.usual
    return [
        Reason("call", (_name(int(call)),), float(shares[place]), float(counts[place]),
               float(low[place]), float(high[place]))
        for place, call in enumerate(model.calls)
    ]  # fmt: skip


def _new_calls(model: AnomalyModel, windows: SteadyWindows, row: int, share: float) -> list[Reason]:
    """Return the calls that nobody made before, each with its part of *share*, all of theirs."""
    counts = windows.counts[row]
    new = np.flatnonzero(~np.isin(windows.calls, model.calls) & (counts > 0))
    total = counts[new].sum()
    return [
        Reason("call", (_name(int(windows.calls[place])),), share * counts[place] / total,
               float(counts[place]), is_new=True)
        for place in new
    ]  # fmt: skip


def _of_grams(
    model: AnomalyModel, window: Windows, shares: npt.NDArray[np.float64]
) -> list[Reason]:
    vocabulary = model.ensemble.fitted.vocabulary
    if vocabulary is None or window.grams is None:
        return []
    columns = vocabulary.columns_of(window.grams)
    how_many = np.bincount(columns, minlength=len(shares))
    edges = np.cumsum([1, *map(len, vocabulary.parts)])
    known = np.searchsorted(edges, columns, side="right")
    return [
        Reason("sequence", sequence_of(calls), float(shares[column] / how_many[column]), 1.0,
               known=int(length))
        for calls, column, length in zip(
            window.grams.symbols.tolist(), columns, known, strict=True
        )
    ]  # fmt: skip


def _name(call: int) -> str:
    arch, number = _ARCHES[call >> 16], call & 0xFFFF
    special = {_NONE_YET: "-", _OTHER: "other"}
    return special.get(number) or name_of(arch, number) or str(number)


def sequence_of(calls: list[int]) -> tuple[str, ...]:
    """Return the names of *calls* as `SteadyWindows` holds them, oldest first."""
    return tuple(map(_name, calls))


def sequence(arch: str, gram: bytes) -> tuple[str, ...]:
    """Return the names of the calls in *gram*, as table `ngrams` holds it, oldest first.

    `-` stands for no call yet, `other` for a call whose number does not fit, and a number for a
    call that *arch* does not name.
    """
    number = _ARCHES.index(arch) << 16
    return sequence_of([number | call for call in np.frombuffer(gram, "<u2").tolist()])
