"""The recording that a session writes: opened once its programs are attached, ended with it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ethogram.contracts.manifest import Command, Manifest, Stopped
from ethogram.contracts.remote import RecordingUrl, Remote
from profiler.destination import check_destination
from profiler.journal import Journal
from profiler.options import SessionOptions, Storage
from profiler.preamble import shown_values
from profiler.spool import BoundedSpool, Outlet, default_spool
from profiler.upload import Uploader

if TYPE_CHECKING:
    from profiler.session import Session

__all__ = ["Output"]


@dataclass(slots=True)
class Output:
    """Where the rows of a session with *options* go: `check`, `open`, `begin`, `end`, `close`."""

    storage: Storage
    options: SessionOptions
    journal: Journal | None = None
    spool: BoundedSpool | None = None
    _remote: Remote | None = field(default=None, init=False)
    _replaced: tuple[str, ...] = field(default=(), init=False)

    def check(self) -> None:
        """Ask a URL whether it is free and may be written, before anything is attached."""
        if isinstance(self.storage.output, RecordingUrl):
            self._remote = Remote(self.storage.output)
            self._replaced = check_destination(self._remote, force=self.storage.force)

    def open(self, first: Manifest, session: Session) -> Journal | BoundedSpool:
        """Return what takes the rows of *session*, whose recording begins with *first*."""
        storage, loader, tier = self.storage, session.loader_name, self.options.tier
        if self._remote is None:
            assert isinstance(storage.output, Path)
            journal = Journal.create(
                storage.output, first, storage.force, rotation=storage.rotation
            )
        else:
            upload = storage.upload
            place = upload.spool or default_spool(first.recording_id)
            outlet = Outlet(Uploader(self._remote, place), upload.patience_s)
            journal = Journal.create(place, first, rotation=storage.rotation, outlet=outlet)
            self.spool = BoundedSpool(journal, upload.spool_bytes)
        self.journal = journal
        journal.update(
            loader=loader,
            loader_reason=session.loader_reason,
            programs=session.programs,
            # By the hooks on every call, which alone see them: at its end, and at its beginning.
            file_changes=(loader == "core" and tier == "full") or None,
            arguments=(loader == "core" and tier != "light") or None,
        )
        return self.spool or journal

    def begin(self, dropped: tuple[str, ...]) -> None:
        """Say which privileges were *dropped*, and begin to upload where it goes to a URL."""
        assert self.journal is not None
        self.journal.update(privileges_dropped=dropped)
        if self._remote is not None:
            self.journal.begin_upload(self._replaced)

    def end(self, session: Session, stopped: Stopped) -> Manifest:
        """Write how *session* ended, and compact; see `Journal.close`."""
        journal = self.journal
        assert journal is not None
        if self.options.targets.kind == "command":
            argv = shown_values(self.options)
            journal.update(command=Command(argv=argv, exit_status=session.command_exit))
        redaction = journal.manifest.redaction
        counts = {"redacted": session.redacted, "by_rule": session.withheld}
        journal.update(redaction=redaction.model_copy(update=counts))
        journal.update(stopped=stopped)
        return journal.close(ended=session.clock.datetime(session.clock.boot_ns()))

    def close(self, *, has_begun: bool) -> None:
        """Leave the recording readable; of one that did not even begin nothing is left."""
        if self.journal:
            if has_begun:
                self.journal.abandon()
            else:
                self.journal.discard()
            self.journal = None
