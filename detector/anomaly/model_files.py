"""Opens the model beside a baseline, for a process that opens nothing itself."""

from __future__ import annotations

import os

from ethogram.contracts.baseline_places import BaselineFile
from ethogram.contracts.plain_file import open_plain
from ethogram.contracts.remote import RecordingUrl, Remote
from ethogram.errors import BaselineError, EthogramError

__all__ = ["open_model"]

_MOST_BYTES = 64 << 20


def open_model(baseline: BaselineFile, name: str) -> int:
    """Return a descriptor of the file *name* beside *baseline*; `BaselineError` if it cannot be.

    What is in it is for the scorer to judge, by the digest that the baseline has.
    """
    if isinstance(baseline, RecordingUrl):
        return _fetched(RecordingUrl(baseline.given.rpartition("/")[0]), name)
    path = baseline.parent / name
    try:
        with open_plain(path) as file:
            return os.dup(file.fileno())
    except FileNotFoundError as error:
        raise BaselineError(f"`{path}` is missing: the baseline names it as its model") from error
    except OSError as error:
        raise BaselineError(f"`{path}` cannot be read: {error.strerror}") from error


def _fetched(place: RecordingUrl, name: str) -> int:
    """Return a file in memory with what the store has."""
    try:
        content = Remote(place).read(name, _MOST_BYTES + 1)
    except FileNotFoundError as error:
        raise BaselineError(f"`{place}/{name}` is missing: a baseline names it") from error
    except EthogramError as error:
        raise BaselineError(error.message, hint=error.hint) from error
    descriptor = os.memfd_create("model")
    with open(os.dup(descriptor), "wb") as file:  # noqa: PTH123  a descriptor
        file.write(content)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor
