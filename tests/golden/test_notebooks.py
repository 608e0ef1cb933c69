"""The notebooks run, without a network, and show what they hold; what they open is whole."""

from __future__ import annotations

import ast
import base64
import re
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from click.testing import CliRunner
from nbformat import NotebookNode

from ethogram.cli.group import cli
from ethogram.contracts.recording import Recording
from ethogram.contracts.tables import TABLES
from tools.run_notebooks import run

pytestmark = pytest.mark.golden

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
RECORDINGS = sorted((ROOT / "notebooks" / "data").glob("*.rec"))
MOST_NOTEBOOK_BYTES = 300_000
MOST_DATA_BYTES = 1_500_000
AGAIN = "run `python -m tools.run_notebooks`, and look at the difference"
# What the image of the sample has at its root, and where its runtime has its things.
PLACES = re.compile(
    rb"/(?:bin|dev|etc|home|lib(?:64)?|proc|root|run|sbin|sys|tmp|usr|var)?"
    rb"|/(?:bin|dev|etc|lib(?:64)?|proc|sbin|sys|usr|var)/.+"
    rb"|/run/(?:corner-shop|netns|runc)/.+|/run/nginx\.pid|/tmp/\.list|/root/\.[a-z./]+"
)


@pytest.fixture(scope="module", params=NOTEBOOKS, ids=lambda path: path.stem)
def notebook(request: pytest.FixtureRequest) -> tuple[NotebookNode, NotebookNode]:
    """A notebook as it stands, and as it is when it runs now."""
    return nbformat.read(request.param, as_version=4), run(request.param)


def shown(cell: NotebookNode) -> tuple[str, int]:
    """What a reader sees below *cell*: the text, and the number of pictures."""
    outputs = cell.get("outputs", [])
    texts = [o.text for o in outputs if o.output_type == "stream" and o.name == "stdout"]
    pictures = [o for o in outputs if "image/png" in o.get("data", {})]
    tables = [o.data["text/plain"] for o in outputs if "data" in o and o not in pictures]
    return "".join(texts + tables), len(pictures)


def test_it_shows_what_it_holds(notebook: tuple[NotebookNode, NotebookNode]) -> None:
    held, ran = notebook
    assert list(map(shown, ran.cells)) == list(map(shown, held.cells)), AGAIN


def test_its_pictures_show_something(notebook: tuple[NotebookNode, NotebookNode]) -> None:
    pictures = [
        base64.b64decode(output.data["image/png"])
        for cell in notebook[1].cells
        for output in cell.get("outputs", [])
        if "image/png" in output.get("data", {})
    ]
    sizes = [struct.unpack(">II", picture[16:24]) for picture in pictures]
    assert len(pictures) >= 5
    assert all(width > 400 and height > 150 for width, height in sizes)
    assert min(map(len, pictures)) > 5000


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_small_and_names_no_place_of_its_maker(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.encode()) < MOST_NOTEBOOK_BYTES
    assert [place for place in (str(ROOT), sys.prefix, "site-packages") if place in text] == []
    assert [c.id for c in nbformat.reads(text, as_version=4).cells if _absolute(c)] == []


def _absolute(cell: NotebookNode) -> list[str]:
    """The absolute paths that are opened in *cell*."""
    tree = ast.parse(cell.source) if cell.cell_type == "code" else ast.Module([], [])
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and node.args]
    openers = re.compile(r"open$|Path$|read_|load|save")
    return [
        ast.unparse(call)
        for call in calls
        if openers.search(ast.unparse(call.func))
        and re.match(r"f?['\"][/~]", ast.unparse(call.args[0]))
    ]


def test_the_recordings_are_small() -> None:
    sizes = [file.stat().st_size for path in RECORDINGS for file in path.iterdir()]
    assert 0 < sum(sizes) < MOST_DATA_BYTES


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.stem)
def test_a_recording_is_whole_and_can_be_shown(path: Path) -> None:
    recording = Recording.open(path)
    recording.verify()
    assert recording.manifest.clean_end
    assert recording.manifest.losses == 0
    result = CliRunner().invoke(cli, ["show", str(path)])
    assert result.exit_code == 0, result.output
    assert "corner-shop/Deployment/checkout" in result.stdout


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.stem)
def test_a_recording_holds_nothing_of_its_maker(path: Path) -> None:
    recording = Recording.open(path)
    manifest = recording.manifest
    assert (manifest.host_id, manifest.boot_id[:8]) == ("sample-host", "00000000")
    assert not manifest.redaction.keep_args
    paths = {
        value for name in TABLES for row in recording.table(name).to_pylist()
        for value in _bytes_in(list(row.values())) if value.startswith(b"/")
        and b"\0" not in value  # an n-gram that begins with call 47
    }  # fmt: skip
    assert len(paths) > 50
    assert [value for value in sorted(paths) if not PLACES.fullmatch(value)] == []


def _bytes_in(values: list[Any]) -> Iterator[bytes]:
    for value in values:
        match value:
            case bytes():
                yield value
            case str():
                yield value.encode()
            case list() | tuple():
                yield from _bytes_in(value)
