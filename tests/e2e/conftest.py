"""Images and networks for tests on real containers."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.network import Network
from demo.rootfs import busybox_root, redis_root, web_root

TOOLS = ("runc", "ip", "mount", "nginx", "curl", "busybox")


@pytest.fixture(scope="session", autouse=True)
def _real_containers() -> None:
    """Skip where containers cannot be run, and say why."""
    if os.geteuid() != 0:
        pytest.skip("real containers need root")
    missing = [
        tool for tool in TOOLS if not shutil.which(tool, path="/usr/sbin:/usr/bin:/sbin:/bin")
    ]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")


@pytest.fixture(scope="session")
def web_image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return web_root(tmp_path_factory.mktemp("image") / "web")


@pytest.fixture(scope="session")
def redis_image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return redis_root(tmp_path_factory.mktemp("image") / "redis")


@pytest.fixture(scope="session")
def busybox_image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return busybox_root(tmp_path_factory.mktemp("image") / "busybox")


@pytest.fixture
def network() -> Iterator[Network]:
    with Network() as network:
        yield network
