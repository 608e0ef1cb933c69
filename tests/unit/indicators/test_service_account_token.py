"""A service-account token that was read."""

from __future__ import annotations

import pytest

from ethogram.indicators.registry import indicators
from tests.unit.indicators.judging import READ, WRITE, fires, fires_on, seen, taints

pytestmark = pytest.mark.unit

NAME = "service-account-token"
TOKEN = b"/run/secrets/kubernetes.io/serviceaccount/..2026_01_01/token"


def test_a_token_fires_and_its_neighbours_do_not() -> None:
    tokens = [
        TOKEN, b"/var" + TOKEN, b"/run/secrets/kubernetes.io/serviceaccount/token",
        b"/var/run/secrets/eks.amazonaws.com/serviceaccount/..2026/token",
        b"/var/run/secrets/azure/tokens/azure-identity-token",
        b"/host/var/lib/kubelet/pods/x/volumes/kubernetes.io~projected/kube-api-access-x/token",
    ]  # fmt: skip
    others = [b"/run/secrets/kubernetes.io/serviceaccount/ca.crt", b"/app/token",
              b"/run/secrets/kubernetes.io/serviceaccount/namespace"]  # fmt: skip
    assert fires_on(NAME, "files", READ, "path", tokens + others) == tokens


def test_a_tool_that_reads_it_taints_and_the_service_does_not() -> None:
    programs = [b"/app/server", b"/usr/bin/python3", b"/usr/bin/dash", b"/usr/bin/curl", b"cat"]
    rows = seen("files", *({"exe_path": name, "path": TOKEN} | READ for name in programs))
    assert fires(NAME, rows) == [True] * 5
    assert taints(NAME, rows) == [False, False, True, True, True]


def test_the_baseline_decides_who_may_read_it() -> None:
    assert indicators()[NAME].metadata.gate == "baseline"


def test_what_was_not_read_does_not_fire() -> None:
    rows = seen("files", {"path": TOKEN} | WRITE, {"path": TOKEN, "errno": 13} | READ)
    assert fires(NAME, rows) == [False, False]
