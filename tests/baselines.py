"""Builds baselines for tests."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ethogram.contracts.baseline import (
    DIMENSIONS,
    Baseline,
    Evidence,
    ExecValue,
    Match,
    Observation,
    Overlay,
    Rule,
    Rules,
    Subject,
    SyscallValue,
    rule_id,
)
from ethogram.contracts.syscall_names import number_of

__all__ = ["as_overlaid", "exec_rule", "make_baseline", "syscall_rule"]

_SEEN = "2026-11-23T06:00:00Z"


def syscall_rule(
    name: str | None,
    *,
    arch: str = "x86_64",
    nr: int | None = None,
    phases: Iterable[str] = ("startup", "steady"),
) -> Rule[SyscallValue]:
    """Return the rule for call *name*, its number from the table unless *nr* is given."""
    if nr is None:
        assert name is not None
        nr = number_of(arch, name)
    value = SyscallValue.model_validate({"arch": arch, "name": name, "nr": nr})
    evidence = Evidence.model_validate(
        {
            "calls": 23,
            "windows": 5,
            "instances": 2,
            "recordings": 1,
            "phases": tuple(phases),
            "first_seen": _SEEN,
            "last_seen": _SEEN,
        }
    )
    return Rule[SyscallValue](id=rule_id("syscalls", value), value=value, evidence=evidence)


def exec_rule(path: str, *, phases: Iterable[str] = ("startup", "steady")) -> Rule[ExecValue]:
    """Return the rule for the executable at *path*."""
    value = ExecValue(path=path)
    evidence = syscall_rule("read", phases=phases).evidence
    return Rule[ExecValue](id=rule_id("execs", value), value=value, evidence=evidence)


def make_baseline(
    *calls: str | Rule[SyscallValue],
    execs: Iterable[Rule[ExecValue]] = (),
    subject: dict[str, Any] | None = None,
    state: str = "complete",
    **fields: Any,
) -> Baseline:
    """Return a baseline of `shop-staging/Deployment/checkout` that makes *calls*."""
    who = {"namespace": "shop-staging", "kind": "Deployment", "name": "checkout"}
    who |= {"container": "nginx"} | (subject or {})
    rules = [call if isinstance(call, Rule) else syscall_rule(call) for call in calls]
    return Baseline(
        subject=Subject.model_validate(who),
        match=Match(kind=who["kind"], name=who["name"], container=who["container"]),
        inputs=(),
        observation=Observation.model_validate(
            {"windows": 5, "instances": 2, "seconds": 25.0, "state": state}
        ),
        rules=Rules(syscalls=tuple(rules), execs=tuple(execs)),
        **fields,
    )


def as_overlaid(baseline: Baseline, expires: str = "2999-12-31") -> Baseline:
    """Return *baseline* as if nobody had seen any of it, and an overlay allowed it all."""
    update = {
        "evidence": Evidence(calls=0, windows=0, instances=0, recordings=0, phases=()),
        "overlay": Overlay(author="alice", reason="SEC-12", expires=expires),
    }
    rules: dict[str, Any] = {
        dimension: tuple(
            rule.model_copy(update=update) for rule in getattr(baseline.rules, dimension)
        )
        for dimension in DIMENSIONS
    }
    return baseline.model_copy(update={"rules": baseline.rules.model_copy(update=rules)})
