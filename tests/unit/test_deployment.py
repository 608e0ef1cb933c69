"""`deploy/` renders, three versions of Kubernetes take it, and it asks for no more than it uses."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from ethogram.cli.audit_inputs import read_manifests
from ethogram.contracts.policy_seccomp import read_profile
from ethogram.posture.pods import TEMPLATES
from ethogram.posture.standards import LATEST, violations
from profiler.cluster.resources import RESOURCES
from profiler.options import ClusterOptions, SessionOptions
from profiler.seccomp_files import profiles_in
from profiler.targets import Targets
from tests.deployment import DEPLOY, OVERLAYS, agent, container_of, rendered, rendered_at

pytestmark = pytest.mark.unit

VERSIONS = ("1.30", "1.33", "1.37")
AGENTS = ("watch", "record")
# Of the Prometheus operator: Kubernetes' own schemas do not have them.
FOREIGN = {"PodMonitor", "ServiceMonitor", "PrometheusRule"}
PLACES = tuple(f"overlays/{name}" for name in OVERLAYS)


def objects() -> list[tuple[str, dict[str, Any]]]:
    return [(place, one) for place in PLACES for one in rendered(place)]


def test_each_overlay_has_what_it_is_for() -> None:
    kinds = {place: {(one["kind"], one["metadata"]["name"].rsplit("-", 1)[0]
                      if one["kind"] == "ConfigMap" else one["metadata"]["name"])
                     for one in rendered(place)} for place in PLACES}  # fmt: skip
    assert set(kinds) == {"overlays/production", "overlays/staging"}
    assert {
        ("DaemonSet", "ethogram-watch"),
        ("Deployment", "ethogram-webhook"),
        ("PodDisruptionBudget", "ethogram-webhook"),
    } <= kinds["overlays/production"]
    assert {("DaemonSet", "ethogram-record"), ("CronJob", "ethogram-learn")} <= kinds[
        "overlays/staging"
    ]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("place", PLACES)
def test_every_object_is_one_of_this_version(place: str, version: str) -> None:
    checked = 0
    for one in rendered(place):
        if one["kind"] in FOREIGN:
            continue
        kubernetes_validate.validate(one, version, strict=True)
        checked += 1
    assert checked >= 10


def test_an_audit_reads_all_of_it() -> None:
    world, unreadable = read_manifests([str(DEPLOY)])
    assert unreadable == []
    assert {one.who.name for one in world.objects if one.who.kind == "DaemonSet"} == {
        "ethogram-watch", "ethogram-record", "ethogram-profiles",
    }  # fmt: skip


def test_a_misspelt_field_is_found() -> None:
    broken = json.loads(json.dumps(agent("watch")))
    broken["spec"]["template"]["spec"]["hostPid"] = True
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, VERSIONS[0], strict=True)


def test_the_role_has_what_is_read_and_nothing_else() -> None:
    (role,) = (one for one in rendered("agent") if one["kind"] == "ClusterRole")
    asked = {
        (group, resource)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }
    read = set()
    for resource in RESOURCES:
        match = re.fullmatch(r"/(?:api/v1|apis/([^/]+)/[^/]+)/([a-z]+)", resource.path)
        assert match is not None
        read.add((match[1] or "", match[2]))
    assert asked == read
    assert {tuple(rule["verbs"]) for rule in role["rules"]} == {("list", "watch")}
    assert {tuple(rule) for rule in role["rules"]} == {("apiGroups", "resources", "verbs")}


def test_who_deletes_profiles_may_list_pods_and_nothing_else() -> None:
    (role,) = (one for one in rendered("profiles") if one["kind"] == "ClusterRole")
    assert role["rules"] == [{"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}]
    pod = agent("profiles")["spec"]["template"]["spec"]
    container = container_of(agent("profiles"))
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert not {"hostPID", "hostNetwork", "hostIPC"} & set(pod)
    paths = {one["hostPath"]["path"] for one in pod["volumes"] if "hostPath" in one}
    assert paths == {"/var/lib/kubelet/seccomp"}


def test_no_other_role_is_there() -> None:
    roles = {(one["kind"], one["metadata"]["name"]) for _, one in objects()
             if one["kind"].endswith(("Role", "RoleBinding"))}  # fmt: skip
    assert roles == {
        ("ClusterRole", "ethogram-agent"), ("ClusterRoleBinding", "ethogram-agent"),
        ("ClusterRole", "ethogram-profiles"), ("ClusterRoleBinding", "ethogram-profiles"),
    }  # fmt: skip
    removal = (DEPLOY / "kubernetes/remove").read_text()
    assert all(name in removal for _, name in roles)


@pytest.fixture(scope="module")
def annotating(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], ...]:
    return with_component(tmp_path_factory.mktemp("annotating"), "profiles", "node-annotation")


@pytest.mark.parametrize("version", VERSIONS)
def test_the_right_to_annotate_comes_with_what_holds_it(
    annotating: tuple[dict[str, Any], ...], version: str
) -> None:
    for one in annotating:
        kubernetes_validate.validate(one, version, strict=True)
    name = "ethogram-node-annotation"
    mine = {one["kind"]: one for one in annotating if one["metadata"]["name"] == name}
    assert set(mine) == {"ClusterRole", "ClusterRoleBinding", "ValidatingAdmissionPolicy",
                         "ValidatingAdmissionPolicyBinding"}  # fmt: skip
    assert mine["ClusterRole"]["rules"] == [
        {"apiGroups": [""], "resources": ["nodes"], "verbs": ["get", "patch"]}
    ]
    (subject,) = mine["ClusterRoleBinding"]["subjects"]
    account = f"system:serviceaccount:{subject['namespace']}:{subject['name']}"
    policy = mine["ValidatingAdmissionPolicy"]
    assert account in policy["spec"]["matchConditions"][0]["expression"]
    (daemonset,) = (one for one in annotating if one["kind"] == "DaemonSet")
    assert daemonset["spec"]["template"]["spec"]["serviceAccountName"] == subject["name"]
    words = container_of(daemonset)["args"]
    assert words == [*container_of(agent("profiles"))["args"], "--annotate"]
    for one in (policy, mine["ValidatingAdmissionPolicyBinding"]):
        assert "labels" not in one["metadata"]  # by which `remove` deletes before the rights


@pytest.mark.parametrize("place", AGENTS)
def test_an_agent_has_these_capabilities_and_no_other_way_up(place: str) -> None:
    pod = agent(place)["spec"]["template"]["spec"]
    (init,) = pod["initContainers"]
    assert init["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    security = container_of(agent(place))["securityContext"]
    assert security["capabilities"] == {
        "drop": ["ALL"],
        "add": ["BPF", "PERFMON", "NET_ADMIN", "SYS_NICE", "SYS_PTRACE", "DAC_READ_SEARCH"],
    }
    for one in (init["securityContext"], security):
        assert one["readOnlyRootFilesystem"] is True
        assert one["allowPrivilegeEscalation"] is False
        assert one["privileged"] is False
    assert (pod["hostPID"], pod["hostNetwork"], pod["hostIPC"]) == (True, False, False)


@pytest.mark.parametrize("place", AGENTS)
def test_no_runtime_socket_and_no_whole_run_is_mounted(place: str) -> None:
    pod = agent(place)["spec"]["template"]["spec"]
    paths = {one["hostPath"]["path"] for one in pod["volumes"] if "hostPath" in one}
    assert not [path for path in paths if path in {"/", "/run", "/var/run", "/run/containerd"}]
    assert not [path for path in paths if path.endswith(".sock")]
    volumes = {one["name"]: one for one in pod["volumes"]}
    writable = {
        mount["mountPath"]
        for mount in container_of(agent(place))["volumeMounts"]
        if not mount.get("readOnly") and "hostPath" in volumes[mount["name"]]
    }
    assert writable == {"/sys/fs/cgroup/ethogram", "/var/lib/ethogram"}


@pytest.mark.parametrize("place", AGENTS)
def test_the_profile_that_an_agent_names_is_put_on_its_node_before(place: str) -> None:
    named = container_of(agent(place))["securityContext"]["seccompProfile"]
    assert named["type"] == "Localhost"
    files = profiles_in(DEPLOY / "kubernetes" / place)
    assert set(files) == {named["localhostProfile"]}
    (content,) = files.values()
    profile = read_profile(json.loads(content))
    assert profile is not None
    assert hashlib.sha256(content).hexdigest()[:12] in named["localhostProfile"]
    (shown,) = (
        one for one in rendered(place) if one["metadata"]["name"].startswith("ethogram-own-profile")
    )
    assert list(shown["data"]) == [Path(named["localhostProfile"]).name]


@pytest.mark.parametrize("place", AGENTS)
def test_the_host_is_called_as_its_node_is(place: str) -> None:
    """Its own name, in a pod, is the pod's: nothing that is learnt of it would fit the next pod."""
    assert "--node=$(NODE_NAME)" in container_of(agent(place))["args"]
    cluster = ClusterOptions(kind="in-cluster", node="node-1")
    options = SessionOptions(targets=Targets(kind="all"), kubernetes=cluster)
    assert options.node == "node-1"
    assert SessionOptions(targets=Targets(kind="all")).node is None


def test_what_is_no_agent_is_restricted() -> None:
    looked_at = []
    for _, one in objects():
        group = one["apiVersion"].rpartition("/")[0]
        at = TEMPLATES.get((group, one["kind"]))
        if at is None or one["kind"] == "DaemonSet":
            continue
        looked_at.append(one["metadata"]["name"])
        assert violations(one, level="restricted", version=LATEST, at=at) == []
    assert sorted(looked_at) == ["ethogram-learn", "ethogram-webhook"]


def test_everything_is_of_one_namespace_and_of_an_image_by_digest() -> None:
    cluster = {"Namespace", "ClusterRole", "ClusterRoleBinding"}
    for place, one in objects():
        assert one["kind"] in cluster or one["metadata"]["namespace"] == "ethogram", (place, one)
        for image in re.findall(r"^ *image: (.+)$", yaml.safe_dump(one), re.MULTILINE):
            assert re.fullmatch(r"registry\.example/ethogram@sha256:[0-9a-f]{64}", image)


def test_every_pod_is_held_by_a_policy_of_its_own() -> None:
    for place in PLACES:
        found = rendered(place)
        policies = [one["spec"]["podSelector"] for one in found if one["kind"] == "NetworkPolicy"]
        assert {} in policies  # what nobody thought of reaches nothing
        held = {one.get("matchLabels", {}).get("app.kubernetes.io/component") for one in policies}
        components = {one["metadata"]["labels"]["app.kubernetes.io/component"] for one in found
                      if one["kind"] in {"DaemonSet", "Deployment", "CronJob"}}  # fmt: skip
        assert components <= held


def test_the_operator_s_rules_are_prometheus_own() -> None:
    (rule,) = (one for one in rendered("monitoring") if one["kind"] == "PrometheusRule")
    own = yaml.safe_load((DEPLOY / "prometheus/ethogram.rules.yaml").read_text())
    assert rule["spec"] == own


def test_the_jobs_of_the_monitors_are_those_of_the_rules() -> None:
    text = (DEPLOY / "prometheus/ethogram.rules.yaml").read_text()
    (monitor,) = (one for one in rendered("monitoring") if one["kind"] == "PodMonitor")
    labels = {one.get("targetLabel"): one.get("replacement") for one in
              monitor["spec"]["podMetricsEndpoints"][0]["relabelings"]}  # fmt: skip
    assert f'job="{labels["job"]}"' in text


def test_the_dashboard_goes_in_as_it_is() -> None:
    (one,) = (one for one in rendered("monitoring") if one["kind"] == "ConfigMap")
    own = json.loads((DEPLOY / "grafana/ethogram.json").read_text())
    assert json.loads(one["data"]["ethogram.json"]) == own


def with_component(directory: Path, base: str, component: str) -> tuple[dict[str, Any], ...]:
    place = directory / "kubernetes"
    shutil.copytree(DEPLOY / "kubernetes", place)
    (place / "mine").mkdir()
    (place / "mine/kustomization.yaml").write_text(
        "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n"
        f"resources: [../{base}]\ncomponents: [../{component}]\n"
    )
    return rendered_at(place / "mine")


def test_the_parts_for_other_runtimes_fit_an_agent(tmp_path: Path) -> None:
    shown = with_component(tmp_path, "watch", "crio")
    (found,) = (one for one in shown if one["kind"] == "DaemonSet")
    kubernetes_validate.validate(found, VERSIONS[-1], strict=True)
    assert "/run/crun" in {one["mountPath"] for one in container_of(found)["volumeMounts"]}
