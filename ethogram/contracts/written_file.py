"""Files that people write by hand, maps and overlays: read whole, bounded, and as text."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ethogram.errors import UsageError

__all__ = ["read_written"]

_LIMIT_BYTES = 1 << 20


def read_written(
    path: Path, what: str, *, begin: str, refusal: Callable[[str, str, str], UsageError]
) -> str:
    """Return the text of *path*, which should be a *what* such as `map`.

    *begin* says how to begin one; *refusal* makes the error of a file that is none, of its name,
    the cause and the text so far. Every failure is a `UsageError`.
    """
    try:
        if path.is_dir():
            raise UsageError(f"{what} `{path}` is a directory", hint=f"name the {what}'s own file")
        with path.open("rb") as file:
            content = file.read(_LIMIT_BYTES + 1)
    except FileNotFoundError as error:
        raise UsageError(f"there is no {what} `{path}`", hint=begin) from error
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UsageError(f"{what} `{path}` cannot be read: {reason}") from error
    if len(content) > _LIMIT_BYTES:
        raise refusal(str(path), "it is larger than 1 MiB", content.decode("utf-8", "replace"))
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise refusal(str(path), "it is not UTF-8 text", "") from error
