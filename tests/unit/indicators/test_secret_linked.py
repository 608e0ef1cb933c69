"""A second name for a file with secrets."""

from __future__ import annotations

import pytest

from ethogram.contracts.flags import Access
from tests.unit.indicators.judging import READ, fires, fires_on, seen, taints

pytestmark = pytest.mark.unit

NAME = "secret-linked"


SECRET = {"path": b"/etc/shadow"}
LINKED, NEW = {"access": int(Access.LINK)}, {"access": int(Access.LINK | Access.MAKE)}


def test_a_second_name_for_a_secret_fires_made_or_refused_and_taints() -> None:
    rows = seen("files", SECRET | LINKED, SECRET | READ, SECRET | LINKED | {"errno": 1})
    assert fires(NAME, rows) == [True, False, True]
    assert taints(NAME, rows) == [True, False, True]


def test_other_files_may_have_many_names() -> None:
    secrets = [
        b"/etc/shadow", b"/etc/gshadow", b"/host/etc/shadow-", b"/root/.ssh/id_ed25519",
        b"/run/secrets/kubernetes.io/serviceaccount/token",
    ]  # fmt: skip
    others = [
        b"/etc/shadow.1234", b"/var/mail/lock", b"/etc/passwd", b"/etc/shadow/x",
        b"/root/.ssh/id_ed25519.pub",
    ]  # fmt: skip
    assert fires_on(NAME, "files", LINKED, "path", secrets + others) == secrets


def test_the_new_name_alone_says_nothing() -> None:
    assert fires(NAME, seen("files", SECRET | NEW)) == [False]


def test_preparing_a_container_is_not_judged() -> None:
    assert fires(NAME, seen("files", SECRET | LINKED | {"phase": "runtime"})) == [False]
