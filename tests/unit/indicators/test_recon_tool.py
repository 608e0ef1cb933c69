"""A program to scan and look around with."""

from __future__ import annotations

import pytest

from ethogram.contracts.flags import ProcessFlag
from tests.unit.indicators.judging import fires, fires_on, seen, taints

pytestmark = pytest.mark.unit

NAME = "recon-tool"


def test_a_scanner_fires_and_what_health_checks_use_does_not() -> None:
    tools = [b"/usr/bin/nmap", b"/usr/local/bin/masscan", b"/tmp/linpeas.sh", b"/root/kubeletctl"]
    others = [b"/usr/bin/curl", b"/bin/ping", b"/usr/bin/dig", b"/usr/bin/nmapper", b"/opt/nmap/x"]
    assert fires_on(NAME, "processes", {}, "exe_path", tools + others) == tools


def test_a_script_is_known_by_its_own_name() -> None:
    row = {"exe_path": b"/usr/bin/bash"}
    scripts = [b"/tmp/linpeas.sh", b"./deepce.sh", b"/app/run.sh"]
    assert fires_on(NAME, "processes", row, "script", scripts) == scripts[:2]


def test_a_part_of_busybox_is_known_by_what_it_was_called() -> None:
    row = {"exe_path": b"/bin/busybox"}
    given = [[b"arping", b"10.0.0.1"], [b"busybox", b"arping"], [b"ls", b"nmap"]]
    assert fires_on(NAME, "processes", row, "argv", given) == given[:2]


def test_one_that_did_not_start_does_not_fire_and_none_taints() -> None:
    nmap = {"exe_path": b"/usr/bin/nmap"}
    forked = nmap | {"flags": int(ProcessFlag.FORKED)}
    rows = seen("processes", nmap, nmap | {"errno": 2}, forked)
    assert fires(NAME, rows) == [True, False, False]
    assert taints(NAME, rows) == [False] * 3
