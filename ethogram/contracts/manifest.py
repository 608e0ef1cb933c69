"""`manifest.json`: what a recording says of itself, and which files belong to it."""

from __future__ import annotations

import errno
import json
import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeInt,
    StringConstraints,
    ValidationError,
    model_validator,
)

from ethogram.contracts.durable import replace_file
from ethogram.contracts.file_names import MANIFEST_NAME
from ethogram.contracts.plain_file import open_plain
from ethogram.contracts.remote import RecordingUrl
from ethogram.contracts.tables import RECORDING_SCHEMA
from ethogram.errors import RecordingError

__all__ = [
    "MANIFEST_MAX_BYTES",
    "MANIFEST_NAME",
    "Clock",
    "Command",
    "DataFile",
    "Dropped",
    "Forgotten",
    "Manifest",
    "Program",
    "Redaction",
    "Sent",
    "Stopped",
    "TargetChoice",
    "no_recording",
    "parse_manifest",
    "read_manifest",
    "read_manifest_bytes",
    "write_manifest",
]

# What ended a recording: somebody, `--duration`, the end of its command, `--until-settled`.
Stopped = Literal["asked", "duration", "command", "settled"]

MANIFEST_MAX_BYTES = 16 << 20
_FAMILY, _, _VERSION = RECORDING_SCHEMA.partition("/")

# Plain names below the recording and nothing else: no root, no `..`, no byte that needs escaping.
_PATH = r"^[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)*$"
RelativePath = Annotated[str, StringConstraints(pattern=_PATH, max_length=255)]


class _Part(BaseModel):
    # Keys may be added within a major version: a reader keeps those that it does not know.
    model_config = ConfigDict(frozen=True, extra="allow")


class Clock(_Part):
    """How the kernel's time became UTC: `utc = kernel time + utc_offset_ns`."""

    utc_offset_ns: int
    source: str


class Redaction(_Part):
    """What was withheld: *rules* names the rules, *redacted* counts the arguments they changed.

    *by_rule*: of each rule of `--redact-rules`, how many values of rows it changed.
    """

    keep_args: bool = False
    rules: tuple[str, ...] = ()
    redacted: NonNegativeInt = 0
    by_rule: dict[str, NonNegativeInt] | None = None


class Program(_Part):
    """One program of the kernel side and what became of it."""

    name: str
    hook: str
    tier: str
    state: Literal["attached", "refused", "absent"]
    error: str | None = None


class Command(_Part):
    """The command of `record -- COMMAND`; a negative *exit_status* is a signal's number."""

    argv: tuple[str, ...]
    exit_status: int | None = None


class TargetChoice(_Part):
    """What was asked to be recorded."""

    kind: Literal["all", "container", "pod", "namespace", "unit", "cgroup", "command"] = "all"
    values: tuple[str, ...] = ()


class Dropped(_Part):
    """The oldest windows, which were deleted because nobody asked to retain them.

    Nothing was lost: how much was observed is what remains.
    """

    windows: NonNegativeInt
    losses: NonNegativeInt = 0
    since: AwareDatetime
    until: AwareDatetime


class Forgotten(_Part):
    """What `ethogram forget` has removed, all in all: whose it was is what nobody is to know."""

    workloads: NonNegativeInt
    rows: NonNegativeInt
    last: AwareDatetime


class DataFile(_Part):
    """One Parquet file; the journal's part of the same number no longer counts once it is here.

    Its rows are of the windows *first_window* to *last_window*; absent where that is not known.
    """

    path: RelativePath
    table: str
    rows: NonNegativeInt
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    size_bytes: NonNegativeInt | None = None
    first_window: NonNegativeInt | None = None
    last_window: NonNegativeInt | None = None


class Sent(_Part):
    """In a spool: where its recording is uploaded to, and the *files* that have arrived there."""

    url: str
    files: tuple[DataFile, ...] = ()


class Manifest(_Part):
    """What a recording says of itself.

    `ended` is absent while it runs and where the recorder was killed. `clean_end` says that every
    window which began was written. `loader_reason`: why `--loader auto` took another than `core`.
    `losses` is the total of table `losses`. `file_changes`: table `files` tells renames, removals,
    links and modes, not opens alone. `arguments`: table `arguments` tells those of calls.
    `stopped`: what ended it. `until_settled`: it was to end where the estimate says that at least
    this share of the windows to come shows nothing new.
    """

    schema_name: Literal["ethogram.recording/1"] = Field(
        default="ethogram.recording/1", alias="schema"
    )
    recording_id: Annotated[str, StringConstraints(min_length=1, max_length=255)]
    host_id: str
    boot_id: str
    cluster: str | None = None
    started: AwareDatetime
    ended: AwareDatetime | None = None
    clean_end: bool = False
    window_ms: Annotated[int, Field(gt=0)] = 5000
    kernel: str
    arch: Literal["x86_64", "aarch64"]
    loader: Literal["core", "bcc"]
    loader_reason: str | None = None
    tier: str = "full"
    clock: Clock
    redaction: Redaction = Redaction()
    targets: TargetChoice = TargetChoice()
    command: Command | None = None
    privileges_dropped: tuple[str, ...] = ()
    programs: tuple[Program, ...] = ()
    windows: NonNegativeInt = 0
    losses: NonNegativeInt = 0
    retain: str | None = None
    dropped: Dropped | None = None
    forgotten: Forgotten | None = None
    file_changes: Literal[True] | None = None
    arguments: Literal[True] | None = None
    stopped: Stopped | None = None
    until_settled: Annotated[float, Field(gt=0, lt=1)] | None = None
    files: tuple[DataFile, ...] = ()
    sent: Sent | None = None

    model_config = ConfigDict(populate_by_name=True, serialize_by_alias=True)

    @model_validator(mode="after")
    def _paths_are_distinct(self) -> Self:
        paths = [file.path for file in self.files]
        if len(paths) != len(set(paths)):
            raise ValueError("`files` names one path twice")
        return self

    def to_json(self) -> bytes:
        """Return the bytes of `manifest.json`, equal for equal manifests."""
        document = self.model_dump(mode="json", by_alias=True, exclude_none=True)
        return json.dumps(document, indent=1).encode() + b"\n"


def write_manifest(directory: Path, manifest: Manifest, *, sync: bool = True) -> None:
    """Write *manifest* into *directory*, whole or not at all; `OSError` leaves the old one.

    One that nobody could read, because it is too long, is such an error.
    """
    data = manifest.to_json()
    if len(data) > MANIFEST_MAX_BYTES:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), str(directory / MANIFEST_NAME))
    replace_file(directory / MANIFEST_NAME, data, sync=sync)


def read_manifest(directory: Path) -> Manifest:
    """Return the manifest of the recording *directory*.

    `RecordingError` where there is none, it is malformed (by field), or made by a newer version.
    """
    return parse_manifest(read_manifest_bytes(directory), directory)


def read_manifest_bytes(directory: Path) -> bytes:
    """Return the manifest of *directory* as it stands there, not more than it may be long."""
    path = directory / MANIFEST_NAME
    try:
        with open_plain(path) as file:
            return file.read(MANIFEST_MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise no_recording(directory) from error
    except OSError as error:
        raise RecordingError(
            f"`{path}` cannot be read: {error.strerror}",
            hint="restore the file, or run it as the user whose recording it is",
        ) from error


def no_recording(place: Path | RecordingUrl) -> RecordingError:
    """Return the error of a *place* without a manifest."""
    return RecordingError(
        f"`{place}` is no recording: it has no `{MANIFEST_NAME}`",
        hint="name a place that `ethogram record -o` wrote to",
    )


def parse_manifest(data: bytes, place: Path | RecordingUrl) -> Manifest:
    """Return the manifest that *data*, read from *place*, is; errors as of `read_manifest`."""
    path = f"{place}/{MANIFEST_NAME}"
    document = _parse_json(data, path)
    _check_schema(path, place, document.get("schema"))
    try:
        return Manifest.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "files"
        raise RecordingError(
            f"`{path}` is malformed: field `{field}`: {first['msg']}",
            hint="record again, or restore the file from where the recording came from",
        ) from error


def _parse_json(data: bytes, path: str) -> dict[str, Any]:
    if len(data) > MANIFEST_MAX_BYTES:
        raise RecordingError(f"`{path}` is longer than {MANIFEST_MAX_BYTES} bytes")
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise RecordingError(
            f"`{path}` is no JSON", hint="the file is damaged: restore it, or record again"
        ) from error
    if not isinstance(document, dict):
        raise RecordingError(f"`{path}` is no manifest: not a JSON object")
    return document


def _check_schema(path: str, place: Path | RecordingUrl, schema: object) -> None:
    if schema == RECORDING_SCHEMA:
        return
    match = re.fullmatch(rf"{re.escape(_FAMILY)}/([0-9]{{1,6}})", str(schema)[:64])
    if match and int(match[1]) > int(_VERSION):
        raise RecordingError(
            f"`{place}` was made by a newer ethogram: its schema is `{match[0]}`, "
            f"this version reads `{RECORDING_SCHEMA}`",
            hint="upgrade ethogram",
        )
    raise RecordingError(
        f"`{path}` is no manifest of a recording: field `schema` is not `{RECORDING_SCHEMA}`"
    )
