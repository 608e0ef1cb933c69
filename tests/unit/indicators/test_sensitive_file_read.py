"""Password hashes that were opened for reading."""

from __future__ import annotations

import pytest

from ethogram.contracts.flags import Access
from tests.unit.indicators.judging import READ, WRITE, fires, fires_on, seen, taints

pytestmark = pytest.mark.unit

NAME = "sensitive-file-read"


@pytest.mark.parametrize(
    "path",
    [b"/etc/shadow", b"/etc/shadow-", b"/etc/gshadow", b"/host/etc/shadow", b"/etc/krb5.keytab",
     b"/etc/security/opasswd"],
)  # fmt: skip
def test_hashes_fire_whoever_reads_them_and_a_tool_taints(path: bytes) -> None:
    rows = seen(
        "files",
        {"exe_path": b"/app/server", "path": path} | READ,
        {"exe_path": b"/usr/bin/cat", "path": path} | READ,
        {"exe_path": b"/usr/bin/dash", "path": path, "access": int(Access.READ | Access.WRITE)},
    )
    assert fires(NAME, rows) == [True, True, True]
    assert taints(NAME, rows) == [False, True, True]


def test_their_neighbours_do_not_fire() -> None:
    paths = [b"/etc/passwd", b"/etc/shadowed", b"/srv/shadow", b"/etc/shadow\n/x", b"/etc/shadow/"]
    assert fires_on(NAME, "files", READ, "path", paths) == []


def test_what_was_not_read_does_not_fire() -> None:
    rows = seen(
        "files",
        {"path": b"/etc/shadow"} | WRITE,
        {"path": b"/etc/shadow", "errno": 13} | READ,
        {"path": b"/etc/shadow", "access": int(Access.PATH_ONLY)},
    )
    assert fires(NAME, rows) == [False, False, False]


def test_what_logs_people_in_may_read_them() -> None:
    row = {"path": b"/etc/shadow"} | READ
    readers = [b"/usr/bin/su", b"/bin/login", b"/usr/sbin/sshd", b"/usr/sbin/unix_chkpwd",
               b"/usr/lib/openssh/sshd-session", b"/usr/lib/systemd/systemd-executor",
               b"/tmp/su", b"/opt/usr/bin/su", b"/usr/bin/sux"]  # fmt: skip
    assert fires_on(NAME, "files", row, "exe_path", readers) == readers[-3:]


def test_a_reader_that_the_container_wrote_is_none() -> None:
    row = {"path": b"/etc/shadow", "exe_path": b"/usr/bin/su"} | READ
    rows = seen("files", row | {"exe_upper": True}, row | {"exe_upper": False}, row)
    assert fires(NAME, rows) == [True, False, False]


def test_a_file_of_the_image_that_is_mounted_elsewhere_fires() -> None:
    reader = READ | {"exe_path": b"/bin/cat"}
    rows = seen(
        "files",
        reader | {"path": b"/tmp/b/shadow", "in_image": "yes"},
        reader | {"path": b"/tmp/b/shadow", "in_image": "no"},
        reader | {"path": b"/usr/share/doc/shadow", "in_image": "yes"},
    )
    assert fires(NAME, rows) == [True, False, False]
