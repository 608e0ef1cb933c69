"""A suppression that a command adds to a file that people write: their text stays as it is."""

from __future__ import annotations

from pathlib import Path

from ethogram.contracts.appending import alone_with, extended, replace_text
from ethogram.contracts.suppression_file import (
    SUPPRESSIONS_SCHEMA,
    Suppression,
    load_suppressions,
    parse_suppressions,
)
from ethogram.errors import UsageError

__all__ = ["append_suppression"]


def append_suppression(path: Path, new: Suppression) -> bool:
    """Add *new* to file *path*; return whether it was not there, with as late an end.

    The file is replaced as a whole, and begun where there is none.
    """
    path = path.resolve()  # a link stays one
    with alone_with(path, f"`{path}`"):
        return _append(path, new)


def _append(path: Path, new: Suppression) -> bool:
    exists = path.exists()
    before = load_suppressions(path) if exists else ()
    if any(_says_the_same(one, new) and one.expires >= new.expires for one in before):
        return False
    text = path.read_text("utf-8") if exists else ""
    row = new.model_dump(mode="json", exclude_none=True)
    whole = extended(
        text or None, "suppressions", [row], schema=SUPPRESSIONS_SCHEMA,
        is_right=lambda made: parse_suppressions(made, source=str(path)) == (*before, new),
    )  # fmt: skip
    if whole is None:
        raise UsageError(
            f"`{path}` does not end with its suppressions, one below the other",
            hint="write `suppressions:` last, each on lines of its own, or name another file",
        )
    replace_text(path, whole, f"`{path}`", hint="name another file")
    return True


def _says_the_same(one: Suppression, other: Suppression) -> bool:
    said = {"owner", "reason", "expires"}
    return one.model_dump(exclude=said) == other.model_dump(exclude=said)
