"""A name server that was not asked before."""

from __future__ import annotations

import pytest

from tests.unit.indicators.judging import fires, fires_on, seen, taints

pytestmark = pytest.mark.unit

NAME = "name-server"
OUT = {"direction": "out", "protocol": 17, "peer_addr": b"\x09\x09\x09\x09"}


def test_questions_go_to_its_ports() -> None:
    ports = [53, 853, 5353, 443, None]
    assert fires_on(NAME, "network", OUT, "peer_port", ports) == ports[:2]


def test_answering_is_not_asking_and_none_taints() -> None:
    port = {"peer_port": 53}
    assert fires(NAME, seen("network", OUT | port | {"direction": "in"})) == [False]
    assert taints(NAME, seen("network", OUT | port)) == [False]
