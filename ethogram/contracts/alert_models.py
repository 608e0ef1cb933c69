"""What a baseline says of the anomaly model beside it."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from ethogram.contracts.baseline_values import Count, Digest, Frozen, Real, Text
from ethogram.contracts.file_names import MODEL_NAME

__all__ = ["AlertBudget", "ModelReference", "RealisedRate"]


class RealisedRate(Frozen):
    """What thresholds of earlier time did on later time, which nothing was fitted to or chosen on.

    *episodes* in *seconds*; *promised*, *rate* and its 95 % interval from *low* to *high* are
    episodes in the time of the budget.
    """

    episodes: Count
    seconds: Real
    promised: Real
    rate: Real
    low: Real
    high: Real


class AlertBudget(Frozen):
    """How often the model may be wrong, and where its threshold is for that.

    *budget* is what was asked for, episodes in a time. `ready`: windows that score below
    *threshold* are flagged; held-out *seconds* had *episodes* of them, and *expected* are to come
    in the time of the budget. `insufficient`: no threshold keeps the budget before *needs_seconds*
    more were watched. *realised* is absent where the time is too short to part it into earlier and
    later; *realised_needs_seconds* more are needed for that. *most_new*: so many sequences of calls
    had one held-out window at most that no other stretch of time had.
    """

    budget: Text
    state: Literal["ready", "insufficient"]
    threshold: Annotated[float, Field(allow_inf_nan=False)] | None = None
    expected: Real | None = None
    episodes: Count | None = None
    seconds: Real
    needs_seconds: Real | None = None
    realised: RealisedRate | None = None
    realised_needs_seconds: Real | None = None
    most_new: Count | None = None

    @model_validator(mode="after")
    def _a_threshold_is_ready(self) -> Self:
        if (self.threshold is None) == (self.state == "ready"):
            raise ValueError("`ready` has a `threshold`, and nothing else has")
        return self


class ModelReference(Frozen):
    """The anomaly model beside the baseline.

    *detectors* are what it is made of, *windows* how many steady ones of the workload there were,
    *used* how many of them it was made with, where these were too many.
    """

    file: Annotated[str, Field(pattern=f"^{MODEL_NAME.pattern}$")]
    sha256: Digest
    sklearn: Text
    detectors: tuple[Text, ...] = ()
    windows: Count | None = None
    used: Count | None = None
    alerts: AlertBudget | None = None
