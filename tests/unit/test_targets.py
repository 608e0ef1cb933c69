"""What is meant by a target, and what only lives beside it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from profiler.identity.model import Identity
from profiler.targets import Targets
from tests.hosts import HEX

pytestmark = pytest.mark.unit

HOST = Identity("Host", "node", "host", "cgroup", "resolved")
COMMAND = Identity("Command", "ls", "run-1", "command", "resolved")
CONTAINER = Identity("Container", HEX, HEX, "oci", "resolved", container_id=HEX)


@pytest.mark.parametrize(
    ("targets", "inside", "outside"),
    [
        (
            Targets("unit", ("web",)),
            ("/system.slice/web.service", "/system.slice/web.service/worker"),
            ("/", "/system.slice", "/system.slice/web.service2", "/web.slice"),
        ),
        (
            Targets("cgroup", ("/shop/web", "/sys/fs/cgroup/bank")),
            ("/shop/web", "/shop/web/a/b", "/bank"),
            ("/", "/shop", "/shop/website", "/other/shop/web"),
        ),
        (
            Targets("container", (HEX[:12],)),
            (f"/docker/{HEX}", f"/docker/{HEX}/init", f"/kubepods/cri-containerd-{HEX}.scope"),
            ("/", "/docker", f"/docker/{'0' * 64}"),
        ),
        (Targets("cgroup", ("/",)), ("/",), ("/shop",)),
    ],
    ids=["unit", "cgroup", "container", "root"],
)
def test_what_is_named_is_meant_with_all_below(
    targets: Targets, inside: tuple[str, ...], outside: tuple[str, ...]
) -> None:
    assert {targets.choose(HOST, path) for path in inside} == {"wanted"}
    assert {targets.choose(HOST, path) for path in outside} == {"unwanted"}


def test_a_command_is_meant_with_the_containers_that_it_starts() -> None:
    targets = Targets("command", ("ls",))
    assert targets.choose(COMMAND, "/ethogram/run-1") == "wanted"
    assert targets.choose(CONTAINER, f"/docker/{HEX}") == "wanted"
    assert targets.choose(HOST, "/") == "unwanted"
    unknown = replace(HOST, kind="Cgroup", state="pending")
    assert targets.choose(unknown, "/shop") == "pending"


@pytest.mark.parametrize("kind", ["unit", "cgroup", "container", "command"])
def test_what_was_nowhere_seen_is_left_to_the_kernel_side(kind: str) -> None:
    assert Targets(kind, ("web",)).choose(HOST, None) == "wanted"  # type: ignore[arg-type]
