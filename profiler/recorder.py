"""The recorder: a session whose rows go into a recording, which ends without losing what it has."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ethogram.contracts.manifest import Stopped
from profiler.options import RecordOptions, RecordResult
from profiler.output import Output
from profiler.preamble import first_manifest
from profiler.session import GRACE_S, OnWindow, Session
from profiler.sink import Both, Sink, Until
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
        self._output = Output(options.storage, options)

    def start(self) -> None:
        self._output.check()
        dropped = self.session.start(self._open)
        self._output.begin(dropped)

    def _open(self) -> Sink:
        first = first_manifest(self._options, self.session.facts, self.session.clock)
        first = first.model_copy(update={"until_settled": self._options.until_settled})
        sink = self._output.open(first, self.session)
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
        return self.session.lost + self._unspooled

    @property
    def _losses(self) -> Mapping[tuple[str, str, str], int]:
        unspooled = self._unspooled
        return self.session.losses | ({("disk", "spool", ""): unspooled} if unspooled else {})

    @property
    def _unspooled(self) -> int:
        return self._output.spool.lost if self._output.spool else 0

    def finish(self, on_window: OnWindow | None) -> RecordResult:
        """End the open window and the recording."""
        session = self.session
        session.end(on_window)
        manifest = self._output.end(session, self._stopped)
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
        self._output.close(has_begun=self.session.has_begun)
        self.session.close(grace_s=grace_s)
