"""Redaction holds for any arguments at all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from profiler.redaction import redact

pytestmark = pytest.mark.property

PIECES = st.sampled_from(
    [
        b"--password", b"-p", b"=", b" ", b"token", b"Authorization: ", b"Bearer ", b"://", b":",
        b"@", b"'", b'"', b"\\", b"-----BEGIN KEY-----", b"-----END KEY-----", b"eyJhbGciOi", b".",
        b"[redacted]", b"mysql", b"curl", b"-u", b"-c", b"sh", b"/", b"&", b",", b";", b"sha256:",
        b"9f86d081884c7d659a2feaa0c55ad015", b"a3bf4f1b2b0b822cd15d6c15b0f00a08", b"pass:", b"{",
        b"}", b"\n", b"ghp_", b"abcdefghij1234", b"-passin", b"login", b"sshpass", b"cookie", b"+",
        b"Zm9vYmFyQmF6UXV4MTIzNDU2Nzg5MEFC", b"8080", b"redis-cli", b"-a", b"openssl",
        b"-k", b"smbclient", b"-U", b"%", b"--user", b"aws_secret_key", b"--pw",
    ]
)  # fmt: skip
WORDS = st.one_of(st.lists(PIECES, max_size=8).map(b"".join), st.binary(max_size=80))


@given(st.lists(WORDS, max_size=8))
def test_redacting_twice_is_redacting_once(argv):
    once, count = redact(argv)
    assert len(once) == len(argv)
    assert count == sum(old != new for old, new in zip(argv, once, strict=True))
    assert redact(once) == (once, 0)


@given(
    st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=40),
    st.sampled_from(["--password", "--api-key", "--client-secret", "--db.token"]),
)
def test_no_part_of_a_named_secret_is_left(secret, option):
    words, _ = redact([b"serve", f"{option}={secret}".encode(), b"x"])
    assert words == [b"serve", f"{option}=[redacted]".encode(), b"x"]
