"""The Pod Security Standards as CEL say of pods what the webhook says of them."""

from __future__ import annotations

from typing import Any

import pytest

from ethogram.posture.standards import CHECKS, version_of, violations
from ethogram.webhook.standards_cel import VARIABLES, expressions
from tests.posture import CASES, Case, make_pod
from tests.vap import bound, evaluate, problems_of_expression, problems_of_variables

pytestmark = pytest.mark.unit

KNOWN = [case for case in CASES if version_of(case.until) >= (1, 25)]


def refused(pod: dict[str, Any], old: Any, level: Any, version: Any) -> set[str]:
    data: dict[str, Any] = {"object": pod, "oldObject": old}
    data["variables"] = bound(
        [{"name": name, "expression": text} for name, text in VARIABLES], data
    )
    return {name for name, text in expressions(level, version) if evaluate(text, data) is not True}


@pytest.mark.parametrize("case", KNOWN, ids=lambda one: f"{one.check}-{one.is_allowed}")
def test_an_expression_refuses_what_the_function_refuses(case: Case) -> None:
    pod, level = make_pod(case.change), CHECKS[case.check].level
    version = max(version_of(case.since), (1, 25))
    said = {one.check for one in violations(pod, level=level, version=version)}
    assert refused(pod, None, level, version) == said
    assert refused(pod, pod, level, version) == set()  # what stays as it was


def test_an_api_server_takes_every_expression() -> None:
    known: set[str] = set()
    declared = [{"name": name, "expression": text} for name, text in VARIABLES]
    assert list(problems_of_variables(declared, known)) == []
    for version in ((1, 25), (1, 31), (1, 34), (1, 37)):
        for _, text in expressions("restricted", version):
            assert list(problems_of_expression(text, known, "BOOL")) == []
