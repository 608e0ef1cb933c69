"""A securityContext sets what the evidence supports, and says of the rest why it does not."""

import copy
import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from ethogram.contracts.baseline import Baseline, OperationValue, Rule, rule_id
from ethogram.errors import ExportError, UsageError
from exporters.protocol import Artifact, Finding
from exporters.registry import parse_options
from exporters.securitycontext import OWNERS, exporter
from tests.admission import EVERY_CAPABILITY, capability_rule, make_admission_baseline
from tests.baselines import syscall_rule

pytestmark = pytest.mark.unit

EXPORTER = exporter()
KUBECTL = Path(sys.executable).parent / "kubectl"
VERSIONS = ("1.30", "1.33", "1.37")
IMAGE = "registry.example/nginx:1.27"
KNOWN = {"runs_as": (101,), "writes_root": False}


def run(
    baseline: Baseline, *settings: str, enforce: bool = False
) -> tuple[list[Artifact], list[Finding]]:
    items = list(EXPORTER.export(baseline, parse_options(EXPORTER, settings, enforce=enforce)))
    artifacts = [item for item in items if isinstance(item, Artifact)]
    return artifacts, [item for item in items if isinstance(item, Finding)]


def patch_of(*capabilities: Any, settings: tuple[str, ...] = (), **fields: Any) -> dict[str, Any]:
    artifacts, _ = run(make_admission_baseline(*capabilities, **fields), *settings)
    (artifact,) = artifacts
    document: dict[str, Any] = yaml.safe_load(artifact.content)
    return document


def context_of(*capabilities: Any, **fields: Any) -> dict[str, Any]:
    spec = patch_of(*capabilities, **fields)["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    context: dict[str, Any] = container["securityContext"]
    return context


def said(*capabilities: Any, settings: tuple[str, ...] = (), **fields: Any) -> str:
    _, findings = run(make_admission_baseline(*capabilities, **fields), *settings)
    return "\n".join(f"{one.severity}: {one.message}" for one in findings)


def manifest(kind: str, containers: str = "containers") -> dict[str, Any]:
    """Return a workload that asks for more than it needs."""
    version, place = OWNERS[kind]
    security = {"capabilities": {"add": ["SYS_ADMIN"]}, "privileged": True}
    other = {"name": "main", "image": IMAGE}
    node: dict[str, Any] = {
        containers: [{"name": "nginx", "image": IMAGE, "securityContext": security}]
    }
    if containers != "containers":
        node["containers"] = [other]
    if kind != "Pod":
        node["restartPolicy"] = "Never" if kind in ("Job", "CronJob") else "Always"
    labels = {"app": "checkout"}
    for part in reversed(place):
        if part == "template":
            node["metadata"] = {"labels": labels}
        node = {part: node}
    spec = node["spec"]
    if kind in ("Deployment", "DaemonSet", "StatefulSet", "ReplicaSet"):
        spec["selector"] = {"matchLabels": labels}
    if kind == "StatefulSet":
        spec["serviceName"] = "checkout"
    if kind == "CronJob":
        spec["schedule"] = "0 * * * *"
    metadata = {"name": "checkout", "namespace": "shop-staging"}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec}


def kustomized(path: Path, workload: dict[str, Any], patch: bytes) -> dict[str, Any]:
    """Return *workload* as `kubectl kustomize` patches it."""
    resources = {"resources": ["workload.yaml"], "patches": [{"path": "patch.yaml"}]}
    (path / "kustomization.yaml").write_text(yaml.safe_dump(resources))
    (path / "workload.yaml").write_text(yaml.safe_dump(workload))
    (path / "patch.yaml").write_bytes(patch)
    done = subprocess.run([KUBECTL, "kustomize", path], capture_output=True, check=True)
    document: dict[str, Any] = yaml.safe_load(done.stdout)
    return document


def pod_spec(document: dict[str, Any]) -> dict[str, Any]:
    node = document
    for part in OWNERS[document["kind"]][1]:
        node = node[part]
    return node


@pytest.mark.parametrize("kind", OWNERS)
@pytest.mark.parametrize("container_kind", ["main", "init", "sidecar"])
def test_kustomize_patches_the_owners_container_and_kubernetes_takes_it(
    tmp_path: Path, kind: str, container_kind: str
) -> None:
    baseline = make_admission_baseline(
        "CAP_CHOWN", subject={"kind": kind, "container_kind": container_kind}, **KNOWN
    )
    (artifact,), _ = run(baseline, "form=kustomize")
    containers = "containers" if container_kind == "main" else "initContainers"
    before = manifest(kind, containers)
    del before["metadata"]["namespace"]
    after = kustomized(tmp_path, copy.deepcopy(before), artifact.content)
    (container,) = pod_spec(after)[containers]
    context = container.pop("securityContext")
    assert context["capabilities"] == {"add": ["CHOWN"], "drop": ["ALL"]}
    assert (context["privileged"], context["runAsUser"]) == (False, 101)
    assert container == {"name": "nginx", "image": IMAGE}
    pod_spec(before)[containers][0].pop("securityContext")
    assert after == before
    container["securityContext"] = context
    for version in VERSIONS:
        if kind != "ReplicationController":
            kubernetes_validate.validate(after, version, strict=True)


def test_a_strategic_patch_names_the_namespace(tmp_path: Path) -> None:
    (artifact,), _ = run(make_admission_baseline(**KNOWN))
    assert yaml.safe_load(artifact.content)["metadata"]["namespace"] == "shop-staging"
    after = kustomized(tmp_path, manifest("Deployment"), artifact.content)
    context = pod_spec(after)["containers"][0]["securityContext"]
    assert context["capabilities"] == {"add": [], "drop": ["ALL"]}


def test_the_runtimes_profile_takes_the_place_of_another(tmp_path: Path) -> None:
    (artifact,), _ = run(make_admission_baseline(**KNOWN), "seccomp=runtime-default")
    workload = manifest("Deployment")
    security = pod_spec(workload)["containers"][0]["securityContext"]
    security["seccompProfile"] = {"type": "Localhost", "localhostProfile": "old.json"}
    after = kustomized(tmp_path, workload, artifact.content)
    context = pod_spec(after)["containers"][0]["securityContext"]
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}


@pytest.mark.parametrize("version", VERSIONS)
def test_a_schema_would_have_refused_a_mistake(version: str) -> None:
    workload = manifest("Deployment")
    pod_spec(workload)["containers"][0]["securityContext"]["runAsUsers"] = 1
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(workload, version, strict=True)


def test_all_that_is_known_not_to_be_needed_is_taken_away() -> None:
    context = context_of("CAP_SETUID", "CAP_NET_BIND_SERVICE", **KNOWN)
    profile = context.pop("seccompProfile")
    assert context == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE", "SETUID"]},
        "privileged": False,
        "procMount": "Default",
        "readOnlyRootFilesystem": True,
        "runAsNonRoot": True,
        "runAsUser": 101,
    }
    assert profile["type"] == "Localhost"


@pytest.mark.parametrize(
    ("users", "names", "about"),
    [
        ((101,), {"runAsNonRoot", "runAsUser"}, ""),
        ((0,), set(), "it ran as root, so `runAsNonRoot` is left out"),
        ((0, 101), set(), "it ran as root, and as 101, so"),
        ((101, 102), set(), "it ran as several users (101, 102)"),
        (None, set(), "as which users it runs is not known"),
    ],
)
def test_a_user_is_asked_for_where_it_is_the_only_one(
    users: tuple[int, ...] | None, names: set[str], about: str
) -> None:
    found = context_of(runs_as=users)
    assert {name for name in found if name.startswith("runAs")} == names
    assert about in said(runs_as=users)


@pytest.mark.parametrize(
    ("writes", "about"), [(True, "it wrote below /srv/a"), (None, "is not known, so `readOnly")]
)
def test_a_root_that_may_be_written_stays_writable(writes: bool | None, about: str) -> None:
    fields: dict[str, Any] = {"writes_root": writes, "files": {"/srv/a/b": "w", "/dev/null": "w"}}
    assert "readOnlyRootFilesystem" not in context_of(**fields)
    assert about in said(**fields)
    assert "/dev" not in said(**fields)


@pytest.mark.parametrize(
    ("observed", "settings", "is_set"),
    [
        ({"privileges_gained": False}, (), True),
        ({"privileges_gained": None, "no_new_privs": True}, (), True),
        ({"privileges_gained": None, "no_new_privs": False}, (), False),
        ({"privileges_gained": True}, (), False),
        ({"privileges_gained": False}, ("no-new-privs=no",), False),
    ],
)
def test_escalation_is_refused_where_none_was_seen(
    observed: dict[str, Any], settings: tuple[str, ...], is_set: bool
) -> None:
    found = context_of(settings=settings, **observed)
    assert found.get("allowPrivilegeEscalation", True) is not is_set
    assert (
        "`allowPrivilegeEscalation: false` is left out" in said(settings=settings, **observed)
    ) is (not is_set)


@pytest.mark.parametrize(
    ("files", "is_set"),
    [
        ({"/proc/meminfo": "r", "/proc/sys/kernel/osrelease": "r"}, True),
        ({"/proc/keys": "r"}, False),
        ({"/sys/firmware/dmi": "r"}, False),
        ({"/proc/sys/vm/overcommit_memory": "w"}, False),
    ],
)
def test_proc_is_masked_where_nothing_masked_was_used(files: dict[str, str], is_set: bool) -> None:
    bounding = ("CAP_CHOWN",)
    assert ("procMount" in context_of(files=files, bounding=bounding)) is is_set
    assert ("`procMount` is left out" in said(files=files, bounding=bounding)) is not is_set


def test_who_mounts_may_need_a_proc_that_is_not_masked() -> None:
    baseline = make_admission_baseline(**KNOWN)
    value = OperationValue(operation="mount", target="/proc")
    mounts = Rule[OperationValue](
        id=rule_id("operations", value), value=value, evidence=syscall_rule("read").evidence
    )
    rules = baseline.rules.model_copy(update={"operations": (mounts,)})
    (artifact,), _ = run(baseline.model_copy(update={"rules": rules}))
    assert b"procMount" not in artifact.content


def test_a_container_that_has_to_be_privileged_gets_no_patch() -> None:
    baseline = make_admission_baseline(
        "CAP_SYS_ADMIN", files={"/dev/sda": "r"}, bounding=EVERY_CAPABILITY
    )
    artifacts, findings = run(baseline)
    assert not artifacts
    assert "used what only a privileged one has" in findings[0].message


def test_what_only_the_runtime_used_is_not_added() -> None:
    rule = capability_rule("CAP_SYS_ADMIN", "runtime")
    assert context_of(rule)["capabilities"]["add"] == []
    assert "only the container runtime used, before the entrypoint ran: CAP_SYS_ADMIN" in said(rule)


@pytest.mark.parametrize(
    ("settings", "enforce", "kind"),
    [((), False, "only logs"), ((), True, "denies"), (("seccomp=enforce",), False, "denies")],
)
def test_the_profile_is_the_one_that_seccomp_exports(
    settings: tuple[str, ...], enforce: bool, kind: str
) -> None:
    baseline = make_admission_baseline(**KNOWN)
    (artifact,), findings = run(baseline, *settings, enforce=enforce)
    options = parse_options(EXPORTER.profiles, [], enforce=kind == "denies")
    profile = next(iter(EXPORTER.profiles.export(baseline, options)))
    assert isinstance(profile, Artifact)
    assert f"localhostProfile: {profile.installs_as}".encode() in artifact.content
    assert any(kind in one.message and one.subject == profile.installs_as for one in findings)


def test_of_two_architectures_neither_profile_is_named() -> None:
    calls = ("read", syscall_rule("openat", arch="aarch64"))
    assert "seccompProfile" not in context_of(calls=calls)
    assert "machines of several architectures" in said(calls=calls)


def test_without_calls_there_is_no_profile_to_name() -> None:
    assert "seccompProfile" not in context_of(calls=())
    assert "no seccomp profile is named" in said(calls=())


@pytest.mark.parametrize(
    ("subject", "about"),
    [
        ({"namespace": None, "kind": "Command"}, "warning: no patch: Command"),
        ({"kind": "Unit"}, "warning: no patch: Unit"),
        ({"container": None}, "warning: no patch: the container of"),
        ({"container_kind": "ephemeral"}, "warning: no patch: the container of"),
        ({"name": "../`$(x)`\n\x1b[31m"}, "loss: no patch: Kubernetes refuses the name"),
        ({"container": "a: b"}, "loss: no patch: Kubernetes refuses the container name"),
        ({"namespace": "a b"}, "loss: no patch: Kubernetes refuses the namespace"),
    ],
)
def test_what_is_in_no_manifest_gets_no_patch(subject: dict[str, Any], about: str) -> None:
    assert run(make_admission_baseline(subject=subject))[0] == []
    assert about in said(subject=subject)


def test_the_hosts_namespaces_are_told_of_not_patched() -> None:
    fields = {"host_namespaces": ("net", "user")}
    (artifact,), _ = run(make_admission_baseline(**fields))
    text = artifact.content.decode()
    assert "# hostNetwork: it was in the host's net namespace\n" in text
    assert "# hostPID: not used, no instance was in the host's pid namespace\n" in text
    assert "the pod asks for `hostNetwork`, which stays" in said(**fields)
    (unknown,), _ = run(make_admission_baseline(host_namespaces=(), bounding=None))
    assert b"hostNetwork" not in unknown.content


@pytest.mark.parametrize("kind", ["Pod", "Job"])
def test_what_exists_cannot_be_patched(kind: str) -> None:
    assert f"a {kind} that exists does not take the patch" in said(subject={"kind": kind})
    (artifact,), _ = run(make_admission_baseline(subject={"kind": kind}))
    assert b"# merge it into the manifest" in artifact.content


def test_every_field_has_its_evidence_beside_it_and_a_reason() -> None:
    (artifact,), _ = run(make_admission_baseline("CAP_CHOWN", **KNOWN))
    lines = artifact.content.decode().splitlines()
    for reason in artifact.reasons:
        field = reason.place.rpartition(".")[2]
        (at,) = (i for i, line in enumerate(lines) if line.strip().startswith(f"{field}:"))
        assert lines[at - 1].strip() == f"# {reason.source}"


@pytest.mark.parametrize(
    ("fields", "about"),
    [
        ({"state": "lossy"}, "warning: the recorder lost events"),
        ({"state": "partial"}, "info: the baseline is partial"),
        ({"phases": {"steady": 1}}, "warning: the workload's start was not recorded"),
        ({"quarantined": ("CAP_CHOWN",)}, "info: quarantined and not added: CAP_CHOWN"),
        ({"bounding": EVERY_CAPABILITY}, "ran with every capability"),
    ],
)
def test_the_reader_is_told_what_the_evidence_lacks(fields: dict[str, Any], about: str) -> None:
    assert about in said(**fields)


def test_a_setting_that_means_nothing_is_refused() -> None:
    with pytest.raises(UsageError, match="setting `form` is `json`"):
        run(make_admission_baseline(), "form=json")
    with pytest.raises(UsageError, match="nothing is known about the runtime"):
        run(make_admission_baseline(), "runtime=lxc")


def test_what_nobody_looked_at_is_not_taken_away() -> None:
    with pytest.raises(ExportError, match="without a look at"):
        run(make_admission_baseline(not_observed=("files",)))
