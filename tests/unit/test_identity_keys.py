"""Keys of workloads: readable, and the same exactly when their parts are."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ethogram.contracts.keys import (
    WorkloadKey,
    instance_key,
    parse_workload_key,
    workload_key,
    workload_key_of,
)

pytestmark = pytest.mark.unit

# Lone surrogates included: they stand for bytes that were not UTF-8.
PART = st.text(st.characters(), max_size=20)
KEYS = st.builds(
    WorkloadKey,
    cluster=st.none() | PART,
    namespace=st.none() | PART,
    kind=PART,
    name=PART,
    container=st.none() | PART,
    container_kind=PART,
    image_digest=st.none() | PART,
)


def test_a_key_reads_from_the_widest_name_to_the_narrowest():
    key = workload_key("prod", "shop", "Deployment", "checkout", "nginx", "sha256:9f86")
    assert key == "prod/shop/Deployment/checkout/nginx/main@sha256:9f86"


def test_what_does_not_apply_is_an_underscore():
    assert workload_key(None, None, "Unit", "nginx.service", None, None) == (
        "_/_/Unit/nginx.service/_/none"
    )


def test_a_part_that_is_an_underscore_is_not_absent():
    key = workload_key(None, None, "Command", "_", None, None)
    assert key == "_/_/Command/%5F/_/none"
    assert parse_workload_key(key).name == "_"


def test_separators_and_control_characters_are_escaped():
    key = workload_key(None, None, "Unit", "getty@tty1.service", None, None)
    assert key == "_/_/Unit/getty%40tty1.service/_/none"
    hostile = workload_key(None, None, "Cgroup", "/a b\n\x1b", None, None)
    assert hostile == "_/_/Cgroup/%2Fa%20b%0A%1B/_/none"


def test_a_row_of_the_workloads_table_has_the_key_of_its_columns():
    row = {
        "cluster": None,
        "namespace": "shop",
        "kind": "Deployment",
        "name": "checkout",
        "container": "migrate",
        "container_kind": "init",
        "image_digest": None,
        "labels": [],
    }
    assert workload_key_of(row) == "_/shop/Deployment/checkout/migrate/init"


@given(KEYS)
def test_parsing_gives_back_the_parts(parts):
    assert parse_workload_key(str(parts)) == parts


@given(KEYS, KEYS)
def test_two_keys_are_equal_exactly_when_their_parts_are(one, other):
    assert (str(one) == str(other)) == (one == other)


@given(KEYS)
def test_a_key_is_printable_ascii_on_one_line(parts):
    assert all("!" <= character <= "~" for character in str(parts))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a/b/c",
        "_/_/_/name/_/none",
        "_/_/Unit/a b/_/none",
        "_/_/Unit/%61/_/none",
        "_/_/Unit/%FF/_/none",
        "_/_/Unit/%2/_/none",
        "_/_/Unit/a/_/none@_",
        "_/_/Unit/a/_/none/b",
    ],
)
def test_what_no_workload_has_as_its_key_is_refused(text):
    with pytest.raises(ValueError, match="workload key"):
        parse_workload_key(text)


def test_an_instance_is_named_by_host_and_runtime():
    assert instance_key("host-1", "a/b") == "host-1/a%2Fb"
