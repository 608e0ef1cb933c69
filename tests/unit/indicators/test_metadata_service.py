"""A connection to the metadata service of a cloud."""

from __future__ import annotations

import ipaddress

import pytest

from tests.unit.indicators.judging import fires, seen, taints

pytestmark = pytest.mark.unit

NAME = "metadata-service"


def to(address: str, port: int = 80, **more: object) -> dict[str, object]:
    packed = ipaddress.ip_address(address).packed
    return {"direction": "out", "peer_addr": packed, "peer_port": port} | more


def test_its_addresses_fire_and_their_neighbours_do_not() -> None:
    rows = seen(
        "network",
        to("169.254.169.254"),
        to("fd00:ec2::254"),
        to("169.254.170.2"),
        to("169.254.169.253"),
        to("169.254.20.10"),
        to("10.0.0.1"),
        to("169.254.169.254", direction="in"),
    )
    assert fires(NAME, rows) == [True] * 3 + [False] * 4


def test_names_and_time_are_no_credentials() -> None:
    rows = seen("network", to("169.254.169.254", 53), to("169.254.169.254", 123))
    assert fires(NAME, rows) == [False, False]


def test_a_tool_that_asks_taints() -> None:
    programs = [b"/usr/bin/curl", b"/app/server"]
    rows = seen("network", *(to("169.254.169.254", exe_path=name) for name in programs))
    assert taints(NAME, rows) == [True, False]
