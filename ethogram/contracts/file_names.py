"""Names of files: what ends them, and names that a workload or its owner chose as parts of them."""

from __future__ import annotations

import hashlib
import re

__all__ = ["MANIFEST_NAME", "MODEL_NAME", "SUMMARY_SUFFIX", "safe_part"]

MANIFEST_NAME = "manifest.json"
# What a baseline may call the model beside it: never a path.
MODEL_NAME = re.compile(r"[A-Za-z0-9_%+-][A-Za-z0-9._%+-]*\.skops")
SUMMARY_SUFFIX = ".summary.parquet"

_UNSAFE = re.compile(r"[^A-Za-z0-9_.-]")
_LENGTH = 64


def safe_part(part: str | None) -> str:
    """Return *part* as a piece of a file name: `_` for None, never `.`, `..`, hidden or a path.

    A part that a name may not hold as it is gets its characters replaced by `_` and a digest of
    the original appended, so that two parts share a result only when they are equal.
    """
    if part is None:
        return "_"
    safe = _UNSAFE.sub("_", part)[:_LENGTH].lstrip(".-")
    if safe == part and safe not in ("", "_"):
        return safe
    return f"{safe or '_'}-{hashlib.sha256(part.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"
