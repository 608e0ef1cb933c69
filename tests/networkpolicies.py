"""Exports NetworkPolicies for tests, and looks for what is said beside them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import yaml

from ethogram.contracts.baseline import Baseline, Rule
from exporters.networkpolicy import exporter
from exporters.protocol import Artifact, Finding
from exporters.registry import parse_options
from tests.peers import make_network_baseline

__all__ = ["export", "losses", "one"]


def export(
    baseline: Baseline, settings: Sequence[str] = (), enforce: bool = True
) -> tuple[Any, list[Finding]]:
    """Return the policy of *baseline*, None where there is none, and its findings."""
    items = list(exporter().export(baseline, parse_options(exporter(), settings, enforce=enforce)))
    policies = [yaml.safe_load(item.content) for item in items if isinstance(item, Artifact)]
    assert len(policies) <= 1
    return (policies or [None])[0], [item for item in items if isinstance(item, Finding)]


def losses(*peers: Rule[Any], settings: Sequence[str] = ()) -> list[Finding]:
    """Return what is lost of *peers*, none of which got a rule."""
    policy, findings = export(make_network_baseline(*peers), settings)
    assert policy is not None
    assert {"ingress", "egress"}.isdisjoint(policy["spec"])
    return [found for found in findings if found.severity == "loss"]


def one(findings: list[Finding], word: str) -> Finding:
    """Return the one finding that says *word*."""
    [found] = [found for found in findings if word in found.message]
    return found
