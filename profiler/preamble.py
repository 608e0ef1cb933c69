"""What a recording says of itself before its first window."""

from __future__ import annotations

import os
import platform
import uuid
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Literal

from ethogram.contracts.manifest import Clock, Command, Manifest, Redaction, TargetChoice
from ethogram.errors import UsageError
from profiler import redaction
from profiler.clock import BootClock
from profiler.host import HostFacts
from profiler.options import SessionOptions
from profiler.withholding import Withholding

__all__ = ["first_manifest", "redactor", "shown_values", "write_ready"]


def first_manifest(options: SessionOptions, facts: HostFacts, clock: BootClock) -> Manifest:
    """Return the manifest of a recording that begins now."""
    machine: Literal["x86_64", "aarch64"] = (
        "aarch64" if platform.machine() == "aarch64" else "x86_64"
    )
    is_command = options.targets.kind == "command"
    values = shown_values(options)
    return Manifest(
        recording_id=uuid.uuid4().hex,
        host_id=facts.host_id,
        boot_id=facts.boot_id,
        cluster=options.cluster,
        started=clock.datetime(clock.boot_ns()),
        window_ms=options.window_ms,
        kernel=platform.release(),
        arch=machine,
        loader="core",
        tier=options.tier,
        clock=Clock(utc_offset_ns=clock.utc_offset_ns, source="CLOCK_BOOTTIME"),
        redaction=Redaction(
            keep_args=options.keep_args,
            rules=() if options.keep_args else redaction.RULES,
            by_rule={rule.name: 0 for rule in options.redaction} or None,
        ),
        targets=TargetChoice(kind=options.targets.kind, values=values),
        command=Command(argv=values) if is_command else None,
    )


def shown_values(options: SessionOptions) -> tuple[str, ...]:
    """Return the targets' names; of a command, its arguments without what looks like a secret."""
    withheld = Withholding(options.redaction)
    if options.targets.kind != "command":
        return tuple(
            os.fsdecode(withheld.text(os.fsencode(value))) for value in options.targets.values
        )
    shown, _ = redactor(options, is_container=lambda _id: False)(
        [os.fsencode(value) for value in options.targets.values]
    )
    return tuple(os.fsdecode(withheld.text(value)) for value in shown)


def redactor(
    options: SessionOptions, *, is_container: Callable[[str], bool]
) -> Callable[[Sequence[bytes]], tuple[list[bytes], int]]:
    """Return what is done to arguments before they are kept."""
    return _keep if options.keep_args else partial(redaction.redact, is_container=is_container)


def _keep(argv: Sequence[bytes]) -> tuple[list[bytes], int]:
    return list(argv), 0


def write_ready(path: Path) -> None:
    """Say in *path* that recording begins, and who does it."""
    try:
        path.write_text(f"{os.getpid()}\n")
    except OSError as error:
        raise UsageError(
            f"`{path}` cannot be written: {error.strerror}",
            hint="name another place for `--ready-file`",
        ) from error
