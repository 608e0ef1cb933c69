r"""How bytes that a workload controls become text: the one place.

Paths, arguments, names and annotations are whatever a workload chose, terminal controls and
right-to-left marks included. `escape` leaves printable UTF-8 as it is and writes every other byte
as `\xNN`; `unescape` is its exact inverse, so that a policy can name the very bytes again.
"""

from __future__ import annotations

import re

__all__ = ["escape", "unescape"]

_ESCAPE = re.compile(r"\\x([0-9a-f]{2})")
# A backslash that the workload wrote and that would read as an escape is escaped itself.
_LOOKS_ESCAPED = re.compile(r"\\(?=x[0-9a-f]{2})")


def escape(value: bytes | str) -> str:
    r"""Return *value* as text for a screen, JSON or YAML, on one line and free of controls.

    Bytes that are not UTF-8, and characters that are not printable (controls, line ends, bidi
    marks, unassigned code points), become `\xNN` for each of their UTF-8 bytes. A backslash stays
    unless `xNN` follows it: different bytes never give the same text.
    """
    text = value if isinstance(value, str) else value.decode("utf-8", "surrogateescape")
    if "\\" in text:
        text = _LOOKS_ESCAPED.sub(r"\\x5c", text)
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _hex(char) for char in text)


def unescape(text: str) -> bytes:
    r"""Return the bytes that `escape` turned into *text*; what is no escape stays."""
    parts = _ESCAPE.split(text)
    return b"".join(
        bytes.fromhex(part) if index % 2 else part.encode("utf-8", "surrogatepass")
        for index, part in enumerate(parts)
    )


def _hex(char: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in _bytes_of(char))


def _bytes_of(char: str) -> bytes:
    try:
        return char.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # a surrogate that stands for no byte, as in a foreign JSON file
        return char.encode("utf-8", "surrogatepass")
