"""Webhooks and Alertmanager, over real connections."""

from __future__ import annotations

import hashlib
import hmac
import json
import ssl
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from pathlib import Path

import pytest
import trustme

from detector.sinks.protocol import LaterError, RefusedError
from ethogram.errors import UsageError
from tests.e2e.receivers import alertmanager, http_receiver
from tests.sinks import HOSTILE, make_finding, make_record, outlet_to

pytestmark = pytest.mark.e2e

SECRET = "s3cr3t-t0ken"


def test_findings_are_posted_in_one_list(tmp_path: Path) -> None:
    with http_receiver() as receiver:
        outlet = outlet_to(f"webhook+http://127.0.0.1:{receiver.port}/hook?a=b")
        outlet.send([make_record(1, title=HOSTILE), make_record(2)])
        outlet.send([make_record(3)])
        outlet.close()
    first, second = receiver.posts
    assert first.path == "/hook?a=b"
    assert first.headers["Content-Type"] == "application/json"
    assert first.json == [
        json.loads(make_finding(1, title=HOSTILE).line()), json.loads(make_finding(2).line())
    ]  # fmt: skip
    assert len(second.json) == 1


def test_they_may_come_alone_or_in_lines_and_signed(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("k\n")
    with http_receiver() as receiver:
        for body in ("one", "lines"):
            url = f"webhook+http://localhost:{receiver.port}/#body={body}&hmac-file={tmp_path}/key"
            outlet = outlet_to(url)
            outlet.send([make_record(1), make_record(2)][: outlet.batch])
            outlet.close()
    one, lines = receiver.posts
    assert one.json["schema"] == "ethogram.finding/1"
    assert [json.loads(line)["count"] for line in lines.body.splitlines()] == [1, 1]
    digest = hmac.new(b"k", lines.body, hashlib.sha256).hexdigest()
    assert lines.headers["X-Ethogram-Signature"] == f"sha256={digest}"


@pytest.mark.parametrize("status", [301, 401, 403, 404, 408, 429, 500, 503])
def test_what_may_be_right_later_is_tried_again(status: int) -> None:
    with http_receiver() as receiver:
        receiver.answers = [(status, {"Retry-After": "7", "Location": "http://127.0.0.1:1/"})]
        outlet = outlet_to(f"webhook+http://127.0.0.1:{receiver.port}/")
        with pytest.raises(LaterError, match=f"status {status}") as error:
            outlet.send([make_record()])
        assert error.value.after_s == 7
        outlet.send([make_record()])
        outlet.close()
    assert len(receiver.posts) == 1


@pytest.mark.parametrize("status", [400, 413, 422])
def test_what_is_wrong_for_good_is_refused(status: int) -> None:
    with http_receiver() as receiver:
        receiver.answers = [(status, {})]
        outlet = outlet_to(f"webhook+http://127.0.0.1:{receiver.port}/")
        with pytest.raises(RefusedError, match=f"status {status}"):
            outlet.send([make_record()])
        outlet.close()


def test_a_receiver_that_is_down_and_comes_back_gets_it(tmp_path: Path) -> None:
    with http_receiver() as receiver:
        port = receiver.port
        outlet = outlet_to(f"webhook+http://127.0.0.1:{port}/")
        outlet.send([make_record(1)])
    with pytest.raises(LaterError, match="connection refused"):
        outlet.send([make_record(2)])
    with http_receiver(port=port) as receiver:
        outlet.send([make_record(2)])
    outlet.close()
    assert len(receiver.posts) == 1


def test_events_of_ocsf_are_posted_in_a_list_or_in_lines() -> None:
    with http_receiver() as receiver:
        for body in ("array", "lines"):
            outlet = outlet_to(f"ocsf+http://127.0.0.1:{receiver.port}/#body={body}")
            outlet.send([make_record(1), make_record(2)])
            outlet.close()
    array, lines = receiver.posts
    assert [event["class_uid"] for event in array.json] == [2004, 2004]
    assert [json.loads(line) for line in lines.body.splitlines()] == array.json
    assert lines.headers["Content-Type"] == "application/x-ndjson"


# --- credentials ----------------------------------------------------------------------------------


def test_a_token_is_read_anew_for_each_request(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(f"{SECRET}\n")
    with http_receiver() as receiver:
        outlet = outlet_to(f"webhook+http://127.0.0.1:{receiver.port}/#token-file={tmp_path}/token")
        outlet.send([make_record(1)])
        (tmp_path / "token").write_text("new")
        outlet.send([make_record(2)])
        (tmp_path / "token").unlink()
        with pytest.raises(LaterError) as error:
            outlet.send([make_record(3)])
        outlet.close()
    sent = [post.headers["Authorization"] for post in receiver.posts]
    assert sent == [f"Bearer {SECRET}", "Bearer new"]
    assert "cannot be read" in str(error.value)


def test_a_password_may_be_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIEM", SECRET)
    with http_receiver() as receiver:
        outlet = outlet_to(f"webhook+http://127.0.0.1:{receiver.port}/#user=u&password-env=SIEM")
        outlet.send([make_record()])
        outlet.close()
    assert receiver.posts[0].headers["Authorization"] == "Basic dTpzM2NyM3QtdDBrZW4="


@pytest.mark.parametrize("settings", [
    "token-env=UNSET", "token-file=/no/such", "user=u", "password-env=SIEM", "ca=/no/such",
    "token-env=SIEM&user=u&password-env=SIEM", "cert=/no/such", "key=/no/such",
])  # fmt: skip
def test_credentials_that_are_not_there_are_said_at_once_and_never_shown(
    monkeypatch: pytest.MonkeyPatch, settings: str
) -> None:
    monkeypatch.setenv("SIEM", SECRET)
    with pytest.raises(UsageError) as error:
        outlet_to(f"webhook+https://127.0.0.1/#{settings}")
    assert SECRET not in f"{error.value.message} {error.value.hint}"


def test_credentials_do_not_cross_a_network_in_the_clear(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIEM", SECRET)
    with pytest.raises(UsageError, match="in the clear"):
        outlet_to("webhook+http://siem.example/#token-env=SIEM")


# --- TLS ------------------------------------------------------------------------------------------


def test_over_tls_only_whom_the_ca_vouches_for_gets_anything(tmp_path: Path) -> None:
    ca, other = trustme.CA(), trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("localhost").configure_cert(server)
    ca.configure_trust(server)
    server.verify_mode = ssl.CERT_REQUIRED
    ca.cert_pem.write_to_path(str(tmp_path / "ca"))
    other.cert_pem.write_to_path(str(tmp_path / "other"))
    ours = ca.issue_cert("node-7")
    ours.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "ours"))
    with http_receiver(tls=server) as receiver:
        place = f"{receiver.port}/#cert={tmp_path}/ours&ca={tmp_path}"
        trusting = outlet_to(f"webhook+https://localhost:{place}/ca")
        trusting.send([make_record()])
        trusting.close()
        for host, who in (("localhost", "other"), ("127.0.0.1", "ca")):
            outlet = outlet_to(f"webhook+https://{host}:{place}/{who}")
            with pytest.raises(LaterError, match="its certificate is not trusted"):
                outlet.send([make_record()])
        without = outlet_to(f"webhook+https://localhost:{receiver.port}/#ca={tmp_path}/ca")
        with pytest.raises(LaterError):
            without.send([make_record()])
    assert len(receiver.posts) == 1


# --- Alertmanager ---------------------------------------------------------------------------------


def alerts(port: int) -> list[dict[str, object]]:
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", "/api/v2/alerts")
    found = json.loads(connection.getresponse().read())
    connection.close()
    return sorted(found, key=lambda one: one["labels"]["alertname"])


def test_alertmanager_shows_one_alert_a_rule_and_workload(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    long_ago = (now - timedelta(hours=9)).isoformat().replace("+00:00", "789Z")
    with alertmanager(tmp_path) as port:
        outlet = outlet_to(f"alertmanager+http://127.0.0.1:{port}#firing=2h")
        outlet.send([
            make_record(1), make_record(2, count=41),
            # It waited for hours while nobody took it, and fires all the same.
            make_record(3, rule="fileless", layer="indicator", severity="critical", title=HOSTILE,
                        reason="x" * 5000, first_seen=long_ago, last_seen=long_ago),
        ])  # fmt: skip
        outlet.close()
        shell, fileless = alerts(port)
    assert shell["labels"] == {
        "alertname": "deviation-execs", "severity": "medium", "layer": "deviation",
        "cluster": "prod", "namespace": "shop", "workload": "Deployment/checkout",
        "container": "nginx", "node": "node-7",
    }  # fmt: skip
    annotations = shell["annotations"]
    assert isinstance(annotations, dict)
    assert annotations["count"] == "41"
    assert annotations["arguments"] == '["sh", "-c", "id 2"]'
    assert annotations["ancestry"] == "/usr/sbin/nginx"
    status = fileless["status"]
    assert isinstance(status, dict)
    assert status["state"] == "active"
    assert isinstance(fileless["annotations"], dict)
    assert fileless["annotations"]["summary"] == f"{HOSTILE}: /usr/bin/dash"
    assert fileless["annotations"]["description"] == "x" * 1000 + "... of 5,000 characters"
    ends = datetime.fromisoformat(str(fileless["endsAt"]))
    assert now + timedelta(hours=1.9) < ends < now + timedelta(hours=2.1)


def test_a_record_that_is_no_finding_is_refused_and_not_tried_forever() -> None:
    outlet = outlet_to("alertmanager+http://127.0.0.1:9")
    with pytest.raises(RefusedError, match="cannot be written in this format"):
        outlet.send([type(make_record())(True, "{}", {})])
