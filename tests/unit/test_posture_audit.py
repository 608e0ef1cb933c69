"""An audit: once for each owner, exemptions, patches that kubectl takes, what was used."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from ethogram.contracts.baseline import Baseline, FileValue, PeerValue, Rule, Rules, rule_id
from ethogram.contracts.strict_yaml import dump_yaml
from ethogram.errors import UsageError
from ethogram.posture.audit import audit
from ethogram.posture.exemptions import Exemption, parse_exemptions
from ethogram.posture.findings import PostureFinding, Report
from ethogram.posture.objects import KubeObject, Source, World, objects_in
from ethogram.posture.patches import combined
from ethogram.posture.standards import CHECKS
from exporters.posture_evidence import UsedBy
from tests.admission import DIGEST, EVERY_CAPABILITY, make_admission_baseline
from tests.posture import CASES, make_pod

pytestmark = pytest.mark.unit

KUBECTL = Path(sys.executable).parent / "kubectl"
NOW = datetime(2026, 11, 23, tzinfo=UTC)
DAYS = {"wall_seconds": 9 * 86_400.0, "instances": 3}


def objects(*documents: Mapping[str, Any]) -> tuple[KubeObject, ...]:
    return tuple(
        one for number, document in enumerate(documents)
        for one in objects_in(document, Source("a.yaml", number))
    )  # fmt: skip


def audited(*documents: Mapping[str, Any], level: str = "restricted", **options: Any) -> Report:
    world = World(objects(*documents))
    return audit(world, level=level, version=(1, 37), now=NOW, **options)  # type: ignore[arg-type]


def deployment(change: Mapping[str, Any] | None = None, **metadata: Any) -> dict[str, Any]:
    """Return Deployment `shop-staging/checkout` with one container `nginx`."""
    pod = make_pod({"automountServiceAccountToken": False, "initContainers": None,
                    "ephemeralContainers": None, **(change or {})})  # fmt: skip
    pod["spec"]["containers"][0]["name"] = "nginx"
    labels = {"app": "checkout"}
    template = {"metadata": {"labels": labels}, "spec": pod["spec"]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "checkout", "namespace": "shop-staging"} | metadata,
        "spec": {"selector": {"matchLabels": labels}, "template": template},
    }


def owned(kind: str, name: str, owner: Mapping[str, str], node: str = "") -> dict[str, Any]:
    """Return a ReplicaSet or Pod of the template of `deployment`, owned by *owner*."""
    made = deployment({"context": {"privileged": True}})
    reference = {"apiVersion": "apps/v1", "controller": True, "uid": "u", **owner}
    metadata = {"name": name, "namespace": "shop-staging", "ownerReferences": [reference],
                "labels": {"pod-template-hash": "5d4f"}}  # fmt: skip
    if kind == "Pod":
        spec = made["spec"]["template"]["spec"] | {"nodeName": node}
        return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
    return made | {"kind": kind, "metadata": metadata}


def one_of(report: Report, check: str, detail: str = "") -> PostureFinding:
    [found] = [one for one in report.findings if one.check == check and one.detail == detail]
    return found


SET = {"kind": "ReplicaSet", "name": "checkout-5d4f"}
REPLICAS = [
    owned("ReplicaSet", "checkout-5d4f", {"kind": "Deployment", "name": "checkout"}),
    *(owned("Pod", f"checkout-5d4f-{n}", SET, f"node-{n % 2}") for n in range(3)),
]


def test_what_is_good_has_nothing_to_be_said_of() -> None:
    report = audited(deployment())
    assert (report.findings, report.objects, report.workloads) == ((), 1, 1)


def test_pods_are_told_of_once_under_their_owner() -> None:
    report = audited(*REPLICAS, deployment({"context": {"privileged": True}}))
    [found] = report.findings
    assert (found.check, str(found.owner)) == ("privileged", "shop-staging/Deployment/checkout")
    assert (found.found_in.kind, found.pods, found.nodes) == ("Deployment", 3, 2)
    assert report.workloads == 1


def running(name: str, made: str, image: str) -> dict[str, Any]:
    pod = owned("Pod", name, SET, "node-1")
    pod["metadata"]["creationTimestamp"] = made
    container = pod["spec"]["containers"][0]["name"]
    status = {"name": container, "imageID": f"docker.io/library/nginx@{image}"}
    return pod | {"status": {"containerStatuses": [status, {"name": "other", "imageID": image}]}}


OTHER_DIGEST = "sha256:" + "0" * 64


def test_a_live_cluster_tells_since_when_and_of_which_images() -> None:
    pods = [
        running("a", "2026-11-03T10:00:00Z", DIGEST),
        running("b", "2026-11-01T10:00:00Z", OTHER_DIGEST),
        running("c", "soon", "nginx"),
    ]
    world = World(objects(*pods, deployment({"context": {"privileged": True}})), is_live=True)
    [found] = audit(world, level="restricted", version=(1, 37), now=NOW).findings
    assert (found.first_seen, found.last_seen) == (datetime(2026, 11, 1, 10, tzinfo=UTC), NOW)
    assert set(found.image_digests) == {DIGEST, OTHER_DIGEST}
    [filed] = audited(deployment({"context": {"privileged": True}})).findings
    assert (filed.first_seen, filed.last_seen, filed.image_digests) == (None, None, ())


def test_evidence_of_another_image_than_the_one_that_runs_says_so() -> None:
    baseline = make_admission_baseline("CAP_CHOWN", bounding=EVERY_CAPABILITY, **DAYS,
                                       image_digests=(DIGEST,))  # fmt: skip
    words = {}
    for image in (DIGEST, OTHER_DIGEST):
        world = World(objects(running("a", "2026-11-01T10:00:00Z", image)), is_live=True)
        report = audit(world, level="restricted", version=(1, 37), now=NOW,
                       judge=UsedBy((baseline,)))  # fmt: skip
        [found] = report.findings
        assert found.evidence is not None
        words[image] = found.evidence.words
    assert "another image" in words[OTHER_DIGEST]
    assert "another image" not in words[DIGEST]


@pytest.mark.parametrize("documents", [REPLICAS, REPLICAS[1:]])
def test_an_owner_that_was_not_read_is_known_by_its_name(documents: list[Any]) -> None:
    [found] = audited(*documents).findings
    assert (found.owner.kind, found.owner.name) == ("Deployment", "checkout")
    assert found.patch is None  # it is not known where that is written


def test_what_only_a_pod_has_is_told_of_the_pod() -> None:
    pod = owned("Pod", "checkout-5d4f-0", SET, "node-0")
    debugger = {"name": "debugger", "image": "busybox", "securityContext": {"privileged": True}}
    pod["spec"]["ephemeralContainers"] = [debugger]
    report = audited(pod, deployment(), level="baseline")
    found = {one.container: one for one in report.findings}
    assert (found["debugger"].container_kind, found["debugger"].patch) == ("ephemeral", None)
    assert (found["debugger"].found_in.kind, found["debugger"].pods) == ("Pod", 1)
    assert found["debugger"].owner.kind == "Deployment"


def test_a_job_of_a_cron_job_that_was_not_read_is_the_cron_jobs() -> None:
    pod = owned("Pod", "backup-29381040-x", {"kind": "Job", "name": "backup-29381040"})
    assert World(objects(pod)).owner_of(objects(pod)[0]).kind == "CronJob"


def test_owners_in_a_circle_end() -> None:
    one = owned("ReplicaSet", "a", {"kind": "ReplicaSet", "name": "b"})
    other = owned("ReplicaSet", "b", {"kind": "ReplicaSet", "name": "a"})
    assert audited(one, other).findings


def test_a_finding_stays_the_same_where_a_container_moves() -> None:
    first = deployment({"context": {"privileged": True}})
    second = deployment({"context": {"privileged": True}})
    second["spec"]["template"]["spec"]["containers"].insert(
        0, make_pod()["spec"]["containers"][0] | {"name": "proxy"}
    )
    [one] = audited(first).findings
    [other] = audited(second).findings
    assert one.field != other.field
    assert one.fingerprint == other.fingerprint


def test_a_finding_says_how_its_pods_are_reached() -> None:
    service = {"apiVersion": "v1", "kind": "Service",
               "metadata": {"name": "web", "namespace": "shop-staging"},
               "spec": {"selector": {"app": "checkout"}, "type": "NodePort"}}  # fmt: skip
    port = {"container": {"ports": [{"containerPort": 80, "hostPort": 8080}]}}
    found = one_of(audited(deployment(port), service), "hostPorts")
    assert found.exposure.host_ports == (8080,)
    assert found.exposure.services == ("web (NodePort)",)


# --- Exemptions ----------------------------------------------------------------------------------

EXEMPTIONS = """\
schema: ethogram.exemptions/1
exemptions:
  - match: {kind: Deployment, name: check*, namespace: shop-staging}
    check: privileged
    owner: alice
    reason: SEC-12
    expires: "2026-11-23"
"""


def test_an_exempted_finding_is_told_and_does_not_count() -> None:
    exemptions = parse_exemptions(EXEMPTIONS, source="e.yaml")
    report = audited(deployment({"context": {"privileged": True}}), exemptions=exemptions,
                     source="e.yaml")  # fmt: skip
    [found] = report.findings
    assert found.exemption is not None
    assert (found.exemption.owner, found.exemption.source) == ("alice", "e.yaml")
    assert report.open == ()


def test_an_exemption_that_ended_is_said_to_have() -> None:
    exemptions = parse_exemptions(EXEMPTIONS.replace("11-23", "11-22"), source="e.yaml")
    [found] = audited(deployment({"context": {"privileged": True}}), exemptions=exemptions).open
    assert found.exemption is None
    assert found.expired is not None
    assert found.expired.expires == "2026-11-22"


def test_an_annotation_exempts_unless_it_is_not_heeded() -> None:
    annotation = {"exempt.ethogram.dev/privileged": "alice, 2027-01-31: needs the device"}
    made = deployment({"context": {"privileged": True}}, annotations=annotation)
    [found] = audited(made).findings
    assert found.exemption is not None
    assert found.exemption.reason == "needs the device"
    assert len(audited(made, heed_annotations=False).open) == 1


@pytest.mark.parametrize(
    ("old", "new", "cause"),
    [
        ("exemptions/1", "exemptions/2", "this version reads `ethogram.exemptions/1`"),
        ("owner: alice\n    ", "", "`exemptions.0.owner`: field required"),
        ('"2026-11-23"', '"soon"', "a day is written like"),
        ("check: privileged", "check: privileged\n    why: x", "`exemptions.0.why`: there is no"),
        ("reason: SEC-12", "reason: &a SEC-12", "anchors and aliases are not read"),
    ],
)
def test_what_is_no_file_of_exemptions_is_refused(old: str, new: str, cause: str) -> None:
    with pytest.raises(UsageError, match=cause):
        parse_exemptions(EXEMPTIONS.replace(old, new), source="e.yaml")


def test_an_exemption_of_everything_is_refused() -> None:
    with pytest.raises(ValueError, match="neither a rule nor a workload"):
        Exemption(check="*", owner="a", reason="b", expires=NOW.date())


# --- Patches -------------------------------------------------------------------------------------


def patched(document: Mapping[str, Any], patch: Mapping[str, Any], directory: Path) -> Any:
    """Return *document* as kubectl patches it, no server needed."""
    manifest, file = directory / "manifest.yaml", directory / "patch.yaml"
    manifest.write_text(yaml.safe_dump(dict(document)), encoding="utf-8")
    file.write_text(dump_yaml(patch), encoding="utf-8")
    done = subprocess.run(
        [KUBECTL, "patch", "--local", "-f", manifest, "--type", "strategic",
         "--patch-file", file, "-o", "yaml"],
        check=True, capture_output=True, text=True, env={"HOME": str(directory)},
    )  # fmt: skip
    return yaml.safe_load(done.stdout)


# What a person has to decide: another kind of volume.
_NO_PATCH = {"restrictedVolumes"}


@pytest.mark.parametrize("check", sorted(CHECKS.keys() - _NO_PATCH))
def test_a_patch_settles_what_was_found(check: str, tmp_path: Path) -> None:
    changes = [
        one.change for one in CASES
        if one.check == check and not one.is_allowed and one.until == "1.37"
    ]  # fmt: skip
    for change in changes:
        made = deployment({**change, "metadata": {}})
        annotations = change.get("metadata", {}).get("annotations", {})
        made["spec"]["template"]["metadata"]["annotations"] = annotations
        found = [one for one in audited(made).findings if one.check == check]
        patches = [one.patch for one in found]
        assert None not in patches
        after = patched(made, combined(one for one in patches if one), tmp_path)
        assert check not in {one.check for one in audited(after).findings}
    kubernetes_validate.validate(after, "1.37", strict=True)


def test_patches_of_one_owner_are_one_patch(tmp_path: Path) -> None:
    made = deployment({
        "hostPID": True,
        "context": {"privileged": True, "capabilities": {"add": ["SYS_ADMIN", "NET_RAW", "CHOWN"]},
                    "allowPrivilegeEscalation": None},
        "volumes": [{"name": "a", "hostPath": {"path": "/etc"}},
                    {"name": "b", "emptyDir": {}}],
        "container": {"volumeMounts": [{"name": "a", "mountPath": "/host"},
                                       {"name": "b", "mountPath": "/tmp"}]},
        "securityContext": {"sysctls": [{"name": "kernel.msgmax", "value": "1"},
                                        {"name": "kernel.shm_rmid_forced", "value": "1"}]},
    })  # fmt: skip
    found = audited(made).findings
    after = patched(made, combined(one.patch for one in found if one.patch), tmp_path)
    spec = after["spec"]["template"]["spec"]
    assert spec["containers"][0]["volumeMounts"] == [{"name": "b", "mountPath": "/tmp"}]
    assert spec["volumes"] == [{"name": "b", "emptyDir": {}}]
    assert [one["name"] for one in spec["securityContext"]["sysctls"]] == ["kernel.shm_rmid_forced"]
    # An API server refuses that beside `privileged`: the next audit has a patch for it.
    [left] = audited(after).findings
    assert left.check == "allowPrivilegeEscalation"
    assert audited(patched(after, left.patch or {}, tmp_path)).findings == ()


def test_a_namespace_is_labelled_with_what_its_pods_meet() -> None:
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop-staging"}}

    def labels(*documents: Mapping[str, Any]) -> Any:
        found = one_of(audited(namespace, *documents), "namespace-without-enforcement")
        return found.patch and found.patch["metadata"]["labels"]

    label = "pod-security.kubernetes.io/enforce"
    assert labels(deployment()) == {label: "restricted", f"{label}-version": "v1.37"}
    assert labels(deployment({"context": {"runAsNonRoot": None}}))[label] == "baseline"
    assert labels(deployment({"hostPID": True})) is None


# --- What was used -------------------------------------------------------------------------------


def with_rules(baseline: Baseline, **rules: Any) -> Baseline:
    kept = {name: getattr(baseline.rules, name) for name in type(baseline.rules).model_fields}
    return baseline.model_copy(update={"rules": Rules(**{**kept, **rules})})


def learnt(*capabilities: str, **fields: Any) -> Baseline:
    return make_admission_baseline(*capabilities, **(DAYS | fields))


def evidence(made: Mapping[str, Any], check: str, *baselines: Baseline, detail: str = "") -> Any:
    return one_of(audited(made, judge=UsedBy(baselines)), check, detail)


PRIVILEGED = deployment({"context": {"privileged": True}})


def test_privileged_and_unused_is_dropped_but_for_what_was_used(tmp_path: Path) -> None:
    baseline = learnt("CAP_NET_BIND_SERVICE", bounding=EVERY_CAPABILITY)
    found = evidence(PRIVILEGED, "privileged", baseline)
    assert found.evidence.verdict == "unused"
    assert found.evidence.words == (
        "privileged, yet in 9 days and 3 replicas it used only NET_BIND_SERVICE: drop the rest"
    )
    assert found.evidence.rules == tuple(one.id for one in baseline.rules.capabilities)
    after = patched(PRIVILEGED, found.patch, tmp_path)
    context = after["spec"]["template"]["spec"]["containers"][0]["securityContext"]
    assert context["capabilities"] == {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}
    assert (context["privileged"], context["allowPrivilegeEscalation"]) == (False, False)


def test_privileged_and_used_gets_no_patch() -> None:
    baseline = learnt(files={"/dev/sda": "r"}, bounding=EVERY_CAPABILITY)
    found = evidence(PRIVILEGED, "privileged", baseline)
    assert (found.evidence.verdict, found.patch) == ("used", None)
    assert "/dev/sda" in found.evidence.words


def test_what_nobody_looked_at_is_not_unused() -> None:
    found = evidence(PRIVILEGED, "privileged", learnt(not_observed=("capabilities",)))
    assert found.evidence.verdict == "unknown"


def test_a_baseline_of_another_workload_says_nothing() -> None:
    for subject in ({"name": "cart"}, {"kind": "DaemonSet"}, {"container": "proxy"}):
        assert evidence(PRIVILEGED, "privileged", learnt(subject=subject)).evidence is None


def test_evidence_says_what_it_is_worth() -> None:
    baseline = learnt(state="partial")
    assert (
        "(what was recorded is partial)"
        in evidence(PRIVILEGED, "privileged", baseline).evidence.words
    )
    other = deployment({"context": {"privileged": True},
                        "container": {"image": f"r/a@sha256:{'0' * 64}"}})  # fmt: skip
    assert "(recorded of another image)" in evidence(other, "privileged", learnt()).evidence.words
    same = deployment({"context": {"privileged": True}, "container": {"image": f"r/a@{DIGEST}"}})
    assert "another image" not in evidence(same, "privileged", learnt()).evidence.words


def test_capabilities_are_judged_one_by_one() -> None:
    made = deployment({"context": {"capabilities": {"add": ["SYS_ADMIN", "NET_ADMIN"]}}})
    baseline = learnt("CAP_NET_ADMIN")
    used = evidence(made, "capabilities_baseline", baseline, detail="NET_ADMIN")
    assert (used.evidence.verdict, used.patch) == ("used", None)
    unused = evidence(made, "capabilities_baseline", baseline, detail="SYS_ADMIN")
    assert unused.evidence.verdict == "unused"
    context = unused.patch["spec"]["template"]["spec"]["containers"][0]["securityContext"]
    assert context == {"capabilities": {"drop": ["ALL"], "add": ["NET_ADMIN"]}}


@pytest.mark.parametrize(
    ("fields", "verdict"),
    [
        ({"runs_as": (1000,)}, "unused"),
        ({"runs_as": (0, 1000)}, "used"),
        ({"runs_as": None}, "unknown"),
    ],
)
def test_whether_it_has_to_run_as_root_is_known_by_its_users(
    fields: dict[str, Any], verdict: str
) -> None:
    made = deployment({"context": {"runAsNonRoot": None}})
    found = evidence(made, "runAsNonRoot", learnt(**fields))
    assert found.evidence.verdict == verdict
    assert (found.patch is None) == (verdict == "used")


@pytest.mark.parametrize(("gained", "verdict"), [(False, "unused"), (True, "used")])
def test_whether_privileges_are_raised_is_known_by_execs(gained: bool, verdict: str) -> None:
    made = deployment({"context": {"allowPrivilegeEscalation": None}})
    found = evidence(made, "allowPrivilegeEscalation", learnt(privileges_gained=gained))
    assert found.evidence.verdict == verdict


def mounted(path: str, place: str) -> dict[str, Any]:
    return deployment({
        "volumes": [{"name": "data", "hostPath": {"path": path}}],
        "container": {"volumeMounts": [{"name": "data", "mountPath": place}]},
    })  # fmt: skip


@pytest.mark.parametrize(
    ("files", "verdict"),
    [
        ({}, "unused"),
        ({"/hosts/x": "rw"}, "unused"),
        ({"/host/a": "r"}, "partly"),
        ({"/host/a/*": "r", "/host/b": "rw"}, "used"),
        ({"/*/b": "r"}, "partly"),
    ],
)
def test_a_path_of_the_host_is_judged_by_the_files_below_its_mount(
    files: dict[str, str], verdict: str, tmp_path: Path
) -> None:
    made = mounted("/srv", "/host")
    found = evidence(made, "hostPathVolumes", learnt(files=files))
    assert found.evidence.verdict == verdict
    if verdict == "used":
        assert found.patch is None
        return
    spec = patched(made, found.patch, tmp_path)["spec"]["template"]["spec"]
    mounts = spec["containers"][0].get("volumeMounts")
    assert mounts == ([{"name": "data", "mountPath": "/host", "readOnly": True}]
                      if verdict == "partly" else mounts)  # fmt: skip
    assert bool(spec.get("volumes")) == (verdict == "partly")


def test_a_socket_that_was_connected_to_is_used() -> None:
    made = mounted("/var/run/docker.sock", "/docker.sock")
    assert evidence(made, "runtime-socket", learnt()).evidence.verdict == "unused"
    value = PeerValue(direction="out", protocol="unix", address="/run/docker.sock")
    rule = Rule[PeerValue](id=rule_id("peers", value), value=value,
                           evidence=learnt("CAP_CHOWN").rules.capabilities[0].evidence)  # fmt: skip
    found = evidence(made, "runtime-socket", with_rules(learnt(), peers=(rule,)))
    assert (found.evidence.verdict, found.evidence.rules) == ("used", (rule.id,))


def test_a_token_that_was_never_read_is_not_needed() -> None:
    made = deployment({"automountServiceAccountToken": None})
    assert evidence(made, "token-automount", learnt()).evidence.verdict == "unused"
    token = "/run/secrets/kubernetes.io/serviceaccount/*/token"
    found = evidence(made, "token-automount", learnt(files={token: "r"}))
    assert (found.evidence.verdict, found.patch) == ("used", None)


def test_a_volume_of_two_containers_is_unused_where_neither_used_it() -> None:
    made = mounted("/srv", "/host")
    spec = made["spec"]["template"]["spec"]
    spec["containers"].append(spec["containers"][0] | {"name": "proxy"})
    one, other = learnt(), learnt(subject={"container": "proxy"}, files={"/host/a": "w"})
    assert evidence(made, "hostPathVolumes", one).evidence is None
    assert evidence(made, "hostPathVolumes", one, other).evidence.verdict == "used"


def test_a_file_that_is_no_file_value_is_no_evidence() -> None:
    value = FileValue(path="/host", access="")
    rule = Rule[FileValue](id=rule_id("files", value), value=value,
                           evidence=learnt("CAP_CHOWN").rules.capabilities[0].evidence)  # fmt: skip
    found = evidence(
        mounted("/srv", "/host"), "hostPathVolumes", with_rules(learnt(), files=(rule,))
    )
    assert found.evidence.verdict == "unused"
