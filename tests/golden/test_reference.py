"""docs/reference says what the code does."""

import runpy
from pathlib import Path

import pytest

pytestmark = pytest.mark.golden

ROOT = Path(__file__).parents[2]
PAGES: dict[str, str] = runpy.run_path(str(ROOT / "docs/generate.py"))["pages"]()


@pytest.mark.parametrize("name", sorted(PAGES))
def test_the_page_is_what_the_code_generates(name: str) -> None:
    page = (ROOT / "docs/reference" / name).read_text(encoding="utf-8")
    assert page == PAGES[name], "run `make docs`, and look at the difference"


def test_no_page_is_left_over() -> None:
    assert {path.name for path in (ROOT / "docs/reference").iterdir()} == set(PAGES)
