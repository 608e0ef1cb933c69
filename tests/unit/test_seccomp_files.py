"""Profiles on a node: named by content, never changed, and gone only when no pod names them."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path

import pytest

from ethogram.cli.run import run
from ethogram.errors import UsageError
from ethogram.webhook.seccomp_patch import read_confirmed
from profiler.seccomp_files import (
    held_profiles,
    install_profile,
    profiles_in,
    profiles_of_pods,
    remove_unused,
)

pytestmark = pytest.mark.unit


def content_of(*calls: str) -> bytes:
    rule = {"names": list(calls), "action": "SCMP_ACT_ALLOW"}
    document = {"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [rule]}
    return json.dumps(document).encode()


def file_of(directory: Path, content: bytes, name: str = "shop-web") -> str:
    directory.mkdir(exist_ok=True)
    file = f"{name}-{hashlib.sha256(content).hexdigest()[:12]}.json"
    (directory / file).write_bytes(content)
    return f"ethogram/{file}"


@pytest.fixture
def policies(tmp_path: Path) -> Path:
    file_of(tmp_path / "policies", content_of("read"))
    return tmp_path / "policies"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "kubelet/seccomp"


def test_a_new_version_is_a_new_file_beside_the_old_one(policies: Path, root: Path) -> None:
    assert run(["profiles", str(policies), "--root", str(root)]) == 0
    old = held_profiles(root).names
    (policies / Path(old[0]).name).unlink()
    new = file_of(policies, content_of("read", "write"))
    assert run(["profiles", str(policies), "--root", str(root)]) == 0
    assert held_profiles(root).names == tuple(sorted((*old, new)))
    assert (root / new).stat().st_mode & 0o777 == 0o644


def test_what_is_there_already_is_not_written_again(policies: Path, root: Path) -> None:
    ((name, content),) = profiles_in(policies).items()
    assert install_profile(root, name, content) is True
    before = (root / name).stat()
    assert install_profile(root, name, content) is False
    assert (root / name).stat() == before


def test_what_somebody_changed_is_put_right_and_until_then_not_held(
    policies: Path, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ((name, content),) = profiles_in(policies).items()
    install_profile(root, name, content)
    (root / name).write_bytes(content_of("read", "mount"))
    assert held_profiles(root) == type(held_profiles(root))((), (name,))
    assert run(["profiles", "--root", str(root)]) == 1
    assert "not what their names say" in capsys.readouterr().err
    assert run(["profiles", str(policies), "--root", str(root)]) == 0
    assert held_profiles(root).names == (name,)


def test_the_report_is_what_the_webhook_reads(
    policies: Path, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = tmp_path / "report.json"
    words = ["--root", str(root), "--node", "node-1", "--report", str(report)]
    assert run(["profiles", str(policies), *words]) == 0
    assert capsys.readouterr().out == report.read_text()
    assert read_confirmed(report) == set(profiles_in(policies))


@pytest.mark.parametrize(
    ("content", "name", "words"),
    [
        (b"{}", "web-000000000000.json", "is not what its name says"),
        (content_of("read"), "web.json", "no name of a profile of ours"),
        (content_of("read"), "web-0123456789AB.json", "no name of a profile of ours"),
    ],
)
def test_what_is_not_named_by_its_content_is_refused(
    tmp_path: Path, root: Path, content: bytes, name: str, words: str
) -> None:
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / name).write_bytes(content)
    with pytest.raises(UsageError) as caught:
        profiles_in(tmp_path / "p")
    assert words in str(caught.value)
    assert run(["profiles", str(tmp_path / "p"), "--root", str(root)]) == 2
    assert not root.exists()


def test_what_is_no_profile_is_refused(tmp_path: Path) -> None:
    file_of(tmp_path / "p", b'{"defaultAction": "SCMP_ACT_PARTY"}')
    with pytest.raises(UsageError, match="is no seccomp profile"):
        profiles_in(tmp_path / "p")


def test_a_link_leads_nowhere(policies: Path, root: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    root.mkdir(parents=True)
    (root / "ethogram").symlink_to(tmp_path / "elsewhere")
    assert run(["profiles", str(policies), "--root", str(root)]) == 2
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_only_ours_go_and_only_unused(root: Path) -> None:
    names = [file_of(root / "ethogram", content_of(call)) if root.is_dir() or
             not root.mkdir(parents=True) else "" for call in ("read", "write")]  # fmt: skip
    (root / "ethogram" / "notes.json").write_text("{}")
    (root / "other-0123456789ab.json").write_text("{}")
    assert remove_unused(root, [names[0]]) == [names[1]]
    assert held_profiles(root).names == (names[0],)
    assert (root / "ethogram" / "notes.json").exists()
    assert (root / "other-0123456789ab.json").exists()
    (root / "ethogram" / "notes.json").unlink()
    assert remove_unused(root, []) == [names[0]]
    assert not (root / "ethogram").exists()


def test_a_pod_names_profiles_in_four_places() -> None:
    def of(name: str) -> dict[str, object]:
        return {"securityContext": {"seccompProfile": {"type": "Localhost",
                                                       "localhostProfile": name}}}  # fmt: skip

    pods = [
        {"spec": of("a") | {"containers": [of("b"), {}], "initContainers": [of("c")]}},
        {"spec": {"containers": None, "ephemeralContainers": [of("d")]}},
        {"spec": {"securityContext": {"seccompProfile": {"type": "RuntimeDefault"}}}},
        {"spec": None},
        {},
    ]
    assert profiles_of_pods(pods) == {"a", "b", "c", "d"}


def test_nothing_is_pruned_without_knowing_the_pods(root: Path) -> None:
    assert run(["profiles", "--root", str(root), "--prune"]) == 2


def given(content: bytes) -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(content))


def test_what_nodes_say_becomes_one_document(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    told = [{"schema": "ethogram.confirmed/1", "nodes": {node: names}}
            for node, names in (("n1", ["old"]), ("n2", ["a", "b"]), ("n1", ["a"]))]  # fmt: skip
    text = json.dumps(told[0]) + json.dumps(told[1], indent=1) + "\n" + json.dumps(told[2])
    monkeypatch.setattr("sys.stdin", given(text.encode()))
    assert run(["profiles", "--merge"]) == 0
    (tmp_path / "confirmed.json").write_text(capsys.readouterr().out)
    assert read_confirmed(tmp_path / "confirmed.json") == {"a"}
    for rest in b"error: no such pod", b"\xff":
        monkeypatch.setattr("sys.stdin", given(text.encode() + rest))
        assert run(["profiles", "--merge"]) == 2
        assert capsys.readouterr().out == ""


def test_a_directory_that_is_still_empty_is_waited_for(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no seccomp profile"):
        profiles_in(tmp_path)
    assert profiles_in(tmp_path, may_be_empty=True) == {}
    with pytest.raises(UsageError, match="there is no directory"):
        profiles_in(tmp_path / "gone", may_be_empty=True)
