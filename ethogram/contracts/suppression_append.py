"""A suppression that a command adds to a file that people write: their text stays as it is."""

from __future__ import annotations

from pathlib import Path

from ethogram.contracts.durable import replace_file
from ethogram.contracts.overlay_append import alone_in, extended
from ethogram.contracts.suppression_file import (
    SUPPRESSIONS_SCHEMA,
    Suppression,
    load_suppressions,
    parse_suppressions,
)
from ethogram.errors import UsageError

__all__ = ["append_suppression"]

_LIMIT_BYTES = 1 << 20  # a reader takes no more


def append_suppression(path: Path, new: Suppression) -> bool:
    """Add *new* to file *path*; return whether it was not there, with as late an end.

    The file is replaced as a whole, and begun where there is none.
    """
    path = path.resolve()  # a link stays one
    try:
        with alone_in(path.parent):
            return _append(path, new)
    except OSError as error:
        raise UsageError(
            f"`{path}` cannot be written: {(error.strerror or str(error)).lower()}",
            hint="check its directory and permissions",
        ) from error


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
    content = whole.encode()
    if len(content) > _LIMIT_BYTES:
        raise UsageError(f"`{path}` would be larger than 1 MiB", hint="name another file")
    replace_file(path, content, mode=path.stat().st_mode & 0o777 if exists else 0o644)
    return True


def _says_the_same(one: Suppression, other: Suppression) -> bool:
    said = {"owner", "reason", "expires"}
    return one.model_dump(exclude=said) == other.model_dump(exclude=said)
