"""Whatever was recorded is allowed by the profile made of it."""

import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ethogram.contracts.baseline import ArgumentValue, CallArguments
from ethogram.contracts.call_arguments import VETTED
from ethogram.contracts.policy_seccomp import allows, read_profile, verdict
from ethogram.contracts.recording import Recording
from ethogram.contracts.syscall_names import name_of, names_of, number_of
from exporters.protocol import Artifact
from exporters.registry import parse_options
from exporters.seccomp import exporter
from exporters.seccomp_calls import MACHINES, machine_of
from exporters.seccomp_choices import DIALECTS
from learner.learn import learn
from learner.summary import summarize
from tests.baselines import make_baseline, syscall_rule
from tests.recordings import shop_recording

pytestmark = pytest.mark.property

SECCOMP = exporter()
CALLS = sorted(
    (arch, number_of(arch, name))
    for archs in MACHINES.values()
    for arch in archs
    for name in names_of(arch)
)
PHASES = ("runtime", "startup", "steady", "exec", "shutdown", "unknown")
SETTINGS = st.lists(
    st.sampled_from(
        [
            "runtime=runc=1.1.5",
            "runtime=crun=1.26",
            "runtime=none",
            "no-new-privs=yes",
            "tolerance=yes",
            "eperm=mount,ptrace,read,execve",
        ]
    ),
    max_size=3,
    unique_by=lambda pair: pair.partition("=")[0],
)
SEEN = st.dictionaries(
    st.sampled_from(CALLS),
    st.lists(st.sampled_from(PHASES), min_size=1, unique=True),
    min_size=1,
    max_size=40,
)


def profiles(seen, settings, enforce):
    """Return the profile of each machine for the calls *seen*, by machine."""
    rules = [
        syscall_rule(name_of(arch, nr), arch=arch, nr=nr, phases=sorted(phases))
        for (arch, nr), phases in seen.items()
    ]
    options = parse_options(SECCOMP, settings, enforce=enforce)
    items = SECCOMP.export(make_baseline(*rules), options)
    read = [json.loads(i.content) for i in items if isinstance(i, Artifact)]
    machine = {"SCMP_ARCH_X86_64": "x86_64", "SCMP_ARCH_AARCH64": "aarch64"}
    return {machine[p["architectures"][0]]: p for p in read if "defaultAction" in p}


def is_only_runtime(phases):
    return list(phases) == ["runtime"]


@given(seen=SEEN, settings=SETTINGS, enforce=st.booleans())
def test_everything_recorded_is_allowed_by_its_own_profile(seen, settings, enforce):
    kept = {call: phases for call, phases in seen.items() if not is_only_runtime(phases)}
    if not kept:
        return
    made = profiles(seen, settings, enforce)
    for arch, nr in kept:
        assert verdict(made[machine_of(arch)], arch, name_of(arch, nr)).action == "SCMP_ACT_ALLOW"


@given(seen=SEEN, enforce=st.booleans())
def test_a_profile_allows_nothing_without_a_reason(seen, enforce):
    kept = {call: phases for call, phases in seen.items() if not is_only_runtime(phases)}
    if not kept:
        return
    base = {name for b in SECCOMP.bases for name in b.calls(None)}
    always = {"exit", "exit_group", "rt_sigreturn", "restart_syscall", "sigreturn", "nanosleep"}
    always |= {"clock_nanosleep", "futex", "futex_time64", "futex_waitv"}
    names = {name_of(arch, nr) for arch, nr in kept} | base | always
    for profile in profiles(seen, [], enforce).values():
        assert set(profile["syscalls"][0]["names"]) <= names


@given(seen=SEEN)
def test_enforcing_refuses_what_a_logging_profile_would_log(seen):
    kept = {call: phases for call, phases in seen.items() if not is_only_runtime(phases)}
    if not kept:
        return
    logging, enforcing = profiles(seen, [], False), profiles(seen, [], True)
    for machine, profile in logging.items():
        for name in sorted(names_of(machine)):
            logged = verdict(profile, machine, name).action == "SCMP_ACT_LOG"
            assert logged == (not allows(enforcing[machine], machine, name))


@st.composite
def argued(draw):
    """Return what a baseline tells of arguments: every value, or that there were others."""
    archs = draw(st.sampled_from([["x86_64"], ["x86_64", "i386"]]))
    told = []
    for arch in archs:
        names = st.lists(st.sampled_from(sorted(set(VETTED) & names_of(arch))), unique=True)
        for name in sorted(draw(names)):
            vetted = VETTED[name]
            edges = [0, 1, 3, 5, 16, 0x5401, 0x10000000, 0x7E020000, (1 << 32) - 1, (1 << 64) - 1]
            values = draw(st.lists(st.sampled_from(edges), max_size=4))
            given = tuple(
                ArgumentValue(value=value, calls=1, phases=("steady",))
                for value in sorted({value & vetted.mask for value in values})
            )
            others = draw(st.booleans()) or not given
            told.append(
                CallArguments(arch=arch, name=name, index=vetted.index, values=given, others=others)
            )
    return tuple(sorted(told, key=lambda one: (one.arch, one.name, one.index)))


@given(
    told=argued(),
    settings=SETTINGS,
    dialect=st.sampled_from(DIALECTS),
    arguments=st.sampled_from(["safe", "all", "none"]),
    garbage=st.sampled_from([0, 0xDEADBEEF << 32]),
)
def test_every_argument_that_was_given_is_allowed(told, settings, dialect, arguments, garbage):
    rules = {("x86_64", "read"), *((one.arch, one.name) for one in told)}
    baseline = make_baseline(
        *(syscall_rule(name, arch=arch) for arch, name in sorted(rules)), arguments=told
    )
    pairs = [*settings, f"dialect={dialect}", f"arguments={arguments}"]
    items = SECCOMP.export(baseline, parse_options(SECCOMP, pairs, enforce=True))
    (artifact,) = [item for item in items if isinstance(item, Artifact)]
    profile = read_profile(yaml.safe_load(artifact.content))
    for one in told:
        values = [value.value for value in one.values]
        if one.others:
            values.append(0x2B & VETTED[one.name].mask)
        for value in values:
            upper = garbage if VETTED[one.name].mask >> 32 == 0 and one.arch == "x86_64" else 0
            answer = profile.verdict(one.arch, one.name, {one.index: value | upper})
            assert (answer.action, answer.is_certain) == ("SCMP_ACT_ALLOW", True), one


def test_the_shop_is_allowed_what_was_recorded_of_it(tmp_path):
    recording = Recording.open(shop_recording(tmp_path / "shop"))
    made = {}
    for baseline in learn(summarize(recording)):
        items = list(SECCOMP.export(baseline, parse_options(SECCOMP, [], enforce=True)))
        made[baseline.subject.name] = json.loads(items[0].content)
    names = {row["workload"]: row["name"] for row in recording.table("workloads").to_pylist()}
    rows = recording.table("syscalls").to_pylist()
    seen = {(r["workload"], r["arch"], r["nr"]) for r in rows if r["phase"] != "runtime"}
    assert len(seen) > 23
    for workload, arch, nr in seen:
        assert allows(made[names[workload]], arch, name_of(arch, nr)), (names[workload], nr)
