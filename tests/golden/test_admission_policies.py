"""The bytes of exported admission policies: an unintended change anywhere shows here.

`ETHOGRAM_UPDATE_GOLDEN=1` writes the files anew; review the difference before committing it.
"""

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from ethogram.contracts.baseline import dump_baseline, load_baseline
from exporters.protocol import Artifact, Finding
from exporters.registry import parse_options
from tests.admission import ADMISSION, make_admission_baseline

pytestmark = pytest.mark.golden

GOLDEN = Path(__file__).parent / "admission"
BASELINE = GOLDEN / "checkout.baseline.yaml"
VARIANTS: Mapping[str, tuple[list[str], bool]] = {
    "audit": ([], False),
    "warn": (["mode=warn", "seccomp=none"], False),
    "deny": (["runtime=runc=1.1.5", "bind-digest=true", "privileged=agent"], True),
}


def exported(settings: list[str], enforce: bool) -> dict[str, bytes]:
    options = parse_options(ADMISSION, settings, enforce=enforce)
    items = list(ADMISSION.export(load_baseline(BASELINE), options))
    (artifact,) = (item for item in items if isinstance(item, Artifact))
    findings = [item for item in items if isinstance(item, Finding)]
    text = "".join(f"{f.severity}: {f.message}\n  hint: {f.hint}\n" for f in findings)
    return {"yaml": artifact.content, "findings.txt": text.encode()}


def test_the_baseline_is_the_one_that_other_tests_use() -> None:
    text = dump_baseline(make_admission_baseline("CAP_NET_BIND_SERVICE", "CAP_SETUID"))
    if os.environ.get("ETHOGRAM_UPDATE_GOLDEN") == "1":
        BASELINE.write_text(text)
    assert BASELINE.read_text() == text


@pytest.mark.parametrize("name", VARIANTS)
def test_the_shop_has_this_policy(name: str) -> None:
    settings, enforce = VARIANTS[name]
    for suffix, content in exported(settings, enforce).items():
        path = GOLDEN / f"checkout.{name}.{suffix}"
        if os.environ.get("ETHOGRAM_UPDATE_GOLDEN") == "1":
            path.write_bytes(content)
        assert path.read_bytes() == content


def test_no_golden_file_is_left_over() -> None:
    expected = {
        f"checkout.{name}.{suffix}" for name in VARIANTS for suffix in ("yaml", "findings.txt")
    }
    assert {path.name for path in GOLDEN.iterdir()} == expected | {BASELINE.name}
