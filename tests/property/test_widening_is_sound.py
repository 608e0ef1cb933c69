"""Whatever was observed stays allowed when names are widened, and what is kept stays as it is."""

from __future__ import annotations

import random
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ethogram.contracts.baseline import AnyValue, Dimension, ExecValue, FileValue
from ethogram.contracts.escape import escape_pattern
from ethogram.contracts.matching import pattern_to_regex
from learner.generalise import Origin, widened

pytestmark = pytest.mark.property

UUID = b"550e8400-e29b-41d4-a716-4466554400"
digits = st.integers(0, 40).map(lambda n: b"%d" % n)
hexes = st.integers(0, 2**80).map(lambda n: b"%020x" % n)
drawn = st.text("abcdefghkxyz0123456789_", min_size=8, max_size=8).map(str.encode)
hostile = st.sampled_from(
    [b"*", b"a*b", b"\\x2a", b"\\", b"\xff\xfe", b"\n", b"\xe2\x80\xae", b"...", b"..", b"%s",
     b"\x01", b"x" * 255, b"tmp\xff1234567", b"-", b".", b"\\x3132333435363738"]
)  # fmt: skip
names = st.one_of(
    digits,
    hexes,
    drawn,
    hostile,
    st.tuples(st.sampled_from([b"log-", b"tmp", b"state.", b"", b"a-1-"]), st.one_of(digits, drawn),
              st.sampled_from([b"", b".json", b"-1", b".2"])).map(b"".join),
    st.integers(10, 99).map(lambda n: UUID + b"%d" % n),
    st.integers(1, 28).map(lambda n: b"app-2026-11-%02d.log" % n),
    st.integers(1, 28).map(lambda n: b"..2026_11_%02d_10_11_12.345" % n),
    st.sampled_from([b"etc", b"lib", b"secrets", b"cgroup", b"pgsql_tmp12.3", b"temp-7.rdb"]),
)  # fmt: skip
roots = st.sampled_from(
    [b"", b"/tmp", b"/var/lib/app", b"/proc/12", b"/run/x", b"/etc", b"/dev/pts"]
)
paths = st.one_of(
    st.tuples(roots, st.lists(names, min_size=1, max_size=3)).map(
        lambda drawn: drawn[0] + b"/" + b"/".join(drawn[1])
    ),
    st.integers(1, 12).map(lambda n: b"/tmp/job-%d" % n + b"/a" * 2000),
    st.sampled_from([b"...cut/off", b"/", b"relative", b"//", b"/tmp//x"]),
)
files = st.tuples(
    paths.map(escape_pattern),
    st.sampled_from(["r", "rwc", "n", "w", "rx", ""]),
    st.sampled_from([None, "own", "image"]),
)
observations = st.lists(files, min_size=1, max_size=60)
Given = list[tuple[str, str, Origin | None]]


def widen(given: Given) -> Mapping[tuple[str, str], str]:
    """Return the pattern of each file by its path and access."""
    seen: list[tuple[Dimension, AnyValue]] = [
        ("files", FileValue(path=path, access=access)) for path, access, _ in given
    ]
    found = {}
    for (path, access, _), value in zip(
        given, widened(seen, [origin for *_, origin in given]), strict=True
    ):
        assert isinstance(value, FileValue)
        assert value.access == access
        found[path, access] = value.path
    return found


@settings(max_examples=60, deadline=None)
@given(observations)
def test_what_was_observed_stays_allowed_and_what_is_kept_as_it_is(given: Given) -> None:
    found = widen(given)
    for path, access, origin in given:
        pattern = found[path, access]
        assert pattern_to_regex(pattern).fullmatch(path)
        is_kept = origin == "image" or path.startswith("/etc/") or access == "rx"
        if is_kept and not path.startswith(("/proc/", "/dev/")) and "/..2026" not in path:
            assert pattern == path


@settings(max_examples=60, deadline=None)
@given(observations, st.integers(0, 99))
def test_the_order_says_nothing_and_twice_is_once(given: Given, seed: int) -> None:
    found = widen(given)
    shuffled = list(given)
    random.Random(seed).shuffle(shuffled)
    assert widen(shuffled + given[:3]) == found
    again = [(found[path, access], access, origin) for path, access, origin in given]
    assert widen(again) == {(path, access): path for path, access, _ in again}


@settings(max_examples=40, deadline=None)
@given(observations, observations)
def test_who_sees_more_still_allows_what_was_seen_before(given: Given, more: Given) -> None:
    found = widen(given + more)
    for path, access, _ in given:
        assert pattern_to_regex(found[path, access]).fullmatch(path)


def test_what_is_executed_keeps_its_name() -> None:
    path = "/tmp/tmpab12cd34"
    created: list[tuple[Dimension, AnyValue]] = [("files", FileValue(path=path, access="rwc"))]
    assert list(widened(created)) == [FileValue(path="/tmp/tmp*", access="rwc")]
    executed = [*created, ("execs", ExecValue(path=path))]
    assert list(widened(executed)) == [value for _, value in executed]
