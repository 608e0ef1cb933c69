"""Names of system calls by architecture, from the package `system-calls`."""

from __future__ import annotations

from functools import lru_cache

from system_calls import syscalls

__all__ = ["name_of", "names_of", "number_of"]

_TABLES = {"x86_64": "x86_64", "i386": "i386", "x32": "x32", "aarch64": "arm64", "arm": "arm"}
_X32_BIT = 0x40000000


@lru_cache(maxsize=8)
def _numbers(arch: str) -> dict[str, int]:
    """Return name -> number, x32's with bit 30 cleared as recordings store them."""
    table = syscalls()
    numbers = table.load_arch_table(_TABLES[arch])
    return {name: number & ~_X32_BIT for name, number in numbers.items()}


@lru_cache(maxsize=8)
def _names(arch: str) -> dict[int, str]:
    return {number: name for name, number in _numbers(arch).items()}


def name_of(arch: str, nr: int) -> str | None:
    """Return the name of call *nr* of *arch*, or None where the table has none."""
    return _names(arch).get(nr)


def number_of(arch: str, name: str) -> int | None:
    """Return the number of call *name* on *arch*, or None where that architecture lacks it."""
    return _numbers(arch).get(name)


@lru_cache(maxsize=8)
def names_of(arch: str) -> frozenset[str]:
    """Return the names of all calls of *arch*."""
    return frozenset(_numbers(arch))
