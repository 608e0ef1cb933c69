"""Inputs of `learn`, `summarize` and `merge`: directories, patterns and URLs, and what is none."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from ethogram.cli.places import expanded
from ethogram.cli.run import run
from ethogram.contracts.recording import Recording
from ethogram.contracts.remote import location_of
from ethogram.contracts.summary import write_summary
from ethogram.errors import UsageError
from learner.summary import summarize
from tests.recordings import shop_recording

pytestmark = pytest.mark.unit


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two recordings, a summary of a third, and a file that is none of ours."""
    shelf = tmp_path_factory.mktemp("shelf")
    for name in ("monday", "tuesday"):
        shop_recording(shelf / name, recording_id=name)
    other = Recording.open(shop_recording(shelf.parent / "other", recording_id="other"))
    write_summary(summarize(other), shelf / "other.summary.parquet")
    (shelf / "notes.txt").write_text("lunch at twelve\n")
    return shelf


@pytest.fixture
def memory(shelf: Path) -> Iterator[str]:
    filesystem = fsspec.filesystem("memory")
    filesystem.store.clear()
    for path in shelf.rglob("*"):
        if path.is_file():
            filesystem.pipe(f"/store/shelf/{path.relative_to(shelf)}", path.read_bytes())
    yield "memory://store/shelf"
    filesystem.store.clear()


def names(*given: str) -> list[str]:
    return [str(one).rpartition("/")[2] for one in expanded(map(location_of, given))]


def test_a_directory_is_the_recordings_and_summaries_in_it(shelf: Path, memory: str) -> None:
    all_of_them = ["monday", "other.summary.parquet", "tuesday"]
    assert names(str(shelf)) == all_of_them
    assert names(memory) == all_of_them
    assert names(f"{memory}/") == all_of_them


def test_a_pattern_that_no_shell_expanded_is_what_it_matches(shelf: Path, memory: str) -> None:
    for place in (str(shelf), memory):
        assert names(f"{place}/*day") == ["monday", "tuesday"]
        assert names(f"{place}/[m]*") == ["monday"]
        assert names(f"{place}/*.parquet", f"{place}/t*") == ["other.summary.parquet", "tuesday"]
    assert names(f"{shelf}/**/mon?ay") == ["monday"]


def test_a_place_that_is_named_twice_is_read_once(shelf: Path, memory: str) -> None:
    assert names(f"{shelf}/monday", f"{shelf}/*day") == ["monday", "tuesday"]
    assert names(memory, f"{memory}/*day") == ["monday", "other.summary.parquet", "tuesday"]


def test_a_pattern_that_nothing_matches_is_refused(shelf: Path, memory: str) -> None:
    for place in (f"{shelf}/sunday*", f"{memory}/sunday*"):
        with pytest.raises(UsageError, match=r"nothing matches `.*sunday\*`"):
            expanded([location_of(place)])


def test_what_is_named_itself_stays_for_its_reader(shelf: Path, memory: str) -> None:
    assert names(f"{shelf}/notes.txt", f"{memory}/nothing") == ["notes.txt", "nothing"]


@pytest.mark.parametrize("command", ["summarize", "merge", "learn"])
def test_what_is_none_of_ours_is_refused_by_name(
    command: str, shelf: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "out.summary.parquet")
    assert run([command, f"{shelf}/*", "-o", out]) in (1, 2)
    said = capsys.readouterr().err
    assert "error: `" in said
    assert "hint: " in said
    assert not Path(out).exists()


def test_the_order_and_the_kind_of_inputs_make_no_difference(
    shelf: Path, memory: str, tmp_path: Path
) -> None:
    written = []
    for number, places in enumerate(
        (
            [str(shelf)],
            [f"{shelf}/tuesday", f"{shelf}/other.summary.parquet", f"{shelf}/monday"],
            [memory],
            [f"{memory}/other.summary.parquet", f"{memory}/*day", str(shelf / "monday")],
        )
    ):
        out = tmp_path / str(number)
        assert run(["learn", *places, "--no-model", "--allow", "thin", "-o", str(out)]) == 0
        written.append({path.name: path.read_bytes() for path in out.iterdir()})
    assert written[0]
    assert all(one == written[0] for one in written)


def test_summaries_at_a_url_are_merged(shelf: Path, memory: str, tmp_path: Path) -> None:
    assert run(["summarize", f"{shelf}/*day", "-o", str(tmp_path / "days.summary.parquet")]) == 0
    places = [f"{memory}/other.summary.parquet", str(tmp_path / "days.summary.parquet")]
    assert run(["merge", *places, "-o", str(tmp_path / "all.summary.parquet")]) == 0
    whole = tmp_path / "whole.summary.parquet"
    assert (
        run(["summarize", *(str(shelf.parent / "other"), f"{shelf}/*day"), "-o", str(whole)]) == 0
    )
    assert (tmp_path / "all.summary.parquet").read_bytes() == whole.read_bytes()


def test_nobody_at_the_address_of_a_cluster_is_a_foreseen_failure(
    shelf: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "x.summary.parquet")
    assert run(["summarize", f"{shelf}/monday", "--dask", "", "-o", out]) == 2
    assert "`--dask` names no scheduler" in capsys.readouterr().err
    assert run(["summarize", f"{shelf}/monday", "--dask", "nonsense://", "-o", out]) == 2
    assert "there is no Dask scheduler at `nonsense://`" in capsys.readouterr().err


def test_without_the_library_dask_is_refused_by_name(
    shelf: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "distributed", None)
    out = str(tmp_path / "x.summary.parquet")
    assert run(["summarize", f"{shelf}/monday", "--dask", "local", "-o", out]) == 2
    assert "pip install 'ethogram[dask]'" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["learn", "summarize"])
def test_a_recording_of_somebody_else_is_said_to_be_his(
    command: str, shelf: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recording = shelf / "monday"
    recording.chmod(0)
    user = os.geteuid()
    if user == 0:  # who may look everywhere
        os.seteuid(65534)
    try:
        assert run([command, str(recording), "-o", "nowhere/out"]) == 1
    finally:
        os.seteuid(user)
        recording.chmod(0o700)
    said = capsys.readouterr().err
    assert f"`{recording}` cannot be read: permission denied" in said
    assert "a recording is its owner's alone" in said
