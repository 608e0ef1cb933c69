"""What the exported expressions say of pods, evaluated by a CEL engine."""

import pytest

from tests.admission import (
    DIGEST,
    EVERY_CAPABILITY,
    SELECTOR,
    changed,
    container,
    make_pod,
    policy_of,
    profile_of,
)
from tests.vap import review

pytestmark = pytest.mark.unit

# The workload of most tests: it used one capability and nothing else of note.
POLICY = policy_of("CAP_NET_BIND_SERVICE")
PROFILE = profile_of(POLICY)


def refusals(pod, documents=POLICY, **request):
    """Return which rules refuse *pod*, by the first words of their messages."""
    answer = review(documents, pod, **request)
    assert answer.is_matched
    return sorted(message.partition(":")[0] for message in answer.violations)


def spec_of(**spec):
    return make_pod(POLICY, **spec)


def with_own(**security):
    return make_pod(POLICY, container(**security))


def test_the_pod_that_was_learnt_is_admitted():
    assert refusals(spec_of()) == []


def test_a_pod_that_says_nothing_lacks_the_profile_and_no_new_privs():
    bare = {"metadata": {"labels": SELECTOR}, "spec": {"containers": [{"name": "nginx"}]}}
    assert refusals(bare) == [
        "container `nginx` has allowPrivilegeEscalation",
        "container `nginx` runs under the seccomp profile learnt from it",
    ]


# --- privileged ------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["containers", "initContainers", "ephemeralContainers"])
@pytest.mark.parametrize("name", ["nginx", "other"])
def test_no_container_of_any_list_is_privileged(where, name):
    privileged = container(name, privileged=True)
    others = [] if where == "containers" else [container()]
    pod = make_pod(POLICY, *others, **{where: [privileged]})
    assert refusals(pod) == ["no container is privileged"]
    assert refusals(make_pod(POLICY, *others, **{where: [container(name, privileged=False)]})) == []


def test_one_that_was_learnt_to_need_it_may_be_privileged_and_no_other():
    documents = policy_of(files={"/dev/sda": "rw"}, bounding=EVERY_CAPABILITY)
    own = container(privileged=True, allowPrivilegeEscalation=None)
    assert refusals(make_pod(None, own), documents) == []
    for where in ("containers", "initContainers", "ephemeralContainers"):
        other = container("other", privileged=True)
        lists = {"containers": [own], **({where: [own, other]} if where == "containers" else {})}
        pod = make_pod(None, **(lists | ({} if where == "containers" else {where: [other]})))
        assert refusals(pod, documents) == ["no container but `nginx` is privileged"]


def test_a_container_that_is_added_later_gets_no_privilege_by_its_name():
    documents = policy_of(settings=["privileged=agent"])
    agent = container("agent", privileged=True)
    assert refusals(make_pod(documents, container(), agent), documents) == []
    late = make_pod(documents, ephemeralContainers=[agent])
    assert refusals(late, documents) == ["no container but `agent` is privileged"]


# --- the host's namespaces -------------------------------------------------------------------

HOST = {"hostNetwork": "net", "hostPID": "pid", "hostIPC": "ipc"}


@pytest.mark.parametrize("field", HOST)
def test_the_hosts_namespaces_are_refused_where_they_were_not_used(field):
    assert refusals(spec_of(**{field: True})) == [f"no {field}"]
    assert refusals(spec_of(**{field: False})) == []
    used = policy_of("CAP_NET_BIND_SERVICE", host_namespaces=(HOST[field], "user"))
    assert refusals(spec_of(**{field: True}), used) == []
    others = {other: True for other in HOST if other != field}
    assert len(refusals(spec_of(**others), used)) == 2


# --- capabilities ----------------------------------------------------------------------------

CAPABILITIES = "container `nginx` and debugging containers add no capability but NET_BIND_SERVICE"


@pytest.mark.parametrize(
    "names", [[], ["NET_BIND_SERVICE"], ["CAP_NET_BIND_SERVICE"], ["net_bind_service"]]
)
def test_capabilities_that_were_used_may_be_added_however_they_are_spelt(names):
    assert refusals(with_own(capabilities={"drop": ["ALL"], "add": names})) == []


@pytest.mark.parametrize(
    "name", ["ALL", "all", "CAP_ALL", "SYS_ADMIN", "CAP_SYS_ADMIN", "sys_admin", "NET_BIND", ""]
)
def test_others_may_not(name):
    pod = with_own(capabilities={"add": ["NET_BIND_SERVICE", name]})
    assert refusals(pod) == [CAPABILITIES]
    none = policy_of()
    bare = make_pod(none, container(capabilities={"add": [name]}))
    assert refusals(bare, none) == ["container `nginx` and debugging containers add no capability"]


def test_dropping_and_an_empty_list_are_no_matter():
    none = policy_of()
    for capabilities in ({}, {"drop": ["ALL"]}, {"add": []}):
        assert refusals(make_pod(none, container(capabilities=capabilities)), none) == []


def test_init_containers_of_the_name_and_debugging_containers_are_bound():
    adds = {"capabilities": {"add": ["SYS_PTRACE"]}}
    init = make_pod(POLICY, container("web"), initContainers=[container(**adds)])
    assert refusals(init) == [CAPABILITIES]
    assert refusals(spec_of(ephemeralContainers=[container("debugger-x", **adds)])) == [
        CAPABILITIES
    ]
    assert refusals(spec_of(ephemeralContainers=[container("debugger-x")])) == []


def test_another_container_has_a_baseline_of_its_own():
    mesh = container(
        "istio-init", capabilities={"add": ["NET_ADMIN"]}, allowPrivilegeEscalation=True
    )
    assert refusals(make_pod(POLICY, container(), initContainers=[mesh])) == []


# --- seccomp ---------------------------------------------------------------------------------

SECCOMP = "container `nginx` runs under the seccomp profile learnt from it"
LEARNT = {"type": "Localhost", "localhostProfile": PROFILE}
OTHERS = [
    None,
    {"type": "Unconfined"},
    {"type": "RuntimeDefault"},
    {"type": "RuntimeDefault", "localhostProfile": PROFILE},
    {"type": "Localhost"},
    {"type": "Localhost", "localhostProfile": "ethogram/checkout-nginx-000000000000.json"},
    {"type": "Localhost", "localhostProfile": f"x/{PROFILE}"},
]


def under(own, pods):
    context = {} if pods is None else {"seccompProfile": pods}
    return make_pod(None, container(seccompProfile=own), securityContext=context)


@pytest.mark.parametrize("other", OTHERS)
def test_the_containers_profile_overrides_the_pods(other):
    assert refusals(under(LEARNT, other)) == []
    assert refusals(under(other, LEARNT)) == ([] if other is None else [SECCOMP])
    assert refusals(under(None, other)) == [SECCOMP]


def test_without_any_security_context_the_profile_is_missing():
    pod = changed(under(LEARNT, None), securityContext=None)
    assert refusals(pod) == []
    assert refusals(changed(pod, containers=[{"name": "nginx"}]))[-1] == SECCOMP


def test_other_containers_and_debugging_ones_need_another_profile():
    debugger = container("debugger-x", seccompProfile={"type": "RuntimeDefault"})
    assert refusals(spec_of(ephemeralContainers=[debugger])) == []


# --- allowPrivilegeEscalation ----------------------------------------------------------------


def test_privileges_are_not_to_be_gained_where_nothing_gained_any():
    rule = "container `nginx` has allowPrivilegeEscalation"
    for value in (None, True):
        assert refusals(with_own(allowPrivilegeEscalation=value)) == [rule]
    gained = policy_of("CAP_NET_BIND_SERVICE", privileges_gained=True)
    assert refusals(with_own(allowPrivilegeEscalation=True), gained) == []


# --- images ----------------------------------------------------------------------------------

STRANGE = [
    "nginx",
    "nginx:1.22",
    f"nginx@sha256:{'0' * 64}",
    f"nginx@{DIGEST}0",
    f"{DIGEST}/nginx:1.22",
    f"nginx@{DIGEST}:1.22",
]


@pytest.mark.parametrize("image", STRANGE)
def test_images_are_noted_and_refused_only_when_bound(image):
    pod = make_pod(POLICY, container(image=image))
    assert refusals(pod) == []
    assert review(POLICY, pod).annotations == {"image-not-learnt": image}
    bound = policy_of("CAP_NET_BIND_SERVICE", settings=["bind-digest=true"])
    assert refusals(pod, bound) == ["the image of container `nginx` is pinned to a learnt digest"]


@pytest.mark.parametrize("image", [f"nginx@{DIGEST}", f"r.example:5000/a/nginx:1.22@{DIGEST}"])
def test_a_learnt_digest_is_enough_from_any_registry(image):
    bound = policy_of("CAP_NET_BIND_SERVICE", settings=["bind-digest=true"])
    for documents in (POLICY, bound):
        pod = make_pod(POLICY, container(image=image), container("sidecar", image="envoy:1"))
        assert refusals(pod, documents) == []
        assert review(documents, pod).annotations == {}
