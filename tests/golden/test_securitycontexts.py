"""The bytes of exported securityContexts: an unintended change anywhere shows here.

`ETHOGRAM_UPDATE_GOLDEN=1` writes the files anew; review the difference before committing it.
"""

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from exporters.protocol import Artifact, Finding
from exporters.registry import find_exporter, parse_options
from tests.admission import make_admission_baseline

pytestmark = pytest.mark.golden

GOLDEN = Path(__file__).parent / "securitycontext"
TIGHT = make_admission_baseline("CAP_NET_BIND_SERVICE", runs_as=(101,), writes_root=False)
LOOSE = make_admission_baseline(
    "CAP_CHOWN", "CAP_SETUID", runs_as=(0, 33), writes_root=True, privileges_gained=True,
    host_namespaces=("net",), files={"/var/cache/nginx/a": "wc"},
)  # fmt: skip
VARIANTS: Mapping[str, tuple[list[str], bool]] = {
    "tight": ([], False),
    "enforce": (["form=kustomize", "runtime=runc=1.1.5"], True),
    "loose": (["seccomp=runtime-default"], False),
}


@pytest.mark.parametrize("name", VARIANTS)
def test_the_shop_has_this_patch(name: str) -> None:
    settings, enforce = VARIANTS[name]
    exporter = find_exporter("securitycontext")
    options = parse_options(exporter, settings, enforce=enforce)
    items = list(exporter.export(LOOSE if name == "loose" else TIGHT, options))
    (artifact,) = (item for item in items if isinstance(item, Artifact))
    findings = [item for item in items if isinstance(item, Finding)]
    text = "".join(f"{f.severity}: {f.message}\n  hint: {f.hint}\n" for f in findings)
    for suffix, content in (("yaml", artifact.content), ("findings.txt", text.encode())):
        path = GOLDEN / f"checkout.{name}.{suffix}"
        if os.environ.get("ETHOGRAM_UPDATE_GOLDEN") == "1":
            path.write_bytes(content)
        assert path.read_bytes() == content


def test_no_golden_file_is_left_over() -> None:
    suffixes = ("yaml", "findings.txt")
    expected = {f"checkout.{name}.{suffix}" for name in VARIANTS for suffix in suffixes}
    assert {path.name for path in GOLDEN.iterdir()} == expected
