"""A DuckDB that sees recordings and findings, and nothing else of this machine.

No file, network or extension can be reached from SQL, nothing can be configured, and only
statements that read are run. Memory, temporary files and time are bounded.
"""

from __future__ import annotations

import re
import signal
import tempfile
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from detector.hunting.events import EVENTS, event_batches
from detector.hunting.findings import FINDINGS, FindingLines
from detector.hunting.refusals import ENDED, refusal_of, require_reading
from detector.hunting.sources import Rows, Source, empty_relation, relation_of
from detector.hunting.types import quoted, sql_type
from detector.hunting.views import ADDRESS_SPANS, ALL_ANCESTORS, MACROS, VIEWS
from ethogram.contracts.escape import escape
from ethogram.contracts.tables import TABLES, Table
from ethogram.errors import EthogramError, PreflightError
from learner.dimensions import address_text

if TYPE_CHECKING:
    import duckdb

__all__ = ["Bounds", "Hunt", "hunting"]

_WORD = re.compile(r"\w+")
_BATCH_ROWS = 4096
_AGAIN_S = 0.05
_RECORDINGS = (
    "CREATE TABLE recordings (recording USMALLINT, place VARCHAR, recording_id VARCHAR,"
    " host_id VARCHAR, boot_id VARCHAR, cluster VARCHAR, started TIMESTAMP_NS, ended TIMESTAMP_NS,"
    " window_ms UINTEGER, kernel VARCHAR, arch VARCHAR, loader VARCHAR, is_truncated BOOLEAN)"
)


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a query may take: *seconds* is None for no limit."""

    memory_bytes: int = 1 << 30
    temporary_bytes: int = 8 << 30
    seconds: float | None = None


@dataclass
class Hunt:
    """Answers about *sources* and *findings*; use `hunting`."""

    connection: duckdb.DuckDBPyConnection
    bounds: Bounds
    streams: list[Rows] = field(default_factory=list)
    stopped_by: str | None = None

    def batches(self, sql: str) -> pa.RecordBatchReader:
        """Return the answer to *sql*, which is read as it is worked out; see `failures`."""
        require_reading(self.connection, sql)
        return self.connection.sql(sql).to_arrow_reader(_BATCH_ROWS)

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Return the answer to *sql* of ours as Python's values."""
        with self.failures(sql):
            return self.connection.execute(sql, list(parameters)).fetchall()

    @contextmanager
    def failures(self, sql: str) -> Iterator[None]:
        """End what runs in here after its time or at Ctrl-C, and say what went wrong with *sql*."""
        done = threading.Event()
        before = self._at_interrupt(done)
        if self.bounds.seconds is not None:
            self._start("time", done, self.bounds.seconds)
        try:
            yield
            if self.stopped_by == "user":
                raise KeyboardInterrupt
        except (EthogramError, BrokenPipeError):
            raise
        except Exception as error:
            raise self._refusal(error, sql) from error
        finally:
            done.set()
            if before is not None:
                signal.signal(signal.SIGINT, before)

    def _refusal(self, error: Exception, sql: str) -> BaseException:
        if self.stopped_by == "user":
            return KeyboardInterrupt()
        stream = next((one.failure for one in self.streams if one.failure), None)
        if stream is not None:
            return stream
        if self.stopped_by == "time":
            return EthogramError(
                f"the query took longer than {self.bounds.seconds:g} s", hint=ENDED
            )
        return refusal_of(error, sql, self.bounds.memory_bytes)

    def _at_interrupt(self, done: threading.Event) -> Any:
        """Let Ctrl-C stop the query; return what it did before, None where it is not ours."""
        if threading.current_thread() is not threading.main_thread():
            return None
        return signal.signal(signal.SIGINT, lambda *_: self._start("user", done, 0.0))

    def _start(self, why: str, done: threading.Event, wait: float) -> None:
        threading.Thread(target=self._stop, args=(why, done, wait), daemon=True).start()

    def _stop(self, why: str, done: threading.Event, wait: float) -> None:
        """Interrupt what runs, and what runs next: between two steps an interrupt is lost."""
        while not done.wait(wait):
            self.stopped_by = self.stopped_by or why
            self.connection.interrupt()
            wait = _AGAIN_S


@contextmanager
def hunting(
    sources: Sequence[Source],
    findings: FindingLines,
    *,
    sql: str,
    bounds: Bounds | None = None,
) -> Iterator[Hunt]:
    """Yield what answers about *sources* and *findings*; only what *sql* names is looked at.

    A table that *sql* does not name is there, and empty.
    """
    bounds = bounds or Bounds()
    with tempfile.TemporaryDirectory(prefix="ethogram-query-") as directory:
        connection = _connected(Path(directory), bounds)
        try:
            hunt = Hunt(connection, bounds)
            with hunt.failures(""):
                _define(hunt, sources, findings, _named_in(sql))
                connection.execute("SET enable_external_access = false")
                connection.execute("SET lock_configuration = true")
            yield hunt
        finally:
            connection.close()


def _connected(directory: Path, bounds: Bounds) -> duckdb.DuckDBPyConnection:
    try:
        import duckdb  # noqa: PLC0415  70 MB, and optional
    except ImportError as error:
        raise PreflightError(
            "DuckDB is not installed, which answers queries",
            hint="`pip install 'ethogram[query]'` adds it",
        ) from error
    connection = duckdb.connect(
        config={
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "allow_community_extensions": False,
            "allow_unredacted_secrets": False,
            "memory_limit": f"{bounds.memory_bytes}B",
            "temp_directory": str(directory),
            "max_temp_directory_size": f"{bounds.temporary_bytes}B",
            "preserve_insertion_order": True,
        }
    )
    # Variables of this program are no tables.
    connection.execute("SET python_enable_replacements = false")
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET enable_progress_bar = false")
    connection.execute("SET errors_as_json = true")
    connection.create_function("escape_bytes", escape, ["BLOB"], "VARCHAR")
    connection.create_function(
        "address_of", lambda one: address_text(one, None), ["BLOB"], "VARCHAR"
    )
    for macro in MACROS:
        connection.execute(macro)
    return connection


def _named_in(sql: str) -> frozenset[str]:
    """Return the tables that *sql* may read: those that it names, and what these stand on."""
    words = {word.lower() for word in _WORD.findall(sql)}
    named = {name for name in TABLES if name in words}
    named |= {need for name, view in VIEWS.items() if name in words for need in view.needs}
    return frozenset(named | ({"findings", "events"} & words))


def _define(
    hunt: Hunt, sources: Sequence[Source], findings: FindingLines, named: frozenset[str]
) -> None:
    connection = hunt.connection
    files = [
        file for source in sources for name in named & set(TABLES)
        for file in source.local_files(name)
    ]  # fmt: skip
    connection.execute("SET allowed_paths = ?", [files])
    connection.execute("CREATE SCHEMA raw")
    for name, table in TABLES.items():
        select = empty_relation(table)
        if name in named:
            select = relation_of(connection, sources, table, hunt.streams)
        connection.execute(f"CREATE VIEW raw.{name} AS {select}")
    connection.execute(ADDRESS_SPANS)
    for view in VIEWS.values():
        if view.name == "ancestry":
            connection.execute(ALL_ANCESTORS)
        connection.execute(view.statement())
    _define_recordings(connection, sources)
    _define_lines(hunt, FINDINGS, findings.batches() if "findings" in named else ())
    _define_lines(hunt, EVENTS, event_batches(findings.paths) if "events" in named else ())


def _define_recordings(connection: duckdb.DuckDBPyConnection, sources: Sequence[Source]) -> None:
    connection.execute(_RECORDINGS)
    for source in sources:
        manifest = source.recording.manifest
        times = [one and one.replace(tzinfo=None) for one in (manifest.started, manifest.ended)]
        connection.execute(
            "INSERT INTO recordings VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                source.number, source.place, manifest.recording_id, manifest.host_id,
                manifest.boot_id, manifest.cluster, *times, manifest.window_ms, manifest.kernel,
                manifest.arch, manifest.loader, source.recording.is_truncated,
            ],
        )  # fmt: skip


def _define_lines(hunt: Hunt, table: Table, batches: Iterable[pa.RecordBatch]) -> None:
    """Make *table* of lines: as one of DuckDB, which goes to temporary files where it must."""
    columns = ", ".join(
        f"{quoted(one.name)} {'DOUBLE' if one.word == 'double' else sql_type(one.word)}"
        for one in table.columns
    )
    connection = hunt.connection
    connection.execute(f"CREATE TABLE {table.name} ({columns})")
    for batch in batches:
        connection.register("batch", pa.table(batch))
        connection.execute(f"INSERT INTO {table.name} SELECT * FROM batch")
        connection.unregister("batch")
