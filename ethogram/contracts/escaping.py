r"""Bytes that a workload chose, as text that is safe to show and turns back into the same bytes.

What is printable UTF-8 stays as it is; everything else, and the backslash itself, becomes `\xNN`
a byte. `unescape(escape(raw)) == raw` for all bytes.
"""

from __future__ import annotations

import re

__all__ = ["escape", "escape_pattern", "unescape"]

_PLAIN = re.compile(rb"[ -\[\]-~]*")
_ESCAPE = re.compile(r"\\x([0-9a-fA-F]{2})")


def escape(raw: bytes) -> str:
    r"""Return *raw* as printable text, `\xNN` for each byte that is not printable UTF-8."""
    if _PLAIN.fullmatch(raw):
        return raw.decode("ascii")
    text = raw.decode("utf-8", "surrogateescape")
    return "".join(_escape_character(character) for character in text)


def _escape_character(character: str) -> str:
    if character.isprintable() and character != "\\":
        return character
    encoded = character.encode("utf-8", "surrogateescape")
    return "".join(f"\\x{byte:02x}" for byte in encoded)


def escape_pattern(raw: bytes) -> str:
    r"""Return *raw* as a pattern that matches just itself: a literal `*` becomes `\x2a`."""
    return escape(raw).replace("*", r"\x2a")


def unescape(text: str) -> bytes:
    r"""Return the bytes that *text* stands for; a backslash that begins no `\xNN` is itself."""
    parts = _ESCAPE.split(text)
    return b"".join(
        bytes([int(part, 16)]) if index % 2 else part.encode("utf-8", "surrogateescape")
        for index, part in enumerate(parts)
    )
