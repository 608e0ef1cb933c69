"""`ethogram audit` as it is run: places, formats, exit codes, hostile names, a live cluster."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema

from ethogram.cli.run import run
from ethogram.contracts.baseline import dump_baseline
from tests.admission import EVERY_CAPABILITY, make_admission_baseline
from tests.openreports import REPORT
from tests.posture import make_pod
from tests.recordings import shop_recording

pytestmark = pytest.mark.unit

BAD = {"context": {"privileged": True}, "hostPID": True, "initContainers": None,
       "ephemeralContainers": None}  # fmt: skip
HOSTILE = "</details>`|\x1b[31m\n[x](javascript:1)"


def deployment(change: dict[str, Any] | None = None, name: str = "checkout") -> dict[str, Any]:
    pod = make_pod(BAD if change is None else change)
    pod["spec"]["containers"][0]["name"] = "nginx"
    template = {"metadata": {"labels": {"app": "checkout"}}, "spec": pod["spec"]}
    metadata = {"name": name, "namespace": "shop-staging"}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata,
            "spec": {"template": template}}  # fmt: skip


@pytest.fixture
def manifests(tmp_path: Path) -> Path:
    directory = tmp_path / "deploy"
    directory.mkdir()
    text = "# a comment\n" + yaml.safe_dump(deployment())
    (directory / "checkout.yaml").write_text(text, encoding="utf-8")
    (directory / "values.yml").write_text("replicas: 3\n", encoding="utf-8")
    (directory / ".hidden.yaml").write_text("a: [", encoding="utf-8")
    (directory / "README.md").write_text("a: [", encoding="utf-8")
    return directory


@pytest.fixture
def baseline(tmp_path: Path) -> Path:
    made = make_admission_baseline(
        "CAP_NET_BIND_SERVICE", bounding=EVERY_CAPABILITY, wall_seconds=9 * 86_400.0, instances=3
    )
    path = tmp_path / "checkout.baseline.yaml"
    path.write_text(dump_baseline(made), encoding="utf-8")
    return path


def audited(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    capsys.readouterr()
    code = run(["audit", *(str(word) for word in words)])
    out, err = capsys.readouterr()
    return code, out, err


def test_a_directory_is_read_and_a_threshold_decides(manifests, capsys):
    code, out, _ = audited(capsys, manifests)
    assert code == 0
    assert "shop-staging/Deployment/checkout" in out
    assert "1 object, 1 workload; Pod Security `restricted` of v1.37, CIS 1.12:" in out
    assert audited(capsys, manifests, "--fail-on", "critical")[0] == 12
    good = manifests / "good.yaml"
    good.write_text(yaml.safe_dump(deployment({})), encoding="utf-8")
    code, _, err = audited(capsys, good, "--fail-on", "medium")
    assert (code, "failed" in err) == (0, False)


def test_level_and_version_are_those_that_are_asked_for(manifests, capsys):
    _, out, _ = audited(capsys, manifests, "--level", "baseline", "--kubernetes-version", "1.30",
                        "--format", "json")  # fmt: skip
    document = json.loads(out)
    assert (document["version"], document["cis_benchmark"]) == ("v1.30", "1.11")
    levels = {one["level"] for one in document["findings"]}
    assert levels == {"baseline", None}


def test_what_was_used_is_said_of_what_was_found(manifests, baseline, capsys):
    code, out, _ = audited(capsys, manifests, "--baseline", baseline)
    assert code == 0
    assert (
        "unused: privileged, yet in 9 days and 3 replicas it used only NET_BIND_SERVICE: drop the"
        " rest" in out
    )


def test_patches_are_written_one_for_each_owner(manifests, baseline, tmp_path, capsys):
    target = tmp_path / "patches"
    code, _, err = audited(capsys, manifests, "--baseline", baseline, "--patches", target)
    assert (code, "wrote 1 patch" in err) == (0, True)
    [path] = target.iterdir()
    assert path.name == "shop-staging.Deployment-checkout.patch.yaml"
    text = path.read_text(encoding="utf-8")
    assert text.startswith("# kubectl -n shop-staging patch deployment checkout --type strategic")
    context = yaml.safe_load(text)["spec"]["template"]["spec"]["containers"][0]["securityContext"]
    assert context["capabilities"] == {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}
    assert audited(capsys, manifests, "--patches", target)[0] == 2
    assert audited(capsys, manifests, "--patches", target, "--force")[0] == 0


def test_standard_input_is_read(manifests, capsys, monkeypatch):
    class Input:
        buffer = io.BytesIO((manifests / "checkout.yaml").read_bytes())

    monkeypatch.setattr("sys.stdin", Input)
    code, out, _ = audited(capsys, "-", "--format", "sarif")
    assert code == 0
    [result] = [one for one in json.loads(out)["runs"][0]["results"]
                if one["ruleId"] == "privileged"]  # fmt: skip
    assert "physicalLocation" not in result["locations"][0]


def test_sarif_names_the_line_and_suppresses_what_is_exempt(manifests, tmp_path, capsys):
    exemptions = tmp_path / "exemptions.yaml"
    exemptions.write_text(
        "schema: ethogram.exemptions/1\nexemptions:\n  - {check: hostNamespaces, owner: alice, "
        'reason: agent, expires: "2999-12-31"}\n',
        encoding="utf-8",
    )
    _, out, _ = audited(capsys, manifests, "--format", "sarif", "--exemptions", exemptions)
    run_ = json.loads(out)["runs"][0]
    results = {one["ruleId"]: one for one in run_["results"]}
    assert {one["id"] for one in run_["tool"]["driver"]["rules"]} == set(results)
    place = results["privileged"]["locations"][0]["physicalLocation"]
    lines = (manifests / "checkout.yaml").read_text(encoding="utf-8").splitlines()
    assert lines[place["region"]["startLine"] - 1].strip() == "privileged: true"
    assert place["artifactLocation"]["uri"].endswith("deploy/checkout.yaml")
    assert results["hostNamespaces"]["suppressions"][0]["kind"] == "external"
    assert "suppressions" not in results["privileged"]


def test_ocsf_is_as_its_schema_has_it(manifests, baseline, capsys):
    _, out, _ = audited(capsys, manifests, "--format", "ocsf", "--baseline", baseline)
    schema = OcsfJsonSchemaEmbedded(get_ocsf_schema(version="1.8.0")).get_class_schema(
        class_name="compliance_finding"
    )
    assert schema["additionalProperties"] is False
    validator = jsonschema.Draft202012Validator(schema)
    events = [json.loads(line) for line in out.splitlines()]
    for event in events:
        validator.validate(event)
    assert not validator.is_valid({**events[0], "colour": "red"})
    [found] = [one for one in events if one["compliance"]["control"] == "privileged"]
    assert (found["class_uid"], found["severity_id"]) == (2003, 4)
    assert "CIS 1.12 5.2.2" in found["compliance"]["requirements"]
    assert "drop the rest" in found["compliance"]["status_detail"]
    assert "privileged: false" in found["remediation"]["desc"]


def test_a_report_of_openreports_is_one_for_each_owner(manifests, baseline, capsys):
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
            "metadata": {"name": "system:a_b"},
            "rules": [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}]}  # fmt: skip
    other = role | {"metadata": {"name": "system:a-b"}}
    document = {"kind": "List", "apiVersion": "v1", "items": [role, other]}
    (manifests / "role.json").write_text(json.dumps(document), encoding="utf-8")
    _, out, _ = audited(capsys, manifests, "--format", "openreports", "--baseline", baseline)
    documents = list(yaml.safe_load_all(out))
    validator = jsonschema.Draft202012Validator(REPORT)
    for one in documents:
        validator.validate(one)
    assert not validator.is_valid(documents[0] | {"colour": "red"})
    assert len({(one["kind"], one["metadata"]["name"]) for one in documents}) == len(documents) == 3
    [report] = [one for one in documents if one["kind"] == "Report"]
    assert report["scope"]["name"] == "checkout"
    assert sum(report["summary"].values()) == len(report["results"])
    assert report["summary"]["fail"] > 0
    for result in report["results"]:
        assert result["resources"] == [report["scope"]]


@pytest.mark.parametrize(
    "output_format", ["table", "json", "sarif", "markdown", "openreports", "ocsf"]
)
def test_text_that_a_manifest_chose_changes_no_format(output_format, tmp_path, capsys):
    made = deployment(name=HOSTILE)
    made["spec"]["template"]["spec"]["containers"][0] |= {"name": HOSTILE, "image": HOSTILE}
    made["metadata"]["namespace"] = "../../" + HOSTILE
    path = tmp_path / "a.json"
    path.write_text(json.dumps(made), encoding="utf-8")
    target = tmp_path / "patches"
    code, out, _ = audited(capsys, path, "--format", output_format, "--patches", target)
    assert code == 0
    assert "\x1b" not in out
    if output_format == "markdown":
        # Without code, nothing that the manifest chose is left for a browser to read.
        prose = re.sub(r"(?ms)^(`{3,})yaml$.*?^\1$", "", out)
        prose = re.sub(r"(?s)(?<!`)(`+)(?!`).*?(?<!`)\1(?!`)", "", prose)
        assert "javascript" not in prose
        assert (prose.count("<details>"), prose.count("</details>")) == (1, 1)
    [file] = target.iterdir()
    assert yaml.safe_load(file.read_text(encoding="utf-8"))["metadata"]["name"] == HOSTILE


@pytest.mark.parametrize(
    ("name", "text", "cause"),
    [
        ("bomb.yaml", "a: &a [x]\nb: [*a, *a]\n", "anchors and aliases are not read"),
        ("chart.yaml", "kind: {{ .Values.kind }}\n", "render it first, as with `helm template`"),
        ("latin.yaml", b"a: \xff\n", "it is not UTF-8 text"),
    ],
)
def test_what_cannot_be_read_is_told_and_the_rest_is_audited(manifests, name, text, cause, capsys):
    content = text if isinstance(text, bytes) else text.encode()
    (manifests / name).write_bytes(content)
    code, out, err = audited(capsys, manifests, "--format", "json")
    assert code == 1
    assert cause in err
    document = json.loads(out)
    assert document["findings"]
    assert [Path(one["place"]).name for one in document["unreadable"]] == [name]
    assert audited(capsys, manifests, "--fail-on", "low")[0] == 12


@pytest.mark.parametrize(
    ("words", "cause"),
    [
        ([], "`audit` needs manifests, or `--cluster`, and not both"),
        (["missing.yaml"], "there is no `missing.yaml`"),
        (["deploy/values.yml"], "there is no Kubernetes object in"),
        (["deploy", "--kubernetes-version", "newest"], "`newest` is no version of Kubernetes"),
        (["deploy", "--exemptions", "none.yaml"], "there is no file of exemptions"),
        (["deploy", "--cluster", "kubelet"], "the pods of its node alone"),
    ],
)
def test_what_means_nothing_is_refused(words, cause, manifests, capsys, monkeypatch):
    monkeypatch.chdir(manifests.parent)
    code, _, err = audited(capsys, *words)
    assert (code, cause in err) == (2, True), err


def test_a_recording_says_what_was_used(tmp_path, capsys):
    recording = shop_recording(tmp_path / "rec")
    path = tmp_path / "a.yaml"
    change = {"context": {"seccompProfile": None}, "initContainers": None,
              "ephemeralContainers": None}  # fmt: skip
    path.write_text(yaml.safe_dump(deployment(change)), "utf-8")
    code, out, _ = audited(capsys, path, "--recording", recording, "--format", "json")
    assert code == 0
    found = {one["check"]: one for one in json.loads(out)["findings"]}
    evidence = found["seccompProfile_restricted"]["evidence"]
    assert evidence["verdict"] == "partly"
    assert "2 replicas it used" in evidence["words"]
