"""The forms in which a seccomp profile is written, and what each of them cannot say."""

import json

import pytest
import yaml

from ethogram.contracts.policy_seccomp import read_profile
from ethogram.contracts.syscall_names import names_of
from ethogram.errors import UsageError
from exporters.protocol import Artifact, Finding
from exporters.registry import parse_options
from exporters.seccomp import exporter
from exporters.seccomp_choices import DIALECTS
from tests.baselines import make_baseline, syscall_rule
from tests.operators_profile import refused

pytestmark = pytest.mark.unit

SECCOMP = exporter()
CALLS = ("read", "socket", syscall_rule("mmap2", arch="i386"))
dialects = pytest.mark.parametrize("dialect", DIALECTS)
modes = pytest.mark.parametrize("enforce", [False, True], ids=["log", "enforce"])


def export(dialect, *settings, enforce=True, subject=None, calls=CALLS):
    """Return the artifact, its one document, and the findings."""
    pairs = [f"dialect={dialect}", *settings]
    options = parse_options(SECCOMP, pairs, enforce=enforce)
    items = list(SECCOMP.export(make_baseline(*calls, subject=subject), options))
    (artifact,) = [item for item in items if isinstance(item, Artifact)]
    read = yaml.safe_load if artifact.path.endswith("yaml") else json.loads
    return artifact, read(artifact.content), [item for item in items if isinstance(item, Finding)]


@dialects
@modes
@pytest.mark.parametrize("settings", [[], ["eperm=ptrace,mount", "tolerance=yes"]])
def test_every_dialect_allows_the_same(dialect, enforce, settings):
    ours = read_profile(export(dialect, *settings, enforce=enforce)[1])
    oci = read_profile(export("oci", *settings, enforce=enforce)[1])
    for arch in ("x86_64", "i386", "x32"):
        for name in sorted(names_of(arch)):
            assert ours.verdict(arch, name).is_permitted == oci.verdict(arch, name).is_permitted


def test_a_comment_says_why_to_docker_and_podman():
    _, document, findings = export("docker", "tolerance=yes", "eperm=ptrace", "runtime=runc@1.1.5")
    comments = {name: one["comment"] for one in document["syscalls"] for name in one["names"]}
    assert comments["read"] == "observed"
    assert "runtime" in comments["capset"]
    assert "not observed" in comments["socketcall" if "socketcall" in comments else "openat2"]
    assert comments["ptrace"] == "refused as asked for"
    assert any("containerd" in one.message for one in findings)


@pytest.mark.parametrize("dialect", ["spo", "spo-v1beta1"])
@modes
@pytest.mark.parametrize(
    "subject",
    [
        {},
        {"namespace": None, "kind": "Command", "container": None},
        {"namespace": "Bad Space", "name": "../`$(x)`\n\x1b[31m", "container": "{}"},
        {"name": "n" * 253, "container": "c" * 63},
    ],
    ids=["pod", "command", "hostile", "long"],
)
def test_the_operator_takes_the_object(dialect, enforce, subject):
    artifact, document, _ = export(dialect, "eperm=mount", enforce=enforce, subject=subject)
    assert refused(document) == []
    assert document["metadata"]["annotations"]["ethogram.dev/state"] == "complete"
    assert artifact.installs_as is None or len(artifact.installs_as.rpartition("/")[2]) <= 255


def test_v1_has_no_namespace_and_v1beta1_has_the_workload_s():
    artifact, document, _ = export("spo")
    assert "namespace" not in document["metadata"]
    assert artifact.installs_as == f"operator/{document['metadata']['name']}.json"
    artifact, document, _ = export("spo-v1beta1")
    assert document["metadata"]["namespace"] == "shop-staging"
    assert artifact.installs_as == f"operator/shop-staging/{document['metadata']['name']}.json"


def test_an_object_without_a_namespace_is_found_by_nobody():
    subject = {"namespace": None, "kind": "Command", "container": None}
    artifact, _, findings = export("spo-v1beta1", subject=subject)
    assert artifact.installs_as is None
    assert any("no namespace" in one.message for one in findings)


@pytest.mark.parametrize(("dialect", "errno"), [("oci", 38), ("docker", 38), ("spo", 38)])
def test_an_unknown_call_is_not_implemented(dialect, errno):
    profile = read_profile(export(dialect, "eperm=mount")[1])
    assert profile.verdict("x86_64", "bpf").errno == errno
    assert profile.verdict("x86_64", "mount").errno == 1


def test_v1beta1_refuses_everything_with_eperm_and_says_so():
    _, document, findings = export("spo-v1beta1")
    assert read_profile(document).verdict("x86_64", "bpf").errno == 1
    assert any("gets EPERM" in one.message and one.severity == "warning" for one in findings)
    assert not any("EPERM" in one.message for one in export("spo-v1beta1", enforce=False)[2])


def test_the_name_of_the_object_changes_with_what_it_allows():
    names = {
        export("spo", enforce=enforce, calls=calls)[1]["metadata"]["name"]
        for enforce in (False, True)
        for calls in (["read"], ["read", "bpf"])
    }
    assert len(names) == 4


def test_an_unknown_dialect_is_refused():
    with pytest.raises(UsageError, match="`dialect`"):
        export("podman")
