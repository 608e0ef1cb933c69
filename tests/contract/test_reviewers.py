"""What every registered reviewer owes: it knows what its exporter writes, and relaxes it."""

import copy
from typing import Any

import pytest

from ethogram.contracts.baseline import load_baseline
from ethogram.contracts.policy_cilium import Identity
from ethogram.contracts.policy_cilium import allows as cilium_allows
from ethogram.contracts.policy_network import Endpoint, selects
from ethogram.contracts.policy_seccomp import ARCHITECTURES, allows
from ethogram.contracts.syscall_names import names_of
from exporters.protocol import Artifact
from exporters.registry import exporters, parse_options
from exporters.review.documents import dump, load
from exporters.review.protocol import Relaxing, Tellable
from exporters.review.registry import reviewer_of, reviewers
from exporters.seccomp_calls import MACHINES
from tests.admission import make_admission_baseline, make_pod
from tests.baselines import make_baseline, syscall_rule
from tests.ciliumpolicies import subject_of
from tests.contract.test_exporters import GOLDEN
from tests.peers import EVERY_PEER, make_network_baseline
from tests.vap import problems, review

pytestmark = pytest.mark.contract

BASELINES = {
    "peers": make_network_baseline(*EVERY_PEER),
    "capabilities": make_admission_baseline("CAP_CHOWN"),
    "two machines": make_baseline("open", syscall_rule("openat", arch="aarch64")),
    "unit": make_baseline(
        "read", subject={"namespace": None, "kind": "Unit", "name": "a.service", "container": None}
    ),
    "shop": load_baseline(GOLDEN / "seccomp" / "checkout.baseline.yaml"),
}
# Targets whose relaxed form is looked at in tests of their own: tests/unit/test_reviewers.py.
OWN_TESTS = frozenset({"kyverno", "gatekeeper", "systemd"})


def written() -> list[Any]:
    found = []
    for name, exporter in exporters().items():
        for title, baseline in BASELINES.items():
            items = exporter.export(baseline, parse_options(exporter, [], enforce=True))
            found += [
                pytest.param(item, id=f"{name}-{title}-{number}")
                for number, item in enumerate(items)
                if isinstance(item, Artifact) and "provenance" not in item.target
            ]
    return found


EVERY = pytest.mark.parametrize("artifact", written())


def relaxed(artifact: Artifact) -> list[dict[str, Any]]:
    documents = load(artifact.content, artifact.path)
    reviewer = reviewer_of(documents, target=artifact.target)
    assert isinstance(reviewer, Relaxing)
    before = copy.deepcopy(documents)
    found = reviewer.relax(documents, reason="INC-1")
    assert documents == before
    return found.documents


def test_every_exporter_has_a_reviewer() -> None:
    assert set(exporters()) <= set(reviewers())


@EVERY
def test_what_is_exported_is_known_by_its_reviewer_alone(artifact: Artifact) -> None:
    documents = load(artifact.content, artifact.path)
    known = [name for name, one in reviewers().items() if one.reads(documents)]
    assert known == [artifact.target.partition(".")[0]]


@EVERY
def test_relaxing_twice_is_relaxing_once_and_stays_a_file_of_its_kind(artifact: Artifact) -> None:
    documents = relaxed(artifact)
    content = dump(documents, artifact.path)
    assert load(content, artifact.path) == documents
    reviewer = reviewer_of(documents, target=artifact.target)
    assert isinstance(reviewer, Relaxing)
    assert reviewer.relax(documents, reason="INC-1").documents == documents


@EVERY
def test_what_is_exported_is_told_and_what_is_relaxed_lets_in_no_less(artifact: Artifact) -> None:
    documents = load(artifact.content, artifact.path)
    reviewer = reviewer_of(documents)
    assert isinstance(reviewer, Tellable)
    told, after = reviewer.tell(documents), reviewer.tell(relaxed(artifact))
    assert "denies" in told.mode or "audits" in told.mode
    if artifact.target != "systemd":  # what a drop-in does not list, it does not restrict
        assert {one for one in told.grants if not one.is_demand} <= set(after.grants)


@EVERY
def test_what_is_relaxed_refuses_nothing(artifact: Artifact) -> None:
    documents = relaxed(artifact)
    match artifact.target.partition(".")[0]:
        case "seccomp":
            machine = next(
                members
                for members in MACHINES.values()
                if ARCHITECTURES[members[0]] in documents[0]["architectures"]
            )
            assert all(
                allows(documents[0], arch, call) for arch in machine for call in names_of(arch)
            )
        case "networkpolicy":
            [policy] = documents
            labels = load(artifact.content, artifact.path)[0]["spec"]["podSelector"]["matchLabels"]
            namespace = policy["metadata"]["namespace"]
            for more in ({}, {"ethogram.dev/relaxed": "true"}):
                assert not selects(policy, Endpoint(namespace=namespace, labels=labels | more))
        case "cilium":
            pod, outside = subject_of(documents[0]), Identity(address="203.0.113.99")
            asked = {"protocol": "TCP", "port": 1}
            for way in ("in", "out"):
                assert cilium_allows(documents, pod, outside, direction=way, **asked)
                assert not cilium_allows(
                    load(artifact.content, artifact.path), pod, outside, direction=way, **asked
                )
        case "admission":
            assert not problems(documents)
            adds = {"name": "nginx", "securityContext": {"privileged": True}}
            before = review(load(artifact.content, artifact.path), make_pod(None, adds))
            after = review(documents, make_pod(None, adds))
            assert before.violations == after.violations
            assert after.is_admitted
        case "securitycontext":
            reviewer = reviewers()["securitycontext"]
            assert isinstance(reviewer, Tellable)
            assert not any(grant.is_demand for grant in reviewer.tell(documents).grants)
        case "cilium":
            for document in documents:
                assert document["spec"]["enableDefaultDeny"] == {"ingress": False, "egress": False}
        case "systemd":
            settings = [line for line in documents[0]["text"].splitlines() if line[:1] not in "#;["]
            assert all(line.startswith("SystemCallLog=") for line in settings if line)
        case other:
            assert other in OWN_TESTS
