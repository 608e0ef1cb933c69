"""What is learnt in spite of an indicator is marked; names by foreign answers are held back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ethogram.contracts.baseline import Baseline
from ethogram.contracts.flags import ProcessFlag
from tests.unit.test_learner_quarantine import EVIL, EXECUTABLES, learnt, mine, quiet, words

pytestmark = pytest.mark.unit

RESOLVER, ATTACKER = b"\x0a\x00\x00\x0a", b"\xcb\x00\x71\x07"
GOOD, BAD = b"\xc6\x33\x64\x01", b"\xcb\x00\x71\x42"
NAME = b"api.example.com"


def marks(baseline: Baseline) -> dict[str, tuple[str, ...]]:
    return {
        words(rule.value): rule.marked
        for dimension, rule in baseline.rules.all()
        if rule.marked and dimension in ("execs", "dns", "peers")
    }


def held(baseline: Baseline) -> dict[str, tuple[str, ...] | None]:
    return {words(one.value): one.reasons for one in baseline.quarantined}


def answer(window: int, resolver: bytes, address: bytes, **more: Any) -> dict[str, Any]:
    return mine(window) | {
        "exe": 1, "qname": NAME, "qtype": 1, "answers": [address], "ttl": 30,
        "resolver": resolver, "trusted": resolver == RESOLVER,
    } | more  # fmt: skip


def connection(window: int, address: bytes, trust: str | None) -> dict[str, Any]:
    return mine(window) | {
        "exe": 1, "peer_addr": address, "peer_port": 443, "direction": "out", "family": 2,
        "type": 1, "protocol": 6, "connections": 1, "name": NAME.decode() if trust else None,
        "name_trust": trust,
    }  # fmt: skip


def test_a_dropped_binary_that_staging_ran_is_marked(tmp_path: Path) -> None:
    tables = quiet()
    tables["executables"] = [row | {"upper": row["exe"] == EVIL} for row in EXECUTABLES]
    for row in tables["processes"]:
        if row["exec_id"] == "evil":
            row["flags"] = int(ProcessFlag.UPPER_LAYER)
    assert marks(learnt(tmp_path, tables))["/tmp/evil"] == ("dropped-executable",)


def test_forged_answers_name_nothing_and_allow_nothing(tmp_path: Path) -> None:
    tables = quiet()
    tables["dns"] = [answer(1, RESOLVER, GOOD), answer(3, ATTACKER, BAD)]
    tables["dns"].append(answer(3, ATTACKER, BAD, qname=b"cdn.example.com"))
    tables["network"] = [connection(2, GOOD, "resolver"), connection(3, BAD, "untrusted")]
    for name in ("attacked", "clean"):
        (tmp_path / name).mkdir()
    baseline = learnt(tmp_path / "attacked", tables)
    assert held(baseline) == {
        "203.0.113.66": ("foreign-answer",), "cdn.example.com": ("foreign-answer",),
    }  # fmt: skip
    assert [(one.value.address, one.value.name) for one in baseline.rules.peers] == [
        ("198.51.100.1", "api.example.com")
    ]
    tables["dns"], tables["network"] = tables["dns"][:1], tables["network"][:1]
    clean = learnt(tmp_path / "clean", tables)
    assert [r.value for _, r in clean.rules.all()] == [r.value for _, r in baseline.rules.all()]


def test_an_address_that_is_reached_without_a_forged_name_stays(tmp_path: Path) -> None:
    tables = quiet()
    tables["dns"] = [answer(1, RESOLVER, GOOD), answer(3, ATTACKER, BAD)]
    tables["network"] = [connection(1, BAD, None), connection(3, BAD, "untrusted")]
    baseline = learnt(tmp_path, tables)
    assert held(baseline) == {}
    assert marks(baseline) == {}


def test_who_asks_only_a_resolver_of_its_own_choice_means_it(tmp_path: Path) -> None:
    tables = quiet()
    tables["dns"] = [answer(3, ATTACKER, BAD)]
    tables["network"] = [connection(3, BAD, "untrusted")]
    baseline = learnt(tmp_path, tables)
    assert held(baseline) == {}
    assert marks(baseline) == {
        "203.0.113.66": ("foreign-answer",), "api.example.com": ("foreign-answer",),
    }  # fmt: skip
