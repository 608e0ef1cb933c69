"""The objects that a cluster needs to ask the webhook, and the policies that need no webhook."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ethogram.webhook.breaches import MODES, Mode
from ethogram.webhook.config import DEFAULT_MODES, Config
from ethogram.webhook.policy import policy_of
from ethogram.webhook.standards import FIXES
from ethogram.webhook.standards_cel import VARIABLES, expressions
from exporters.kubernetes import NAMESPACE_LABEL

__all__ = ["LABEL", "MUTATE_LABEL", "TLS_PLACE", "Choices", "asking_objects", "names_of",
           "policies", "server_objects", "webhook_objects"]  # fmt: skip

# Of namespaces: which mode holds there, and whether pods are added to.
LABEL = "ethogram.dev/admission"
MUTATE_LABEL = "ethogram.dev/mutate"
_PLACE = "/etc/ethogram"
TLS_PLACE = f"{_PLACE}/tls"
_API = "admissionregistration.k8s.io/v1"
_NAME = "ethogram-webhook"
# `deploy/kubernetes` has the same, which a test compares: scripts and monitors go by them.
_SELECTOR = {"app.kubernetes.io/name": _NAME}
_LABELS = _SELECTOR | {
    "app.kubernetes.io/component": "webhook",
    "app.kubernetes.io/part-of": "ethogram",
}
_PORT, _METRICS = 8443, 9464
_TIMEOUT_S = 3
_ACTIONS: Mapping[Mode, list[str]] = {
    "audit": ["Audit"],
    "warn": ["Warn", "Audit"],
    "enforce": ["Deny", "Audit"],
}


@dataclass(frozen=True, slots=True)
class Choices:
    """How it is wanted: *failure_policy* is what an API server does while nobody answers.

    *secret* has `tls.crt`, `tls.key` and the `ca.crt` to trust; None is: cert-manager makes them.
    """

    namespace: str
    image: str
    config: Config
    config_text: str
    failure_policy: Literal["Ignore", "Fail"] = "Ignore"
    secret: Mapping[str, bytes] | None = None


def webhook_objects(choices: Choices) -> Iterator[dict[str, Any]]:
    """Yield the objects in the order in which they are to be applied."""
    yield from server_objects(choices)
    yield from asking_objects(choices)


def asking_objects(choices: Choices) -> Iterator[dict[str, Any]]:
    """Yield the certificates, and what makes an API server ask: for a server that is there."""
    yield from _certificates(choices)
    yield _configuration("ValidatingWebhookConfiguration", choices, _validating(choices))
    yield _configuration("MutatingWebhookConfiguration", choices, [_mutating(choices)])


def server_objects(choices: Choices) -> Iterator[dict[str, Any]]:
    """Yield what answers."""
    yield _object("v1", "ServiceAccount", choices) | {"automountServiceAccountToken": False}
    yield _object("v1", "ConfigMap", choices) | {"data": {"webhook.yaml": choices.config_text}}
    yield _object("v1", "Service", choices) | {
        "spec": {
            "selector": dict(_SELECTOR),
            "ports": [
                {"name": "https", "port": 443, "targetPort": "https"},
                {"name": "metrics", "port": _METRICS, "targetPort": "metrics"},
            ],
        }
    }
    yield _object("apps/v1", "Deployment", choices) | {"spec": _deployment(choices)}
    yield _object("policy/v1", "PodDisruptionBudget", choices) | {
        "spec": {"minAvailable": 1, "selector": {"matchLabels": dict(_SELECTOR)}}
    }


def _object(api: str, kind: str, choices: Choices | None, name: str = _NAME) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": name}
    if choices is not None:
        metadata["namespace"] = choices.namespace
    metadata["labels"] = dict(_LABELS)
    return {"apiVersion": api, "kind": kind, "metadata": metadata}


# --- certificates ---------------------------------------------------------------------------------


def _certificates(choices: Choices) -> Iterator[dict[str, Any]]:
    if choices.secret is not None:
        data = {name: _base64(content) for name, content in choices.secret.items()}
        yield _object("v1", "Secret", choices, f"{_NAME}-tls") | {
            "type": "kubernetes.io/tls", "data": data,
        }  # fmt: skip
        return
    api, authority = "cert-manager.io/v1", f"{_NAME}-ca"
    yield _object(api, "Issuer", choices, f"{_NAME}-self") | {"spec": {"selfSigned": {}}}
    yield _object(api, "Certificate", choices, authority) | {
        "spec": {
            "isCA": True,
            "commonName": authority,
            "secretName": authority,
            "duration": "87600h",
            "privateKey": {"algorithm": "ECDSA", "size": 256},
            "issuerRef": {"name": f"{_NAME}-self", "kind": "Issuer"},
        }
    }
    yield _object(api, "Issuer", choices, authority) | {"spec": {"ca": {"secretName": authority}}}
    yield _object(api, "Certificate", choices, f"{_NAME}-tls") | {
        "spec": {
            "secretName": f"{_NAME}-tls",
            "dnsNames": names_of(choices.namespace),
            "duration": "2160h",
            "renewBefore": "720h",
            "privateKey": {"algorithm": "ECDSA", "size": 256, "rotationPolicy": "Always"},
            "issuerRef": {"name": authority, "kind": "Issuer"},
        }
    }


def names_of(namespace: str) -> list[str]:
    """Return the names that an API server may ask for."""
    return [f"{_NAME}.{namespace}.svc", f"{_NAME}.{namespace}.svc.cluster.local"]


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()


# --- the server -----------------------------------------------------------------------------------


def _deployment(choices: Choices) -> dict[str, Any]:
    return {
        "replicas": 2,
        "selector": {"matchLabels": dict(_SELECTOR)},
        "strategy": {"rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
        "template": {"metadata": {"labels": dict(_LABELS)}, "spec": _pod(choices)},
    }


def _pod(choices: Choices) -> dict[str, Any]:
    volumes = [
        {"name": "config", "configMap": {"name": _NAME}},
        {"name": "tls", "secret": {"secretName": f"{_NAME}-tls"}},
        {"name": "baselines", "configMap": {"name": "ethogram-baselines", "optional": True}},
        {"name": "confirmed", "configMap": {"name": "ethogram-confirmed", "optional": True}},
    ]
    return {
        "serviceAccountName": _NAME,
        "automountServiceAccountToken": False,
        "priorityClassName": "system-cluster-critical",
        "nodeSelector": {"kubernetes.io/os": "linux"},
        "terminationGracePeriodSeconds": 30,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 65532,
            "runAsGroup": 65532,
            "fsGroup": 65532,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        # Both replicas on one node would be away together while it restarts.
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": "kubernetes.io/hostname",
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": dict(_SELECTOR)},
            }
        ],
        "containers": [_container(choices, [str(one["name"]) for one in volumes])],
        "volumes": [*volumes, {"name": "spool", "emptyDir": {"sizeLimit": "256Mi"}}],
    }


def _container(choices: Choices, volumes: Sequence[str]) -> dict[str, Any]:
    probe = {"httpGet": {"path": "/readyz", "port": "https", "scheme": "HTTPS"}}
    alive = {"httpGet": {"path": "/healthz", "port": "https", "scheme": "HTTPS"}}
    mounts: list[dict[str, Any]] = [
        {"name": name, "mountPath": f"{_PLACE}/{name}", "readOnly": True} for name in volumes
    ]
    return {
        "name": "webhook",
        "image": choices.image,
        "args": ["webhook", "--config", f"{_PLACE}/config/webhook.yaml"],
        "ports": [
            {"name": "https", "containerPort": _PORT},
            {"name": "metrics", "containerPort": _METRICS},
        ],
        "readinessProbe": {**probe, "periodSeconds": 5},
        "livenessProbe": {**alive, "periodSeconds": 10, "failureThreshold": 6},
        # Until every API server has heard that it leaves.
        "lifecycle": {"preStop": {"sleep": {"seconds": 5}}},
        "resources": {
            "requests": {"cpu": "100m", "memory": "128Mi"},
            "limits": {"memory": "512Mi"},
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [*mounts, {"name": "spool", "mountPath": "/var/lib/ethogram"}],
    }


# --- the configurations ---------------------------------------------------------------------------


def _configuration(kind: str, choices: Choices, webhooks: list[dict[str, Any]]) -> dict[str, Any]:
    made = _object(_API, kind, None)
    if choices.secret is None:
        issued = f"{choices.namespace}/{_NAME}-tls"
        made["metadata"]["annotations"] = {"cert-manager.io/inject-ca-from": issued}
    return made | {"webhooks": webhooks}


def _validating(choices: Choices) -> list[dict[str, Any]]:
    pods = [_rule("", "v1", ["pods"]), _rule("", "v1", ["pods/ephemeralcontainers"], ["UPDATE"])]
    controllers = [
        _rule("", "v1", ["podtemplates", "replicationcontrollers"]),
        _rule("apps", "v1", ["daemonsets", "deployments", "replicasets", "statefulsets"]),
        _rule("batch", "v1", ["cronjobs", "jobs"]),
    ]
    made = [
        _webhook(
            mode, f"/validate/{mode}", pods, choices, _modes(mode),
            failure=choices.failure_policy if mode == "enforce" else "Ignore",
        )
        for mode in MODES[1:]
    ]  # fmt: skip
    warned = {"key": LABEL, "operator": "In", "values": ["warn", "enforce"]}
    return [*made, _webhook("controllers", "/validate/warn", controllers, choices, warned)]


def _mutating(choices: Choices) -> dict[str, Any]:
    asked = {"key": MUTATE_LABEL, "operator": "In", "values": ["true"]}
    webhook = _webhook(
        "seccomp", "/mutate", [_rule("", "v1", ["pods"], ["CREATE"])], choices, asked
    )
    return webhook | {"reinvocationPolicy": "IfNeeded"}


def _webhook(
    name: str,
    path: str,
    rules: list[dict[str, Any]],
    choices: Choices,
    asked: Mapping[str, Any],
    *,
    failure: str = "Ignore",
) -> dict[str, Any]:
    service = {"name": _NAME, "namespace": choices.namespace, "path": path, "port": 443}
    client: dict[str, Any] = {"service": service}
    if choices.secret is not None:
        client["caBundle"] = _base64(choices.secret["ca.crt"])
    return {
        "name": f"{name}.admission.ethogram.dev",
        "clientConfig": client,
        "rules": rules,
        "namespaceSelector": {"matchExpressions": [_elsewhere(choices), asked]},
        "failurePolicy": failure,
        "matchPolicy": "Equivalent",
        "sideEffects": "NoneOnDryRun",
        "timeoutSeconds": _TIMEOUT_S,
        "admissionReviewVersions": ["v1"],
    }


def _rule(
    group: str, version: str, resources: list[str], operations: Sequence[str] = ("CREATE", "UPDATE")
) -> dict[str, Any]:
    return {
        "apiGroups": [group],
        "apiVersions": [version],
        "operations": list(operations),
        "resources": resources,
        "scope": "Namespaced",
    }


def _elsewhere(choices: Choices) -> dict[str, Any]:
    """Return what spares the webhook's own namespace, and those that a cluster cannot do without.

    A webhook that has to let in its own pods before it answers never begins.
    """
    spared = {"kube-system", "kube-node-lease", choices.namespace}
    spared |= {name for name in choices.config.excluded if "*" not in name}
    return {"key": NAMESPACE_LABEL, "operator": "NotIn", "values": sorted(spared)}


def _modes(mode: Mode) -> dict[str, Any]:
    if mode == "audit":  # also where there is no label
        others = [one for one in MODES if one != "audit"]
        return {"key": LABEL, "operator": "NotIn", "values": others}
    return {"key": LABEL, "operator": "In", "values": [mode]}


# --- without a webhook ----------------------------------------------------------------------------


def policies(choices: Choices) -> Iterator[dict[str, Any]]:
    """Yield ValidatingAdmissionPolicies for the level that is asked, and their bindings.

    One policy for each mode that rules may have at most, one binding of it for each mode of
    namespaces. Exemptions, and levels of single namespaces, have no place in them.
    """
    config = choices.config
    policy, _ = policy_of(config.model_copy(update={"learnt": None}))
    found = dict(expressions(config.pod_security.level, policy.version))
    for most in MODES[1:]:
        rules = {
            name: text for name, text in found.items()
            if config.rules.get(name, DEFAULT_MODES.get(name, "enforce")) == most
        }  # fmt: skip
        if rules:
            version = f"v{policy.version[0]}.{policy.version[1]}"
            yield _policy(f"ethogram-{most}", rules, f"{config.pod_security.level} {version}")
            for mode in MODES[1:]:
                yield _binding(f"ethogram-{most}", mode, policy.mode_of(next(iter(rules)), mode),
                               choices)  # fmt: skip


def _policy(name: str, rules: Mapping[str, str], level: str) -> dict[str, Any]:
    return _object(_API, "ValidatingAdmissionPolicy", None, name) | {
        "spec": {
            # An expression that fails has met a pod that nobody thought of: not one to let in.
            "failurePolicy": "Fail",
            "matchConstraints": {
                "matchPolicy": "Equivalent",
                "resourceRules": [
                    _rule("", "v1", ["pods"]),
                    _rule("", "v1", ["pods/ephemeralcontainers"], ["UPDATE"]),
                ],
            },
            "matchConditions": [
                {
                    "name": "stays",
                    "expression": "!has(object.metadata.deletionTimestamp)",
                }
            ],
            "variables": [{"name": each, "expression": text} for each, text in VARIABLES],
            "validations": [
                {
                    "expression": text,
                    "message": f"rule {rule} (Pod Security {level}): {FIXES[rule]}",
                    "reason": "Forbidden",
                }
                for rule, text in rules.items()
            ],
        }
    }


def _binding(policy: str, mode: Mode, effective: Mode, choices: Choices) -> dict[str, Any]:
    selector = {"matchExpressions": [_elsewhere(choices), _modes(mode)]}
    return _object(_API, "ValidatingAdmissionPolicyBinding", None, f"{policy}-in-{mode}") | {
        "spec": {
            "policyName": policy,
            "validationActions": _ACTIONS[effective],
            "matchResources": {"namespaceSelector": selector},
        }
    }
