"""What baselines allow is no news, and of whom nobody judges nothing is."""

import platform
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, cast

import pytest

from detector.pushdown import Pushdown
from ethogram.contracts.syscall_names import number_of

pytestmark = pytest.mark.unit


def _known(*names: str, arch: str = platform.machine()) -> Any:
    values = [SimpleNamespace(arch=arch, nr=number_of(arch, name)) for name in names]
    rules = SimpleNamespace(syscalls=[SimpleNamespace(value=value) for value in values])
    return SimpleNamespace(
        baseline=SimpleNamespace(rules=SimpleNamespace(of_workload=lambda: rules))
    )


def _pushed(judged: Mapping[int, Any], known: set[int]) -> dict[int, bytes | None]:
    pushed: dict[int, bytes | None] = {}
    watched = SimpleNamespace(instances=lambda: judged, known_instances=lambda: known)
    Pushdown(cast("Any", watched), pushed.update).take()
    return pushed


def test_each_allowed_call_is_a_bit() -> None:
    (calls,) = _pushed({7: _known("read", "getppid")}, {7}).values()
    assert calls is not None
    bits = int.from_bytes(calls, "little")
    wanted = [number_of(platform.machine(), name) for name in ("read", "getppid")]
    assert bits == sum(1 << number for number in wanted if number is not None)


def test_calls_of_another_architecture_are_none_of_these() -> None:
    other = "i386" if platform.machine() == "x86_64" else "x86_64"
    assert _pushed({7: _known("read", arch=other)}, {7}) == {7: bytes(64)}


def test_whom_nobody_judges_has_no_news() -> None:
    assert _pushed({7: None}, {7, 8}) == {7: bytes(64), 8: None}
