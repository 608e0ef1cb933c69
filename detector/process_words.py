"""A process as findings and events have it: JSON in the form of `FindingProcess`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from detector.moments import moment
from detector.process_facts import ARGUMENT_LENGTH, ARGUMENTS, Process
from ethogram.contracts.escape import escape

__all__ = ["ancestor", "executable_of", "process_words"]


def process_words(process: Process, ancestors: Sequence[Process]) -> dict[str, Any]:
    """Return *process* as JSON; what is not known is left out."""
    facts = process.facts
    told = {
        "exec_id": process.exec_id,
        "pid": process.pid,
        "exe": escape(process.exe),
        "argv": [escape(word[:ARGUMENT_LENGTH]) for word in process.argv[:ARGUMENTS]],
        "ancestry": [ancestor(one) for one in ancestors],
        "ns_pid": process.ns_pid,
        "parent_exec_id": process.parent_exec_id,
        "fork_parent_exec_id": process.parent if process.parent != process.parent_exec_id else None,
        "is_fork": process.is_fork or None,
        "uid": facts.uid,
        "euid": facts.euid,
        "gid": facts.gid,
        "egid": facts.egid,
        "loginuid": facts.loginuid,
        "sessionid": facts.sessionid,
        "pgid": facts.pgid,
        "sid": facts.sid,
        "stdio": None if facts.stdio is None else list(facts.stdio),
        "has_tty": None if facts.stdio is None else "tty" in facts.stdio,
        "cwd": _text(facts.cwd),
        "script": _text(process.script),
        "interpreter": _text(process.interpreter),
        "started": moment(process.start_ns),
        "ended": None if process.end_ns is None else moment(process.end_ns),
        "exit_code": process.exit_code,
        "signal": process.signal,
        "was_there_before": process.is_snapshot or None,
        "is_argv_cut": process.is_argv_cut or None,
    }
    return {name: value for name, value in told.items() if value is not None}


def ancestor(process: Process) -> dict[str, Any]:
    """Return *process* as a step of an ancestry."""
    told = {"exec_id": process.exec_id, "exe": escape(process.exe), "pid": process.pid}
    return told | {"is_fork": True} if process.is_fork else told


def executable_of(executables: pa.Table | None, number: int) -> dict[str, Any]:
    """Return what is known of the file that is executable *number*, nothing where it is not."""
    if executables is None or not number:
        return {}
    at = pc.index(executables.column("exe"), pa.scalar(number, pa.uint32())).as_py()
    if at < 0:
        return {}
    row = executables.slice(at, 1)
    ctime = row.column("ctime").cast(pa.int64())[0].as_py()
    values = {name: row.column(name)[0].as_py()
              for name in ("dev", "ino", "nlink", "upper", "memfd", "sha256")}  # fmt: skip
    upper = values.pop("upper")
    told = {
        **values,
        "ctime": moment(ctime) if ctime and ctime > 0 else None,
        "in_image": None if upper is None else not upper,
        "memfd": values["memfd"] or None,
    }
    return {name: value for name, value in told.items() if value is not None}


def _text(value: bytes | None) -> str | None:
    return escape(value) if value else None
