"""Baselines of many places, and what becomes of a watch when they change."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from detector.baselines import Baselines
from detector.file_watch import FileWatch
from detector.reload import Reloader
from ethogram.contracts.baseline import Baseline, dump_baseline
from ethogram.contracts.remote import RecordingUrl
from ethogram.contracts.suppression_file import Suppression, load_suppressions
from ethogram.errors import BaselineError
from tests.baselines import make_baseline
from tests.recordings import shop_recording
from tests.replay import Replay
from tests.unit.test_detector_judge import file_row, write_baselines

pytestmark = pytest.mark.unit

URL = "memory://shelf/baselines"


def baseline(name: str, *calls: str) -> Baseline:
    return make_baseline(*(calls or ("read",)), subject={"name": name})


def write(place: Path, *baselines: Baseline) -> None:
    place.mkdir(parents=True, exist_ok=True)
    for one in baselines:
        (place / f"{one.subject.name}.baseline.yaml").write_text(dump_baseline(one))


def names(baselines: Baselines) -> list[str]:
    return sorted(known.baseline.subject.name for known in baselines.load().known)


@pytest.fixture
def memory() -> Iterator[fsspec.AbstractFileSystem]:
    filesystem = fsspec.filesystem("memory")
    filesystem.store.clear()
    yield filesystem
    filesystem.store.clear()


# --- places ---------------------------------------------------------------------------------------


def test_files_directories_and_urls_are_one_library(
    tmp_path: Path, memory: fsspec.AbstractFileSystem
) -> None:
    write(tmp_path / "dir", baseline("a"), baseline("b"))
    write(tmp_path / "other", baseline("c"), baseline("d"))
    memory.pipe("/shelf/baselines/e.baseline.yaml", dump_baseline(baseline("e")).encode())
    memory.pipe("/shelf/baselines/notes.txt", b"no baseline")
    memory.pipe("/shelf/f.baseline.yaml", dump_baseline(baseline("f")).encode())
    places = [
        tmp_path / "dir",
        tmp_path / "other" / "c.baseline.yaml",
        tmp_path / "dir" / "a.baseline.yaml",  # once more
        RecordingUrl(URL),
        RecordingUrl("memory://shelf/f.baseline.yaml"),
    ]
    baselines = Baselines(places)
    assert names(baselines) == ["a", "b", "c", "e", "f"]
    files = {str(known.file) for known in baselines.load().known}
    assert f"{URL}/e.baseline.yaml" in files
    assert "memory://shelf/f.baseline.yaml" in files


def test_a_checkout_is_read_with_what_is_below_and_without_what_is_git(tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    write(checkout / "teams" / "shop", baseline("a"))
    write(checkout, baseline("b"))
    for words in (["init", "-q"], ["add", "-A"]):
        subprocess.run(["git", *words], cwd=checkout, check=True, capture_output=True)
    write(checkout / ".git" / "kept", baseline("stale"))
    assert names(Baselines([checkout])) == ["a", "b"]


def test_what_is_wrong_in_one_place_refuses_all_of_them(
    tmp_path: Path, memory: fsspec.AbstractFileSystem
) -> None:
    write(tmp_path / "good", baseline("a"))
    write(tmp_path / "twice", baseline("a"))
    (tmp_path / "empty").mkdir()
    cases = {
        tmp_path / "twice": "neither more specifically",
        tmp_path / "empty": "there is no `*.baseline.yaml` in",
        tmp_path / "nowhere": "there is no baseline",
        RecordingUrl(URL): f"there is no `*.baseline.yaml` at `{URL}`",
    }
    for place, cause in cases.items():
        with pytest.raises(BaselineError, match=cause.replace("*", r"\*")):
            Baselines([tmp_path / "good", place]).load()


def test_what_did_not_change_is_not_made_anew(tmp_path: Path) -> None:
    write(tmp_path / "dir", baseline("a"), baseline("b"))
    baselines = Baselines([tmp_path / "dir"])
    before = {one.file.name: one for one in baselines.load().known}
    write(tmp_path / "dir", baseline("b", "read", "write"))
    after = {one.file.name: one for one in baselines.load().known}
    assert after["a.baseline.yaml"] is before["a.baseline.yaml"]
    assert after["b.baseline.yaml"] is not before["b.baseline.yaml"]


# --- changes --------------------------------------------------------------------------------------


def loaded(place: Path | RecordingUrl) -> Reloader:
    baselines = Baselines([place])
    baselines.load()
    return Reloader(baselines, poll_s=1)


def test_a_change_is_taken_rubbish_is_not_and_both_are_told_once(tmp_path: Path) -> None:
    place = tmp_path / "dir"
    write(place, baseline("a"))
    reloader = loaded(place)
    reloader.look()
    assert reloader.take() == []
    write(place, baseline("b"))
    reloader.look()
    reloader.look()
    (update,) = reloader.take()
    assert update.library is not None
    assert len(update.library.known) == 2
    (place / "b.baseline.yaml").write_text("rubbish")
    reloader.look()
    reloader.look()
    (update,) = reloader.take()
    assert update.library is None
    assert f"`{place / 'b.baseline.yaml'}` is not a baseline" in str(update.trouble)
    write(place, baseline("b"))
    reloader.look()
    (update,) = reloader.take()
    assert update.library is not None
    reloader.close()


def test_of_baselines_that_nobody_took_the_newest_are_kept(tmp_path: Path) -> None:
    place = tmp_path / "dir"
    write(place, baseline("a"))
    reloader = loaded(place)
    for name in ("b", "c"):
        write(place, baseline(name))
        reloader.look()
    for number in range(5):
        (place / "d.baseline.yaml").write_text(f"rubbish {number}: [")
        reloader.look()
    taken = reloader.take()
    assert [len(one.library.known) for one in taken if one.library] == [3]
    assert taken[-1].trouble is not None
    reloader.close()


def test_a_store_that_changes_is_seen(memory: fsspec.AbstractFileSystem) -> None:
    file = "/shelf/baselines/a.baseline.yaml"
    memory.pipe(file, dump_baseline(baseline("a")).encode())
    reloader = loaded(RecordingUrl(URL))
    reloader.look()
    assert reloader.take() == []
    memory.pipe(file, dump_baseline(baseline("a", "read", "openat")).encode())
    reloader.look()
    (update,) = reloader.take()
    assert update.library is not None
    memory.rm(file)
    reloader.look()
    (update,) = reloader.take()
    assert "there is no `*.baseline.yaml`" in str(update.trouble)
    reloader.close()


def test_the_thread_sees_a_file_that_changes(tmp_path: Path) -> None:
    place = tmp_path / "dir"
    write(place, baseline("a"))
    reloader = loaded(place)
    reloader.start()
    write(place, baseline("b"))
    pause = FileWatch()  # only to wait with
    taken = []
    for _ in range(200):
        pause.wait(0.1)
        if taken := reloader.take():
            break
    assert taken[-1].library is not None
    reloader.close()
    pause.close()


def test_the_names_that_count_are_told_and_others_are_not(tmp_path: Path) -> None:
    watch = FileWatch()
    watch.follow([(tmp_path, frozenset({"mine"}))])
    (tmp_path / "other").write_text("x")
    assert not watch.wait(0.05)
    (tmp_path / "other").rename(tmp_path / "mine")
    assert watch.wait(5)
    assert not watch.wait(0)
    watch.follow([(tmp_path, None)])
    (tmp_path / "third").write_text("x")
    assert watch.wait(5)
    watch.wake()
    assert watch.wait(5)
    watch.close()


class Counted(FileWatch):
    looks = 0

    def _has_changed(self) -> bool:
        self.looks += 1
        return super()._has_changed()


def test_a_busy_directory_ends_no_wait_and_is_looked_at_now_and_then(tmp_path: Path) -> None:
    watch, is_over = Counted(), threading.Event()
    watch.follow([(tmp_path, frozenset({"mine"}))])

    def busy() -> None:
        while not is_over.is_set():
            (tmp_path / "other").write_text("x")

    thread = threading.Thread(target=busy)
    thread.start()
    try:
        assert not watch.wait(0.5)
    finally:
        is_over.set()
        thread.join()
    assert watch.looks <= 5
    (tmp_path / "mine").write_text("x")
    assert watch.wait(5)
    watch.close()


def test_a_directory_that_is_gone_is_forgotten(tmp_path: Path) -> None:
    watch = FileWatch()
    watch.follow([(tmp_path, frozenset({"mine"}))])
    for number in range(20):
        below = tmp_path / str(number)
        below.mkdir()
        watch.follow([(below, None)])
        below.rmdir()
    watch.wait(0)
    watch.wait(0)
    assert watch.followed == 1
    watch.close()


def suppressing(path: Path, rule: str) -> tuple[Suppression, ...]:
    path.write_text(
        f"schema: ethogram.suppressions/1\nsuppressions:\n  - {{rule: {rule}, owner: alice, "
        'reason: why, expires: "2999-01-31"}\n'
    )
    return load_suppressions(path)


def test_suppressions_that_changed_before_the_thread_began_are_taken(tmp_path: Path) -> None:
    write(tmp_path / "b", baseline("a"))
    path = tmp_path / "s.yaml"
    known = suppressing(path, "recon-tool")
    baselines = Baselines([tmp_path / "b"])
    baselines.load()
    same = Reloader(baselines, poll_s=60, suppressions=path, known=known)
    same.look_at_suppressions()
    assert same.take() == []
    suppressing(path, "miner-pool")
    changed = Reloader(baselines, poll_s=60, suppressions=path, known=known)
    changed.look_at_suppressions()
    (update,) = changed.take()
    assert [one.rule for one in update.suppressions or ()] == ["miner-pool"]
    path.unlink()
    path.mkdir()
    for _ in range(2):
        changed.look_at_suppressions()
    (update,) = changed.take()
    assert update.is_of_suppressions
    assert update.trouble
    for reloader in (same, changed):
        reloader.close()


def test_a_checkout_that_is_swapped_by_its_link_is_seen(tmp_path: Path) -> None:
    write(tmp_path / "v1", baseline("a"))
    write(tmp_path / "v2", baseline("a", "read", "write"))
    (tmp_path / "current").symlink_to("v1")
    reloader = loaded(tmp_path / "current")
    (tmp_path / "next").symlink_to("v2")
    (tmp_path / "next").replace(tmp_path / "current")
    reloader.look()
    (update,) = reloader.take()
    assert update.library is not None
    reloader.close()


# --- what a watch makes of them -------------------------------------------------------------------


def test_new_baselines_judge_from_the_next_window_and_findings_stay(tmp_path: Path) -> None:
    place = write_baselines(shop_recording(tmp_path / "rec"), tmp_path / "baselines")
    replay = Replay(place)
    replay.recording(shop_recording(tmp_path / "again"))
    (first,) = replay.rows(8, files=[file_row("/etc/hosts.deny")])
    for path in place.iterdir():
        text = path.read_text().replace("/usr/share/nginx/html/index.html", "/etc/hosts.deny")
        path.write_text(text)
    replay.watched.replace(Baselines([place]).load())
    (second,) = replay.rows(9, files=[file_row("/etc/hosts.deny"), file_row("/etc/hosts.allow")])
    assert second.evidence.observed == "/etc/hosts.allow (r)"
    (third,) = replay.rows(10, files=[file_row("/usr/share/nginx/html/index.html")])
    assert third.evidence.observed == "/usr/share/nginx/html/index.html (r)"
    replay.judge.findings.tell_again(10**19, is_last=True)
    assert [one.count for one in replay.findings if one.fingerprint == first.fingerprint] == [1]
    standing = {one.subject.name: one.findings for one in replay.watched.statuses()}
    assert standing["checkout"] == 3
