"""The worked examples of docs/hunting.md print what stands there."""

import runpy
from pathlib import Path

import pytest

pytestmark = pytest.mark.golden

ROOT = Path(__file__).parents[2]


def test_the_examples_print_what_the_document_says():
    text = (ROOT / "docs/hunting.md").read_text(encoding="utf-8")
    assert text.count("```text\n") >= 10
    with_answers = runpy.run_path(str(ROOT / "docs/generate.py"))["with_answers"]
    assert with_answers(text) == text
