"""Puts every rule to every object, and says once for each owner what was found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from types import MappingProxyType
from typing import Any, TypeAlias

from ethogram.posture.exemptions import Exemption, annotated, bad_annotations, chosen
from ethogram.posture.findings import (
    Evidence,
    Exposure,
    PostureFinding,
    Report,
    Unreadable,
    shown_value,
)
from ethogram.posture.grades import benchmark_of, cis_of, grade_of
from ethogram.posture.host import capability_names, pod_problems
from ethogram.posture.namespaces import ENFORCE, namespace_problems
from ethogram.posture.objects import KubeObject, Reference, World
from ethogram.posture.patches import patch_of, patch_of_container, patch_of_spec
from ethogram.posture.pods import (
    Path,
    Pod,
    Problem,
    field_of,
    mapping,
    sequence,
    shape_problems,
    text,
)
from ethogram.posture.rbac import rbac_problems
from ethogram.posture.running import with_pods
from ethogram.posture.standards import (
    CHECKS,
    LEVELS,
    Level,
    Version,
    every_violation,
    pod_violations,
)
from ethogram.posture.webhooks import webhook_problems

__all__ = ["MOST_OF_A_RULE", "TITLES", "Judge", "audit"]

# Says what was used of what a finding is about, by the object that it was found in.
Judge: TypeAlias = Callable[[PostureFinding, KubeObject], "Evidence | None"]
_Found: TypeAlias = "tuple[str, Problem]"
# In one object. No pod that anybody wrote breaks a rule so often.
MOST_OF_A_RULE = 64
_LISTS = "a list of objects, within at most 8 others"

TITLES: Mapping[str, str] = MappingProxyType(
    {check.id: check.title for check in CHECKS.values()}
    | {
        "malformed": "a field that no API server takes",
        "malformed-exemption": "an exemption that says too little",
        "too-many": "more of the same than was looked at",
        "runtime-socket": "the socket of a container runtime",
        "dangerous-host-path": "a path of the host that decides over the host",
        "host-pid-ptrace": "may look into the host's processes",
        "shared-processes": "containers see each other's processes",
        "token-automount": "a token for the API server, unasked",
        "default-service-account": "the account that every pod has",
        "secret-in-environment": "a secret in the environment",
        "default-namespace": "in namespace `default`",
        "namespace-without-enforcement": "a namespace where no level is enforced",
        "namespace-without-network-policy": "a namespace without a network policy",
        "webhook-blocks-itself": "a webhook that keeps its own pods from starting",
        "webhook-fails-open": "a webhook that nobody has to ask",
        "webhook-timeout": "a webhook that is waited for too long",
        "webhook-misses-ephemeral-containers": "a webhook that debugging containers pass by",
        "webhook-without-ca": "a webhook that nobody can verify",
        "webhook-certificate": "a webhook whose certificate is of no use, or soon",
        "webhook-without-backend": "a webhook that nobody answers for",
        "rbac-cluster-admin": "every right in the cluster",
        "rbac-secrets": "may read secrets",
        "rbac-wildcard": "rights that are not named",
        "rbac-create-pods": "may make pods",
        "rbac-system-masters": "rights that nobody can take away",
        "rbac-escalation": "may take rights that it has not",
        "rbac-persistent-volumes": "may make persistent volumes",
        "rbac-node-proxy": "may talk to kubelets",
        "rbac-certificate-approval": "may approve certificates",
        "rbac-webhook-configuration": "may change admission webhooks",
        "rbac-token-creation": "may make tokens of accounts",
    }
)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What is asked about, and how strictly."""

    world: World
    level: Level
    version: Version
    now: datetime


def audit(
    world: World,
    *,
    level: Level,
    version: Version,
    now: datetime,
    exemptions: Sequence[Exemption] = (),
    source: str = "",
    heed_annotations: bool = True,
    judge: Judge | None = None,
    unreadable: Sequence[Unreadable] = (),
) -> Report:
    """Return what is to be said of *world* under *level* of *version* of the standards.

    *exemptions* are those of the file *source*. Annotations of objects are heeded unless said
    otherwise: whoever may write the object may exempt it. *judge* tells what was used.
    """
    asked = _Asked(world, level, version, now)
    from_file = [(one, source) for one in exemptions]
    found: list[PostureFinding] = []
    for finding, one in _grouped(asked):
        on_object = [(each, str(one.who)) for each in annotated(one)] if heed_annotations else []
        in_force, over = chosen(finding, [*from_file, *on_object], now.date())
        told = replace(finding, exemption=in_force, expired=over)
        if _stays_privileged(told, one):
            told = replace(told, patch=None)
        evidence = judge(finding, one) if judge else None
        found.append(_with_evidence(told, evidence, one) if evidence else told)
    found.sort(key=lambda one: (-one.rank, one.owner, one.check, one.place))
    workloads = {world.owner_of(one) for one in world.objects if one.template is not None}
    return Report(
        tuple(found), len(world.objects), len(workloads), level, version,
        benchmark_of(version), tuple(unreadable), tuple(_notes(world)),
    )  # fmt: skip


def _with_evidence(finding: PostureFinding, evidence: Evidence, one: KubeObject) -> PostureFinding:
    """Return *finding* with what was used, and the patch that takes away nothing of that."""
    patch = finding.patch
    if evidence.verdict == "used" or _stays_privileged(finding, one):
        patch = None
    elif finding.owner != one.who:
        pass  # the change belongs where the owner is written
    elif evidence.spec:
        patch = patch_of_spec(one, evidence.spec)
    elif evidence.context and finding.container_path is not None:
        patch = patch_of_container(one, finding.container_path, evidence.context)
    return replace(finding, evidence=evidence, patch=patch)


def _grouped(asked: _Asked) -> Iterator[tuple[PostureFinding, KubeObject]]:
    """Yield what was found, once for each owner, with the object to read of it.

    Owners come first: what their pods have of them is theirs, and told where it is written. What
    only pods have, as debugging containers and what others put into them, is told of the pods.
    """
    world = asked.world
    first: dict[str, tuple[PostureFinding, KubeObject]] = {}
    seen_in: dict[str, list[KubeObject]] = {}
    owners = {id(one): world.owner_of(one) for one in world.objects}
    for one in sorted(world.objects, key=lambda one: owners[id(one)] != one.who):
        for finding in _findings_of(one, owners[id(one)], asked):
            first.setdefault(finding.fingerprint, (finding, one))
            if one.who.kind == "Pod":
                seen_in.setdefault(finding.fingerprint, []).append(one)
    for fingerprint, (finding, one) in first.items():
        patch = finding.patch if finding.owner == one.who else None
        told = with_pods(
            replace(finding, patch=patch), one, seen_in.get(fingerprint, ()),
            asked.now if world.is_live else None,
        )  # fmt: skip
        yield told, one


def _findings_of(one: KubeObject, owner: Reference, asked: _Asked) -> Iterator[PostureFinding]:
    services = _services_of(one, asked.world)
    for check, problem in _bounded(_problems_of(one, asked)):
        grade = grade_of(check, problem.detail)
        yield PostureFinding(
            check, TITLES[check], grade.severity, owner, one.who, one.source, problem.path,
            _place(one, problem), problem.value, problem.required, problem.detail,
            level=CHECKS[check].level if check in CHECKS else None,
            tags=grade.tags, cis=cis_of(check, problem.detail),
            patch=_patch(one, check, problem, asked), **_pod_facts(one, problem, services),
        )  # fmt: skip


def _bounded(problems: Iterable[_Found]) -> Iterator[_Found]:
    """Yield *problems* of one object, at most so many of a rule, and then that there are more."""
    counted: Counter[str] = Counter()
    for check, problem in problems:
        counted[check] += 1
        if counted[check] <= MOST_OF_A_RULE:
            yield check, problem
        elif counted[check] == MOST_OF_A_RULE + 1:
            value = f"{check} more than {MOST_OF_A_RULE} times"
            yield "too-many", Problem(problem.path[:-1], value, f"at most {MOST_OF_A_RULE} times")


def _problems_of(one: KubeObject, asked: _Asked) -> Iterator[_Found]:
    pod, world = one.pod, asked.world
    if pod is not None:
        for each in every_violation(pod, level=asked.level, version=asked.version):
            found = Problem(each.path, each.value, each.required, each.container, each.detail)
            yield each.check, found
        yield from pod_problems(pod, one, world)
        yield from (("malformed", problem) for problem in shape_problems(pod))
    if one.who.kind == "List":
        yield "malformed", Problem(("items",), shown_value(one.body.get("items")), _LISTS)
    yield from (("malformed-exemption", problem) for problem in bad_annotations(one))
    yield from namespace_problems(one, world)
    yield from rbac_problems(one)
    yield from webhook_problems(one, world, asked.now)


def _place(one: KubeObject, problem: Problem) -> str:
    """Return the field without what changes from object to object: list items by their names."""
    at = one.template
    path = problem.path
    if at is not None and path[: len(at)] == at:
        path = path[len(at) :]
    body: Any = one.body
    for part in at or ():
        body = mapping(body).get(str(part))
    named: Path = ()
    for part in path:
        if isinstance(part, int):
            items = sequence(body)
            body = items[part] if part < len(items) else None
            name = text(mapping(body).get("name")) or (body if isinstance(body, str) else part)
            named = (*named, name)
        else:
            body = mapping(body).get(part)
            named = (*named, part)
    return field_of(named)


def _services_of(one: KubeObject, world: World) -> tuple[str, ...]:
    """Return the services before the pods of *one*, in words."""
    pod = one.pod
    if pod is None:
        return ()
    labels = mapping(pod.metadata.get("labels"))
    found = world.services_of(one.who.namespace, labels)
    return tuple(
        sorted(f"{each.who.name} ({text(each.spec.get('type')) or 'ClusterIP'})" for each in found)
    )


def _pod_facts(one: KubeObject, problem: Problem, services: tuple[str, ...]) -> dict[str, Any]:
    """Return what a finding says of the pod and container that it is about."""
    pod = one.pod
    if pod is None:
        return {}
    facts: dict[str, Any] = {
        "service_account": text(pod.spec.get("serviceAccountName")) or "default",
        "exposure": Exposure(tuple(sorted(_host_ports(pod))), services),
    }
    if (container := problem.container) is not None:
        facts |= {
            "container": container.name,
            "container_kind": container.kind,
            "image": text(container.body.get("image")),
            "capabilities": capability_names(container)[:MOST_OF_A_RULE],
        }
    return facts


def _host_ports(pod: Pod) -> set[int]:
    ports = (port for one in pod.containers() for port in sequence(one.body.get("ports")))
    found = (mapping(port).get("hostPort") for port in ports)
    return {port for port in found if isinstance(port, int) and port}


def _stays_privileged(finding: PostureFinding, one: KubeObject) -> bool:
    """Return whether an API server refuses the field beside `privileged: true`, which is there."""
    if finding.check != "allowPrivilegeEscalation" or one.pod is None:
        return False
    found = (each for each in one.pod.containers() if each.path == finding.container_path)
    return any(each.context.get("privileged") is True for each in found)


def _patch(
    one: KubeObject, check: str, problem: Problem, asked: _Asked
) -> Mapping[str, Any] | None:
    if check != "namespace-without-enforcement":
        return patch_of(one, check, problem)
    version = asked.version
    level = _reachable(one.who.name, asked.world, version)
    if level == "privileged":
        return None
    labels = {ENFORCE: level, f"{ENFORCE}-version": f"v{version[0]}.{version[1]}"}
    metadata = {"name": one.who.name, "labels": labels}
    return {"apiVersion": one.who.api_version, "kind": one.who.kind, "metadata": metadata}


def _reachable(namespace: str, world: World, version: Version) -> Level:
    """Return the strictest level that all pods of *namespace* meet as they are."""
    pods = [one.pod for one in world.objects if one.who.namespace == namespace and one.pod]
    for level in reversed(LEVELS):
        if not any(pod_violations(pod, level=level, version=version) for pod in pods):
            return level
    return "privileged"


def _notes(world: World) -> Iterable[str]:
    """Yield what was not judged, that a reader could think was."""
    if not world.is_whole:
        yield "from files: whether services answer for webhooks, and what runs, is not known"
