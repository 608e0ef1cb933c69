"""`ethogram show`: what a recording, a summary or a baseline holds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from ethogram.cli.inputs import WORDS, kind_of, use_of
from ethogram.cli.next_steps import export_command, learn_command
from ethogram.cli.options import Location, examples, format_option
from ethogram.cli.screen import next_command, output, shell
from ethogram.cli.verify_key import baselines_in, require_baseline, verify_key_option
from ethogram.contracts.remote import RecordingUrl
from ethogram.errors import UsageError

__all__ = ["command"]

SHOW_SCHEMA = "ethogram.show/1"


@click.command(
    "show",
    short_help="Print a recording, a summary or a baseline.",
    epilog=examples("ethogram show recording", "ethogram show s3://bucket/recording"),
)
@click.argument("path", metavar="REC|SUMMARY|BASELINE", type=Location())
@format_option("text", "json")
@verify_key_option
def command(path: Path | RecordingUrl, output_format: str, verify_keys: tuple[Path, ...]) -> None:
    """Print what workloads did, how completely it was seen, or what a baseline allows.

    A recording may also be named by its URL.
    """
    kind = kind_of(path)
    if kind not in ("baseline", "baselines"):
        require_baseline(WORDS[kind], verify_keys)
    if isinstance(path, RecordingUrl) or kind == "recording":
        _show_recording(path, output_format)
        return
    match kind:
        case "summary":
            _show_summary(path, output_format)
        case "baseline" | "baselines":
            _show_baselines(path, output_format, verify_keys)
        case kind:
            raise UsageError(
                f"`{path}` is {WORDS[kind]}, not a recording, summary or baseline",
                hint=use_of(kind, path),
            )


def _print_json(kind: str, path: Path | RecordingUrl, content: dict[str, Any]) -> None:
    document = {"schema": SHOW_SCHEMA, "kind": kind, "path": str(path), **content}
    print(json.dumps(document, indent=2, ensure_ascii=True))


def _show_recording(path: Path | RecordingUrl, output_format: str) -> None:
    from ethogram.cli.behaviour import behaviours
    from ethogram.cli.completeness import completeness_of
    from ethogram.cli.show_screens import print_behaviours, print_manifest
    from ethogram.contracts.recording import Recording
    from learner.summary import summarize

    recording = Recording.open(path)
    found = behaviours(summarize(recording))
    completeness = completeness_of(recording)
    if output_format == "json":
        _print_json(
            "recording",
            path,
            {
                "manifest": json.loads(recording.manifest.to_json()),
                "workloads": [behaviour.document() for behaviour in found],
                **completeness.document(),
            },
        )
        return
    console = output()
    print_manifest(console, recording.manifest)
    print_behaviours(console, found)
    for line in completeness.lines():
        console.print(line)
    if found:
        next_command(learn_command(path, recording.manifest))


def _show_summary(path: Path, output_format: str) -> None:
    from ethogram.cli.behaviour import behaviours, losses_of
    from ethogram.cli.completeness import loss_lines
    from ethogram.cli.show_screens import print_behaviours
    from ethogram.contracts.summary import read_summary

    summary = read_summary(path)
    found, losses = behaviours(summary), losses_of(summary)
    if output_format == "json":
        content = {
            "workloads": [behaviour.document() for behaviour in found],
            "losses": [
                {"kind": kind, "place": place, "count": number}
                for (kind, place), number in losses.items()
            ],
        }
        _print_json("summary", path, content)
        return
    console = output()
    print_behaviours(console, found)
    for line in loss_lines({(*loss, ""): number for loss, number in losses.items()}):
        console.print(line)
    next_command(shell("ethogram", "learn", path, "-o", "baselines"))


def _show_baselines(path: Path, output_format: str, verify_keys: tuple[Path, ...]) -> None:
    from datetime import UTC, datetime

    from ethogram.cli.baseline_screen import print_baseline
    from ethogram.contracts.overlays import in_force

    today = datetime.now(UTC).date()
    loaded = baselines_in(path, verify_keys)
    if output_format == "json":
        content = {
            "baselines": [
                {"path": str(file), "baseline": baseline.model_dump(
                    mode="json", by_alias=True, exclude_none=True)}
                for file, baseline in loaded
            ]
        }  # fmt: skip
        _print_json("baseline", path, content)
        return
    console = output()
    for number, (file, baseline) in enumerate(loaded):
        if number:
            console.print()
        print_baseline(console, file, in_force(baseline, today), rules=True)
    next_command(export_command(path, (one for _, one in loaded)))
