"""Objects of any shape: an audit says something of each, and breaks on none."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ethogram.cli.audit_documents import document_of
from ethogram.cli.audit_patches import owner_patches
from ethogram.posture.audit import audit
from ethogram.posture.objects import Source, World, objects_in
from ethogram.posture.pods import TEMPLATES
from ethogram.posture.standards import LEVELS, violations
from exporters.posture_evidence import UsedBy
from tests.admission import make_admission_baseline

pytestmark = pytest.mark.property

NOW = datetime(2026, 11, 23, tzinfo=UTC)
FORMATS = ("json", "markdown", "sarif", "openreports", "ocsf")
KEYS = (
    "name", "namespace", "labels", "annotations", "ownerReferences", "controller", "kind", "spec",
    "containers", "initContainers", "ephemeralContainers", "volumes", "securityContext",
    "capabilities", "add", "drop", "privileged", "hostPID", "hostPath", "path", "ports", "hostPort",
    "containerPort", "env", "valueFrom", "secretKeyRef", "volumeMounts", "mountPath", "readOnly",
    "seccompProfile", "appArmorProfile", "type", "sysctls", "windowsOptions", "livenessProbe",
    "httpGet", "host", "lifecycle", "preStop", "runAsUser", "runAsNonRoot", "procMount", "os",
    "template", "jobTemplate", "metadata", "serviceAccountName", "selector", "rules", "verbs",
    "resources", "apiGroups", "roleRef", "subjects", "webhooks", "clientConfig", "service",
    "caBundle", "namespaceSelector", "matchExpressions", "matchLabels", "key", "operator", "values",
    "timeoutSeconds", "exempt.ethogram.dev/privileged", "endpoints", "conditions", "nodeName",
)  # fmt: skip
WORDS = st.sampled_from(
    ["", "a", "ALL", "SYS_ADMIN", "/", "/etc", "/var/run/docker.sock", "pods", "*", "In",
     "system:masters", "checkout", "nginx", "default", "alice, 2027-01-31: x"]
)  # fmt: skip
SCALARS = st.none() | st.booleans() | st.integers(-1, 70_000) | WORDS
TREES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=6)
    ),
    max_leaves=40,
)
KINDS = [
    *(f"{group}/v1 {kind}" if group else f"v1 {kind}" for group, kind in TEMPLATES),
    "v1 Namespace", "v1 Service", "v1 ServiceAccount", "v1 List",
    "rbac.authorization.k8s.io/v1 ClusterRole", "rbac.authorization.k8s.io/v1 RoleBinding",
    "admissionregistration.k8s.io/v1 ValidatingWebhookConfiguration",
    "discovery.k8s.io/v1 EndpointSlice",
]  # fmt: skip


def _spec() -> st.SearchStrategy[dict[str, Any]]:
    container = st.fixed_dictionaries({"name": st.just("nginx"), "securityContext": TREES})
    return st.fixed_dictionaries(
        {"containers": st.lists(container | TREES, max_size=2), "securityContext": TREES},
        optional={"volumes": TREES, "hostPID": SCALARS, "initContainers": TREES},
    )


@st.composite
def objects(draw: st.DrawFn) -> dict[str, Any]:
    version, _, kind = draw(st.sampled_from(KINDS)).rpartition(" ")
    spec = _spec() | st.fixed_dictionaries(
        {"template": st.fixed_dictionaries({"spec": _spec() | TREES, "metadata": TREES})}
    )
    body = draw(st.dictionaries(st.sampled_from(KEYS), TREES, max_size=4))
    return body | {
        "apiVersion": version,
        "kind": kind,
        "metadata": draw(TREES | st.just({"name": "checkout", "namespace": "shop-staging"})),
        "spec": draw(spec | TREES),
    }


@settings(max_examples=150, deadline=None)
@given(st.lists(objects(), max_size=4), st.sampled_from(LEVELS), st.integers(0, 40), st.booleans())
def test_an_audit_breaks_on_no_object(
    documents: list[dict[str, Any]], level: Any, minor: int, is_whole: bool
) -> None:
    found = [one for each in documents for one in objects_in(each, Source("-"))]
    world = World(tuple(found), is_whole=is_whole)
    judge = UsedBy((make_admission_baseline("CAP_CHOWN", files={"/etc/*": "r"}),))
    report = audit(world, level=level, version=(1, minor), now=NOW, judge=judge)
    for output_format in FORMATS:
        document_of(report, output_format, now=NOW)
    owner_patches(report)
    assert all(one.message and one.required for one in report.findings)
    assert len({one.fingerprint for one in report.findings}) == len(report.findings)


@settings(max_examples=100, deadline=None)
@given(_spec())
def test_a_stricter_level_refuses_whatever_a_looser_one_does(spec: dict[str, Any]) -> None:
    json.dumps(spec)
    if violations({"spec": spec}, level="baseline"):
        assert violations({"spec": spec}, level="restricted")
