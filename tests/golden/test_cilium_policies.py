"""The bytes of exported CiliumNetworkPolicies: an unintended change anywhere shows here.

`ETHOGRAM_UPDATE_GOLDEN=1` writes the files anew; review the difference before committing it.
"""

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from exporters.protocol import Artifact, Finding
from exporters.registry import find_exporter, parse_options
from tests.peers import EVERY_PEER, listen_rule, make_network_baseline

pytestmark = pytest.mark.golden

GOLDEN = Path(__file__).parent / "cilium"
VARIANTS: Mapping[str, tuple[bool, list[str]]] = {
    "open": (False, []),
    "enforced": (
        True,
        ["dns-names=observed", "external-cidrs=10.9.0.0/16", "group-cidrs=10.77.0.0/24"],
    ),
}


def exported(enforce: bool, settings: list[str]) -> dict[str, bytes]:
    exporter = find_exporter("cilium")
    baseline = make_network_baseline(*EVERY_PEER, listens=[listen_rule("tcp", "::", 8080)])
    items = list(exporter.export(baseline, parse_options(exporter, settings, enforce=enforce)))
    [policy] = [item.content for item in items if isinstance(item, Artifact)]
    findings = [f for f in items if isinstance(f, Finding)]
    text = "".join(f"{f.severity}: {f.message}\n  hint: {f.hint}\n" for f in findings)
    return {"yaml": policy, "findings.txt": text.encode()}


@pytest.mark.parametrize("name", VARIANTS)
def test_the_shop_has_this_policy(name: str) -> None:
    for suffix, content in exported(*VARIANTS[name]).items():
        path = GOLDEN / f"checkout.{name}.{suffix}"
        if os.environ.get("ETHOGRAM_UPDATE_GOLDEN") == "1":
            path.write_bytes(content)
        assert path.read_bytes() == content


def test_no_golden_file_is_left_over() -> None:
    expected = {f"checkout.{name}.{end}" for name in VARIANTS for end in ("yaml", "findings.txt")}
    assert {path.name for path in GOLDEN.iterdir()} == expected
