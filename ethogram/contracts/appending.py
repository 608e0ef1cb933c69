"""Adds entries to a file that people write: their text stays as it is, and it is replaced whole."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ethogram.contracts.durable import replace_file
from ethogram.contracts.strict_yaml import dump_yaml
from ethogram.errors import UsageError

__all__ = ["alone_with", "extended", "replace_text"]

# How far people indent the entries of a list.
_INDENTS = (2, 0, 4)
_LIMIT_BYTES = 1 << 20  # a reader takes no more


@contextmanager
def alone_with(path: Path, what: str) -> Iterator[None]:
    """Let nobody else append to file *path* meanwhile; *what* is what it is called."""
    try:
        with _alone_in(path.parent):
            yield
    except OSError as error:
        raise UsageError(
            f"{what} cannot be written: {(error.strerror or str(error)).lower()}",
            hint="check its directory and permissions",
        ) from error


def replace_text(path: Path, text: str, what: str, *, hint: str) -> None:
    """Write *text* as the whole of file *path*, with the permissions that it has.

    `UsageError` with *hint* where it would be more than a reader takes.
    """
    content = text.encode()
    if len(content) > _LIMIT_BYTES:
        raise UsageError(f"{what} would be larger than 1 MiB", hint=hint)
    replace_file(path, content, mode=path.stat().st_mode & 0o777 if path.exists() else 0o644)


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
def _alone_in(directory: Path) -> Iterator[None]:
    """Let nobody else append to a file in *directory* meanwhile."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
