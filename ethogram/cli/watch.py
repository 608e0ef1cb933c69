"""`ethogram watch`: what strays from the baselines, as it happens."""

from __future__ import annotations

import os
from collections import deque
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ethogram.cli.event_lines import lines_of, wanted_of
from ethogram.cli.keeping import kept_of, killed_finding, state_option
from ethogram.cli.listening import listen_option, sink_readings, telemetry_of
from ethogram.cli.options import COMMAND_SETTINGS, examples, map_option
from ethogram.cli.record import describe_exit, stop_on_signals
from ethogram.cli.screen import count, say, shell, subject_words
from ethogram.cli.service_manager import ServiceManager
from ethogram.cli.session_options import require_place, session_fields, session_options
from ethogram.cli.sinks import SinkScreen, ending, outbox_of, sink_options
from ethogram.cli.targets import Chosen, chosen, target_options
from ethogram.cli.watch_anomaly import anomaly_bytes, anomaly_options
from ethogram.cli.watch_baselines import (
    baseline_options,
    baselines_of,
    loaded,
    suppressions_of,
    telling,
)
from ethogram.cli.watch_recording import (
    RecordingScreen,
    ending_of_recording,
    learning_options,
    storage_of,
)
from ethogram.contracts.inventory_command import INVENTORY_COMMAND
from ethogram.errors import BaselineError, CaptureError, EthogramError, UsageError

if TYPE_CHECKING:
    from detector.baselines import Baselines
    from detector.library import Library
    from detector.options import WatchOptions, WatchResult, WindowStatus
    from detector.suppressions import Suppressions
    from ethogram.contracts.finding import Finding
    from profiler.options import Keeping, Storage

__all__ = ["DEVIATION", "SEVERITIES", "command", "conclude"]

DEVIATION = 12
SEVERITIES = ("info", "low", "medium", "high", "critical")


@click.command(
    "watch",
    short_help="Watch workloads, and report what strays from their baselines.",
    context_settings=COMMAND_SETTINGS,
    epilog=examples(
        "ethogram watch --baseline baselines --all",
        "ethogram watch --baseline baselines --map production.yaml --namespace shop "
        "--inventory inventory.json",
        "ethogram watch --baseline baselines --container 3f2a9c --duration 60s --fail-on medium",
        "ethogram watch --baseline baselines --all --format jsonl --status /run/ethogram.json",
        "ethogram watch --baseline baselines --all --to file:/var/log/ethogram/findings.jsonl",
        "ethogram watch --baseline baselines --all "
        "--to 'webhook+https://siem.example/in#token-file=/etc/ethogram/token&severity=medium'",
        "ethogram watch --unknown record --learn /var/lib/ethogram/learn --retain 7d --all",
        "ethogram watch --baseline baselines --unknown alert --all",
        f"{INVENTORY_COMMAND} > inventory.json",
    ),
)
@baseline_options
@map_option
@learning_options
@click.option(
    "--format",
    "output_format",
    type=click.Choice(["text", "jsonl"]),
    help="How to print findings; without it text on a terminal, JSON lines elsewhere.",
)
@click.option(
    "--events",
    metavar="KIND[,KIND]",
    help="Print these events, too, as JSON lines: `process`, `network`. Sinks get them where "
    "`--to` ends in `#events=process+network`.",
)
@click.option(
    "--fail-on",
    type=click.Choice(SEVERITIES),
    help="Exit with code 12 at the end where a finding was at least as grave.",
)
@click.option(
    "--status",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to replace after each window with how things stand, as JSON.",
)
@anomaly_options
@sink_options
@state_option
@listen_option
@session_options(
    window="5s", window_help="How long a window is; what is not new is judged at its end."
)
@target_options
def command(**values: Any) -> None:
    """Watch workloads, and report what strays from their baselines.

    Name one kind of target, or a COMMAND after `--`, which runs as the user who invoked this.
    Findings go to standard output; states, the summary and what COMMAND prints to standard error.
    Ctrl-C ends the watch.
    """
    import profiler  # noqa: F401  first: pyarrow would start a thread, which keeps its privileges
    from ethogram.cli.watch_screen import summary

    target = chosen(values)
    storage = storage_of(values)
    require_place("--ready-file", values["ready_file"])
    require_place("--status", values["status"])
    _require_two(values["ready_file"], values["status"])
    baselines = baselines_of(values)
    suppressions = suppressions_of(values["suppressions"])
    library = loaded(baselines, values["map_file"])
    _warn(library, values)
    options = _options(values, target, storage)
    result, library = _watch(values, options, baselines, library, suppressions)
    for line in summary(result, library.known):
        say(line)
    is_any_unknown = any(one.baseline is None for one in result.workloads)
    for line in ending_of_recording(result.recording, teaches=is_any_unknown):
        say(line)
    if result.command_exit is not None:
        say(describe_exit(result.command_exit))
    conclude(
        result,
        library,
        fail_on=values["fail_on"],
        max_loss=values["max_loss"],
        may_lack=values["unknown"] != "ignore",
    )


def _require_two(ready_file: Path | None, status: Path | None) -> None:
    if ready_file and status and ready_file.absolute() == status.absolute():
        raise UsageError(
            "`--ready-file` and `--status` are one file", hint="name two: each is written alone"
        )


def _warn(library: Library, values: dict[str, Any]) -> None:
    """Say what the options leave out of sight."""
    from ethogram.contracts.reach import dimensions_in_words, not_looked_at

    named = [
        known
        for known in library.known
        if any(rule.value.identity is not None for rule in known.baseline.rules.peers)
    ]
    if named and values["inventory"] is None and values["kubernetes"] is None:
        say(
            f"warning: {count(len(named), 'baseline knows', 'baselines know')} peers as pods, "
            "services or nodes; "
            "without `--inventory` or `--kubernetes` these are addresses "
            "that no rule has, and stray"
        )
    if unseen := not_looked_at(values["loader"], values["tier"]):
        options = (("--loader", "bcc"), ("--tier", "calls"), ("--tier", "light"))
        given = " ".join(shell(*one) for one in options if values[one[0][2:]] == one[1])
        say(f"warning: with `{given}` {dimensions_in_words(unseen)} are not watched")


def _watch(
    values: dict[str, Any],
    options: WatchOptions,
    baselines: Baselines,
    library: Library,
    suppressions: Suppressions,
) -> tuple[WatchResult, Library]:
    """Return what the watch came to, and the baselines that it ended with."""
    from detector.reload import Reloader
    from detector.watch import watch
    from ethogram.cli.findings_screen import printer
    from ethogram.cli.watch_screen import WatchScreen, standing
    from ethogram.cli.watch_status import StatusFile

    kept = kept_of(values)
    outbox, sink_screen = outbox_of(values, lambda: killed_finding(kept)), SinkScreen()
    recording_screen = RecordingScreen()
    manager = ServiceManager(os.environ, window_s=values["window"] / 1000)
    lines = lines_of(values["events"], values["output_format"])
    status = StatusFile(values["status"]) if values["status"] else None
    newest = deque([library], maxlen=1)
    ended: list[Keeping | None] = [None]
    screen = WatchScreen(
        lines or printer(values["output_format"], kept.told if kept else ()),
        has_progress=options.targets.kind != "command",
    )
    events = wanted_of(lines, outbox)

    def on_finding(finding: Finding) -> None:
        if outbox:
            outbox.take(finding)
        screen.on_finding(finding)

    def on_window(window: WindowStatus) -> None:
        screen.on_window(window)
        for line in recording_screen.take(window.recording):
            screen.close()
            say(line)
        sinks = outbox.standing() if outbox else ()
        sink_screen.take(sinks)
        if lines:
            lines.say_dropped()
        if status:
            status.take(window, sinks)
        manager.lives(standing(window))
        if telemetry:
            telemetry.take_sinks(sink_readings(sinks))

    def close() -> None:
        manager.close()
        sinks = outbox.close() if outbox else ()
        for line in ending(sinks):
            say(line)
        if status:
            status.end(sinks, ended[-1])
        if kept:
            kept.close()

    with ExitStack() as stack:
        stack.callback(close)
        if lines:
            stack.callback(lines.close)
        telemetry = stack.enter_context(telemetry_of(values, command="watch"))
        stop = stack.enter_context(stop_on_signals())
        stack.callback(screen.close)
        result = watch(
            replace(options, all_rows=events is not None),
            library=library,
            on_finding=on_finding,
            on_state=screen.on_state,
            on_window=on_window,
            events=events,
            on_update=telling(screen.close, newest),
            on_incident=screen.on_incident,
            on_settled=screen.on_settled,
            suppressions=suppressions,
            reloader=Reloader(
                baselines,
                poll_s=values["baseline_poll"] / 1000,
                suppressions=values["suppressions"],
                known=suppressions.known,
            ),
            kept=kept,
            on_begin=manager.ready,
            stop=stop,
            telemetry=telemetry,
        )
        ended.append(result.recording)
        return result, newest[-1]


def _options(values: dict[str, Any], target: Chosen, storage: Storage | None) -> WatchOptions:
    from detector.options import WatchOptions

    return WatchOptions(
        baselines=values["baselines"],
        environment=values["map_file"],
        anomaly_bytes=anomaly_bytes(values),
        spares_stdout=True,
        unknown=values["unknown"],
        storage=storage,
        records_all=values["unknown_to"] is None,
        is_recorded=storage is not None,
        looks=True,
        knows_grams=bool(anomaly_bytes(values)),
        **session_fields(values, target),
    )


def conclude(
    result: WatchResult,
    library: Library,
    *,
    fail_on: str | None,
    max_loss: int | None,
    may_lack: bool = False,
) -> None:
    """Exit as *result* asks: a finding as grave as *fail_on* goes before whatever else is wrong.

    Raises `BaselineError` where no baseline was for anything, unless they *may_lack*, and
    `CaptureError` where more than *max_loss* events were lost.
    """
    problem = _no_match(result, library, may_lack=may_lack)
    if problem is None and max_loss is not None and result.lost > max_loss:
        problem = CaptureError(
            f"{count(result.lost, 'event')} lost, more than the {max_loss:,} allowed",
            hint="watch fewer workloads, or longer windows; states say which were hit",
        )
    if (
        fail_on is not None
        and result.worst is not None
        and SEVERITIES.index(result.worst) >= SEVERITIES.index(fail_on)
    ):
        if problem is not None:
            say(f"warning: {problem.message}")
        say(f"failed: a finding of severity {result.worst}, and `--fail-on {fail_on}`")
        raise click.exceptions.Exit(DEVIATION)
    if problem is not None:
        raise problem


def _no_match(result: WatchResult, library: Library, *, may_lack: bool) -> EthogramError | None:
    """Return what is wrong where no baseline was for anything that ran."""
    from ethogram.cli.watch_screen import baseline_words, listed

    is_expected = may_lack and bool(result.workloads)
    if is_expected or any(one.baseline is not None for one in result.workloads):
        return None
    meant = listed(baseline_words(known.baseline) for known in library.known)
    if not result.workloads:
        return BaselineError(
            "nothing of the target ran while it was watched",
            hint=f"`{shell('ethogram', 'record', '-o', 'everything', '--all', '--duration', '10s')}"
            f"` says what runs on this host; the baselines are for {meant or 'nothing'}",
        )
    ran = listed(subject_words(one.subject) for one in result.workloads)
    kinds = {known.baseline.match.kind for known in library.known}
    if "Pod" not in kinds and any(one.subject.kind == "Pod" for one in result.workloads):
        hint = f"they are for {meant}; `--inventory` says which workload a pod belongs to"
    else:
        hint = f"they are for {meant}; `match` in a baseline says what it applies to"
    return BaselineError(f"no baseline is for what ran here: {ran}", hint=hint)
