"""Three admission engines, one answer: whatever a pod asks for, and whatever it was before."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.admission import DIGEST, SELECTOR, export, make_admission_baseline, profile_of
from tests.policy_engines import judge

pytestmark = pytest.mark.property

FORMS = (("kyverno", ()), ("kyverno", ("kind=ClusterPolicy",)), ("gatekeeper", ()))
BASELINES = (
    make_admission_baseline(
        "CAP_NET_BIND_SERVICE",
        runs_as=(101,), writes_root=False, host_paths=("/var/log",), host_ports=(80,),
    ),
    make_admission_baseline(subject={"selector": {}}, host_namespaces=("pid", "user")),
)  # fmt: skip
SETTINGS = ("bind-digest=true", "privileged=sidecar")


def policies(baseline: Any) -> list[list[dict[str, Any]]]:
    made = [("admission", ()), *FORMS]
    return [export(baseline, *SETTINGS, *own, enforce=True, target=to)[0] for to, own in made]


POLICIES = [policies(baseline) for baseline in BASELINES]


def asked(**fields: Any) -> st.SearchStrategy[dict[str, Any]]:
    """Return objects with any of *fields*, each of one of its values."""
    return st.fixed_dictionaries(
        {}, optional={name: st.sampled_from(values) for name, values in fields.items()}
    )


PROFILES = [
    {"type": "Localhost", "localhostProfile": profile_of(POLICIES[0][0])},
    {"type": "RuntimeDefault"},
    {},
]
contexts = asked(
    privileged=[True, False],
    allowPrivilegeEscalation=[True, False],
    capabilities=[{}, {"add": []}, {"add": ["NET_BIND_SERVICE"]}, {"add": ["cap_sys_admin"]}],
    procMount=["Default", "Unmasked"],
    runAsUser=[0, 101],
    runAsNonRoot=[True, False],
    readOnlyRootFilesystem=[True, False],
    seccompProfile=PROFILES,
)
containers = st.builds(
    lambda name, image, context, ports: {
        "name": name, "image": image, **context, **({"ports": ports} if ports else {})
    },
    st.sampled_from(["nginx", "sidecar", "debugger-x"]),
    st.sampled_from(["nginx:1", f"nginx@{DIGEST}"]),
    st.one_of(st.just({}), contexts.map(lambda each: {"securityContext": each})),
    st.lists(asked(hostPort=[0, 80, 81], containerPort=[80]), max_size=2),
)  # fmt: skip
lists = st.lists(containers, max_size=2)
volumes = st.lists(
    st.sampled_from(
        [{"name": "v", "emptyDir": {}}, *({"name": "v", "hostPath": {"path": path}}
                                          for path in ("/etc", "/var/log"))]
    ),
    max_size=2,
)  # fmt: skip
specs = st.fixed_dictionaries(
    {"containers": st.lists(containers, min_size=1, max_size=2)},
    optional={
        "initContainers": lists,
        "ephemeralContainers": lists,
        "volumes": volumes,
        "hostNetwork": st.booleans(),
        "hostPID": st.booleans(),
        "hostIPC": st.booleans(),
        "securityContext": asked(
            runAsUser=[0, 101], runAsNonRoot=[True, False], seccompProfile=PROFILES
        ),
    },
)
metadata = st.fixed_dictionaries(
    {"name": st.just("p")},
    optional={
        "labels": st.sampled_from([SELECTOR | {"pod-template-hash": "5d4f"}, {"app": "checkout"}]),
        "ownerReferences": st.sampled_from(
            [[{"kind": "ReplicaSet", "name": name}] for name in ("checkout-5d4f", "cart-1")]
        ),
    },
)
pods = st.fixed_dictionaries({"metadata": metadata, "spec": specs})


@settings(max_examples=120)
@given(st.sampled_from(POLICIES), pods, st.none() | pods, st.booleans())
def test_they_admit_the_same_and_name_the_same_rule_first(found, pod, old, is_debugging) -> None:
    first, *others = found
    request = {"old": old}
    if old is not None and is_debugging:
        request["subresource"] = "ephemeralcontainers"
    answer = judge(first, pod, **request)
    for other in others:
        theirs = judge(other, pod, **request)
        assert theirs.is_admitted == answer.is_admitted
        assert theirs.violations[:1] == answer.violations[:1]
        assert not any(text.startswith("expression failed") for text in theirs.violations)
