"""Rules on admission webhooks: whether they answer, and what happens where they do not."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from ethogram.posture.objects import KubeObject, World
from ethogram.posture.pods import Path, Problem, mapping, sequence, text

__all__ = ["selects", "webhook_problems"]

_GROUP = "admissionregistration.k8s.io"
_KINDS = ("ValidatingWebhookConfiguration", "MutatingWebhookConfiguration")
_INJECTED = "cert-manager.io/inject-"
_NAME = "kubernetes.io/metadata.name"
_LONGEST_S, _DEFAULT_S = 5, 10
_SOON = timedelta(days=14)
_PODS = frozenset({"pods", "*", "*/*", "pods/*"})
_EPHEMERAL = frozenset({"pods/ephemeralcontainers", "pods/*", "*/*", "*/ephemeralcontainers"})


def webhook_problems(one: KubeObject, world: World, now: datetime) -> Iterator[tuple[str, Problem]]:
    """Yield what is wrong with the webhooks of configuration *one*."""
    if one.who.group != _GROUP or one.who.kind not in _KINDS:
        return
    annotations = mapping(one.metadata.get("annotations"))
    is_injected = any(str(name).startswith(_INJECTED) for name in annotations)
    for index, each in enumerate(sequence(one.body.get("webhooks"))):
        hook, path = mapping(each), ("webhooks", index)
        yield from _failing(hook, path, world)
        timeout = hook.get("timeoutSeconds")
        seconds = timeout if isinstance(timeout, int) else _DEFAULT_S
        if seconds > _LONGEST_S:
            required = f"at most {_LONGEST_S}: each request waits for the sum of all"
            yield "webhook-timeout", Problem((*path, "timeoutSeconds"), timeout, required)
        if one.who.kind == _KINDS[0]:
            yield from _coverage(hook, path)
        client = mapping(hook.get("clientConfig"))
        yield from _certificate(client, (*path, "clientConfig"), now, is_injected=is_injected)
        yield from _backend(client, (*path, "clientConfig"), world)


def _words(hook: Mapping[str, Any]) -> frozenset[str]:
    """Return the resources that *hook* is asked about."""
    rules = (mapping(rule) for rule in sequence(hook.get("rules")))
    return frozenset(
        word for rule in rules for word in sequence(rule.get("resources")) if isinstance(word, str)
    )


def _failing(hook: Mapping[str, Any], path: Path, world: World) -> Iterator[tuple[str, Problem]]:
    """Yield what happens where nobody answers."""
    policy = hook.get("failurePolicy")
    at = (*path, "failurePolicy")
    if policy == "Ignore":
        required = "Fail, where what it refuses must not run"
        yield "webhook-fails-open", Problem(at, policy, required)
        return
    if not _words(hook) & _PODS or hook.get("objectSelector") or hook.get("matchConditions"):
        return
    own = text(mapping(mapping(hook.get("clientConfig")).get("service")).get("namespace"))
    selector = mapping(hook.get("namespaceSelector"))
    for name in dict.fromkeys(one for one in (own, "kube-system") if one):
        namespace = world.find("Namespace", "", name)
        labels = {_NAME: name} | dict(namespace.labels if namespace else {})
        if selects(selector, labels):
            what = "its own namespace" if name == own else "kube-system"
            required = f"{what} (`{name}`) left out, or its pods never start again"
            yield "webhook-blocks-itself", Problem((*path, "namespaceSelector"), name, required)


def selects(selector: Mapping[str, Any], labels: Mapping[str, Any]) -> bool:
    """Return whether a label selector of Kubernetes picks what has *labels*; an empty one does."""
    wanted = mapping(selector.get("matchLabels"))
    if any(labels.get(name) != value for name, value in wanted.items()):
        return False
    for each in sequence(selector.get("matchExpressions")):
        expression = mapping(each)
        name, values = text(expression.get("key")), sequence(expression.get("values"))
        has = name in labels
        match expression.get("operator"):
            case "In" if not has or labels[name] not in values:
                return False
            case "NotIn" if has and labels[name] in values:
                return False
            case "Exists" if not has:
                return False
            case "DoesNotExist" if has:
                return False
    return True


def _coverage(hook: Mapping[str, Any], path: Path) -> Iterator[tuple[str, Problem]]:
    found = _words(hook)
    if "pods" in found and not found & _EPHEMERAL:
        required = "pods/ephemeralcontainers too: a debugging container is not asked about"
        at = (*path, "rules")
        yield "webhook-misses-ephemeral-containers", Problem(at, sorted(found), required)


def _certificate(
    client: Mapping[str, Any], path: Path, now: datetime, *, is_injected: bool
) -> Iterator[tuple[str, Problem]]:
    bundle = text(client.get("caBundle"))
    at = (*path, "caBundle")
    if not bundle:
        if client.get("service") and not is_injected:
            required = "the certificate of who signs for the webhook"
            yield "webhook-without-ca", Problem(at, None, required)
        return
    ends = _end_of(bundle)
    if ends is None:
        yield "webhook-certificate", Problem(at, "no certificate", "certificates in PEM, base64")
    elif ends <= now + _SOON:
        word = "ended" if ends <= now else "ends"
        value = f"{word} on {ends.date().isoformat()}"
        yield "webhook-certificate", Problem(at, value, "a certificate for more than 14 days")


def _end_of(bundle: str) -> datetime | None:
    """Return when the last certificate of *bundle* ends; None where there is none in it."""
    from cryptography import x509  # noqa: PLC0415  40 ms that only a webhook's audit needs

    try:
        found = x509.load_pem_x509_certificates(base64.b64decode(bundle, validate=True))
    except (ValueError, binascii.Error):
        return None
    return max((one.not_valid_after_utc for one in found), default=None)


def _backend(client: Mapping[str, Any], path: Path, world: World) -> Iterator[tuple[str, Problem]]:
    """Yield a webhook that nobody can answer for: only where everything is known."""
    service = mapping(client.get("service"))
    namespace, name = text(service.get("namespace")), text(service.get("name"))
    if not world.is_whole or not name:
        return
    at = (*path, "service", "name")
    if world.find("Service", namespace, name) is None:
        yield "webhook-without-backend", Problem(at, name, "a service that exists")
        return
    slices = [
        one for one in world.of_kind("EndpointSlice")
        if one.who.namespace == namespace and one.labels.get("kubernetes.io/service-name") == name
    ]  # fmt: skip
    if not any(_is_ready(one) for one in slices):
        yield "webhook-without-backend", Problem(at, name, "a pod behind it that is ready")


def _is_ready(one: KubeObject) -> bool:
    ends = (mapping(end) for end in sequence(one.body.get("endpoints")))
    return any(mapping(end.get("conditions")).get("ready") is not False for end in ends)
