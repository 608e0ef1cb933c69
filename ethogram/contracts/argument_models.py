"""What a baseline says of the arguments of calls."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from ethogram.contracts.baseline_values import Arch, Count, Frozen, Phase, Text

__all__ = ["ArgumentValue", "CallArguments"]

_U64 = (1 << 64) - 1


class ArgumentValue(Frozen):
    """One value of an argument, how often it was given, and in which phases of a life."""

    value: Annotated[int, Field(strict=True, ge=0, le=_U64)]
    calls: Count
    phases: tuple[Phase, ...]


class CallArguments(Frozen):
    """The values that argument *index* of a call was given, in their order.

    Those bits of it that `ethogram.contracts.call_arguments` names. *others*: it was given more
    values than are told here, so that nobody can say which. It is no rule: nothing is judged by it.
    """

    arch: Arch
    name: Text
    index: Annotated[int, Field(strict=True, ge=0, le=5)]
    others: bool = False
    values: tuple[ArgumentValue, ...] = ()

    @model_validator(mode="after")
    def _values_are_in_order(self) -> Self:
        values = [value.value for value in self.values]
        if values != sorted(set(values)):
            raise ValueError("values stand in their order, each once")
        return self
