"""Manifests that an audit reads: lists, lines, and text that is to be refused."""

from __future__ import annotations

import pytest

from ethogram.contracts.strict_yaml import dump_yaml
from ethogram.posture.manifests import line_of, objects_of_text
from ethogram.posture.objects import KubeObject, Reference, Source, objects_in
from tests.posture import make_pod

pytestmark = pytest.mark.unit


def test_lists_are_read_as_what_is_in_them() -> None:
    pod = make_pod()
    nested = {"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "v1", "kind": "PodList", "items": [{"metadata": {"name": "a"}}, None]},
        pod, {"kind": "ConfigMap"}, "text",
    ]}  # fmt: skip
    found = list(objects_in(nested, Source("a.yaml", 0)))
    assert [(one.who.kind, one.who.name) for one in found] == [("Pod", "a"), ("Pod", "app")]
    assert found[1].source.at == ("items", 1)
    assert found[0].who == Reference("Pod", "", "a", "v1")


def test_a_line_is_that_of_the_field_or_of_what_it_would_be_in() -> None:
    text = "---\na: 1\n---\nspec:\n  containers:\n    - name: a\n      image: b\n    - name: c\n"
    source = Source("a.yaml", 1)
    assert line_of(text, source, ("spec", "containers", 1, "name")) == 8
    assert line_of(text, source, ("spec", "containers", 0, "securityContext", "x")) == 6
    assert line_of(text, Source("a.yaml", 7), ("spec",)) == 1
    assert line_of("a: [", source, ("spec",)) == 1


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("a: &a [x]\nb: [*a, *a]\n", "anchors and aliases are not read"),
        ("a: " + "[" * 200 + "]" * 200, "nested deeper than 128"),
        ('{"a": ' * 200_000, "line 1: nested deeper than 128|deeply"),
        ("a: {{ .Values.x }}\n", "it is a template"),
        ("a: !!python/object:os.system x\n", "tags are not read"),
        ("a: 1\na: 2\n", "the key `a` stands twice"),
        ("\tkey: x\n", "line 1"),
    ],
)
def test_hostile_text_is_told_and_not_read(text: str, cause: str) -> None:
    [found] = list(objects_of_text(text, "a.yaml"))
    assert not isinstance(found, KubeObject)
    assert any(part in found.cause for part in cause.split("|"))


def test_a_large_manifest_is_read() -> None:
    text = "\n---\n".join(dump_yaml(make_pod()) for _ in range(2_000))
    found = list(objects_of_text(text, "a.yaml"))
    assert len(found) == 2_000
