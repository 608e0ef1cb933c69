r"""How bytes that a workload controls become text: the one place.

Paths, arguments, names and annotations are whatever a workload chose, terminal controls and
right-to-left marks included. `escape` leaves printable UTF-8 as it is and writes every other byte,
and the backslash, as `\xNN`; `unescape` is its exact inverse, so that a policy can name the very
bytes again.
"""

from __future__ import annotations

import re

__all__ = ["escape", "escape_pattern", "printable", "unescape"]

_PLAIN = re.compile(rb"[ -\[\]-~]*")
_PLAIN_TEXT = re.compile(r"[ -\[\]-~]*")
_ESCAPE = re.compile(r"\\x([0-9a-fA-F]{2})")


def escape(value: bytes | str) -> str:
    r"""Return *value* as text for a screen, JSON or YAML, on one line and free of controls.

    Bytes that are not UTF-8, and characters that are not printable (controls, line ends, bidi
    marks, unassigned code points), become `\xNN` for each of their UTF-8 bytes, and so does the
    backslash: different bytes never give the same text.
    """
    if isinstance(value, bytes):
        if _PLAIN.fullmatch(value):
            return value.decode("ascii")
        value = value.decode("utf-8", "surrogateescape")
    elif _PLAIN_TEXT.fullmatch(value):
        return value
    return "".join(_escape_character(character) for character in value)


def escape_pattern(value: bytes | str) -> str:
    r"""Return *value* as a pattern that matches just itself: a literal `*` becomes `\x2a`."""
    return escape(value).replace("*", r"\x2a")


def printable(text: str) -> str:
    r"""Return *text* with `\xNN` for what is not printable; what is escaped already stays so.

    For text of ours that quotes escaped names, and as the last guard before a terminal.
    """
    if text.isprintable():
        return text
    return "".join(
        character if character == "\\" else _escape_character(character) for character in text
    )


def unescape(text: str) -> bytes:
    r"""Return the bytes that *text* stands for; a backslash that begins no `\xNN` is itself."""
    parts = _ESCAPE.split(text)
    return b"".join(
        bytes.fromhex(part) if index % 2 else _bytes_of(part) for index, part in enumerate(parts)
    )


def _escape_character(character: str) -> str:
    if character.isprintable() and character != "\\":
        return character
    return "".join(f"\\x{byte:02x}" for byte in _bytes_of(character))


def _bytes_of(text: str) -> bytes:
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # a surrogate that stands for no byte, as in a foreign JSON file
        return text.encode("utf-8", "surrogatepass")
