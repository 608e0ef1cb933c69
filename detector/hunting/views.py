"""The views over the tables of recordings: one declaration for SQL, `--views` and the docs.

A view extends a table: it has the table's columns, with bytes as text, and more that are joined or
worked out. The tables just as they were recorded are in the schema `raw`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from detector.hunting.types import quoted, text_of
from ethogram.contracts.flags import CHANGES, Access, ProcessFlag
from ethogram.contracts.tables import TABLES

__all__ = ["MACROS", "VIEWS", "View", "ViewColumn"]

ANCESTORS = 256  # a longer chain is cut: no tree of processes is that deep by itself


@dataclass(frozen=True, slots=True)
class ViewColumn:
    """One column: *sql* says where it comes from."""

    name: str
    type: str
    doc: str
    sql: str


@dataclass(frozen=True, slots=True)
class View:
    """One view; *relation* is what stands after FROM, *needs* the relations that this names."""

    name: str
    doc: str
    columns: tuple[ViewColumn, ...]
    relation: str
    needs: tuple[str, ...]

    def statement(self) -> str:
        """Return the SQL that makes it."""
        columns = ", ".join(f"{one.sql} AS {quoted(one.name)}" for one in self.columns)
        return f"CREATE VIEW {quoted(self.name)} AS SELECT {columns} FROM {self.relation}"


_RECORDING = "number of the recording, in the order of the command line: row of `recordings`"
_SUBJECT = "who did it, as people call it: `namespace/kind/name (container)`"
_WHOSE = (
    ("subject", "str?", _SUBJECT, "subject_text(w)"),
    ("namespace", "str?", "Kubernetes namespace", "w.namespace"),
    ("pod_uid", "str?", "uid of the pod", "i.pod_uid"),
    ("container_id", "str?", "container id, unit invocation or command's run", "i.runtime_id"),
)
_EXE = ("exe_path", "str?", "path of the executable", "escaped(e.path)")
_JOIN_WHOSE = (
    " LEFT JOIN raw.workloads w ON w.recording = t.recording AND w.workload = t.workload"
    " LEFT JOIN raw.instances i ON i.recording = t.recording AND i.instance = t.instance"
)
_JOIN_EXE = " LEFT JOIN raw.executables e ON e.recording = t.recording AND e.exe = t.exe"
_DIMENSIONS = ("workloads", "instances", "executables")


def _words(column: str, flags: type[Access] | type[ProcessFlag]) -> str:
    """Return SQL for the names of the bits of *column*."""
    cases = ", ".join(
        f"CASE WHEN {column} & {flag.value} > 0 THEN '{(flag.name or '').lower()}' END"
        for flag in flags
    )
    return f"concat_ws(' ', {cases})"


def _columns(*columns: tuple[str, str, str, str]) -> tuple[ViewColumn, ...]:
    return tuple(ViewColumn(*column) for column in columns)


def _of_table(name: str) -> tuple[ViewColumn, ...]:
    """Return the columns of table *name*, alias `t`, with bytes as text."""
    found = [ViewColumn("recording", "u16", _RECORDING, "t.recording")]
    for column in TABLES[name].columns:
        text = text_of(column, "t")
        kind = column.type
        if text:
            kind = kind.replace("list:bytes", "list:str").replace("bytes", "str")
            kind = "str" + "?" * column.is_nullable if column.word.startswith("fixed") else kind
        found.append(ViewColumn(column.name, kind, column.doc, text or f"t.{quoted(column.name)}"))
    return tuple(found)


def _plain(name: str) -> View:
    return View(name, TABLES[name].doc, _of_table(name), f"raw.{name} t", (name,))


_DURATION = '(epoch_ns(t."end") - epoch_ns(t.start)) / 1e9'
_PROCESSES = View(
    "processes",
    "Processes, readable: one row an exec, one a fork that never executed.",
    (
        *_of_table("processes"),
        *_columns(
            *_WHOSE,
            _EXE,
            ("sha256", "str?", "digest of the executable", "e.sha256"),
            ("pid", "u32", "process id on the host: `tgid`", "t.tgid"),
            ("command", "str", "the arguments in one line",
             "array_to_string(list_transform(t.argv, lambda one: escaped(one)), ' ')"),
            ("started", "ts", "when it executed: `start`", "t.start"),
            ("ended", "ts?", "when it ended: `end`, without the quotes", 't."end"'),
            ("seconds", "double?", "from its start until its end", _DURATION),
            ("flag_words", "str", "the bits of `flags` by name", _words("t.flags", ProcessFlag)),
            ("is_fork", "bool", "it never executed", f"t.flags & {ProcessFlag.FORKED} > 0"),
            ("has_failed", "bool", "the exec failed: `errno` says why", "t.errno IS NOT NULL"),
        ),
    ),
    "raw.processes t" + _JOIN_WHOSE + _JOIN_EXE,
    ("processes", *_DIMENSIONS),
)  # fmt: skip

_ANCESTRY = View(
    "ancestry",
    f"Every process with each of its ancestors, up to {ANCESTORS}.",
    _columns(
        ("recording", "u16", _RECORDING, "recording"),
        ("exec_id", "str", "the process", "exec_id"),
        ("depth", "u32", "1 is its parent", "depth"),
        ("ancestor_exec_id", "str", "the ancestor; it may have no row in `processes`, where it"
         " belongs to no workload that was recorded", "ancestor_exec_id"),
        ("exe_path", "str?", "path of the ancestor's executable", "exe_path"),
        ("command", "str?", "the ancestor's arguments in one line", "command"),
        ("pid", "u32?", "the ancestor's process id on the host", "tgid"),
        ("subject", "str?", "whose the ancestor is", "subject"),
    ),
    "all_ancestors LEFT JOIN (SELECT recording, exec_id AS ancestor_exec_id, exe_path, command,"
    " tgid, subject FROM processes) USING (recording, ancestor_exec_id)",
    ("processes", *_DIMENSIONS),
)  # fmt: skip

_OPENED = f"t.access & {int(CHANGES)} = 0 AND t.access <> {int(Access.TRUNCATE)}"
_WROTE = int(Access.WRITE | Access.CREATE | Access.TRUNCATE | Access.APPEND)
_FILES_OPENED = View(
    "files_opened",
    "Files that were opened, or that could not be: `files` without changes of names.",
    (
        *_of_table("files"),
        *_columns(
            *_WHOSE,
            _EXE,
            ("access_words", "str", "the bits of `access` by name", _words("t.access", Access)),
            ("is_write", "bool", "opened for writing, created, emptied or appended to",
             f"t.access & {_WROTE} > 0"),
            ("has_failed", "bool", "it could not be opened: `errno` says why",
             "t.errno IS NOT NULL"),
        ),
    ),
    f"(SELECT * FROM raw.files t WHERE {_OPENED}) t" + _JOIN_WHOSE + _JOIN_EXE,
    ("files", *_DIMENSIONS),
)  # fmt: skip

_TRANSPORT = (
    "CASE WHEN t.family = 1 THEN 'unix' WHEN t.family = 16 THEN 'netlink' WHEN t.family = 17 THEN"
    " 'packet' ELSE CASE t.protocol WHEN 1 THEN 'icmp' WHEN 6 THEN 'tcp' WHEN 17 THEN 'udp' WHEN 58"
    " THEN 'icmpv6' WHEN 132 THEN 'sctp' WHEN 136 THEN 'udplite' ELSE 'ip ' || t.protocol END END"
)
_FLOWS = View(
    "flows",
    "Who talked to whom, with the names of both.",
    (
        *_of_table("network"),
        *_columns(
            *_WHOSE,
            _EXE,
            ("transport", "str", "tcp, udp, icmp, unix, netlink, packet ...", _TRANSPORT),
            ("peer", "str?", "the peer's name, as table `addresses` has it at the time: pod,"
             " service, node ...", "a.name"),
            ("peer_kind", "str?", "pod, service, node, apiserver, dns, external", "a.kind"),
            ("peer_subject", "str?", "the workload whose address it was: `namespace/kind/name`",
             "a.subject"),
        ),
    ),
    "raw.network t ASOF LEFT JOIN address_spans a ON t.recording = a.recording"
    " AND t.peer_addr = a.addr AND t.last >= a.since" + _JOIN_WHOSE + _JOIN_EXE,
    ("network", "addresses", *_DIMENSIONS),
)  # fmt: skip

_ENDS = (
    ("recording", "u16", _RECORDING, "s.recording"),
    ("client_subject", "str?", "who connected", "c.subject"),
    ("client_container_id", "str?", "its container", "c.container_id"),
    ("client_exe_path", "str?", "its executable", "c.exe_path"),
    ("client_instance", "u32", "its row of `instances`", "c.instance"),
    ("server_subject", "str?", "who accepted", "s.subject"),
    ("server_container_id", "str?", "its container", "s.container_id"),
    ("server_exe_path", "str?", "its executable", "s.exe_path"),
    ("server_instance", "u32", "its row of `instances`", "s.instance"),
    ("transport", "str", "tcp, unix ...", "s.transport"),
    ("asked_addr", "str?", "the address that the client asked for: a service's, say",
     "c.peer_addr"),
    ("asked_port", "u16?", "its port", "c.peer_port"),
    ("server_addr", "str?", "where it was accepted", "s.local_addr"),
    ("server_port", "u16?", "its port", "s.local_port"),
    ("client_addr", "str?", "the client's address, as the server saw it", "s.peer_addr"),
    ("connections", "u64", "how many, as the server counted", "s.connections"),
    ("rx_bytes", "u64?", "bytes that the server received", "s.rx_bytes"),
    ("tx_bytes", "u64?", "bytes that the server sent", "s.tx_bytes"),
    ("first", "ts", "first time seen in the window", "s.first"),
    ("last", "ts", "last time seen in the window", "s.last"),
    ("matched_by", "str", "`cookie`: the kernel says that these two sockets talk to each other;"
     " `address`: addresses, ports and window agree, and nothing contradicts it", "matched_by"),
)  # fmt: skip
_BOTH_ENDS = View(
    "both_ends",
    "Connections whose both ends are in one recording, a row a window.",
    _columns(*_ENDS),
    "(SELECT s, c, 'cookie' AS matched_by FROM flows s JOIN flows c ON s.recording = c.recording"
    " AND s.peer_cookie = c.cookie WHERE s.direction = 'in' AND c.direction = 'out'"
    " UNION ALL SELECT s, c, 'address' FROM flows s JOIN flows c ON s.recording = c.recording"
    ' AND s."window" = c."window" AND s.family = c.family AND s.protocol = c.protocol'
    " AND s.local_addr = coalesce(c.nat_addr, c.peer_addr)"
    " AND s.local_port = coalesce(c.nat_port, c.peer_port)"
    " WHERE s.direction = 'in' AND c.direction = 'out' AND s.peer_cookie IS NULL"
    " AND (c.local_addr IS NULL OR c.local_addr = s.peer_addr)"
    " AND (s.peer_subject IS NULL OR starts_with(c.subject, s.peer_subject)))",
    ("network", "addresses", *_DIMENSIONS),
)

_OWN = {one.name: one for one in (_PROCESSES, _ANCESTRY, _FILES_OPENED, _FLOWS, _BOTH_ENDS)}
VIEWS: Mapping[str, View] = MappingProxyType(
    {name: _plain(name) for name in TABLES if name not in _OWN} | _OWN
)

_V4 = " || '.' || ".join(f"('0x' || substr(hex(value), {at}, 2))::UTINYINT" for at in (1, 3, 5, 7))
# Functions in Python are slow: they get what few rows have. Text whose length stays the same holds
# nothing to escape.
MACROS = (
    "CREATE MACRO escaped(value) AS CASE WHEN octet_length(value) = strlen(value::VARCHAR)"
    " THEN value::VARCHAR ELSE escape_bytes(value) END",
    f"CREATE MACRO address_text(value) AS CASE octet_length(value) WHEN 4 THEN {_V4}"
    " ELSE address_of(value) END",
    "CREATE MACRO subject_text(w) AS concat_ws('/', w.cluster, w.namespace, w.kind, w.name) ||"
    " CASE WHEN w.container IS NULL THEN '' ELSE ' (' || w.container || ')' END",
)
# From when on an address was whose: of rows that are open at a time the latest, then by kind.
ADDRESS_SPANS = """
CREATE VIEW address_spans AS
WITH bounds AS (
    SELECT recording, addr, valid_from AS since FROM raw.addresses
    UNION SELECT recording, addr, valid_to FROM raw.addresses WHERE valid_to IS NOT NULL)
SELECT b.recording, b.addr, b.since, a.name, a.kind, coalesce(
    CASE WHEN w.name IS NOT NULL
         THEN concat_ws('/', w.cluster, w.namespace, w.kind, w.name) END,
    CASE WHEN a.owner_name IS NOT NULL
         THEN concat_ws('/', a.namespace, a.owner_kind, a.owner_name) END) AS subject
FROM bounds b LEFT JOIN raw.addresses a ON a.recording = b.recording AND a.addr = b.addr
    AND a.valid_from <= b.since AND (a.valid_to IS NULL OR a.valid_to > b.since)
LEFT JOIN raw.workloads w ON w.recording = b.recording AND w.workload = a.workload
QUALIFY row_number() OVER (PARTITION BY b.recording, b.addr, b.since ORDER BY a.valid_from DESC,
    list_position(['pod', 'node', 'external', 'service', 'dns', 'apiserver'], a.kind)) = 1"""
# What comes round to itself ends there, and what is too long is cut.
ALL_ANCESTORS = f"""
CREATE VIEW all_ancestors AS
WITH RECURSIVE parents AS MATERIALIZED (
    SELECT recording, exec_id, coalesce(parent_exec_id, fork_parent_exec_id) AS parent
    FROM raw.processes WHERE coalesce(parent_exec_id, fork_parent_exec_id) <> exec_id),
chain AS (
    SELECT recording, exec_id, parent AS ancestor_exec_id, 1::UINTEGER AS depth FROM parents
    UNION ALL
    SELECT chain.recording, chain.exec_id, parents.parent, (chain.depth + 1)::UINTEGER
    FROM chain JOIN parents ON parents.recording = chain.recording
        AND parents.exec_id = chain.ancestor_exec_id
    WHERE chain.depth < {ANCESTORS} AND parents.parent <> chain.exec_id)
SELECT recording, exec_id, ancestor_exec_id, min(depth) AS depth FROM chain GROUP BY ALL"""
