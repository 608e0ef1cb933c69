"""Scripts among temporary files that no ending gives away: by what a shell was told to run.

`temporary-script` judges the files that shells and interpreters open, by their endings. What a
process was told is in another table: a strange file that it opened is a script where its arguments
name it, or where its standard input is a file and it was given nothing else to run.
"""

from __future__ import annotations

import posixpath
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from detector.deviations import Deviation
from detector.remembered import newest_of_each
from detector.sighting import Sighting
from detector.words import in_words
from ethogram.contracts.baseline import FileValue
from ethogram.contracts.escape import escape_pattern
from ethogram.indicators.arguments import runs_script_below, takes_commands
from ethogram.indicators.predicates import SHELLS, among, executed, stream_is
from ethogram.indicators.temporary_script import INDICATOR

__all__ = ["ScriptFiles"]

_REMEMBERED_NS = 10 * 10**9
_DIRECTORIES = r"/(?:tmp|var/tmp|dev/shm|run/shm|run/user/[0-9]+)/"
_BELOW = re.compile(rf"^{_DIRECTORIES}")
_SAID_ALREADY = re.compile(r"\.(?:sh|bash|py|pyc|pl|rb|php|lua|m?js)$")
_HERE_DOCUMENT = re.compile(r"/sh-thd[.-]")  # bash's own
_SHELL = re.compile(rf"(?:^|/)(?:{SHELLS})$".encode())


@dataclass(frozen=True, slots=True)
class _Told:
    """A shell or interpreter that was told to run the file *path*, None for its standard input."""

    instance: int
    exec_id: str
    start_ns: int
    path: str | None


@dataclass(frozen=True, slots=True)
class _Opened:
    """A temporary file that was read and is not in the baseline."""

    instance: int
    deviation: Deviation
    value: FileValue


class ScriptFiles:
    """Remembers for some seconds what was told to run and what was read, and tells the pairs."""

    def __init__(self) -> None:
        self._told: list[_Told] = []
        self._opened: list[_Opened] = []
        # Who was told so in the last window, by `exec_id`: no other process counts here.
        self.told_of: Collection[str] = ()

    def of(
        self,
        processes: pa.Table,
        strayed: Iterable[tuple[int, Deviation]],
        now_ns: int,
    ) -> Iterator[Sighting]:
        """Yield the scripts of a window.

        *processes* are its rows as `indications.judged` returns them, *strayed* its deviations by
        instance.
        """
        before_ns = now_ns - _REMEMBERED_NS
        told, opened = list(_told(processes)), list(_opened(strayed))
        self.told_of = {one.exec_id for one in told}
        known = [one for one in self._told if one.start_ns >= before_ns]
        self._told = newest_of_each([*known, *told])
        read = [one for one in self._opened if one.deviation.last_ns >= before_ns]
        self._opened = newest_of_each([*read, *opened])
        if not told and not opened:
            return
        new = {id(one) for one in (*told, *opened)}
        by_name: dict[tuple[int, str | None], list[_Opened]] = defaultdict(list)
        for file in self._opened:
            by_name[file.instance, file.value.path].append(file)
            if _SHELL.search(file.deviation.exe or b""):
                # It may be the input of what that shell started.
                by_name[file.instance, None].append(file)
        for shell in self._told:
            files: Sequence[_Opened] = by_name.get((shell.instance, shell.path), ())
            if id(shell) not in new:
                files = [one for one in files if id(one) in new]
            if files:
                yield _sighting(shell, files[0])


def _told(rows: pa.Table) -> Iterator[_Told]:
    if not rows.num_rows:
        return
    by_name = among(rows, executed(rows), lambda some: runs_script_below(some, _DIRECTORIES))
    by_input = pc.and_(executed(rows), stream_is(rows, 0, "file"))
    chosen = pc.or_(by_name, among(rows, by_input, takes_commands))
    if not chosen.true_count:
        return
    starts = rows.column("start").cast(pa.int64()).filter(chosen).to_pylist()
    named = by_name.filter(chosen).to_pylist()
    columns = rows.select(["instance", "exec_id", "argv", "cwd"]).filter(chosen).to_pylist()
    for row, start_ns, is_named in zip(columns, starts, named, strict=True):
        path = _script(row["argv"], row["cwd"] or b"/") if is_named else None
        yield _Told(row["instance"], row["exec_id"], start_ns, path)


def _script(argv: list[bytes], cwd: bytes) -> str:
    """Return the first argument that is no option, as an absolute path of a baseline."""
    words = [word for word in argv[1:] if not word.startswith((b"-", b"+"))]
    below = [posixpath.normpath(posixpath.join(cwd, word)) for word in words]
    return escape_pattern(next((one for one in below if _BELOW.match(one.decode(errors="replace"))),
                               b""))  # fmt: skip


def _opened(strayed: Iterable[tuple[int, Deviation]]) -> Iterator[_Opened]:
    for instance, one in strayed:
        value = one.value
        if (
            isinstance(value, FileValue)
            and "r" in value.access
            and _BELOW.match(value.path)
            and not _SAID_ALREADY.search(value.path)
            and not _HERE_DOCUMENT.search(value.path)
        ):
            yield _Opened(instance, one, value)


def _sighting(shell: _Told, file: _Opened) -> Sighting:
    metadata, deviation = INDICATOR.metadata, file.deviation
    return Sighting(
        layer="indicator",
        rule=metadata.id,
        title=metadata.title,
        reason=metadata.reason,
        severity=metadata.severity,
        attack=metadata.attack,
        instance=file.instance,
        phase=deviation.phase,
        dimension="files",
        observed=in_words(file.value),
        exe=deviation.exe,
        exec_id=shell.exec_id,
        first_ns=min(shell.start_ns, deviation.first_ns),
        last_ns=deviation.last_ns,
        count=deviation.count,
        value=file.value,
        confidence=metadata.confidence,
        compliance=metadata.compliance,
    )
