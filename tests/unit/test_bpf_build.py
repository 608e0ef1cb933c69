"""The script that compiles the BPF objects: for make, and for the wheel."""

from __future__ import annotations

import os
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit

SCRIPT = Path(__file__).parents[2] / "bpf" / "build.py"
BUILDER = runpy.run_path(str(SCRIPT))
SOURCE = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "wire.h"
char LICENSE[] SEC("license") = "GPL";
SEC("raw_tp/sys_enter") int seen(void *ctx) { return ANSWER; }
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A source tree with one program and one header."""
    (tmp_path / "bpf").mkdir()
    (tmp_path / "bpf" / "one.bpf.c").write_text(SOURCE)
    (tmp_path / "bpf" / "wire.h").write_text("#define ANSWER 0\n")
    shutil.copy(SCRIPT, tmp_path / "bpf")
    return tmp_path


def build(tree: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "bpf/build.py"],
        cwd=tree, env={**os.environ, **environment}, capture_output=True, text=True, check=False,
    )  # fmt: skip


def objects(tree: Path) -> dict[str, bytes]:
    root = tree / "profiler" / "_objects"
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*.o"))}


def test_objects_are_built_for_both_machines_with_their_btf(tree: Path) -> None:
    done = build(tree)
    assert done.returncode == 0, done.stderr
    assert set(objects(tree)) == {"aarch64/one.bpf.o", "x86_64/one.bpf.o"}
    for data in objects(tree).values():
        assert b".BTF.ext" in data
        assert b".debug_info" not in data


def test_only_what_is_older_than_its_sources_is_built_again(tree: Path) -> None:
    assert build(tree).stderr.count("built `") == 2
    assert build(tree).stderr == ""
    newest = max(p.stat().st_mtime_ns for p in (tree / "profiler").rglob("*.o"))
    os.utime(tree / "bpf" / "wire.h", ns=(newest + 1, newest + 1))
    assert build(tree).stderr.count("built `") == 2


def test_where_it_is_built_leaves_no_trace_in_the_bytes(tree: Path, tmp_path: Path) -> None:
    other = tmp_path / "a" / "longer" / "place"
    shutil.copytree(tree / "bpf", other / "bpf")
    assert build(tree).returncode == build(other).returncode == 0
    assert objects(tree) == objects(other)


def test_a_source_that_does_not_compile_leaves_the_old_object(tree: Path) -> None:
    assert build(tree).returncode == 0
    before = objects(tree)
    (tree / "bpf" / "one.bpf.c").write_text("int broken(")
    done = build(tree)
    assert done.returncode == 1
    assert done.stderr.startswith("error: `one.bpf.c` does not compile:\n")
    assert objects(tree) == before
    assert not list((tree / "profiler").rglob(".*"))


def test_a_warning_is_an_error(tree: Path) -> None:
    (tree / "bpf" / "wire.h").write_text("#define ANSWER ({ int unused; 0; })\n")
    assert "unused" in build(tree).stderr


def test_missing_tools_are_named_with_their_packages(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    done = build(tree, PATH=str(tmp_path / "empty"))
    assert done.returncode == 1
    assert done.stderr == (
        "error: no `clang` found; on Debian: apt-get install clang llvm libbpf-dev linux-libc-dev\n"
    )


def test_the_objects_of_the_tree_are_up_to_date() -> None:
    root = SCRIPT.parents[1]
    stale = [
        f"{machine}/{source.name}"
        for machine in BUILDER["MACHINES"]
        for source in (root / "bpf").glob("*.bpf.c")
        if BUILDER["is_stale"](BUILDER["object_of"](root, machine, source), source)
    ]
    assert stale == [], "run `make objects`"
