"""A private key that was opened for reading."""

from __future__ import annotations

import pytest

from tests.unit.indicators.judging import READ, WRITE, fires, fires_on, seen, taints

pytestmark = pytest.mark.unit

NAME = "private-key-read"
KEYS = [
    b"/root/.ssh/id_ed25519", b"/home/x/.ssh/identity", b"/etc/ssh/ssh_host_rsa_key",
    b"/var/lib/kubelet/pki/kubelet.key", b"/var/lib/kubelet/pki/kubelet-client-current.pem",
    b"/etc/kubernetes/pki/etcd/ca.key", b"/etc/ssl/private/site.pem",
    b"/root/.gnupg/private-keys-v1.d/A.key",
]  # fmt: skip


def test_a_key_fires_and_its_neighbours_do_not() -> None:
    others = [b"/root/.ssh/id_ed25519.pub", b"/root/.ssh/known_hosts", b"/etc/ssl/certs/ca.pem",
              b"/etc/ssh/ssh_host_rsa_key.pub", b"/etc/kubernetes/pki/ca.crt"]  # fmt: skip
    assert fires_on(NAME, "files", READ, "path", KEYS + others) == KEYS


def test_a_tool_that_reads_a_key_taints_and_a_service_does_not() -> None:
    rows = seen(
        "files",
        {"exe_path": b"/usr/sbin/sshd", "path": KEYS[2]} | READ,
        {"exe_path": b"/bin/busybox", "path": KEYS[2]} | READ,
    )
    assert taints(NAME, rows) == [False, True]


def test_what_was_not_read_does_not_fire() -> None:
    rows = seen("files", {"path": KEYS[0]} | WRITE, {"path": KEYS[0], "errno": 13} | READ)
    assert fires(NAME, rows) == [False, False]
