"""Rules on who may do what: CIS section 5.1, over roles and their bindings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ethogram.posture.objects import KubeObject
from ethogram.posture.pods import Path, Problem, mapping, sequence

__all__ = ["rbac_problems"]

_GROUP = "rbac.authorization.k8s.io"
_BUILT_IN = ("kubernetes.io/bootstrapping", "rbac-defaults")
_MASTERS = "system:masters"
_READS = frozenset({"get", "list", "watch"})
_WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})


@dataclass(frozen=True, slots=True)
class _Power:
    """What a rule must not give unless somebody decided so: *verbs* on *resources* of *group*."""

    check: str
    group: str
    resources: frozenset[str]
    verbs: frozenset[str]
    required: str


_POWERS = (
    _Power("rbac-secrets", "", frozenset({"secrets"}), _READS, "no reading of secrets"),
    _Power("rbac-create-pods", "", frozenset({"pods"}), frozenset({"create"}),
           "no making of pods, which run as any account of the namespace"),
    _Power("rbac-persistent-volumes", "", frozenset({"persistentvolumes"}), frozenset({"create"}),
           "no making of persistent volumes, which may be paths of the host"),
    _Power("rbac-node-proxy", "", frozenset({"nodes/proxy"}), _READS | _WRITES,
           "no way to the kubelets past admission and audit"),
    _Power("rbac-certificate-approval", "certificates.k8s.io",
           frozenset({"certificatesigningrequests/approval"}), frozenset({"update", "patch"}),
           "no approving of certificates"),
    _Power("rbac-webhook-configuration", "admissionregistration.k8s.io",
           frozenset({"validatingwebhookconfigurations", "mutatingwebhookconfigurations"}), _WRITES,
           "no changing of what admission asks"),
    _Power("rbac-token-creation", "", frozenset({"serviceaccounts/token"}), frozenset({"create"}),
           "no making of tokens of accounts"),
)  # fmt: skip
_ESCALATIONS = frozenset({"bind", "escalate", "impersonate"})


def rbac_problems(one: KubeObject) -> Iterator[tuple[str, Problem]]:
    """Yield what *one*, a role or a binding, gives that it should not."""
    if one.who.group != _GROUP or one.labels.get(_BUILT_IN[0]) == _BUILT_IN[1]:
        return
    if one.who.kind in ("Role", "ClusterRole"):
        for index, rule in enumerate(sequence(one.body.get("rules"))):
            yield from _of_rule(mapping(rule), ("rules", index))
    elif one.who.kind in ("RoleBinding", "ClusterRoleBinding"):
        yield from _of_binding(one)


def _words(rule: Mapping[str, Any], name: str) -> frozenset[str]:
    return frozenset(word for word in sequence(rule.get(name)) if isinstance(word, str))


def _of_rule(rule: Mapping[str, Any], path: Path) -> Iterator[tuple[str, Problem]]:
    groups, resources, verbs = (_words(rule, name) for name in ("apiGroups", "resources", "verbs"))
    wild = [name for name in ("apiGroups", "resources", "verbs") if "*" in _words(rule, name)]
    for name in wild:
        value = sorted(_words(rule, name))
        yield "rbac-wildcard", Problem((*path, name), value, "what is needed, by name")
    if "*" in resources and "*" in verbs:
        return  # every power below is in that
    if found := sorted(verbs & _ESCALATIONS):
        required = "none of bind, escalate and impersonate"
        yield "rbac-escalation", Problem((*path, "verbs"), found, required)
    for power in _POWERS:
        if not groups & {power.group, "*"} or not (verbs & power.verbs or "*" in verbs):
            continue
        if given := sorted(one for one in resources if _covers(one, power.resources)):
            shown = f"{', '.join(given)}: {', '.join(sorted(verbs))}"
            yield power.check, Problem((*path, "resources"), shown, power.required)


def _covers(word: str, resources: frozenset[str]) -> bool:
    """Return whether *word* of a rule is for any of *resources*."""
    if word in resources or word == "*":
        return True
    above, _, below = word.partition("/")
    return bool(below) and any(
        above in ("*", one.partition("/")[0]) and below in ("*", one.partition("/")[2])
        for one in resources
        if "/" in one
    )


def _of_binding(one: KubeObject) -> Iterator[tuple[str, Problem]]:
    subjects = [mapping(each) for each in sequence(one.body.get("subjects"))]
    is_masters = [each.get("name") == _MASTERS for each in subjects]
    if mapping(one.body.get("roleRef")).get("name") == "cluster-admin" and not all(is_masters):
        path = ("roleRef", "name")
        yield "rbac-cluster-admin", Problem(path, "cluster-admin", "a role with what is needed")
    for index, is_one in enumerate(is_masters):
        if is_one:
            path_of_it = ("subjects", index, "name")
            yield "rbac-system-masters", Problem(path_of_it, _MASTERS, "another group")
