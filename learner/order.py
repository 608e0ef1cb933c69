"""The order of rules in a baseline: the same whatever order they were seen in."""

from __future__ import annotations

from typing import Any

from ethogram.contracts.baseline import DIMENSIONS, VALUE_MODELS, AnyValue, Dimension

__all__ = ["order_of"]

_FIELDS = {dimension: tuple(model.model_fields) for dimension, model in VALUE_MODELS.items()}


def order_of(dimension: Dimension, value: AnyValue) -> tuple[Any, ...]:
    """Return what sorts values: by dimension, then by each field, what is absent first."""
    fields = [getattr(value, name) for name in _FIELDS[dimension]]
    return (
        DIMENSIONS.index(dimension),
        *((part is not None, part if isinstance(part, int) else -1, str(part)) for part in fields),
    )
