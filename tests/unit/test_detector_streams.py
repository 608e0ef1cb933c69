"""Whom a shell on a socket talks to, as its finding says it."""

from __future__ import annotations

from typing import Any

import pytest

from detector.indications import _indication, _rows, _value
from detector.streams import input_in_words
from ethogram.indicators.registry import indicators
from tests.unit.indicators.judging import seen

pytestmark = pytest.mark.unit

_NONE = {"local_addr": None, "local_port": None, "peer_addr": None, "peer_port": None,
         "unix_path": None}  # fmt: skip


def _peer(**known: Any) -> dict[str, Any]:
    return {"fd": 0, "family": 2, "type": 1, **_NONE, **known}


_SHELL = _peer(local_addr=b"\x0a\0\0\5", local_port=40001, peer_addr=b"\xc0\0\2\1", peer_port=4444)


@pytest.mark.parametrize(
    ("peers", "words"),
    [
        ([_SHELL], "192.0.2.1:4444 (here 10.0.0.5:40001)"),
        ([_peer(peer_addr=b"\xc0\0\2\1", peer_port=4444)], "192.0.2.1:4444"),
        ([_peer(family=10, peer_addr=bytes(15) + b"\1", peer_port=9)], "[::1]:9"),
        ([_peer(family=1, unix_path=b"/run/x.sock")], "/run/x.sock"),
        ([_peer(family=1, unix_path=b"\0name\n")], "@name\\x0a"),
        ([_peer(peer_addr=b"\1", peer_port=9)], None),
        ([_peer(family=1)], None),
        ([{**_SHELL, "fd": 1}], None),
        ([], None),
        (None, None),
    ],
)
def test_the_other_end_of_the_standard_input(
    peers: list[dict[str, Any]] | None, words: str | None
) -> None:
    assert input_in_words(peers) == words


def test_a_finding_shows_it_and_stays_the_same_finding_at_another_port() -> None:
    shells = [
        {"exe_path": b"/bin/sh", "stdio": ["socket"] * 3, "stdio_peers": [peer]}
        for peer in (_SHELL, {**_SHELL, "local_port": 40002})
    ]
    metadata = indicators()["shell-on-socket"].metadata
    found = [
        _indication(metadata, row, *_value("processes", row), (0, 1))
        for row in _rows(seen("processes", *shells))
    ]
    assert found[0].observed.startswith("/bin/sh, standard input is a socket to 192.0.2.1:4444")
    assert found[0].observed != found[1].observed
    assert found[0].identity == found[1].identity == "/bin/sh"
