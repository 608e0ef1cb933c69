"""Answers a request: which rules the pod breaks, and what comes of each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

from ethogram.contracts.escape import escape
from ethogram.posture.pods import TEMPLATES, Container, Pod, mapping, pod_at, sequence, text
from ethogram.webhook.breaches import Breach, Mode, is_newer, key_of
from ethogram.webhook.config import Exemption
from ethogram.webhook.learnt import learnt_breaches
from ethogram.webhook.policy import Policy, Whose
from ethogram.webhook.requests import Request
from ethogram.webhook.standards import standard_breaches

__all__ = ["MOST_BREACHES", "Decision", "Ruling", "review", "whose_pod"]

Outcome = Literal["allowed", "denied", "skipped"]
# What one answer keeps of one mode; a pod with more is refused all the same.
MOST_BREACHES = 64


@dataclass(frozen=True, slots=True)
class Ruling:
    """A breach, and what comes of it: *mode* `off` where nothing does, for an exemption."""

    breach: Breach
    mode: Mode
    exemption: Exemption | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer to a request, and why.

    *skipped* says why nothing was judged. *mode* is what held in the namespace.
    """

    outcome: Outcome
    whose: Whose
    rulings: tuple[Ruling, ...] = ()
    mode: Mode = "off"
    skipped: str | None = None

    @property
    def is_allowed(self) -> bool:
        """Whether the API server goes on."""
        return self.outcome != "denied"

    def at(self, mode: Mode) -> list[Ruling]:
        """Return the rulings of *mode*."""
        return [one for one in self.rulings if one.mode == mode and one.exemption is None]


def review(request: Request, policy: Policy, *, today: date, asked: Mode | None = None) -> Decision:
    """Return what *policy* says to *request* on day *today*.

    *asked* is the mode that the namespace's label asks for, None where no label does. A controller
    is never refused: its pods are. What an update leaves as it was is never refused either.
    """
    place = TEMPLATES.get((request.group, request.kind))
    if request.body is None or request.operation not in ("CREATE", "UPDATE"):
        return _skipped(request, f"a request to {request.operation.lower()} is not judged")
    if place is None:
        return _skipped(request, f"{escape(request.kind)} has no pods")
    pod = pod_at(request.body, place)
    old = None if request.operation == "CREATE" else pod_at(request.old or {}, place)
    whose = whose_pod(request, pod)
    mode = policy.mode(request.namespace, asked)
    if why := _left_alone(request, policy, pod, old) or _off(mode):
        return _skipped(request, why, whose)
    is_pod = request.kind == "Pod"

    def ruling(breach: Breach) -> Ruling:
        one = _ruling(breach, policy, whose, mode, today)
        return one if is_pod or one.mode != "enforce" else Ruling(breach, "warn")

    rulings = _kept(map(ruling, _breaches(request, policy, pod, old)))
    is_denied = any(one.mode == "enforce" for one in rulings)
    return Decision("denied" if is_denied else "allowed", whose, rulings, mode)


def _off(mode: Mode) -> str | None:
    return "the mode of the namespace is `off`" if mode == "off" else None


def _left_alone(request: Request, policy: Policy, pod: Pod, old: Pod | None) -> str | None:
    """Return why *pod*, which was *old*, is not judged; None where it is."""
    if policy.is_excluded(request.namespace):
        return "the namespace is excluded"
    if old is None:
        return None
    if mapping((request.body or {}).get("metadata")).get("deletionTimestamp"):
        return "it is being deleted"
    return "its pod stays as it was" if _is_same(pod, old) else None


def _kept(rulings: Iterable[Ruling]) -> tuple[Ruling, ...]:
    """Return the *rulings* that matter, at most `MOST_BREACHES` of one mode: all are looked at."""
    kept: dict[tuple[Mode, bool], list[Ruling]] = {}
    for one in rulings:
        is_exempt = one.exemption is not None
        if one.mode != "off" or is_exempt:
            some = kept.setdefault((one.mode, is_exempt), [])
            if len(some) < MOST_BREACHES:
                some.append(one)
    return tuple(one for some in kept.values() for one in some)


def whose_pod(request: Request, pod: Pod) -> Whose:
    """Return whose pod it is: of a Deployment where a ReplicaSet owns it, of a CronJob by a Job."""
    body = request.body or request.old or {}
    metadata = mapping(body.get("metadata"))
    name = text(metadata.get("name")) or request.name or text(metadata.get("generateName"))
    kind = request.kind
    if kind == "Pod":
        for one in map(mapping, sequence(metadata.get("ownerReferences"))):
            if one.get("controller") is True:
                kind, name = _top(text(one.get("kind")), text(one.get("name")), pod)
                break
    return Whose(request.namespace, kind, name, request.user)


def _top(kind: str, name: str, pod: Pod) -> tuple[str, str]:
    owner, dash, last = name.rpartition("-")
    hash_label = mapping(pod.metadata.get("labels")).get("pod-template-hash")
    if kind == "ReplicaSet" and dash and last == hash_label:
        return "Deployment", owner
    if kind == "Job" and dash and last.isascii() and last.isdigit():
        return "CronJob", owner
    return kind, name


def _breaches(request: Request, policy: Policy, pod: Pod, old: Pod | None) -> Iterator[Breach]:
    level = policy.level(request.namespace)
    yield from _new(
        standard_breaches(pod, level=level, version=policy.version),
        () if old is None else standard_breaches(old, level=level, version=policy.version),
    )
    for rules in policy.learnt.get(request.namespace, ()):
        yield from learnt_breaches(rules, pod, old)


def _new(now: Iterable[Breach], before: Iterable[Breach]) -> Iterator[Breach]:
    known: dict[tuple[Any, ...], Container | None] = {
        key_of(one): one.container for one in before if not one.is_cut
    }
    return (one for one in now if is_newer(one, known)) if known else iter(now)


def _is_same(pod: Pod, old: Pod) -> bool:
    """Return whether an update leaves *pod*, which was *old*, as it was to every rule.

    Labels say whose a pod is, annotations which profiles its containers have.
    """
    return pod.spec == old.spec and all(
        _labels(pod.metadata, name) == _labels(old.metadata, name)
        for name in ("labels", "annotations", "ownerReferences")
    )


def _labels(metadata: Mapping[str, Any], name: str) -> Any:
    return metadata.get(name) or None


def _ruling(breach: Breach, policy: Policy, whose: Whose, mode: Mode, today: date) -> Ruling:
    effective = policy.mode_of(breach.rule, mode)
    if effective == "off":
        return Ruling(breach, "off")
    exemption = policy.exemption(breach, whose, today)
    return Ruling(breach, "off" if exemption else effective, exemption)


def _skipped(request: Request, why: str, whose: Whose | None = None) -> Decision:
    named = whose or Whose(request.namespace, request.kind, request.name, request.user)
    return Decision("skipped", named, skipped=why)
