"""What baselines allow is no news, and of whom nobody judges nothing is."""

from collections.abc import Collection, Mapping
from pathlib import Path

import pyarrow as pa
import pytest

from detector import pushdown as pushdown_module
from detector.library import Library
from detector.pushdown import Pushdown
from ethogram.contracts.baseline import dump_baseline
from ethogram.contracts.capabilities import CAPABILITIES
from ethogram.contracts.recording import Recording
from ethogram.contracts.syscall_names import number_of
from ethogram.indicators.registry import indicators
from learner.learn import learn
from learner.summary import summarize
from profiler.loaders.base import KnownGrams
from tests.recordings import shop_recording
from tests.replay import Replay
from tests.unit.indicators.judging import seen

pytestmark = pytest.mark.unit

ARCH = "x86_64"  # of what was recorded


class _Kernel:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.calls: dict[int, bytes | None] = {}
        self.passing: dict[str, set[int]] = {"files": set(), "network": set()}
        self.capabilities: Mapping[int, int] = {}

    def push(self, calls: Mapping[int, bytes | None], grams: Mapping[int, KnownGrams]) -> None:
        self.grams = dict(grams)
        self.calls.update(calls)

    def pass_capabilities(self, allowed: Mapping[int, int]) -> None:
        self.capabilities = allowed

    def pass_rows(self, table: str, instances: Collection[int]) -> None:
        self.passing[table] |= set(instances)

    def tell_rows(self, table: str, instances: Collection[int]) -> None:
        self.passing[table] -= set(instances)


@pytest.fixture
def shop(tmp_path: Path) -> Replay:
    """The shop, seen by a detector that has a baseline of one of its workloads."""
    recording, baselines = shop_recording(tmp_path / "rec"), tmp_path / "baselines"
    baselines.mkdir()
    for number, baseline in enumerate(learn(summarize(Recording.open(recording)))):
        (baselines / f"{number}.baseline.yaml").write_text(dump_baseline(baseline))
    replay = Replay(baselines)
    replay.recording(shop_recording(tmp_path / "again"))
    return replay


def test_each_allowed_call_is_a_bit(shop: Replay, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: ARCH)
    kernel = _Kernel()
    Pushdown(shop.watched, kernel, kernel).take()
    judged = {number: known for number, known in shop.watched.instances().items() if known}
    assert judged
    for number, known in judged.items():
        names = {rule.value.name for rule in known.baseline.rules.of_workload().syscalls}
        assert names
        bits = int.from_bytes(kernel.calls[number] or b"", "little")
        assert bits == sum(1 << (number_of(ARCH, name or "") or 0) for name in names)


def test_calls_of_another_architecture_are_none_of_these(
    shop: Replay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    kernel = _Kernel()
    Pushdown(shop.watched, kernel, kernel).take()
    assert {calls for calls in kernel.calls.values() if calls is not None} == {bytes(64)}


def _judged(shop: Replay) -> set[int]:
    return {number for number, known in shop.watched.instances().items() if known}


def test_rows_pass_only_of_who_has_a_baseline_and_did_nothing_strange(shop: Replay) -> None:
    kernel = _Kernel()
    pushdown = Pushdown(shop.watched, kernel, kernel)
    strange, other, *rest = sorted(_judged(shop))
    pushdown.let_pass(shop.live, {(strange, "files"), (other, "listens"), (other, "dns")})
    assert kernel.passing == {"files": {other, *rest}, "network": {strange, *rest}}
    pushdown.let_pass(shop.live, set())
    assert kernel.passing == {"files": _judged(shop), "network": _judged(shop)}


def _told_again(shop: Replay, table: str, rows: pa.Table) -> None:
    batch = rows.to_batches()[0]
    shop.live.append(table, {name: batch.column(name) for name in batch.schema.names})


def test_of_whom_more_is_known_now_is_told_again(shop: Replay) -> None:
    kernel = _Kernel()
    pushdown = Pushdown(shop.watched, kernel, kernel)
    pushdown.let_pass(shop.live, set())
    renamed = shop.live.table("instances")[:1]
    number = renamed.column("instance")[0].as_py()
    assert number in kernel.passing["files"]
    _told_again(shop, "instances", renamed)
    pushdown.let_pass(shop.live, set())
    assert kernel.passing == {
        "files": _judged(shop) - {number},
        "network": _judged(shop) - {number},
    }


def test_of_another_baseline_all_is_told_again(shop: Replay) -> None:
    kernel = _Kernel()
    pushdown = Pushdown(shop.watched, kernel, kernel)
    pushdown.let_pass(shop.live, set())
    assert kernel.passing["files"]
    shop.watched.replace(Library.load(shop.baselines))
    pushdown.let_pass(shop.live, set())
    assert kernel.passing == {"files": set(), "network": set()}


def test_peers_are_judged_again_once_addresses_may_be_others(
    shop: Replay, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel = _Kernel()
    pushdown = Pushdown(shop.watched, kernel, kernel)
    pushdown.let_pass(shop.live, set())
    at_ns = pushdown_module.moment_of(shop.live)
    for later_ns, network in ((59 * 10**9, _judged(shop)), (60 * 10**9, set())):
        monkeypatch.setattr(pushdown_module, "moment_of", lambda _, ns=later_ns: at_ns + ns)
        pushdown.let_pass(shop.live, set())
        assert kernel.passing == {"files": _judged(shop), "network": network}
    pushdown.let_pass(shop.live, set())
    assert kernel.passing["network"]
    _told_again(shop, "addresses", shop.live.table("addresses")[:1])
    pushdown.let_pass(shop.live, set())
    assert kernel.passing == {"files": _judged(shop), "network": set()}


def _look(shop: Replay) -> None:
    """Let a look take the rows that came so far, as the window goes on."""
    at_ns = pushdown_module.moment_of(shop.live)
    shop.live.look({"window": [99], "start": [at_ns], "end": [at_ns + 1]})


def test_names_that_a_look_shows_count_at_once_and_until_the_window_ends(shop: Replay) -> None:
    kernel = _Kernel()
    pushdown = Pushdown(shop.watched, kernel, kernel)
    pushdown.let_pass(shop.live, set())
    addresses, renamed = shop.live.table("addresses")[:1], shop.live.table("instances")[:1]
    number = renamed.column("instance")[0].as_py()
    for table, rows, network in (
        ("addresses", addresses, set()), ("instances", renamed, _judged(shop) - {number}),
    ):  # fmt: skip
        _told_again(shop, table, rows)
        pushdown.note(shop.live)
        files = _judged(shop) - ({number} if table == "instances" else set())
        assert kernel.passing == {"files": files, "network": network}
        _look(shop)
        pushdown.let_pass(shop.live, set())
        assert kernel.passing == {"files": files, "network": network}
        pushdown.let_pass(shop.live, set())
        assert kernel.passing == {"files": _judged(shop), "network": _judged(shop)}


def test_where_every_connection_is_an_event_no_peer_passes(shop: Replay) -> None:
    kernel = _Kernel()
    Pushdown(shop.watched, kernel, kernel, tables=("files",)).let_pass(shop.live, set())
    assert kernel.passing == {"files": _judged(shop), "network": set()}


def test_each_allowed_capability_is_a_bit(shop: Replay) -> None:
    kernel = _Kernel()
    Pushdown(shop.watched, kernel, kernel).let_pass(shop.live, set())
    assert kernel.capabilities.keys() == _judged(shop)
    assert any(kernel.capabilities.values())
    for number, known in shop.watched.instances().items():
        rules = known.baseline.rules.of_workload().capabilities if known else ()
        names = {rule.value.name for rule in rules}
        bits = kernel.capabilities.get(number, 0)
        assert {name for n, name in enumerate(CAPABILITIES) if bits >> n & 1} == names


def test_no_indicator_tells_of_a_capability_that_a_baseline_allows() -> None:
    """Else its use would have to be told of."""
    used = [{"operation": "capability", "capability": n, "granted": True} for n in range(41)]
    rows = seen("privileges", *used)
    rules = [one for one in indicators().values() if one.metadata.table == "privileges"]
    telling = {one.metadata.gate for one in rules if one.matches(rows).true_count}
    assert telling == {"baseline"}
