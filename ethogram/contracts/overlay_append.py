"""Entries that a command adds to an overlay that people write: their text stays as it is."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ethogram.contracts.durable import replace_file
from ethogram.contracts.overlay_file import OVERLAY_SCHEMA, Entry, load_overlay, parse_overlay
from ethogram.contracts.strict_yaml import dump_yaml
from ethogram.errors import UsageError

__all__ = ["alone_in", "append_entries", "extended"]

# How far people indent the entries of a list.
_INDENTS = (2, 0, 4)
_LIMIT_BYTES = 1 << 20  # a reader takes no more


def append_entries(path: Path, entries: Sequence[Entry]) -> tuple[Entry, ...]:
    """Add to the overlay *path* those of *entries* that it lacks; return these.

    The file is replaced as a whole, and begun where there is none. An entry that is there with a
    later end is not added. `UsageError` where the file denies what an entry allows, is no overlay,
    or does not end with its entries.
    """
    path = path.resolve()  # a link stays one
    try:
        with alone_in(path.parent):
            return _append(path, entries)
    except OSError as error:
        raise UsageError(
            f"overlay `{path}` cannot be written: {(error.strerror or str(error)).lower()}",
            hint="check its directory and permissions",
        ) from error


def _append(path: Path, entries: Sequence[Entry]) -> tuple[Entry, ...]:
    exists = path.exists()
    before = load_overlay(path).entries if exists else ()
    new = tuple(one for one in dict.fromkeys(entries) if not _has(before, one, path))
    if not new:
        return ()
    text = path.read_text("utf-8") if exists else ""
    content = _with(text, before, new, path).encode()
    if len(content) > _LIMIT_BYTES:
        raise UsageError(
            f"overlay `{path}` would be larger than 1 MiB", hint="name another with `--overlay`"
        )
    replace_file(path, content, mode=path.stat().st_mode & 0o777 if exists else 0o644)
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


def extended(
    text: str | None,
    key: str,
    rows: Sequence[Mapping[str, Any]],
    *,
    schema: str,
    is_right: Callable[[str], bool],
) -> str | None:
    """Return *text* with *rows* at the end of its list *key*; None where that *is_right* of none.

    Without *text* a document is begun.
    """
    if text is None:
        return dump_yaml({"schema": schema, key: rows})
    block = dump_yaml({key: rows}).splitlines()[1:]
    head = text if text.endswith("\n") else f"{text}\n"
    for indent in _INDENTS:
        lines = [f"{' ' * indent}{line[2:]}" for line in block]
        whole = head + "\n".join(lines) + "\n"
        try:
            if is_right(whole):
                return whole
        except UsageError:
            continue
    return None


@contextmanager
def alone_in(directory: Path) -> Iterator[None]:
    """Let nobody else append to a file in *directory* meanwhile."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
