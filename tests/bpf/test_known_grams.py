"""Sequences of calls that a model does not know are told apart, counted, and the first are news."""

import os
import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from ethogram.contracts.events import GRAM_NEW, News, RecordKind
from learner.grams import map_of
from profiler.assembly import ngrams_columns
from profiler.identity.hierarchy import Hierarchy
from profiler.loaders.base import Drained, KernelConfig, KnownGrams
from profiler.loaders.core import CoreLoader
from profiler.loaders.features import KernelFeatures
from tests.workloads import known

pytestmark = pytest.mark.bpf

GETPPID, GETUID, GETGID = 110, 102, 104
TOLD = 16
USUAL: list[list[object]] = [["call", GETPPID, 23], ["open", "/etc/passwd", "r"]]
SIX_GETUID = sum(GETUID << 10 * place for place in range(6))


@pytest.fixture(scope="module", params=["cast", "plain"])
def loader(request: pytest.FixtureRequest) -> Iterator[CoreLoader]:
    features = None
    if request.param == "plain":
        features = KernelFeatures(has_rdonly_cast=False, has_task_storage=False)
    loader = CoreLoader(
        KernelConfig(
            record_by_default=False, recorder_tgid=os.getpid(), features=features,
            tells_news=True, knows_grams=True,
        )
    )  # fmt: skip
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
        loader.keep_grams(set())
        loader.forget(number, loader.host_mntns, [])


def run(cgroup: Path, *actions: list[object]) -> None:
    join = cgroup / "cgroup.procs"
    subprocess.run(
        known(*actions), preexec_fn=lambda: join.write_text("0") and None, check=True, timeout=60
    )


def bits_of(grams: np.ndarray) -> bytes:
    """Return the map of packed *grams* as the learner makes it of a recording's rows."""
    columns = ngrams_columns(grams.view([("gram", "<u8")]))
    numbers = columns["gram"].view("<u2").reshape(-1, 6).astype(np.int32)
    return map_of(columns["arch"].astype(np.int32)[:, None] << 16 | numbers)


def is_known(bits: bytes, gram: int) -> bool:
    """Say what the kernel is to say of *gram*: whether its own bits are all there."""
    own = int.from_bytes(bits_of(np.array([gram], np.uint64)), "little")
    return own & int.from_bytes(bits, "little") == own


def learn(loader: CoreLoader, cgroup: Path, *, spared: int) -> bytes:
    """Have the kernel know what the cgroup usually does; return the map of it."""
    run(cgroup, *USUAL)
    keys, _ = loader.end_window().sets["grams"]
    assert len(keys)
    known_grams = KnownGrams(1, spared, bits_of(keys["gram"].copy()))
    for slot in np.unique(keys["slot"]).tolist():
        loader.push(slot, bytes(64), is_muted=False, grams=known_grams)
    return known_grams.bits


def told(loader: CoreLoader) -> int:
    batches = loader.poll().get(RecordKind.NEWS, [])
    return sum(int((batch.heads["news"] == News.GRAM).sum()) for batch in batches)


def check(drained: Drained, bits: bytes) -> set[int]:
    """Return the sequences that the kernel called new, once each was found to be right."""
    keys, values = drained.sets["grams"]
    new = {int(gram) for gram in keys["gram"][values == GRAM_NEW]}
    assert {int(gram) for gram in keys["gram"] if not is_known(bits, int(gram))} == new
    return new


def test_what_is_not_known_is_told_of_and_is_in_its_window_once(
    loader: CoreLoader, cgroup: Path
) -> None:
    bits = learn(loader, cgroup, spared=0)
    run(cgroup, *USUAL)
    usual = check(loader.end_window(), bits)
    assert SIX_GETUID not in usual
    run(cgroup, *USUAL, ["call", GETUID, 9])
    look = loader.look()
    early, rest = check(look, bits), check(loader.end_window(), bits)
    assert early
    assert SIX_GETUID in early | rest
    assert not early & rest


def test_no_more_than_a_few_are_told_of_and_all_are_in_the_window(
    loader: CoreLoader, cgroup: Path
) -> None:
    bits = learn(loader, cgroup, spared=0)
    mixed = [["call", nr, 1] for nr in (GETUID, GETGID, GETUID, GETUID, GETGID, GETGID) * 8]
    run(cgroup, *mixed, ["call", GETUID, 6])
    assert told(loader) == TOLD
    new = check(loader.end_window(), bits)
    assert len(new) > TOLD
    assert SIX_GETUID in new


def test_as_many_as_are_usual_are_no_news(loader: CoreLoader, cgroup: Path) -> None:
    bits = learn(loader, cgroup, spared=1000)
    run(cgroup, ["call", GETUID, 9])
    assert told(loader) == 0
    assert SIX_GETUID in check(loader.end_window(), bits)


def test_nobody_is_judged_by_a_map_that_is_another_s_by_now(
    loader: CoreLoader, cgroup: Path
) -> None:
    learn(loader, cgroup, spared=0)
    run(cgroup, ["call", GETUID, 9])
    keys, values = loader.end_window().sets["grams"]
    assert (values == GRAM_NEW).any()
    for slot in np.unique(keys["slot"]).tolist():
        loader.push(slot, bytes(64), is_muted=False, grams=None)
    run(cgroup, ["call", GETUID, 9])
    assert (loader.end_window().sets["grams"][1] != GRAM_NEW).all()
