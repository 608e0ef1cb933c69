"""Parts of names that say by their form alone that the next run has others: no count is needed.

What separates the digits of such a part stays, so that its pattern matches little else: a UUID
becomes `*-*-*-*-*`, a day `20*-*-*`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

__all__ = [
    "kernel_chosen",
    "of_generation",
    "of_relation",
    "temporary",
    "with_dates",
    "with_ids",
]

_BEFORE, _AFTER = r"(?<![0-9A-Za-z])", r"(?![0-9A-Za-z])"
_H = "[0-9a-f]"
# The kubelet calls the cgroup of a pod `pod<UUID>`, with `_` for `-` where systemd has it.
_UUID = re.compile(
    rf"(?:{_BEFORE}|(?<=pod))(?:{_H}{{8}}([-_]){_H}{{4}}\1{_H}{{4}}\1{_H}{{4}}\1{_H}{{12}}){_AFTER}",
    re.IGNORECASE,
)
# Lengths of MD5 and of ids of machines, of SHA-1, 224, 256, 384 and 512.
_HEX = re.compile(
    _BEFORE
    + "(?:"
    + "|".join(f"(?:{_H}{{{n}}}|{_H.upper()}{{{n}}})" for n in (32, 40, 56, 64, 96, 128))
    + ")"
    + _AFTER
)
_DAY = r"(19|20)[0-9]{2}([-_.]?)(?:0[1-9]|1[0-2])\2(?:0[1-9]|[12][0-9]|3[01])"
_HOUR, _SIXTY = "(?:[01][0-9]|2[0-3])", "[0-5][0-9]"
_TIME = rf"{_HOUR}{_SIXTY}{_SIXTY}|{_HOUR}([-_.:]){_SIXTY}\4{_SIXTY}"
_STAMP = re.compile(rf"{_BEFORE}{_DAY}(?:([-_.T ]?)(?:{_TIME})(?:[.,][0-9]{{1,9}})?(Z?))?{_AFTER}")
# Seconds or milliseconds since 1970, from 2020 on, behind what says of what: `backup-1795476728`.
_EPOCH = re.compile(rf"(?<=[A-Za-z][-_])1[6-9][0-9]{{8}}(?:[0-9]{{3}})?{_AFTER}")
_CENTURY = re.compile("(?:19|20)[0-9]{2}")
_DIGITS = re.compile("[0-9]+")
_FRACTION = re.compile(r"[.,][0-9]+(?=Z?$)")
# The kubelet writes what a volume of a ConfigMap, a Secret or a token holds into a directory that
# is named by the time: Kubernetes' AtomicWriter.
_GENERATION = re.compile(r"\.\.[0-9]{4}(?:_[0-9]{2}){5}\.[0-9]{1,10}")

_TEMPORARY: Mapping[str, str] = MappingProxyType(
    {
        # Python's tempfile, mktemp(1), the compilers' drivers
        r"tmp(?=[a-z]*[0-9_])[a-z0-9_]{8}(\.[A-Za-z0-9]{1,8})?": r"tmp*\1",
        r"tmp\.(?=[A-Za-z]*[0-9])[A-Za-z0-9]{10}": "tmp.*",
        r"cc[A-Za-z0-9]{6}(\.(?:s|o|c|i|res|ld|le|cdtor\.[co]|lto\.o))": r"cc*\1",
        # PostgreSQL: files of sorts, shared memory, caches of the catalogue
        r"pgsql_tmp[0-9]+\.[0-9]+(\.fileset|\.sharedfileset)?": r"pgsql_tmp*.*\1",
        r"PostgreSQL\.[0-9]+": "PostgreSQL.*",
        r"(pg_internal\.init|xlogtemp)\.[0-9]+": r"\1.*",
        # its log: 16 MiB a file, by the time line and the place in it
        r"(0000[0-9A-F]{4})[0-9A-F]{16}(\.(?:partial|ready|done|[0-9A-F]{8}\.backup))?": r"\1*\2",
        # Redis: snapshots and rewrites by the number of the child
        r"temp-[0-9]+\.rdb": "temp-*.rdb",
        r"temp-[0-9]+\.[0-9]+\.rdb": "temp-*.*.rdb",
        r"temp-rewriteaof(-bg)?-[0-9]+\.aof": r"temp-rewriteaof\1-*.aof",
        # its log: each rewrite begins the next
        r"appendonly\.aof\.[0-9]+(\.(?:base\.(?:rdb|aof)|incr\.aof))": r"appendonly.aof.*\1",
        # What NFS calls a deleted file that is still open
        r"\.nfs[0-9a-f]{16,24}": ".nfs*",
    }
)
_BEGINNINGS = (
    *("tmp", "cc", "pgsql_tmp", "PostgreSQL.", "pg_internal", "xlogtemp", "temp-", ".nfs"),
    *("0000", "appendonly.aof."),
)
_TEMPORARIES = [(re.compile(form), pattern) for form, pattern in _TEMPORARY.items()]
# PostgreSQL's tables and indices: TRUNCATE, REINDEX and VACUUM FULL give them the next number.
# Those of the catalogue, which every database has alike, are below 16384.
_DATABASE = re.compile(r"(?:/base|/pg_tblspc/[0-9]+/PG_[0-9.]+_[0-9]+)/[0-9]+$")
_RELATION = re.compile(r"([1-9])[0-9]{4,9}((?:_(?:fsm|vm|init))?)(\.[0-9]+)?")
# In /proc, the number after these is a descriptor.
_PROCESS = re.compile(
    r"^(/proc/)[0-9]+(?=/|$)(?:(/task/)[0-9]+(?=/|$))?(?:(/(?:fd|fdinfo)/)[0-9]+(?=/|$))?"
)
_TERMINAL = re.compile(r"^/dev/pts/[0-9]+$")


def kernel_chosen(path: str) -> str:
    """Return *path* with `*` for numbers of processes, descriptors and terminals."""
    if path.startswith("/proc/"):
        return _PROCESS.sub(
            lambda hit: f"{hit[1]}*" + "".join(f"{part}*" for part in hit.groups()[1:] if part),
            path,
        )
    return "/dev/pts/*" if _TERMINAL.match(path) else path


def with_ids(name: str, *, may_be_all: bool) -> str:
    """Return *name* without its UUIDs and digests; `*` alone only where it *may be all*."""
    if len(name) < 32:
        return name
    name = _UUID.sub(lambda hit: hit[1].join("*****"), name)
    without = _HEX.sub(lambda hit: "*" if _has_both(hit[0]) else hit[0], name)
    return without if may_be_all or not without.startswith("*") or name.startswith("*") else name


def _has_both(text: str) -> bool:
    """Return whether *text* has digits and letters: else it is a number, or a word of somebody."""
    return not text.isdigit() and not text.isalpha()


def with_dates(name: str) -> str:
    """Return *name* with `*` for the digits of dates and times of day but the century."""
    name = _EPOCH.sub("1*", name)
    return _STAMP.sub(_undated, name) if _CENTURY.search(name) else name


def _undated(hit: re.Match[str]) -> str:
    century, text = hit[1], _FRACTION.sub(lambda part: f"{part[0][0]}*", hit[0][2:])
    return century + _DIGITS.sub("*", text)


def temporary(name: str) -> str:
    """Return *name* as what it is one of, where a known program gives such to temporary files."""
    if not name.startswith(_BEGINNINGS):
        return name
    for form, pattern in _TEMPORARIES:
        if hit := form.fullmatch(name):
            return hit.expand(pattern)
    return name


def of_relation(directory: str, name: str) -> str:
    """Return *name* with its first digit alone where a database's *directory* has a table so."""
    if not name[:1].isdigit() or not _DATABASE.search(directory):
        return name
    hit = _RELATION.fullmatch(name)
    return f"{hit[1]}*{hit[2]}{'.*' if hit[3] else ''}" if hit else name


def of_generation(name: str) -> str:
    """Return `..*` for a directory that the kubelet wrote a volume's content into."""
    return "..*" if _GENERATION.fullmatch(name) else name
