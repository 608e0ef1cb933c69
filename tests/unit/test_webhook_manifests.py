"""The objects that `ethogram webhook manifests` prints."""

from __future__ import annotations

import base64
import json
import re
import ssl
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from cryptography import x509

from ethogram.cli.run import run
from ethogram.posture.standards import violations
from ethogram.webhook.config import parse_config
from ethogram.webhook.manifests import LABEL, MUTATE_LABEL
from tests.deployment import DEPLOY, rendered
from tests.reviews import answer, make_policy, simple_pod
from tests.vap import bound, problems_of_expression, problems_of_variables
from tests.vap import violations as broken

pytestmark = pytest.mark.unit

VERSIONS = ("1.31", "1.34", "1.36")


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str]) -> Any:
    def made(*options: str) -> list[dict[str, Any]]:
        assert run(["webhook", "manifests", *options]) == 0
        return list(yaml.safe_load_all(capsys.readouterr().out))

    return made


def of_kind(documents: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    (found,) = [one for one in documents if one["kind"] == kind]
    return found


@pytest.mark.parametrize("form", [["--certificates", "self"], ["--form", "policy"]])
def test_three_versions_of_kubernetes_take_them(printed: Any, form: list[str]) -> None:
    for document in printed(*form):
        for version in VERSIONS:
            kubernetes_validate.validate(document, version, strict=True)


def test_the_webhooks_are_asked_in_their_own_namespaces_alone(printed: Any) -> None:
    documents = printed("--namespace", "guard")
    for kind in ("ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"):
        for webhook in of_kind(documents, kind)["webhooks"]:
            spared, asked = webhook["namespaceSelector"]["matchExpressions"]
            assert spared["operator"] == "NotIn"
            assert set(spared["values"]) >= {"guard", "kube-system"}
            assert asked["key"].startswith("ethogram.dev/")
            assert webhook["timeoutSeconds"] == 3
            assert webhook["failurePolicy"] == "Ignore"
            assert webhook["sideEffects"] == "NoneOnDryRun"
            assert webhook["admissionReviewVersions"] == ["v1"]


def test_only_where_it_is_enforced_a_cluster_may_wait_for_it(printed: Any) -> None:
    documents = printed("--failure-policy", "Fail")
    webhooks = of_kind(documents, "ValidatingWebhookConfiguration")["webhooks"]
    policies = {one["name"].partition(".")[0]: one["failurePolicy"] for one in webhooks}
    assert policies == {
        "audit": "Ignore", "warn": "Ignore", "enforce": "Fail", "controllers": "Ignore",
    }  # fmt: skip
    resources = [
        each for one in webhooks[:3] for rule in one["rules"] for each in rule["resources"]
    ]
    assert set(resources) == {"pods", "pods/ephemeralcontainers"}


def test_a_namespace_is_asked_about_once(printed: Any) -> None:
    webhooks = of_kind(printed(), "ValidatingWebhookConfiguration")["webhooks"][:3]
    for label in (None, "off", "audit", "warn", "enforce"):
        asked = [one["clientConfig"]["service"]["path"] for one in webhooks
                 if _meets(one["namespaceSelector"]["matchExpressions"][1], label)]  # fmt: skip
        assert asked == ([] if label == "off" else [f"/validate/{label or 'audit'}"])


def test_the_server_is_the_one_of_the_overlay(printed: Any) -> None:
    objects = {one["kind"]: one for one in rendered("webhook")}
    documents = printed("--image", "ethogram")
    for kind in ("ServiceAccount", "Service", "Deployment", "PodDisruptionBudget"):
        shown = json.dumps(objects[kind])
        # kustomize adds a digest of its content to the name of a ConfigMap.
        shown = re.sub(r'"ethogram-webhook-[a-z0-9]{10}"', '"ethogram-webhook"', shown)
        assert json.loads(shown) == of_kind(documents, kind)
    texts = [one["data"]["webhook.yaml"] for one in (objects["ConfigMap"],
             of_kind(documents, "ConfigMap"))]  # fmt: skip
    assert parse_config(texts[0], source="a") == parse_config(texts[1], source="b")


def test_what_makes_a_cluster_ask_comes_without_the_server(printed: Any) -> None:
    asking = {one["kind"] for one in printed("--form", "asking")}
    assert asking == {
        "Issuer", "Certificate", "ValidatingWebhookConfiguration", "MutatingWebhookConfiguration",
    }  # fmt: skip
    assert not asking & {one["kind"] for one in rendered("webhook")}


@pytest.mark.parametrize("form", ["webhook", "asking", "policy"])
def test_the_script_that_removes_finds_what_was_printed(printed: Any, form: str) -> None:
    script = (DEPLOY / "kubernetes/remove").read_text()
    assert "app.kubernetes.io/part-of=ethogram" in script
    assert f"{LABEL}-" in script
    assert f"{MUTATE_LABEL}-" in script
    for document in printed("--form", form):
        assert document["metadata"]["labels"]["app.kubernetes.io/part-of"] == "ethogram"
        if "namespace" not in document["metadata"]:  # what is in the namespace goes with it
            assert resource_of(document["kind"]) in script


def resource_of(kind: str) -> str:
    """Return what kubectl calls objects of *kind*."""
    kind = kind.lower()
    return f"{kind[:-1]}ies" if kind.endswith("y") else f"{kind}s"


def _meets(expression: dict[str, Any], value: str | None) -> bool:
    return (value in expression["values"]) is (expression["operator"] == "In")


def test_its_own_pods_are_restricted(printed: Any) -> None:
    documents = printed()
    deployment = of_kind(documents, "Deployment")
    assert violations(deployment, level="restricted", at=("spec", "template")) == []
    text = of_kind(documents, "ConfigMap")["data"]["webhook.yaml"]
    config = parse_config(text, source="printed")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    places = {one["mountPath"] for one in container["volumeMounts"]}
    assert str(Path(config.tls.certificate).parent) in places
    assert of_kind(documents, "PodDisruptionBudget")["spec"]["minAvailable"] == 1


def test_a_certificate_of_its_own_is_trusted_for_its_service(printed: Any, tmp_path: Path) -> None:
    documents = printed("--certificates", "self", "--namespace", "guard")
    data = {
        name: base64.b64decode(one) for name, one in of_kind(documents, "Secret")["data"].items()
    }
    webhooks = of_kind(documents, "MutatingWebhookConfiguration")["webhooks"]
    assert base64.b64decode(webhooks[0]["clientConfig"]["caBundle"]) == data["ca.crt"]
    certificate = x509.load_pem_x509_certificate(data["tls.crt"])
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert "ethogram-webhook.guard.svc" in names.get_values_for_type(x509.DNSName)
    authority = x509.load_pem_x509_certificate(data["ca.crt"])
    certificate.verify_directly_issued_by(authority)
    for name, content in data.items():
        (tmp_path / name).write_bytes(content)
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(
        tmp_path / "tls.crt", tmp_path / "tls.key"
    )


def test_cert_manager_issues_for_the_same_service(printed: Any) -> None:
    documents = printed()
    issued = [one for one in documents if one["kind"] == "Certificate"][-1]
    service = of_kind(documents, "Service")["metadata"]
    assert f"{service['name']}.{service['namespace']}.svc" in issued["spec"]["dnsNames"]
    inject = of_kind(documents, "ValidatingWebhookConfiguration")["metadata"]["annotations"]
    assert inject == {"cert-manager.io/inject-ca-from": f"ethogram/{issued['metadata']['name']}"}


def test_the_policies_refuse_what_the_webhook_refuses(printed: Any) -> None:
    policy = printed("--form", "policy")[0]["spec"]
    known: set[str] = set()
    assert list(problems_of_variables(policy["variables"], known)) == []
    for one in policy["validations"]:
        assert list(problems_of_expression(one["expression"], known, "BOOL")) == []
    pod = simple_pod(context={"privileged": True})
    data: dict[str, Any] = {"object": pod, "oldObject": None}
    data["variables"] = bound(policy["variables"], data)
    (message,) = broken(policy["validations"], data)
    assert message.startswith("rule privileged (Pod Security baseline v1.37): ")
    assert answer(pod)["allowed"] is False


def test_a_rule_that_is_milder_has_a_policy_that_is_milder(printed: Any, tmp_path: Path) -> None:
    path = tmp_path / "w.yaml"
    path.write_text(
        "schema: ethogram.webhook/1\n"
        "tls: {certificate: /etc/ethogram/tls/tls.crt, key: /etc/ethogram/tls/tls.key}\n"
        "rules: {hostPorts: warn, sysctls: 'off'}\n"
    )
    documents = printed("--form", "policy", "--config", str(path))
    actions = {
        one["metadata"]["name"]: one["spec"]["validationActions"]
        for one in documents
        if one["kind"].endswith("Binding")
    }
    assert actions["ethogram-warn-in-enforce"] == ["Warn", "Audit"]
    assert actions["ethogram-enforce-in-enforce"] == ["Deny", "Audit"]
    assert actions["ethogram-enforce-in-audit"] == ["Audit"]
    assert "sysctls" not in str(documents)
    policy = make_policy(rules={"hostPorts": "warn", "sysctls": "off"})
    assert policy.mode_of("hostPorts", "enforce") == "warn"


def test_a_configuration_for_elsewhere_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "w.yaml"
    path.write_text("schema: ethogram.webhook/1\ntls: {certificate: a, key: b}\n")
    assert run(["webhook", "manifests", "--config", str(path)]) == 2
    assert "/etc/ethogram/tls" in capsys.readouterr().err
