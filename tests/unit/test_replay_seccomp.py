"""What a seccomp profile would have done to a recording."""

import json
from copy import deepcopy

import pytest

from ethogram.contracts.recording import Recording
from ethogram.contracts.syscall_names import number_of
from exporters.replay.observations import Observations
from exporters.replay.protocol import Denied, Judged, Policy, Unjudged
from exporters.replay.registry import replayer_of, replayers
from exporters.replay.seccomp import replayer
from tests.recordings import make_recording, shop_recording

pytestmark = pytest.mark.unit

CHECKOUT = "staging/shop-staging/Deployment/checkout/nginx/main@sha256:" + "a" * 64
PROFILE = {
    "defaultAction": "SCMP_ACT_ERRNO",
    "defaultErrnoRet": 38,
    "architectures": ["SCMP_ARCH_X86_64"],
    "syscalls": [{"names": ["read"], "action": "SCMP_ACT_ALLOW"}],
}
# What nginx of the shop calls outside of its runtime's phase, and runc under the filter.
OWN = (
    "accept4 bind brk clone close connect epoll_wait execve exit_group getdents64 listen mmap"
    " openat read recvfrom rt_sigsuspend sendfile socket unlink write writev"
)


def allowing(*names, **fields):
    return PROFILE | {"syscalls": [{"names": [*names], "action": "SCMP_ACT_ALLOW"}]} | fields


@pytest.fixture
def shop(tmp_path):
    return Observations(Recording.open(shop_recording(tmp_path / "shop.rec")), "shop.rec")


def outcomes(seen, document, key=CHECKOUT):
    return list(replayer().replay([Policy("p.json", document, key)], seen))


def denied(seen, document, key=CHECKOUT):
    return {one.rule: one for one in outcomes(seen, document, key) if isinstance(one, Denied)}


def patched(document, relaxation):
    """Apply the patch, as RFC 6902 says."""
    document = deepcopy(document)
    for step in relaxation.patch:
        *parents, last = step["path"].split("/")[1:]
        place = document
        for part in parents:
            place = place[int(part)] if isinstance(place, list) else place[part]
        if step["op"] == "remove":
            del place[int(last)]
        elif last == "-":
            place.append(step["value"])
        else:
            place[last] = step["value"]
    return document


def test_whoever_reads_a_profile_does_not_read_what_lies_beside_it():
    assert replayer_of("x.json", PROFILE).target == "seccomp"
    assert replayer_of("x.json", {"schema": "ethogram.provenance/1", "calls": []}) is None
    assert list(replayers()) == sorted(replayers())


def test_nothing_is_denied_by_a_profile_of_all_that_was_done(shop):
    found = outcomes(shop, allowing(*OWN.split(), "capset", "prctl", "setresuid", "mount"))
    assert not [one for one in found if isinstance(one, Denied)]
    [judged] = [one for one in found if isinstance(one, Judged)]
    assert judged.what == "calls"
    assert judged.count > 1000


def test_a_call_that_is_not_listed_is_denied_as_often_as_it_was_made(shop):
    names = set(OWN.split()) - {"unlink"}
    found = denied(shop, allowing(*names, "capset", "prctl"))
    assert found.keys() == {"unlink"}
    unlink = found["unlink"]
    assert (unlink.count, unlink.answer, unlink.effect) == (2, "ERRNO 38", "denied")
    assert (unlink.sight.window, unlink.sight.phase) == (7, "shutdown")


def test_what_the_runtime_does_before_the_filter_is_not_judged(shop):
    """runc 1.1.5 without no_new_privs calls capset under the filter, and mounts before it."""
    found = denied(shop, allowing(*OWN.split()))
    assert "mount" not in found
    assert found["capset"].sight.phase == "runtime"


def test_a_runtime_that_was_not_measured_is_said(tmp_path):
    tables = {
        "workloads": [{"workload": 1, "kind": "Container", "name": "web", "source": "oci"}],
        "instances": [{"instance": 1, "workload": 1, "runtime": "runc", "runtime_version": "9"}],
        "syscalls": [{"workload": 1, "instance": 1, "phase": "runtime", "arch": "x86_64", "nr": 9,
                      "calls": 3}],
    }  # fmt: skip
    seen = Observations(Recording.open(make_recording(tmp_path / "r", **tables)), "r")
    [unjudged, judged] = outcomes(seen, PROFILE, key=None)
    assert isinstance(unjudged, Unjudged)
    assert "runc 9" in unjudged.reason
    assert judged.count == 0


def test_a_runtime_is_known_by_its_release_whatever_a_distribution_adds(tmp_path):
    tables = {
        "workloads": [{"workload": 1, "kind": "Container", "name": "web", "source": "oci"}],
        "instances": [{"instance": 1, "workload": 1, "runtime": "runc",
                       "runtime_version": "1.1.5+ds1", "no_new_privs": False}],
        "syscalls": [{"workload": 1, "instance": 1, "phase": "runtime", "arch": "x86_64",
                      "nr": number_of("x86_64", "capset"), "calls": 23}],
    }  # fmt: skip
    seen = Observations(Recording.open(make_recording(tmp_path / "r", **tables)), "r")
    [refused, judged] = outcomes(seen, PROFILE, key=None)
    assert (refused.rule, refused.count, judged.count) == ("capset", 23, 23)


def test_a_profile_that_logs_denies_nothing(shop):
    found = denied(shop, {"defaultAction": "SCMP_ACT_LOG", "syscalls": []})
    assert {one.effect for one in found.values()} == {"logged"}


def test_a_profile_of_another_workload_judges_nothing(shop):
    assert outcomes(shop, PROFILE, "_/shop-staging/Deployment/other/nginx/main") == []


def test_a_profile_of_nobody_in_particular_judges_everybody(shop):
    found = outcomes(shop, PROFILE, key=None)
    assert {one.workload for one in found if isinstance(one, Judged)} == {1, 2}


@pytest.mark.parametrize(
    "extra",
    [
        [],
        [{"names": ["unlink"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1}],
        [{"names": ["mkdir", "unlink"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1}],
    ],
)
def test_the_relaxation_is_all_that_it_needs(shop, extra):
    names = set(OWN.split()) - {"unlink"}
    document = allowing(*sorted(names), "capset", "prctl")
    document["syscalls"] = extra + document["syscalls"]
    relaxation = denied(shop, document)["unlink"].relaxation
    assert "allow `unlink`" in relaxation.words
    relaxed = patched(document, relaxation)
    json.dumps(relaxed)
    assert denied(shop, relaxed) == {}


def test_a_call_through_another_architecture_needs_that(tmp_path):
    tables = {
        "workloads": [{"workload": 1, "kind": "Container", "name": "web", "source": "oci"}],
        "instances": [{"instance": 1, "workload": 1}],
        "syscalls": [{"workload": 1, "instance": 1, "arch": "i386", "calls": 3,
                      "nr": number_of("i386", "write")}],
    }  # fmt: skip
    seen = Observations(Recording.open(make_recording(tmp_path / "r", **tables)), "r")
    found = denied(seen, PROFILE, key=None)["write (i386)"]
    assert found.answer == "KILL"
    assert found.relaxation.words == "list `SCMP_ARCH_X86` and allow `write`"
    assert denied(seen, patched(PROFILE, found.relaxation), key=None) == {}


SOCKET, AF_UNIX, AF_INET = number_of("x86_64", "socket"), 1, 2


@pytest.fixture
def sockets(tmp_path):
    """A recording of 7 calls of `socket`: four of family 1, two of 2, one of which nobody knows."""
    row = {"workload": 1, "instance": 1, "arch": "x86_64", "nr": SOCKET}
    tables = {
        "workloads": [{"workload": 1, "kind": "Container", "name": "web", "source": "oci"}],
        "instances": [{"instance": 1, "workload": 1}],
        "syscalls": [row | {"calls": 7}],
        "arguments": [
            row | {"index": 0, "value": value, "calls": calls}
            for value, calls in ((AF_UNIX, 4), (AF_INET, 2), (None, 1))
        ],
    }
    return Observations(Recording.open(make_recording(tmp_path / "r", **tables)), "r")


def of_family(value):
    masked = {"index": 0, "op": "SCMP_CMP_MASKED_EQ", "value": 0xFFFFFFFF, "valueTwo": value}
    return PROFILE | {
        "syscalls": [{"names": ["socket"], "action": "SCMP_ACT_ALLOW", "args": [masked]}]
    }


def test_each_value_of_an_argument_is_judged_and_the_rest_is_left_open(sockets):
    found = outcomes(sockets, of_family(AF_UNIX), key=None)
    [denied] = [one for one in found if isinstance(one, Denied)]
    [left] = [one for one in found if isinstance(one, Unjudged)]
    [judged] = [one for one in found if isinstance(one, Judged)]
    assert (denied.rule, denied.count) == ("socket with 0x2 as argument 0", 2)
    assert (left.count, judged.count) == (1, 6)
    relaxed = patched(of_family(AF_UNIX), denied.relaxation)
    assert denied.relaxation.words == "allow `socket with 0x2 as argument 0`"
    assert denied_rules(sockets, relaxed) == set()


def denied_rules(seen, document):
    return set(denied(seen, document, key=None))


def test_a_comparison_of_bits_that_were_not_recorded_is_left_open(tmp_path):
    """Of the flags of clone just those that make namespaces are recorded."""
    clone = {"workload": 1, "instance": 1, "arch": "x86_64", "nr": number_of("x86_64", "clone")}
    tables = {
        "workloads": [{"workload": 1, "kind": "Container", "name": "web", "source": "oci"}],
        "instances": [{"instance": 1, "workload": 1}],
        "syscalls": [clone | {"calls": 3}],
        "arguments": [clone | {"index": 0, "value": 0, "calls": 3}],
    }
    seen = Observations(Recording.open(make_recording(tmp_path / "r", **tables)), "r")
    for mask, is_open in ((0x7E020000, False), (0x7E020011, True)):
        masked = {"index": 0, "op": "SCMP_CMP_MASKED_EQ", "value": mask, "valueTwo": 0}
        rule = {"names": ["clone"], "action": "SCMP_ACT_ALLOW", "args": [masked]}
        found = outcomes(seen, PROFILE | {"syscalls": [rule]}, key=None)
        assert any(isinstance(one, Unjudged) for one in found) == is_open
        assert not any(isinstance(one, Denied) for one in found)


def test_conditions_of_dockers_dialect_are_those_of_the_recorded_container(shop):
    """The shop's containers had the usual capabilities; mount is allowed for CAP_SYS_ADMIN."""
    names = ["capset", "prctl", *OWN.split()]
    document = allowing(*names)
    for caps, rules in ((["CAP_CHOWN"], set()), (["CAP_SYS_ADMIN"], {"unlink"})):
        extra = {"names": ["unlink"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": caps}}
        base = allowing(*(name for name in names if name != "unlink"))
        assert set(denied(shop, base | {"syscalls": [*base["syscalls"], extra]})) == rules
    assert denied(shop, document) == {}


def test_the_operators_object_is_a_profile(shop):
    spec = allowing(*OWN.split(), "capset", "prctl")
    spec["syscalls"][0]["names"].remove("unlink")
    del spec["defaultErrnoRet"]
    document = {"apiVersion": "security-profiles-operator.x-k8s.io/v1", "kind": "SeccompProfile",
                "metadata": {"name": "web"}, "spec": spec}  # fmt: skip
    assert replayer().reads("web.yaml", document)
    relaxation = denied(shop, document)["unlink"].relaxation
    assert relaxation.patch[0]["path"] == "/spec/syscalls/0/names/-"
    assert denied(shop, patched(document, relaxation)) == {}
