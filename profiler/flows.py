"""Rows of `network`: peers and listeners with Internet addresses, and UNIX sockets by path."""

from __future__ import annotations

from typing import Any

import numpy as np

from ethogram.contracts.tables import ENUMS
from profiler.assembly import times_of
from profiler.clock import BootClock
from profiler.processes import Executables

__all__ = ["begun", "network_columns", "unix_columns"]

Columns = dict[str, Any]
_AF_UNIX, _AF_INET, _AF_INET6 = 1, 2, 10
_STREAM, _TCP, _UDP = 1, 6, 17
_DIRECTIONS = ENUMS["direction"]


def network_columns(
    keys: np.ndarray, values: np.ndarray, executables: Executables, clock: BootClock
) -> Columns:
    """Return columns of `network`. Addresses that are all zero are null unless they are bound.

    Sockets of other families, and those that are only made, have no address at all.
    """
    first, last = times_of(values, clock)
    is_internet = np.isin(keys["family"], (_AF_INET, _AF_INET6))
    directions = [_DIRECTIONS[code] for code in keys["direction"]]
    is_out = [direction == "out" for direction in directions]
    peers = [
        _address(key["family"], key["peer_addr"])
        if direction in ("in", "out") else None
        for key, direction in zip(keys, directions, strict=True)
    ]  # fmt: skip
    locals_ = [
        None if out else _address(key["family"], key["local_addr"])
        for key, out in zip(keys, is_out, strict=True)
    ]
    usual = np.where(keys["type"] == _STREAM, _TCP, _UDP)
    is_usual = (keys["protocol"] == 0) & is_internet
    return {
        "exe": executables.numbers_of(keys["exe_key"]),
        "direction": directions,
        "family": keys["family"],
        "type": keys["type"],
        "protocol": np.where(is_usual, usual, keys["protocol"]).astype(np.uint16),
        "local_addr": locals_,
        "peer_addr": peers,
        "local_port": [int(port) or None for port in keys["local_port"]],
        "peer_port": [int(port) or None for port in keys["peer_port"]],
        "name": [None] * len(keys),
        "name_trust": [None] * len(keys),
        **_translations(keys),
        **_cookies(values),
        "connections": values["connections"],
        "tx_bytes": values["tx_bytes"],
        "rx_bytes": values["rx_bytes"],
        "first": first,
        "last": last,
    }


def begun(keys: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return which flows say anything: one that was translated counts as that alone."""
    says: np.ndarray = keys["nat_port"] != 0
    for name in ("connections", "tx_bytes", "rx_bytes"):
        says |= values[name] > 0
    return says


def unix_columns(
    keys: np.ndarray, values: np.ndarray, executables: Executables, clock: BootClock
) -> Columns:
    """Return columns of `network` for UNIX sockets: who they are is a path, and nothing else."""
    first, last = times_of(values, clock)
    rows = len(keys)
    zeros = np.zeros(rows, np.uint16)
    nothing = ("local_addr", "peer_addr", "local_port", "peer_port", "name", "name_trust",
               "tx_bytes", "rx_bytes")  # fmt: skip
    return {
        "exe": executables.numbers_of(keys["exe_key"]),
        "direction": [_DIRECTIONS[code] for code in keys["direction"]],
        "family": zeros + _AF_UNIX,
        "type": keys["type"],
        "protocol": zeros,
        "unix_path": [key["path"].tobytes()[: int(key["path_size"])] for key in keys],
        **_cookies(values),
        "connections": values["connections"],
        "first": first,
        "last": last,
        **{name: [None] * rows for name in nothing},
    }


def _cookies(values: np.ndarray) -> Columns:
    names = ("cookie", "peer_cookie")
    return {name: [int(cookie) or None for cookie in values[name]] for name in names}


def _translations(keys: np.ndarray) -> Columns:
    return {
        "nat_addr": [
            _address(key["family"], key["nat_addr"]) if key["nat_port"] else None for key in keys
        ],
        "nat_port": [int(port) or None for port in keys["nat_port"]],
    }


def _address(family: int, raw: np.ndarray) -> bytes | None:
    size = {_AF_INET: 4, _AF_INET6: 16}.get(int(family))
    return None if size is None else raw.tobytes()[:size]
