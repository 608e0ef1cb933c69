"""The same pods before three engines: each rule, admitted and refused, and what an engine adds."""

import copy

import pytest
from cel_expr_python import cel
from pydantic import ValidationError

from ethogram.errors import UsageError
from exporters.registry import find_exporter, parse_options
from tests.admission import (
    DIGEST,
    EVERY_CAPABILITY,
    SELECTOR,
    changed,
    container,
    export,
    make_admission_baseline,
    make_pod,
    policy_of,
)
from tests.policy_engines import judge, problems_of_types, remove
from tests.policy_schemas import check
from tests.vap import problems

pytestmark = pytest.mark.unit

# What a policy of each form is made with.
FORMS = {
    "admission": ("admission", ()),
    "kyverno": ("kyverno", ()),
    "kyverno v1beta1": ("kyverno", ("kyverno-api=v1beta1",)),
    "cluster policy": ("kyverno", ("kind=ClusterPolicy",)),
    "gatekeeper": ("gatekeeper", ()),
}
every_form = pytest.mark.parametrize("form", FORMS)
KNOWN = {"runs_as": (101,), "writes_root": False, "host_paths": ("/var/log",), "host_ports": (80,)}
BASELINES = {
    "everything known": make_admission_baseline("CAP_NET_BIND_SERVICE", **KNOWN),
    "nothing known": make_admission_baseline(
        calls=(), image_digests=(), host_namespaces=("net", "pid", "ipc"), bounding=None,
        privileges_gained=None,
    ),
    "privileged": make_admission_baseline(files={"/dev/sda": "r"}, bounding=EVERY_CAPABILITY),
    "by owner": make_admission_baseline(subject={"selector": {}}),
    "cron": make_admission_baseline(subject={"kind": "CronJob", "name": "a.b", "selector": {}}),
    "one pod": make_admission_baseline(subject={"kind": "Pod", "selector": {}}),
    "long names": make_admission_baseline(
        subject={"name": "n" * 253, "namespace": "s" * 63, "container": "c" * 63}
    ),
    "odd labels": make_admission_baseline(
        subject={"selector": {"app.kubernetes.io/name": "a_b.C-d", "on": "no", "empty": ""}}
    ),
}  # fmt: skip


def documents(form, baseline=BASELINES["everything known"], *settings, enforce=True):
    target, own = FORMS[form]
    return export(baseline, *own, *settings, enforce=enforce, target=target)[0]


# The pod that the first baseline was learnt from.
PROFILED = policy_of("CAP_NET_BIND_SERVICE")
OWN = container(runAsNonRoot=True, readOnlyRootFilesystem=True)
GOOD = make_pod(PROFILED, OWN)


def own(**security):
    context = {**OWN["securityContext"], **security}
    kept = {key: value for key, value in context.items() if value is not None}
    return changed(GOOD, containers=[{**OWN, "securityContext": kept}])


def of_pod(**context):
    return changed(GOOD, securityContext={**GOOD["spec"]["securityContext"], **context})


def with_path(path):
    return changed(GOOD, volumes=[{"name": "v", "hostPath": {"path": path}}])


def with_port(**port):
    return changed(GOOD, containers=[{**OWN, "ports": [{"containerPort": 80, **port}]}])


DEBUGGER = container("debugger-x")
# Pod, and the first words of the rule that refuses it; one to admit and one to refuse a rule.
PODS = {
    "as it was learnt": (GOOD, None),
    "privileged": (own(privileged=True), "no container is privileged"),
    "privileged init": (
        changed(GOOD, initContainers=[container("init", privileged=True)]),
        "no container is privileged",
    ),
    "privileged debugger": (
        changed(GOOD, ephemeralContainers=[container("debugger-x", privileged=True)]),
        "no container is privileged",
    ),
    "not privileged": (own(privileged=False), None),
    "hostNetwork": (changed(GOOD, hostNetwork=True), "no hostNetwork"),
    "hostPID": (changed(GOOD, hostPID=True), "no hostPID"),
    "hostIPC": (changed(GOOD, hostIPC=True), "no hostIPC"),
    "own namespaces": (changed(GOOD, hostNetwork=False, hostPID=False, hostIPC=False), None),
    "a path": (with_path("/etc"), "no hostPath volume"),
    "above a known path": (with_path("/var"), "no hostPath volume"),
    "a known path": (with_path("/var/log"), None),
    "another volume": (changed(GOOD, volumes=[{"name": "v", "emptyDir": {}}]), None),
    "a port": (with_port(hostPort=8080), "container `nginx` has no hostPort"),
    "a known port": (with_port(hostPort=80), None),
    "no port": (with_port(hostPort=0), None),
    "bare proc": (own(procMount="Unmasked"), "container `nginx` and debugging containers have no"),
    "covered proc": (own(procMount="Default"), None),
    "debugger with bare proc": (
        changed(GOOD, ephemeralContainers=[container("debugger-x", procMount="Unmasked")]),
        "container `nginx` and debugging containers have no",
    ),
    "a capability": (
        own(capabilities={"add": ["NET_RAW"]}),
        "container `nginx` and debugging containers add no",
    ),
    "a used capability": (own(capabilities={"add": ["NET_BIND_SERVICE"], "drop": ["ALL"]}), None),
    "debugger with a capability": (
        changed(
            GOOD, ephemeralContainers=[container("d", capabilities={"add": ["SYS_PTRACE"]})]
        ),
        "container `nginx` and debugging containers add no",
    ),
    "escalation": (own(allowPrivilegeEscalation=True), "container `nginx` has allowPrivilege"),
    "escalation by default": (
        own(allowPrivilegeEscalation=None), "container `nginx` has allowPrivilege"
    ),
    "any user": (own(runAsNonRoot=None), "container `nginx` has runAsNonRoot"),
    "user 0": (own(runAsNonRoot=True, runAsUser=0), "container `nginx` has runAsNonRoot"),
    "user 0 of the pod": (of_pod(runAsUser=0), "container `nginx` has runAsNonRoot"),
    "a user": (own(runAsNonRoot=None, runAsUser=101), None),
    "no root, says the pod": (
        changed(
            of_pod(runAsNonRoot=True),
            containers=own(runAsNonRoot=None)["spec"]["containers"],
        ),
        None,
    ),
    "root, says the container": (
        changed(
            of_pod(runAsNonRoot=True), containers=own(runAsNonRoot=False)["spec"]["containers"]
        ),
        "container `nginx` has runAsNonRoot",
    ),
    "writable root": (own(readOnlyRootFilesystem=None), "container `nginx` has readOnlyRoot"),
    "writable root, said": (
        own(readOnlyRootFilesystem=False), "container `nginx` has readOnlyRoot"
    ),
    "no profile": (changed(GOOD, securityContext=None), "container `nginx` runs under the seccomp"),
    "another profile": (
        own(seccompProfile={"type": "RuntimeDefault"}), "container `nginx` runs under the seccomp"
    ),
    "a debugger": (changed(GOOD, ephemeralContainers=[DEBUGGER]), None),
    "another container": (changed(GOOD, containers=[OWN, container("sidecar")]), None),
}  # fmt: skip


@every_form
@pytest.mark.parametrize("title", PODS)
def test_every_engine_says_the_same_of_a_pod(form, title):
    pod, rule = PODS[title]
    answer = judge(documents(form), pod)
    assert answer.is_matched
    assert answer.is_admitted is (rule is None)
    if rule:
        assert answer.violations[0].startswith(rule)


def test_every_rule_is_refused_by_one_of_the_pods():
    asked = {
        each["message"].partition(":")[0]
        for each in documents("admission")[0]["spec"]["validations"]
    }
    broken = [rule for _, rule in PODS.values() if rule]
    assert all(any(message.startswith(rule) for rule in broken) for message in asked)


@every_form
def test_an_image_is_noted_and_refused_only_when_bound(form):
    pod = changed(GOOD, containers=[{**OWN, "image": "nginx:1.22"}])
    answer = judge(documents(form), pod)
    assert answer.is_admitted
    if form != "cluster policy":
        assert list(answer.annotations.values()) == ["nginx:1.22"]
    bound = documents(form, BASELINES["everything known"], "bind-digest=true")
    assert judge(bound, pod).violations[0].startswith("the image of container `nginx`")
    assert judge(bound, GOOD).is_admitted
    assert DIGEST in str(bound)


# --- what is asked about ---------------------------------------------------------------------

BAD = own(privileged=True)


@every_form
def test_what_was_there_before_is_left_alone(form):
    policy = documents(form)
    assert judge(policy, changed(BAD, activeDeadlineSeconds=5), old=BAD).violations == ()
    adding = changed(BAD, ephemeralContainers=[DEBUGGER])
    asked = {"old": BAD, "subresource": "ephemeralcontainers"}
    assert judge(policy, adding, **asked).violations == ()
    worse = changed(BAD, ephemeralContainers=[container("d", privileged=True)])
    assert not judge(policy, worse, **asked).is_admitted
    assert judge(policy, changed(with_path("/etc"), x=1), old=with_path("/etc")).violations == ()


@every_form
def test_a_pod_that_joins_by_its_labels_is_a_new_one(form):
    stray = {**BAD, "metadata": {"labels": {"app": "checkout"}}}
    assert not judge(documents(form), stray).is_matched
    assert not judge(documents(form), BAD, old=stray).is_admitted


@every_form
def test_other_pods_and_other_requests_are_not_asked_about(form):
    policy = documents(form)
    assert not judge(policy, BAD, namespace="shop").is_matched
    for subresource in ("status", "resize", "binding"):
        answer = judge(policy, BAD, old=GOOD, subresource=subresource)
        assert answer.is_admitted
        assert answer.violations == ()


@pytest.mark.parametrize("form", [form for form in FORMS if form != "admission"])
def test_a_pod_can_always_be_deleted(form):
    for baseline in (BASELINES["everything known"], BASELINES["by owner"]):
        answer = remove(documents(form, baseline), BAD)
        assert answer.is_admitted
        assert answer.violations == ()
        assert not answer.annotations


def owned(pod, kind, name, **labels):
    owner = [{"kind": kind, "name": name}]
    return {**pod, "metadata": {"name": "p", "labels": labels, "ownerReferences": owner}}


@every_form
@pytest.mark.parametrize(
    ("title", "kind", "name", "is_own"),
    [
        ("by owner", "ReplicaSet", "checkout-5d4f", True),
        ("by owner", "ReplicaSet", "checkout-canary-5d4f", False),
        ("by owner", "StatefulSet", "checkout-5d4f", False),
        ("cron", "Job", "a.b-29000001", True),
        ("cron", "Job", "a.b-x-29000001", False),
        ("cron", "Job", "a.b-1x", False),
        ("cron", "Job", "axb-29000001", False),
    ],
)
def test_without_labels_pods_are_told_by_their_owner(form, title, kind, name, is_own):
    labels = {"pod-template-hash": "5d4f"} if title == "by owner" else {}
    pod = owned(BAD, kind, name, **labels)
    answer = judge(documents(form, BASELINES[title]), pod)
    assert bool(answer.violations) is is_own


# --- as objects ------------------------------------------------------------------------------


@every_form
@pytest.mark.parametrize("title", BASELINES)
@pytest.mark.parametrize("enforce", [False, True])
def test_the_objects_are_as_their_definitions_have_them(form, title, enforce):
    found = documents(form, BASELINES[title], enforce=enforce)
    if form == "admission":
        assert problems(found) == []
    else:
        check(found)


def _typed(found):
    """Return variables, expressions with the types that they have to have, and the engine's own."""
    kind = found[0]["kind"]
    if kind == "ConstraintTemplate":
        source = found[0]["spec"]["targets"][0]["code"][0]["source"]
        spec = {"variables": source["variables"], "validations": source["validations"]}
    elif kind == "ClusterPolicy":
        (rule,) = found[0]["spec"]["rules"]
        inner = rule["validate"]["cel"]
        spec = {"variables": inner["variables"], "validations": inner["expressions"]}
        spec["matchConditions"] = rule.get("celPreconditions", ())
    else:
        spec = found[0]["spec"]
    claims = [*spec["validations"], *spec.get("matchConditions", ())]
    texts = [each["valueExpression"] for each in spec.get("auditAnnotations", ())]
    texts += [each["messageExpression"] for each in claims if "messageExpression" in each]
    wanted = dict.fromkeys((each["expression"] for each in claims), "BOOL")
    return spec["variables"], wanted | dict.fromkeys(texts, "STRING")


@every_form
@pytest.mark.parametrize("title", ["everything known", "nothing known", "cron"])
def test_every_expression_has_the_type_that_its_engine_asks_for(form, title):
    found = documents(form, BASELINES[title], "bind-digest=false")
    first = {"params": cel.Type.DYN, "anyObject": cel.Type.DYN}
    for pair in [found, found[2:]] if form == "gatekeeper" else [found]:
        variables, claims = _typed(pair)
        assert list(problems_of_types(variables, claims, first)) == []


@pytest.mark.parametrize(
    ("mode", "kyverno", "cluster", "gatekeeper"),
    [
        ("audit", ["Audit"], "Audit", "dryrun"),
        ("warn", ["Warn", "Audit"], "Audit", "warn"),
        ("deny", ["Deny", "Audit"], "Enforce", "deny"),
    ],
)
def test_each_mode_has_its_word(mode, kyverno, cluster, gatekeeper):
    setting = f"mode={mode}"
    baseline = BASELINES["everything known"]
    spec = documents("kyverno", baseline, setting, enforce=False)[0]["spec"]
    assert spec["validationActions"] == kyverno
    spec = documents("cluster policy", baseline, setting, enforce=False)[0]["spec"]
    assert spec["rules"][0]["validate"]["failureAction"] == cluster
    assert spec.get("emitWarning", False) is (mode == "warn")
    found = documents("gatekeeper", baseline, setting, enforce=False)
    assert [each["spec"]["enforcementAction"] for each in found[1::2]] == [gatekeeper, "dryrun"]


# --- Kyverno ---------------------------------------------------------------------------------


def test_kyverno_rewrites_no_rule_for_deployments():
    spec = documents("kyverno")[0]["spec"]
    assert spec["autogen"] == {"podControllers": {"controllers": []}}
    annotations = documents("cluster policy")[0]["metadata"]["annotations"]
    assert annotations["pod-policies.kyverno.io/autogen-controllers"] == "none"


@pytest.mark.parametrize("setting", ["kind=Policy", "kyverno-api=v1alpha1", "mode=enforce"])
def test_a_setting_that_means_nothing_to_kyverno_is_refused(setting):
    exporter = find_exporter("kyverno")
    with pytest.raises(UsageError):
        exporter.check(parse_options(exporter, [setting]))


def test_a_cluster_policy_says_that_it_is_deprecated_and_notes_nothing():
    _, findings = export(BASELINES["everything known"], "kind=ClusterPolicy", target="kyverno")
    assert [f.severity for f in findings if "deprecates" in f.message] == ["warning"]


# --- Gatekeeper ------------------------------------------------------------------------------


def test_workloads_with_the_same_rules_share_their_templates():
    other = make_admission_baseline(
        "CAP_CHOWN", subject={"name": "cart", "selector": {"app": "cart"}}, **KNOWN
    )
    first = documents("gatekeeper")
    second = documents("gatekeeper", other)
    assert first[::2] == second[::2]
    assert [each["metadata"]["name"] for each in first[1::2]] != [
        each["metadata"]["name"] for each in second[1::2]
    ]
    assert first[0] != documents("gatekeeper", BASELINES["nothing known"])[0]


def test_a_template_says_nothing_of_a_workload():
    text = str(documents("gatekeeper")[::2])
    for word in ("checkout", "nginx", "shop", "NET_BIND", "/var/log"):
        assert word not in text


def test_gatekeeper_itself_evaluates_the_rules():
    source = documents("gatekeeper")[0]["spec"]["targets"][0]["code"][0]["source"]
    assert source["generateVAP"] is False
    assert "rego" not in str(documents("gatekeeper"))


def test_a_pod_that_is_audited_is_judged_as_a_new_one():
    """Of an audit Gatekeeper says neither an operation nor what was before."""
    assert judge(documents("gatekeeper"), BAD, operation="").violations
    assert judge(documents("gatekeeper"), GOOD, operation="").violations == ()


# --- our own checks --------------------------------------------------------------------------


def _with(path, value):
    def breaking(found):
        for node in path[:-1]:
            found = found[node]
        found[path[-1]] = value

    return breaking


@pytest.mark.parametrize(
    ("form", "breaking"),
    [
        ("kyverno", _with([0, "spec", "matchCondition"], [])),
        ("kyverno", _with([0, "spec", "validationActions"], ["Block"])),
        ("kyverno", _with([0, "spec", "autogen", "podControllers"], {"controllers": ["jobs"]})),
        ("kyverno", _with([0, "metadata", "name"], "n" * 64)),
        ("cluster policy", _with([0, "spec", "rules", 0, "validate", "failureAction"], "deny")),
        ("gatekeeper", _with([0, "metadata", "name"], "other")),
        ("gatekeeper", _with([1, "kind"], "Other")),
        ("gatekeeper", _with([1, "spec", "enforcementAction"], "audit")),
        ("gatekeeper", _with([1, "spec", "parameters", "surplus"], "x")),
        ("gatekeeper", _with([1, "spec", "parameters", "container"], ["x"])),
        (
            "gatekeeper",
            _with([0, "spec", "targets", 0, "code", 0, "source", "matchConditions"], []),
        ),
        (
            "gatekeeper",
            _with([0, "spec", "targets", 0, "code", 0, "source", "variables", 0, "name"], "params"),
        ),
    ],
)
def test_our_own_checks_see_what_an_engine_refuses(form, breaking):
    broken = copy.deepcopy(documents(form))
    check(broken)
    breaking(broken)
    with pytest.raises((ValidationError, AssertionError)):
        check(broken)


def test_a_note_of_no_certain_type_is_found():
    variables = [{"name": "a", "expression": "dyn('x')"}]
    assert list(problems_of_types(variables, {"variables.a": "STRING"}))
    assert not list(problems_of_types(variables, {"string(variables.a)": "STRING"}))


def test_the_labels_of_the_table_are_the_workloads():
    assert GOOD["metadata"]["labels"] == SELECTOR
