"""The recorder: a session whose rows go into a recording, which ends without losing what it has."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ethogram.contracts.manifest import Command, Stopped
from ethogram.contracts.remote import RecordingUrl, Remote
from profiler.destination import check_destination
from profiler.journal import Journal
from profiler.options import RecordOptions, RecordResult
from profiler.preamble import first_manifest, shown_values
from profiler.session import GRACE_S, OnWindow, Session
from profiler.sink import Both, Sink, Until
from profiler.spool import BoundedSpool, Outlet, default_spool
from profiler.upload import Uploader
from profiler.window import WindowReport

if TYPE_CHECKING:
    from profiler.telemetry.telemetry import Telemetry

__all__ = ["RecordOptions", "RecordResult", "WindowReport", "record"]


def record(
    options: RecordOptions,
    *,
    on_window: OnWindow | None = None,
    stop: threading.Event,
    until: Until | None = None,
    telemetry: Telemetry | None = None,
) -> RecordResult:
    """Record until *stop* is set, the duration is over, the command ended, or *until* has settled.

    A recording that lost anything never ends because it settled. *telemetry* is told of each
    window.

    Raises `UsageError` for targets that do not exist, `PreflightError` where this host cannot,
    `CaptureError` where recording failed; whole windows are kept in every case.
    """
    recorder = _Recorder(options, until)
    on_window = recorder.telling(on_window, telemetry)
    grace_s = GRACE_S / 3
    try:
        recorder.start()
        if telemetry:
            telemetry.begin(recorder.session)
        recorder.run(on_window, stop)
        return recorder.finish(on_window)
    except KeyboardInterrupt:
        grace_s = 0  # whoever asks twice does not want to wait
        raise
    finally:
        recorder.close(grace_s=grace_s)


class _Recorder:
    """One recording, from attaching to compaction."""

    def __init__(self, options: RecordOptions, until: Until | None = None) -> None:
        self._options = options
        self._until = until
        self._stopped: Stopped = "asked"
        self.session = Session(options)
        self._journal: Journal | None = None
        self._spool: BoundedSpool | None = None

    def start(self) -> None:
        remote = None
        replaced: tuple[str, ...] = ()
        if isinstance(self._options.output, RecordingUrl):
            remote = Remote(self._options.output)
            replaced = check_destination(remote, force=self._options.force)
        dropped = self.session.start(lambda: self._open_journal(remote))
        assert self._journal is not None
        self._journal.update(privileges_dropped=dropped)
        if remote is not None:
            self._journal.begin_upload(replaced)

    def _open_journal(self, remote: Remote | None) -> Sink:
        options, session = self._options, self.session
        first = first_manifest(options, session.facts, session.clock)
        if remote is None:
            assert isinstance(options.output, Path)
            journal = Journal.create(
                options.output, first, options.force, rotation=options.rotation
            )
        else:
            upload = options.upload
            place = upload.spool or default_spool(first.recording_id)
            outlet = Outlet(Uploader(remote, place), upload.patience_s)
            journal = Journal.create(place, first, rotation=options.rotation, outlet=outlet)
            self._spool = BoundedSpool(journal, upload.spool_bytes)
        self._journal = journal
        self._journal.update(
            loader=session.loader_name,
            loader_reason=session.loader_reason,
            until_settled=options.until_settled,
            programs=session.programs,
            # By the hooks on every call, which alone see them: at its end, and at its beginning.
            file_changes=(session.loader_name == "core" and options.tier == "full") or None,
            arguments=(session.loader_name == "core" and options.tier != "light") or None,
        )
        sink = self._spool or self._journal
        return Both(sink, self._until) if self._until else sink

    def run(self, on_window: OnWindow | None, stop: threading.Event) -> None:
        """Record window after window."""
        self._stopped = self.session.run(on_window, stop, is_enough=self._is_enough)

    def telling(self, on_window: OnWindow | None, telemetry: Telemetry | None) -> OnWindow | None:
        """Return what tells *on_window* and *telemetry* of each window."""
        if telemetry is None:
            return on_window

        def tell(report: WindowReport) -> None:
            if on_window:
                on_window(report)
            workloads = {"recorded": report.workloads}
            telemetry.take(self.session, report, workloads=workloads, losses=self._losses)

        return tell

    def _is_enough(self) -> bool:
        return self._until is not None and self._until.is_settled and not self._lost

    @property
    def _lost(self) -> int:
        return self.session.lost + (self._spool.lost if self._spool else 0)

    @property
    def _losses(self) -> Mapping[tuple[str, str, str], int]:
        unspooled = self._spool.lost if self._spool else 0
        return self.session.losses | ({("disk", "spool", ""): unspooled} if unspooled else {})

    def finish(self, on_window: OnWindow | None) -> RecordResult:
        """End the open window and the recording."""
        journal, session = self._journal, self.session
        assert journal is not None
        session.end(on_window)
        if self._options.targets.kind == "command":
            argv = shown_values(self._options)
            journal.update(command=Command(argv=argv, exit_status=session.command_exit))
        redaction = journal.manifest.redaction
        journal.update(redaction=redaction.model_copy(update={"redacted": session.redacted}))
        journal.update(stopped=self._stopped)
        manifest = journal.close(ended=session.clock.datetime(session.clock.boot_ns()))
        return RecordResult(
            recording=self._options.output,
            windows=session.windows,
            workloads=session.workloads,
            calls=session.calls,
            lost=self._lost,
            losses=dict(self._losses),
            command_exit=session.command_exit,
            clean=manifest.clean_end,
            loader_reason=session.loader_reason,
            stopped=self._stopped,
        )

    def close(self, *, grace_s: float) -> None:
        """Leave the recording readable; of one that did not even begin nothing is left."""
        self.session.detach()
        if self._journal:
            if self.session.has_begun:
                self._journal.abandon()
            else:
                self._journal.discard()
            self._journal = None
        self.session.close(grace_s=grace_s)
