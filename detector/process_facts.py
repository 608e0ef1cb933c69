"""What table `processes` says of a process, kept small: most of it is the same as its parent's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import pyarrow as pa

from ethogram.contracts.flags import ProcessFlag

__all__ = ["ARGUMENTS", "ARGUMENT_LENGTH", "Facts", "Process", "processes_of"]

# So many arguments, and so many bytes of each, are shown.
ARGUMENTS, ARGUMENT_LENGTH = 32, 512
_UNSET = 2**32 - 1  # of a login user or session
_NUMBERS = ("uid", "euid", "gid", "egid", "loginuid", "sessionid", "pgid", "sid", "stdio", "cwd")
_OWN = (
    "exec_id", "parent_exec_id", "fork_parent_exec_id", "session_exec_id", "tgid", "ns_tgid",
    "instance", "exe", "argv", "flags", "errno", "exit_code", "signal", "script", "interpreter",
    "observed",
)  # fmt: skip


class Facts(NamedTuple):
    """What a fork has like its parent; one object for all that have the same."""

    uid: int
    euid: int | None
    gid: int
    egid: int | None
    loginuid: int | None
    sessionid: int | None
    pgid: int | None
    sid: int | None
    stdio: tuple[str, ...] | None
    cwd: bytes | None


@dataclass(slots=True)
class Process:
    """One exec, or a fork that never executed; times in nanoseconds UTC, None while it lives.

    *parent* is who is told as such: who forked it, whoever became its parent later. *errno* is of
    an exec that failed, which is no process.
    """

    exec_id: str
    parent: str | None
    pid: int
    instance: int
    exe: bytes
    argv: tuple[bytes, ...]
    start_ns: int
    end_ns: int | None
    flags: int
    facts: Facts
    number: int
    parent_exec_id: str | None
    session: str | None
    ns_pid: int | None
    script: bytes | None
    interpreter: bytes | None
    is_snapshot: bool
    errno: int | None
    exit_code: int | None
    signal: int | None

    @property
    def is_fork(self) -> bool:
        """Whether it never executed anything."""
        return bool(self.flags & ProcessFlag.FORKED)

    @property
    def is_argv_cut(self) -> bool:
        """Whether its arguments are more than is recorded, or than is shown."""
        return (
            bool(self.flags & ProcessFlag.ARGV_TRUNCATED)
            or len(self.argv) > ARGUMENTS
            or any(len(word) > ARGUMENT_LENGTH for word in self.argv[:ARGUMENTS])
        )

    @property
    def has_entered(self) -> bool:
        """Whether its tree came into a container that ran already."""
        return bool(self.flags & ProcessFlag.ENTERED)


def processes_of(
    rows: pa.Table, paths: dict[int, bytes], shared: dict[Facts, Facts]
) -> Iterator[Process]:
    """Yield *rows* of table `processes`; *paths* are those of executables, *shared* grows."""
    if not rows.num_rows:
        return
    facts = zip(*(_listed(rows, name) for name in _NUMBERS), strict=True)
    times = (rows.column(name).cast(pa.int64()).to_pylist() for name in ("start", "end"))
    own = zip(*(rows.column(name).to_pylist() for name in _OWN), strict=True)
    for (
        exec_id, parent, fork_parent, session, pid, ns_pid, instance, number, argv, flags, errno,
        exit_code, signal, script, interpreter, observed,
    ), row, start, end in zip(own, facts, *times, strict=True):  # fmt: skip
        made = Facts(*row)
        yield Process(
            exec_id=exec_id,
            parent=fork_parent or parent,
            pid=pid,
            instance=instance,
            exe=paths.get(number) or b"",
            argv=tuple(argv),
            start_ns=start,
            end_ns=end,
            flags=flags,
            facts=shared.setdefault(made, made),
            number=number,
            parent_exec_id=parent,
            session=session,
            ns_pid=ns_pid,
            script=script,
            interpreter=interpreter,
            is_snapshot=observed == "snapshot",
            errno=errno,
            exit_code=exit_code,
            signal=signal,
        )


def _listed(rows: pa.Table, name: str) -> list[Any]:
    values: list[Any] = rows.column(name).to_pylist()
    match name:
        case "stdio":
            return [None if value is None else tuple(value) for value in values]
        case "loginuid" | "sessionid":
            return [None if value == _UNSET else value for value in values]
        case _:
            return values
