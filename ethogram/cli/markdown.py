"""Markdown for pull requests: text that anybody chose stays text, and a comment fits into one."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ethogram.cli.screen import count
from ethogram.contracts.escape import printable

__all__ = ["code", "comment", "plain"]

# GitHub refuses comments of more than 65,536 characters.
_LONGEST = 60_000


def comment(head: str, lines: Sequence[str], tail: str = "") -> str:
    """Return *head*, *lines* and *tail*, with a count of the lines that would be too many."""
    text = head
    for number, line in enumerate(lines):
        if len(text) + len(line) + len(tail) > _LONGEST:
            text += f"\n… and {count(len(lines) - number, 'more line')}: too long for a comment.\n"
            break
        text += line + "\n"
    return text + tail


def code(text: str) -> str:
    """Return *text* as code, whatever it holds: a fence of more backticks than are in it."""
    text = printable(text)
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * (longest + 1)
    space = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{space}{text}{space}{fence}"


def plain(text: str) -> str:
    """Return *text* with nothing in it that Markdown or HTML would read, but code as it is."""
    parts = re.split(r"(`[^`]*`)", printable(text))
    return "".join(
        part if index % 2 else re.sub(r"([\\*_\[\]<>#|!@])", r"\\\1", part)
        for index, part in enumerate(parts)
    )
