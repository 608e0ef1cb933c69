"""Baselines to make drop-ins of, and the drop-ins."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ethogram.contracts.baseline import Baseline, ListenValue, OperationValue, Rule, Rules, rule_id
from ethogram.contracts.escape import unescape
from ethogram.contracts.policy_systemd import DropIn, parse_drop_in
from exporters.protocol import Artifact, Finding
from exporters.registry import parse_options
from exporters.systemd import exporter
from tests.admission import make_admission_baseline
from tests.baselines import syscall_rule

__all__ = ["GROUPS", "SYSTEMD", "UNIT", "allows", "drop_in", "export", "make_unit", "said"]

SYSTEMD = exporter()
GROUPS = next(iter(SYSTEMD.groups.values())).groups
UNIT = {"namespace": None, "kind": "Unit", "name": "web.service", "container": None}
_OF_PROTOCOL = {"unix": "AF_UNIX", "netlink": "AF_NETLINK", "packet": "AF_PACKET"}


def make_unit(
    *capabilities: Any,
    calls: Iterable[Any] = ("read", "mmap"),
    listens: Iterable[Mapping[str, Any]] = (),
    operations: Iterable[str] = (),
    arguments: Any = None,
    subject: Mapping[str, Any] | None = None,
    **fields: Any,
) -> Baseline:
    """Return the baseline of `web.service`, seen to do just this as user 33, and well observed."""
    fields = {"runs_as": (33,), "file_changes": True} | fields
    baseline = make_admission_baseline(
        *capabilities, calls=calls, subject=UNIT | {"selector": {}} | dict(subject or {}), **fields
    )
    evidence = syscall_rule("read").evidence
    made = [ListenValue.model_validate(value) for value in listens]
    did = [OperationValue(operation=operation) for operation in operations]
    update = {
        "listens": tuple(
            Rule[ListenValue](id=rule_id("listens", value), value=value, evidence=evidence)
            for value in made
        ),
        "operations": tuple(
            Rule[OperationValue](id=rule_id("operations", value), value=value, evidence=evidence)
            for value in did
        ),
    }
    rules: Rules = baseline.rules.model_copy(update=update)
    return baseline.model_copy(update={"rules": rules, "arguments": arguments})


def export(
    baseline: Baseline, *settings: str, enforce: bool = True
) -> tuple[list[Artifact], list[Finding]]:
    """Return the drop-in, where there is one, and the findings."""
    items = list(SYSTEMD.export(baseline, parse_options(SYSTEMD, settings, enforce=enforce)))
    artifacts = [item for item in items if isinstance(item, Artifact)]
    return artifacts, [item for item in items if isinstance(item, Finding)]


def drop_in(*capabilities: Any, settings: Iterable[str] = (), **fields: Any) -> DropIn:
    """Return what the drop-in of such a unit puts in force."""
    (artifact,), _ = export(make_unit(*capabilities, **fields), *settings)
    return parse_drop_in(artifact.content.decode())


def said(baseline: Baseline, *settings: str, enforce: bool = True) -> str:
    """Return the findings as text."""
    _, findings = export(baseline, *settings, enforce=enforce)
    return "\n".join(f"{one.severity}: {one.message}" for one in findings)


def allows(policy: DropIn, rule: Rule[Any]) -> bool:
    """Return whether *policy* lets happen what *rule* allows."""
    value = rule.value
    match type(value).__name__:
        case "SyscallValue":
            return policy.allows_call(value.name, GROUPS)
        case "CapabilityValue":
            return policy.allows_capability(value.name)
        case "OperationValue":
            return policy.allows_operation(value.operation)
        case "ExecValue":
            return policy.allows_path(value.path)
        case "FileValue":
            is_written = bool(set(value.access) & set("wctandlp"))
            path = unescape(value.path.replace("*", "x")).decode("utf-8", "replace")
            return policy.allows_path(path, is_written=is_written)
    inet = "AF_INET6" if ":" in value.address else "AF_INET"
    is_bound = type(value).__name__ == "ListenValue" and value.protocol in ("tcp", "udp")
    return policy.allows_family(_OF_PROTOCOL.get(value.protocol, inet)) and (
        not is_bound or policy.allows_bind(value.protocol, value.port or 0)
    )
