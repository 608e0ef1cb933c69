"""A capability that leads out of a container."""

from __future__ import annotations

import pytest

from ethogram.contracts.capabilities import CAPABILITIES
from tests.unit.indicators.judging import UNIT, fires, fires_on, seen, taints

pytestmark = pytest.mark.unit

NAME = "escape-capability"
ADMIN = CAPABILITIES.index("CAP_SYS_ADMIN")
USED = {"operation": "capability", "capability": ADMIN, "granted": True}


def test_those_that_lead_out_fire() -> None:
    names = ("SYS_ADMIN", "SYS_MODULE", "SYS_PTRACE", "SYS_RAWIO", "DAC_READ_SEARCH", "BPF")
    leading = [CAPABILITIES.index(f"CAP_{name}") for name in names]
    others = [CAPABILITIES.index(f"CAP_{name}") for name in ("CHOWN", "NET_RAW", "SETUID")]
    given = [*leading, *others, None]
    assert fires_on(NAME, "privileges", USED, "capability", given) == leading


def test_what_was_refused_and_what_is_no_containers_does_not() -> None:
    rows = seen(
        "privileges",
        USED | {"granted": False, "errno": 1},
        USED | {"instance": UNIT},
        USED | {"phase": "runtime"},
    )
    assert fires(NAME, rows) == [False] * 3
    assert taints(NAME, seen("privileges", USED)) == [False]
