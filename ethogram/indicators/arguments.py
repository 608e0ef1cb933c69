"""What shells and interpreters are told to run: masks over the arguments of processes.

The arguments of a process are looked at as one value, with a NUL between two of them.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from ethogram.indicators.predicates import (
    INTERPRETERS,
    MULTI_CALL,
    SHELLS,
    TOOLS,
    Mask,
    among,
    matching,
    once_a_table,
    runs,
    truth,
    words,
)

__all__ = ["ARGUMENTS_MATTER", "is_interactive", "runs_script_below", "takes_commands"]

# The programs whose arguments say what they do, and are asked for it.
ARGUMENTS_MATTER = rf"{SHELLS}|{INTERPRETERS}|{MULTI_CALL}|{TOOLS}|ld[-0-9.].*|ld64?\.so.*"
_MULTI_CALL_NAME = rf"^(?:[^\x00]*/)?(?:{MULTI_CALL})\x00"
_OPTION = r"[-+][^\x00]*"
_VALUED = r"--(?:rcfile|init-file)\x00[^\x00]*|[-+][a-zA-Z]*[oO]\x00[^\x00]*"
# The options before anything else, and what ends them.
_SHELL = rf"^[^\x00]*(?:\x00(?:{_VALUED}|{_OPTION}))*"
_INTERPRETER = rf"^[^\x00]*(?:\x00{_OPTION})*"
_END, _NEXT = r"\x00*$", r"(?:\x00|$)"


@once_a_table
def takes_commands(rows: pa.Table) -> Mask:
    """Return which processes are shells or interpreters that were given no program to run.

    They read it from their standard input.
    """
    shell = among(rows, runs(rows, SHELLS), _shell_takes_commands)
    interpreter = among(rows, runs(rows, INTERPRETERS), _interpreter_takes_commands)
    return pc.or_(shell, interpreter)


def is_interactive(rows: pa.Table) -> Mask:
    """Return which shells were told to behave as if somebody sat there."""
    return matching(_arguments(rows), rf"{_SHELL}\x00-[a-zA-Z]*i[a-zA-Z]*{_NEXT}")


@once_a_table
def runs_script_below(rows: pa.Table, directories: str) -> Mask:
    """Return which shells and interpreters were given a script in *directories*.

    A regular expression, with the slash at its end. A relative script lies where the process is.
    """
    shell = among(rows, runs(rows, SHELLS), lambda some: _script(some, _SHELL, directories))
    interpreter = among(
        rows, runs(rows, INTERPRETERS), lambda some: _script(some, _INTERPRETER, directories)
    )
    return pc.or_(shell, interpreter)


def _shell_takes_commands(rows: pa.Table) -> Mask:
    arguments = _arguments(rows)
    reads = matching(arguments, rf"{_SHELL}(?:{_END}|\x00-[a-zA-Z]*s[a-zA-Z]*{_NEXT})")
    return pc.and_not(reads, _brings_program(arguments, _SHELL))


def _interpreter_takes_commands(rows: pa.Table) -> Mask:
    arguments = _arguments(rows)
    reads = matching(arguments, rf"{_INTERPRETER}{_END}")
    return pc.and_not(reads, _brings_program(arguments, _INTERPRETER))


def _script(rows: pa.Table, options: str, directories: str) -> Mask:
    arguments = _arguments(rows)
    there = pc.binary_join_element_wise(rows.column("cwd"), b"", b"/")
    relative = pc.and_(
        truth(matching(there, rf"^(?:{directories})")),
        matching(arguments, rf"{options}\x00[^-+/\x00]"),
    )
    given = pc.or_(matching(arguments, rf"{options}\x00(?:{directories})"), relative)
    return pc.and_not(given, _brings_program(arguments, options))


def _brings_program(arguments: pa.ChunkedArray, options: str) -> Mask:
    """Return where an option has the program for its value: `-c` of shells, `-e` of others."""
    letters = "c" if options is _SHELL else "cemrp"
    return matching(arguments, rf"{options}\x00-[a-zA-Z]*[{letters}][a-zA-Z]*{_NEXT}")


@once_a_table
def _arguments(rows: pa.Table) -> pa.ChunkedArray:
    return pc.replace_substring_regex(words(rows), _MULTI_CALL_NAME, "")
