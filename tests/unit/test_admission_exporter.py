"""Which rules an admission policy has, how it is bound, and what is said about it."""

import json

import pytest

from ethogram.errors import ExportError, UsageError
from exporters.protocol import Artifact
from exporters.registry import parse_options
from exporters.seccomp import exporter as seccomp_exporter
from tests.admission import (
    ADMISSION,
    DIGEST,
    EVERY_CAPABILITY,
    capability_rule,
    export,
    make_admission_baseline,
    profile_of,
)
from tests.vap import problems

pytestmark = pytest.mark.unit


def spec(baseline=None, *settings, enforce=False):
    documents, _ = export(baseline or make_admission_baseline(), *settings, enforce=enforce)
    return documents[0]["spec"]


def messages(baseline, *settings):
    return [rule["message"] for rule in spec(baseline, *settings)["validations"]]


def has_rule(word, baseline, *settings):
    return any(word in message for message in messages(baseline, *settings))


def said(word, baseline, *settings):
    """Return the severities of the findings that hold *word*."""
    return [f.severity for f in export(baseline, *settings)[1] if word in f.message]


# --- modes -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "enforce", "actions"),
    [
        ([], False, ["Audit"]),
        (["mode=audit"], False, ["Audit"]),
        (["mode=warn"], False, ["Warn", "Audit"]),
        (["mode=deny"], False, ["Deny", "Audit"]),
        ([], True, ["Deny", "Audit"]),
        (["mode=deny"], True, ["Deny", "Audit"]),
    ],
)
def test_a_policy_audits_until_it_is_told_more(settings, enforce, actions):
    documents, _ = export(make_admission_baseline(), *settings, enforce=enforce)
    assert documents[1]["spec"]["validationActions"] == actions
    assert documents[0]["spec"]["failurePolicy"] == "Fail"
    assert problems(documents) == []


@pytest.mark.parametrize("mode", ["audit", "warn"])
def test_enforcing_and_only_looking_contradict_each_other(mode):
    with pytest.raises(UsageError, match="denies"):
        export(make_admission_baseline(), f"mode={mode}", enforce=True)


@pytest.mark.parametrize(
    "setting",
    ["mode=block", "bind-digest=yes", "seccomp=yes", "privileged=A_B", "runtime=x", "tolerance=1"],
)
def test_a_value_that_means_nothing_is_refused(setting):
    options = parse_options(ADMISSION, [setting])
    with pytest.raises(UsageError):
        ADMISSION.check(options)
    with pytest.raises(UsageError):
        list(ADMISSION.export(make_admission_baseline(), options))


def test_a_profile_that_no_container_starts_under_is_not_taken_for_none():
    with pytest.raises(ExportError, match="flags"):
        export(make_admission_baseline(), "log-denied=yes", "runtime=runc=1.1.5")


# --- what is matched -------------------------------------------------------------------------


def test_it_meets_pods_and_what_is_added_to_running_ones():
    rules = spec()["matchConstraints"]["resourceRules"]
    assert [(rule["resources"], rule["operations"]) for rule in rules] == [
        (["pods"], ["CREATE", "UPDATE"]),
        (["pods/ephemeralcontainers"], ["UPDATE"]),
    ]


def test_the_namespace_is_the_bindings():
    documents, _ = export(make_admission_baseline())
    assert documents[1]["spec"]["matchResources"] == {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "shop-staging"}}
    }


def test_a_selector_is_never_empty():
    baseline = make_admission_baseline(subject={"selector": {"pod-template-hash": "5d4f"}})
    assert "objectSelector" not in spec(baseline)["matchConstraints"]
    assert spec(baseline)["matchConditions"]
    assert said("by their owner", baseline) == ["info"]
    assert "matchConditions" not in spec()


def test_policies_of_two_namespaces_have_two_names():
    names = set()
    for namespace, name in (("a", "b-c"), ("a-b", "c"), ("a", "b.c"), ("a", "b")):
        baseline = make_admission_baseline(subject={"namespace": namespace, "name": name})
        policy, binding = export(baseline)[0]
        assert problems([policy, binding]) == []
        names.add(policy["metadata"]["name"])
    assert len(names) == 4


# --- no policy -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("subject", "severity"),
    [
        (
            {"namespace": None, "kind": "Unit", "name": "nginx.service", "container": None},
            "warning",
        ),
        ({"container": None}, "warning"),
        ({"container_kind": "none"}, "warning"),
        ({"container_kind": "ephemeral"}, "warning"),
        ({"namespace": "a'b"}, "loss"),
        ({"namespace": "A"}, "loss"),
        ({"name": "x\n- y"}, "loss"),
        ({"container": "c' || true || '"}, "loss"),
        ({"container": "sn\u00f6w"}, "loss"),
        ({"selector": {"app": "a' || true"}}, "loss"),
        ({"selector": {"a b": "c"}}, "loss"),
    ],
)
def test_without_a_pod_to_match_there_is_a_finding_and_no_policy(subject, severity):
    documents, findings = export(make_admission_baseline(subject=subject))
    assert documents == []
    (finding,) = findings
    assert finding.severity == severity
    assert finding.message.startswith("no policy: ")
    assert finding.message.isprintable()


# --- the learnt profile ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "enforce"),
    [
        ([], False),
        ([], True),
        (["runtime=runc=1.1.5", "no-new-privs=yes"], True),
        (["tolerance=yes", "eperm=ptrace"], True),
    ],
)
def test_the_profile_asked_for_is_the_one_that_is_exported(settings, enforce):
    baseline = make_admission_baseline()
    documents, _ = export(baseline, *settings, enforce=enforce)
    seccomp = seccomp_exporter()
    items = seccomp.export(baseline, parse_options(seccomp, settings, enforce=enforce))
    (written,) = (i for i in items if isinstance(i, Artifact) and i.target == "seccomp")
    assert profile_of(documents) == written.installs_as


def test_which_profile_is_asked_for_can_be_chosen():
    baseline = make_admission_baseline()
    log = profile_of(export(baseline)[0])
    deny = profile_of(export(baseline, enforce=True)[0])
    assert log != deny
    assert profile_of(export(baseline, "seccomp=enforce")[0]) == deny
    assert profile_of(export(baseline, "seccomp=log", enforce=True)[0]) == log
    assert not has_rule("seccomp", baseline, "seccomp=none")
    assert not said("seccomp", baseline, "seccomp=none")


def test_the_profile_of_staging_is_asked_for_in_production():
    there = make_admission_baseline(subject={"namespace": "shop"})
    assert profile_of(export(there)[0]) == profile_of(export(make_admission_baseline())[0])


def test_without_a_profile_there_is_no_rule():
    baseline = make_admission_baseline(calls=())
    assert not has_rule("seccomp", baseline)
    assert said("no seccomp profile is asked for", baseline) == ["warning"]


def test_either_profile_will_do_where_two_machines_were_seen():
    baseline = make_admission_baseline(calls=("openat",))
    other = make_admission_baseline(calls=("openat",)).rules.syscalls[0]
    arm = other.model_copy(
        update={
            "id": "syscalls-000000000000",
            "value": other.value.model_copy(update={"arch": "aarch64", "nr": 56}),
        }
    )
    rules = baseline.rules.model_copy(update={"syscalls": (other, arm)})
    baseline = baseline.model_copy(update={"rules": rules})
    assert len(profile_of(export(baseline)[0]).split(" or ")) == 2


# --- capabilities ----------------------------------------------------------------------------


def test_capabilities_of_the_runtime_alone_are_left_out_and_named():
    baseline = make_admission_baseline(
        "CAP_CHOWN",
        capability_rule("CAP_SYS_ADMIN", "runtime"),
        capability_rule("CAP_KILL", "runtime", "steady"),
    )
    assert has_rule("no capability but CHOWN, KILL:", baseline)
    assert said("CAP_SYS_ADMIN", baseline) == ["info"]


def test_quarantined_capabilities_are_not_allowed_and_named():
    baseline = make_admission_baseline("CAP_CHOWN", quarantined=["CAP_SYS_PTRACE"])
    assert has_rule("no capability but CHOWN:", baseline)
    assert said("CAP_SYS_PTRACE", baseline) == ["info"]


# --- privileged ------------------------------------------------------------------------------

ANY = "no container is privileged"


@pytest.mark.parametrize(
    "files",
    [{"/dev/sda": "r"}, {"/dev/net/tun": "rw"}, {"/proc/sys/net/core/somaxconn": "w"}],
)
def test_who_used_what_only_a_privileged_container_has_may_be_one(files):
    for bounding, severities in ((EVERY_CAPABILITY, ["warning"]), (None, ["warning"])):
        baseline = make_admission_baseline(files=files, bounding=bounding)
        assert not has_rule(ANY, baseline)
        assert has_rule("no container but `nginx` is privileged", baseline)
        assert not has_rule("seccomp", baseline)
        assert not has_rule("allowPrivilegeEscalation", baseline)
        assert said(next(iter(files)), baseline) == severities
    ordinary = make_admission_baseline(files=files)
    assert has_rule(ANY, ordinary)


@pytest.mark.parametrize(
    "files",
    [
        {"/dev/null": "rw", "/dev/pts/0": "rw", "/dev/shm/x": "rw", "/dev/termination-log": "w"},
        {"/proc/sys/kernel/hostname": "r", "/sys/class/net": "r", "/dev/sda": ""},
    ],
)
def test_who_did_not_is_told_that_the_pod_must_change(files):
    baseline = make_admission_baseline(files=files, bounding=EVERY_CAPABILITY)
    assert has_rule(ANY, baseline)
    assert said("ran with every capability", baseline) == ["warning"]


def test_others_can_be_let_be_privileged():
    baseline = make_admission_baseline()
    assert has_rule("but `agent`, `init` is privileged", baseline, "privileged=init,agent")
    own = "privileged=nginx"
    assert has_rule("but `nginx` is privileged", baseline, own)
    assert not has_rule("seccomp", baseline, own)


# --- privileges gained -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gained", "had", "setting", "is_asked"),
    [
        (False, False, "both", True),
        (None, True, "both", True),
        (None, False, "both", False),
        (None, None, "both", False),
        (True, True, "both", False),
        (True, False, "yes", False),
        (None, None, "yes", True),
        (False, False, "no", False),
    ],
)
def test_gaining_privileges_is_refused_only_where_none_were_gained(gained, had, setting, is_asked):
    baseline = make_admission_baseline(privileges_gained=gained, no_new_privs=had)
    setting = f"no-new-privs={setting}"
    assert has_rule("allowPrivilegeEscalation: false", baseline, setting) is is_asked
    assert bool(said("`allowPrivilegeEscalation: false` is not", baseline, setting)) is not is_asked


# --- the host's namespaces, images, the baseline's state -----------------------------------


def test_the_hosts_namespaces_that_were_used_are_said():
    baseline = make_admission_baseline(host_namespaces=("net", "time", "user"))
    assert not has_rule("hostNetwork", baseline)
    assert has_rule("hostPID", baseline)
    assert said("`hostNetwork` is not refused", baseline) == ["info"]
    baseline = make_admission_baseline(host_namespaces=("pid", "net", "time", "user"))
    assert said("net and pid namespaces: `hostNetwork` and `hostPID` are", baseline) == ["info"]


def test_a_baseline_that_does_not_know_its_namespaces_says_so():
    baseline = make_admission_baseline(host_namespaces=(), bounding=None)
    assert has_rule("hostNetwork", baseline)
    assert said("which of the host's namespaces", baseline) == ["warning"]


def test_tags_cannot_be_resolved_and_it_is_said():
    assert said("by a tag", make_admission_baseline()) == ["info"]
    assert said("by its tag", make_admission_baseline(), "bind-digest=true") == ["info"]


@pytest.mark.parametrize("digests", [(), ("latest",), ("sha256:x' || true",)])
def test_without_a_digest_nothing_is_bound(digests):
    baseline = make_admission_baseline(image_digests=digests)
    assert said("no digest", baseline) == ["info"]
    assert said("no digest", baseline, "bind-digest=true") == ["loss"]
    assert not has_rule("digest", baseline, "bind-digest=true")
    assert "||" not in json.dumps(export(baseline)[0][0]["spec"]["variables"][5:])


def test_the_subjects_digest_counts_where_no_other_was_seen():
    baseline = make_admission_baseline(image_digests=(), subject={"image_digest": DIGEST})
    assert has_rule("digest", baseline, "bind-digest=true")


@pytest.mark.parametrize(
    ("state", "severity"), [("lossy", "warning"), ("enforced", "warning"), ("partial", "info")]
)
def test_a_baseline_that_is_not_complete_says_so(state, severity):
    word = {"lossy": "lost events", "enforced": "enforcement", "partial": "partial"}[state]
    assert said(word, make_admission_baseline(state=state)) == [severity]
    assert not said(word, make_admission_baseline())


def test_a_start_that_nobody_saw_is_said():
    assert said("start was not recorded", make_admission_baseline(phases={"steady": 3}))
    assert not said("start was not recorded", make_admission_baseline(phases={"startup": 1}))
