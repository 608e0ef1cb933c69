"""Names, labels and YAML that an API server takes."""

import pytest
import yaml

from ethogram.contracts.baseline import Subject
from exporters.kubernetes import (
    annotations_of,
    dump_documents,
    is_dns_label,
    is_label_key,
    is_label_value,
    is_subdomain,
    kind_part,
    object_name,
    refused_label,
    stable_selector,
    subject_key,
)
from exporters.protocol import Options
from tests.baselines import make_baseline

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("text", ["shop", "a", "0", "a-b", "x" * 63])
def test_a_dns_label(text: str) -> None:
    assert is_dns_label(text)


@pytest.mark.parametrize("text", ["", "-a", "a-", "A", "a.b", "a_b", "x" * 64, "a\n", "ä"])
def test_no_dns_label(text: str) -> None:
    assert not is_dns_label(text)


@pytest.mark.parametrize("text", ["shop", "a.b", "x" * 253, "a-b.0"])
def test_a_subdomain(text: str) -> None:
    assert is_subdomain(text)


@pytest.mark.parametrize("text", ["", ".", "a..b", "a.", "x" * 254, "a.-b", "a\n"])
def test_no_subdomain(text: str) -> None:
    assert not is_subdomain(text)


@pytest.mark.parametrize("text", ["app", "app.kubernetes.io/name", "A_b.c", "x" * 63])
def test_a_label_key(text: str) -> None:
    assert is_label_key(text)


@pytest.mark.parametrize("text", ["", "/app", "a/b/c", "A.io/name", "app/", "x" * 64, "a b", "a\n"])
def test_no_label_key(text: str) -> None:
    assert not is_label_key(text)


@pytest.mark.parametrize("text", ["", "v1.2", "A_b-c", "x" * 63])
def test_a_label_value(text: str) -> None:
    assert is_label_value(text)


@pytest.mark.parametrize("text", ["-", "a b", "x" * 64, r"\x1b", "a/b", "a\n"])
def test_no_label_value(text: str) -> None:
    assert not is_label_value(text)


def test_the_refused_label_is_named() -> None:
    assert refused_label({"app": "checkout"}) is None
    assert refused_label({"app": "a b"}) == "app: a b"
    assert refused_label({"a b": "x"}) == "a b"


def test_a_selector_keeps_what_all_replicas_have() -> None:
    assert stable_selector({"pod-template-hash": "5d4c", "b": "2", "a": "1"}) == {
        "a": "1",
        "b": "2",
    }


@pytest.mark.parametrize("label", ["rollouts-pod-template-hash", "batch.kubernetes.io/job-name"])
def test_a_selector_leaves_out_what_a_controller_puts_on_one_revision(label: str) -> None:
    assert stable_selector({label: "5d4c", "app": "a"}) == {"app": "a"}


def test_a_good_name_stays_as_it_is() -> None:
    assert object_name("ethogram", "deployment", "checkout") == "ethogram.deployment.checkout"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("a", "b-c"), ("a-b", "c")),
        (("a.b", "c"), ("a", "b.c")),
        (("Foo",), ("foo",)),
        (("a b",), ("a-b",)),
        (("", ""), ("x", "x")),
        (("x" * 300,), ("x" * 301,)),
        (("a\0b",), ("a", "b")),
        (("../`$(x)`\n\x1b[31m",), ("x",)),
        (("a.",), ("a",)),
        (("\ud800",), ("x",)),
    ],
)
def test_different_parts_never_give_the_same_name(one, other) -> None:
    assert is_subdomain(object_name(*one))
    assert is_subdomain(object_name(*other))
    assert object_name(*one) != object_name(*other)


def test_a_long_name_keeps_its_beginning() -> None:
    name = object_name("checkout", "x" * 300)
    assert len(name) == 253
    assert name.startswith("checkout.xxx")


def test_kinds_of_kubernetes_are_lower_case_in_names() -> None:
    assert kind_part("StatefulSet") == "statefulset"
    assert object_name(kind_part("Rollout")) != object_name(kind_part("rollout"))


def test_documents_are_separated() -> None:
    text = dump_documents([{"a": "on"}, {"b": "5"}])
    assert text == b'a: "on"\n---\nb: "5"\n'
    assert list(yaml.safe_load_all(text)) == [{"a": "on"}, {"b": "5"}]


def test_annotations_name_workload_state_and_how_much_was_seen() -> None:
    baseline = make_baseline("read", state="partial")
    assert annotations_of(baseline, Options()) == {
        "ethogram.dev/workload": "_/shop-staging/Deployment/checkout/nginx/main",
        "ethogram.dev/state": "partial",
        "ethogram.dev/observed": "2 instances, 5 windows",
        "ethogram.dev/losses": "none",
    }
    assert (
        subject_key(Subject(kind="Unit", name="nginx.service")) == "_/_/Unit/nginx.service/_/none"
    )
