"""What is fuzzed: functions of bytes that return, or raise what no reader may raise.

Each gives its bytes to a reader, takes the refusals that it promises, and checks what was read.
`SEEDS` are bytes that it accepts, from the sample recording.
"""

from __future__ import annotations

import json
import shutil
import struct
import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from ethogram.contracts.baseline import parse_baseline
from ethogram.contracts.events import RecordKind
from ethogram.contracts.finding import Finding
from ethogram.contracts.journal_format import read_stream, scan_stream
from ethogram.contracts.manifest import read_manifest
from ethogram.contracts.parquet_rows import parquet_batches
from ethogram.contracts.recording import Recording
from ethogram.contracts.summary import read_summary
from ethogram.contracts.tables import TABLES
from ethogram.errors import BaselineError, CaptureError, RecordingError
from profiler.clock import BootClock
from profiler.dns import parse_reply
from profiler.processes import ExecIds, Executables
from profiler.ring import STRUCT_OF, parse
from tests.fuzz.decoding import assembled, lived

__all__ = ["SEEDS", "TARGETS"]

SAMPLE = Path(__file__).parents[2] / "notebooks" / "data" / "shop.rec"
BASELINE = Path(__file__).parents[1] / "golden" / "seccomp" / "checkout.baseline.yaml"
CLOCK = BootClock(1_700_000_000_000_000_000)


@cache
def _place() -> Path:
    """A directory of this process's own, removed with it."""
    directory = tempfile.TemporaryDirectory(prefix="ethogram-fuzz-")
    _KEPT.append(directory)
    return Path(directory.name)


_KEPT: list[tempfile.TemporaryDirectory[str]] = []


# --- the recorder's side --------------------------------------------------------------------------


def ring(data: bytes) -> None:
    """Records of a ring buffer, and the processes that they tell of."""
    try:
        found, end = parse(data, is_whole=True)
    except CaptureError:
        return
    assert 0 <= end <= len(data)
    for records in found.values():
        assert len(records.heads) == len(records.tails)
    lived(found, Executables(CLOCK), ExecIds("host", "boot"), CLOCK)


def sets(data: bytes) -> None:
    """Keys and values of the maps of a window, and what becomes columns of them."""
    assembled(data, Executables(CLOCK), ExecIds("host", "boot"), CLOCK)


def dns(data: bytes) -> None:
    """A datagram from port 53."""
    reply = parse_reply(data)
    assert reply is None or all(len(answer) in (4, 16) for answer in reply.answers)


# --- what readers are given -----------------------------------------------------------------------


def manifest(data: bytes) -> None:
    """`manifest.json`, and the files that it lists."""
    (_place() / "manifest.json").write_bytes(data)
    try:
        read_manifest(_place())
        recording = Recording.open(_place())
        for name in TABLES:
            recording.table(name)
    except RecordingError as error:
        _assert_named(error.message)


def journal(data: bytes) -> None:
    """A stream of the journal: whole batches, or one refusal."""
    directory = _place() / "rec" / "journal"
    if not directory.exists():
        directory.mkdir(parents=True)
        listed = json.loads((SAMPLE / "manifest.json").read_bytes()) | {"files": []}
        (directory.parent / "manifest.json").write_text(json.dumps(listed))
    (directory / "errors-00000.arrows").write_bytes(data)
    try:
        rows = Recording.open(directory.parent).table("errors")
    except RecordingError as error:
        _assert_named(error.message)
        return
    rows.validate(full=True)
    path = directory / "errors-00000.arrows"
    extent = scan_stream(path)
    assert rows.num_rows == sum(b.num_rows for b in read_stream(path, extent.batches))


def parquet(data: bytes) -> None:
    """A Parquet file whose manifest agrees with whatever it is."""
    path = _place() / "errors-00000.parquet"
    path.write_bytes(data)
    try:
        for batch in parquet_batches(TABLES["errors"], path):
            batch.validate(full=True)
    except RecordingError as error:
        _assert_named(error.message)


def damaged(data: bytes) -> None:
    """A Parquet file that is not the one which the manifest lists: always refused."""
    directory = _place() / "listed"
    if not directory.exists():
        shutil.copytree(SAMPLE, directory)
    (directory / "errors-00000.parquet").write_bytes(data)
    try:
        rows = Recording.open(directory).table("errors")
    except RecordingError as error:
        _assert_named(error.message)
        return
    assert rows.equals(Recording.open(SAMPLE).table("errors"))


def summary(data: bytes) -> None:
    """A summary."""
    path = _place() / "x.summary.parquet"
    path.write_bytes(data)
    try:
        read_summary(path).validate(full=True)
    except RecordingError as error:
        _assert_named(error.message)


def baseline(data: bytes) -> None:
    """A baseline, edited by hand."""
    with suppress(BaselineError):
        parse_baseline(data.decode("utf-8", "replace"), source="x.baseline.yaml")


def finding(data: bytes) -> None:
    """A line of `ethogram watch --format jsonl`."""
    try:
        found = Finding.model_validate_json(data)
    except ValidationError:
        return
    assert Finding.model_validate_json(found.line()) == found


def _assert_named(message: str) -> None:
    assert str(_place()) in message
    assert "\n" not in message


TARGETS: dict[str, Callable[[bytes], None]] = {
    target.__name__: target
    for target in (
        ring, sets, dns, manifest, journal, parquet, damaged, summary, baseline, finding,
    )
}  # fmt: skip


# --- what they accept -----------------------------------------------------------------------------


def _ring_seed() -> bytes:
    """One record of each kind."""
    seed = b""
    for number, kind in enumerate(RecordKind):
        head = np.zeros(1, STRUCT_OF[kind].dtype)
        head["kind"], head["time_ns"], head["slot"] = kind, number, 1
        tail = b""
        for field in head.dtype.names or ():
            if field.endswith("_size"):
                head[field] = 6
                tail += b"/a\0b/c"
        content = head.tobytes() + tail
        whole = struct.pack("<II", len(content), 0) + content
        seed += whole + bytes(-len(whole) % 8)
    return seed


def _journal_seed() -> bytes:
    import pyarrow as pa  # noqa: PLC0415  a seed's alone

    sink = pa.BufferOutputStream()
    rows = Recording.open(SAMPLE).table("errors").slice(0, 7)
    with pa.ipc.new_stream(sink, rows.schema) as writer:
        writer.write_table(rows, max_chunksize=3)
    return sink.getvalue().to_pybytes()


def _summary_seed() -> bytes:
    from ethogram.contracts.summary import write_summary  # noqa: PLC0415
    from ethogram.contracts.tables import SUMMARY  # noqa: PLC0415

    path = _place() / "seed.summary.parquet"
    write_summary(SUMMARY.arrow_schema().empty_table(), path, force=True)
    return path.read_bytes()


def _finding_seed() -> bytes:
    return json.dumps(
        {
            "schema": "ethogram.finding/1", "time": "2026-01-05T10:00:00Z", "fingerprint": "0" * 32,
            "layer": "deviation", "rule": "execs", "title": "t", "reason": "r", "severity": "low",
            "attack": [{"technique": "T1059.004", "version": "17"}],
            "workload": {"kind": "Deployment", "name": "web"}, "instance_key": "i",
            "evidence": {"dimension": "execs", "observed": "/bin/sh", "expected": ["/bin/true"]},
            "state": "ok", "workload_state": "ok", "phase": "steady",
            "first_seen": "2026-01-05T10:00:00Z", "last_seen": "2026-01-05T10:00:00Z", "count": 1,
        }
    ).encode()  # fmt: skip


def _dns_seed() -> bytes:
    from dns import message, rrset  # noqa: PLC0415

    reply = message.make_response(message.make_query("www.example.org", "A"))
    reply.answer.append(rrset.from_text("www.example.org.", 60, "IN", "CNAME", "a.example."))
    reply.answer.append(rrset.from_text("a.example.", 60, "IN", "A", "10.0.0.1"))
    return bytes(reply.to_wire())


SEEDS: dict[str, Callable[[], bytes]] = {
    "ring": _ring_seed,
    "sets": lambda: bytes(256),
    "dns": _dns_seed,
    "manifest": (SAMPLE / "manifest.json").read_bytes,
    "journal": _journal_seed,
    "parquet": (SAMPLE / "errors-00000.parquet").read_bytes,
    "damaged": (SAMPLE / "errors-00000.parquet").read_bytes,
    "summary": _summary_seed,
    "baseline": BASELINE.read_bytes,
    "finding": _finding_seed,
}
