"""What the seccomp exporter writes, and what it says about it."""

import json
import re
from dataclasses import replace

import pytest

from ethogram.contracts.baseline import Evidence, Observation, Quarantined
from ethogram.contracts.policy_seccomp import Verdict, verdict
from ethogram.errors import ExportError, UsageError
from exporters.admission_privileged import OF_PRIVILEGED
from exporters.protocol import Artifact, Finding
from exporters.provenance import provenance_artifact, provenance_of
from exporters.registry import parse_options
from exporters.seccomp import exporter
from exporters.seccomp_calls import FAMILIES
from tests.baselines import make_baseline, syscall_rule

pytestmark = pytest.mark.unit

SECCOMP = exporter()


def export(*calls, settings=(), enforce=False, baseline=None):
    """Return the artifacts by target, and what is beside them, as documents, and the findings."""
    options = parse_options(SECCOMP, settings, enforce=enforce)
    baseline = baseline or make_baseline(*calls)
    items = list(SECCOMP.export(baseline, options))
    artifacts = [item for item in items if isinstance(item, Artifact)]
    artifacts += [
        provenance_artifact(item, baseline, provenance_of(baseline)) for item in artifacts
    ]
    documents = {item.target: json.loads(item.content) for item in artifacts}
    return documents, [item for item in items if isinstance(item, Finding)]


def names(profile):
    return profile["syscalls"][0]["names"]


def why(documents):
    return {one["place"]: one["why"] for one in documents["seccomp.provenance"]["reasons"]}


def sources(documents):
    """Return the runtimes that any call is allowed for."""
    reasons = documents["seccomp.provenance"]["reasons"]
    told = [one["source"] for one in reasons if one["why"] == "runtime"]
    return {part.partition(" (")[0] for source in told for part in source.split("; ")}


def said(findings, word, severity=None):
    return [
        f for f in findings if word in f.message and (severity is None or f.severity == severity)
    ]


def test_a_profile_logs_until_it_is_told_to_enforce():
    profile = export("read")[0]["seccomp"]
    assert profile["defaultAction"] == "SCMP_ACT_LOG"
    assert "defaultErrnoRet" not in profile  # crun refuses an errno for an action without one
    assert "flags" not in profile


def test_an_enforcing_profile_answers_enosys():
    profile = export("read", enforce=True)[0]["seccomp"]
    assert (profile["defaultAction"], profile["defaultErrnoRet"]) == ("SCMP_ACT_ERRNO", 38)


def test_the_profile_has_only_fields_of_the_oci_form():
    profile = export("read", enforce=True, settings=["eperm=mount"])[0]["seccomp"]
    assert set(profile) == {"defaultAction", "defaultErrnoRet", "architectures", "syscalls"}
    for rule in profile["syscalls"]:
        assert set(rule) <= {"names", "action", "errnoRet"}
        assert rule["names"]


def test_every_name_has_its_reason():
    documents, _ = export("read", "accept4", settings=["runtime=runc=1.1.5"])
    reasons = why(documents)
    assert list(reasons) == names(documents["seccomp"])
    assert reasons["accept4"] == reasons["read"] == "observed"
    assert reasons["getcwd"] == "runtime"
    assert reasons["restart_syscall"] == "always"
    assert "openat2" not in reasons


def test_an_observed_call_keeps_its_evidence():
    documents, _ = export("accept4")
    told = documents["seccomp.provenance"]
    (reason,) = [one for one in told["reasons"] if one["place"] == "accept4"]
    assert reason["rules"] == [syscall_rule("accept4").id]
    (rule,) = told["rules"]
    assert rule["id"] == syscall_rule("accept4").id
    assert rule["value"]["arch"] == "x86_64"
    assert (rule["evidence"]["calls"], rule["evidence"]["instances"]) == (23, 2)
    assert rule["evidence"]["phases"] == ["startup", "steady"]


def test_a_baseline_without_calls_is_refused():
    with pytest.raises(ExportError) as error:
        export()
    assert error.value.exit_code == 6
    assert "would refuse everything" in error.value.message


def test_what_only_the_runtime_did_is_left_to_the_base_sets_and_named():
    pivot = syscall_rule("pivot_root", phases=["runtime"])
    documents, findings = export("read", pivot, syscall_rule("openat", phases=["runtime"]))
    assert "pivot_root" not in names(documents["seccomp"])
    assert why(documents)["openat"] == "runtime"
    assert said(findings, "pivot_root", "info")
    assert not said(findings, "openat")


def test_many_calls_of_the_runtime_are_listed_in_the_provenance_and_not_on_the_screen():
    left = ["chroot", "mount", "mount_setattr", "move_mount", "open_tree", "pivot_root"]
    left += ["sethostname", "setns", "umount2", "unshare"]
    documents, findings = export("read", *(syscall_rule(name, phases=["runtime"]) for name in left))
    assert [one["place"] for one in documents["seccomp.provenance"]["left_out"]] == left
    [finding] = said(findings, "left out 10 calls", "info")
    assert finding.message.endswith("pivot_root, sethostname, setns and 2 more")
    assert "provenance" in finding.hint


def test_a_baseline_of_the_runtime_alone_is_refused():
    with pytest.raises(ExportError):
        export(syscall_rule("mount", phases=["runtime"]))


def test_a_number_without_a_name_is_a_loss():
    rule = syscall_rule(None, nr=999)
    _, findings = export("read", rule)
    assert [f.subject for f in findings if f.severity == "loss"] == [rule.id]


def test_a_name_from_a_newer_table_is_taken():
    documents, findings = export("read", syscall_rule("brand_new_call", nr=999))
    assert why(documents)["brand_new_call"] == "observed"
    assert said(findings, "brand_new_call", "warning")


@pytest.mark.parametrize(("name", "nr"), [("openat", 0), ("nothing\n", 999), ("openat", 999)])
def test_a_name_that_contradicts_its_number_is_refused(name, nr):
    rule = syscall_rule(name, nr=nr)
    with pytest.raises(ExportError) as error:
        export("read", rule)
    assert rule.id in error.value.message
    assert "\n" not in error.value.message


def test_a_profile_that_logs_lists_every_architecture_of_the_machine():
    profile = export("read")[0]["seccomp"]
    assert profile["architectures"] == ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"]


def test_an_enforcing_profile_lists_the_architectures_that_were_seen():
    documents, findings = export("read", enforce=True)
    assert documents["seccomp"]["architectures"] == ["SCMP_ARCH_X86_64"]
    assert said(findings, "no i386 or x32 call was seen", "info")


def test_one_list_for_two_architectures_is_said_to_widen():
    calls = ["read", syscall_rule("mmap2", arch="i386"), syscall_rule("mount", arch="i386")]
    documents, findings = export(*calls, enforce=True)
    profile = documents["seccomp"]
    assert profile["architectures"] == ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"]
    assert {"read", "mmap2", "mount", "sigreturn"} <= set(names(profile))
    assert said(findings, "not seen through i386", "warning")
    # mmap2 is not a call of x86_64 at all, mount is.
    (alone,) = said(findings, "seen through i386 alone")
    assert alone.message.endswith(": mount")


def test_another_machine_gets_a_profile_of_its_own():
    documents, findings = export("open", syscall_rule("openat", arch="aarch64"))
    assert set(documents) == {
        "seccomp.x86_64",
        "seccomp.x86_64.provenance",
        "seccomp.aarch64",
        "seccomp.aarch64.provenance",
    }
    assert documents["seccomp.aarch64"]["architectures"][0] == "SCMP_ARCH_AARCH64"
    assert "open" not in names(documents["seccomp.aarch64"])
    assert said(findings, "measured on x86_64, not on aarch64", "warning")


def test_no_new_privs_needs_fewer_calls():
    settings = ["runtime=runc=1.1.5"]
    both = set(names(export("read", settings=settings)[0]["seccomp"]))
    no = set(names(export("read", settings=[*settings, "no-new-privs=no"])[0]["seccomp"]))
    documents, findings = export("read", settings=[*settings, "no-new-privs=yes"])
    yes = set(names(documents["seccomp"]))
    assert yes < no == both
    assert {"getcwd", "capset", "setuid"} <= no - yes
    assert said(findings, "without no_new_privs does not start", "info")


def test_without_a_runtime_the_measured_ones_are_allowed_and_named():
    documents, findings = export("read")
    assert {"getcwd", "umask"} <= set(names(documents["seccomp"]))
    (finding,) = said(findings, "no runtime is named")
    assert "`runc 1.1.5`" in finding.message
    assert "`crun 1.8.1`" in finding.message
    assert "1.4.2" not in finding.message


def test_an_unmeasured_version_is_taken_with_a_warning():
    documents, findings = export("read", settings=["runtime=crun=1.26"])
    assert why(documents)["pivot_root"] == "runtime"
    assert said(findings, "not measured", "warning")


@pytest.mark.parametrize("wanted", ["youki", "runc 1.1.5", "runc@new", "runc@9.9.9", ""])
def test_an_unknown_runtime_is_refused_with_the_known_ones(wanted):
    with pytest.raises(UsageError) as error:
        export("read", settings=[f"runtime={wanted}"])
    assert "`runc@1.1.5`" in error.value.hint


@pytest.mark.parametrize("spelling", ["runc=1.1.5", "runc@1.1.5", "runc@1.1.5+ds1"])
def test_one_version_of_a_runtime_is_named_either_way(spelling):
    documents, findings = export("read", settings=[f"runtime={spelling}"])
    assert "umask" not in why(documents)
    assert not said(findings, "no runtime is named")


def test_several_runtimes_add_up():
    documents, _ = export("read", settings=["runtime=runc@1.1.5,crun@1.8.1"])
    assert {"getcwd", "umask"} <= set(why(documents))


@pytest.mark.parametrize(
    ("wanted", "nearest"), [("runc@1.1.12", "runc 1.1.5"), ("crun@1.14", "crun 1.8.1")]
)
def test_the_nearest_measured_version_stands_in_for_another(wanted, nearest):
    documents, findings = export("read", settings=[f"runtime={wanted}"])
    assert sources(documents) == {nearest}
    (finding,) = said(findings, "stand in", "warning")
    assert f"`{wanted.replace('@', ' ')}`" in finding.message
    assert f"`{nearest}`" in finding.message


def observed_under(*runtimes):
    baseline = make_baseline("read")
    seen = baseline.observation.model_copy(update={"runtimes": runtimes or None})
    return baseline.model_copy(update={"observation": seen})


def test_auto_is_what_the_baseline_was_observed_under():
    baseline = observed_under("runc 1.1.5+ds1")
    documents, findings = export(baseline=baseline, settings=["runtime=auto"])
    assert sources(documents) == {"runc 1.1.5"}
    assert said(findings, "observed under: `runc 1.1.5+ds1`", "info")
    documents, _ = export(baseline=baseline, settings=["runtime=auto,crun@1.8.1"])
    assert sources(documents) == {"crun 1.8.1", "runc 1.1.5"}


@pytest.mark.parametrize(
    ("runtimes", "message"), [((), "does not say"), (("youki 0.3.0",), "nothing is known")]
)
def test_auto_needs_a_baseline_that_knows_a_runtime_of_which_something_is_known(runtimes, message):
    SECCOMP.check(parse_options(SECCOMP, ["runtime=auto"]))
    with pytest.raises(ExportError, match=message):
        export(baseline=observed_under(*runtimes), settings=["runtime=auto"])


def test_flags_are_refused_by_the_version_that_was_named():
    documents, _ = export("read", settings=["log-denied=yes", "runtime=runc@1.2.3"])
    assert documents["seccomp"]["flags"] == ["SECCOMP_FILTER_FLAG_LOG"]
    with pytest.raises(ExportError, match=r"runc 1\.1\.12"):
        export("read", settings=["log-denied=yes", "runtime=runc@1.1.12"])


def test_runtime_none_adds_no_base_set():
    documents, _ = export("read", settings=["runtime=none"])
    assert set(why(documents).values()) == {"observed", "always"}


def test_tolerance_is_asked_for_and_labelled():
    documents, _ = export("open", settings=["tolerance=yes", "runtime=none"])
    reasons = why(documents)
    assert reasons["openat2"] == "tolerance"
    assert "openat2" not in why(export("open", settings=["runtime=none"])[0])
    assert "rename" not in reasons


def test_families_are_disjoint():
    members = [name for family in FAMILIES for name in family]
    assert len(members) == len(set(members))


def test_a_name_that_libseccomp_drops_is_named():
    _, findings = export("read", "mseal", settings=["runtime=runc=1.1.5"])
    (finding,) = said(findings, "does not know", "warning")
    assert "2.5.4-1+deb12u1" in finding.message
    assert finding.message.endswith(": mseal")
    assert not said(export("read", "mseal", settings=["libseccomp=any"])[1], "mseal")


def test_eperm_refuses_with_eperm_what_is_not_needed():
    documents, findings = export("read", "ptrace", enforce=True, settings=["eperm=ptrace,mount"])
    profile = documents["seccomp"]
    assert verdict(profile, "x86_64", "mount") == Verdict("SCMP_ACT_ERRNO", 1)
    assert verdict(profile, "x86_64", "ptrace").is_permitted
    assert said(findings, "needed and so allowed: ptrace", "warning")


def test_eperm_has_no_effect_while_the_profile_logs():
    documents, findings = export("read", settings=["eperm=mount"])
    assert len(documents["seccomp"]["syscalls"]) == 1
    assert said(findings, "`eperm` has no effect")


def test_a_flag_that_the_runtime_refuses_is_refused_here():
    with pytest.raises(ExportError, match=r"runc 1\.1\.5"):
        export("read", settings=["log-denied=yes"])
    documents, _ = export("read", settings=["log-denied=yes", "runtime=crun"])
    assert documents["seccomp"]["flags"] == ["SECCOMP_FILTER_FLAG_LOG"]
    documents, _ = export("read", settings=["log-denied=yes", "runtime=runc=1.4.2"])
    assert documents["seccomp"]["flags"] == ["SECCOMP_FILTER_FLAG_LOG"]


@pytest.mark.parametrize(
    "setting", ["tolerance=maybe", "no-new-privs=1", "eperm=mout", "libseccomp=1.0", "log-denied="]
)
def test_a_value_that_means_nothing_is_refused(setting):
    with pytest.raises(UsageError) as error:
        export("read", settings=[setting])
    assert error.value.hint


@pytest.mark.parametrize("state", ["lossy", "enforced", "partial"])
def test_the_state_of_the_baseline_is_passed_on(state):
    _, findings = export(baseline=make_baseline("read", state=state))
    assert said(findings, {"lossy": "lost", "enforced": "enforcing"}.get(state, state))
    assert not said(export("read")[1], "lost")


def test_a_start_that_nobody_saw_is_said():
    seen = {"windows": 1, "instances": 1, "seconds": 5.0, "losses": {}, "image_digests": ()}
    for phases, is_said in (({"steady": 1}, True), ({"startup": 1, "steady": 1}, False)):
        observation = Observation(state="partial", phases=phases, **seen)
        baseline = make_baseline("read").model_copy(update={"observation": observation})
        _, findings = export(baseline=baseline)
        assert bool(said(findings, "start was not recorded", "warning")) is is_said


def test_quarantined_calls_are_not_allowed_and_counted():
    rule = syscall_rule("ptrace")
    kept = Quarantined(
        id=rule.id,
        dimension="syscalls",
        value=rule.value,
        indicators=("shell",),
        evidence=Evidence.model_validate(rule.evidence.model_dump()),
    )
    documents, findings = export(baseline=make_baseline("read", quarantined=(kept,)))
    assert "ptrace" not in names(documents["seccomp"])
    assert said(findings, "1 call in quarantine")


def test_the_path_cannot_leave_the_directory():
    subject = {"namespace": "../../etc", "name": "../x", "container": ".."}
    items = SECCOMP.export(
        make_baseline("read", subject=subject), parse_options(SECCOMP, [], enforce=False)
    )
    for artifact in (item for item in items if isinstance(item, Artifact)):
        parts = artifact.path.split("/")
        assert len(parts) == 3
        assert not any(part.startswith((".", "-")) for part in parts)


def test_the_shipped_data_is_handed_in_not_read():
    bare = replace(SECCOMP, bases=(), known_names={})
    with pytest.raises(UsageError):
        list(bare.export(make_baseline("read"), parse_options(bare, [])))


def installed_as(*, enforce=False, **subject):
    items = SECCOMP.export(
        make_baseline("read", subject=subject), parse_options(SECCOMP, [], enforce=enforce)
    )
    return {item.target: item.installs_as for item in items if isinstance(item, Artifact)}


def test_a_profile_is_installed_by_its_content():
    name = installed_as()["seccomp"]
    assert re.fullmatch(r"ethogram/checkout-nginx-[0-9a-f]{12}\.json", name)
    assert installed_as(namespace="shop")["seccomp"] == name
    assert installed_as(enforce=True)["seccomp"] != name


def test_an_installed_name_leads_nowhere_else():
    name = installed_as(name="../x", container="a/../b")["seccomp"]
    assert re.fullmatch(r"ethogram/[A-Za-z0-9_.-]+\.json", name)
    assert ".." not in name.split("/")


@pytest.mark.parametrize(("kind", "is_said"), [("Deployment", True), ("Command", False)])
def test_only_a_container_is_said_to_be_privileged(kind, is_said):
    who = {} if is_said else {"namespace": None, "kind": kind, "name": "sh", "container": None}
    baseline = make_baseline("read", subject=who)
    seen = baseline.observation.model_copy(update={"bounding": tuple(sorted(OF_PRIVILEGED))})
    _, findings = export(baseline=baseline.model_copy(update={"observation": seen}))
    assert any("ran with every capability" in one.message for one in findings) is is_said
