"""The words that indicators share: masks over whole columns, true, false or null for each row."""

from __future__ import annotations

import errno
import re
import weakref
from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Any, Concatenate, ParamSpec, TypeAlias, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ethogram.contracts.flags import Access, ProcessFlag

__all__ = [
    "INTERPRETERS",
    "MULTI_CALL",
    "SHELLS",
    "SYSTEM_DIRECTORIES",
    "TOOLS",
    "Mask",
    "also",
    "among",
    "asked_or_path",
    "base_name_is",
    "by_tool",
    "entering",
    "executed",
    "has_any",
    "matching",
    "once_a_table",
    "opened",
    "outside_runtime",
    "refused",
    "runs",
    "stream_is",
    "tried",
    "truth",
    "word_is",
    "words",
]

Mask: TypeAlias = "pa.BooleanArray | pa.ChunkedArray"
_P = ParamSpec("_P")
_T = TypeVar("_T")

SHELLS = r"(?:ba|da|a|z|k|mk|pdk|tc|c|fi|rba|ya)?sh"
INTERPRETERS = (
    r"python[0-9.]*|pypy[0-9.]*|perl[0-9.]*|ruby[0-9.]*|php[0-9.]*|lua(?:jit)?[0-9.]*|node(?:js)?"
    r"|tclsh[0-9.]*|gawk|mawk|awk"
)
MULTI_CALL = r"busybox(?:\.[a-z]+)?|toybox"
TOOLS = (
    rf"{SHELLS}|{MULTI_CALL}|cat|tac|nl|head|tail|less|more|cp|mv|dd|install|rsync|tar|gzip|bzip2"
    r"|xz|zip|base64|base32|xxd|od|hexdump|strings|e?grep|fgrep|g?awk|mawk|sed|cut|tee|sort|vi|vim"
    r"|view|nano|ed|curl|wget|nc|ncat|netcat|socat|scp|ssh|openssl|find|xargs|coreutils"
)
SYSTEM_DIRECTORIES = r"^/(?:usr/(?:local/)?)?(?:s?bin|lib(?:exec|32|64)?)/"
_MOUNT_NAMESPACE = 1
_FEW = 1000


def once_a_table(
    ask: Callable[Concatenate[pa.Table, _P], _T],
) -> Callable[Concatenate[pa.Table, _P], _T]:
    """Have *ask* remember what it answered of a table for as long as that is there.

    Many rules ask the same of the same rows, and of one row each answer costs as much as of many.
    What is said of many rows takes room, and is not kept.
    """
    answers: dict[int, dict[Any, _T]] = {}

    @wraps(ask)
    def asked(rows: pa.Table, /, *args: _P.args, **names: _P.kwargs) -> _T:
        if rows.num_rows > _FEW:
            return ask(rows, *args, **names)
        own = answers.get(id(rows))
        if own is None:
            own = answers[id(rows)] = {}
            weakref.finalize(rows, answers.pop, id(rows), None).atexit = False
        question = (args, *names.items())
        if question not in own:
            own[question] = ask(rows, *args, **names)
        return own[question]

    return asked


def among(rows: pa.Table, cheap: Mask, then: Callable[[pa.Table], Mask]) -> pa.BooleanArray:
    """Return where *cheap* holds and *then* does as well, which is asked only of these rows."""
    candidates = truth(cheap)
    count = candidates.true_count
    if not count:
        return candidates
    if count == rows.num_rows:
        return truth(then(rows))
    chosen = truth(then(rows.filter(candidates)))
    return pc.replace_with_mask(candidates, candidates, chosen)


def also(mask: Mask, then: Callable[[], Mask]) -> Mask:
    """Return where *mask* holds and what *then* returns does as well.

    Where nothing does, that is not asked: a regular expression takes longer to compile than a row
    to match.
    """
    known = truth(mask)
    return pc.and_(known, then()) if known.true_count else known


def base_name_is(paths: pa.ChunkedArray, names: str) -> Mask:
    """Return where the last component of *paths* is one of *names*, a regular expression.

    It is asked once of each path: names are long, and to compile one takes longer than to ask it.
    """
    if not pa.types.is_dictionary(paths.type):
        paths = paths.dictionary_encode()
    is_named = _named(names)
    chunks = [
        pa.array(map(is_named, chunk.dictionary.to_pylist()), pa.bool_()).take(chunk.indices)
        for chunk in paths.chunks
    ]
    return pa.chunked_array(chunks, pa.bool_())


@lru_cache(maxsize=256)
def _named(names: str) -> Callable[[bytes | None], bool | None]:
    is_name = re.compile(names.encode()).fullmatch

    def is_named(path: bytes | None) -> bool | None:
        return None if path is None else is_name(path.rpartition(b"/")[2]) is not None

    return is_named


def by_tool(rows: pa.Table) -> Mask:
    """Return where a shell, or a tool that shows or copies files, did it."""
    return base_name_is(rows.column("exe_path"), TOOLS)


def matching(column: pa.ChunkedArray, pattern: str) -> Mask:
    """Return where *column*, plain or a dictionary, has something that *pattern* matches.

    A dot stands for a line feed as well: who is watched may put one into any name.
    """
    pattern = f"(?s){pattern}"
    if not pa.types.is_dictionary(column.type):
        return pc.match_substring_regex(column, pattern)
    chunks = [
        pc.match_substring_regex(chunk.dictionary, pattern).take(chunk.indices)
        for chunk in column.chunks
    ]
    return pa.chunked_array(chunks, pa.bool_())


def asked_or_path(rows: pa.Table, pattern: str) -> Mask:
    """Return where the string that was asked for has something that *pattern* matches."""
    asked, path = rows.column("asked"), rows.column("path")
    same = pc.and_(pc.is_null(asked), matching(path, pattern))
    return pc.or_(same, truth(matching(asked, pattern)))


@once_a_table
def runs(rows: pa.Table, names: str) -> Mask:
    """Return which processes run one of the programs *names*, a script or a part of busybox too."""
    program = pc.or_kleene(
        base_name_is(rows.column("exe_path"), names), base_name_is(rows.column("script"), names)
    )
    multi = _is_multi(rows)
    called = rf"^-?(?:[^\x00]*/)?(?:(?:{MULTI_CALL})\x00)?(?:[^\x00]*/)?(?:{names})(?:\x00|$)"
    return pc.or_kleene(program, among(rows, multi, lambda some: matching(words(some), called)))


@once_a_table
def _is_multi(rows: pa.Table) -> Mask:
    return base_name_is(rows.column("exe_path"), MULTI_CALL)


@once_a_table
def words(rows: pa.Table) -> pa.ChunkedArray:
    """Return the arguments of processes as one value each, with a NUL between two of them."""
    return pc.binary_join(rows.column("argv"), pa.scalar(b"\0", pa.binary()))


@once_a_table
def stream_is(rows: pa.Table, descriptor: int, kind: str) -> pa.BooleanArray:
    """Return which processes have a *kind* of file as standard stream *descriptor*."""
    lengths, ends, members = _streams(rows)
    places = ends - lengths + descriptor
    return pc.equal(members.take(pa.array(places, mask=lengths <= descriptor)), kind)


@once_a_table
def _streams(rows: pa.Table) -> tuple[np.ndarray, np.ndarray, pa.Array]:
    """Return how many standard streams each process has, where they end, and all of them."""
    if not rows.num_rows:
        return np.zeros(0, np.int64), np.zeros(0, np.int64), pa.array([], pa.string())
    lists = pa.concat_arrays(rows.column("stdio").chunks)
    lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False)
    return lengths, np.cumsum(lengths, dtype=np.int64), lists.flatten().cast(pa.string())


@once_a_table
def executed(rows: pa.Table) -> Mask:
    """Return which rows of `processes` are execs that succeeded.

    A fork shares the image of its parent, which was judged when it executed.
    """
    forked = has_any(rows.column("flags"), ProcessFlag.FORKED)
    return pc.and_not(pc.is_null(rows.column("errno")), forked)


def refused(rows: pa.Table) -> Mask:
    """Return which rows of `processes` are execs that were not allowed; what is not there is none.

    What they asked for is in `script`.
    """
    return pc.is_in(
        rows.column("errno"), value_set=pa.array([errno.EPERM, errno.EACCES], pa.uint16())
    )


@once_a_table
def entering(rows: pa.Table) -> Mask:
    """Return which processes are the container runtime's, or on their way into the container.

    On its way is the first exec of a tree while it is still in the host's mount namespace. A
    workload can bring about neither.
    """
    is_first = pc.equal(rows.column("exec_id"), rows.column("session_exec_id"))
    is_outside = has_any(rows.column("host_namespace_bits"), _MOUNT_NAMESPACE)
    on_its_way = pc.and_(pc.fill_null(is_first, fill_value=False), truth(is_outside))
    return pc.or_(on_its_way, word_is(rows.column("phase"), "runtime"))


@once_a_table
def outside_runtime(rows: pa.Table) -> Mask:
    """Return which rows are not the container runtime's own."""
    return pc.invert(word_is(rows.column("phase"), "runtime"))


@once_a_table
def tried(rows: pa.Table, access: Access) -> Mask:
    """Return which files were opened with any of *access*, or would have been, were it allowed.

    Or had it done to their name, or would have had.

    That a file is not there says nothing.
    """
    is_there = pc.not_equal(pc.fill_null(rows.column("errno"), 0), errno.ENOENT)
    return pc.and_(has_any(rows.column("access"), access), is_there)


@once_a_table
def opened(rows: pa.Table, access: Access) -> Mask:
    """Return which files were opened with any of *access*, or had it done to their name."""
    return pc.and_(has_any(rows.column("access"), access), pc.is_null(rows.column("errno")))


def has_any(column: pa.ChunkedArray, bits: int) -> Mask:
    """Return where any of *bits* is set."""
    return pc.not_equal(pc.bit_wise_and(column, pa.scalar(int(bits), column.type)), 0)


def word_is(column: pa.ChunkedArray, *words: str) -> Mask:
    """Return where an enum *column* has one of *words*, whatever dictionary it comes with."""
    wanted = pa.array(words, pa.string())
    chunks = [
        pc.is_in(chunk.dictionary, value_set=wanted).take(chunk.indices) for chunk in column.chunks
    ]
    return pa.chunked_array(chunks, pa.bool_())


def truth(mask: Mask) -> pa.BooleanArray:
    """Return *mask* as one array without nulls: what is not known is no match."""
    if isinstance(mask, pa.ChunkedArray):
        mask = mask.chunk(0) if mask.num_chunks == 1 else mask.combine_chunks()
    return pc.fill_null(mask, fill_value=False) if mask.null_count else mask
