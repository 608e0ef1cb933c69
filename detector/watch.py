"""The watch: a session whose windows are judged instead of written."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, get_args

from detector.anomaly.layer import Anomalies
from detector.anomaly.scorer import Scorer
from detector.events import WantedEvents
from detector.judge import Judge
from detector.library import Library
from detector.live import Live
from detector.options import (
    AnomalyStatus,
    BaselinesStatus,
    WatchOptions,
    WatchResult,
    WindowStatus,
)
from detector.plain_programs import PlainPrograms
from detector.pushdown import Pushdown
from detector.reload import Reloader, Update
from detector.sensor.guard import Guard
from detector.sensor.kept import Kept
from detector.states import StateChange, States
from detector.suppressions import Suppressions
from detector.tally import Tally, reading_of
from detector.unknown import OnlyUnknown, UnknownWorkloads
from detector.watched import Watched
from ethogram.contracts.finding import Finding, WorkloadState
from ethogram.contracts.incident import Incident
from ethogram.contracts.manifest import Stopped
from ethogram.contracts.reach import not_looked_at
from profiler.passing import PassedTable
from profiler.preamble import first_manifest
from profiler.session import GRACE_S, Session
from profiler.sink import Both, Sink
from profiler.window import WindowReport

if TYPE_CHECKING:
    from profiler.keeping import BesideWatch
    from profiler.loaders.base import KnownGrams
    from profiler.options import Keeping
    from profiler.telemetry.reading import WatchReading
    from profiler.telemetry.telemetry import Telemetry

__all__ = ["watch"]

# At the end the models are given so long for the last windows.
_LAST_ANSWERS_S = 5.0


def watch(
    options: WatchOptions,
    *,
    library: Library,
    on_finding: Callable[[Finding], None],
    on_state: Callable[[StateChange], None],
    on_window: Callable[[WindowStatus], None] | None = None,
    on_update: Callable[[Update], None] = lambda _: None,
    on_incident: Callable[[Incident], None] = lambda _: None,
    on_settled: Callable[[], None] = lambda: None,
    suppressions: Suppressions | None = None,
    events: WantedEvents | None = None,
    reloader: Reloader | None = None,
    kept: Kept | None = None,
    on_begin: Callable[[], None] = lambda: None,
    stop: threading.Event,
    telemetry: Telemetry | None = None,
) -> WatchResult:
    """Watch by the baselines of *library* until *stop* is set or the duration is over.

    Findings and states are told as soon as the window in which they came about has ended, and
    *telemetry* after them. What *reloader* has is told to *on_update* between two windows, and
    judged by from the next one on. *on_settled* is called when what was found at once, and the
    incidents of it, are told. *events* are told whatever the baselines say. What *kept* has
    of the watch before is not told again, and *on_begin* is called once the programs are attached.
    Raises as `profiler.recorder.record` does.
    """
    watcher = _Watcher(
        options, library, on_finding, on_state,
        on_update=on_update, on_incident=on_incident, on_settled=on_settled, events=events,
        suppressions=suppressions or Suppressions(), reloader=reloader, telemetry=telemetry,
        kept=kept,
    )  # fmt: skip
    grace_s = GRACE_S / 3
    try:
        watcher.start()
        on_begin()
        if reloader:
            reloader.start()  # a thread, which has the privileges that are left
        stopped = watcher.session.run(watcher.telling(on_window), stop)
        return watcher.finish(on_window, stopped)
    except KeyboardInterrupt:
        grace_s = 0
        raise
    finally:
        watcher.close(grace_s=grace_s)
        if reloader:
            reloader.close()


class _Watcher:
    """One watch, from attaching to the last window."""

    def __init__(
        self,
        options: WatchOptions,
        library: Library,
        on_finding: Callable[[Finding], None],
        on_state: Callable[[StateChange], None],
        *,
        on_update: Callable[[Update], None],
        on_incident: Callable[[Incident], None],
        on_settled: Callable[[], None],
        suppressions: Suppressions,
        events: WantedEvents | None,
        reloader: Reloader | None,
        telemetry: Telemetry | None,
        kept: Kept | None,
    ) -> None:
        self._kept = kept
        self._guard: Guard | None = None
        self._on_update = on_update
        self._on_incident = on_incident
        self._on_settled = on_settled
        self._suppressions = suppressions
        self._events = events
        self._reloader = reloader
        self._telemetry = telemetry
        self._options = options
        self._library = library
        self._on_finding = on_finding
        self._on_state = on_state
        self.session = Session(options)
        self._baselines = BaselinesStatus(len(library.known), self._now())
        clock = self.session.clock
        self._tally = Tally(lambda: clock.utc_ns(clock.boot_ns()))
        self._watched: Watched | None = None
        self._judge: Judge | None = None
        self._pushdown: Pushdown | None = None
        self._programs: PlainPrograms | None = None
        self._unknown: UnknownWorkloads | None = None
        self._recording: BesideWatch | None = None
        if options.storage:
            from profiler.keeping import BesideWatch  # noqa: PLC0415  of no use to who only watches

            self._recording = BesideWatch(options.storage, options)
        self._anomalies: Anomalies | None = None

    def start(self) -> None:
        if self._recording:
            self._recording.check()
        dropped = self.session.start(self._open)
        if self._anomalies:
            self._anomalies.start()
        if self._recording:
            self._recording.begin(dropped)
        assert self._guard is not None
        self._guard.begin()
        if self._telemetry:
            self._telemetry.begin(self.session, watch=self._reading())

    def _open(self) -> Sink:
        session = self.session
        refused = session.refused
        loader, tier = session.loader_name, self._options.tier
        states = States(
            refused=refused,
            sees_denied=loader == "core" and tier == "full",
            unseen=not_looked_at(loader, tier),
            is_recorded=self._recording is not None,
        )
        self._watched = Watched(
            self._library, states, host_id=session.facts.host_id, on_state=self._on_state
        )
        # By bcc there are no sequences, and without the hooks of tier `light` no calls.
        if self._options.anomaly_bytes and loader == "core" and tier != "light":
            self._anomalies = Anomalies(
                Scorer(memory_bytes=self._options.anomaly_bytes),
                window_s=self._options.window_ms / 1000,
                new_grams=session.new_grams,
            )
        self._judge = Judge(
            self._watched, self._tell, self._tally,
            suppressions=self._suppressions, on_incident=self._on_incident,
            anomalies=self._anomalies, digest_of=session.digest_of,
            caller_of=session.callers.of,
        )  # fmt: skip
        if self._kept:
            self._judge.findings.recall(self._kept.told)
        self._guard = Guard(
            session, self._judge.findings, self._watched, states,
            window_ms=self._options.window_ms, kept=self._kept,
        )  # fmt: skip
        if self._options.unknown == "alert":
            self._unknown = UnknownWorkloads(self._watched, self._judge.findings)
        if loader == "core":
            tables: tuple[PassedTable, ...] = ("files",) if self._events else ("files", "network")
            self._pushdown = Pushdown(
                self._watched, session, session.passing, tables, self._known_grams
            )
            if not self._events:  # else processes are told at once
                self._programs = PlainPrograms(self._watched, session.allowed)
        manifest = first_manifest(self._options, session.facts, session.clock)
        if self._events:
            self._judge.tell_events(self._events, run=manifest.recording_id)
        live = Live(manifest, self._judge_window)
        if self._recording is None:
            return live
        sink: Sink = self._recording.open(manifest, session)
        if not self._options.records_all:
            sink = OnlyUnknown(sink, live, self._watched)
        return Both(live, sink)

    def _judge_window(self, live: Live, between: Callable[[], None]) -> None:
        assert self._judge is not None
        assert self._guard is not None
        self._judge.judge(live, between)
        if self._pushdown:
            self._pushdown.take()
        if self._programs:
            self._programs.take(live, self._judge.troubled)
        if (waits_ns := self._judge.waits_ns) is not None:
            self.session.looks.remind(self.session.clock.boot_ns() + waits_ns)
        if not live.window("windows").num_rows:
            if self._pushdown and self._recording is None:
                self._pushdown.note(live)
            self._on_settled()
            return  # a look: the window goes on
        if self._pushdown and self._recording is None:
            self._pushdown.let_pass(live, self._judge.troubled)
        if self._unknown:
            self._unknown.take(live)
        self._guard.take(live)
        self._on_settled()

    def _tell(self, finding: Finding) -> None:
        """Tell *finding*, where else there is more to read of it, and keep that for the next."""
        self.session.looks.found()
        recording = self._recording
        is_recorded = self._options.records_all or finding.baseline is None
        if recording is not None and is_recorded and recording.is_kept:
            finding = finding.model_copy(update={"recording_id": recording.recording_id})
        self._on_finding(finding)
        if self._kept:
            self._kept.add(finding)

    def telling(
        self, on_window: Callable[[WindowStatus], None] | None
    ) -> Callable[[WindowReport], None]:
        """Return what takes new baselines after a window, and tells *on_window* how it stands."""

        def tell(report: WindowReport) -> None:
            for update in self._reloader.take() if self._reloader else ():
                self._update(update)
            if over := self._suppressions.newly_over():
                self._on_update(Update(expired=over))
            assert self._guard is not None
            self._guard.check()
            status = self._status(report.window)
            if on_window:
                on_window(status)
            self._show(report, status)

        return tell

    def _update(self, update: Update) -> None:
        assert self._watched is not None
        if update.suppressions is not None:
            self._suppressions.replace(update.suppressions)
        elif update.is_of_suppressions:
            self._suppressions.refuse(update.trouble)
        elif update.library is None:
            self._baselines = replace(self._baselines, trouble=update.trouble)
        else:
            self._watched.replace(update.library)
            self.session.renew_news()
            self._baselines = BaselinesStatus(
                len(update.library.known), self._now(), self._baselines.changes + 1
            )
        self._on_update(update)

    def _now(self) -> str:
        utc_ns = self.session.clock.utc_ns(self.session.clock.boot_ns())
        return datetime.fromtimestamp(utc_ns // 10**9, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def _show(self, report: WindowReport, status: WindowStatus) -> None:
        if self._telemetry is None:
            return
        counted = Counter(dict.fromkeys(get_args(WorkloadState), 0))
        counted.update(one.state for one in status.workloads)
        self._telemetry.take(
            self.session,
            report,
            workloads=counted,
            watch=self._reading(),
        )

    def _known_grams(self) -> Mapping[int, KnownGrams]:
        return self._anomalies.known_grams if self._anomalies else {}

    def _reading(self) -> WatchReading:
        return replace(
            self._tally.reading(self._baselines),
            recording=self._recording_standing(),
            sensor=self._guard.reading() if self._guard else None,
            may_lack_baselines=self._options.unknown != "ignore",
            anomaly=reading_of(self._anomaly()) if self._options.anomaly_bytes else None,
        )

    def _recording_standing(self) -> Keeping | None:
        return self._recording.standing() if self._recording else None

    def _anomaly(self) -> AnomalyStatus:
        return self._anomalies.status() if self._anomalies else AnomalyStatus("off")

    def _status(self, window: int) -> WindowStatus:
        assert self._judge is not None
        assert self._watched is not None
        return WindowStatus(
            window=window,
            calls=self.session.calls,
            lost=self.session.lost,
            findings=self._judge.findings.total,
            workloads=self._watched.statuses(),
            baselines=self._baselines,
            incidents=self._judge.findings.incidents.total,
            suppressions=self._suppressions.status(),
            recording=self._recording_standing(),
            sensor=self._guard.status() if self._guard else None,
            anomaly=self._anomaly(),
            failing=self._judge.failing(),
        )

    def finish(
        self, on_window: Callable[[WindowStatus], None] | None, stopped: Stopped
    ) -> WatchResult:
        """End the open window, and bring every finding up to date."""
        assert self._judge is not None
        assert self._watched is not None
        session, findings = self.session, self._judge.findings
        session.end(self.telling(on_window))
        if self._anomalies:
            self._anomalies.settle(_LAST_ANSWERS_S)
            self._judge.tell_anomalies(session.clock.utc_ns(session.clock.boot_ns()))
        self._judge.settle(session.clock.utc_ns(session.clock.boot_ns()))
        findings.tell_again(session.clock.utc_ns(session.clock.boot_ns()), is_last=True)
        self._on_settled()
        if self._recording:
            self._recording.end(session, stopped)
        if self._guard:
            self._guard.end()
        return WatchResult(
            windows=session.windows,
            calls=session.calls,
            lost=session.lost,
            losses=session.losses,
            findings=findings.total,
            worst=findings.worst,
            workloads=self._watched.statuses(),
            unmatched=tuple(self._watched.unmatched()),
            command_exit=session.command_exit,
            incidents=findings.incidents.total,
            suppressions=self._suppressions.status(),
            recording=self._recording_standing(),
            anomaly=self._anomaly(),
        )

    def close(self, *, grace_s: float) -> None:
        """Detach, and leave the recording readable, however it came to this; say how it ended."""
        if self._guard:
            self._guard.close()
        self.session.detach()
        if self._recording:
            self._recording.close(has_begun=self.session.has_begun)
        self.session.close(grace_s=grace_s)
        if self._anomalies:
            self._anomalies.close()
