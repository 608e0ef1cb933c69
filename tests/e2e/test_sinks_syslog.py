"""Syslog to Debian's rsyslog, over TCP and TLS."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest
import trustme

from detector.sinks.protocol import LaterError
from tests.e2e.receivers import rsyslog, until
from tests.sinks import HOSTILE, make_record, outlet_to

pytestmark = pytest.mark.e2e


def messages(path: Path, count: int) -> list[dict[str, Any]]:
    until(lambda: path.exists() and path.read_bytes().count(b"\n") >= count)
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_rsyslog_reads_every_field_over_tcp(tmp_path: Path) -> None:
    with rsyslog(tmp_path) as (port, out):
        outlet = outlet_to(f"syslog+tcp://127.0.0.1:{port}#facility=local3")
        outlet.send([make_record(number, title=HOSTILE) for number in range(23)])
        outlet.send([make_record(23, severity="critical", reason="x" * 20_000)])
        outlet.close()
        got = messages(out, 24)
    assert len(got) == 24
    first = got[0]
    assert (first["hostname"], first["app-name"], first["procid"], first["msgid"]) == (
        "node-7", "ethogram", "4711", "deviation-execs"
    )  # fmt: skip
    assert (first["syslogfacility"], first["syslogseverity"]) == ("19", "4")
    assert first["structured-data"] == '[origin software="ethogram" swVersion="0.1.0"]'
    bodies = [json.loads(one["msg"].removeprefix("\ufeff")) for one in got]
    assert [one["process"]["argv"][-1] for one in bodies[:23]] == [f"id {n}" for n in range(23)]
    assert {one["title"] for one in bodies[:23]} == {HOSTILE}
    assert bodies[23]["is_truncated"]
    assert got[23]["syslogseverity"] == "2"


def test_over_tls_rsyslog_gets_it_and_nobody_else_does(tmp_path: Path) -> None:
    ca, other = trustme.CA(), trustme.CA()
    certificate = ca.issue_cert("localhost", key_type=trustme.KeyType.RSA)
    files = [tmp_path / name for name in ("ca", "cert", "key")]
    ca.cert_pem.write_to_path(str(files[0]))
    certificate.cert_chain_pems[0].write_to_path(str(files[1]))
    certificate.private_key_pem.write_to_path(str(files[2]))
    other.cert_pem.write_to_path(str(tmp_path / "other"))
    with rsyslog(tmp_path, tls=files) as (port, out):
        outlet = outlet_to(f"syslog+tls://localhost:{port}#ca={tmp_path}/ca")
        outlet.send([make_record(1)])
        outlet.send([make_record(2)])
        outlet.close()
        stranger = outlet_to(f"syslog+tls://localhost:{port}#ca={tmp_path}/other")
        with pytest.raises(LaterError, match="its certificate is not trusted"):
            stranger.send([make_record(3)])
        got = messages(out, 2)
    assert len(got) == 2


def test_a_receiver_that_hung_up_is_noticed_before_anything_is_lost_to_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        outlet = outlet_to(f"syslog+tcp://127.0.0.1:{server.getsockname()[1]}")
        outlet.send([make_record(1)])
        first, _ = server.accept()
        first.shutdown(socket.SHUT_WR)
        outlet.send([make_record(2)])
        second, _ = server.accept()
        with first, second:
            assert b'"id 2"' in second.recv(65536)
        outlet.close()


def test_a_receiver_that_takes_nothing_is_not_waited_for_longer_than_told() -> None:
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        server.bind(("127.0.0.1", 0))
        server.listen()
        url = f"syslog+tcp://127.0.0.1:{server.getsockname()[1]}#timeout=1s&size=64KiB"
        outlet = outlet_to(url)
        with pytest.raises(LaterError, match="no answer in time"):
            outlet.send([make_record(reason="x" * 32_000)] * 400)
        outlet.close()
