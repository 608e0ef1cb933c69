"""What is normal: the benign service, with the benign cases as part of it, recorded and learnt."""

from __future__ import annotations

import signal
import subprocess
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from demo.containers import Container
from demo.inventory import PlacedPod
from tests.cases.catalogue import Kind, learnt_cases
from tests.cases.cluster import STAGING, Cluster
from tests.cases.host import UNIT, run_service, unit_cgroup
from tests.cases.kinds import CONTAINER_KINDS, spec_of
from tests.cases.waiting import pause, wait_for_line
from tests.e2e.command_line import ethogram, running

__all__ = ["HarnessError", "exec_session", "learn_normal"]

REPLICAS = {"c": 3}
ROUNDS = 2
AFTER_SECONDS = 2.0
JOBS_SECONDS = 90
# What `kubectl exec` and an exec probe do.
SESSION = ("sh", "-c", "true")


class HarnessError(Exception):
    """The harness could not do its part; nothing is said about what would have been found."""


def exec_session(container: Container) -> int:
    """Run the exec session of kind `host_runcexec` in *container*; return its exit status."""
    return container.exec(*SESSION).returncode


def learn_normal(image: Path, directory: Path) -> Path:
    """Record a staging namespace and a host service, learn both, and return the baselines."""
    cluster = Cluster()
    placed = [
        (kind, cluster.place(kind, STAGING))
        for kind in CONTAINER_KINDS
        for _ in range(REPLICAS.get(kind, 2))
    ]
    inventory = cluster.write(directory / "staging-inventory.json")
    recordings = [directory / "staging", directory / "staging-host"]
    with unit_cgroup() as cgroup, ExitStack() as stack:
        targets = (("--namespace", STAGING, "--inventory", inventory), ("--unit", UNIT))
        recorders = [
            stack.enter_context(
                running(
                    *("record", "-o", recording, "--window", "1s", *target),
                    ready=directory / f"{recording.name}.ready",
                )
            )
            for recording, target in zip(recordings, targets, strict=True)
        ]
        with ThreadPoolExecutor(len(placed) + 1) as pool:
            lives: list[Future[object]] = [
                pool.submit(_live, image, kind, pod) for kind, pod in placed
            ]
            host_log = directory / "staging-host.log"
            lives.append(pool.submit(run_service, cgroup, [("N", "true")] * 3, host_log))
            for life in lives:
                life.result()
        for recorder in recorders:
            _stop(recorder)
    return _learn(recordings, directory)


def _live(image: Path, kind: Kind, pod: PlacedPod) -> None:
    """Run one replica with the benign cases as its jobs, and exec sessions beside them."""
    cases = [case for case in learnt_cases() if case.kind == "c"]
    jobs = [(case.id, case.script) for case in cases] * ROUNDS
    spec = spec_of(kind, pod.pod, jobs)
    with Container(image, spec, container_id=pod.container_id) as container:
        container.start()
        wait_for_line(
            container.log, f"@case {cases[-1].id} end", times=ROUNDS, timeout_s=JOBS_SECONDS,
            alive=lambda: Path(f"/proc/{container.pid}").exists(),
        )  # fmt: skip
        for _ in range(ROUNDS):
            if status := exec_session(container):
                raise HarnessError(f"the exec session of `{kind}` ended with {status}")
        pause(AFTER_SECONDS)
        container.stop(signal.SIGTERM)


def _stop(recorder: subprocess.Popen[str]) -> None:
    recorder.send_signal(signal.SIGINT)
    _, messages = recorder.communicate(timeout=60)
    if recorder.returncode or "nothing lost" not in messages:
        raise HarnessError(f"the recording is not complete: {messages}")


def _learn(recordings: list[Path], directory: Path) -> Path:
    baselines = directory / "baselines"
    done = ethogram("learn", "--allow", "thin", *recordings, "-o", baselines)
    if done.returncode:
        raise HarnessError(f"nothing could be learnt: {done.stderr}")
    (directory / "learn.log").write_text(done.stdout + done.stderr)
    return baselines
