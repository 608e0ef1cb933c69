"""What holds of every indicator."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ethogram.contracts.baseline import DIMENSIONS
from ethogram.contracts.tables import TABLES
from ethogram.indicators.compliance import BY_DIMENSION, PRIVILEGED
from ethogram.indicators.protocol import ATTACK_VERSION, Indicator, Technique, renumbered
from ethogram.indicators.registry import indicators, learner_indicators
from ethogram.indicators.rows import completed

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[3]
DETECTIONS = (ROOT / "docs/detections.md").read_text(encoding="utf-8")
ALL = pytest.mark.parametrize("rule", indicators().values(), ids=list(indicators()))


@ALL
def test_an_indicator_says_what_it_is(rule: Indicator) -> None:
    metadata = rule.metadata
    assert re.fullmatch(r"[a-z]+(?:-[a-z]+)*", metadata.id)
    assert metadata.table in TABLES
    assert metadata.attack
    assert all(technique.version for technique in metadata.attack)
    assert all(re.fullmatch(r"T\d{4}(?:\.\d{3})?", one.technique) for one in metadata.attack)
    assert metadata.title[0].isupper()
    assert not metadata.reason.endswith(".")
    assert metadata.severity != "info"


@ALL
def test_an_indicator_says_whom_of_auditors_it_concerns(rule: Indicator) -> None:
    tags = {(one.standard, one.version): one.requirements for one in rule.metadata.compliance}
    assert all(re.fullmatch(r"[A-Z]{2}\.[A-Z]{2}-\d\d", one) for one in tags["NIST CSF", "2.0"])
    assert all(re.fullmatch(r"A\.[58]\.\d+", one) for one in tags["ISO/IEC 27001", "2022"])
    older = tags.get(("ISO/IEC 27001", "2013"), ())
    assert all(re.fullmatch(r"A\.\d+\.\d\.\d", one) for one in older)
    for (standard, _), checks in tags.items():
        if standard.startswith("CIS"):
            assert all(re.fullmatch(r"5\.\d\.\d+", one) for one in checks)


@pytest.mark.parametrize("dimension", DIMENSIONS)
def test_a_deviation_of_every_dimension_concerns_some_auditor(dimension: str) -> None:
    standards = {one.standard for one in BY_DIMENSION[dimension]}
    assert standards >= {"NIST CSF", "ISO/IEC 27001"}


def test_a_check_that_moved_in_the_benchmark_is_told_by_both_numbers() -> None:
    tags = {one.version: one.requirements for one in PRIVILEGED if one.standard.startswith("CIS")}
    assert tags == {"1.12": ("5.2.2", "5.2.9"), "1.10": ("5.2.2", "5.2.10")}


@ALL
def test_an_indicator_takes_no_rows(rule: Indicator) -> None:
    rows, executables, instances = (
        TABLES[name].arrow_schema().empty_table()
        for name in (rule.metadata.table, "executables", "instances")
    )
    rows = completed(rows, executables, instances)
    assert rule.matches(rows).to_pylist() == []
    assert rule.taints(rows).to_pylist() == []


@ALL
def test_an_indicator_has_a_module_and_a_test_of_its_name(rule: Indicator) -> None:
    name = rule.metadata.id.replace("-", "_")
    assert (ROOT / f"ethogram/indicators/{name}.py").exists()
    assert (ROOT / f"tests/unit/indicators/test_{name}.py").exists()


@ALL
def test_an_indicator_has_a_section_that_says_the_same(rule: Indicator) -> None:
    metadata = rule.metadata
    numbers = " ".join(
        one.technique if one.version == ATTACK_VERSION else f"{one.technique} (v{one.version})"
        for one in metadata.attack
    )
    line = f"{metadata.severity} · {metadata.gate} · {numbers}"
    _, found, section = DETECTIONS.partition(f"\n## {metadata.id}\n\n{line}\n")
    assert found
    section = section.partition("\n## ")[0]
    for part in ("- Sees: ", "- Blind to: ", "- Evaded by: ", "- What to do: "):
        assert part in section
    row = (
        f"| [`{metadata.id}`](#{metadata.id}) | {metadata.severity} | {metadata.gate} | {numbers} |"
    )
    assert row in DETECTIONS


def test_no_section_is_of_an_indicator_that_is_gone() -> None:
    assert set(re.findall(r"^## (.*)$", DETECTIONS, re.MULTILINE)) == set(indicators())


@ALL
def test_no_technique_bears_a_number_that_was_given_up(rule: Indicator) -> None:
    given_up = re.compile(r"T1562(?:\.\d+)?|T1070\.00[12]")
    assert not [
        one
        for one in rule.metadata.attack
        if one.version == ATTACK_VERSION and given_up.fullmatch(one.technique)
    ]


def test_there_is_no_second_indicator_of_one_name() -> None:
    modules = {path.stem for path in (ROOT / "ethogram/indicators").glob("*.py")}
    of_them = {name.replace("-", "_") for name in indicators()}
    shared = {
        "__init__",
        "arguments",
        "catalogue",
        "compliance",
        "operations",
        "pipes",
        "predicates",
        "protocol",
        "registry",
        "rows",
        "rule",
        "writes",
    }
    assert modules - shared == of_them


def test_the_bits_of_all_indicators_fit_one_number() -> None:
    assert len(learner_indicators()) <= 63  # and a bit for answers of a foreign resolver


def test_a_technique_that_was_renumbered_is_found_by_both_numbers() -> None:
    assert renumbered("T1685.006", "T1070.002") == (
        Technique("T1685.006", "19"),
        Technique("T1070.002", "18"),
    )
