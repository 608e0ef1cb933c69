"""Admission policies as objects: the schemas of three Kubernetes versions, and what they miss."""

import copy

import kubernetes_validate
import pytest

from tests.admission import DIGEST, EVERY_CAPABILITY, export, make_admission_baseline
from tests.vap import problems

pytestmark = pytest.mark.unit

VERSIONS = ("1.30", "1.33", "1.37")  # of 1.30 the kind is there, of 1.37 the schemas end
EXPORTS = {
    "plain": (make_admission_baseline(), ()),
    "everything": (
        make_admission_baseline("CAP_CHOWN", "CAP_NET_ADMIN"),
        ("mode=deny", "bind-digest=true", "seccomp=enforce", "privileged=a,b"),
    ),
    "nothing known": (
        make_admission_baseline(
            calls=(), image_digests=(), host_namespaces=("net", "pid", "ipc"), bounding=None,
            privileges_gained=None, subject={"selector": {}},
        ),
        ("mode=warn",),
    ),
    "privileged": (
        make_admission_baseline(files={"/dev/sda": "r"}, bounding=EVERY_CAPABILITY),
        (),
    ),
    "long names": (
        make_admission_baseline(
            subject={"name": "n" * 253, "namespace": "s" * 63, "container": "c" * 63}
        ),
        (),
    ),
    "odd labels": (
        make_admission_baseline(
            subject={"selector": {"app.kubernetes.io/name": "a_b.C-d", "on": "no", "empty": ""}}
        ),
        (),
    ),
    "cron": (
        make_admission_baseline(subject={"kind": "CronJob", "name": "a.b", "selector": {}}),
        (),
    ),
    "digests": (
        make_admission_baseline(image_digests=(DIGEST, "sha256:" + "0" * 64)),
        ("bind-digest=true",),
    ),
}  # fmt: skip
every = pytest.mark.parametrize("title", EXPORTS)


def documents(title):
    baseline, settings = EXPORTS[title]
    return export(baseline, *settings)[0]


@every
@pytest.mark.parametrize("version", VERSIONS)
def test_every_field_is_known_to_kubernetes(title, version):
    for document in documents(title):
        assert kubernetes_validate.validate(document, version, strict=True) == version


@every
def test_an_api_server_has_nothing_else_to_refuse(title):
    assert problems(documents(title)) == []


@every
def test_a_policy_is_bound(title):
    policy, binding = documents(title)
    assert binding["spec"]["policyName"] == policy["metadata"]["name"]
    assert policy["spec"]["validations"]


def break_actions(policy, binding):
    binding["spec"]["validationActions"] = ["Deny", "Warn"]


def break_binding(policy, binding):
    binding["spec"]["policyName"] = "other"


def break_reason(policy, binding):
    policy["spec"]["validations"][0]["reason"] = "Because"


def break_message(policy, binding):
    policy["spec"]["validations"][0]["message"] = "two\nlines"


def break_name(policy, binding):
    policy["metadata"]["name"] = "Upper"


def break_variable(policy, binding):
    policy["spec"]["variables"].reverse()


def break_expression(policy, binding):
    policy["spec"]["validations"][0]["expression"] = "object.spec.containers.all(c, "


def break_key(policy, binding):
    policy["spec"]["auditAnnotations"][0]["key"] = "a key"


@pytest.mark.parametrize(
    "breaking",
    [
        break_actions,
        break_binding,
        break_reason,
        break_message,
        break_name,
        break_variable,
        break_expression,
        break_key,
    ],
)
def test_our_own_checks_see_what_schemas_do_not(breaking):
    broken = copy.deepcopy(documents("plain"))
    breaking(*broken)
    assert problems(broken)
    for document in broken:
        kubernetes_validate.validate(document, VERSIONS[-1], strict=True)
