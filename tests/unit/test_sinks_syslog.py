"""Messages of syslog: whole, within their size, and never two where there is one."""

from __future__ import annotations

import json
import re

import pytest

from detector.sinks.syslog import message
from ethogram.errors import UsageError
from tests.sinks import HOSTILE, SENDER, make_record, outlet_to

pytestmark = pytest.mark.unit

# RFC 5424, section 6: header, one element of structured data, and a message in UTF-8.
FORM = re.compile(
    rb"<(\d{1,3})>1 (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{1,6}Z) ([!-~]{1,255}) ([!-~]{1,48}) "
    rb"([!-~]{1,128}) ([!-~]{1,32}) "
    rb'(\[origin software="ethogram" swVersion="[^"\\\]]*"\]) \xef\xbb\xbf(.*)',
    re.DOTALL,
)


def parts(number: int = 1, most: int = 8192, **fields: object) -> tuple[bytes, ...]:
    data = message(make_record(number, **fields), SENDER, facility=10, most=most)
    assert len(data) <= most
    match = FORM.fullmatch(data)
    assert match, data
    return match.groups()


def test_it_has_the_fields_of_rfc_5424() -> None:
    priority, time, host, name, pid, rule, _, body = parts(time="2026-11-23T06:00:01.123456789Z")
    assert (priority, host, name, pid, rule) == (
        b"84", b"node-7", b"ethogram", b"4711", b"deviation-execs"
    )  # fmt: skip
    assert time == b"2026-11-23T06:00:01.123456Z"
    assert json.loads(body) == make_record(1, time="2026-11-23T06:00:01.123456789Z").body


@pytest.mark.parametrize(("severity", "level"), [
    ("critical", 2), ("high", 3), ("medium", 4), ("low", 5), ("info", 6),
])  # fmt: skip
def test_the_severity_is_in_the_priority(severity: str, level: int) -> None:
    assert int(parts(severity=severity)[0]) == 80 + level


def test_what_a_workload_chose_stays_inside_the_json() -> None:
    body = parts(title=HOSTILE, reason="a\nb\x00c<34>1 ] \\")[-1]
    assert b"\n" not in body
    assert b"\0" not in body
    assert json.loads(body)["title"] == HOSTILE


@pytest.mark.parametrize("fields", [
    {"reason": "x" * 30_000}, {"reason": "é" * 30_000, "title": "\\" * 9000},
    {"rule": "r" * 500}, {"rule": "a b\té"},
])  # fmt: skip
def test_one_that_is_too_long_is_shortened_and_says_so(fields: dict[str, str]) -> None:
    body = json.loads(parts(most=2048, **fields)[-1])
    assert body["fingerprint"] == make_record().body["fingerprint"]
    assert body.get("is_truncated", False) == (len(str(fields)) > 1000)


def test_ancestors_go_before_arguments_do() -> None:
    ancestry = [{"exec_id": "e", "exe": "/bin/" + "x" * 100}] * 100
    record = make_record()
    process = {**record.body["process"], "ancestry": ancestry}
    body = json.loads(parts(process=process)[-1])
    assert "ancestry" not in body["process"]
    assert body["process"]["argv"] == ["sh", "-c", "id 1"]


@pytest.mark.parametrize("url", [
    "syslog+tcp:/x", "syslog+udp://host", "syslog+tcp://host/path", "syslog+tcp://host#ca=/x",
    "syslog+tcp://host#facility=nine", "syslog+tcp://host#size=100B", "syslog+tcp://host:99999",
])  # fmt: skip
def test_what_is_no_syslog_is_refused(url: str) -> None:
    with pytest.raises(UsageError):
        outlet_to(url)
