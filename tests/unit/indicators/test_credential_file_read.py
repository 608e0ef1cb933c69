"""A file with credentials that was read."""

from __future__ import annotations

import pytest

from tests.unit.indicators.judging import READ, WRITE, fires, fires_on, seen, taints

pytestmark = pytest.mark.unit

NAME = "credential-file-read"
FILES = [b"/root/.aws/credentials", b"/root/.kube/config", b"/etc/kubernetes/admin.conf",
         b"/home/x/.docker/config.json", b"/home/x/.git-credentials"]  # fmt: skip


def test_credentials_fire_and_their_neighbours_do_not() -> None:
    others = [b"/root/.aws/config", b"/etc/kubernetes/pki/ca.crt", b"/srv/config.json"]
    assert fires_on(NAME, "files", READ, "path", FILES + others) == FILES


def test_a_tool_that_reads_them_taints() -> None:
    file = {"path": FILES[0]} | READ
    rows = seen("files", file | {"exe_path": b"/app/server"}, file | {"exe_path": b"/bin/cat"})
    assert taints(NAME, rows) == [False, True]


def test_what_was_not_read_does_not_fire() -> None:
    rows = seen("files", {"path": FILES[0]} | WRITE, {"path": FILES[0], "errno": 13} | READ)
    assert fires(NAME, rows) == [False, False]
