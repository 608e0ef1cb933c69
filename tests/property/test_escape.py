"""Escaping loses nothing and lets nothing through."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ethogram.contracts.escape import escape, unescape

pytestmark = pytest.mark.property

# Fragments that could be confused with an escape come up often.
RAW = st.lists(
    st.sampled_from([b"\\", b"x", b"\\x", b"5c", b"\\x5c", b"0", b"\n", b"\xff"]) | st.binary()
).map(b"".join)


@given(RAW)
def test_unescape_is_the_inverse_of_escape(raw: bytes) -> None:
    assert unescape(escape(raw)) == raw


@given(RAW | st.text())
def test_nothing_unprintable_gets_through(raw: bytes | str) -> None:
    assert escape(raw).isprintable()
