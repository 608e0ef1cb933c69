"""Files that are whole or absent, and what is never replaced by one."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from ethogram.contracts.durable import TEMPORARY_SUFFIX, replace_file

pytestmark = pytest.mark.unit


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"before, and longer")
    replace_file(file, b"after", mode=0o640)
    assert file.read_bytes() == b"after"
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert [one.name for one in tmp_path.iterdir()] == ["file"]


def test_a_link_is_replaced_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_bytes(b"kept")
    (tmp_path / "link").symlink_to("elsewhere")
    replace_file(tmp_path / "link", b"new")
    assert not (tmp_path / "link").is_symlink()
    assert (tmp_path / "elsewhere").read_bytes() == b"kept"


@pytest.mark.parametrize("through_link", [False, True])
def test_what_is_no_file_stays(tmp_path: Path, through_link: bool) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    place = pipe
    if through_link:
        place = tmp_path / "link"
        place.symlink_to(pipe)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(FileExistsError):
        replace_file(place, b"data")
    assert stat.S_ISFIFO(place.stat().st_mode)
    assert place.is_symlink() == through_link
    assert sorted(tmp_path.iterdir()) == before


def test_a_directory_stays(tmp_path: Path) -> None:
    (tmp_path / "place").mkdir()
    with pytest.raises(IsADirectoryError):
        replace_file(tmp_path / "place", b"data")
    assert not (tmp_path / f"place{TEMPORARY_SUFFIX}").exists()
