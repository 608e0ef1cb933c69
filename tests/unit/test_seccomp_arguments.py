"""Calls that a profile allows by their arguments, and those where it does not dare to."""

import json

import pytest

from ethogram.contracts.baseline import ArgumentValue, CallArguments
from ethogram.contracts.policy_seccomp import read_profile
from exporters.protocol import Artifact, Finding
from exporters.registry import parse_options
from exporters.seccomp import exporter
from tests.baselines import as_overlaid, make_baseline, syscall_rule

pytestmark = pytest.mark.unit

SECCOMP = exporter()
INET, NETLINK, VSOCK = 2, 16, 40
NEWUSER = 0x10000000


def told(name, *values, index=0, arch="x86_64", others=False):
    """Return what a baseline says of an argument."""
    given = tuple(
        ArgumentValue(value=value, calls=23, phases=("steady",)) for value in sorted(values)
    )
    return CallArguments(arch=arch, name=name, index=index, others=others, values=given)


def export(*calls, arguments, settings=(), enforce=True, baseline=None, runtime="runc@1.1.5"):
    """Return the document of the profile as it is read, its findings, and the document."""
    pairs = [f"runtime={runtime}", *settings]
    options = parse_options(SECCOMP, pairs, enforce=enforce)
    ordered = arguments and tuple(sorted(arguments, key=lambda it: (it.arch, it.name, it.index)))
    baseline = baseline or make_baseline(*calls, arguments=ordered)
    items = list(SECCOMP.export(baseline, options))
    (document,) = [json.loads(item.content) for item in items if isinstance(item, Artifact)]
    return read_profile(document), [i for i in items if isinstance(i, Finding)], document


def said(findings, word):
    return [one for one in findings if word in one.message]


def test_a_family_that_was_not_seen_is_refused():
    profile, findings, document = export("socket", arguments=[told("socket", INET, NETLINK)])
    answers = [profile.verdict("x86_64", "socket", {0: it}) for it in (INET, NETLINK, VSOCK)]
    assert [answer.errno for answer in answers] == [None, None, 38]
    assert profile.verdict("x86_64", "socket", {0: INET | 1 << 32}).is_permitted
    entries = [one for one in document["syscalls"] if "socket" in one["names"]]
    assert [one["names"] for one in entries] == [["socket"]] * 2
    assert all(one["action"] == "SCMP_ACT_ALLOW" and len(one["args"]) == 1 for one in entries)
    assert said(findings, "socket (family 2, 16)")
    assert said(findings, "calls of x86_64 are allowed (1 by argument)")


@pytest.mark.parametrize(
    "arguments",
    [
        None,
        [],
        [told("socket", INET, others=True)],
        [told("socket")],
        [told("socket", INET, index=1)],
        [told("socket", INET, arch="i386")],
    ],
    ids=["not recorded", "not told", "others", "no value", "another argument", "another arch"],
)
def test_without_all_values_a_call_is_allowed_whole(arguments):
    profile, _, _ = export("socket", arguments=arguments)
    assert profile.verdict("x86_64", "socket", {0: VSOCK}).is_permitted


def test_where_events_were_lost_a_call_is_allowed_whole():
    baseline = make_baseline("socket", arguments=(told("socket", INET),))
    observation = baseline.observation.model_copy(update={"losses": {"ring_full": 3}})
    profile, findings, _ = export(
        arguments=None, baseline=baseline.model_copy(update={"observation": observation})
    )
    assert profile.verdict("x86_64", "socket", {0: VSOCK}).is_permitted
    assert said(findings, "allowed with any arguments")[0].hint.endswith("events were lost")


def test_values_of_every_architecture_that_made_the_call_are_allowed():
    calls = ["socket", syscall_rule("socket", arch="i386")]
    both = [told("socket", INET), told("socket", NETLINK, arch="i386")]
    profile, findings, _ = export(*calls, arguments=both)
    for arch in ("x86_64", "i386"):
        assert profile.verdict(arch, "socket", {0: INET}).is_permitted
        assert profile.verdict(arch, "socket", {0: NETLINK}).is_permitted
    assert said(findings, "socketcall of i386")
    profile, _, _ = export(*calls, arguments=both[:1])
    assert profile.verdict("x86_64", "socket", {0: VSOCK}).is_permitted


def test_an_overlay_allows_the_call_and_not_some_of_it():
    baseline = as_overlaid(make_baseline("socket", arguments=(told("socket", INET),)))
    profile, _, _ = export(arguments=None, baseline=baseline)
    assert profile.verdict("x86_64", "socket", {0: VSOCK}).is_permitted


def test_what_the_runtime_calls_too_is_allowed_whole():
    arguments = [told("prctl", 15), told("ioctl", 0x5401, index=1)]
    settings = ["arguments=all"]
    profile, findings, _ = export(
        *("prctl", "ioctl"), arguments=arguments, settings=settings, runtime="crun@1.26"
    )
    assert profile.verdict("x86_64", "prctl", {0: 22}).is_permitted
    assert profile.verdict("x86_64", "ioctl", {1: 0x5413}).is_permitted
    assert said(findings, "not all of them are known: ioctl, mprotect, prctl")


def test_more_calls_are_told_apart_where_it_is_asked_for():
    calls = ["clone", "ioctl", "personality", "mprotect"]
    arguments = [
        told("clone", 0, NEWUSER),
        told("ioctl", 0x5401, index=1),
        told("personality", 0xFFFFFFFF),
        told("mprotect", 0, 1, 3, index=2),
    ]
    settings = ["arguments=all"]
    profile, findings, _ = export(*calls, arguments=arguments, settings=settings, runtime="none")

    def permits(name, index, value):
        return profile.verdict("x86_64", name, {index: value}).is_permitted

    # The signal and the flags of threads are the C library's own business.
    assert permits("clone", 0, NEWUSER | 17)
    assert permits("clone", 0, 0x003D0F00)
    assert not permits("clone", 0, 0x40000000)
    assert permits("ioctl", 1, 0x5401)
    assert not permits("ioctl", 1, 0x5413)
    assert permits("personality", 0, (1 << 64) - 1)
    assert not permits("personality", 0, 0x0040000)
    assert permits("mprotect", 2, 2)
    assert not permits("mprotect", 2, 5)
    assert said(findings, "mprotect (no executable memory)")
    assert not said(findings, "clone3")


def test_memory_that_was_made_executable_stays_free():
    arguments = [told("mprotect", 1, 5, index=2)]
    settings = ["arguments=all"]
    profile, _, _ = export("mprotect", arguments=arguments, settings=settings, runtime="none")
    assert profile.verdict("x86_64", "mprotect", {2: 7}).is_permitted


def test_flags_that_no_filter_sees_are_said():
    settings = ["arguments=all"]
    arguments = [told("clone", 0)]
    _, findings, _ = export(
        "clone", "clone3", arguments=arguments, settings=settings, runtime="none"
    )
    assert said(findings, "clone3")[0].severity == "warning"


def test_nothing_is_told_apart_where_nobody_wants_it():
    profile, _, _ = export("socket", arguments=[told("socket", INET)], settings=["arguments=none"])
    assert profile.verdict("x86_64", "socket", {0: VSOCK}).is_permitted


def test_a_profile_that_logs_lets_other_arguments_through():
    profile, _, _ = export("socket", arguments=[told("socket", INET)], enforce=False)
    assert profile.verdict("x86_64", "socket", {0: INET}).action == "SCMP_ACT_ALLOW"
    assert profile.verdict("x86_64", "socket", {0: VSOCK}).action == "SCMP_ACT_LOG"
