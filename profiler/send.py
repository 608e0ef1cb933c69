"""Uploads a recording that is on this disk: what a spool still has, or a whole one."""

from __future__ import annotations

import contextlib
import os
import shlex
from dataclasses import dataclass
from pathlib import Path

from ethogram.contracts.manifest import read_manifest
from ethogram.contracts.recording import Recording
from ethogram.contracts.remote import RecordingUrl, Remote, location_of
from ethogram.errors import UsageError
from profiler.compaction import compact
from profiler.destination import look
from profiler.directory import delete_recording
from profiler.lock import lock_directory
from profiler.spool import not_sent
from profiler.upload import Delivery, Uploader

__all__ = ["SendResult", "send"]


@dataclass(frozen=True, slots=True)
class SendResult:
    """What was uploaded, and whether *directory* is still there: a spool is not."""

    url: RecordingUrl
    files: int
    size_bytes: int
    is_kept: bool


def send(
    directory: Path, url: RecordingUrl | None, *, force: bool = False, patience_s: float = 30.0
) -> SendResult:
    """Upload the recording *directory* to *url*, or to where a spool was going; compact it first.

    A spool is deleted once all has arrived. `CaptureError` while its recorder still runs, or where
    the store does not take all: it can be repeated then.
    """
    words = shlex.quote(str(directory))
    manifest = read_manifest(directory)
    sent = manifest.sent
    if url is None:
        place = location_of(sent.url) if sent else None
        if not isinstance(place, RecordingUrl):
            raise UsageError(
                f"`{directory}` does not say where it goes to",
                hint=f"name it: `ethogram send {words} s3://bucket/recording`",
            )
        url = place
    manifest = compact(directory)
    Recording.open(directory).verify()  # a link in it could be a file of anybody's
    remote = Remote(url)
    is_resumed = sent is not None and sent.url == str(url)
    gone = look(remote, force=force, recording_id=manifest.recording_id)
    lock = lock_directory(directory)
    try:
        there = sent.files if sent and is_resumed else ()
        if sent and sent.files and not is_resumed:
            raise UsageError(
                f"a part of `{directory}` is at `{sent.url}` already",
                hint=f"send it there: `ethogram send {words}`",
            )
        whole = manifest.model_copy(update={"files": (*there, *manifest.files), "sent": None})
        uploader = Uploader(remote, directory)
        old = tuple(name for name in gone if name not in {file.path for file in whole.files})
        uploader.offer(Delivery(manifest.files, whole, old))
        if not uploader.finish(patience_s):
            raise not_sent(uploader, directory, len(manifest.files))
        if sent is not None:
            delete_recording(directory)
            with contextlib.suppress(OSError):
                directory.rmdir()
    finally:
        os.close(lock)
    return SendResult(
        url=url,
        files=len(manifest.files),
        size_bytes=sum(file.size_bytes or 0 for file in manifest.files),
        is_kept=sent is None,
    )
