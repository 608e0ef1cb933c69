"""What a policy says of what it was made from, in full and in short."""

from dataclasses import replace

import pytest
from pydantic import ValidationError

from ethogram.contracts.artifacts import Artifact, Reason
from ethogram.contracts.baseline import Choices, Coverage, Input, Observation, OverlayInput
from ethogram.contracts.provenance import ProvenanceFile, provenance_path
from ethogram.contracts.quality import needed_allowances
from ethogram.errors import ExportError
from exporters.protocol import Options
from exporters.provenance import (
    facts_about,
    provenance_artifact,
    provenance_of,
)
from tests.baselines import as_overlaid, make_baseline, syscall_rule

pytestmark = pytest.mark.unit

DIGEST = "5" * 64


def watched(baseline, **fields):
    seen = baseline.observation.model_dump() | fields
    return baseline.model_copy(update={"observation": Observation.model_validate(seen)})


def learnt_from(baseline, *ids):
    inputs = tuple(Input(recording_id=name, sha256=DIGEST) for name in ids)
    return baseline.model_copy(update={"inputs": inputs})


def policy(*reasons):
    return Artifact("shop/Deployment-a/b.seccomp.json", "seccomp", "key", b"{}\n", reasons=reasons)


def test_the_file_stands_beside_its_policy():
    assert provenance_path("shop/Deployment-a/b.c.seccomp.json") == (
        "shop/Deployment-a/b.c.seccomp.provenance.json"
    )
    assert provenance_path("_/Unit-x/pod.systemd.conf") == "_/Unit-x/pod.systemd.provenance.json"


def test_it_tells_the_rules_that_its_reasons_name_and_no_others():
    rule = syscall_rule("read")
    baseline = make_baseline(rule, "write")
    beside = provenance_artifact(
        policy(Reason("read", "observed", (rule.id,))), baseline, provenance_of(baseline, DIGEST)
    )
    assert (beside.target, beside.workload_key) == ("seccomp.provenance", "key")
    told = ProvenanceFile.model_validate_json(beside.content)
    assert told.path == "shop/Deployment-a/b.seccomp.json"
    assert told.made_from.baseline_sha256 == DIGEST
    assert [(one.id, one.value, one.evidence) for one in told.rules] == [
        (rule.id, rule.value, rule.evidence)
    ]


def test_a_policy_without_reasons_has_no_file_beside_it():
    baseline = make_baseline("read")
    assert provenance_artifact(policy(), baseline, provenance_of(baseline)) is None


def test_a_reason_that_names_an_unknown_rule_is_refused():
    baseline = make_baseline("read")
    reason = Reason("read", "observed", ("syscalls-000000000000",))
    with pytest.raises(ExportError, match="syscalls-000000000000"):
        provenance_artifact(policy(reason), baseline, provenance_of(baseline))


def test_a_later_version_may_say_more_and_values_are_checked():
    baseline = make_baseline("read")
    beside = provenance_artifact(
        policy(Reason("x", "always", source="y")), baseline, provenance_of(baseline)
    )
    text = beside.content.decode()
    more = text.replace('"target"', '"new": 1, "target"')
    assert ProvenanceFile.model_validate_json(more).target == "seccomp"
    with pytest.raises(ValidationError):
        ProvenanceFile.model_validate_json(text.replace('"always"', '"because"'))


def test_facts_name_baseline_recordings_losses_and_coverage():
    baseline = learnt_from(make_baseline("read", settled=0.98765), "b", "a")
    baseline = watched(baseline, losses={"ring_full": 7, "slots_full": 0}, state="lossy")
    coverage = {"syscalls": Coverage(f1=1, f2=0, windows=5, unseen=0.25, low=0.0, high=1.5)}
    baseline = baseline.model_copy(update={"coverage": coverage})
    options = Options(provenance=provenance_of(baseline, DIGEST))
    assert facts_about(baseline, options) == {
        "workload": "_/shop-staging/Deployment/checkout/nginx/main",
        "baseline": f"sha256:{DIGEST}",
        "recordings": "2: a, b",
        "state": "lossy",
        "observed": "2 instances, 5 windows",
        "losses": "ring_full 7",
        "settled": "0.9877",
        "unseen": "syscalls 0.25 (0 to 1.5)",
    }


def test_facts_name_the_map_that_carried_the_baseline():
    baseline = make_baseline("read")
    carried_by = OverlayInput(name="production.yaml", sha256=DIGEST)
    options = Options(provenance=provenance_of(baseline, map_input=carried_by))
    assert facts_about(baseline, options)["map"] == f"production.yaml sha256:{DIGEST}"


def test_facts_say_what_was_allowed_and_decided():
    baseline = watched(
        as_overlaid(make_baseline("read")),
        reasons=["short"],
        allowed=["thin"],
        steady_seconds=12.0,
    )
    overlay = OverlayInput(name="reviewed.yaml", sha256=DIGEST)
    chosen = Choices(without=("syscalls:ptrace",), min_replicas=2, overlays=(overlay,))
    facts = facts_about(baseline.model_copy(update={"choices": chosen}), Options())
    assert facts["allowed"].startswith("thin (steady for 12 s of at least 300 s")
    assert facts["choices"] == (
        "without syscalls:ptrace; at least 2 replicas;"
        f" overlays reviewed.yaml sha256:{DIGEST}; 1 rule by overlay"
    )


def test_facts_are_short_lines_however_long_and_hostile_the_names():
    hostile = "\u202e\n\x1b[31m" * 3000
    baseline = make_baseline("read", subject={"name": hostile})
    baseline = learnt_from(baseline, *(f"{number:03}{hostile}" for number in range(300)))
    baseline = watched(
        baseline,
        losses={f"{number}{hostile}": 1 for number in range(300)},
        reasons=["refused"],
        refused=[hostile],
        allowed=["enforced"],
    )
    facts = facts_about(baseline, Options(provenance=provenance_of(baseline, DIGEST)))
    assert {"workload", "recordings", "losses", "allowed"} <= set(facts)
    assert all(text.isprintable() and len(text) <= 1024 for text in facts.values())


@pytest.mark.parametrize(
    ("fields", "needed"),
    [
        ({"reasons": []}, ()),
        ({"reasons": ["filter"], "state": "enforced"}, ()),
        ({"reasons": ["short"]}, ("thin",)),
        ({"reasons": ["no-steady", "lost"], "state": "lossy"}, ("lossy", "thin")),
        ({"reasons": ["refused"], "state": "enforced"}, ("enforced",)),
        ({"state": "lossy"}, ("lossy",)),
        ({"state": "partial"}, ()),
    ],
)
def test_what_a_baseline_needs_to_be_allowed(fields, needed):
    assert needed_allowances(watched(make_baseline("read"), **fields).observation) == needed


def test_what_export_was_told_stands_in_order():
    made = provenance_of(make_baseline("read"), allowed=["thin", "lossy", "thin"])
    assert made.allowed == ("lossy", "thin")
    assert replace(Options(), provenance=made).provenance == made
