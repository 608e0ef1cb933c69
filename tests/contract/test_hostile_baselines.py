"""Whatever a workload is called, talks to and makes up: what is exported stays what it is.

Over every exporter, so that a new one is held to it as it comes.
"""

import json
import random
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
import yaml
from ruamel.yaml import YAML

from ethogram.contracts.baseline import Baseline, Rules
from ethogram.contracts.exports import plan, write_plan
from ethogram.contracts.strict_yaml import dump_yaml, load_yaml
from ethogram.errors import ExportError
from exporters.kubernetes_parts import MOST_BYTES
from exporters.protocol import Artifact, Exporter, Finding
from exporters.registry import exporters, parse_options
from tests.contract.test_exporters import READERS, documents
from tests.hostile import HOSTILE, many_baselines

pytestmark = pytest.mark.contract

EVERY = [
    pytest.param(exporter, baseline, enforce, id=f"{name}-{title}-{enforce}")
    for name, exporter in exporters().items()
    for title, baseline in HOSTILE.items()
    for enforce in (False, True)
]
pair = pytest.mark.parametrize(("exporter", "baseline", "enforce"), EVERY)
MANY = dict(many_baselines(10_000))
# What `kubectl apply` can put into an annotation, and an API server takes.
ANNOTATION_BYTES = 256 * 1024


def run(exporter: Exporter, baseline: Baseline, enforce: bool) -> list[Artifact | Finding]:
    """Return what *exporter* gives; a refusal that says why is one finding."""
    try:
        return list(exporter.export(baseline, parse_options(exporter, [], enforce=enforce)))
    except ExportError as error:
        return [Finding("loss", error.message, error.hint)]


def artifacts(exporter: Exporter, baseline: Baseline, enforce: bool) -> Iterator[Artifact]:
    return (one for one in run(exporter, baseline, enforce) if isinstance(one, Artifact))


def shuffled(baseline: Baseline, seed: int) -> Baseline:
    chance = random.Random(seed)
    rules: dict[str, Any] = {}
    for dimension in Rules.model_fields:
        found = list(getattr(baseline.rules, dimension))
        chance.shuffle(found)
        rules[dimension] = tuple(found)
    return baseline.model_copy(update={"rules": Rules(**rules)})


@pair
def test_old_and_new_yaml_read_the_same(exporter, baseline, enforce) -> None:
    for artifact in artifacts(exporter, baseline, enforce):
        if artifact.path.endswith(".yaml"):
            text = artifact.content.decode()
            old = list(yaml.load_all(text, Loader=yaml.CSafeLoader))
            assert old == list(YAML(typ="safe", pure=True).load_all(text))
            # It goes through a writer, and through our own strict reader, as it is.
            assert [load_yaml(dump_yaml(document)) for document in old] == old
            if len(old) == 1:
                assert load_yaml(text) == old[0]


@pair
def test_json_has_whole_numbers_and_each_key_once(exporter, baseline, enforce) -> None:
    def refuse(text: str) -> None:
        raise AssertionError(text)

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        assert len(dict(pairs)) == len(pairs)
        return dict(pairs)

    for artifact in artifacts(exporter, baseline, enforce):
        if artifact.path.endswith(".json"):
            json.loads(
                artifact.content,
                parse_float=refuse, parse_constant=refuse, object_pairs_hook=unique,
            )  # fmt: skip


@pair
def test_no_line_holds_what_a_screen_or_a_reader_could_act_on(exporter, baseline, enforce) -> None:
    for item in run(exporter, baseline, enforce):
        if isinstance(item, Artifact):
            assert all(line.isprintable() for line in item.content.decode().split("\n"))
        else:
            assert f"{item.message}{item.hint or ''}".isprintable()


@pair
def test_the_order_of_rules_shows_nowhere(exporter, baseline, enforce) -> None:
    expected = run(exporter, baseline, enforce)
    for seed in (1, 23):
        assert run(exporter, shuffled(baseline, seed), enforce) == expected


@pytest.mark.parametrize("title", HOSTILE)
@pytest.mark.parametrize("exporter", exporters().values(), ids=exporters())
def test_every_rule_is_allowed_or_named(exporter: Exporter, title: str) -> None:
    baseline = HOSTILE[title]
    items = run(exporter, baseline, True)
    if not any(isinstance(item, Artifact) for item in items):
        assert any(isinstance(item, Finding) for item in items)
        return
    found = documents(items)
    named = {item.subject for item in items if isinstance(item, Finding)}
    said = " ".join(item.message for item in items if isinstance(item, Finding))
    for dimension, rule in baseline.rules.all():
        if dimension in exporter.dimensions and rule.id not in named:
            name = getattr(rule.value, "name", None)
            assert (name and name in said) or READERS[exporter.name](found, rule), rule


@pair
def test_every_file_can_be_written_and_lies_inside(
    exporter, baseline, enforce, tmp_path: Path
) -> None:
    found = list(artifacts(exporter, baseline, enforce))
    planned = plan(tmp_path, [(artifact, "0" * 64) for artifact in found])
    assert write_plan(planned) == [artifact.path for artifact in planned_order(found)]
    for artifact in found:
        assert max(len(part.encode()) for part in PurePosixPath(artifact.path).parts) <= 255
        assert (tmp_path / artifact.path).read_bytes() == artifact.content


def planned_order(found: list[Artifact]) -> list[Artifact]:
    return sorted(found, key=lambda artifact: artifact.path)


@pytest.mark.parametrize("title", MANY)
@pytest.mark.parametrize("exporter", exporters().values(), ids=exporters())
def test_ten_thousand_rules_make_files_that_a_cluster_takes(exporter: Exporter, title: str) -> None:
    for artifact in artifacts(exporter, MANY[title], True):
        if artifact.path.endswith(".yaml"):
            for document in yaml.load_all(artifact.content, Loader=yaml.CSafeLoader):
                assert len(json.dumps(document)) < ANNOTATION_BYTES
                assert len(json.dumps(document["metadata"])) < ANNOTATION_BYTES - MOST_BYTES
