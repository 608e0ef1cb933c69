"""The webhook as it runs: over TLS, with a certificate that changes, and clients that dawdle."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography import x509

from tests.reviews import UID, make_review, simple_pod

pytestmark = pytest.mark.e2e

# As the command, but files are looked at, and clients given up, sooner.
HURRIED = """
import ethogram.webhook.app as app, ethogram.webhook.serving as serving
serving.POLL_S, serving.HEAD_S, app.PATIENCE_S = 0.05, 0.3, 0.3
from ethogram.cli import main
main()
"""
PRIVILEGED = json.dumps(make_review(simple_pod(context={"privileged": True}))).encode()
JSON = {"Content-Type": "application/json"}


@dataclass
class Running:
    """A webhook in a process of its own."""

    process: subprocess.Popen[str]
    directory: Path
    authority: trustme.CA
    port: int = 0
    metrics: str = ""

    def line(self, words: str) -> str:
        """Return the next line of standard error that has *words*."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            if words in line:
                return line
        raise AssertionError(f"it never said `{words}`")

    def context(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        self.authority.configure_trust(context)
        return context

    def ask(self, content: bytes, path: str = "/validate") -> Any:
        client = http.client.HTTPSConnection("localhost", self.port, context=self.context())
        with closing(client):
            client.request("POST", path, content, JSON)
            return json.loads(client.getresponse().read())

    def connected(self) -> ssl.SSLSocket:
        plain = socket.create_connection(("localhost", self.port), 20)
        return self.context().wrap_socket(plain, server_hostname="localhost")

    def serial(self) -> int:
        with self.connected() as client:
            content = client.getpeercert(binary_form=True)
        assert content is not None
        return x509.load_der_x509_certificate(content).serial_number

    def configure(self, mode: str) -> None:
        text = (
            "schema: ethogram.webhook/1\n"
            "tls: {certificate: tls.crt, key: tls.key}\n"
            f'listen: "127.0.0.1:0"\nmetrics: "127.0.0.1:0"\nmode: {mode}\n'
            f'sinks: ["file:{self.directory}/findings.jsonl"]\nspool: spool\n'
            "mutate: {seccomp: true, confirmed: confirmed.json}\n"
        )
        (self.directory / "new.yaml").write_text(text)
        (self.directory / "new.yaml").rename(self.directory / "w.yaml")

    def scraped(self) -> str:
        host = self.metrics.removeprefix("http://").partition("/")[0]
        with closing(http.client.HTTPConnection(host)) as client:
            client.request("GET", "/metrics")
            return client.getresponse().read().decode()

    def write_certificate(self) -> None:
        issued = self.authority.issue_cert("localhost")
        issued.private_key_pem.write_to_path(str(self.directory / "tls.key"))
        issued.cert_chain_pems[0].write_to_path(str(self.directory / "tls.crt"))


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    directory = tmp_path_factory.mktemp("webhook")
    made = Running(None, directory, trustme.CA())  # type: ignore[arg-type]
    made.write_certificate()
    made.configure("enforce")
    command = [sys.executable, "-c", HURRIED, "webhook", "--config", str(directory / "w.yaml"),
               "--ready-file", str(directory / "ready")]  # fmt: skip
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as made.process:
        try:
            made.metrics = made.line("/metrics").split()[-1]
            made.port = int(made.line("/validate").rpartition(":")[2].partition("/")[0])
            yield made
        finally:
            made.process.kill()


def test_it_says_when_it_answers(running: Running) -> None:
    assert int((running.directory / "ready").read_text()) == running.process.pid
    response = running.ask(PRIVILEGED)["response"]
    assert (response["uid"], response["allowed"]) == (UID, False)


def test_profiles_are_added_where_the_configuration_asks(running: Running) -> None:
    response = running.ask(json.dumps(make_review(simple_pod())).encode(), "/mutate")["response"]
    assert response["patchType"] == "JSONPatch"


def test_metrics_are_served_beside_it(running: Running) -> None:
    text = running.scraped()
    assert "ethogram_certificate_expiry_timestamp_seconds" in text
    assert "process_resident_memory_bytes" in text


def test_a_new_certificate_is_served_without_a_restart(running: Running) -> None:
    with running.connected() as before:
        assert _asked(before) == 200
        first = running.serial()
        (running.directory / "tls.crt").write_text("no certificate")
        running.line("the new certificate is not taken")
        assert running.serial() == first
        running.write_certificate()
        running.line("new connections get the new one")
        assert running.serial() != first
        assert _asked(before) == 200


def test_a_new_configuration_is_judged_by_without_a_restart(running: Running) -> None:
    running.configure("no mode")
    running.line("the new configuration is not taken")
    assert running.ask(PRIVILEGED)["response"]["allowed"] is False
    running.configure("warn")
    running.line("reviews go by the new one")
    assert running.ask(PRIVILEGED)["response"]["allowed"] is True
    running.configure("enforce")
    running.line("reviews go by the new one")
    assert running.ask(PRIVILEGED)["response"]["allowed"] is False
    text = running.scraped()
    assert 'ethogram_configuration_reloads_total{result="taken"} 2' in text
    assert 'ethogram_configuration_reloads_total{result="refused"} 1' in text


def _asked(client: ssl.SSLSocket) -> int:
    """Return the status of an answer on a connection that stays."""
    client.sendall(_head(len(PRIVILEGED)) + PRIVILEGED)
    response = http.client.HTTPResponse(client)
    response.begin()
    assert json.loads(response.read())["response"]["allowed"] is False
    return response.status


def _head(length: int) -> bytes:
    return (
        "POST /validate HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Content-Length: {length}\r\n\r\n"
    ).encode()


@pytest.mark.parametrize("sent", [b"", b"POST /validate HTTP/1.1\r\nHo", b"\r\n"])
def test_who_never_asks_is_cut_off(running: Running, sent: bytes) -> None:
    with running.connected() as client:
        client.sendall(sent)
        assert _rest(client) == b""
    assert running.ask(PRIVILEGED)["response"]["allowed"] is False


def test_who_dawdles_after_a_request_is_cut_off(running: Running) -> None:
    with running.connected() as client:
        assert _asked(client) == 200
        client.sendall(b"POST /valid")
        assert _rest(client) == b""


def test_who_stops_within_a_body_is_told(running: Running) -> None:
    with running.connected() as client:
        client.sendall(_head(100) + b"{")
        assert _rest(client).startswith(b"HTTP/1.1 408")


def test_a_head_without_an_end_is_cut_off(running: Running) -> None:
    with running.connected() as client:
        client.sendall(b"POST /validate HTTP/1.1\r\n")
        with suppress(OSError):
            for _ in range(1000):
                client.sendall(b"X-Long: " + b"x" * 8000 + b"\r\n")
            raise AssertionError("it reads 8 MB of head")


@pytest.mark.parametrize("sent", [b"\x00" * 100, b"GET\r\n\r\n", b"POST / HTTP/9.9\r\n\r\n"])
def test_what_is_no_http_is_no_reason_to_stop(running: Running, sent: bytes) -> None:
    with running.connected() as client:
        client.sendall(sent)
        assert _rest(client)[:12] in (b"", b"HTTP/1.1 400", b"HTTP/1.1 404")
    assert running.ask(PRIVILEGED)["response"]["allowed"] is False


def _rest(client: ssl.SSLSocket) -> bytes:
    """Return what comes until the other end closes."""
    found = b""
    try:
        while more := client.recv(65536):
            found += more
    except ConnectionResetError:
        pass
    return found


def test_it_ends_with_its_sinks_told(running: Running) -> None:
    assert running.ask(PRIVILEGED)["response"]["allowed"] is False
    running.process.send_signal(signal.SIGTERM)
    running.line("denied")
    assert running.process.wait(20) == 0
    lines = (running.directory / "findings.jsonl").read_text().splitlines()
    assert json.loads(lines[0])["rule"] == "admission-privileged"
