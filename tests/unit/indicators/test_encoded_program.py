"""An interpreter that decodes something and executes it."""

from __future__ import annotations

import pytest

from profiler.redaction import redact
from tests.unit.indicators.judging import fires, fires_on, seen, taints

pytestmark = pytest.mark.unit

NAME = "encoded-program"
PYTHON = {"exe_path": b"/usr/bin/python3.11"}
SECRET = b"import base64;exec(base64.b64decode('aW1wb3J0IG9zO29zLnVuYW1lKCk='))"


def test_a_program_that_runs_what_it_decodes_fires() -> None:
    told = [
        [b"python3", b"-c", SECRET],
        [b"python3", b"-c", b"exec(bytes.fromhex('00'))"],
        [b"php", b"-r", b"eval(base64_decode('x'));"],
        [b"node", b"-e", b"eval(Buffer.from('x','base64').toString())"],
        [b"perl", b"-MMIME::Base64", b"-e", b"eval decode_base64('x')"],
    ]
    others = [
        [b"python3", b"-c", b"import base64;print(base64.b64decode('eA=='))"],
        [b"python3", b"-c", b"exec('x')"],
        [b"python3", b"app.py"],
    ]
    assert fires_on(NAME, "processes", PYTHON, "argv", told + others) == told
    assert taints(NAME, seen("processes", PYTHON | {"argv": told[0]})) == [True]


def test_redaction_leaves_what_gives_it_away() -> None:
    argv, _ = redact([b"python3", b"-c", SECRET])
    assert fires(NAME, seen("processes", PYTHON | {"argv": argv})) == [True]


def test_another_program_does_not() -> None:
    row = {"argv": [b"x", b"-c", SECRET], "exe_path": b"/app/server"}
    assert fires(NAME, seen("processes", row, PYTHON | row | {"errno": 2})) == [False, False]
