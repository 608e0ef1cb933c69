"""One workload does very much that is new at once: it costs what it is, and delays nobody."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from detector.crowds import ONE_BY_ONE
from detector.suppressions import Suppressions
from ethogram.contracts.finding import Finding
from ethogram.contracts.flags import Access
from ethogram.contracts.suppression_file import Suppression
from tests.recordings import START_NS, WINDOW_NS, shop_recording
from tests.replay import Replay
from tests.steps import steps
from tests.unit.test_detector_judge import NGINX, file_row, peer_row, write_baselines
from tests.unit.test_detector_relations import SH, peer, process

pytestmark = pytest.mark.unit

WRITE = int(Access.WRITE)
Rows = list[dict[str, Any]]
NOW_NS = START_NS + 8 * WINDOW_NS
CRON = "/etc/cron.d/job"


@pytest.fixture(scope="module")
def baselines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("learnt")
    return write_baselines(shop_recording(place / "rec"), place / "baselines")


@pytest.fixture
def shop(baselines: Path, tmp_path: Path) -> Callable[..., Replay]:
    recorded = shop_recording(tmp_path / "again")

    def made(**options: Any) -> Replay:
        replay = Replay(baselines, **options)
        replay.recording(recorded)
        return replay

    return made


def programs(number: int) -> Rows:
    return [
        {"exe": 100 + one, "path": b"/srv/p%d" % one, "dev": 1, "ino": one, "nlink": 1,
         "upper": False, "memfd": False}
        for one in range(number)
    ]  # fmt: skip


def question(one: int) -> dict[str, Any]:
    return {"workload": 1, "instance": 1, "exe": NGINX, "qname": b"n%d.example" % one, "qtype": 1,
            "rcode": 0, "answers": [], "resolver": bytes(4), "trusted": True}  # fmt: skip


def many(kind: str, number: int) -> dict[str, Rows]:
    """Return *number* rows that each are a finding of its own, if there is room for it."""
    numbers = range(number)
    if kind == "dns":
        return {"dns": [question(one) for one in numbers]}
    if kind == "peers":
        return {"network": [peer_row(bytes([198, 18, *divmod(one, 256)]), 33) for one in numbers]}
    if kind == "written":
        return {"files": [file_row(f"/srv/{one}", access=WRITE) for one in numbers]}
    if kind == "cron":
        return {"files": [file_row(f"{CRON}{one}", access=WRITE) for one in numbers]}
    if kind == "relays":
        shells = [process(f"sh{one}", SH, "1-main", 8, stdio=["pipe"] * 3) for one in numbers]
        strange = [peer(100 + one, first=NOW_NS, last=NOW_NS) for one in numbers]
        return {"executables": programs(number), "processes": shells, "network": strange}
    # One file that an indicator is about, by very many programs.
    files = [file_row("/etc/shadow", exe=100 + one) for one in numbers]
    return {"executables": programs(number), "files": files}


def hiding() -> Suppressions:
    """Return what hides none of these, and has to be asked about each."""
    fields = {"rule": "deviation-*", "value": "/nowhere", "owner": "a", "reason": "b",
              "expires": date(2999, 1, 1)}  # fmt: skip
    return Suppressions(Path("s.yaml"), [Suppression.model_validate(fields)])


@pytest.mark.parametrize("kind", ["dns", "peers", "written", "cron", "programs", "relays"])
@pytest.mark.parametrize("is_asked", [False, True], ids=["", "suppressions"])
def test_twice_as_much_takes_twice_as_long(
    kind: str, is_asked: bool, shop: Callable[..., Replay]
) -> None:
    def taken(number: int) -> int:
        replay = shop(suppressions=hiding()) if is_asked else shop()
        rows = many(kind, number)
        return steps(lambda: replay.rows(8, **rows))

    once, twice, thrice = (taken(number) for number in (60, 120, 180))
    assert thrice - twice < 1.02 * (twice - once)


def last_of(findings: list[Finding]) -> dict[str, Finding]:
    return {one.fingerprint: one for one in findings}


def test_beyond_what_is_looked_at_one_by_one_all_are_counted(shop: Callable[..., Replay]) -> None:
    number = 2 * ONE_BY_ONE
    replay = shop()
    replay.rows(8, **many("cron", number))
    replay.judge.findings.tell_again(START_NS, is_last=True)
    told = [one for one in last_of(replay.findings).values() if one.evidence.dimension == "files"]
    assert sum(one.count for one in told) == number
    assert len(told) < ONE_BY_ONE / 2


def test_a_crowd_hides_neither_what_is_graver_nor_what_is_of_another_kind(
    shop: Callable[..., Replay],
) -> None:
    rows = many("written", 2 * ONE_BY_ONE)
    rows["files"] += [file_row(CRON, access=WRITE)]
    rows |= {"dns": [question(1)]}
    told = [one.evidence.observed for one in shop().rows(8, **rows)]
    assert any(CRON in one for one in told)
    assert "n1.example" in told


def test_others_are_told_of_before_who_does_very_much(shop: Callable[..., Replay]) -> None:
    rows = many("cron", ONE_BY_ONE + 1)
    rows["files"] += [file_row("/srv/written", access=WRITE, instance=2)]
    told = shop().rows(8, **rows)
    assert told[0].container_id == f"{2:064x}"
    assert len(told) > 1


def test_what_the_kernel_has_meanwhile_is_looked_at_in_between(shop: Callable[..., Replay]) -> None:
    def looks(number: int) -> int:
        replay, counted = shop(), 0

        def between() -> None:
            nonlocal counted
            counted += 1

        replay.live = type(replay.live)(
            replay.live.manifest, lambda live, _: replay.judge.judge(live, between)
        )
        replay.recording(shop_again)
        counted = 0
        replay.rows(8, **many("cron", number))
        return counted

    shop_again = shop().baselines.parent / "rec"
    assert looks(ONE_BY_ONE) > looks(10)
