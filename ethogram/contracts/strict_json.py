"""Reads JSON as we write it: no key twice, and none of the constants that are not JSON."""

from __future__ import annotations

import json
from typing import Any

__all__ = ["load_json"]


def load_json(text: str) -> Any:
    """Return the document in *text*; `ValueError` says what is wrong with it.

    Raises `RecursionError` where it is nested too deeply.
    """
    return json.loads(text, object_pairs_hook=_object, parse_constant=_refused)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"the key `{name}` stands twice")
        found[name] = value
    return found


def _refused(name: str) -> Any:
    raise ValueError(f"`{name}` is no value of JSON")
