"""What an export would change: as a difference on a terminal, as JSON, and as a check for CI."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ethogram.cli.screen import count, output, say
from ethogram.contracts.escape import printable
from ethogram.contracts.plain_file import open_plain
from ethogram.contracts.text_diff import TextDiff, text_diff
from ethogram.errors import BaselineError

if TYPE_CHECKING:
    from ethogram.contracts.export_stale import Stale
    from ethogram.contracts.exports import Change, Plan

__all__ = ["CHANGES_SCHEMA", "check", "print_changes"]

CHANGES_SCHEMA = "ethogram.export/1"
# A policy of ten thousand peers is not read line by line: how much more there is, is said.
_LINES_OF_A_FILE = 500
_LINES_OF_ALL = 5_000
_LISTED = 20
_LARGEST_BYTES = 64 << 20
_WHY = {
    "gone": "no baseline is of its workload",
    "replaced": "other files took its place",
    "unmade": "its target made nothing for it this time",
}
_CONTENT = {
    "same": "",
    "changed": ", and it was changed by hand",
    "absent": ", and it is gone already",
}
_STYLES = {"+": "green", "-": "red", "@": "cyan"}


def print_changes(
    planned: Plan, stale: Sequence[Stale], *, output_format: str, prune: bool
) -> None:
    """Print what writing *planned* would change, and which files it would leave or remove."""
    found = _differences(planned)
    if output_format == "json":
        print(json.dumps(_document(planned, found, stale, prune), indent=2))
        return
    console = output()
    for change, difference in found:
        print(printable(change.state) + "\t" + printable(str(planned.directory / _path(change))))
        for line in _shown(difference):
            console.print(_coloured(line), soft_wrap=True)
    say_stale(stale, prune=prune, is_done=False)
    say(
        f"{count(len(planned.of('new')), 'file')} new, {len(planned.of('changed')):,} changed,"
        f" {len(planned.of('same')):,} the same; nothing was written"
    )


def check(
    planned: Plan, stale: Sequence[Stale], *, renew: str, output_format: str, prune: bool
) -> None:
    """Raise `BaselineError` unless every file stands as it would be written; say which do not.

    With *prune*, files that it would remove are stale too. *renew* is the command that writes.
    """
    if output_format == "json":
        print(json.dumps(_document(planned, _differences(planned), stale, prune), indent=2))
    wrong = [
        f"{'missing' if change.state == 'new' else 'differs'}: "
        f"`{planned.directory / _path(change)}`"
        for change in planned.changes
        if change.state != "same"
    ]
    if not wrong and planned.index_state != "same" and not prune:
        wrong = [f"differs: `{planned.directory / 'index.json'}`"]
    say_stale(stale, prune=prune, is_done=False)
    if prune:
        wrong += [
            f"left over: `{planned.directory / one.entry.path}`"
            for one in stale
            if one.is_removable
        ]
        wrong = wrong or (["differs: its index"] if planned.index_state != "same" else [])
    if not wrong:
        say(f"`{planned.directory}` is up to date: {count(len(planned.changes), 'file')}")
        return
    for line in wrong[:_LISTED]:
        say(line)
    if len(wrong) > _LISTED:
        say(f"and {len(wrong) - _LISTED:,} more")
    raise BaselineError(
        f"`{planned.directory}` is stale: {count(len(wrong), 'file')}"
        f" of {len(planned.changes):,} would be written differently",
        hint=f"`{renew}` renews it; review the difference and commit it",
    )


def say_stale(stale: Sequence[Stale], *, prune: bool, is_done: bool) -> None:
    """Say which files of earlier exports this one does not write, and what becomes of them."""
    for one in stale[:_LISTED]:
        goes = prune and one.is_removable and one.content == "same"
        word = ("removed" if is_done else "would remove") if goes else "stale"
        say(f"{word}: `{one.entry.path}`: {_WHY[one.why]}{_CONTENT[one.content]}")
    if len(stale) > _LISTED:
        say(f"stale: and {len(stale) - _LISTED:,} more")
    if not prune and any(one.is_removable for one in stale):
        say("  hint: `--prune` removes those that nobody changed since they were written")


def _differences(planned: Plan) -> list[tuple[Change, TextDiff]]:
    left = _LINES_OF_ALL
    found = []
    for change in planned.changes:
        if change.state == "same":
            continue
        most = max(0, min(_LINES_OF_A_FILE, left))
        path = planned.directory / _path(change)
        before = None
        if change.state == "changed":
            with open_plain(path) as file:
                before = file.read(_LARGEST_BYTES)
        one = text_diff(before, change.artifact.content, path=str(path).lstrip("/"), most=most)
        left -= len(one.lines)
        found.append((change, one))
    return found


def _path(change: Change) -> str:
    return change.artifact.path


def _shown(difference: TextDiff) -> list[str]:
    lines = [piece for line in difference.lines for piece in line.split("\n")]
    if difference.hidden:
        lines.append(
            f"# {count(difference.hidden, 'more line')} not shown: {difference.added:,} added and"
            f" {difference.removed:,} removed in all"
        )
    return lines


def _coloured(line: str) -> Any:
    from rich.text import Text

    style = "bold" if line.startswith(("+++ ", "--- ")) else _STYLES.get(line[:1], "")
    return Text(line, style)


def _document(
    planned: Plan,
    found: Sequence[tuple[Change, TextDiff]],
    stale: Sequence[Stale],
    prune: bool,
) -> dict[str, Any]:
    differences = {_path(change): difference for change, difference in found}
    return {
        "schema": CHANGES_SCHEMA,
        "directory": str(planned.directory),
        "index": planned.index_state,
        "files": [_file(change, differences.get(_path(change))) for change in planned.changes],
        "stale": [
            {
                "path": one.entry.path,
                "target": one.entry.target,
                "workload_key": one.entry.workload_key,
                "why": one.why,
                "content": one.content,
                "is_removed": prune and one.is_removable,
            }
            for one in stale
        ],
    }


def _file(change: Change, difference: TextDiff | None) -> dict[str, Any]:
    document: dict[str, Any] = {
        "path": _path(change),
        "target": change.entry.target,
        "workload_key": change.entry.workload_key,
        "state": change.state,
        "sha256": change.entry.sha256,
    }
    if change.artifact.tightness:
        document["tightness"] = dict(change.artifact.tightness)
    if difference is None:
        return document
    return document | {
        "added": difference.added,
        "removed": difference.removed,
        "diff": [piece for line in difference.lines for piece in line.split("\n")],
        "lines_not_shown": difference.hidden,
    }
