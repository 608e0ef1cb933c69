"""One workload floods the sensor while another, or the same, is attacked: the attack is told."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from ethogram.contracts.baseline import dump_baseline, load_baseline
from ethogram.contracts.finding import Finding
from profiler.identity.hierarchy import unified_mount
from tests.e2e.cgroups import made, remove
from tests.e2e.command_line import ethogram, findings_in, rest_of, running
from tests.e2e.receivers import until
from tests.workloads import build_known, known

pytestmark = pytest.mark.e2e

FLOODER, VICTIM = (f"ethogram-test-floods-{os.getpid()}-{name}" for name in ("one", "other"))
BENIGN = "/etc/hostname"
# Packets from the port of DNS, more than are kept of one workload in a window.
DNS = """
import socket
here = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
here.bind(("127.7.7.9", 53))
there = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
there.bind(("127.7.7.10", 0))
for _ in range(7_000):
    here.sendto(b"x" * 20, there.getsockname())
    there.recv(100)
"""


@pytest.fixture(scope="module")
def baselines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Baselines of two cgroups that open one file, and run `known` and nothing else."""
    place = tmp_path_factory.mktemp("learnt")
    done = ethogram("record", "-o", place / "r", "--window", "100ms", "--",
                    *known(["repeat", 300, [["open", BENIGN, "r"]]]))  # fmt: skip
    assert done.returncode == 0, done.stderr
    done = ethogram("learn", "--allow", "thin", "--no-model", "r", "-o", "b", cwd=place)
    assert done.returncode == 0, done.stderr
    (file,) = (place / "b").glob("*.baseline.yaml")
    one = load_baseline(file)
    file.unlink()
    for name in (FLOODER, VICTIM):
        match = one.match.model_copy(update={"kind": "Cgroup", "name": f"/{name}"})
        copy = file.with_name(f"{name}.baseline.yaml")
        copy.write_text(dump_baseline(one.model_copy(update={"match": match})))
    return file.parent


@pytest.fixture
def cgroups() -> Iterator[None]:
    with ExitStack() as made:
        for name in (FLOODER, VICTIM):
            (unified_mount() / name).mkdir()
            made.callback(remove, unified_mount() / name)
        yield


class Watch:
    """A watch of both cgroups, and what it told once it has ended."""

    def __init__(self, process: subprocess.Popen[str], status: Path) -> None:
        self.process, self._status = process, status
        self.lines: list[str] = []

    def until_told(self, name: str) -> None:
        """Return once the attack on *name* was told."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)
            if is_told([one for one in findings_in([line]) if one.workload.name == f"/{name}"]):
                return
        raise AssertionError("it ended and never told of the attack")

    def end(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        out, said = rest_of(self.process)
        assert self.process.returncode == 0, said
        self.lines += out.splitlines()

    @property
    def findings(self) -> list[Finding]:
        return list(findings_in(self.lines))

    def of(self, name: str) -> list[Finding]:
        return [one for one in self.findings if one.workload.name == f"/{name}"]

    def status(self) -> dict[str, dict[str, object]]:
        document = json.loads(self._status.read_text())
        return {one["workload"]["name"]: one for one in document.get("workloads", ())}

    def until_windows(self, more: int) -> None:
        """Return once so many *more* windows have ended."""

        def windows() -> int:
            return int(json.loads(self._status.read_text()).get("windows", 0))

        before = windows()
        until(lambda: windows() >= before + more)


@contextmanager
def watched(baselines: Path, tmp_path: Path, *options: str | Path) -> Iterator[Watch]:
    status = tmp_path / "status.json"
    words = ("watch", "--baseline", baselines, "--format", "jsonl", "--status", status,
             "--cgroup", f"/{FLOODER}", "--cgroup", f"/{VICTIM}", *options)  # fmt: skip
    with running(*words, ready=tmp_path / "ready") as process:
        yield Watch(process, status)


def start(name: str, command: Sequence[str]) -> subprocess.Popen[bytes]:
    join = 'echo $$ > "$0"/cgroup.procs; exec "$@"'
    return subprocess.Popen(
        ["sh", "-c", join, str(unified_mount() / name), *command], stdout=subprocess.DEVNULL
    )


def finish(*started: subprocess.Popen[bytes]) -> None:
    for one in started:
        assert one.wait(60) == 0, one.args


def attack(name: str) -> None:
    """Run a program from memory, as nothing benign here does."""
    finish(start(name, known(["memfd-exec", build_known(), "exit"])))


def is_told(findings: Sequence[Finding]) -> bool:
    """Return whether the attack is among *findings*."""
    return any(
        one.severity in ("high", "critical") and one.process and "memfd:" in one.process.exe
        for one in findings
    )


@pytest.mark.usefixtures("cgroups")
def test_who_floods_with_all_there_is_hides_no_attack_on_another_and_is_degraded_alone(
    baselines: Path, tmp_path: Path
) -> None:
    files = tmp_path / "files"
    files.mkdir()
    # All of it is in one window, which ends with the watch: so it goes beyond quotas for certain.
    with watched(baselines, tmp_path, "--window", "60s") as watch:
        floods = [
            start(FLOODER, known(["burst-open", files, 20_000])),
            start(FLOODER, known(["storm-exec", 1_000, build_known(), "exit"])),
            start(FLOODER, known(["repeat", 3_000, [["udp", "127.0.0.1", 9]]])),
            start(FLOODER, [sys.executable, "-c", DNS]),
        ]
        attack(VICTIM)
        watch.until_told(VICTIM)
        finish(*floods)
        watch.end()
    assert not is_told(watch.of(FLOODER))
    status = watch.status()
    assert status[f"/{FLOODER}"]["state"] == "degraded"
    assert status[f"/{VICTIM}"]["state"] != "degraded"
    quotas = [one for one in watch.findings if one.rule == "sensor-quota"]
    assert {one.workload.name for one in quotas} == {f"/{FLOODER}"}


@pytest.mark.usefixtures("cgroups")
@pytest.mark.parametrize("attacked", [FLOODER, VICTIM], ids=["the-same", "another"])
def test_an_attack_among_benign_opens_as_fast_as_they_go_is_told(
    attacked: str, baselines: Path, tmp_path: Path
) -> None:
    with watched(baselines, tmp_path) as watch:
        opens = start(FLOODER, known(["repeat", 1_000_000_000, [["open", BENIGN, "r"]]]))
        try:
            attack(attacked)
            watch.until_told(attacked)
            assert opens.poll() is None, "they went on meanwhile"
        finally:
            opens.kill()
            opens.wait()
        watch.end()
    assert not {one["state"] for one in watch.status().values()} & {"degraded", "blind"}


@pytest.mark.usefixtures("cgroups")
def test_thousands_of_findings_at_once_are_counted_and_told_in_few_lines(
    baselines: Path, tmp_path: Path
) -> None:
    files, told, number = tmp_path / "files", tmp_path / "told.jsonl", 6_000
    files.mkdir()
    sink = ("--to", f"file:{told}", "--spool", tmp_path / "spool")
    with watched(baselines, tmp_path, *sink) as watch:
        finish(start(FLOODER, known(["burst-open", files, number])))
        attack(VICTIM)
        watch.until_told(VICTIM)
        watch.end()
    last = {one.fingerprint: one for one in watch.of(FLOODER)}
    of_files = [one for one in last.values() if one.evidence.dimension == "files"]
    assert sum(one.count for one in of_files) >= number
    assert len(watch.lines) < 200
    assert is_told(list(findings_in(told.read_text().splitlines())))


def test_who_ended_is_forgotten_where_nobody_opens_files_after_it(
    baselines: Path, tmp_path: Path
) -> None:
    with (
        made(FLOODER, VICTIM),
        watched(baselines, tmp_path, "--window", "200ms") as watch,
    ):
        opens = start(VICTIM, known(["repeat", 1_000_000_000, [["open", BENIGN, "r"]]]))
        until(lambda: f"/{VICTIM}" in watch.status())
        watch.until_windows(3)
        opens.kill()
        opens.wait()
        remove(unified_mount() / VICTIM)
        watch.until_windows(8)
        watch.end()
    assert watch.status()[f"/{VICTIM}"]["instances"] == 1
