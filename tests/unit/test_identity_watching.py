"""What a runtime writes for a moment is read, by a thread that waits for it."""

from __future__ import annotations

import json
import queue
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from profiler.identity.oci import STATE_ROOTS
from profiler.identity.resolver import Resolver
from profiler.identity.watching import StateWatch
from tests.hosts import HEX

pytestmark = pytest.mark.unit

SECONDS = 30


@pytest.fixture
def written(tmp_path: Path) -> Iterator[queue.Queue[Path]]:
    """Directories of containers whose state was written, below `tmp_path`."""
    found: queue.Queue[Path] = queue.Queue()
    (tmp_path / "run").mkdir()
    watch = StateWatch(tmp_path, STATE_ROOTS, found.put)
    watch.start()
    yield found
    watch.close()


def _until(found: queue.Queue[Path], wanted: Path) -> None:
    while found.get(timeout=SECONDS) != wanted:
        pass


@pytest.mark.parametrize(
    "place", ["run/runc/web", "run/crun/web", "run/containerd/runc/k8s.io/web"]
)
def test_a_state_directory_may_come_after_the_watch(
    tmp_path: Path, written: queue.Queue[Path], place: str
) -> None:
    directory = tmp_path / place
    directory.mkdir(parents=True)
    (directory / "state.json").write_text("{}")
    _until(written, directory)


def test_a_state_directory_may_go_and_come_again(
    tmp_path: Path, written: queue.Queue[Path]
) -> None:
    for name in ("one", "two", "three"):
        directory = tmp_path / "run/crun" / name
        directory.mkdir(parents=True)
        (directory / "status").write_text("{}")
        _until(written, directory)
        shutil.rmtree(tmp_path / "run/crun")


def test_what_is_no_state_directory_is_not_told(tmp_path: Path, written: queue.Queue[Path]) -> None:
    for place in ("run/other/web", "run/containerd/other/k8s.io/web", "run/runc/web"):
        directory = tmp_path / place
        directory.mkdir(parents=True)
        (directory / "state.json").write_text("{}")
    assert written.get(timeout=SECONDS) == tmp_path / "run/runc/web"


def test_a_container_that_is_gone_keeps_the_name_that_was_read(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    resolver = Resolver(tmp_path, host_name="node")
    told: queue.Queue[Path] = queue.Queue()
    watch = StateWatch(tmp_path, STATE_ROOTS, told.put)
    resolver.watch()
    watch.start()
    directory = tmp_path / "run/crun" / HEX
    try:
        directory.mkdir(parents=True)
        cri = "io.kubernetes.cri."
        names = {"sandbox-namespace": "shop", "sandbox-name": "cart-0", "container-name": "cart",
                 "container-type": "container"}  # fmt: skip
        config = {"annotations": {cri + key: value for key, value in names.items()},
                  "linux": {"cgroupsPath": f"/shop/{HEX}"}}  # fmt: skip
        (directory / "config.json").write_text(json.dumps(config))
        _until(told, directory)
    finally:
        resolver.close()  # what was written is read by now
        watch.close()
    shutil.rmtree(directory)
    identity = resolver.resolve(f"/shop/{HEX}", cgroup_id=7, mntns=1)
    assert (identity.namespace, identity.pod, identity.container) == ("shop", "cart-0", "cart")
    assert identity.runtime == "crun"


def test_a_kernel_that_gives_no_watch_is_none_the_worse(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(StateWatch, "_init", staticmethod(lambda: -1))
    watch = StateWatch(tmp_path, STATE_ROOTS, pytest.fail)
    watch.start()
    watch.close()
