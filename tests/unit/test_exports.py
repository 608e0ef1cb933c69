"""Writing exports: nothing is overwritten unasked, nothing leaves the directory."""

import hashlib
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from ethogram.contracts.exports import (
    INDEX_NAME,
    Artifact,
    artifact_path,
    plan,
    read_index,
    write_plan,
)
from ethogram.contracts.file_names import safe_part
from ethogram.errors import ExportError, UsageError

pytestmark = pytest.mark.unit

DIGEST = "0" * 64


def artifact(path="shop/Deployment-checkout/nginx.seccomp.json", content=b"{}\n", key="a"):
    return Artifact(path, "seccomp", key, content)


def write(directory, *artifacts, force=False):
    return write_plan(plan(directory, [(a, DIGEST) for a in artifacts]), force=force)


def files(directory):
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file()
    }


def test_an_export_is_its_files_and_an_index(tmp_path):
    assert write(tmp_path / "out", artifact()) == [artifact().path]
    (entry,) = json.loads((tmp_path / "out" / INDEX_NAME).read_bytes())
    assert entry == {
        "path": artifact().path,
        "target": "seccomp",
        "workload_key": "a",
        "sha256": hashlib.sha256(b"{}\n").hexdigest(),
        "baseline_sha256": DIGEST,
    }
    assert (tmp_path / "out" / artifact().path).read_bytes() == b"{}\n"


def test_the_index_says_where_a_file_is_installed(tmp_path):
    profile = replace(artifact(), installs_as="ethogram/checkout-0123456789ab.json")
    write(tmp_path, profile)
    (entry,) = read_index(tmp_path)
    assert entry.installs_as == profile.installs_as


def test_a_file_is_not_installed_elsewhere(tmp_path):
    write(tmp_path, replace(artifact(), installs_as="ethogram/a.json"))
    index = tmp_path / INDEX_NAME
    index.write_text(index.read_text().replace("ethogram/a.json", "../../a.json"))
    with pytest.raises(UsageError):
        read_index(tmp_path)


def test_exporting_again_writes_nothing(tmp_path):
    write(tmp_path, artifact())
    before = (tmp_path / INDEX_NAME).stat().st_mtime_ns
    assert write(tmp_path, artifact()) == []
    assert (tmp_path / INDEX_NAME).stat().st_mtime_ns == before


def test_the_order_of_artifacts_does_not_show(tmp_path):
    artifacts = [artifact(f"a/b/{n}.x.json", key=str(n)) for n in range(5)]
    write(tmp_path / "one", *artifacts)
    write(tmp_path / "two", *reversed(artifacts))
    assert files(tmp_path / "one") == files(tmp_path / "two")


def test_a_file_that_differs_is_replaced_only_with_force(tmp_path):
    write(tmp_path, artifact())
    before = files(tmp_path)
    other = artifact(content=b"[]\n")
    with pytest.raises(UsageError, match="exists and differs") as error:
        write(tmp_path, other, artifact("new/a/b.x.json"))
    assert "--force" in error.value.hint
    assert files(tmp_path) == before
    assert write(tmp_path, other, force=True) == [other.path]
    assert files(tmp_path)[other.path] == b"[]\n"


def test_a_plan_alone_writes_nothing(tmp_path):
    planned = plan(tmp_path / "out", [(artifact(), DIGEST)])
    assert planned.of("new") == [artifact().path]
    assert not (tmp_path / "out").exists()


def test_a_plan_says_what_is_not_as_it_would_be_written(tmp_path):
    pair = (artifact(), DIGEST)
    assert plan(tmp_path, [pair]).of("new") == [artifact().path]
    write(tmp_path, artifact())
    assert plan(tmp_path, [pair]).of("same") == [artifact().path]
    (tmp_path / artifact().path).write_bytes(b"edited\n")
    assert plan(tmp_path, [pair]).of("changed") == [artifact().path]


def test_a_plan_sees_a_baseline_that_changed_behind_the_same_policy(tmp_path):
    write(tmp_path, artifact())
    assert plan(tmp_path, [(artifact(), DIGEST)]).index_state == "same"
    assert plan(tmp_path, [(artifact(), "1" * 64)]).index_state == "changed"


def test_a_second_export_keeps_the_entries_of_the_first(tmp_path):
    write(tmp_path, artifact("a/b/c.x.json"))
    write(tmp_path, artifact("d/e/f.x.json"))
    assert [entry.path for entry in read_index(tmp_path)] == ["a/b/c.x.json", "d/e/f.x.json"]


def test_two_artifacts_for_one_file_are_refused(tmp_path):
    with pytest.raises(ExportError, match="`a` and `b`"):
        plan(tmp_path, [(artifact(key="a"), DIGEST), (artifact(key="b"), DIGEST)])


@pytest.mark.parametrize("path", ["../x.json", "/etc/x.json", "a/../../x", "", "a\0b"])
def test_an_artifact_outside_of_the_directory_is_refused(tmp_path, path):
    with pytest.raises(ExportError, match="outside"):
        plan(tmp_path, [(artifact(path), DIGEST)])


def test_a_link_out_of_the_directory_is_not_followed(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out" / "shop").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match="leads out"):
        write(tmp_path / "out", artifact())
    assert list((tmp_path / "elsewhere").rglob("*.json")) == []


@pytest.mark.parametrize(
    "index",
    [b"", b"{", b"{}", b"[1]", b'[{"path": "../x"}]', b"\xff\xfe", b"[" * 100_000],
    ids=["empty", "cut", "object", "number", "traversal", "binary", "deep"],
)
def test_a_foreign_index_is_refused_and_kept(tmp_path, index):
    (tmp_path / INDEX_NAME).write_bytes(index)
    with pytest.raises(UsageError, match="not the index"):
        write(tmp_path, artifact(), force=True)
    assert files(tmp_path) == {INDEX_NAME: index}


def test_an_output_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "out").write_text("x")
    with pytest.raises(UsageError):
        write(tmp_path / "out", artifact())


def test_a_directory_that_cannot_be_written_is_said(tmp_path):
    if os.geteuid() == 0:
        target = Path("/proc/ethogram-export")
    else:
        target = tmp_path / "locked"
        target.mkdir(mode=0o500)
    with pytest.raises(UsageError, match="cannot be written"):
        write(target, artifact())


def test_a_path_is_namespace_workload_and_container():
    path = artifact_path(
        namespace="shop", kind="Deployment", name="checkout", unit="nginx", target="seccomp",
        suffix="json",
    )  # fmt: skip
    assert path == "shop/Deployment-checkout/nginx.seccomp.json"
    path = artifact_path(
        namespace=None, kind="Command", name="curl", unit=None, target="seccomp", suffix="json"
    )
    assert path == "_/Command-curl/pod.seccomp.json"


@pytest.mark.parametrize(
    "part", ["", ".", "..", "_", "-rf", ".hidden", "a/b", "a\nb", "\udcff", "x" * 300, "é"]
)
def test_a_strange_name_becomes_a_plain_one_of_its_own(part):
    safe = safe_part(part)
    assert safe.isascii()
    assert len(safe) < 80
    assert safe[0] not in ".-"
    assert not set(safe) & set("/\n\0")
    assert safe != safe_part(None)
    assert safe != safe_part(part + "x")
