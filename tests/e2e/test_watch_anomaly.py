"""A watch that asks the model beside a baseline about calls that are all allowed."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ethogram.contracts.finding import Finding
from tests.e2e.command_line import ethogram, running

pytestmark = pytest.mark.e2e

# Reads a file again and again; where `flood` is there it asks for its parent a thousand times as
# often, and where `stray` is, it reads one that it never did.
SERVICE = """
import os, sys, time
def read(path):
    fd = os.open(path, os.O_RDONLY); os.read(fd, 100); os.close(fd)
flood, stray = sys.argv[1:]
while True:
    for _ in range(10):
        read("/etc/hostname")
    for _ in range(2000 if os.path.exists(flood) else 2):
        os.getppid()
    if os.path.exists(stray):
        read("/etc/os-release")
    time.sleep(0.01)
"""
STARTUP = ("--startup", "300ms")


class Watch:
    """A running watch: what it finds, and its status."""

    def __init__(self, process: subprocess.Popen[str], status: Path) -> None:
        self._process, self._status = process, status
        self.found: list[Finding] = []

    def until(self, is_found: Callable[[Finding], bool]) -> Finding:
        """Return the next finding that *is_found*."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            document = json.loads(line)
            if document["schema"] != "ethogram.finding/1":
                continue
            self.found.append(Finding.model_validate(document))
            if is_found(self.found[-1]):
                return self.found[-1]
        raise AssertionError("it ended")

    def until_models(self, is_so: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Return how models stand once that *is_so*, within a minute."""
        tick = threading.Event()
        anomaly: dict[str, Any] = {}
        for _ in range(1200):
            anomaly = json.loads(self._status.read_text()).get("anomaly") or {}
            if anomaly and is_so(anomaly):
                return anomaly
            tick.wait(0.05)
        raise AssertionError(anomaly)


@pytest.fixture(scope="module")
def learnt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A place with the service, and in `b` its baseline with a model."""
    place = tmp_path_factory.mktemp("anomaly")
    (place / "service.py").write_text(SERVICE)
    done = ethogram(
        "record", "-o", place / "r", "--window", "500ms", "--duration", "8s", *STARTUP,
        "--", *service(place),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    done = ethogram(
        "learn", "--allow", "thin,lossy", "--budget", "20/min", "r", "-o", "b", cwd=place
    )
    assert done.returncode == 0, done.stderr
    assert list((place / "b").glob("*.skops"))
    # How unsteady this machine was while it was learnt is no matter of this test.
    (baseline,) = (place / "b").glob("*.baseline.yaml")
    written, found = re.subn(r"most_new: \d+", "most_new: 0", baseline.read_text())
    assert found == 1
    baseline.write_text(written)
    return place


def service(place: Path) -> tuple[str, ...]:
    words = (place / "service.py", place / "flood", place / "stray")
    return sys.executable, "-S", *map(str, words)


def is_new_sequence(finding: Finding) -> bool:
    return finding.rule == "anomaly-calls" and "sequences of six calls" in finding.reason


def is_flood(finding: Finding) -> bool:
    told = finding.evidence
    is_of_model = finding.layer == "anomaly" and told.p_value is not None
    return is_of_model and "getppid getppid getppid" in told.observed


def test_strange_proportions_are_found_and_the_sensor_survives_who_finds_them(
    learnt: Path, tmp_path: Path
) -> None:
    flood, stray, status = learnt / "flood", learnt / "stray", tmp_path / "status.json"
    words = [
        "--baseline", learnt / "b", "--window", "200ms", *STARTUP, "--format", "jsonl",
        "--status", status, "--", *service(learnt),
    ]  # fmt: skip
    with running("watch", *words, ready=tmp_path / "ready") as process:
        watch = Watch(process, status)
        watch.until_models(lambda models: models["scored"] >= 4)
        flood.touch()
        found = watch.until(is_flood)
        # What came before was of usual times: the model was asked, and told nothing of this.
        assert not any(is_flood(one) for one in watch.found[:-1])
        # The kernel knows the sequences of the model, and told of others before it was asked.
        assert any(is_new_sequence(one) for one in watch.found)
        assert found.rule == "anomaly-calls"
        assert found.severity in {"low", "medium"}
        assert found.evidence.p_value is not None
        assert found.evidence.p_value < 0.05
        assert found.phase == "steady"

        scorer = watch.until_models(lambda models: models["state"] == "scoring")["pid"]
        os.kill(scorer, signal.SIGKILL)
        stray.touch()
        assert watch.until(lambda one: "os-release" in one.evidence.observed).layer == "deviation"
        again = watch.until_models(
            lambda models: models["restarts"] == 1 and models["state"] == "scoring"
        )
        assert again["pid"] != scorer
        scored = again["scored"]
        watch.until_models(lambda models: models["scored"] > scored)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
        assert process.returncode == 0, said
    assert "models are not asked for a while: it was killed by SIGKILL" in said
    assert "1 restart" in said
    assert not Path(f"/proc/{again['pid']}").exists()
