"""The bytes of exported drop-ins: an unintended change anywhere shows here.

`ETHOGRAM_UPDATE_GOLDEN=1` writes the files anew; review the difference before committing it.
"""

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.systemd import export, make_unit

pytestmark = pytest.mark.golden

GOLDEN = Path(__file__).parent / "systemd"
WEB = make_unit(
    "CAP_NET_BIND_SERVICE",
    calls=("read", "mmap", "socket", "setuid", "sched_setscheduler"),
    files={"/var/lib/web/db": "rwcn", "/var/log/a b/x": "wa", "/etc/web.conf": "r", "/tmp/x": "w"},
    listens=[{"protocol": "tcp", "address": "0.0.0.0", "port": 80}],
)
VARIANTS: Mapping[str, tuple[list[str], bool]] = {
    "log": ([], False),
    "enforce": ([], True),
    "allow": (["filter=allow"], True),
}


@pytest.mark.parametrize("name", VARIANTS)
def test_the_service_has_this_drop_in(name: str) -> None:
    settings, enforce = VARIANTS[name]
    (artifact,), findings = export(WEB, *settings, enforce=enforce)
    text = "".join(f"{f.severity}: {f.message}\n  hint: {f.hint}\n" for f in findings)
    for suffix, content in (("conf", artifact.content), ("findings.txt", text.encode())):
        path = GOLDEN / f"web.{name}.{suffix}"
        if os.environ.get("ETHOGRAM_UPDATE_GOLDEN") == "1":
            path.write_bytes(content)
        assert path.read_bytes() == content


def test_no_golden_file_is_left_over() -> None:
    suffixes = ("conf", "findings.txt")
    expected = {f"web.{name}.{suffix}" for name in VARIANTS for suffix in suffixes}
    assert {path.name for path in GOLDEN.iterdir()} == expected
