"""A second name for a file with secrets."""

from __future__ import annotations

import pytest

from tests.unit.indicators.judging import fires, fires_on, taints, tried

pytestmark = pytest.mark.unit

NAME = "secret-linked"


def test_a_second_name_for_a_secret_fires_made_or_refused_and_taints() -> None:
    rows = tried("link", "chroot", target=b"/etc/shadow")
    assert fires(NAME, rows) == [True, False, True, False]
    assert taints(NAME, rows) == [True, False, True, False]


def test_other_files_may_have_many_names() -> None:
    secrets = [
        b"/etc/shadow", b"/usr/../etc/./gshadow", b"shadow", b"/host/etc/shadow-",
        b"/root/.ssh/id_ed25519", b"/run/secrets/kubernetes.io/serviceaccount/token",
    ]  # fmt: skip
    others = [
        b"/etc/shadow.1234", b"/var/mail/lock", b"/etc/passwd", b"/etc/shadow/x",
        b"/root/.ssh/id_ed25519.pub", None,
    ]  # fmt: skip
    row = {"operation": "link", "granted": True}
    assert fires_on(NAME, "privileges", row, "target", secrets + others) == secrets


def test_preparing_a_container_is_not_judged() -> None:
    assert fires(NAME, tried("link", target=b"/etc/shadow", phase="runtime")) == [False, False]
