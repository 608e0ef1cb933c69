"""`ethogram record`: what workloads do, into a recording."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from ethogram.cli.options import COMMAND_SETTINGS, Duration, examples, force_option
from ethogram.cli.screen import count, next_command, say, shell
from ethogram.cli.targets import chosen, target_options
from ethogram.errors import CaptureError, UsageError

if TYPE_CHECKING:
    from profiler.recorder import RecordOptions, RecordResult
    from profiler.targets import TargetKind

__all__ = ["command", "describe_result", "stop_on_signals"]


@click.command(
    "record",
    short_help="Record what workloads do, until stopped or for a while.",
    context_settings=COMMAND_SETTINGS,
    epilog=examples(
        "ethogram record -o recording -- ls /",
        "ethogram record -o recording --all --duration 10s",
        "ethogram record -o recording --container 3f2a9c",
        "ethogram record -o recording --namespace shop --inventory inventory.json",
        "kubectl get pods,services,endpointslices,nodes,namespaces,replicasets -A -o json "
        "> inventory.json",
    ),
)
@click.option(
    "-o",
    "--output",
    required=True,
    metavar="REC",
    type=click.Path(path_type=Path),
    help="Directory to write the recording to; without `--force` new or empty.",
)
@click.option(
    "--duration",
    type=Duration(least_ms=10),
    metavar="TIME",
    help="Stop after TIME, such as `30s`; without it on Ctrl-C or the command's end.",
)
@click.option(
    "--window",
    type=Duration(least_ms=100),
    metavar="TIME",
    default="5s",
    show_default=True,
    help="How long a window is; a kill loses the open one at most.",
)
@click.option(
    "--inventory",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Owners, selectors and addresses of the cluster, as `kubectl` prints them (see below).",
)
@click.option("--cluster", metavar="NAME", help="Name of the cluster that this host belongs to.")
@click.option(
    "--ready-file",
    metavar="PATH",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to create once the programs are attached.",
)
@click.option(
    "--max-loss",
    metavar="N",
    type=click.IntRange(min=0),
    help="Fail with exit code 4 when more than N events were lost.",
)
@click.option(
    "--loader",
    type=click.Choice(["auto", "core", "bcc"]),
    default="auto",
    show_default=True,
    help="How the kernel programs are loaded.",
)
@click.option(
    "--tier",
    type=click.Choice(["full", "light"]),
    default="full",
    show_default=True,
    help="`light` leaves out the hooks on every system call.",
)
@click.option(
    "--keep-args",
    is_flag=True,
    help="Keep arguments as they are; without it what looks like a secret is redacted.",
)
@click.option("--exit-code", is_flag=True, help="Exit with the exit status of COMMAND.")
@force_option
@target_options
def command(**values: Any) -> None:
    """Record what workloads do.

    Name one kind of target, or a COMMAND after `--`, which runs as the user who invoked this.
    Ctrl-C ends the recording and keeps what was seen.
    """
    target = chosen(values)
    _check_ready_file(values["ready_file"])
    result = _record(_options(values, kind=target.kind, names=target.values))
    for line in describe_result(result):
        say(line)
    _raise_when_lossy(result, values["max_loss"])
    _say_next(result)
    if values["exit_code"] and result.command_exit is not None:
        status = result.command_exit
        raise click.exceptions.Exit(status if status >= 0 else 128 - status)


def _options(values: dict[str, Any], *, kind: TargetKind, names: tuple[str, ...]) -> RecordOptions:
    from profiler.recorder import RecordOptions
    from profiler.targets import Targets

    duration_ms = values["duration"]
    return RecordOptions(
        output=values["output"],
        targets=Targets(kind=kind, values=names),
        window_ms=values["window"],
        duration_s=None if duration_ms is None else duration_ms / 1000,
        inventory=values["inventory"],
        loader=values["loader"],
        tier=values["tier"],
        keep_args=values["keep_args"],
        ready_file=values["ready_file"],
        max_loss=values["max_loss"],
        cluster=values["cluster"],
        force=values["force"],
    )


def _record(options: RecordOptions) -> RecordResult:
    from ethogram.cli.live import live_summary
    from profiler.recorder import record

    is_command = options.targets.kind == "command"
    with stop_on_signals() as stop, live_summary(is_wanted=not is_command) as on_window:
        return record(options, on_window=on_window, stop=stop)


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
    lost = "nothing lost" if not result.lost else f"{count(result.lost, 'event')} lost"
    lines = [
        f"recorded `{result.recording}`: {count(result.workloads, 'workload')}, "
        f"{count(result.calls, 'call')}, {count(result.windows, 'window')}; {lost}"
    ]
    if not result.clean:
        lines.append("the recording did not end cleanly: its last window may be short")
    if result.command_exit is not None:
        status = result.command_exit
        lines.append(
            f"the command exited with status {status}"
            if status >= 0
            else f"the command was ended by {_signal_name(-status)}"
        )
    return lines


def _say_next(result: RecordResult) -> None:
    """Print what to do with the recording; one without a workload teaches nothing."""
    if result.workloads:
        next_command(
            shell("ethogram", "learn", result.recording, "-o", "baselines"),
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


def _check_ready_file(path: Path | None) -> None:
    """Raise `UsageError` where *path* has no directory to be in, before anything is attached."""
    if path is not None and not path.absolute().parent.is_dir():
        parent = path.absolute().parent
        raise UsageError(
            f"`--ready-file`: there is no directory `{parent}`",
            hint=f"`{shell('mkdir', '-p', parent)}` makes it",
        )
