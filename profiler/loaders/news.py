"""What news name, looked up in the open window; and what of it is not to be told twice."""

from __future__ import annotations

import platform
from collections import defaultdict
from collections.abc import Iterable, Mapping
from ctypes import c_char

import numpy as np

from ethogram.contracts.events import ARCHES, STRUCTS, News
from profiler.libbpf import Map
from profiler.loaders.base import CALLER, CALLS
from profiler.loaders.counters import SETS
from profiler.ring import Records
from profiler.wire import checked

__all__ = ["NewsReader", "callers_in"]

Set = tuple[np.ndarray, np.ndarray]

_SETS = {
    News.ODD_CALL: "odd_calls",
    News.FILE: "files",
    News.FLOW: "flows",
    News.UNIX: "unix_flows",
    News.PRIVILEGE: "privileges",
    News.DENIED: "denials",
    News.GRAM: "grams",
}
_COUNTED = ("calls", "connections", "tx_bytes", "rx_bytes")
_KEY = STRUCTS["call_key"].dtype
_OF_CALLS = (News.CALL, News.ODD_CALL)


class NewsReader:
    """Looks up what news name, and takes what it gave out off what the window's end reads."""

    def __init__(self, maps: Mapping[str, Map]) -> None:
        self._maps = maps
        self._given: dict[str, dict[bytes, np.ndarray]] = defaultdict(dict)
        self._calls: set[tuple[int, int]] = set()  # slot and number

    def take(self, news: Iterable[Records], window: int) -> tuple[np.ndarray, dict[str, Set]]:
        """Return calls and sets, as far as *news* of *window* name them, and were not given out."""
        keys: dict[str, dict[bytes, None]] = defaultdict(dict)
        calls: list[tuple[int, int]] = []
        for batch in news:
            for head, tail in zip(batch.heads, batch.tails, strict=True):
                if int(head["window"]) != window:
                    continue
                kind, key = int(head["news"]), tail[: int(head["key_size"])]
                if kind == News.CALL:
                    one = np.frombuffer(key, _KEY)[0]
                    calls.append((int(one["slot"]), int(one["nr"])))
                elif kind in _SETS:
                    keys[_SETS[News(kind)]][key] = None
        sets = {name: self._looked_up(name, list(keys.get(name, ()))) for name in SETS}
        odd_keys, odd_values = sets.pop("odd_calls")
        return np.concatenate([self._native(calls, window), _odd(odd_keys, odd_values)]), sets

    def _looked_up(self, name: str, keys: list[bytes]) -> Set:
        key_type = STRUCTS[SETS[name][0]].dtype
        value_type = self._value_type(name)
        found: list[tuple[bytes, np.ndarray]] = []
        for key in keys:
            room = (c_char * value_type.itemsize)()
            if self._maps[name].lookup_into(key, room):
                now = np.frombuffer(bytes(room), value_type)
                found.append((key, self._less(name, key, now)))
                self._given[name][key] = now
        if not found:
            return np.zeros(0, key_type), np.zeros(0, value_type)
        raw = b"".join(key for key, _ in found)
        return checked(np.frombuffer(raw, key_type)), np.concatenate([one for _, one in found])

    def _value_type(self, name: str) -> np.dtype:
        value = SETS[name][1]
        return STRUCTS[value].dtype if value else np.dtype(f"<u{self._maps[name].value_size}")

    def _less(self, name: str, key: bytes, now: np.ndarray) -> np.ndarray:
        """Return *now* without what was given out of it before."""
        before, rest = self._given[name].get(key), now.copy()
        if before is not None:
            _take_off(rest, before)
        return rest

    def _native(self, calls: list[tuple[int, int]], window: int) -> np.ndarray:
        fresh = sorted(set(calls) - self._calls)
        self._calls.update(fresh)
        rows = np.zeros(len(fresh), CALLS)
        if fresh:
            rows["slot"], rows["nr"] = np.array(fresh).T
        rows["window"], rows["calls"] = window, 1
        rows["arch"] = ARCHES.index(platform.machine())
        return rows

    # --- at the window's end -----------------------------------------------------------------

    def rest_of(self, name: str, keys: np.ndarray, values: np.ndarray) -> Set:
        """Return what of a set that is over was not given out, and forget that it was."""
        given = self._given.pop(name, None)
        if not given or not len(keys):
            return keys, values
        size, raw = keys.dtype.itemsize, keys.tobytes()
        values, kept = values.copy(), np.ones(len(keys), bool)
        for index in range(len(keys)):
            before = given.get(raw[index * size : (index + 1) * size])
            if before is not None:
                kept[index] = _take_off(values[index : index + 1], before)
        return keys[kept], values[kept]

    def rest_of_calls(self, calls: np.ndarray) -> np.ndarray:
        """Return the native calls of a window without one of each that was given out."""
        if not self._calls:
            return calls
        native = ARCHES.index(platform.machine())
        pairs = zip(calls["slot"].tolist(), calls["nr"].tolist(), strict=True)
        given = np.array([pair in self._calls for pair in pairs], bool)
        given &= (calls["arch"] == native) & (calls["calls"] > 0)
        self._calls.clear()
        calls = calls.copy()
        calls["calls"][given] -= np.uint64(1)
        return calls[calls["calls"] > 0]


def callers_in(news: Iterable[Records]) -> np.ndarray:
    """Return who made the calls that *news* tell of, in their order."""
    found = []
    for batch in news:
        is_call = np.isin(batch.heads["news"], _OF_CALLS) & (batch.heads["exec_key"] != 0)
        for at in is_call.nonzero()[0].tolist():
            (key,) = np.frombuffer(batch.tails[at][: _KEY.itemsize], _KEY)
            found.append((key["slot"], key["nr"], key["arch"], batch.heads["exec_key"][at]))
    return np.array(found, CALLER)


def _odd(keys: np.ndarray, values: np.ndarray) -> np.ndarray:
    rows = np.zeros(len(keys), CALLS)
    for field in ("slot", "window", "nr", "arch"):
        rows[field] = keys[field]
    rows["calls"] = values
    return rows


def _take_off(value: np.ndarray, given: np.ndarray) -> bool:
    """Take what was *given* off the one *value*; return whether anything is left."""
    if value.dtype.names is None:
        value -= given
        return bool(value[0])
    counted = [field for field in value.dtype.names if field in _COUNTED]
    for field in counted:
        value[field] -= given[field]
    return any(bool(value[field][0]) for field in counted)
