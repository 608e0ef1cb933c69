"""The bytes of exported seccomp profiles: an unintended change anywhere shows here.

`ETHOGRAM_UPDATE_GOLDEN=1` writes the files anew; review the difference before committing it.
"""

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from ethogram.contracts.baseline import load_baseline
from exporters.protocol import Artifact, Finding
from exporters.provenance import provenance_artifact, provenance_of
from exporters.registry import find_exporter, parse_options

pytestmark = pytest.mark.golden

GOLDEN = Path(__file__).parent / "seccomp"
VARIANTS: Mapping[str, tuple[list[str], bool]] = {
    "log": ([], False),
    "enforce": (["runtime=runc=1.1.5"], True),
    "tight": (["runtime=runc=1.1.5", "no-new-privs=yes", "eperm=ptrace,mount"], True),
    "tolerant": (["runtime=crun=1.8.1", "tolerance=yes", "log-denied=yes"], True),
}


def exported(settings: list[str], enforce: bool) -> dict[str, bytes]:
    exporter = find_exporter("seccomp")
    options = parse_options(exporter, settings, enforce=enforce)
    baseline = load_baseline(GOLDEN / "checkout.baseline.yaml")
    items = list(exporter.export(baseline, options))
    (profile,) = [item for item in items if isinstance(item, Artifact)]
    beside = provenance_artifact(profile, baseline, provenance_of(baseline, "0" * 64))
    assert beside is not None
    findings = [f for f in items if isinstance(f, Finding)]
    text = "".join(f"{f.severity}: {f.message}\n  hint: {f.hint}\n" for f in findings)
    return {
        "json": profile.content,
        "provenance.json": beside.content,
        "findings.txt": text.encode(),
    }


@pytest.mark.parametrize("name", VARIANTS)
def test_the_shop_has_this_profile(name: str) -> None:
    settings, enforce = VARIANTS[name]
    for suffix, content in exported(settings, enforce).items():
        path = GOLDEN / f"checkout.{name}.{suffix}"
        if os.environ.get("ETHOGRAM_UPDATE_GOLDEN") == "1":
            path.write_bytes(content)
        assert path.read_bytes() == content


def test_no_golden_file_is_left_over() -> None:
    expected = {
        f"checkout.{name}.{suffix}"
        for name in VARIANTS
        for suffix in ("json", "provenance.json", "findings.txt")
    }
    assert {path.name for path in GOLDEN.iterdir()} == expected | {"checkout.baseline.yaml"}
