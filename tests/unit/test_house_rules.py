"""Rules of the house that no linter knows."""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]
PACKAGES = ("ethogram", "profiler", "learner", "exporters")
TIERS = {"unit", "property", "contract", "golden", "bpf", "e2e"}
PICKLES = {"pickle", "joblib", "cloudpickle", "dill", "shelve", "marshal"}
LONGEST_MODULE = 500


def _modules(*directories: str) -> Iterator[Path]:
    for directory in directories:
        yield from sorted((ROOT / directory).rglob("*.py"))


def _named(path: Path) -> str:
    return str(path.relative_to(ROOT))


SOURCES = [*_modules(*PACKAGES), *_modules("bpf")]
TESTS = list(_modules("tests"))
TEST_MODULES = [path for path in TESTS if path.name.startswith("test_")]
ALL = [*SOURCES, *TESTS, *_modules("tools", "benchmarks", "docs", "demo")]


def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def _calls(tree: ast.Module) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def _imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0]


@pytest.mark.parametrize("path", [p for p in SOURCES if "cli" not in p.parts], ids=_named)
def test_only_the_command_line_prints(path: Path) -> None:
    printing = [call.lineno for call in _calls(_tree(path)) if _is_name(call.func, "print")]
    assert printing == []


@pytest.mark.parametrize("path", ALL, ids=_named)
def test_nothing_is_pickled(path: Path) -> None:
    assert PICKLES.isdisjoint(_imported(_tree(path)))


@pytest.mark.parametrize("path", TESTS, ids=_named)
def test_no_test_waits_by_sleeping(path: Path) -> None:
    tree = _tree(path)
    sleeping = [call.lineno for call in _calls(tree)
                if (isinstance(call.func, ast.Attribute) and call.func.attr == "sleep")
                or _is_name(call.func, "sleep")]  # fmt: skip
    assert sleeping == []


@pytest.mark.parametrize("path", ALL, ids=_named)
def test_no_command_goes_through_a_shell(path: Path) -> None:
    shells = [
        call.lineno
        for call in _calls(_tree(path))
        if any(word.arg == "shell" and not _is_false(word.value) for word in call.keywords)
        or (
            isinstance(call.func, ast.Attribute)
            and call.func.attr in {"system", "popen"}
            and _is_name(call.func.value, "os")
        )
    ]
    assert shells == []


@pytest.mark.parametrize("path", TEST_MODULES, ids=_named)
def test_a_test_module_belongs_to_the_tier_of_its_directory(path: Path) -> None:
    marks = [
        ast.unparse(node.value)
        for node in _tree(path).body
        if isinstance(node, ast.Assign) and _is_name(node.targets[0], "pytestmark")
    ]
    tiers = set(re.findall(r"pytest\.mark\.(\w+)", " ".join(marks))) & TIERS
    assert tiers == {path.relative_to(ROOT / "tests").parts[0]}


@pytest.mark.parametrize("path", ALL, ids=_named)
def test_a_module_is_not_too_long(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST_MODULE


def test_a_decision_record_is_numbered_and_short() -> None:
    records = sorted((ROOT / "docs/adr").glob("*.md"))
    numbers = [int(path.name[:4]) for path in records]
    assert len(set(numbers)) == len(numbers)
    assert [_named(p) for p in records if len(p.read_text().splitlines()) > 40] == []


def test_make_help_lists_every_target() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    phony = set(re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)[0].split())
    shown = subprocess.run(
        ["make", "-C", ROOT, "--no-print-directory", "help"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    # Installing Debian packages alone is a step of `make install`, not something to ask for.
    assert {line.split()[0] for line in shown.splitlines()} == phony - {"packages"}


@pytest.mark.parametrize("name", ["packages.debian.txt", "benchmarks/packages.debian.txt"])
def test_every_debian_package_has_its_reason(name: str) -> None:
    for line in (ROOT / name).read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            assert re.fullmatch(r"[a-z0-9][a-z0-9.+-]* +# .+", line), line


@pytest.mark.parametrize("path", [*(ROOT / "docs").rglob("*.md"), ROOT / "README.md"], ids=_named)
def test_links_between_documents_lead_somewhere(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text)
    assert [link for link in links if not (path.parent / link).exists()] == []


def _is_name(node: ast.expr, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def _is_false(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is False
