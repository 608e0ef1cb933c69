"""Differences of files: they apply as patches, stay bounded and carry no control."""

import subprocess
from pathlib import Path

import pytest

from ethogram.contracts.text_diff import text_diff

pytestmark = pytest.mark.unit

OLD = b"one\ntwo\nthree\nfour\n"
NEW = b"one\ntwo\n3\nfour\nfive\n"


def test_a_difference_counts_what_it_adds_and_removes():
    found = text_diff(OLD, NEW, path="p/x.json", most=100)
    assert (found.added, found.removed, found.hidden) == (2, 1, 0)
    assert found.lines[:2] == ("--- a/p/x.json", "+++ b/p/x.json")
    assert {"-three", "+3", "+five"} <= set(found.lines)


@pytest.mark.parametrize(("old", "new"), [(OLD, NEW), (None, NEW), (OLD, b"x"), (b"x", b"y")])
def test_git_applies_it(tmp_path: Path, old: bytes | None, new: bytes):
    file = tmp_path / "x.json"
    if old is not None:
        file.write_bytes(old)
    text = "\n".join(text_diff(old, new, path="x.json", most=100).lines) + "\n"
    subprocess.run(["git", "apply", "-"], input=text.encode(), check=True, cwd=tmp_path)
    assert file.read_bytes() == new


def test_what_is_cut_is_counted():
    new = b"".join(b"%d\n" % number for number in range(1000))
    found = text_diff(None, new, path="x", most=10)
    assert len(found.lines) == 12
    assert (found.added, found.hidden) == (1000, 991)


def test_a_file_made_to_be_slow_is_counted_and_not_compared():
    found = text_diff(b"a\nx\n" * 5000, b"b\nx\n" * 5000, path="x", most=10)
    assert len(found.lines) == 2
    assert (found.added, found.removed, found.hidden) == (5000, 5000, 10000)


def test_no_line_carries_a_control_or_is_endless():
    old, new = b"\x1b[31m\n\xff\xfe\n" + b"a" * 1_000_000 + b"\n", "\u202e\n".encode()
    found = text_diff(old, new, path="a\nb\x1b", most=100)
    assert all(line.isprintable() and len(line) < 500 for line in found.lines)
    assert r"-\x1b[31m" in found.lines
