"""A recording below a URL: `s3://bucket/rec`, `memory://rec`, whatever fsspec has a backend for.

fsspec and its backends are imported where a URL is used and nowhere else. Secrets come from the
environment or fsspec's own configuration; what a URL holds of them is never shown.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from io import BufferedIOBase
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ethogram.errors import EthogramError, RecordingError, UsageError

__all__ = ["RecordingUrl", "Remote", "RemoteFile", "location_of"]

_URL = re.compile(r"([a-z][a-z0-9+.-]*)://(.*)", re.DOTALL)
_MAX_URL = 1024
_BLOCK_BYTES = 4 << 20
# A store that hangs is as bad as one that refuses; what is tried again, `profiler.upload` decides.
_S3_OPTIONS = {
    "config_kwargs": {"connect_timeout": 10, "read_timeout": 30, "retries": {"max_attempts": 2}},
    "default_block_size": 8 << 20,
}
_EXTRAS = {"s3": "s3", "s3a": "s3"}


@dataclass(frozen=True, slots=True)
class RecordingUrl:
    """Where a recording lies; `str` gives it without what may be a secret."""

    given: str

    def __str__(self) -> str:
        parts = urlsplit(self.given)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}".rstrip("/")

    @property
    def scheme(self) -> str:
        return self.given.partition("://")[0]

    @property
    def name(self) -> str:
        """The last part, as of a path."""
        return str(self).rpartition("/")[2]


def location_of(text: str) -> Path | RecordingUrl:
    """Return what *text* names: a path, also where it is a `file://` URL, or a URL.

    `UsageError` where it is a URL that names no place.
    """
    match = _URL.fullmatch(text)
    if match is None:
        return Path(text)
    scheme, rest = match.groups()
    if len(text) > _MAX_URL or not text.isprintable() or "::" in text:
        raise UsageError(
            f"`{scheme}://...` is no URL of a recording: it is chained, or holds odd characters",
            hint="name one place, such as `s3://bucket/recording`",
        )
    if not rest.strip("/"):
        raise UsageError(
            f"`{text}` names no place", hint="name one, such as `s3://bucket/recording`"
        )
    if scheme == "file":
        if not rest.startswith("/"):
            raise UsageError(f"`{text}` is no absolute path", hint="write `file:///...`")
        return Path(rest)
    return RecordingUrl(text)


@dataclass(frozen=True)
class RemoteFile:
    """One file of a remote recording; `str` names it."""

    remote: Remote
    name: str

    def __str__(self) -> str:
        return f"{self.remote.url}/{self.name}"

    def open(self) -> BufferedIOBase:
        """Return it, open for reading; errors as the backend has them."""
        filesystem, root = self.remote.backend
        file: BufferedIOBase = filesystem.open(f"{root}/{self.name}", "rb", block_size=_BLOCK_BYTES)
        return file


@dataclass(frozen=True)
class Remote:
    """The files of a recording below *url*. Every failure is an `EthogramError`."""

    url: RecordingUrl

    @cached_property
    def backend(self) -> tuple[Any, str]:
        """fsspec's file system, and the path of the recording in it."""
        import fsspec.core  # noqa: PLC0415  only where a URL is used

        options: dict[str, Any] = {"use_listings_cache": False}
        if self.url.scheme in {"s3", "s3a"}:
            options |= _S3_OPTIONS
        try:
            filesystem, path = fsspec.core.url_to_fs(self.url.given, **options)
        except ImportError as error:
            raise _missing(self.url) from error
        except ValueError as error:
            raise _unknown(self.url) from error
        return filesystem, path.rstrip("/")

    def load(self) -> None:
        """Import the backend, and start nothing: a thread would keep this process's privileges."""
        import fsspec  # noqa: PLC0415

        try:
            fsspec.get_filesystem_class(self.url.scheme)
        except ImportError as error:
            raise _missing(self.url) from error
        except ValueError as error:
            raise _unknown(self.url) from error

    def read(self, name: str, limit: int) -> bytes:
        """Return at most *limit* bytes of file *name*; `FileNotFoundError` where it is missing."""
        try:
            with RemoteFile(self, name).open() as file:
                return file.read(limit)
        except (FileNotFoundError, EthogramError):
            raise
        except Exception as error:  # a backend raises what its own library raises
            raise self.failure(error) from error

    def sizes(self) -> dict[str, int]:
        """Return the length of every file by name; empty where nothing is there."""
        filesystem, root = self.backend
        try:
            found = filesystem.ls(root, detail=True)
        except FileNotFoundError:
            return {}
        except Exception as error:
            raise self.failure(error) from error
        return {
            one["name"].rpartition("/")[2]: one["size"] for one in found if one["type"] == "file"
        }

    def failure(self, error: BaseException) -> RecordingError:
        """Return what to say of *error*, which a backend raised."""
        words = _words(error)
        if isinstance(error, PermissionError) or "credential" in words.lower():
            return RecordingError(
                f"`{self.url}` refused access: {words}",
                hint="credentials come from the environment, as `AWS_ACCESS_KEY_ID` and "
                "`AWS_SECRET_ACCESS_KEY`, or from `~/.config/fsspec`",
            )
        if isinstance(error, FileNotFoundError):
            return RecordingError(f"there is no `{self.url}`", hint="check the bucket and the path")
        return RecordingError(
            f"`{self.url}` cannot be used: {words}",
            hint="check the network and, where it is not the default, `AWS_ENDPOINT_URL`",
        )


def _words(error: BaseException) -> str:
    """Return the first line of *error*, bounded: a server chose some of it."""
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:200]


def _missing(url: RecordingUrl) -> UsageError:
    if extra := _EXTRAS.get(url.scheme):
        hint = f"`pip install 'ethogram[{extra}]'` adds it"
    else:
        hint = f"install fsspec's backend for `{url.scheme}`"
    return UsageError(f"`{url}`: the library for `{url.scheme}` URLs is not installed", hint=hint)


def _unknown(url: RecordingUrl) -> UsageError:
    return UsageError(
        f"`{url}`: nothing here reads or writes `{url.scheme}` URLs",
        hint="name a directory, or a URL such as `s3://bucket/recording`",
    )
