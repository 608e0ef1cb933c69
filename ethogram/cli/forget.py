"""`ethogram forget`: workloads removed from recordings and summaries."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ethogram.cli.inputs import WORDS, Kind, kind_of, use_of
from ethogram.cli.options import Location, examples, format_option
from ethogram.cli.screen import count, next_command, say, shell
from ethogram.contracts.remote import RecordingUrl
from ethogram.errors import UsageError

if TYPE_CHECKING:
    import pyarrow as pa

    from ethogram.contracts.keys import WorkloadKey

__all__ = ["command", "local_place"]

FORGET_SCHEMA = "ethogram.forget/1"


@dataclass(frozen=True, slots=True)
class _Removed:
    path: Path
    kind: Kind
    workloads: Sequence[str]
    rows: Mapping[str, int]
    void: int = 0


@click.command(
    "forget",
    short_help="Remove a workload from recordings and summaries.",
    epilog=examples(
        "ethogram forget --workload shop/Deployment/checkout recording --dry-run",
        "ethogram forget --workload checkout --workload loadgen week-*/ shop.summary.parquet",
    ),
)
@click.option(
    "--workload",
    "names",
    multiple=True,
    required=True,
    metavar="KEY|NAME",
    help="Whom to forget: `[NAMESPACE/[KIND/]]NAME`, `NAMESPACE/KIND/NAME/CONTAINER`, or a whole"
    " key of a summary; `_` is no namespace. May be repeated.",
)
@click.argument("places", metavar="REC|SUMMARY...", nargs=-1, required=True, type=Location())
@click.option("--dry-run", is_flag=True, help="Say what would be removed, and change nothing.")
@format_option("text", "json")
def command(
    *,
    names: tuple[str, ...],
    places: tuple[Path | RecordingUrl, ...],
    dry_run: bool,
    output_format: str,
) -> None:
    """Remove workloads from recordings REC and from summaries: all rows of theirs, and their names.

    Each file is replaced whole or not at all, digests in the manifest are made anew, and the
    manifest says how much went, not whose it was. A recording that is being written is refused.
    """
    paths = [local_place(place) for place in places]
    planned = [_planned(path, names) for path in paths]
    found = [one for one in planned if one.workloads]
    _require_all(names, found)
    removed = planned if dry_run else [_removed(one, names) for one in planned]
    if output_format == "json":
        print(json.dumps(_document(removed, dry_run=dry_run), indent=1))
    else:
        _print(removed, dry_run=dry_run)
    if dry_run:
        words = (word for name in names for word in ("--workload", name))
        next_command(shell("ethogram", "forget", *words, *paths))
    elif found:
        next_command(shell("ethogram", "show", found[0].path))


def local_place(place: Path | RecordingUrl) -> Path:
    """Return the recording or summary *place* of this disk; `UsageError` where it is none."""
    if isinstance(place, RecordingUrl):
        raise UsageError(
            f"`{place}` is a URL: what is there is not rewritten in place",
            hint="copy it here, forget, and `ethogram send REC URL --force` what remains",
        )
    kind = kind_of(place)
    if kind not in {"recording", "summary"}:
        raise UsageError(
            f"`{place}` is {WORDS[kind]}, not a recording or summary",
            hint="delete the file: a baseline is of one workload"
            if kind in {"baseline", "baselines"}
            else use_of(kind, place),
        )
    return place


def _is_wanted(names: tuple[str, ...], key: WorkloadKey) -> bool:
    from ethogram.contracts.keys import names_workload

    return any(names_workload(name, key) for name in names)


def _require_all(names: tuple[str, ...], found: Sequence[_Removed]) -> None:
    """Refuse a name that nothing has: who mistypes it must not believe that it is gone."""
    from ethogram.contracts.keys import names_workload, parse_workload_key

    keys = [parse_workload_key(key) for one in found for key in one.workloads]
    for name in names:
        if not any(names_workload(name, key) for key in keys):
            raise UsageError(
                f"no workload is called `{name}` there",
                hint="`ethogram show REC` lists them: name one as `NAMESPACE/KIND/NAME`",
            )


def _planned(path: Path, names: tuple[str, ...]) -> _Removed:
    if kind_of(path) == "summary":
        table = _summary_without(path, names)
        return _Removed(path, "summary", table[1], {"summary": table[2]} if table[2] else {})
    from profiler.forgetting import would_forget

    removal = would_forget(path, lambda key: _is_wanted(names, key))
    return _Removed(path, "recording", removal.workloads, removal.rows)


def _removed(planned: _Removed, names: tuple[str, ...]) -> _Removed:
    path = planned.path
    if planned.kind == "recording":
        from profiler.forgetting import forget

        removal = forget(path, lambda key: _is_wanted(names, key), now=datetime.now(UTC))
        return _Removed(path, "recording", removal.workloads, removal.rows, removal.void)
    from ethogram.contracts.summary import write_summary

    table, keys, rows = _summary_without(path, names)
    if rows:
        # Of a link the file that it names is replaced, not the link.
        write_summary(table, path.resolve(), force=True)
    return _Removed(path, "summary", keys, {"summary": rows} if rows else {})


def _summary_without(path: Path, names: tuple[str, ...]) -> tuple[pa.Table, list[str], int]:
    """Return what remains of the summary *path*, the keys that go, and how many rows."""
    import pyarrow as pa
    import pyarrow.compute as pc

    from ethogram.contracts.keys import parse_workload_key
    from ethogram.contracts.summary import read_summary

    table = read_summary(path)
    # What was lost of nobody in particular has no workload: the empty key.
    present = [key for key in pc.unique(table["workload_key"]).to_pylist() if key]
    keys = sorted(key for key in present if _is_wanted(names, parse_workload_key(key)))
    kept = table.filter(
        pc.invert(pc.is_in(table["workload_key"], value_set=pa.array(keys, pa.string())))
    )
    return kept, keys, table.num_rows - kept.num_rows


def _document(removed: Sequence[_Removed], *, dry_run: bool) -> dict[str, object]:
    return {
        "schema": FORGET_SCHEMA,
        "dry_run": dry_run,
        "sources": [
            {
                "path": str(one.path),
                "kind": one.kind,
                "workloads": list(one.workloads),
                "rows": dict(one.rows),
                "void_files": one.void,
            }
            for one in removed
        ],
    }


def _print(removed: Sequence[_Removed], *, dry_run: bool) -> None:
    verb = "would remove" if dry_run else "removed"
    for one in removed:
        if not one.workloads:
            print(f"`{one.path}`: nothing of them")
            continue
        total = count(sum(one.rows.values()), "row")
        print(f"`{one.path}`: {verb} {count(len(one.workloads), 'workload')}, {total}")
        for key in one.workloads:
            print(f"  {key}")
        print("  " + ", ".join(f"{table} {rows:,}" for table, rows in one.rows.items()))
        if one.void:
            say(f"{count(one.void, 'file')} that no manifest listed went, too")
    if not dry_run:
        say("what others did stays theirs: the addresses and names that they talked to, too")
