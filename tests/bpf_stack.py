"""How much stack the programs of an object use, read from its instructions.

Newer kernels give a program's calls a stack of their own; others have 512 bytes for all that are
under way, and refuse the program. Only they would tell.
"""

from __future__ import annotations

import struct
from collections import defaultdict
from functools import cache
from pathlib import Path
from typing import NamedTuple

__all__ = ["LIMIT", "deepest"]

LIMIT = 512
_ROUND = 32  # check_max_stack_depth() in kernel/bpf/verifier.c
_SYMTAB, _REL, _EXECUTABLE, _FUNCTION = 2, 9, 4, 2
_FRAME, _CALL, _LOAD_IMMEDIATE = 10, 0x85, 0x18
_MOVE, _ADD_NUMBER = 0xBF, 0x07
_MEMORY_CLASSES = (1, 2, 3)
_PSEUDO_CALL, _PSEUDO_FUNCTION = 1, 4


class _Section(NamedTuple):
    name: str
    kind: int
    flags: int
    data: bytes
    info: int


class _Symbol(NamedTuple):
    name: str
    kind: int
    section: int
    value: int
    size: int


def _text(table: bytes, at: int) -> str:
    return table[at : table.index(b"\0", at)].decode()


def _sections(data: bytes) -> list[_Section]:
    (offset,), (count, names) = (
        struct.unpack_from("<Q", data, 40),
        struct.unpack_from("<HH", data, 60),
    )
    heads = [struct.unpack_from("<IIQQQQIIQQ", data, offset + 64 * index) for index in range(count)]
    bodies = [data[head[4] : head[4] + head[5]] for head in heads]
    return [
        _Section(_text(bodies[names], head[0]), head[1], head[2], body, head[7])
        for head, body in zip(heads, bodies, strict=True)
    ]


def _symbols(sections: list[_Section]) -> list[_Symbol]:
    table = next(section for section in sections if section.kind == _SYMTAB)
    names = next(section.data for section in sections if section.name == ".strtab")
    return [
        _Symbol(_text(names, name), info & 15, section, value, size)
        for name, info, _, section, value, size in struct.iter_unpack("<IBBHQQ", table.data)
    ]


def _frame(code: bytes) -> int:
    """Return the size of a function's frame: its lowest access, or lowest address taken."""
    lowest, is_copy = 0, set()
    for opcode, registers, offset, immediate in struct.iter_unpack("<BBhi", code):
        target, source = registers & 15, registers >> 4
        kind = opcode & 7
        if kind in _MEMORY_CLASSES and _FRAME in ((source,) if kind == 1 else (target,)):
            lowest = min(lowest, offset)
        if opcode == _MOVE and source == _FRAME:
            is_copy.add(target)
        elif opcode == _ADD_NUMBER and target in is_copy:
            lowest = min(lowest, immediate)
            is_copy.discard(target)
        elif kind in (4, 7):
            is_copy.discard(target)
    return -lowest


def deepest(path: Path) -> list[tuple[int, tuple[str, ...]]]:
    """Return for each program of an object the most that its calls need, and which those are."""
    sections = _sections(path.read_bytes())
    symbols = _symbols(sections)
    functions = {
        (one.section, one.value): one
        for one in symbols
        if one.kind == _FUNCTION and sections[one.section].flags & _EXECUTABLE
    }
    relocations: dict[int, dict[int, _Symbol]] = defaultdict(dict)
    for section in sections:
        if section.kind == _REL:
            for offset, info in struct.iter_unpack("<QQ", section.data):
                relocations[section.info][offset] = symbols[info >> 32]

    def code_of(function: _Symbol) -> bytes:
        return sections[function.section].data[function.value : function.value + function.size]

    def called(function: _Symbol) -> set[tuple[int, int]]:
        found, code = set(), code_of(function)
        for at in range(0, len(code), 8):
            opcode, registers, _, immediate = struct.unpack_from("<BBhi", code, at)
            place = function.value + at
            symbol = relocations[function.section].get(place)
            is_call = opcode == _CALL and registers >> 4 == _PSEUDO_CALL
            if is_call and symbol is not None:
                found.add((symbol.section, symbol.value + (immediate + 1) * 8))
            elif is_call:
                found.add((function.section, place + (immediate + 1) * 8))
            elif opcode == _LOAD_IMMEDIATE and symbol is not None:
                found.add((symbol.section, symbol.value + immediate))  # a callback, if a function
        return found & functions.keys()

    @cache
    def depth(place: tuple[int, int]) -> tuple[int, tuple[str, ...]]:
        function = functions[place]
        below = max(map(depth, called(function)), default=(0, ()))
        own = max(_frame(code_of(function)), 1)
        size = -(-own // _ROUND) * _ROUND
        return size + below[0], (f"{function.name} {own}", *below[1])

    is_program = {index for index, one in enumerate(sections) if one.name != ".text"}
    return sorted((depth(place) for place in functions if place[0] in is_program), reverse=True)
