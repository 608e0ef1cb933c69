"""Baselines as text: what is written, and what is refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml

from ethogram.contracts.baseline import (
    Baseline,
    Subject,
    baseline_filename,
    dump_baseline,
    load_baseline,
    load_baselines,
    parse_baseline,
)
from ethogram.contracts.strict_yaml import StrictYamlError, dump_yaml, load_yaml
from ethogram.errors import BaselineError

pytestmark = pytest.mark.unit

SMALL = """\
schema: ethogram.baseline/1
subject: {kind: Deployment, name: checkout}
match: {kind: Deployment, name: checkout}
inputs: []
observation: {windows: 1, instances: 1, seconds: 5.0, state: complete}
rules:
  dns:
    - id: dns-0123456789ab
      value: {name: redis}
      evidence:
        {calls: 1, windows: 1, instances: 1, recordings: 1, phases: [steady],
         first_seen: "2026-01-01T00:00:00Z", last_seen: "2026-01-01T00:00:00.5Z"}
"""


def refusal(text: str) -> str:
    with pytest.raises(BaselineError) as caught:
        parse_baseline(text, source="x.baseline.yaml")
    assert caught.value.hint
    assert "x.baseline.yaml" in caught.value.message
    assert "\n" not in caught.value.message
    return caught.value.message


def test_a_misspelt_field_gets_a_suggestion() -> None:
    with pytest.raises(BaselineError, match="`ruls`: is not a field") as caught:
        parse_baseline(SMALL.replace("rules:", "ruls:"))
    assert caught.value.hint == "did you mean `rules`?"


def test_a_baseline_survives_being_written_and_read() -> None:
    baseline = parse_baseline(SMALL)
    text = dump_baseline(baseline)
    assert parse_baseline(text) == baseline
    assert dump_baseline(parse_baseline(text)) == text


@pytest.mark.parametrize(
    "word", ["on", "No", "y", "null", "true", "1", "1e3", "0x1", "-", "a: b", "a#b", "", " a", "é"]
)
def test_a_string_that_readers_could_take_for_something_else_is_quoted(word: str) -> None:
    text = dump_yaml({"name": word})
    assert text.startswith('name: "')
    assert yaml.safe_load(text) == {"name": word}


@pytest.mark.parametrize("word", ["nginx", "/usr/bin/cat", "a.b-c_d/e"])
def test_a_plain_word_stays_plain(word: str) -> None:
    assert dump_yaml({"name": word}) == f"name: {word}\n"


@pytest.mark.parametrize(
    "word", ["a\nb", "a\x1b[31m", "\u202eevil", "a\x85b", "\ufeff", "\U000e0001"]
)
def test_what_does_not_print_is_written_as_an_escape(word: str) -> None:
    text = dump_yaml({"name": word})
    assert text.rstrip("\n").isprintable()
    assert yaml.safe_load(text) == {"name": word}


def test_nested_collections_survive() -> None:
    document = {"a": [{"b": ["x", {"c": 1}], "d": {}}, []], "e": {"f": {"g": [1.5, True, None]}}}
    assert load_yaml(dump_yaml(document)) == document


@pytest.mark.parametrize("value", [0.0, 1.0, 0.000001, 12.5, 123456.25])
def test_a_float_is_read_as_a_float_again(value: float) -> None:
    assert yaml.safe_load(dump_yaml({"x": value})) == {"x": value}


def test_a_misspelt_key_is_named_with_its_place() -> None:
    assert "`rules.dns.0.evidnce`" in refusal(SMALL.replace("evidence:", "evidnce:"))


def test_an_extra_key_is_refused() -> None:
    message = refusal(SMALL + "surprise: 1\n")
    assert "field `surprise`" in message


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        ("{name: redis}", "{name: 7}", "rules.dns.0.value.name"),
        ("{name: redis}", "{name: no}", "rules.dns.0.value.name"),
        ("windows: 1, instances: 1, sec", "windows: yes, instances: 1, sec", "observation.windows"),
        ("windows: 1, instances: 1, sec", "windows: -1, instances: 1, sec", "observation.windows"),
        ("seconds: 5.0", "seconds: .nan", "observation.seconds"),
        ("state: complete", "state: perfect", "observation.state"),
        ("phases: [steady]", "phases: [sunday]", "rules.dns.0.evidence.phases.0"),
        ("dns-0123456789ab", "../../x", "rules.dns.0.id"),
    ],
)
def test_a_wrong_type_is_named_by_field(old: str, new: str, field: str) -> None:
    assert old in SMALL
    assert f"`{field}`" in refusal(SMALL.replace(old, new))


def test_a_newer_schema_says_upgrade() -> None:
    with pytest.raises(BaselineError) as caught:
        parse_baseline(SMALL.replace("baseline/1", "baseline/2"))
    assert "ethogram.baseline/2" in caught.value.message
    assert "upgrade" in str(caught.value.hint)


@pytest.mark.parametrize(
    "text",
    [
        "", "- 1\n", "just words", "{", "a: [", "\x00", "schema: 5\n", "%TAG ! x\n---\n",
        "schema: ethogram.recording/1\n", "a: b: c\n", "--- a\n--- b\n", "1: 2\n", "[" * 5000,
        "schema: ethogram.baseline/99999999999\n", "? [a]\n: b\n",
    ],
)  # fmt: skip
def test_what_is_no_baseline_is_refused(text: str) -> None:
    refusal(text)


def test_aliases_are_refused() -> None:
    bomb = "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n"
    assert "aliases" in refusal(bomb)


def test_tags_are_refused() -> None:
    assert "tags" in refusal("a: !!python/object/apply:os.system [id]\n")
    assert "tags" in refusal("a: !!binary aGk=\n")


def test_a_key_that_stands_twice_is_refused_with_its_line() -> None:
    message = refusal(SMALL + "inputs: []\n")
    assert "line 13: the key `inputs` stands twice" in message


def test_two_rules_with_one_id_are_refused() -> None:
    rule = SMALL[SMALL.index("    - id") :]
    assert "dns-0123456789ab" in refusal(SMALL + rule)


def test_a_quarantined_value_is_read_by_its_dimension(tmp_path: Path) -> None:
    entry = (
        "quarantined:\n"
        "  - id: capabilities-0123456789ab\n"
        "    dimension: capabilities\n"
        "    value: {name: CAP_BPF}\n"
        "    indicators: [x]\n"
        "    evidence: {calls: 1, windows: 1, instances: 1, recordings: 1, phases: [], "
        'first_seen: "2026-01-01T00:00:00Z", last_seen: "2026-01-01T00:00:00Z"}\n'
    )
    (one,) = parse_baseline(SMALL + entry).quarantined
    assert type(one.value).__name__ == "CapabilityValue"
    assert "quarantined.0.value" in refusal(SMALL + entry.replace("{name: CAP_BPF}", "{path: /x}"))


def test_a_missing_file_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(BaselineError) as caught:
        load_baseline(tmp_path / "none.baseline.yaml")
    assert "none.baseline.yaml" in caught.value.message
    assert "ethogram learn" in str(caught.value.hint)
    assert caught.value.exit_code == 5


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.baseline.yaml"
    path.write_bytes(b"PAR1\xff\xfe")
    with pytest.raises(BaselineError):
        load_baseline(path)


def test_what_is_no_file_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.baseline.yaml")
    (tmp_path / "endless.yaml").symlink_to("/dev/zero")
    for path in (tmp_path, tmp_path / "endless.yaml"):
        with pytest.raises(BaselineError, match="is not a file"):
            load_baselines(path)


def test_a_file_that_is_too_large_is_refused_before_it_is_parsed(tmp_path: Path) -> None:
    path = tmp_path / "x.baseline.yaml"
    with path.open("wb") as file:
        file.truncate((64 << 20) + 1)
    with pytest.raises(BaselineError, match="larger than 64 MiB"):
        load_baseline(path)


def test_a_directory_gives_its_baselines_by_name(tmp_path: Path) -> None:
    for name in ("b", "a"):
        (tmp_path / f"{name}.baseline.yaml").write_text(SMALL)
    (tmp_path / "other.yaml").write_text("x: 1\n")
    found = load_baselines(tmp_path)
    assert [path.name for path, _ in found] == ["a.baseline.yaml", "b.baseline.yaml"]
    assert all(isinstance(baseline, Baseline) for _, baseline in found)
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(BaselineError):
        load_baselines(empty)


def test_hostile_names_stay_one_file_name() -> None:
    names = {
        baseline_filename(Subject(kind="Container", name=name))
        for name in ("../../etc/passwd", "a/b", "a_b", "", "x" * 300, ".hidden", "a\nb", "_")
        if name
    }
    assert len(names) == 7
    assert all("/" not in name and not name.startswith(".") and len(name) < 256 for name in names)


def test_a_file_is_called_after_its_subject() -> None:
    subject = Subject(namespace="shop", kind="Deployment", name="checkout", container="nginx")
    assert baseline_filename(subject) == "shop.Deployment-checkout.nginx.baseline.yaml"
    unit = Subject(kind="Unit", name="ssh.service")
    assert baseline_filename(unit) == "_.Unit-ssh.service._.baseline.yaml"


def test_a_document_nested_too_deep_is_refused() -> None:
    with pytest.raises(StrictYamlError, match="deeper"):
        load_yaml("[" * 100 + "]" * 100)
