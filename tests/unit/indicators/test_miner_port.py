"""A connection to a port of mining pools."""

from __future__ import annotations

import pytest

from tests.unit.indicators.judging import fires, fires_on, seen, taints

pytestmark = pytest.mark.unit

NAME = "miner-port"
OUT = {"direction": "out", "protocol": 6, "peer_addr": b"\x7f\x00\x00\x01"}


def test_its_ports_fire_and_common_ones_do_not() -> None:
    ports = [3333, 14444, 45700, 80, 443, 25, 8080, 4444, None]
    assert fires_on(NAME, "network", OUT, "peer_port", ports) == ports[:3]


def test_only_outgoing_tcp_is_judged() -> None:
    port = {"peer_port": 3333}
    rows = seen("network", OUT | port | {"protocol": 17}, OUT | port | {"direction": "in"})
    assert fires(NAME, rows) == [False, False]
    assert taints(NAME, seen("network", OUT | port)) == [False]
