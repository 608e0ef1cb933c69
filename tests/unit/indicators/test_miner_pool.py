"""A question for the address of a mining pool."""

from __future__ import annotations

import pytest

from tests.unit.indicators.judging import fires_on, seen, taints

pytestmark = pytest.mark.unit

NAME = "miner-pool"


def test_a_pool_fires_and_its_neighbours_do_not() -> None:
    pools = [b"pool.supportxmr.com", b"xmr-eu1.nanopool.org", b"gulf.moneroocean.stream",
             b"minexmr.com"]  # fmt: skip
    others = [b"pool.example.com", b"notminexmr.com", b"minexmr.com.example.org", b"pool.ntp.org"]
    assert fires_on(NAME, "dns", {}, "qname", pools + others) == pools
    assert taints(NAME, seen("dns", {"qname": pools[0]})) == [False]
