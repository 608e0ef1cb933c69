"""Text in CEL: whatever it is, the literal is that text and nothing more."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporters.admission_cel import cel_list, cel_literal, cel_string
from tests.vap import evaluate

pytestmark = pytest.mark.property

HOSTILE = [
    "'",
    "\\",
    "\\'",
    "a\nb",
    "\r\t\0",
    "' || true || '",
    "\u2028",
    "\u202e",
    "\U0001f600",
    '"""',
]


@given(st.text())
def test_a_literal_is_the_text(text):
    assert evaluate(cel_string(text)) == text


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_stays_text(text):
    literal = cel_string(text)
    assert evaluate(literal) == text
    assert literal.isascii()
    assert literal.isprintable()


@given(st.lists(st.text()))
def test_a_list_is_its_texts(texts):
    assert evaluate(cel_list(texts)) == texts


@given(st.dictionaries(st.text(), st.text()))
def test_a_map_is_its_pairs(pairs):
    assert evaluate(cel_literal(pairs)) == pairs


def test_half_a_surrogate_pair_is_refused():
    with pytest.raises(ValueError, match="surrogate"):
        cel_string("\ud800")
