"""Entries that a command adds to an overlay that people write: their text stays as it is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ethogram.contracts.appending import alone_with, extended, replace_text
from ethogram.contracts.overlay_file import OVERLAY_SCHEMA, Entry, load_overlay, parse_overlay
from ethogram.errors import UsageError

__all__ = ["append_entries"]


def append_entries(path: Path, entries: Sequence[Entry]) -> tuple[Entry, ...]:
    """Add to the overlay *path* those of *entries* that it lacks; return these.

    The file is replaced as a whole, and begun where there is none. An entry that is there with a
    later end is not added. `UsageError` where the file denies what an entry allows, is no overlay,
    or does not end with its entries.
    """
    path = path.resolve()  # a link stays one
    with alone_with(path, f"overlay `{path}`"):
        return _append(path, entries)


def _append(path: Path, entries: Sequence[Entry]) -> tuple[Entry, ...]:
    exists = path.exists()
    before = load_overlay(path).entries if exists else ()
    new = tuple(one for one in dict.fromkeys(entries) if not _has(before, one, path))
    if not new:
        return ()
    text = path.read_text("utf-8") if exists else ""
    whole = _with(text, before, new, path)
    replace_text(path, whole, f"overlay `{path}`", hint="name another with `--overlay`")
    return new


def _has(known: Sequence[Entry], entry: Entry, path: Path) -> bool:
    alike = [one for one in known if one.match == entry.match and one.target == entry.target]
    if any(one.deny for one in alike):
        raise UsageError(
            f"overlay `{path}` denies `{entry.target}` to the same workload",
            hint="remove that entry, if it is to be allowed",
        )
    return any(one.expires >= entry.expires for one in alike)


def _with(text: str, before: tuple[Entry, ...], new: tuple[Entry, ...], path: Path) -> str:
    """Return *text* with the entries *new* at its end."""
    rows = [one.model_dump(mode="json", exclude_none=True) for one in new]
    whole = extended(
        text or None, "entries", rows, schema=OVERLAY_SCHEMA,
        is_right=lambda made: parse_overlay(made, source=str(path)).entries == before + new,
    )  # fmt: skip
    if whole is None:
        raise UsageError(
            f"overlay `{path}` does not end with its entries, one below the other",
            hint="write `entries:` last, each entry on lines of its own, or name another file",
        )
    return whole
