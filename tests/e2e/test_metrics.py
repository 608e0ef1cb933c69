"""A real watch whose metrics a real Prometheus takes, with the alert rules and the dashboard."""

import re
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

import pytest

from tests.e2e.command_line import ethogram, running
from tests.e2e.prometheus import Prometheus, prometheus
from tests.telemetry import RULES, queries

pytestmark = pytest.mark.e2e

PROCESSES = ("cat /etc/hostname", "cat /etc/hostname; id")
# Nothing is lost here, so that there is no such series; alerts are not firing.
_EMPTY = re.compile(r"ethogram_losses_total|[<>=]")


@dataclass(frozen=True)
class Watched:
    process: subprocess.Popen[str]
    port: int

    def get(self, path: str) -> tuple[int, str]:
        return get(self.port, path)


def get(port: int, path: str) -> tuple[int, str]:
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def port_of(process: subprocess.Popen[str]) -> int:
    """Return the port that *process* says it listens at."""
    assert process.stderr is not None
    for line in process.stderr:
        if found := re.fullmatch(r"metrics on http://127\.0\.0\.1:(\d+)/metrics\n", line):
            return int(found[1])
    raise AssertionError("it says no port")


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """A watch that finds that a command does more than it did, while the command waits."""
    place = tmp_path_factory.mktemp("metrics")
    done = ethogram(
        "record", "-o", place / "r", "--window", "100ms", "--", "sh", "-c", PROCESSES[0]
    )
    assert done.returncode == 0, done.stderr
    done = ethogram("learn", "--allow", "thin,lossy", "--no-model", "r", "-o", "b", cwd=place)
    assert done.returncode == 0, done.stderr
    with running(
        "watch", "--baseline", place / "b", "--listen", "0", "--window", "200ms",
        "--to", f"file:{place}/findings.jsonl", "--spool", place / "spool",
        "--", "sh", "-c", f"{PROCESSES[1]}; exec sleep 120", ready=place / "ready",
    ) as process:  # fmt: skip
        yield Watched(process, port_of(process))
        process.send_signal(signal.SIGTERM)
        process.wait(30)


@pytest.fixture(scope="module")
def server(watched: Watched, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """A Prometheus that has seen the watch find something, and judged the rules."""
    if not shutil.which("prometheus"):
        pytest.skip("not installed: prometheus")
    place = tmp_path_factory.mktemp("prometheus") / "p"
    with prometheus(place, target=f"127.0.0.1:{watched.port}", rules=RULES) as server:
        server.until(lambda: server.query("sum(ethogram_findings_total) > 0"))
        yield server


def test_the_target_is_up_and_every_line_was_read(server: Prometheus, watched: Watched) -> None:
    (target,) = server.get("targets")["activeTargets"]
    assert (target["health"], target["lastError"]) == ("up", "")
    _, text = watched.get("/metrics")

    def read_all() -> bool:
        _, text = watched.get("/metrics")
        lines = [line for line in text.splitlines() if not line.startswith("#")]
        ((_, scraped),) = (one["value"] for one in server.query("scrape_samples_scraped"))
        return int(scraped) == len(lines)

    # Between the two a series may begin, of a severity that was not found before.
    assert server.until(read_all)
    checked = subprocess.run(
        ["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


def test_what_prometheus_knows_is_what_the_watch_did(server: Prometheus) -> None:
    found = {one["metric"]["severity"] for one in server.query("ethogram_findings_total > 0")}
    assert found
    told = server.query("ethogram_last_finding_timestamp_seconds")
    assert {one["metric"]["severity"] for one in told} == found
    ((_, latency),) = (
        one["value"] for one in server.query("ethogram_finding_latency_seconds_count")
    )
    assert int(latency) >= 1
    assert server.query('ethogram_events_total{kind="execs"} >= 3')
    assert server.query("sum(ethogram_workloads) == 1")
    assert server.until(lambda: server.query('ethogram_sink_sent_total{sink="file"} > 0'))
    assert server.query("ethogram_sink_up == 1")


def test_the_alert_rules_load_and_are_judged(server: Prometheus) -> None:
    def judged() -> list[dict[str, str]] | None:
        (group,) = server.get("rules")["groups"]
        rules: list[dict[str, str]] = group["rules"]
        return rules if all(one["health"] != "unknown" for one in rules) else None

    rules = server.until(judged)
    assert {one["health"] for one in rules} == {"ok"}
    names = {one["name"] for one in rules if one["state"] == "firing"}
    unfit = {"EthogramDown", "EthogramStuck", "EthogramProgramRefused", "EthogramSinkDrops"}
    assert not names & unfit


def test_the_rules_do_what_their_own_tests_say() -> None:
    if not shutil.which("promtool"):
        pytest.skip("not installed: promtool")
    done = subprocess.run(
        ["promtool", "test", "rules", "ethogram.rules.test.yaml"],
        cwd=RULES.parent, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    tested = set(
        re.findall(r"alertname: (\w+)", (RULES.parent / "ethogram.rules.test.yaml").read_text())
    )
    assert tested == set(re.findall(r"alert: (\w+)", RULES.read_text()))


def test_every_panel_of_the_dashboard_shows_something(server: Prometheus) -> None:
    server.until(lambda: server.query("rate(ethogram_events_total[1m])"))
    for expression in sorted(set(queries())):
        found = server.query(expression)
        assert found or _EMPTY.search(re.sub(r"\{[^}]*\}", "", expression)), expression


def test_probes_say_that_it_is_alive_and_ready(server: Prometheus, watched: Watched) -> None:
    assert watched.get("/healthz") == (200, "alive\n")
    assert watched.get("/readyz") == (200, "ready\n")


def test_the_thread_that_answers_has_no_privilege(server: Prometheus, watched: Watched) -> None:
    tasks = Path(f"/proc/{watched.process.pid}/task").glob("*/status")
    kept = [re.findall(r"CapPrm:\s+(\w+)", task.read_text())[0] for task in tasks]
    assert [int(mask, 16) for mask in kept].count(0) == 1


def test_silent_clients_hold_up_neither_the_sensor_nor_others(
    server: Prometheus, watched: Watched
) -> None:
    def windows() -> int:
        (value,) = re.findall(r"^ethogram_windows_total (\d+)", watched.get("/metrics")[1], re.M)
        return int(value)

    before = windows()
    silent = [socket.create_connection(("127.0.0.1", watched.port)) for _ in range(40)]
    assert server.until(lambda: windows() > before + 2)
    for client in silent:
        client.close()


def test_a_port_that_is_taken_is_said_before_anything_begins(watched: Watched) -> None:
    done = ethogram("record", "-o", "/nowhere/r", "--listen", str(watched.port), "--", "true")
    assert done.returncode == 2
    assert f"nothing can listen on 127.0.0.1:{watched.port}: address already in use" in done.stderr


def test_a_recording_shows_what_it_takes(server: Prometheus, tmp_path: Path) -> None:
    with running(
        "record", "-o", tmp_path / "r", "--listen", "127.0.0.1:0", "--window", "200ms",
        "--", "sleep", "60", ready=tmp_path / "ready",
    ) as process:  # fmt: skip
        port = port_of(process)
        server.until(lambda: get(port, "/readyz") == (200, "ready\n"))
        _, text = get(port, "/metrics")
        assert 'ethogram_workloads{state="recorded"} 1.0\n' in text
        assert re.search(r'^ethogram_events_total\{kind="execs"\} [1-9]', text, re.MULTILINE)
        assert "ethogram_baselines" not in text
        process.send_signal(signal.SIGTERM)
        process.wait(30)
    with pytest.raises(ConnectionRefusedError):
        get(port, "/healthz")
