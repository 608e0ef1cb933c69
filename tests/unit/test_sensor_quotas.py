"""Who floods the sensor: told of the workload where it is known, of the sensor where it is not."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from detector.sensor.quotas import floods
from ethogram.contracts.columns import batch_of
from ethogram.contracts.tables import TABLES

pytestmark = pytest.mark.unit


def told(*rows: tuple[int | None, str, str, int]) -> list[tuple[Any, ...]]:
    """Return rule, whose, identity and count of what losses (instance, kind, place, count) say."""
    names = ("instance", "kind", "place", "count")
    columns = {name: [row[at] for row in rows] for at, name in enumerate(names)}
    columns |= {"window": [0] * len(rows), "workload": columns["instance"]}
    schema = TABLES["losses"].arrow_schema()
    batches = [batch_of(TABLES["losses"], columns)] if rows else []
    found = floods(pa.Table.from_batches(batches, schema), 1, 2)
    return [(one.rule, one.instance, one.identity, one.count) for one in found]


def test_nothing_lost_says_nothing() -> None:
    assert told() == []


def test_a_quota_names_its_workload() -> None:
    assert told((3, "quota", "files", 7), (3, "map_full", "files", 2), (4, "quota", "dns", 1)) == [
        ("sensor-quota", 4, "dns", 1),
        ("sensor-quota", 3, "files", 9),
    ]


def test_what_all_share_is_the_sensors() -> None:
    assert told((None, "ring_full", "files", 7), (None, "slots_full", "slots", 1)) == [
        ("sensor-full", None, "files", 7),
        ("sensor-full", None, "slots", 1),
    ]


def test_a_path_that_could_not_be_read_is_no_flood() -> None:
    kinds = ("read_fault", "truncated", "recursion", "storage", "unresolved", "unseen", "disk")
    assert told(*((3, kind, "files", 1) for kind in kinds)) == []
