"""Bytes that a workload controls reach a screen or a file without their controls."""

import pytest

from ethogram.contracts.escape import escape, escape_pattern, printable, unescape

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"/usr/sbin/nginx", "/usr/sbin/nginx"),
        (b"", ""),
        ("/srv/größe".encode(), "/srv/größe"),
        (b"/tmp/\x1b[2Jgone", "/tmp/\\x1b[2Jgone"),
        (b"two\nlines\ttab\r", "two\\x0alines\\x09tab\\x0d"),
        (b"nul\0del\x7f", "nul\\x00del\\x7f"),
        (b"\xff\xfe not utf-8", "\\xff\\xfe not utf-8"),
        (b"overlong \xc0\xaf", "overlong \\xc0\\xaf"),
        (b"cut \xe2\x82", "cut \\xe2\\x82"),
        ("evil\u202egpj.exe".encode(), "evil\\xe2\\x80\\xaegpj.exe"),
        ("no\u00a0break \u2028 line".encode(), "no\\xc2\\xa0break \\xe2\\x80\\xa8 line"),
        (b"back\\slash", "back\\x5cslash"),
        (b"literal \\x1b", "literal \\x5cx1b"),
    ],
)
def test_what_is_not_printable_is_escaped(raw: bytes, text: str) -> None:
    assert escape(raw) == text
    assert unescape(text) == raw


def test_text_is_escaped_like_bytes() -> None:
    assert escape("a\x07b") == escape(b"a\x07b") == "a\\x07b"


def test_undecodable_names_from_the_file_system_keep_their_bytes() -> None:
    assert escape(b"caf\xe9".decode("utf-8", "surrogateescape")) == "caf\\xe9"


def test_a_lone_surrogate_does_not_raise() -> None:
    assert escape("\ud800") == "\\xed\\xa0\\x80"
    assert unescape("\ud800") == b"\xed\xa0\x80"


def test_a_person_may_write_hexadecimal_either_way_and_a_plain_backslash() -> None:
    assert unescape("\\x1B\\x1b\\other") == b"\x1b\x1b\\other"


def test_a_pattern_of_literal_bytes_holds_no_star() -> None:
    assert escape_pattern(b"/tmp/*") == "/tmp/\\x2a"
    assert unescape(escape_pattern(b"/tmp/*")) == b"/tmp/*"


def test_text_that_is_escaped_already_is_not_escaped_twice() -> None:
    text = escape(b"a\x1b[2J\\")
    assert printable(text) == text
    assert printable("a\x1b\n\\x1b") == "a\\x1b\\x0a\\x1b"
