"""What is done for the first time is told at once, once, and counted once."""

import os
import secrets
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from ethogram.contracts.events import News, RecordKind
from profiler.identity.hierarchy import Hierarchy
from profiler.loaders.base import Drained, KernelConfig
from profiler.loaders.core import CoreLoader
from profiler.loaders.features import KernelFeatures
from profiler.loaders.optional import OPTIONAL_PROGRAMS
from tests.workloads import known

pytestmark = pytest.mark.bpf

GETPPID, SETHOSTNAME, GETSID, UMASK = 110, 170, 124, 95
MOST = 64  # bytes of a host's name
SYS_ADMIN = 21
PASSWD = ["open", "/etc/passwd", "r"]


@pytest.fixture(scope="module", params=["cast", "plain"])
def loader(request: pytest.FixtureRequest) -> Iterator[CoreLoader]:
    features = None
    if request.param == "plain":
        features = KernelFeatures(has_rdonly_cast=False, has_task_storage=False)
    # As a watch has it, so that the verifier of each kernel sees all of it.
    config = KernelConfig(
        record_by_default=False, recorder_tgid=os.getpid(), features=features, tells_news=True,
        knows_grams=True,
    )  # fmt: skip
    loader = CoreLoader(config)
    try:
        loader.attach(lambda: None)
        loader.arm()
        yield loader
    finally:
        loader.close()


@pytest.fixture
def cgroup(loader: CoreLoader) -> Iterator[Path]:
    mount = Hierarchy().mount
    assert mount is not None
    cgroup = mount / f"ethogram-test-{secrets.token_hex(4)}"
    cgroup.mkdir()
    number = cgroup.stat().st_ino
    loader.set_target(number, is_recorded=True)
    loader.end_window()
    try:
        yield cgroup
    finally:
        cgroup.rmdir()
        loader.forget(number, loader.host_mntns, [])


def _run(cgroup: Path, *actions: list[object]) -> None:
    join = cgroup / "cgroup.procs"
    subprocess.run(
        known(*actions), preexec_fn=lambda: join.write_text("0") and None, check=True, timeout=60
    )


def _told(loader: CoreLoader) -> Counter[News]:
    batches = loader.poll().get(RecordKind.NEWS, [])
    return Counter(News(int(kind)) for batch in batches for kind in batch.heads["news"])


def _calls(drained: Drained, nr: int) -> int:
    return int(drained.calls["calls"][drained.calls["nr"] == nr].sum())


def _opens(*parts: Drained) -> Counter[tuple[int, int]]:
    opens: Counter[tuple[int, int]] = Counter()
    for part in parts:
        keys, values = part.sets["files"]
        for key, value in zip(keys, values, strict=True):
            opens[int(key["ino"]), int(key["access"])] += int(value["calls"])
    return opens


def test_what_a_look_gives_out_is_no_part_of_the_window(loader: CoreLoader, cgroup: Path) -> None:
    actions = [["call", GETPPID, 23], *[PASSWD] * 5, ["connect", "127.0.0.1", 1]]
    _run(cgroup, *actions)
    look = loader.look()
    _run(cgroup, *actions)
    rest = loader.end_window()
    inode = Path("/etc/passwd").stat().st_ino
    assert _calls(look, GETPPID) == 1
    assert _calls(look, GETPPID) + _calls(rest, GETPPID) == 46
    assert {n for (ino, _), n in _opens(look, rest).items() if ino == inode} == {10}
    assert sum(_opens(look).values()) > 0
    peers = [part.sets["flows"][1]["connections"].sum() for part in (look, rest)]
    assert peers == [1, 1]


def _callers(drained: Drained, nr: int) -> list[int]:
    return drained.callers["exec_key"][drained.callers["nr"] == nr].tolist()


def _execs(drained: Drained) -> set[int]:
    return {
        int(key)
        for batch in drained.records.get(RecordKind.EXEC, [])
        for key in batch.heads["exec_key"]
    }


def test_a_call_that_is_new_names_who_made_it(loader: CoreLoader, cgroup: Path) -> None:
    _run(cgroup, ["call", GETSID, 3])
    look = loader.look()
    (caller,) = _callers(look, GETSID)
    assert caller in _execs(look)
    _run(cgroup, ["call", GETSID, 3], ["fork", 1, [["call", UMASK, 1]]])
    drained = loader.end_window()
    assert not _callers(drained, GETSID)
    (child,) = _callers(drained, UMASK)
    forks = drained.records[RecordKind.FORK]
    assert child in {int(key) for batch in forks for key in batch.heads["exec_key"]}
    assert not len(loader.look().callers)
    loader.end_window()


def test_the_second_time_is_no_news(loader: CoreLoader, cgroup: Path) -> None:
    _run(cgroup, PASSWD, ["spawn", "/bin/true"])
    first = _told(loader)
    assert first[News.EXEC] >= 2
    assert first[News.FILE] >= 1
    assert first[News.CALL] >= 1
    loader.end_window()
    _run(cgroup, PASSWD, ["spawn", "/bin/true"])
    again = _told(loader)
    assert not again[News.EXEC]
    assert not again[News.FILE]
    _run(cgroup, PASSWD, ["open", "/etc/group", "r"])
    assert _told(loader)[News.FILE] == 1


def test_news_wake_whoever_waits(loader: CoreLoader, cgroup: Path) -> None:
    _run(cgroup, PASSWD)
    loader.end_window()
    join = cgroup / "cgroup.procs"
    with subprocess.Popen(
        known(["open", "/etc/group", "r"], ["wait-byte"]),
        preexec_fn=lambda: join.write_text("0") and None,  # noqa: PLW1509
        stdin=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        while not _told(loader)[News.FILE]:
            loader.wait(60)
        process.stdin.write(b"\n")
    loader.end_window()


def test_allowed_calls_and_muted_slots_are_no_news(loader: CoreLoader, cgroup: Path) -> None:
    _run(cgroup, PASSWD)
    drained = loader.end_window()
    slots = {int(slot) for slot in drained.calls["slot"]} - {0}
    assert drained.calls["calls"].sum() > 0
    allowed = np.full(64, 0xFF, np.uint8).tobytes()
    for slot in slots:
        loader.push(slot, allowed, is_muted=False)
    _run(cgroup, ["call", GETPPID, 1], ["open", "/etc/group", "r"])
    told = _told(loader)
    assert told[News.CALL] == 0
    assert told[News.FILE] == 1
    for slot in slots:
        loader.push(slot, bytes(64), is_muted=True)
    _run(cgroup, ["call", 102, 1], ["open", "/etc/hostname", "r"])
    assert not _told(loader)
    loader.end_window()


def _keys_of(drained: Drained, path: str) -> np.ndarray:
    keys, _ = drained.sets["files"]
    status = Path(path).stat()
    return keys[(keys["ino"] == status.st_ino) & (keys["errnum"] == 0)]


def test_an_open_that_is_allowed_is_only_counted(loader: CoreLoader, cgroup: Path) -> None:
    inode = Path("/etc/passwd").stat().st_ino
    _run(cgroup, PASSWD)
    keys = _keys_of(loader.end_window(), "/etc/passwd")
    loader.pass_keys("files", keys)
    _run(cgroup, *[PASSWD] * 7, ["open", "/etc/passwd", "rw"], ["open", "/etc/group", "r"])
    passed = loader.end_window()
    assert sum(passed.passed["opens"].values()) == 7
    assert sorted(n for (ino, _), n in _opens(passed).items() if ino == inode) == [1]
    assert len(_keys_of(passed, "/etc/group")) == 1
    loader.tell_keys("files", set(keys["slot"].tolist()))
    _run(cgroup, *[PASSWD] * 7)
    told = loader.end_window()
    assert not told.passed["opens"]
    assert _opens(told)[inode, 1] == 7


def test_a_peer_that_is_allowed_is_only_counted(loader: CoreLoader, cgroup: Path) -> None:
    allowed, other = ["connect", "127.0.0.1", 1], ["connect", "127.0.0.1", 2]
    _run(cgroup, allowed)
    keys, _ = loader.end_window().sets["flows"]
    assert len(keys) == 1
    loader.pass_keys("flows", keys)
    _run(cgroup, *[allowed] * 5, other)
    told = _told(loader)
    assert told[News.FLOW] == 1
    passed = loader.end_window()
    assert passed.passed["connects"] == {int(keys["slot"][0]): 5}
    assert passed.sets["flows"][0]["peer_port"].tolist() == [2]
    loader.tell_keys("flows", set(keys["slot"].tolist()))
    _run(cgroup, allowed)
    told_again = loader.end_window()
    assert not told_again.passed["connects"]
    assert told_again.sets["flows"][0]["peer_port"].tolist() == [1]


def test_a_capability_that_is_allowed_is_not_told_of(loader: CoreLoader, cgroup: Path) -> None:
    use = ["call", SETHOSTNAME, 1, 0, MOST + 1]  # CAP_SYS_ADMIN is asked for first of all
    _run(cgroup, use)
    keys, _ = loader.end_window().sets["privileges"]
    keys = keys[(keys["capability"] == SYS_ADMIN) & (keys["granted"] == 1)]
    assert len(keys) == 1
    slot = int(keys["slot"][0])
    for allowed in (1 << SYS_ADMIN, 0):
        loader.pass_capabilities(slot, allowed)
        _run(cgroup, use)
        keys, _ = loader.end_window().sets["privileges"]
        assert (SYS_ADMIN in keys["capability"]) == (not allowed)


def test_what_has_no_room_is_told_of(loader: CoreLoader, cgroup: Path) -> None:
    _run(cgroup, PASSWD)
    (key,) = _keys_of(loader.end_window(), "/etc/passwd")
    many = np.repeat(np.array([key]), 2049)
    many["ino"][:2048] += np.arange(1, 2049, dtype=np.uint64)
    loader.pass_keys("files", many)
    _run(cgroup, PASSWD)
    told = loader.end_window()
    assert not told.passed["opens"]
    assert len(_keys_of(told, "/etc/passwd")) == 1
    loader.renew_news()


def test_a_kernel_that_has_no_room_for_news_is_told_from_and_records_all_the_same() -> None:
    sizes = {"told": 1 << 31}
    config = KernelConfig(
        record_by_default=False, recorder_tgid=os.getpid(), tells_news=True, map_sizes=sizes
    )
    loader = CoreLoader(config)
    try:
        loader.attach(lambda: None)
        assert loader.without_news
        refused = {one.name for one in loader.programs if one.state == "refused"}
        assert refused <= OPTIONAL_PROGRAMS
    finally:
        loader.close()


def _programs(loader: CoreLoader, path: str) -> np.ndarray:
    programs = loader.look().programs
    return programs[programs["ino"] == Path(path).stat().st_ino]


def test_a_program_that_passes_wakes_nobody_until_it_is_another(
    loader: CoreLoader, cgroup: Path, tmp_path: Path
) -> None:
    program = tmp_path / "program"
    shutil.copy("/bin/true", program)
    _run(cgroup, ["spawn", program, "1"])
    keys = _programs(loader, program)
    (word,) = keys["first_word"]
    assert word.tobytes().rstrip(b"\0") == os.fsencode(program)[: len(word) - 1]
    assert keys["ctime_ns"].tolist() == [program.stat().st_ctime_ns]
    loader.pass_programs(keys)
    _run(cgroup, ["spawn", program, "2"])
    assert not len(_programs(loader, program))
    program.chmod(0o700)
    _run(cgroup, ["spawn", program, "2"])
    assert len(_programs(loader, program)) == 1
    loader.tell_programs(set(keys["slot"].tolist()))
    os.utime(program)
    _run(cgroup, ["spawn", program, "3"])
    assert len(_programs(loader, program)) == 1
    loader.end_window()
