"""`ethogram verify`: what policies would have denied, and what nobody can say."""

import json
from pathlib import Path

import pytest

from ethogram.cli.run import run
from tests.recordings import make_recording, shop_recording
from tests.shop import SHOP_TABLES

pytestmark = pytest.mark.unit

NGINX = Path("shop-staging/Deployment-checkout/nginx.seccomp.json")


@pytest.fixture
def shop(tmp_path, monkeypatch, capsys):
    """A directory with a recording, its baselines and the policies of them."""
    monkeypatch.chdir(tmp_path)
    shop_recording(Path("shop.rec"))
    assert run(["learn", "shop.rec", "-o", "baselines", "--allow", "thin"]) == 0
    export = [
        "export",
        "baselines",
        "--to",
        "seccomp",
        "--allow",
        "thin",
        "--enforce",
        "-o",
        "policies",
    ]
    assert run([*export, "--allow-lossy"]) == 0
    capsys.readouterr()
    return tmp_path


@pytest.fixture
def verify(shop, capsys):
    """Run `verify --format json`; return the exit code and the document."""

    def verified(*words):
        code = run(["verify", *map(str, words), "--format", "json"])
        out = capsys.readouterr().out
        return code, json.loads(out) if out else None

    return verified


def without(path: Path, *names: str) -> None:
    profile = json.loads(path.read_text())
    allowed = profile["syscalls"][0]["names"]
    profile["syscalls"][0]["names"] = [name for name in allowed if name not in names]
    path.write_text(json.dumps(profile))


def test_what_was_recorded_passes_what_was_exported_from_it(verify):
    code, document = verify("policies", "--against", "shop.rec")
    assert (code, document["denied"], document["not_judged"]) == (0, [], [])
    assert {one["target"] for one in document["judged"]} == {"seccomp"}
    assert document["without_policy"] == []


def test_a_call_that_was_taken_out_is_denied_with_its_tree(shop, verify):
    without(shop / "policies" / NGINX, "getdents64")
    code, document = verify("policies", "--against", "shop.rec")
    assert code == 12
    [denied] = document["denied"]
    assert denied["rule"] == "getdents64"
    assert denied["workload_key"] == "staging/shop-staging/Deployment/checkout/nginx/main"
    example = denied["example"]
    assert (example["phase"], example["recording"]) == ("exec", "shop.rec")
    assert [process["exe"] for process in example["tree"]][-1] == "/usr/bin/dash"
    [step] = denied["relaxation"]["patch"]
    assert step == {"op": "add", "path": "/syscalls/0/names/-", "value": "getdents64"}


def test_two_recordings_add_up(shop, verify):
    shop_recording(shop / "again.rec", recording_id="01J0000000000000000000MORE")
    without(shop / "policies" / NGINX, "unlink")
    code, document = verify("policies", "--against", "shop.rec", "--against", "again.rec")
    assert code == 12
    [denied] = document["denied"]
    assert (denied["count"], denied["example"]["recording"]) == (4, "shop.rec")


def test_a_file_of_an_export_is_for_whom_its_index_says(shop, verify):
    _, document = verify(Path("policies") / NGINX, "--against", "shop.rec")
    [judged] = document["judged"]
    assert judged["policy"].endswith("nginx.seccomp.json")
    assert document["without_policy"] == ["staging/shop-staging/Deployment/loadgen/curl/main"]


def test_policies_are_carried_to_production_by_a_map(shop, verify):
    tables = {
        "workloads": [
            {"workload": 1, "namespace": "shop", "kind": "Deployment", "name": "checkout",
             "container": "nginx", "image_digest": "sha256:" + "c" * 64, "source": "cri"},
            {"workload": 2, "namespace": "shop-2", "kind": "Deployment", "name": "checkout",
             "container": "nginx", "source": "cri"},
        ],
        "instances": [{"instance": 1, "workload": 1}, {"instance": 2, "workload": 2}],
        "syscalls": [
            {"workload": number, "instance": number, "arch": "x86_64", "nr": 165, "calls": 2}
            for number in (1, 2)
        ],
    }  # fmt: skip
    make_recording(shop / "production.rec", **tables)
    (shop / "map.yaml").write_text("schema: ethogram.map/1\nnamespaces: {shop-staging: shop}\n")
    code, document = verify("policies", "--map", "map.yaml", "--against", "production.rec")
    assert code == 12
    [denied] = document["denied"]
    assert denied["rule"] == "mount"
    assert denied["workload_key"] == "_/shop/Deployment/checkout/nginx/main"


NOBODYS = """\
apiVersion: {api}
kind: {kind}
metadata: {{name: {name}, namespace: shop}}
spec:
  {selector}: {{matchLabels: {{app: nobody}}}}
  policyTypes: [Ingress]
  ingress: []
"""


def test_a_policy_that_picks_nothing_is_no_consent(shop, verify, capsys):
    (shop / "np.yaml").write_text(
        NOBODYS.format(
            api="networking.k8s.io/v1", kind="NetworkPolicy", name="a", selector="podSelector"
        )
    )
    cilium = NOBODYS.format(
        api="cilium.io/v2", kind="CiliumNetworkPolicy", name="b", selector="endpointSelector"
    )
    (shop / "cnp.yaml").write_text(cilium.replace("  policyTypes: [Ingress]\n", ""))
    words = ["policies", "np.yaml", "cnp.yaml", "--against", "shop.rec"]
    code, document = verify(*words)
    assert code == 0
    assert document["for_nothing_recorded"] == ["cnp.yaml", "np.yaml"]
    assert run(["verify", *words]) == 0
    assert "not judged: `np.yaml` picks nothing that was recorded" in capsys.readouterr().out


def test_policies_that_pick_something_are_not_called_idle(shop, verify):
    words = ["--to", "networkpolicy", "--to", "cilium", "--to", "admission"]
    export = ["export", "baselines", *words, "--allow", "thin,inexpressible", "-o", "more"]
    assert run(export) == 0
    code, document = verify("more", "--against", "shop.rec")
    assert code == 0
    assert document["judged"]
    assert document["for_nothing_recorded"] == []


def test_what_several_engines_are_asked_counts_once(shop, verify, capsys):
    words = ["--to", "admission", "--to", "kyverno", "--to", "gatekeeper"]
    export = ["export", "baselines", *words, "--allow", "thin,inexpressible", "-o", "more"]
    assert run(export) == 0
    _, document = verify("more", "--against", "shop.rec")
    amounts = {}
    for one in document["judged"]:
        amounts[one["target"]] = amounts.get(one["target"], 0) + one["count"]
    assert len(set(amounts.values())) == 1
    assert set(amounts) == {"admission", "gatekeeper", "kyverno"}
    capsys.readouterr()
    assert run(["verify", "more", "--against", "shop.rec"]) == 0
    out, err = capsys.readouterr()
    assert f"judged {amounts['admission']} pods of" in err
    questions = [line for line in out.splitlines() if line.startswith("not judged: ")]
    assert questions
    assert len(questions) == len(set(questions))


def test_losses_are_counted_and_shown(shop, verify):
    lost = [{"workload": 1, "instance": 1, "kind": "quota", "place": "syscalls", "count": 23}]
    make_recording(shop / "lossy.rec", **(SHOP_TABLES | {"losses": lost}))
    code, document = verify("policies", "--against", "lossy.rec")
    assert code == 0
    [left] = document["not_judged"]
    assert (left["count"], left["workload_key"].split("/")[3]) == (23, "checkout")


def test_nothing_judged_is_no_consent(shop, capsys):
    tables = {
        "workloads": [{"workload": 1, "kind": "Unit", "name": "sshd.service", "source": "systemd"}]
    }
    make_recording(shop / "other.rec", **tables)
    assert run(["verify", "policies", "--against", "other.rec"]) == 1
    assert "nothing was judged" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("p.json", '{"defaultAction": "SCMP_ACT_ERRNO", "defaultAction": 1}', "stands twice"),
        ("p.json", '{"defaultAction": NaN}', "no value of JSON"),
        ("p.json", '{"syscalls": [', "is not JSON"),
        ("p.json", "[" * 100_000, "nested too deeply"),
        ("p.json", '{"apiVersion": "v1", "kind": "ConfigMap"}', "can be replayed"),
        ("p.yaml", "a: &x 1\nb: *x\n", "anchors"),
        ("p.yaml", "- 1\n", "holds no object"),
        ("p.yaml", "", "holds no policy"),
        ("p.yaml", "a: \x00", "YAML"),
    ],
)
def test_a_broken_policy_is_refused_by_name(shop, capsys, name, text, words):
    (shop / name).write_text(text)
    assert run(["verify", name, "--against", "shop.rec"]) in (1, 2, 6)
    err = capsys.readouterr().err
    assert name in err
    assert words in err


def test_a_directory_without_an_index_is_no_export(shop, capsys):
    (shop / "empty").mkdir()
    assert run(["verify", "empty", "--against", "shop.rec"]) == 2
    assert "index.json" in capsys.readouterr().err


def test_a_baseline_is_no_recording(shop, capsys):
    assert run(["verify", "policies", "--against", "baselines"]) == 2
    assert "not a recording" in capsys.readouterr().err
