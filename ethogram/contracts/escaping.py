"""The former name of `ethogram.contracts.escape`: import from there."""

from ethogram.contracts.escape import escape, escape_pattern, unescape

__all__ = ["escape", "escape_pattern", "unescape"]
