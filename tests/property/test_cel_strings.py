"""Text in CEL: whatever it is, the literal is that text and nothing more."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporters.admission_cel import any_of, cel_list, cel_string
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


@given(st.text(), st.lists(st.text(), min_size=1))
def test_any_of_asks_for_membership(text, texts):
    assert evaluate(any_of(cel_string(text), texts)) is (text in texts)


def test_half_a_surrogate_pair_is_refused():
    with pytest.raises(ValueError, match="surrogate"):
        cel_string("\ud800")
