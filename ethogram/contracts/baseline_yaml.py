"""Baselines as text and as files: `*.baseline.yaml`, sorted, diffable, read by safe means only."""

from __future__ import annotations

import os
import re
import stat
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ethogram.contracts.baseline_models import BASELINE_SCHEMA, Baseline, Subject
from ethogram.contracts.file_names import safe_part
from ethogram.contracts.strict_yaml import OneLine, StrictYamlError, dump_yaml, load_yaml
from ethogram.errors import BaselineError

__all__ = [
    "SUFFIX",
    "baseline_filename",
    "dump_baseline",
    "load_baseline",
    "load_baselines",
    "parse_baseline",
    "parse_bytes",
    "read_bytes",
]

SUFFIX = ".baseline.yaml"
_LIMIT_BYTES = 64 << 20


def dump_baseline(baseline: Baseline) -> str:
    """Return *baseline* as YAML: the same bytes for equal baselines; absent fields are left out."""
    document = baseline.model_dump(mode="json", by_alias=True, exclude_none=True)
    for call in document.get("arguments", ()):
        call["values"] = [OneLine(value) for value in call["values"]]
    return dump_yaml(document)


def parse_baseline(text: str, *, source: str = "baseline") -> Baseline:
    """Return the baseline in *text*; `BaselineError` names *source*, the field and the cause."""
    try:
        document = load_yaml(text)
    except StrictYamlError as error:
        raise BaselineError(
            f"`{source}` is not a baseline: {error}",
            hint="learn it again, or restore the file from version control",
        ) from error
    _check_schema(document, source)
    try:
        return Baseline.model_validate(document)
    except ValidationError as error:
        raise _field_error(error, source) from error


def _check_schema(document: Any, source: str) -> None:
    schema = document.get("schema") if isinstance(document, dict) else None
    if schema == BASELINE_SCHEMA:
        return
    if isinstance(schema, str) and (known := re.fullmatch(r"ethogram\.baseline/(\d{1,6})", schema)):
        newer = int(known[1]) > int(BASELINE_SCHEMA.rpartition("/")[2])
        raise BaselineError(
            f"`{source}` has schema `{schema}`; this version reads `{BASELINE_SCHEMA}`",
            hint="upgrade ethogram, or learn the baseline again with this version"
            if newer
            else "learn the baseline again with this version",
        )
    raise BaselineError(
        f"`{source}` is not a baseline: it has no `schema: {BASELINE_SCHEMA}`",
        hint="make one with `ethogram learn RECORDING -o DIRECTORY`",
    )


def _field_error(error: ValidationError, source: str) -> BaselineError:
    problems = error.errors(include_url=False, include_input=False)
    # A misspelt field is two problems: one that nobody knows, which says more, and one missing.
    problems.sort(key=lambda problem: problem["type"] != "extra_forbidden")
    first = problems[0]
    field = ".".join(str(part) for part in first["loc"]) or "document"
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    if first["type"] == "extra_forbidden":
        *parent, word = first["loc"]
        missing = [
            str(problem["loc"][-1])
            for problem in problems
            if problem["type"] == "missing" and [*problem["loc"][:-1]] == parent
        ]
        guess = get_close_matches(str(word), missing, n=1)
        hint = f"did you mean `{guess[0]}`?" if guess else f"remove `{field}`: nothing reads it"
        cause = "is not a field of a baseline"
    else:
        hint = "`ethogram learn` writes this field; strings such as `on`, `no`, `1` need quotes"
        cause = first["msg"][0].lower() + first["msg"][1:]
    return BaselineError(f"`{source}`: field `{field}`: {cause}{more}", hint=hint)


def load_baseline(path: Path) -> Baseline:
    """Return the baseline in file *path*; every failure is a `BaselineError` that names it."""
    return parse_bytes(read_bytes(Path(path)), source=str(path))


def parse_bytes(content: bytes, *, source: str) -> Baseline:
    """Return the baseline in *content*; every failure is a `BaselineError` that names *source*."""
    try:
        return parse_baseline(content.decode("utf-8"), source=source)
    except UnicodeDecodeError as error:
        raise BaselineError(
            f"`{source}` is not a baseline: it is not UTF-8 text",
            hint="pass a file that `ethogram learn` wrote",
        ) from error


def read_bytes(path: Path) -> bytes:
    """Return what file *path* holds; a `BaselineError` names it where it cannot be a baseline."""
    try:
        return _read(path)
    except FileNotFoundError as error:
        raise BaselineError(
            f"there is no baseline `{path}`",
            hint="make one with `ethogram learn RECORDING -o DIRECTORY`",
        ) from error
    except OSError as error:
        raise BaselineError(
            f"`{path}` cannot be read: {error.strerror}", hint="check its type and permissions"
        ) from error


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        mode = os.fstat(file.fileno()).st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISFIFO(mode)):
            raise BaselineError(f"`{path}` is not a file", hint="check its type and permissions")
        content = file.read(_LIMIT_BYTES + 1)
    if len(content) > _LIMIT_BYTES:
        raise BaselineError(
            f"`{path}` is not a baseline: it is larger than {_LIMIT_BYTES >> 20} MiB",
            hint="pass a file that `ethogram learn` wrote",
        )
    return content


def load_baselines(path: Path) -> list[tuple[Path, Baseline]]:
    """Return the baseline in file *path*, or all `*.baseline.yaml` in directory *path*, by name."""
    path = Path(path)
    if not path.is_dir():
        return [(path, load_baseline(path))]
    files = sorted(path.glob(f"*{SUFFIX}"))
    if not files:
        is_recording = (path / "manifest.json").exists()
        raise BaselineError(
            f"there is no `*{SUFFIX}` in `{path}`",
            # Not into the recording itself, whose directory is what was recorded and no more.
            hint=f"it is a recording: `ethogram learn {path} -o baselines` learns some of it"
            if is_recording
            else f"make one with `ethogram learn RECORDING -o {path}`",
        )
    for file in files:
        if file.is_fifo():  # to open it would wait for whoever writes
            raise BaselineError(f"`{file}` is not a file", hint="remove it: it is no baseline")
    return [(file, load_baseline(file)) for file in files]


def baseline_filename(subject: Subject) -> str:
    """Return `<namespace|_>.<kind>-<name>.<container|_>.baseline.yaml`, safe as a file name.

    Two subjects share it only where namespace, kind, name and container are equal.
    """
    parts = (
        safe_part(subject.namespace),
        f"{safe_part(subject.kind)}-{safe_part(subject.name)}",
        safe_part(subject.container),
    )
    return ".".join(parts) + SUFFIX
