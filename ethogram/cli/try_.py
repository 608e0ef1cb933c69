"""`ethogram try -- COMMAND`: the first minute; what one command does and the profile it needs."""

from __future__ import annotations

import json
import os
import tempfile
import textwrap
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ethogram.cli.next_steps import learn_command
from ethogram.cli.options import COMMAND_SETTINGS, examples, force_option, refuse_existing
from ethogram.cli.record import describe_result, stop_on_signals
from ethogram.cli.runtimes import host_runtimes
from ethogram.cli.screen import count, next_command, output, say, shell
from ethogram.contracts.durable import write_all
from ethogram.contracts.escape import printable
from ethogram.errors import CaptureError

if TYPE_CHECKING:
    import pyarrow as pa

    from exporters.protocol import Finding, Options
    from exporters.seccomp import SeccompExporter
    from profiler.recorder import RecordResult

__all__ = ["command"]

# A command is short: more windows say more about how settled its behaviour is.
WINDOW_MS = 1000


@click.command(
    "try",
    short_help="Record one command; print what it did and the profile it needs.",
    context_settings=COMMAND_SETTINGS,
    epilog=examples(
        "ethogram try -- ls /",
        "ethogram try --enforce -o profile.json -- sh -c 'date; id'",
    ),
)
@click.argument("words", metavar="-- COMMAND...", nargs=-1, required=True, type=click.UNPROCESSED)
@click.option(
    "--keep",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Keep the recording as DIR; without it nothing is kept.",
)
@click.option(
    "-o",
    "--output",
    "profile_file",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the profile to FILE.",
)
@click.option("--enforce", is_flag=True, help="A profile that denies; without it one that logs.")
@click.option(
    "--runtime",
    metavar="NAME@VERSION",
    help="Container runtime that will apply the profile, such as `runc@1.1.5`; several with commas"
    " between them, `auto`: those of this host, or `none`.",
)
@force_option
def command(
    *,
    words: tuple[str, ...],
    keep: Path | None,
    profile_file: Path | None,
    enforce: bool,
    runtime: str | None,
    force: bool,
) -> None:
    """Run COMMAND, record just that, and print what it did and the seccomp profile it needs.

    It runs as the user who invoked this, with the terminal to itself; the screen comes after it.
    """
    from profiler.command import resolve_command

    if runtime is not None and "auto" in runtime.split(","):
        # A command has no runtime of its own that could be observed.
        runtime = host_runtimes(runtime)
    exporter, options = _exporter(enforce=enforce, runtime=runtime)
    resolve_command(words)
    with ExitStack() as stack:
        write_profile = stack.enter_context(_opened(profile_file, force=force))
        place = keep or Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="ethogram-try-"))
        ) / "recording"  # fmt: skip
        result = _record(place, words)
        summary = _print_behaviour(result, words)
        profile, findings = _profile(summary, exporter, options)
        write_profile(profile)
    _print_profile(profile)
    for finding in findings:
        say(f"{finding.severity}: {printable(finding.message)}")
    again = ["--runtime", runtime] if runtime is not None else []
    _say_next(words, again, keep=keep, profile_file=profile_file)


@contextmanager
def _opened(path: Path | None, *, force: bool) -> Iterator[Callable[[bytes], None]]:
    """Yield what writes the profile to *path*, which is opened now and empty until then.

    Recording gives up the privilege to write into directories of others, for good.
    """
    if path is None:
        yield lambda _profile: None
        return
    refuse_existing(path, force=force)
    is_new = not path.exists()
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)

    def write(profile: bytes) -> None:
        os.ftruncate(file, 0)
        write_all(file, profile)

    try:
        yield write
        say(f"wrote `{path}`")
    except BaseException:
        if is_new:
            with suppress(OSError):
                path.unlink()
        raise
    finally:
        os.close(file)


def _record(place: Path, words: tuple[str, ...]) -> RecordResult:
    from profiler.recorder import RecordOptions, record
    from profiler.targets import Targets

    options = RecordOptions(
        output=place, targets=Targets(kind="command", values=words), window_ms=WINDOW_MS
    )
    with stop_on_signals() as stop:
        return record(options, on_window=None, stop=stop)


def _print_behaviour(result: RecordResult, words: tuple[str, ...]) -> pa.Table:
    """Print what the command did and how completely that was seen; return its summary."""
    from ethogram.cli.behaviour import behaviours
    from ethogram.cli.completeness import completeness_of
    from ethogram.cli.show_screens import print_behaviour
    from ethogram.contracts.recording import Recording
    from learner.summary import summarize

    recording = Recording.open(result.recording)
    summary = summarize(recording)
    found = behaviours(summary)
    if not found:
        raise CaptureError(
            f"nothing was seen of `{printable(shell(*words))}`",
            hint="`ethogram doctor` says what this host can record",
        )
    console = output()
    console.print()
    for behaviour in found:
        print_behaviour(console, behaviour)
    for line in [*describe_result(result)[1:], *completeness_of(recording).lines()]:
        console.print(line)
    return summary


def _exporter(*, enforce: bool, runtime: str | None) -> tuple[SeccompExporter, Options]:
    """Return the exporter with its options, checked: nothing runs where the profile would fail."""
    from exporters.registry import parse_options
    from exporters.seccomp import exporter

    seccomp = exporter()
    pairs = [] if runtime is None else [f"runtime={runtime}"]
    options = parse_options(seccomp, pairs, enforce=enforce)
    seccomp.check(options)
    return seccomp, options


def _profile(
    summary: pa.Table, exporter: SeccompExporter, options: Options
) -> tuple[bytes, list[Finding]]:
    """Return the seccomp profile of the one workload in *summary*, and what there is to know."""
    from exporters.protocol import Artifact, Finding
    from learner.learn import learn

    made = [item for baseline in learn(summary) for item in exporter.export(baseline, options)]
    profiles = [
        item.content for item in made if isinstance(item, Artifact) and item.target == "seccomp"
    ]
    return profiles[0], [
        item for item in made if isinstance(item, Finding) and item.severity != "info"
    ]


def _print_profile(profile: bytes) -> None:
    document = json.loads(profile)
    allowed = sum(len(group["names"]) for group in document["syscalls"])
    print(f"\nseccomp profile, {count(allowed, 'call')}:")
    print(_compact(document))


def _compact(document: dict[str, Any]) -> str:
    """Return *document* as JSON that takes few lines: the names of calls are wrapped."""
    head = {key: value for key, value in document.items() if key != "syscalls"}
    groups = [
        "    " + json.dumps({key: value for key, value in group.items() if key != "names"})[:-1]
        + ', "names": [\n'
        + textwrap.indent(textwrap.fill(json.dumps(group["names"])[1:-1], 92), "      ")
        + "\n    ]}"
        for group in document["syscalls"]
    ]  # fmt: skip
    return json.dumps(head)[:-1] + ', "syscalls": [\n' + ",\n".join(groups) + "\n]}"


def _say_next(
    words: tuple[str, ...], again: list[str], *, keep: Path | None, profile_file: Path | None
) -> None:
    if keep is not None:
        next_command(learn_command(keep))
    elif profile_file is None:
        next_command(
            shell("ethogram", "try", "--enforce", *again, "-o", "profile.json", "--", *words),
            why="a profile that denies, as a file",
        )
    else:
        next_command(shell("ethogram", "record", "-o", "recording", "--", *words))
