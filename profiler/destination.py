"""Looks at a URL before anything is attached: is it there, is it free, may it be written.

In a child process: backends start threads, which would keep what this process gives up later, and
a store that hangs is left behind with it.
"""

from __future__ import annotations

import json
import os
import select
import signal

from ethogram.contracts.journal_format import PARQUET_SUFFIX, part_of
from ethogram.contracts.manifest import MANIFEST_NAME, parse_manifest
from ethogram.contracts.remote import Remote
from ethogram.errors import EthogramError, PreflightError, UsageError

__all__ = ["check_destination", "look"]

_PATIENCE_S = 60.0
_PROBE = "manifest.json.tmp"


def check_destination(remote: Remote, *, force: bool) -> tuple[str, ...]:
    """Return the names of the files that a recording at *remote* is to replace.

    `UsageError` where it is taken, an `EthogramError` that says why where it cannot be written.
    """
    remote.load()
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        _answer(writer, remote, force=force)
    os.close(writer)
    try:
        data = _read(reader)
    finally:
        os.close(reader)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    if not data:
        raise PreflightError(
            f"`{remote.url}` does not answer",
            hint="check the URL, the network and, for S3, `AWS_ENDPOINT_URL`",
        )
    answer = json.loads(data)
    if "names" in answer:
        return tuple(answer["names"])
    kind = UsageError if answer["is_usage"] else PreflightError
    raise kind(answer["message"], hint=answer["hint"])


def _answer(writer: int, remote: Remote, *, force: bool) -> None:
    """Write what `look` found to *writer*, and end this process."""
    try:
        answer: dict[str, object] = {"names": look(remote, force=force)}
    except EthogramError as error:
        answer = {
            "is_usage": isinstance(error, UsageError),
            "message": error.message,
            "hint": error.hint,
        }
    except BaseException as error:  # nothing may go on in this process
        failure = remote.failure(error)
        answer = {"is_usage": False, "message": failure.message, "hint": failure.hint}
    with os.fdopen(writer, "w") as file:
        json.dump(answer, file)
    os._exit(0)


def _read(reader: int) -> bytes:
    data = b""
    while select.select([reader], [], [], _PATIENCE_S)[0]:
        chunk = os.read(reader, 1 << 16)
        if not chunk:
            return data
        data += chunk
    return b""


def look(remote: Remote, *, force: bool, recording_id: str | None = None) -> list[str]:
    """Do what `check_destination` does, in this process; files of *recording_id* may be there."""
    names = sorted(remote.sizes())
    if MANIFEST_NAME in names:
        there = parse_manifest(remote.read(MANIFEST_NAME, 16 << 20), remote.url)
        if there.recording_id == recording_id:
            names = []
        elif not force:
            raise UsageError(
                f"`{remote.url}` holds a recording",
                hint="pass `--force` to replace it, or name another",
            )
    elif any(not _is_ours(name) for name in names):
        raise UsageError(
            f"`{remote.url}` is not empty and is no recording", hint="name a new place"
        )
    filesystem, root = remote.backend
    try:
        filesystem.pipe_file(f"{root}/{_PROBE}", b"{}")
        filesystem.rm_file(f"{root}/{_PROBE}")
    except Exception as error:  # a backend raises what its own library raises
        raise remote.failure(error) from error
    return [name for name in names if _is_ours(name) and name != MANIFEST_NAME]


def _is_ours(name: str) -> bool:
    part = part_of(name)
    return name in {MANIFEST_NAME, _PROBE} or (part is not None and part[2] == PARQUET_SUFFIX)
