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
_READING = frozenset({"SELECT", "MULTI", "EXPLAIN"})
# They may stand inside a statement that reads, too: `WITH x AS (COPY ...)`.
_WRITING = frozenset(
    {
        "ALTER", "ATTACH", "CALL", "COPY", "CREATE", "DELETE", "DETACH", "DROP", "EXPORT",
        "IMPORT", "INSERT", "INSTALL", "LOAD", "MERGE", "PRAGMA", "TRUNCATE", "UPDATE",
    }
)  # fmt: skip
# These run what a string says, with their names in quotes, too.
_RUNNING = frozenset(
    {"QUERY", "JSON_EXECUTE_SERIALIZED_SQL", "FROM_SUBSTRAIT", "PYTHON_MAP_FUNCTION"}
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
    if kind not in _READING:
        raise UsageError(
            f"a query only reads: {kind} is refused", hint="write SELECT, FROM, WITH or DESCRIBE"
        )
    words = _words(sql)
    if running := sorted(_RUNNING & {word.strip('"') for word in words}):
        raise UsageError(
            f"a query only reads: {running[0].lower()}() is refused, which runs a string",
            hint="write what it says as a part of the query",
        )
    if written := sorted(_WRITING & words):
        raise UsageError(
            f"a query only reads: {written[0]} is refused",
            hint=f'a name of that kind goes in quotes: `"{written[0].lower()}"`',
        )
    if kind != "SELECT":
        return
    try:  # binds it: where the query itself is run, an error has no place
        connection.execute(_EXPLAIN + sql)
    except Exception as error:
        raise refusal_of(error, _EXPLAIN + sql, 0, skipped=len(_EXPLAIN)) from error


def _words(sql: str) -> set[str]:
    """Return the words of *sql* outside of strings, quoted names and comments, as DuckDB does."""
    import duckdb  # noqa: PLC0415  70 MB, and optional

    data = sql.encode()
    tokens = duckdb.tokenize(sql)
    ends = [*(offset for offset, _ in tokens[1:]), len(data)]
    return {
        data[offset:end].decode("utf-8", "replace").strip().upper()
        for (offset, kind), end in zip(tokens, ends, strict=True)
        if kind not in (duckdb.token_type.string_const, duckdb.token_type.comment)
    }


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
