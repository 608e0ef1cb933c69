"""Reads JSON as we write it: no key twice, and none of the constants that are not JSON."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

__all__ = ["load_json"]


def load_json(text: str) -> Any:
    """Return the document in *text*; `ValueError` says what is wrong with it.

    Raises `RecursionError` where it is nested too deeply.
    """
    return json.loads(text, object_pairs_hook=_object, parse_constant=_refused)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        counted = Counter(name for name, _ in pairs)
        raise ValueError(f"the key `{counted.most_common(1)[0][0]}` stands twice")
    return found


def _refused(name: str) -> Any:
    raise ValueError(f"`{name}` is no value of JSON")
