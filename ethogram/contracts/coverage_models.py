"""What a baseline says of how settled it is."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ethogram.contracts.baseline_values import Count, Frozen, Real

__all__ = ["Blind", "Coverage", "Curve", "InAll", "Outlook", "Runs", "Share", "Weekday"]

Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Weekday = Literal["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]


class Outlook(Frozen):
    """What the next *seconds* of the workload, watched as it was, show that was not seen before.

    Anything with *probability*; *expected* new values, between *low* and *high* in 95 of 100
    cases.
    """

    seconds: Real
    probability: Share
    expected: Real
    low: Count
    high: Count


class InAll(Frozen):
    """How many values are still *unseen* in all: an estimate from below (Chao), with its bounds."""

    unseen: Real
    low: Real
    high: Real


class Runs(Frozen):
    """The same over *runs*: lives of an instance in a recording, startup included.

    *f1*, *f2* values were seen in exactly one, two of them. The next run shows anything new with
    *probability*, *expected* new values between *low* and *high*. Of what a run shows the share
    *covered* is known; *needed* more runs bring that to *target*.
    """

    runs: Count
    f1: Count
    f2: Count
    probability: Share
    expected: Real
    low: Count
    high: Count
    covered: Share
    target: Share
    needed: Count


class Curve(Frozen):
    """How many values were known after so many *seconds*: as it was *seen*, and as *expected*.

    Expected is what the same observation gives in any other order (rarefaction). Behind its end,
    where *seen* has ended, it is what the number of values is expected to come to.
    """

    seconds: tuple[Real, ...]
    seen: tuple[Count, ...]
    expected: tuple[Real, ...]


class Coverage(Frozen):
    """How settled one dimension is: *f1*, *f2* values were seen in exactly one, two windows.

    *unseen* is the number of new values expected in the next window of one instance, between
    *low* and *high* with 95 % confidence. It counts *lone* values, seen within *block_seconds*
    and never else, of which *burst* come at once. Of the windows to come at least the share
    *settled* shows nothing new. Absent is what an earlier version did not say, and what too little
    was seen for.
    """

    f1: Count
    f2: Count
    windows: Count
    unseen: Real
    low: Real
    high: Real
    lone: Count | None = None
    block_seconds: Real | None = None
    burst: Real | None = None
    settled: Share | None = None
    next: Outlook | None = None
    in_all: InAll | None = None
    runs: Runs | None = None
    curve: Curve | None = None


class Blind(Frozen):
    """What the observation cannot speak for, however settled it looks.

    It was watched for *watched_seconds* by the clock, however many instances at once. What comes at
    random once in *rarer_than_seconds*, or less often, was missed with more than 5 %: it may never
    have been seen. The same holds for what happens in less than *start_share* of all starts, of
    which *starts* were seen. *hours_of_day* (UTC) and *days_of_week* are those that were watched.
    """

    watched_seconds: Real
    rarer_than_seconds: Real
    starts: Count
    start_share: Share
    hours_of_day: tuple[Count, ...]
    days_of_week: tuple[Weekday, ...]
