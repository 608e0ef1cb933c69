"""The seccomp profiles that are added to pods which name none: the learnt one, or the runtime's.

A pod whose node lacks the file does not start. So the learnt profile is named only where every node
is known to hold it. What a pod says itself is never changed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias

from pydantic import Field, ValidationError

from ethogram.contracts.baseline_values import Frozen, Text
from ethogram.contracts.strict_json import load_json
from ethogram.errors import UsageError
from ethogram.posture.pods import Container, Pod, mapping, pod_at
from ethogram.webhook.learnt import is_of
from ethogram.webhook.policy import Policy
from ethogram.webhook.requests import Request
from exporters.admission_model import PodPolicy

__all__ = ["CONFIRMED_SCHEMA", "Patch", "confirmed_in", "merged", "read_confirmed", "seccomp_patch"]

Patch: TypeAlias = "list[dict[str, Any]]"
CONFIRMED_SCHEMA: Literal["ethogram.confirmed/1"] = "ethogram.confirmed/1"
_EXAMPLE = f'it reads like `{{"schema": "{CONFIRMED_SCHEMA}", "nodes": {{"n1": ["x.json"]}}}}`'
_LIMIT_BYTES = 8 << 20
_KEYS = {"container": "containers", "init": "initContainers"}


class _Confirmed(Frozen):
    """Which profiles each node holds: names below the kubelet's `seccomp`."""

    schema_name: Literal["ethogram.confirmed/1"] = Field(CONFIRMED_SCHEMA, alias="schema")
    nodes: dict[Text, tuple[Text, ...]]


def read_confirmed(path: Path) -> frozenset[str]:
    """Return the profiles that every node in file *path* holds; `UsageError` where it is none."""
    try:
        with path.open("rb") as file:
            content = file.read(_LIMIT_BYTES + 1)
    except OSError as error:
        raise UsageError(f"`{path}` cannot be read: {(error.strerror or '').lower()}") from error
    try:
        if len(content) > _LIMIT_BYTES:
            raise ValueError("it is larger than 8 MiB")
        return confirmed_in(load_json(content.decode()))
    except (ValueError, RecursionError) as error:
        cause = "a field is not as it should be" if isinstance(error, ValidationError) else error
        raise UsageError(
            f"`{path}` does not say which profiles the nodes hold: {cause}",
            hint=_EXAMPLE,
        ) from error


def confirmed_in(document: Any) -> frozenset[str]:
    """Return the profiles that every node in *document* holds; none where there is no node."""
    held = [frozenset(names) for names in _Confirmed.model_validate(document).nodes.values()]
    return frozenset.intersection(*held) if held else frozenset()


def merged(content: bytes) -> dict[str, Any]:
    """Return one document of those in *content*, one after another; of a node the last counts.

    `UsageError` where something else is among them.
    """
    nodes: dict[str, tuple[str, ...]] = {}
    decoder = json.JSONDecoder()
    try:
        rest = content.decode().strip()
        while rest:
            document, end = decoder.raw_decode(rest)
            nodes |= _Confirmed.model_validate(document).nodes
            rest = rest[end:].lstrip()
    except (ValueError, RecursionError) as error:
        raise UsageError("this does not say which profiles nodes hold", hint=_EXAMPLE) from error
    return {"schema": CONFIRMED_SCHEMA, "nodes": dict(sorted(nodes.items()))}


def seccomp_patch(request: Request, policy: Policy, confirmed: frozenset[str]) -> Patch:
    """Return the JSON patch for the pod that *request* creates; empty where nothing is to be done.

    A second review of what it makes changes nothing. The learnt profile goes to the container that
    it was learnt from, RuntimeDefault to the pod, which the others take it from.
    """
    if request.operation != "CREATE" or request.kind != "Pod" or request.subresource:
        return []
    pod = pod_at(request.body or {}, ())
    if pod.is_windows or policy.is_excluded(request.namespace) or _is_odd(pod):
        return []
    if mapping(pod.context.get("seccompProfile")).get("type") is not None:
        return []
    patch: Patch = []
    left = 0
    for container in pod.containers():
        if container.kind == "ephemeral" or "seccompProfile" in container.context:
            continue
        profile = _learnt(container, pod, policy.learnt.get(request.namespace, ()), confirmed)
        if profile is None:
            left += 1
            continue
        path = f"/spec/{_KEYS[container.kind]}/{container.path[-1]}"
        value = {"type": "Localhost", "localhostProfile": profile}
        patch += _added(container.body, path, value)
    if left:
        patch += _added(pod.spec, "/spec", {"type": "RuntimeDefault"})
    return patch


def _is_odd(pod: Pod) -> bool:
    """Return whether a patch could not apply: the validating side says what is wrong with it."""
    contexts = [pod.spec.get("securityContext")]
    contexts += [one.body.get("securityContext") for one in pod.containers()]
    return not pod.spec or any(one is not None and not isinstance(one, Mapping) for one in contexts)


def _learnt(
    container: Container, pod: Pod, policies: Sequence[PodPolicy], confirmed: frozenset[str]
) -> str | None:
    """Return the learnt profile of *container* that every node holds, None without one."""
    if container.context.get("privileged") is True:
        return None  # a runtime confines none that is
    for policy in policies:
        if container.name == policy.container and is_of(policy.scope, pod):
            names = policy.constants.get("profiles", ())
            held = [name for name in names if name in confirmed]
            # One for each kind of machine: which one it will run on is not known yet.
            return held[0] if len(names) == 1 and held else None
    return None


def _added(
    body: Mapping[str, Any], path: str, profile: Mapping[str, str]
) -> Iterator[dict[str, Any]]:
    """Yield what adds *profile* to the securityContext of *body*, which is made where it lacks."""
    where = f"{path}/securityContext"
    if not isinstance(body.get("securityContext"), Mapping):
        yield {"op": "add", "path": where, "value": {"seccompProfile": dict(profile)}}
    else:
        yield {"op": "add", "path": f"{where}/seccompProfile", "value": dict(profile)}
