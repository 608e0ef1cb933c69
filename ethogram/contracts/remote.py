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

from ethogram.contracts.file_names import MANIFEST_NAME, SUMMARY_SUFFIX
from ethogram.errors import EthogramError, RecordingError, UsageError

__all__ = ["RecordingUrl", "Remote", "RemoteFile", "location_of"]

_URL = re.compile(r"([a-z][a-z0-9_+.:-]*)://(.*)", re.DOTALL | re.IGNORECASE)
_MAX_URL = 1024
_LEAST_SECRET = 4  # one that is shorter stands everywhere in a text
_BLOCK_BYTES = 4 << 20
# A store that hangs is as bad as one that refuses; what is tried again, `profiler.upload` decides.
_S3_OPTIONS = {
    "config_kwargs": {"connect_timeout": 10, "read_timeout": 10, "retries": {"max_attempts": 0}},
    "default_block_size": 8 << 20,
}
_S3_ATTEMPTS = 3  # by s3fs, which tries again whatever may pass
_CREDENTIALS = (
    "credentials come from the environment, as `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`, "
    "or from `~/.config/fsspec`"
)
_EXTRAS = {"s3": "s3", "s3a": "s3"}
# What stores call that which changes with a file.
_CHANGES = ("ETag", "etag", "LastModified", "last_modified", "mtime", "created", "updated")
_LOCAL = frozenset({"file", "local"})


@dataclass(frozen=True, slots=True)
class RecordingUrl:
    """Where a recording lies; `str` gives it without what may be a secret."""

    given: str

    def __str__(self) -> str:
        _, host, path, _ = self._parts()
        return f"{self.scheme}://{host}{path}".rstrip("/")

    @property
    def scheme(self) -> str:
        return self.given.partition("://")[0]

    @property
    def name(self) -> str:
        """The last part, as of a path."""
        return str(self).rpartition("/")[2]

    def without_secrets(self, text: str) -> str:
        """Return *text* without what this URL has of user, password, query and fragment."""
        user, _, _, query = self._parts()
        password = user.partition(":")[2]
        for secret in (user, password if len(password) >= _LEAST_SECRET else "", query):
            text = text.replace(secret, "...") if secret else text
        return text

    def _parts(self) -> tuple[str, str, str, str]:
        """Return user and password, host with its port, path, and what follows a `?` or `#`."""
        rest, *query = re.split("[?#]", self.given.partition("://")[2], maxsplit=1)
        authority, slash, path = rest.partition("/")
        user, _, host = authority.rpartition("@")
        return user, host, slash + path, "".join(query)

    def problem(self) -> str | None:
        """Return why this names no place, or names one that would be shown with its secrets."""
        user, host, path, query = self._parts()
        if not (host + path).strip("/"):
            return "it names no place"
        if host.startswith(("arn:", "[")):
            return None
        if self.scheme in _EXTRAS and (user or query or ":" in host):
            return "for S3 it is a bucket and a path, and keys come from the environment"
        # A password with a slash in it would be taken for a path.
        return None if re.fullmatch(r"[^:]*(:[0-9]*)?", host) else "its port is no number"


def location_of(text: str) -> Path | RecordingUrl:
    """Return what *text* names: a path, also where it is a `file://` URL, or a URL.

    `UsageError` where it is a URL that names no place.
    """
    match = _URL.fullmatch(text)
    if match is None:
        return Path(text)
    scheme, rest = match[1].lower(), match[2]
    url = RecordingUrl(f"{scheme}://{rest}")
    if len(text) > _MAX_URL or not text.isprintable() or "::" in text:
        problem: str | None = "it is chained, or holds odd characters"
    elif scheme in _LOCAL and rest.startswith("/"):
        return Path(rest)
    else:
        problem = "it is no absolute path" if scheme in _LOCAL else url.problem()
    if problem is None:
        return url
    # It is not shown: what is not understood may be a secret.
    raise UsageError(
        f"`{scheme.partition(':')[0]}://...` is no URL of a recording: {problem}",
        hint="write `file:///...`"
        if scheme in _LOCAL
        else "name one place, such as `s3://bucket/recording`",
    )


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
        if self.url.scheme in _EXTRAS:
            options |= _S3_OPTIONS
        try:
            filesystem, path = fsspec.core.url_to_fs(self.url.given, **options)
        except ImportError as error:
            raise _missing(self.url) from error
        except ValueError as error:
            raise _unknown(self.url) from error
        except Exception as error:  # a backend may connect here, and raises what it likes
            raise self.failure(error) from error
        if self.url.scheme in _EXTRAS:
            filesystem.retries = _S3_ATTEMPTS
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

    def sizes(self) -> dict[str, int | None]:
        """Return the length of every file by name, None where the store does not tell.

        Empty where nothing is there.
        """
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

    def stamps(self) -> dict[str, tuple[object, ...]]:
        """Return length, tag and time of every file by name, as far as the store tells them.

        Empty where nothing is there.
        """
        filesystem, root = self.backend
        try:
            found = filesystem.ls(root, detail=True)
        except FileNotFoundError:
            return {}
        except Exception as error:
            raise self.failure(error) from error
        return {
            one["name"].rpartition("/")[2]: (one.get("size"), *(str(one.get(k)) for k in _CHANGES))
            for one in found
            if one["type"] == "file"
        }

    def exists(self, name: str) -> bool:
        """Return whether there is a file *name* right below."""
        filesystem, root = self.backend
        try:
            return bool(filesystem.isfile(f"{root}/{name}"))
        except Exception as error:
            raise self.failure(error) from error

    def matching(self) -> list[RecordingUrl]:
        """Return the places that this URL, a pattern, stands for, sorted."""
        filesystem, root = self.backend
        try:
            return self._urls(sorted(str(name) for name in filesystem.glob(root)))
        except Exception as error:
            raise self.failure(error) from error

    def recordings_below(self) -> list[RecordingUrl]:
        """Return the recordings and summaries right below, sorted."""
        filesystem, root = self.backend
        try:
            manifests = [str(name) for name in filesystem.glob(f"{root}/*/{MANIFEST_NAME}")]
            summaries = [str(name) for name in filesystem.glob(f"{root}/*{SUMMARY_SUFFIX}")]
        except Exception as error:
            raise self.failure(error) from error
        found = [name.removesuffix(f"/{MANIFEST_NAME}") for name in manifests]
        return self._urls(sorted(found + summaries))

    def _urls(self, names: list[str]) -> list[RecordingUrl]:
        """Return the URLs of what the backend calls *names*: this one's beginning, their end."""
        _, root = self.backend
        parts = self.url.given.rstrip("/").split("/")
        depth = root.strip("/").count("/")
        beginning = "/".join(parts[: len(parts) - depth])
        rests = [name.strip("/").split("/", 1)[1:] for name in names]
        return [RecordingUrl("/".join([beginning, *rest])) for rest in rests]

    def failure(self, error: BaseException) -> RecordingError:
        """Return what to say of *error*, which a backend raised."""
        words = self.url.without_secrets(_words(error))
        if isinstance(error, PermissionError) or "credential" in words.lower():
            return RecordingError(
                f"`{self.url}` refused access: {words}",
                hint=_CREDENTIALS,
            )
        if isinstance(error, FileNotFoundError):
            return RecordingError(f"there is no `{self.url}`", hint="check the bucket and the path")
        if isinstance(error, NotImplementedError):
            return RecordingError(
                f"`{self.url}`: `{self.url.scheme}` URLs cannot be written",
                hint="name a directory, or a URL such as `s3://bucket/recording`",
            )
        hint = "check the URL and the network"
        if self.url.scheme in _EXTRAS:
            hint += ", and `AWS_ENDPOINT_URL` where it is not the default"
        return RecordingError(f"`{self.url}` cannot be used: {words}", hint=hint)


def _words(error: BaseException) -> str:
    """Return *error* in one line, bounded: a server chose some of it."""
    return " ".join(str(error).split())[:200] or type(error).__name__


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
