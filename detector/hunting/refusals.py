"""Which SQL is run, and what to say where it fails."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from ethogram.errors import EthogramError, RecordingError, UsageError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

__all__ = ["ENDED", "refusal_of", "require_reading"]

ENDED = "name a table and columns that say less, add a condition, or pass a longer `--timeout`"
_LOOK = "`ethogram query --views` lists views and columns, DuckDB's documentation has the rest"
# DuckDB makes several statements of a PIVOT, and runs what it explains with ANALYZE.
_COMPOUND = frozenset({"MULTI", "EXPLAIN"})
_WRITES = re.compile(
    r"\b(copy|export|import|attach|detach|insert|update|delete|merge|create|drop|alter|truncate"
    r"|install|load|set|reset|pragma|call|prepare|execute|vacuum|checkpoint)\b",
    re.IGNORECASE,
)
_KIND = re.compile(r"\A[A-Z][A-Za-z ]* Error: ")
_EXPLAIN = "EXPLAIN "
_LONGEST, _SHOWN = 600, 72


def require_reading(connection: DuckDBPyConnection, sql: str) -> None:
    """Raise `UsageError` unless *sql* is one statement that reads."""
    try:
        statements = connection.extract_statements(sql)
    except Exception as error:
        raise refusal_of(error, sql, 0) from error
    if not statements:
        raise UsageError("the query is empty", hint="try `SELECT * FROM processes LIMIT 10`")
    if len(statements) > 1:
        raise UsageError(
            f"{len(statements)} statements, where one is run",
            hint="`WITH name AS (...)` names parts",
        )
    kind = statements[0].type.name
    reads = kind == "SELECT" or (kind in _COMPOUND and not _WRITES.search(sql))
    if not reads:
        raise UsageError(
            f"a query only reads: {kind} is refused", hint="write SELECT, FROM, WITH or DESCRIBE"
        )
    if kind != "SELECT":
        return
    try:  # binds it: where the query itself is run, an error has no place
        connection.execute(_EXPLAIN + sql)
    except Exception as error:
        raise refusal_of(error, _EXPLAIN + sql, 0, skipped=len(_EXPLAIN)) from error


def refusal_of(error: Exception, sql: str, memory_bytes: int, *, skipped: int = 0) -> EthogramError:
    """Return what to say of *error*, which DuckDB raised over *sql*.

    So many characters are *skipped*: they stand before what was asked.
    """
    text, place = _message(str(error), sql, skipped)
    match type(error).__name__:
        case "ParserException" | "BinderException" | "CatalogException" | "SyntaxException":
            return UsageError(text, hint=_LOOK, log=place)
        case "PermissionException":
            return UsageError(
                f"SQL reaches no file and no network here: {text.partition(' - ')[0]}",
                hint="name recordings and findings after the query",
                log=place,
            )
        case "OutOfMemoryException":
            return EthogramError(
                f"the query needs more than {memory_bytes / (1 << 20):,.0f} MiB of memory, or more"
                " temporary files than it may have",
                hint="aggregate or filter first, or pass a larger `--memory` or `--temporary`",
            )
        case "IOException":
            return RecordingError(
                text, hint="where it is still being recorded, files are replaced: run it again"
            )
    return EthogramError(text, hint=_LOOK, log=place)


def _message(text: str, sql: str, skipped: int) -> tuple[str, str | None]:
    """Return the cause in DuckDB's *text*, bounded, and the place in *sql* with a caret."""
    try:
        document = json.loads(text[text.index("{") :])
        cause, position = document["exception_message"], document.get("position")
    except (ValueError, KeyError, TypeError):
        cause, position = _KIND.sub("", text), None
    cause = " ".join(str(cause).split())[:_LONGEST]
    cause = cause[:1].lower() + cause[1:]
    if position is None or not sql:
        return cause, None
    before = sql.encode()[: int(position)].decode("utf-8", "ignore")[skipped:]
    sql = sql[skipped:]
    line, column = before.count("\n"), len(before.rpartition("\n")[2])
    begin = max(0, column - _SHOWN // 2)
    shown = sql.split("\n")[line][begin : begin + _SHOWN]
    number = f"line {line + 1}, column {column + 1}"
    return f"{number}: {cause}", f"{shown}\n{' ' * (column - begin)}^"
