"""`ethogram record`: what workloads do, into a recording."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from ethogram.cli.listening import listen_option, telemetry_of
from ethogram.cli.next_steps import learn_command
from ethogram.cli.options import (
    COMMAND_SETTINGS,
    Location,
    examples,
    force_option,
    until_settled_option,
)
from ethogram.cli.screen import count, next_command, say, seconds, shell
from ethogram.cli.session_options import require_place, session_fields, session_options
from ethogram.cli.storage_options import new_run_in, rotation_of, storage_options, upload_of
from ethogram.cli.targets import Chosen, chosen, target_options
from ethogram.contracts.inventory_command import INVENTORY_COMMAND
from ethogram.errors import CaptureError, UsageError

if TYPE_CHECKING:
    from learner.settling import Settling
    from profiler.recorder import RecordOptions, RecordResult
    from profiler.telemetry.telemetry import Telemetry

__all__ = ["command", "describe_exit", "describe_result", "stop_on_signals"]


@click.command(
    "record",
    short_help="Record what workloads do, until stopped or for a while.",
    context_settings=COMMAND_SETTINGS,
    epilog=examples(
        "ethogram record -o recording -- ls /",
        "ethogram record -o recording --all --duration 10s",
        "ethogram record -o recording --container 3f2a9c",
        "ethogram record -o recording --container 3f2a9c --until-settled 0.99 --duration 6h",
        "ethogram record -o recording --all --rotate-every 15m --retain 7d",
        "ethogram record -o s3://bucket/recording --all --rotate-every 5m",
        "ethogram record -o recordings --each-run --all",
        "ethogram record -o recording --namespace shop --inventory inventory.json",
        f"{INVENTORY_COMMAND} > inventory.json",
    ),
)
@click.option(
    "-o",
    "--output",
    required=True,
    metavar="REC",
    type=Location(),
    help="Directory or URL, as `s3://bucket/rec`, to write to; without `--force` new or empty.",
)
@click.option(
    "--each-run",
    is_flag=True,
    help="Each run adds a recording to the directory or URL REC, called by when it began.",
)
@session_options(
    window="5s", window_help="How long a window is; a kill loses the open one at most."
)
@storage_options
@until_settled_option(
    "Stop once at least the share TARGET of the windows to come shows nothing new."
)
@listen_option
@click.option("--exit-code", is_flag=True, help="Exit with the exit status of COMMAND.")
@force_option
@target_options
def command(**values: Any) -> None:
    """Record what workloads do.

    Name one kind of target, or a COMMAND after `--`, which runs as the user who invoked this.
    Ctrl-C ends the recording and keeps what was seen.
    """
    target = chosen(values)
    _require_time(values)
    require_place("--ready-file", values["ready_file"])
    if values["each_run"]:
        values["output"] = new_run_in(values["output"])
    with telemetry_of(values, command="record") as telemetry:
        result = _record(_options(values, target), telemetry)
    for line in describe_result(result):
        say(line)
    _raise_when_lossy(result, values["max_loss"])
    _say_next(result)
    if values["exit_code"] and result.command_exit is not None:
        status = result.command_exit
        raise click.exceptions.Exit(status if status >= 0 else 128 - status)


def _options(values: dict[str, Any], target: Chosen) -> RecordOptions:
    from profiler.recorder import RecordOptions

    return RecordOptions(
        output=values["output"],
        rotation=rotation_of(values),
        upload=upload_of(values),
        max_loss=values["max_loss"],
        until_settled=values["until_settled"],
        force=values["force"],
        **session_fields(values, target),
    )


def _record(options: RecordOptions, telemetry: Telemetry | None) -> RecordResult:
    from ethogram.cli.live import live_summary
    from profiler.recorder import record

    until = _until(options.until_settled)
    is_wanted = options.targets.kind != "command"
    with (
        stop_on_signals() as stop,
        live_summary(is_wanted=is_wanted, progress=until.progress if until else None) as on_window,
    ):
        result = record(options, on_window=on_window, stop=stop, until=until, telemetry=telemetry)
    if until:
        say(until.progress())
    return result


def _until(target: float | None) -> Settling | None:
    from learner.settling import Settling

    return None if target is None else Settling(target)


def _require_time(values: dict[str, Any]) -> None:
    """Raise `UsageError` where nothing could settle before `--duration` is over."""
    target, duration_ms = values["until_settled"], values["duration"]
    if target is None or duration_ms is None:
        return
    from learner.settling import windows_for

    needed = windows_for(target)
    if needed * values["window"] > duration_ms:
        raise UsageError(
            f"`--until-settled {target}` takes {count(needed, 'window')} at least, "
            f"{seconds(needed * values['window'] / 1000)}: `--duration` ends it before",
            hint="record for longer, aim lower, or take a shorter `--window`",
        )


@contextmanager
def stop_on_signals() -> Iterator[threading.Event]:
    """Yield an event that the first SIGINT, SIGTERM or SIGHUP sets; a second one interrupts."""
    stop = threading.Event()
    before = {number: signal.getsignal(number)
              for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}  # fmt: skip

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    for number in before:
        signal.signal(number, on_signal)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def describe_result(result: RecordResult) -> list[str]:
    """Return what a recording came to, in lines for a screen."""
    from ethogram.cli.completeness import loss_lines

    lost = "nothing lost" if not result.lost else f"{count(result.lost, 'event')} lost"
    lines = [
        f"recorded `{result.recording}`: {count(result.workloads, 'workload')}, "
        f"{count(result.calls, 'call')}, {count(result.windows, 'window')}; {lost}"
    ]
    if result.losses:
        lines += loss_lines(result.losses)
    if result.loader_reason is not None:
        lines.append(f"recorded with `--loader bcc`, which sees less: {result.loader_reason}")
    if result.stopped == "settled":
        lines.append("it ended because it had settled")
    if not result.clean:
        lines.append("the recording did not end cleanly: its last window may be short")
    if result.command_exit is not None:
        lines.append(describe_exit(result.command_exit))
    return lines


def describe_exit(status: int) -> str:
    """Return how a command ended: its exit status, negative where a signal ended it, in words."""
    if status >= 0:
        return f"the command exited with status {status}"
    return f"the command was ended by {_signal_name(-status)}"


def _say_next(result: RecordResult) -> None:
    """Print what to do with the recording; one without a workload teaches nothing."""
    if result.workloads:
        next_command(
            learn_command(result.recording),
            why="or `" + shell("ethogram", "show", result.recording) + "`",
        )
        return
    say("nothing of the target ran while it was recorded")
    next_command(
        shell("ethogram", "record", "-o", "everything", "--all", "--duration", "10s"),
        why="what runs on this host, by the names to ask for",
    )


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _raise_when_lossy(result: RecordResult, max_loss: int | None) -> None:
    if max_loss is not None and result.lost > max_loss:
        raise CaptureError(
            f"{count(result.lost, 'event')} lost, more than the {max_loss:,} allowed",
            hint=f"`{shell('ethogram', 'show', result.recording)}` says where; the recording "
            "is kept",
        )
