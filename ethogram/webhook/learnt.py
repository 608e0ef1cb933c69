"""The rules that baselines give for pods of one workload: those of the `admission` export.

There they are expressions that an API server evaluates; here the same rules are functions, which
need no engine. They say the same of the same pod: a property test compares the two.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from types import MappingProxyType
from typing import Any, TypeAlias

from ethogram.contracts.escape import printable
from ethogram.posture.pods import Container, Path, Pod, mapping, sequence, text
from ethogram.webhook.breaches import MOST_OF_A_RULE, Breach, bounded
from exporters.admission_cel import Scope
from exporters.admission_model import PodPolicy

__all__ = ["LEARNT", "RULES", "is_of", "learnt_breaches", "rule_name"]

LEARNT = "learnt-"


@dataclass(frozen=True, slots=True)
class _Judged:
    """What rules look at of one request: as `PodPolicy.variables` has it, with places."""

    pod: Pod
    before: Mapping[str, Any]
    own: tuple[Container, ...]
    ephemeral: tuple[Container, ...]
    every: tuple[Container, ...]
    constants: Mapping[str, Any]

    def words(self, name: str) -> Sequence[str]:
        value = self.constants.get(name, ())
        return value if isinstance(value, tuple) else ()


_Found: TypeAlias = "Iterator[tuple[Path, Any, Container | None]]"
_Rule: TypeAlias = Callable[[_Judged], _Found]


def learnt_breaches(policy: PodPolicy, pod: Pod, old: Pod | None) -> Iterator[Breach]:
    """Yield what *policy* has against *pod*, which was *old*; nothing where it is not for it."""
    return bounded(_breaches(policy, pod, old), pod)


def _breaches(policy: PodPolicy, pod: Pod, old: Pod | None) -> Iterator[Breach]:
    was_of_it = old is not None and is_of(policy.scope, old)
    if not is_of(policy.scope, pod) and not was_of_it:
        return
    judged = _judged(policy, pod, old.spec if old is not None and was_of_it else {})
    name = f"baseline of {policy.scope.kind} {policy.namespace}/{policy.scope.name}"
    for claim in policy.claims:
        rule, required, fix = RULES[claim.name]
        asked = ""
        for path, value, container in islice(rule(judged), MOST_OF_A_RULE + 1):
            asked = asked or _asked(required, judged.words(_CONSTANTS.get(claim.name, "")))
            yield Breach(
                rule_name(claim.name), "learnt", name, path, value, asked, fix, container
            )  # fmt: skip


def _asked(required: str, words: Sequence[str]) -> str:
    # Capabilities stand in both spellings.
    listed = ", ".join(word for word in words if not word.startswith("CAP_"))
    return printable(required.format(listed or "none"))


def rule_name(claim: str) -> str:
    """Return what the rule of *claim* is called here."""
    return LEARNT + claim


def is_of(scope: Scope, pod: Pod) -> bool:
    """Return whether *pod* is of the workload *scope*, as `Scope.claim` has it."""
    labels = mapping(pod.metadata.get("labels"))
    if scope.selector:
        return all(labels.get(key) == value for key, value in scope.selector.items())
    if scope.kind == "Pod":
        return text(pod.metadata.get("name")) == scope.name
    owners = (mapping(one) for one in sequence(pod.metadata.get("ownerReferences")))
    return any(_is_owner(scope, text(one.get("kind")), text(one.get("name")), labels)
               for one in owners)  # fmt: skip


def _is_owner(scope: Scope, kind: str, name: str, labels: Mapping[str, Any]) -> bool:
    if scope.kind == "Deployment":
        made_of = f"{scope.name}-{text(labels.get('pod-template-hash'))}"
        return kind == "ReplicaSet" and name == made_of
    if scope.kind == "CronJob":
        owner, dash, number = name.rpartition("-")
        is_number = number.isascii() and number.isdigit()
        return kind == "Job" and bool(dash) and owner == scope.name and is_number
    return kind == scope.kind and name == scope.name


def _judged(policy: PodPolicy, pod: Pod, before: Mapping[str, Any]) -> _Judged:
    was = Pod({}, before, pod.at)
    is_same_context = pod.spec.get("securityContext") == before.get("securityContext")
    known = {one.name: one.body for one in was.containers()} if is_same_context else {}
    new = [one for one in pod.containers() if known.get(one.name) != one.body]
    regular = [one for one in new if one.kind != "ephemeral"]
    ephemeral = tuple(one for one in new if one.kind == "ephemeral")
    privileged = policy.constants.get("privileged", ())
    return _Judged(
        pod=pod,
        before=before,
        own=tuple(one for one in regular if one.name == policy.container),
        ephemeral=ephemeral,
        every=(*(one for one in regular if one.name not in privileged), *ephemeral),
        constants=policy.constants,
    )


# --- the rules, by the name of the claim ----------------------------------------------------------


def _privileged(judged: _Judged) -> _Found:
    for one in judged.every:
        if one.context.get("privileged") not in (None, False):
            yield (*one.context_path, "privileged"), one.context["privileged"], one


def _host_field(field: str) -> _Rule:
    def rule(judged: _Judged) -> _Found:
        value = judged.pod.spec.get(field)
        if value not in (None, False) and judged.before.get(field) in (None, False):
            yield (*judged.pod.spec_path, field), value, None

    return rule


def _host_path(judged: _Judged) -> _Found:
    before = sequence(judged.before.get("volumes"))
    known = {text(mapping(one).get("name")): one for one in before}
    for path, volume in judged.pod.volumes():
        if "hostPath" not in volume:
            continue
        value = mapping(volume["hostPath"]).get("path")
        was = known.get(text(volume.get("name")))
        if value not in judged.words("hostPaths") and was != volume:
            yield (*path, "hostPath", "path"), value, None


def _host_port(judged: _Judged) -> _Found:
    for one in judged.own:
        for index, port in enumerate(sequence(one.body.get("ports"))):
            value = mapping(port).get("hostPort")
            if value not in (None, 0) and str(value) not in judged.words("hostPorts"):
                yield (*one.path, "ports", index, "hostPort"), value, one


def _proc_mount(judged: _Judged) -> _Found:
    for one in (*judged.own, *judged.ephemeral):
        value = one.context.get("procMount")
        if value not in (None, "Default"):
            yield (*one.context_path, "procMount"), value, one


def _capabilities(judged: _Judged) -> _Found:
    allowed = judged.words("capabilities")
    for one in (*judged.own, *judged.ephemeral):
        added = mapping(one.context.get("capabilities")).get("add")
        for index, value in enumerate(sequence(added)):
            if not isinstance(value, str) or value.upper() not in allowed:
                yield (*one.context_path, "capabilities", "add", index), value, one


def _escalation(judged: _Judged) -> _Found:
    for one in judged.own:
        value = one.context.get("allowPrivilegeEscalation")
        if value is not False:
            yield (*one.context_path, "allowPrivilegeEscalation"), value, one


def _seccomp(judged: _Judged) -> _Found:
    for one in judged.own:
        own, pods = one.context.get("seccompProfile"), judged.pod.context.get("seccompProfile")
        profile = mapping(own if own is not None else pods)
        name = profile.get("localhostProfile")
        if profile.get("type") != "Localhost" or name not in judged.words("profiles"):
            yield (*one.context_path, "seccompProfile"), dict(profile) or None, one


def _image(judged: _Judged) -> _Found:
    ends = tuple(f"@{digest}" for digest in judged.words("digests"))
    for one in judged.own:
        value = one.body.get("image")
        if not text(value).endswith(ends):
            yield (*one.path, "image"), value, one


def _non_root(judged: _Judged) -> _Found:
    for one in judged.own:
        user = _either(judged, one, "runAsUser")
        non_root = _either(judged, one, "runAsNonRoot")
        number = user if isinstance(user, int) and not isinstance(user, bool) else -1
        if number == 0 or not (non_root is True or number > 0):
            if number == 0:
                yield (*one.context_path, "runAsUser"), user, one
            else:
                yield (*one.context_path, "runAsNonRoot"), non_root, one


def _either(judged: _Judged, one: Container, field: str) -> Any:
    own = one.context.get(field)
    return judged.pod.context.get(field) if own is None else own


def _read_only_root(judged: _Judged) -> _Found:
    for one in judged.own:
        value = one.context.get("readOnlyRootFilesystem")
        if value is not True:
            yield (*one.context_path, "readOnlyRootFilesystem"), value, one


# Which constant has what a claim allows.
_CONSTANTS = MappingProxyType(
    {"capabilities": "capabilities", "host-path": "hostPaths", "host-port": "hostPorts",
     "seccomp": "profiles", "image": "digests"}
)  # fmt: skip
_UNUSED = "false: nothing that was seen needs it"
# Claim -> the rule, what it asks for with the allowed values in place of `{}`, how to get there.
RULES: Mapping[str, tuple[_Rule, str, str]] = MappingProxyType(
    {
        "privileged": (_privileged, _UNUSED, "remove it, and add the capabilities that are used"),
        "hostNetwork": (_host_field("hostNetwork"), _UNUSED, "remove it"),
        "hostPID": (_host_field("hostPID"), _UNUSED, "remove it"),
        "hostIPC": (_host_field("hostIPC"), _UNUSED, "remove it"),
        "host-path": (_host_path, "no path of the host but {}", "remove it, or learn anew with it"),
        "host-port": (_host_port, "no port of the host but {}", "remove it, or learn anew with it"),
        "proc-mount": (_proc_mount, "Default", "remove it"),
        "capabilities": (
            _capabilities, "no capability but those that were used: {}",
            "remove it, or learn anew where it is used",
        ),
        "escalation": (_escalation, "false: nothing raised its privileges", "set it false"),
        "seccomp": (
            _seccomp, "Localhost with the learnt profile {}",
            "set that for the container, once its node has the file",
        ),
        "image": (
            _image, "a learnt digest: {}", "pin the image to it, or learn the new one first",
        ),
        "non-root": (_non_root, "a user other than root", "set runAsNonRoot: true"),
        "read-only-root": (_read_only_root, "true: nothing was written there", "set it true"),
    }
)  # fmt: skip
