"""Every case once, each in a fresh container of production, while `ethogram watch` looks on."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from demo.containers import Container, ContainerError
from demo.inventory import PlacedPod
from tests.cases.catalogue import Case, all_cases
from tests.cases.cluster import CONTAINER, PRODUCTION, Cluster, namespace_of
from tests.cases.host import UNIT, run_service, unit_cgroup
from tests.cases.kinds import spec_of, workload_of
from tests.cases.scoring import Outcome, Told, Whereabouts
from tests.cases.staging import exec_session
from tests.cases.waiting import Mark, marks_of, pause, wait_for_line
from tests.cases.watching import watching

__all__ = ["Campaign", "run_campaign"]

AT_ONCE = 10
# Behaviour is told when its window ends: the container is still there then, as a service would be.
LINGER_SECONDS = 1.2
HOST_PAUSE_SECONDS = 3.0
SETTLE_SECONDS = 3.0
SCRIPT_SECONDS = 30
# What cases of nsenter look for on the host.
TARGET = ("sleep", "987654")


@dataclass(slots=True)
class Campaign:
    """What was run and what was told; *quiet* are ids of containers that ran the service alone."""

    outcomes: list[Outcome] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)
    quiet: list[str] = field(default_factory=list)
    quiet_seconds: float = 0
    messages: str = ""


def run_campaign(
    image: Path, baselines: Path, directory: Path, *, quiet: int = 4, quiet_seconds: float = 60,
    cases: tuple[Case, ...] | None = None, say: Callable[[str], None] = lambda _: None,
) -> Campaign:  # fmt: skip
    """Run *cases* (all by default), and beside them *quiet* containers for *quiet_seconds*."""
    cases = all_cases() if cases is None else cases
    campaign = Campaign(quiet_seconds=quiet_seconds)
    cluster = Cluster()
    placed = [
        (case, cluster.place(case.kind, namespace_of(case.id)))
        for case in cases if case.kind != "host"
    ]  # fmt: skip
    calm = [cluster.place("c", PRODUCTION) for _ in range(quiet)]
    campaign.quiet = [pod.container_id for pod in calm]
    inventory = cluster.write(directory / "inventory.json")
    names = [word for name in cluster.namespaces for word in ("--namespace", name)]
    with ExitStack() as stack:
        cgroup = stack.enter_context(unit_cgroup())
        stack.enter_context(_target())
        targets: list[list[str | Path]] = [[*names, "--inventory", inventory], ["--unit", UNIT]]
        watches = [
            stack.enter_context(watching(baselines, directory, name, target))
            for name, target in zip(("watch", "watch-host"), targets, strict=True)
        ]
        say(f"watching {len(cluster.namespaces)} namespaces and {UNIT}")
        with ThreadPoolExecutor(AT_ONCE) as pool, ThreadPoolExecutor(quiet + 1) as beside:
            waiting = [beside.submit(_be_quiet, image, pod, quiet_seconds) for pod in calm]
            host_log = directory / "host.log"
            host = beside.submit(_on_host, [c for c in cases if c.kind == "host"], cgroup, host_log)
            runs = [pool.submit(_in_container, image, case, pod) for case, pod in placed]
            campaign.outcomes = [_result(run, say) for run in runs]
            campaign.outcomes += host.result()
            for each in waiting:
                each.result()
        pause(SETTLE_SECONDS)
    campaign.told = [told for watch in watches for told in watch.told]
    campaign.messages = "".join(watch.messages for watch in watches)
    order = {case.id: number for number, case in enumerate(cases)}
    campaign.outcomes.sort(key=lambda outcome: order[outcome.case.id])
    return campaign


def _result(run: Future[Outcome], say: Callable[[str], None]) -> Outcome:
    outcome = run.result()
    if outcome.problem:
        say(f"{outcome.case.id} did not run: {outcome.problem}")
    return outcome


@contextmanager
def _target() -> Iterator[None]:
    process = subprocess.Popen(TARGET, start_new_session=True)
    try:
        yield
    finally:
        process.kill()
        process.wait()


def _in_container(image: Path, case: Case, pod: PlacedPod) -> Outcome:
    where = Whereabouts(
        "Deployment", workload_of(case.kind), pod.pod.namespace, CONTAINER, pod.container_id
    )
    jobs = [(case.id, case.script)] if case.kind != "host_runcexec" else [(case.id, "true")]
    spec = spec_of(case.kind, pod.pod, jobs)
    try:
        with Container(image, spec, container_id=pod.container_id) as container:
            container.start()
            wait_for_line(
                container.log, f"@case {case.id} end", timeout_s=SCRIPT_SECONDS,
                alive=lambda: Path(f"/proc/{container.pid}").exists(),
            )  # fmt: skip
            text = container.log.read_text(errors="replace")
            mark = marks_of(text)[case.id]
            if case.kind == "host_runcexec":
                started_ns = time.time_ns()
                mark = Mark(started_ns, time.time_ns(), exec_session(container))
            pause(LINGER_SECONDS)
            container.stop(signal.SIGTERM)
    except (ContainerError, OSError) as error:
        return Outcome(case, where, None, str(error))
    return _outcome(case, where, mark, text)


def _be_quiet(image: Path, pod: PlacedPod, seconds: float) -> None:
    with Container(image, spec_of("c", pod.pod), container_id=pod.container_id) as container:
        container.start()
        pause(seconds)
        container.stop(signal.SIGTERM)


def _on_host(cases: list[Case], cgroup: Path, log: Path) -> list[Outcome]:
    """Run *cases* one after another in the host service; they are told apart by their time."""
    where = Whereabouts("Unit", UNIT, None, None, None)
    try:
        text = run_service(
            cgroup, [(case.id, case.script) for case in cases], log, pause_s=HOST_PAUSE_SECONDS
        )
    except OSError as error:
        return [Outcome(case, where, None, str(error)) for case in cases]
    marks = marks_of(text)
    return [_outcome(case, where, marks[case.id], text) for case in cases]


def _outcome(case: Case, where: Whereabouts, mark: Mark, log: str) -> Outcome:
    problem = None
    if mark.status:
        said = [line for line in log.splitlines() if not line.startswith("@case")]
        problem = f"status {mark.status}: {' '.join(said)[-200:]}"
    return Outcome(case, where, mark, problem)
