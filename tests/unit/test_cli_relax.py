"""`ethogram relax`: policies refuse nothing, and stand again byte for byte."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ethogram.cli.run import run
from ethogram.contracts.baseline import dump_baseline
from tests.baselines import make_baseline
from tests.systemd import make_unit

pytestmark = pytest.mark.unit

FOLDER = Path("p/shop-staging/Deployment-checkout")
PROFILE = FOLDER / "nginx.seccomp.json"
EXPORT = ["export", "b.baseline.yaml", "--to", "seccomp", "--enforce", "-o", "p"]


@pytest.fixture
def exported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> dict[str, bytes]:
    """Return the files of an export."""
    monkeypatch.chdir(tmp_path)
    Path("b.baseline.yaml").write_text(dump_baseline(make_baseline("read", "write")))
    assert run(EXPORT) == 0
    capsys.readouterr()
    return files()


def files() -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in Path("p").rglob("*") if path.is_file()}


def action() -> str:
    return str(json.loads(PROFILE.read_bytes())["defaultAction"])


def test_it_relaxes_and_restores_the_same_bytes(
    exported: dict[str, bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["relax", "p", "--reason", "INC-1"]) == 0
    out, err = capsys.readouterr()
    assert action() == "SCMP_ACT_LOG"
    assert f"install -D -m 0644 {PROFILE} /var/lib/kubelet/seccomp/ethogram/checkout-nginx-" in out
    assert "# kubectl -n shop-staging rollout restart deployment/checkout" in out
    assert err.endswith("next: `ethogram relax p --restore` (when it is over)\n")
    assert run(["relax", "p"]) == 0
    assert "is relaxed already" in capsys.readouterr().err
    assert run(["relax", "p", "--restore"]) == 0
    assert files() == exported
    assert run(["relax", "p", "--restore"]) == 2
    assert "nothing in `p` is relaxed" in capsys.readouterr().err


def test_it_needs_no_index_for_one_file(
    exported: dict[str, bytes], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    alone = tmp_path / "alone.json"
    alone.write_bytes(PROFILE.read_bytes())
    assert run(["relax", str(alone)]) == 0
    assert json.loads(alone.read_bytes())["defaultAction"] == "SCMP_ACT_LOG"
    assert run(["relax", str(alone), "--restore"]) == 0
    assert alone.read_bytes() == PROFILE.read_bytes()
    assert not (tmp_path / "relaxed.json").exists()


def test_a_file_of_an_export_is_restored_with_the_rest(exported: dict[str, bytes]) -> None:
    assert run(["relax", str(PROFILE)]) == 0
    assert Path("p/relaxed.json").exists()
    assert run(["relax", "p", "--restore"]) == 0
    assert files() == exported


def test_an_export_ends_no_incident(
    exported: dict[str, bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["relax", "p", "--reason", "INC-1"]) == 0
    capsys.readouterr()
    for words, code in ((["--check"], 5), (["--force"], 2)):
        assert run([*EXPORT, *words]) == code
        err = capsys.readouterr().err
        assert "1 policy in `p`: relaxed since 20" in err
        assert "INC-1" in err
        assert "`ethogram relax p --restore` ends that" in err
    assert action() == "SCMP_ACT_LOG"
    assert run([*EXPORT, "--dry-run"]) == 0


def test_what_was_changed_since_is_not_lost(
    exported: dict[str, bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["relax", "p"]) == 0
    PROFILE.write_text("{}")
    assert run(["relax", "p", "--restore"]) == 2
    assert "was changed since it was relaxed" in capsys.readouterr().err
    assert PROFILE.read_text() == "{}"
    assert run(["relax", "p", "--restore", "--force"]) == 0
    assert files() == exported


def test_it_goes_on_where_it_was_stopped(exported: dict[str, bytes]) -> None:
    assert run(["relax", "p"]) == 0
    # As if it had been killed between the state and the policy.
    PROFILE.write_bytes(exported[str(PROFILE)])
    assert run(["relax", "p"]) == 0
    assert action() == "SCMP_ACT_LOG"
    PROFILE.write_bytes(exported[str(PROFILE)])
    assert run(["relax", "p", "--restore"]) == 0
    assert files() == exported


def test_what_cannot_be_relaxed_does_not_stop_the_others(
    exported: dict[str, bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    other = FOLDER / "other.seccomp.json"
    index = json.loads(Path("p/index.json").read_bytes())
    path = str(other.relative_to("p"))
    Path("p/index.json").write_text(
        json.dumps([{**index[0], "path": path, "target": "seccomp"}, *index])
    )
    other.write_text('{"a": "\\u001b[31m"}')
    assert run(["relax", "p"]) == 6
    err = capsys.readouterr().err
    assert f"left `{other}` as it is" in err
    assert "1 policy of 2 cannot be relaxed" in err
    assert action() == "SCMP_ACT_LOG"


def test_a_file_that_is_gone_or_too_large_does_not_stop_the_others(
    exported: dict[str, bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    index = json.loads(Path("p/index.json").read_bytes())
    names = ["gone.json", "large.json"]
    more = [{**index[0], "path": name, "target": "seccomp"} for name in names]
    Path("p/index.json").write_text(json.dumps([*more, *index]))
    with Path("p/large.json").open("wb") as file:
        file.truncate((16 << 20) + 1)
    assert run(["relax", "p"]) == 6
    err = capsys.readouterr().err
    assert "left `p/gone.json` as it is: it cannot be read: No such file" in err
    assert "left `p/large.json` as it is: it is no policy: larger than 16 MiB" in err
    assert action() == "SCMP_ACT_LOG"


@pytest.mark.parametrize(
    ("words", "cause"),
    [
        (["p", "--restore", "--reason", "x"], "`--reason` is for relaxing"),
        (["p", "--force"], "`--force` is for `--restore`"),
        (["p/shop-staging"], "has no `index.json`"),
        (["p", "--reason", "x" * 1025], "longer than 1,024 characters"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    exported: dict[str, bytes], words: list[str], cause: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["relax", *words]) == 2
    assert cause in capsys.readouterr().err
    assert files() == exported


@pytest.mark.parametrize(
    "state",
    ["{}", "[", '{"schema": "ethogram.relaxed/1", "files": [{"path": "../x"}]}'],
)
def test_a_foreign_state_is_refused(
    exported: dict[str, bytes], state: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("p/relaxed.json").write_text(state)
    assert run(["relax", "p"]) == 2
    assert "is not the state of relaxed policies" in capsys.readouterr().err
    assert action() == "SCMP_ACT_ERRNO"


def test_what_is_restarted_starts_with_what_is_in_force(
    exported: dict[str, bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    Path("u.baseline.yaml").write_text(dump_baseline(make_unit("CAP_CHOWN", calls=("read",))))
    assert run(["export", "u.baseline.yaml", "--to", "systemd", "--enforce", "-o", "u"]) == 0
    export = ["export", "b.baseline.yaml", "--to", "seccomp", "--dialect", "spo", "-o", "o"]
    assert run(export) == 0
    capsys.readouterr()
    assert run(["relax", "u"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1:] == ["systemctl daemon-reload", "# systemctl restart web.service"]
    assert run(["relax", "o"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("kubectl apply -f o/")
    assert lines[1:] == ["# kubectl -n shop-staging rollout restart deployment/checkout"]
