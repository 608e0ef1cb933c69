"""Withholds what rules name of paths, DNS names and UNIX sockets, before a row leaves the sensor.

What an operator does not want written down is withheld here, once, for whoever takes the rows: the
journal, the judge, the screen. Every value is looked at once; a workload that has very many makes
the sensor look again, and no more.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ethogram.contracts.redaction_file import WITHHELD, RedactionRule, withhold

__all__ = ["Withholding"]

_REMEMBERED = 65_536
_CUT = b"..."  # how a path begins whose beginning was not kept
_PATHS_IN_TEXT = re.compile(rb"(?<![^\s:=,;'\"|&<>()@])/[^\s\x00:=,;'\"|&<>()]+")
_NAMES_IN_TEXT = re.compile(rb"(?<![A-Za-z0-9_.-])[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)+")


class Withholding:
    """Applies *rules*; *counts* says how many values of rows each of them changed."""

    def __init__(self, rules: Sequence[RedactionRule] = ()) -> None:
        self._rules = tuple(rules)
        self._known: dict[tuple[str, bytes], tuple[bytes, tuple[str, ...]]] = {}
        self.counts: Counter[str] = Counter({rule.name: 0 for rule in self._rules})
        self._columns: Mapping[tuple[str, str], Callable[[Any], Any]] = {
            ("executables", "path"): self.path,
            ("processes", "interpreter"): self.path,
            ("processes", "script"): self.path,
            ("processes", "cwd"): self.path,
            ("processes", "argv"): lambda words: [self.text(word) for word in words],
            ("processes", "stdio_peers"): self._peers,
            ("files", "path"): self.path,
            ("privileges", "target"): self.text,
            ("instances", "host_paths"): self._host_paths,
            ("network", "unix_path"): self.socket,
            ("network", "name"): self._name,
            ("dns", "qname"): self.name,
            ("addresses", "name"): self._name,
        }

    def of(self, table: str, columns: dict[str, Any]) -> dict[str, Any]:
        """Return *columns*, rows of *table*, without what is withheld."""
        if not self._rules:
            return columns
        changed: dict[str, list[Any]] = {}
        for name, values in columns.items():
            change = self._columns.get((table, name))
            if change is not None:
                changed[name] = [None if one is None else change(one) for one in values]
        if table == "files" and "asked" in columns:
            ways = zip(columns["asked"], columns["path"], changed["path"], strict=True)
            changed["asked"] = [self._asked(*way) for way in ways]
        return columns | changed

    def path(self, value: bytes) -> bytes:
        """Return the path *value* without what is withheld; nothing of one without beginning."""
        return self._applied("path", value)

    def shown(self, path: bytes) -> bytes:
        """Return *path* for a screen: without what is withheld, and uncounted."""
        return self._looked_at("path", path)[0] if self._rules else path

    def socket(self, value: bytes) -> bytes:
        """Return the address of a UNIX socket without what is withheld."""
        return self._applied("socket", value)

    def name(self, value: bytes) -> bytes:
        """Return the DNS name *value* without what is withheld."""
        return self._applied("name", value)

    def text(self, value: bytes) -> bytes:
        """Return *value*, a word of a command line, without the paths and names in it."""
        return self._applied("text", value)

    def _name(self, value: str) -> str:
        return self.name(value.encode("utf-8", "surrogatepass")).decode("utf-8", "surrogatepass")

    def _host_paths(self, values: Sequence[str]) -> list[str]:
        return [
            self.path(one.encode("utf-8", "surrogatepass")).decode("utf-8", "surrogatepass")
            for one in values
        ]

    def _peers(self, peers: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        return [
            one | {"unix_path": self.socket(one["unix_path"])} if one.get("unix_path") else one
            for one in peers
        ]

    def _asked(self, asked: bytes | None, before: bytes, path: bytes) -> bytes | None:
        """Return what was asked for: nothing of it where *path* had something to withhold.

        It leads to the same place on another way, which no pattern knows.
        """
        if asked is None:
            return None
        found = self.path(asked)
        return WITHHELD if found == asked and before != path else found

    def _applied(self, kind: str, value: bytes) -> bytes:
        known = self._known.get((kind, value))
        if known is None:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            known = self._known[kind, value] = self._looked_at(kind, value)
        self.counts.update(known[1])
        return known[0]

    def _looked_at(self, kind: str, value: bytes) -> tuple[bytes, tuple[str, ...]]:
        by: list[str] = []
        for rule in self._rules:
            before = value
            value = _BY_KIND[kind](rule, value)
            if value != before:
                by.append(rule.name)
        return value, tuple(by)


def _of_path(rule: RedactionRule, value: bytes) -> bytes:
    if rule.of_paths and value.startswith(_CUT):
        return _CUT + WITHHELD
    return withhold(rule.of_paths, value)


def _of_socket(rule: RedactionRule, value: bytes) -> bytes:
    if value.startswith(b"\0"):
        return b"\0" + withhold(rule.of_sockets, b"@" + value[1:])[1:]
    return withhold(rule.of_paths, withhold(rule.of_sockets, value))


def _of_name(rule: RedactionRule, value: bytes) -> bytes:
    return withhold(rule.of_names, value)


def _of_text(rule: RedactionRule, value: bytes) -> bytes:
    if rule.of_paths and b"/" in value:
        value = withhold(rule.of_paths, value) if value.startswith(b"/") else value
        value = _PATHS_IN_TEXT.sub(lambda match: withhold(rule.of_paths, match[0]), value)
    if rule.of_names and b"." in value:
        value = _NAMES_IN_TEXT.sub(lambda match: _of_host(rule, match[0]), value)
    return value


def _of_host(rule: RedactionRule, host: bytes) -> bytes:
    """Return *host* as it was written, unless something of it is withheld."""
    found = withhold(rule.of_names, host.lower())
    return host if found == host.lower() else found


_BY_KIND: Mapping[str, Callable[[RedactionRule, bytes], bytes]] = {
    "path": _of_path,
    "socket": _of_socket,
    "name": _of_name,
    "text": _of_text,
}
