"""The bytes of exported admission policies: an unintended change anywhere shows here.

`ETHOGRAM_UPDATE_GOLDEN=1` writes the files anew; review the difference before committing it.
"""

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from ethogram.contracts.baseline import dump_baseline, load_baseline
from exporters.protocol import Artifact, Finding
from exporters.registry import find_exporter, parse_options
from tests.admission import make_admission_baseline

pytestmark = pytest.mark.golden

GOLDEN = Path(__file__).parent
BASELINE = GOLDEN / "admission" / "checkout.baseline.yaml"
VARIANTS: Mapping[tuple[str, str], tuple[list[str], bool]] = {
    ("admission", "audit"): ([], False),
    ("admission", "warn"): (["mode=warn", "seccomp=none"], False),
    ("admission", "deny"): (["runtime=runc=1.1.5", "bind-digest=true", "privileged=agent"], True),
    ("kyverno", "audit"): ([], False),
    ("kyverno", "deny"): (["runtime=runc=1.1.5", "kyverno-api=v1beta1"], True),
    ("kyverno", "cluster-policy"): (["kind=ClusterPolicy", "mode=warn", "seccomp=none"], False),
    ("gatekeeper", "audit"): ([], False),
    ("gatekeeper", "deny"): (["runtime=runc=1.1.5", "bind-digest=true"], True),
}


def exported(target: str, settings: list[str], enforce: bool) -> dict[str, bytes]:
    exporter = find_exporter(target)
    options = parse_options(exporter, settings, enforce=enforce)
    items = list(exporter.export(load_baseline(BASELINE), options))
    (artifact,) = (item for item in items if isinstance(item, Artifact))
    findings = [item for item in items if isinstance(item, Finding)]
    text = "".join(f"{f.severity}: {f.message}\n  hint: {f.hint}\n" for f in findings)
    return {"yaml": artifact.content, "findings.txt": text.encode()}


def test_the_baseline_is_the_one_that_other_tests_use() -> None:
    text = dump_baseline(make_admission_baseline("CAP_NET_BIND_SERVICE", "CAP_SETUID"))
    if os.environ.get("ETHOGRAM_UPDATE_GOLDEN") == "1":
        BASELINE.write_text(text)
    assert BASELINE.read_text() == text


@pytest.mark.parametrize(("target", "name"), VARIANTS)
def test_the_shop_has_this_policy(target: str, name: str) -> None:
    settings, enforce = VARIANTS[target, name]
    for suffix, content in exported(target, settings, enforce).items():
        path = GOLDEN / target / f"checkout.{name}.{suffix}"
        if os.environ.get("ETHOGRAM_UPDATE_GOLDEN") == "1":
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
        assert path.read_bytes() == content


@pytest.mark.parametrize("target", sorted({target for target, _ in VARIANTS}))
def test_no_golden_file_is_left_over(target: str) -> None:
    names = [name for of, name in VARIANTS if of == target]
    expected = {
        f"checkout.{name}.{suffix}" for name in names for suffix in ("yaml", "findings.txt")
    }
    found = {path.name for path in (GOLDEN / target).iterdir()}
    assert found - {BASELINE.name} == expected
