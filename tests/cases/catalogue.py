"""The cases: those that were given (`cases.json`), and our own variants of them (`own.json`)."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal, get_args

__all__ = ["KINDS", "Case", "Expectation", "Kind", "all_cases", "learnt_cases"]

HERE = Path(__file__).resolve().parent
FILES = ("cases.json", "own.json")

Kind = Literal["c", "nonroot", "priv", "privhost", "host", "host_runcexec"]
Expectation = Literal["finding", "silent", "info"]
KINDS: tuple[Kind, ...] = get_args(Kind)
TECHNIQUE = re.compile(r"T\d{4}(?:\.\d{3})?")


@dataclass(frozen=True, slots=True)
class Case:
    """One small action. *techniques* are ATT&CK ids as in version 18, any of which is right.

    *script* is what `/bin/bash -c` runs; empty where `kind` says it all.
    """

    id: str
    title: str
    techniques: tuple[str, ...]
    kind: Kind
    script: str
    expect: Expectation


@cache
def all_cases() -> tuple[Case, ...]:
    """Return every case, the given ones first. Raises ValueError for an id that is there twice."""
    entries = [entry for name in FILES for entry in json.loads((HERE / name).read_text())]
    cases = tuple(_case(entry) for entry in entries)
    if len({case.id for case in cases}) != len(cases):
        raise ValueError("two cases have the same id")
    return cases


def learnt_cases() -> tuple[Case, ...]:
    """Return the cases that are part of the benign service, and so of what is learnt."""
    return tuple(case for case in all_cases() if case.expect == "silent")


def _case(entry: dict[str, str]) -> Case:
    kind, expect = entry["kind"], entry["expect"]
    if kind not in KINDS or expect not in get_args(Expectation):
        raise ValueError(f"{entry['id']}: kind `{kind}` or expectation `{expect}` is unknown")
    return Case(
        id=entry["id"],
        title=entry["title"],
        techniques=tuple(TECHNIQUE.findall(entry["attack"])),
        kind=kind,
        script=entry["script"],
        expect=expect,  # type: ignore[arg-type]  # checked above
    )
