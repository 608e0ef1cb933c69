"""Finds a finding in what `watch` wrote: a line of JSON each, which others may have touched."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from pydantic import ValidationError

from ethogram.contracts.escape import escape
from ethogram.contracts.plain_file import open_plain
from ethogram.errors import UsageError

if TYPE_CHECKING:
    from ethogram.contracts.finding import Finding

__all__ = ["found"]

_LONGEST_LINE = 4 << 20
_FINGERPRINT = re.compile(r"[0-9a-f]{8,32}")


def found(asked: str, files: Sequence[Path]) -> Finding:
    """Return the finding that is *asked* for, as the last line about it tells it.

    *asked* is its fingerprint or how that begins, to be looked for in *files*, or its line.
    """
    if asked.lstrip().startswith("{"):
        return _parsed(asked.encode("utf-8", "surrogateescape"), "FINDING")
    if not _FINGERPRINT.fullmatch(asked):
        raise UsageError(
            f"`{escape(asked)}` is no fingerprint, nor the beginning of one",
            hint="name its first 8 digits at least, or pass the whole line of JSON",
        )
    if not files:
        raise UsageError(
            "`--findings` is missing", hint="name the file that `watch --format jsonl` wrote"
        )
    known: dict[str, Finding] = {}
    text: list[str] = []
    for file in files:
        for where, line in _lines(file, asked.encode()):
            if not line.lstrip().startswith(b"{"):
                text.append(where)
                continue
            if f'"{asked}'.encode() not in line or _is_of_others(line):
                continue
            one = _parsed(line, where)
            if one.fingerprint.startswith(asked):
                known[one.fingerprint] = one
    if len(known) == 1:
        return next(iter(known.values()))
    if not known and text:
        raise UsageError(
            f"{text[0]} has `{asked}` in text, which says too little to accept it",
            hint="name lines of JSON: `watch --format jsonl`, or `--to file:FILE` beside the text",
        )
    if not known:
        raise UsageError(f"no finding begins with `{asked}`", hint="`.fingerprint` is in each line")
    listed = ", ".join(f"`{one}`" for one in list(known)[:3])
    raise UsageError(
        f"{len(known):,} findings begin with `{asked}`: {listed}", hint="name more digits"
    )


def _lines(file: Path, needle: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield the lines of *file* that hold *needle*, each with where it is."""
    name = "standard input" if str(file) == "-" else escape(str(file))
    try:
        with sys.stdin.buffer if str(file) == "-" else open_plain(file) as stream:
            for number, line in enumerate(_bounded(stream, name), start=1):
                if needle in line:
                    yield f"`{name}` line {number:,}", line
    except FileNotFoundError as error:
        raise UsageError(f"there is no `{name}`", hint="name what `watch` wrote") from error
    except OSError as error:
        raise UsageError(f"`{name}` cannot be read: {error.strerror}") from error


def _bounded(stream: BinaryIO, name: str) -> Iterator[bytes]:
    while line := stream.readline(_LONGEST_LINE + 1):
        if len(line) > _LONGEST_LINE:
            raise UsageError(f"`{name}` is no file of findings: a line is longer than 4 MiB")
        yield line


def _is_of_others(line: bytes) -> bool:
    """Return whether *line* is of another schema: of an incident, whose findings have lines too."""
    try:
        read = json.loads(line)
        schema = read.get("schema")
    except (ValueError, AttributeError, RecursionError):
        return False
    return isinstance(schema, str) and not schema.startswith("ethogram.finding/")


def _parsed(line: bytes, where: str) -> Finding:
    from ethogram.contracts.finding import Finding

    try:
        return Finding.model_validate_json(line)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "document"
        raise UsageError(
            f"{where} is no finding: field `{escape(field)}`: {first['msg']}",
            hint="pass what `ethogram watch --format jsonl` wrote",
        ) from error
