"""The processes of a container, or those around one, as a tree with what they touched.

Files and connections are recorded by executable, not by process: they are told of a process that
ran this executable in this instance at that time. Where several did, `shared` says of how many one
did it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from detector.hunting.engine import Hunt
from ethogram.errors import EthogramError, UsageError

__all__ = ["TABLES_OF_TREES", "Asked", "Node", "Tree", "tree_of"]

# What `hunting` is to make ready.
TABLES_OF_TREES = "processes files_opened flows losses"
_PREFIX = 8  # of an exec id: host and boot, which are the same for all of a recording
_SHOWN = 5
_Key = tuple[int, str]


@dataclass(frozen=True, slots=True)
class Asked:
    """What tree is meant: one of these."""

    exec_id: str | None = None
    container: str | None = None
    pod: str | None = None
    workload: str | None = None


@dataclass(frozen=True, slots=True)
class Node:
    """One process where it stands; *files* and *connections* are the first, *more* how many else.

    *parent_is_known* says that its parent has a row; *again* that the same process executed before.
    """

    process: Mapping[str, Any]
    depth: int
    is_last: bool
    is_asked: bool
    parent_is_known: bool
    again: bool
    files: Sequence[Mapping[str, Any]] = ()
    more_files: int = 0
    connections: Sequence[Mapping[str, Any]] = ()
    more_connections: int = 0


@dataclass(frozen=True, slots=True)
class Tree:
    """The processes in the order of drawing; *left_out* is how many more there are."""

    nodes: Sequence[Node]
    left_out: int


def tree_of(hunt: Hunt, asked: Asked, *, processes: int, files: int) -> Tree:
    """Return the tree of *asked*: so many *processes*, and *files* and connections of each.

    `UsageError` where nothing or too much is meant.
    """
    whose, chosen = _chosen(hunt, asked)
    number = hunt.rows(f"WITH {whose} SELECT count(*) FROM chosen", chosen)[0][0]
    if not number:
        raise EthogramError("no process of it was recorded", hint="`FROM processes` lists them")
    bounded = (
        f"WITH {whose}, bounded AS MATERIALIZED (SELECT p.* FROM processes p"
        " SEMI JOIN chosen USING (recording, exec_id)"
        f" ORDER BY started, exec_id LIMIT {processes:d})"
    )
    found = _records(
        hunt,
        f"{bounded} SELECT recording, exec_id, coalesce(parent_exec_id, fork_parent_exec_id) AS"
        " parent, session_exec_id, tgid AS pid, ns_tgid AS ns_pid, phase, exe_path, command,"
        " script, uid, started, ended, seconds, exit_code, signal, errno, is_fork, flag_words,"
        " subject, container_id FROM bounded ORDER BY started, exec_id",
        chosen,
    )
    opened = _by_process(_records(hunt, bounded + _touched(_FILES, files), chosen))
    talked = _by_process(_records(hunt, bounded + _touched(_FLOWS, files), chosen))
    return Tree(tuple(_laid_out(found, opened, talked, asked.exec_id)), number - len(found))


def _records(hunt: Hunt, sql: str, parameters: Sequence[Any]) -> list[dict[str, Any]]:
    with hunt.failures(sql):
        answer = hunt.connection.execute(sql, list(parameters))
        names = [one[0] for one in answer.description]
        return [dict(zip(names, row, strict=True)) for row in answer.fetchall()]


def _chosen(hunt: Hunt, asked: Asked) -> tuple[str, list[Any]]:
    """Return the SQL of `chosen`, the keys of the processes, and its parameters."""
    if asked.exec_id is not None:
        return _AROUND, [_exec_id(hunt, asked.exec_id)] * 2
    if asked.container is not None:
        return _one_of(hunt, "container", "i.runtime_id", asked.container)
    if asked.pod is not None:
        return _of_pod(hunt, asked.pod)
    word = asked.workload or ""
    condition = (
        "subject_text(w) = ? OR concat_ws('/', w.namespace, w.kind, w.name) = ?"
        " OR concat_ws('/', w.namespace, w.name) = ? OR w.name = ?"
    )
    return _instances(hunt, "workload", word, condition, [word] * 4)


# The process, all below it, and above it the way to the top.
_AROUND = """RECURSIVE tied AS MATERIALIZED (
    SELECT recording, exec_id, coalesce(parent_exec_id, fork_parent_exec_id) AS parent
    FROM raw.processes),
below AS (SELECT recording, exec_id FROM tied WHERE exec_id = ?
    UNION SELECT t.recording, t.exec_id FROM tied t JOIN below b
        ON b.recording = t.recording AND b.exec_id = t.parent),
above AS (SELECT recording, parent AS exec_id FROM tied WHERE exec_id = ? AND parent IS NOT NULL
    UNION SELECT t.recording, t.parent FROM tied t JOIN above a
        ON a.recording = t.recording AND a.exec_id = t.exec_id WHERE t.parent IS NOT NULL),
chosen AS (SELECT recording, exec_id FROM tied SEMI JOIN
    (FROM below UNION FROM above) USING (recording, exec_id))"""
_FILES = (
    "files_opened",
    "path, access_words AS access, bool_or(is_write) AS is_write, errno",
    "path, access_words, errno",
    "is_write DESC, errno IS NOT NULL, first, path",
)
_FLOWS = (
    "flows",
    "direction, transport, local_addr, local_port, peer_addr, peer_port, unix_path, name, peer,"
    " peer_subject",
    "direction, transport, local_addr, local_port, peer_addr, peer_port, unix_path, name, peer,"
    " peer_subject",
    "first, direction, peer_addr, peer_port",
)


def _touched(what: tuple[str, str, str, str], limit: int) -> str:
    """Return SQL for what each process touched: the first *limit*, with how many there are."""
    view, columns, key, order = what
    count = "connections" if view == "flows" else "calls"
    return (
        f", numbered AS (SELECT *, row_number() OVER () AS row_id FROM {view} WHERE"
        " (recording, instance) IN (SELECT DISTINCT recording, instance FROM bounded)),"
        " running AS (SELECT recording, exec_id, instance, exe, started, ended FROM processes"
        " WHERE NOT has_failed AND (recording, instance) IN"
        " (SELECT DISTINCT recording, instance FROM bounded)),"
        " told AS (SELECT n.*, r.exec_id, count(*) OVER (PARTITION BY n.row_id) AS doers"
        " FROM numbered n JOIN running r ON r.recording = n.recording AND r.instance = n.instance"
        " AND r.exe = n.exe AND n.last >= r.started AND (r.ended IS NULL OR n.first <= r.ended)),"
        f" grouped AS (SELECT recording, exec_id, {columns}, sum({count}) AS times,"
        " min(doers) AS shared, min(first) AS first, max(last) AS last"
        f" FROM told SEMI JOIN bounded USING (recording, exec_id)"
        f" GROUP BY recording, exec_id, {key})"
        " SELECT *, count(*) OVER (PARTITION BY recording, exec_id) AS total FROM grouped"
        f" QUALIFY row_number() OVER (PARTITION BY recording, exec_id ORDER BY {order})"
        f" <= {limit:d}"
        f" ORDER BY recording, exec_id, {order}"
    )


def _exec_id(hunt: Hunt, word: str) -> str:
    """Return the exec id that *word* abbreviates, with what all begin with or not."""
    rows = hunt.rows(
        "SELECT DISTINCT exec_id FROM raw.processes WHERE starts_with(exec_id, ?)"
        f" OR starts_with(substr(exec_id, {_PREFIX + 1}), ?) ORDER BY 1 LIMIT 100",
        [word, word],
    )
    found = [row[0] for row in rows]
    if word in found:
        return word
    return _only(found, "process", word, "`FROM processes` lists exec ids")


def _only(found: Sequence[str], noun: str, word: str, hint: str) -> str:
    if len(found) == 1:
        return found[0]
    if not found:
        raise UsageError(f"no {noun} `{word}` was recorded", hint=hint)
    some = ", ".join(f"`{one}`" for one in found[:_SHOWN])
    more = " ..." if len(found) > _SHOWN else ""
    raise UsageError(
        f"`{word}` may be any of several: {some}{more}", hint=f"name more of the {noun}"
    )


def _one_of(hunt: Hunt, noun: str, column: str, word: str) -> tuple[str, list[Any]]:
    rows = hunt.rows(
        f"SELECT DISTINCT {column} FROM raw.instances i WHERE starts_with({column}, ?) ORDER BY 1",
        [word],
    )
    name = _only([row[0] for row in rows], noun, word, "`FROM instances` lists them")
    return _instances(hunt, noun, word, f"{column} = ?", [name])


def _of_pod(hunt: Hunt, word: str) -> tuple[str, list[Any]]:
    """Return the processes of the pod whose uid *word* is, or whose name an address has."""
    namespace, _, name = word.rpartition("/")
    condition = (
        "i.pod_uid = ? OR (w.namespace = ? AND (w.name = ? AND w.kind = 'Pod' OR EXISTS"
        " (FROM raw.network n JOIN raw.addresses a ON a.recording = n.recording"
        " AND a.addr = n.local_addr WHERE n.recording = i.recording AND n.instance = i.instance"
        " AND n.direction = 'in' AND a.kind = 'pod' AND a.name = ?)))"
    )
    return _instances(hunt, "pod", word, condition, [word, namespace, name, word])


def _instances(
    hunt: Hunt, noun: str, word: str, condition: str, parameters: list[Any]
) -> tuple[str, list[Any]]:
    relation = (
        "raw.instances i JOIN raw.workloads w ON w.recording = i.recording"
        f" AND w.workload = i.workload WHERE {condition}"
    )
    if not hunt.rows(f"SELECT count(*) FROM {relation}", parameters)[0][0]:
        known = hunt.rows("SELECT DISTINCT subject_text(w) FROM raw.workloads w ORDER BY 1 LIMIT 5")
        raise UsageError(
            f"no {noun} `{word}` was recorded",
            hint="recorded were " + ", ".join(f"`{row[0]}`" for row in known)
            if known
            else "`FROM instances` lists them",
        )
    chosen = (
        "chosen AS (SELECT recording, exec_id FROM raw.processes SEMI JOIN"
        f" (SELECT i.recording, i.instance FROM {relation}) USING (recording, instance))"
    )
    return chosen, parameters


def _by_process(rows: Sequence[dict[str, Any]]) -> dict[_Key, list[dict[str, Any]]]:
    found: dict[_Key, list[dict[str, Any]]] = {}
    for row in rows:
        found.setdefault((row.pop("recording"), row.pop("exec_id")), []).append(row)
    return found


def _laid_out(
    found: Sequence[dict[str, Any]],
    opened: Mapping[_Key, list[dict[str, Any]]],
    talked: Mapping[_Key, list[dict[str, Any]]],
    asked: str | None,
) -> Iterator[Node]:
    """Yield the processes depth first; what comes round to itself begins where it began first."""
    known = {(one["recording"], one["exec_id"]): one for one in found}
    children: dict[_Key | None, list[_Key]] = {}
    for key, one in known.items():
        parent = (one["recording"], one["parent"])
        children.setdefault(parent if parent in known and parent != key else None, []).append(key)
    drawn: set[_Key] = set()
    for top in [*children.get(None, ()), *known]:
        stack = [(top, 0, True)]
        while stack:
            key, depth, is_last = stack.pop()
            if key in drawn:
                continue
            drawn.add(key)
            one, below = (
                known[key],
                [child for child in children.get(key, ()) if child not in drawn],
            )
            stack += [(child, depth + 1, child == below[-1]) for child in reversed(below)]
            siblings = children.get((one["recording"], one["parent"]), ())
            yield Node(
                process=one,
                depth=depth,
                is_last=is_last,
                is_asked=asked is not None and _abbreviates(asked, one["exec_id"]),
                parent_is_known=(one["recording"], one["parent"]) in known,
                again=any(_is_before(known[sibling], one) for sibling in siblings),
                files=_without_total(opened.get(key, ())),
                more_files=_more(opened.get(key, ())),
                connections=_without_total(talked.get(key, ())),
                more_connections=_more(talked.get(key, ())),
            )


def _is_before(other: Mapping[str, Any], one: Mapping[str, Any]) -> bool:
    """Say whether *other* is an earlier exec of process *one*; with an end its pid went on."""
    return (
        other["pid"] == one["pid"]
        and other["started"] < one["started"]
        and other["exit_code"] is None
        and other["signal"] is None
        and other["errno"] is None
    )


def _abbreviates(word: str, exec_id: str) -> bool:
    return exec_id.startswith(word) or exec_id[_PREFIX:].startswith(word)


def _without_total(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in row.items() if name != "total"} for row in rows]


def _more(rows: Sequence[Mapping[str, Any]]) -> int:
    return rows[0]["total"] - len(rows) if rows else 0
