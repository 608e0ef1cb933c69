"""AdmissionReviews as an API server sends them, and policies to judge them by."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any

from ethogram.contracts.baseline import Baseline
from ethogram.webhook.breaches import Mode
from ethogram.webhook.config import Config
from ethogram.webhook.policy import Policy, policy_of
from ethogram.webhook.requests import read_review
from ethogram.webhook.responses import decided
from ethogram.webhook.review import Decision, review

__all__ = ["TODAY", "UID", "answer", "decide", "make_policy", "make_review", "simple_pod"]

TODAY = date(2026, 11, 23)
UID = "705ab4f5-6393-11e8-b7cc-42010a800002"
_PLURALS = {"Pod": "pods", "Deployment": "deployments", "CronJob": "cronjobs"}


def simple_pod(name: str = "app", **spec: Any) -> dict[str, Any]:
    """Return a pod that level `baseline` allows, its container changed by `context`."""
    context = spec.pop("context", None)
    body = {"name": "app", "image": "registry.example/app:1"}
    if context is not None:
        body["securityContext"] = context
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {"containers": [body], **spec},
    }


def make_review(
    body: Mapping[str, Any] | None,
    *,
    old: Mapping[str, Any] | None = None,
    operation: str | None = None,
    subresource: str = "",
    namespace: str = "shop",
    **request: Any,
) -> dict[str, Any]:
    """Return the review of creating *body*, or of changing *old* into it."""
    either = body or old or {}
    group, _, version = str(either.get("apiVersion", "v1")).rpartition("/")
    kind = str(either.get("kind", "Pod"))
    whole = {
        "uid": UID,
        "kind": {"group": group, "version": version, "kind": kind},
        "resource": {"group": group, "version": version, "resource": _PLURALS.get(kind, "pods")},
        "subResource": subresource,
        "namespace": namespace,
        "name": either.get("metadata", {}).get("name", ""),
        "operation": operation or ("CREATE" if old is None else "UPDATE"),
        "userInfo": {"username": "alice", "groups": ["system:authenticated"]},
        "object": body,
        "oldObject": old,
        "dryRun": False,
    }
    return {
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": whole | request,
    }


def make_policy(baselines: Iterable[Baseline] = (), **fields: Any) -> Policy:
    """Return a policy that enforces level `baseline`, with the *fields* of its configuration."""
    document = {
        "schema": "ethogram.webhook/1",
        "tls": {"certificate": "tls.crt", "key": "tls.key"},
        "mode": "enforce",
        **fields,
    }
    return policy_of(Config.model_validate(document), baselines)[0]


def decide(
    body: Mapping[str, Any] | None,
    policy: Policy | None = None,
    *,
    asked: Mode | None = None,
    **request: Any,
) -> Decision:
    """Return the decision about creating *body*, or as *request* says."""
    content = json.dumps(make_review(body, **request)).encode()
    return review(read_review(content), policy or make_policy(), today=TODAY, asked=asked)


def answer(body: Mapping[str, Any] | None, policy: Policy | None = None, **rest: Any) -> Any:
    """Return the response to the same."""
    return decided(UID, decide(body, policy, **rest))["response"]
