"""What the scorer says: read as carefully as anything that another process wrote."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from annotated_types import Len
from pydantic import Base64Bytes, Field, TypeAdapter

from ethogram.contracts.baseline_values import Count, Frozen, Real

__all__ = ["REPLY", "Loaded", "Ready", "Refused", "Reply", "Scored", "Strange"]

_MAP_BYTES = 1 << 13
_Words = Annotated[str, Field(max_length=2000)]
_Map = Annotated[Base64Bytes, Len(_MAP_BYTES, _MAP_BYTES)]
_List = Annotated[tuple[_Words, ...], Field(max_length=32)]


class Ready(Frozen):
    """It has loaded what it needs, and takes models and pieces."""

    kind: Literal["ready"]


class Loaded(Frozen):
    """A model's windows are so many *seconds*; `insufficient`: it has no threshold.

    *known* is the map of the sequences that it knows, where new ones are told by their number.
    """

    kind: Literal["loaded", "insufficient"]
    model: Count
    seconds: Real
    known: _Map | None = None


class Refused(Frozen):
    """A model that cannot be used."""

    kind: Literal["refused"]
    model: Count
    reason: _Words


class Scored(Frozen):
    """A piece was taken: so many windows were scored, so many given up."""

    kind: Literal["scored"]
    windows: Count
    withheld: Count


class Strange(Frozen):
    """A flagged window: the first of an episode where it *is_new*.

    *about* stays the same for all of an episode. It is *beyond* what is just flagged by so many
    powers of ten.
    """

    kind: Literal["strange"]
    model: Count
    instance: Count
    first_ns: Count
    last_ns: Count
    seconds: Real
    is_new: bool
    about: _Words
    detectors: _List
    reasons: _List
    usual: _List
    p_value: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] | None
    beyond: Annotated[float, Field(allow_inf_nan=False)]


Reply: TypeAlias = Ready | Loaded | Refused | Scored | Strange
REPLY: TypeAdapter[Reply] = TypeAdapter(Annotated[Reply, Field(discriminator="kind")])
