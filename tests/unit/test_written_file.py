"""Files that people write are refused in the same words, whatever they hold."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ethogram.contracts.environment_file import load_environment
from ethogram.contracts.overlay_file import load_overlay
from ethogram.contracts.redaction_file import load_redaction
from ethogram.contracts.suppression_file import load_suppressions
from ethogram.errors import UsageError
from ethogram.posture.exemptions import load_exemptions
from ethogram.webhook.config import load_config

pytestmark = pytest.mark.unit

Load = Callable[[Path], object]
KINDS: dict[str, tuple[Load, str]] = {
    "map": (load_environment, "a map of environments"),
    "overlay": (load_overlay, "an overlay"),
    "suppressions": (load_suppressions, "a file of suppressions"),
    "redaction": (load_redaction, "a file of redaction rules"),
    "exemptions": (load_exemptions, "a file of exemptions"),
    "webhook": (load_config, "a configuration of the webhook"),
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "written.yaml"


def refusal(load: Load, file: Path, text: str) -> UsageError:
    file.write_text(text)
    with pytest.raises(UsageError) as caught:
        load(file)
    assert str(file) in caught.value.message
    return caught.value


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_file_is_instead_is_said(file: Path, kind: str) -> None:
    load, name = KINDS[kind]
    for other, (_, words) in KINDS.items():
        text = f"schema: ethogram.{other}/1\n"
        if other != kind:
            assert refusal(load, file, text).message == f"`{file}` is {words}, not {name}"
    begin = f"begin one with `schema: ethogram.{kind}/1`, then `"
    for text, cause in (
        ("", "it is empty"),
        ("[a]", "it is no mapping"),
        ("a: b", f"it has no `schema: ethogram.{kind}/1`"),
        ("a: [", "it is not YAML that ethogram reads: line "),
        ("a: " + "[" * 33 + "]" * 33, "nested deeper than 32"),
        ("#" * ((1 << 20) + 1), "it is larger than 1 MiB"),
    ):
        error = refusal(load, file, text)
        assert error.message.startswith(f"`{file}` is not {name}: ")
        assert cause in error.message
        assert str(error.hint).startswith(begin)
    file.unlink()
    with pytest.raises(UsageError, match="there is no") as caught:
        load(file)
    assert str(caught.value.hint).startswith(begin)


@pytest.mark.parametrize("kind", KINDS)
def test_a_schema_of_another_version_is_named(file: Path, kind: str) -> None:
    error = refusal(KINDS[kind][0], file, f"schema: ethogram.{kind}/2\n")
    assert error.message.endswith(
        f"has schema `ethogram.{kind}/2`; this version reads `ethogram.{kind}/1`"
    )
    assert str(error.hint).startswith("upgrade ethogram, or write the ")


@pytest.mark.parametrize(
    ("kind", "text", "field", "hint"),
    [
        ("map", "clutsers: {}", "clutsers", "did you mean `clusters`?"),
        ("overlay", "entries: [{mach: {}}]", "entries.0.mach", "did you mean `match`?"),
        ("overlay", "entries: [{allow: {rul: x}}]", "entries.0.allow.rul", "did you mean `rule`?"),
        (
            "suppressions",
            "suppressions: [{match: {nmae: x}}]",
            "suppressions.0.match.nmae",
            "did you mean `name`?",
        ),
        (
            "exemptions",
            "exemptions: [{match: {owner: x}}]",
            "exemptions.0.match.owner",
            "known: `kind`, `name`, `namespace`, `container`",
        ),
        ("redaction", "rules: [{path: ['{x}']}]", "rules.0.path", "did you mean `paths`?"),
        ("webhook", "tls: {kay: x}", "tls.kay", "did you mean `key`?"),
        ("webhook", "namespaces: [{modes: x}]", "namespaces.0.modes", "did you mean `mode`?"),
    ],
)
def test_a_misspelt_field_is_guessed_among_those_of_its_place(
    file: Path, kind: str, text: str, field: str, hint: str
) -> None:
    error = refusal(KINDS[kind][0], file, f"schema: ethogram.{kind}/1\n{text}\n")
    assert f": field `{field}`: there is no such field" in error.message
    assert error.hint == hint


def test_a_field_of_the_wrong_kind_is_shown_as_it_is_written(file: Path) -> None:
    text = "schema: ethogram.suppressions/1\nsuppressions: "
    error = refusal(load_suppressions, file, f"{text}7\n")
    assert "field `suppressions`: it is no list" in error.message
    assert str(error.hint).startswith("it reads like `")
    error = refusal(load_suppressions, file, f"{text}[a]\n")
    assert "field `suppressions.0`: it is no mapping" in error.message
    row = "{rule: no, owner: a, reason: b, expires: 2027-01-31}"
    error = refusal(load_suppressions, file, f"{text}[{row}]\n")
    assert "field `suppressions.0.rule`: " in error.message
    assert str(error.hint).endswith("and numbers, need quotes")
