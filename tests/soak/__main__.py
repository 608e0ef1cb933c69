"""Learns real services, watches them while much is done to them, and prints what was told."""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from demo.network import Network
from ethogram.contracts.baseline import dump_baseline, load_baseline
from ethogram.contracts.quality import state_of
from tests.cases.waiting import pause
from tests.cases.watching import Watch, watching
from tests.e2e.command_line import ethogram, running
from tests.e2e.real_services import SERVICES, Client, missing_programs
from tests.soak.cluster import CRON, Cluster
from tests.soak.events import UPKEEP, Events, schedule
from tests.soak.fleet import Fleet
from tests.soak.score import Soak, markdown, write
from tests.soak.versions import images

_said = [0]  # lines so far


def main() -> int:
    """Return 0 when it could be run, whatever was told; 1 when not; 3 without root."""
    options = _options()
    if os.geteuid() != 0:
        print("error: containers and eBPF need root\n\nhint: `sudo make soak`", file=sys.stderr)
        return 3
    if missing := missing_programs():
        print(f"error: not installed: {', '.join(missing)}", file=sys.stderr)
        return 1
    with _directory(options.keep) as directory:
        if not options.baselines:
            _learn(directory, options)
        soak = _watch(directory, options.baselines or directory / "baselines", options)
        print(markdown(soak))
        for trouble in soak.trouble:
            _say(trouble)
        if options.write:
            write(options.write, soak)
            _say(f"written: {options.write}")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--learn", type=float, default=240, metavar="SECONDS", help="how long")
    parser.add_argument("--watch", type=float, default=1200, metavar="SECONDS", help="how long")
    parser.add_argument("--replicas", type=int, default=3, metavar="N", help="of each service")
    parser.add_argument("--pace", type=float, default=0.7, metavar="SECONDS",
                        help="between uses of a service")  # fmt: skip
    parser.add_argument("--namespace", default="soak", help="where all of it runs")
    parser.add_argument("--shared-machine", action="store_true",
                        help="others start containers: do not keep what those lost")  # fmt: skip
    parser.add_argument("--write", type=Path, metavar="FILE", help="keep the result in FILE")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="leave what was made in DIR")
    parser.add_argument("--baselines", type=Path, metavar="DIR",
                        help="by these baselines, without learning them first")  # fmt: skip
    return parser.parse_args()


@contextmanager
def _directory(keep: Path | None) -> Iterator[Path]:
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        yield keep.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="ethogram-soak-") as name:
        yield Path(name)


def _learn(directory: Path, options: argparse.Namespace) -> None:
    """Record use and what every week of staging has: restarts, upkeep, the cron job; learn it."""
    with images() as layers, Network() as network:
        cluster = Cluster(network, options.namespace, network.attach("client"))
        placed = [cluster.place(app) for app in SERVICES for _ in range(options.replicas)]
        jobs = [cluster.place_job(number) for number in range(max(2, int(options.learn // 40)))]
        inventory = cluster.write(directory / "staging.json")
        fleet = Fleet(layers, Client(cluster.client), options.pace)
        events = Events(cluster, fleet, iter(jobs), {})
        with (
            closing(fleet),
            running(
                *("record", "-o", directory / "staging", "--window", "1s"),
                *("--namespace", options.namespace, "--inventory", inventory),
                ready=directory / "record.ready",
            ) as recorder,
        ):
            for pod in placed:
                fleet.add(pod)
            began = time.monotonic()
            with fleet.used():
                for number, _ in enumerate(jobs):
                    events.do("cron job", CRON)
                    for kind, apps in UPKEEP[number % len(UPKEEP)]:
                        for app in apps:
                            events.do(kind, app)
                    due = began + (number + 1) * options.learn / len(jobs)
                    pause(max(0.0, due - time.monotonic()))
            pause(2)
            recorder.send_signal(signal.SIGINT)
            _, said = recorder.communicate(timeout=120)
        _say(f"recorded: {said.strip()}; {fleet.uses} uses, {fleet.trouble + events.trouble}")
    _learn_from(directory, is_shared=options.shared_machine)


def _learn_from(directory: Path, *, is_shared: bool) -> None:
    """Learn; where the machine *is_shared*, baselines do not say what others' containers lost."""
    baselines = directory / "baselines"
    allowed = "thin,lossy" if is_shared else "thin"
    done = ethogram(
        "learn", "--allow", allowed, "--force", directory / "staging", "-o", baselines,
        timeout_s=600,
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"nothing could be learnt: {done.stderr}")
    _say(done.stderr)
    if not is_shared:
        return
    for file in baselines.glob("*.baseline.yaml"):
        one = load_baseline(file)
        if set(one.observation.losses) - {"unresolved"}:
            raise SystemExit(f"lost by the soak itself: {one.observation.losses}")
        kept = [why for why in one.observation.reasons or () if why not in ("lost", "incomplete")]
        seen = one.observation.model_copy(
            update={"losses": {}, "state": state_of(kept), "reasons": tuple(kept)}
        )
        file.write_text(dump_baseline(one.model_copy(update={"observation": seen})))


def _watch(directory: Path, baselines: Path, options: argparse.Namespace) -> Soak:
    plan = list(schedule(options.watch))
    with images() as layers, Network() as network:
        cluster = Cluster(network, options.namespace, network.attach("client"))
        placed = [cluster.place(app) for app in SERVICES for _ in range(options.replicas)]
        spare = {
            (app, version): [cluster.place(app, version) for _ in range(number)]
            for app in SERVICES
            for ups in [sum(kind == "scale up" and who == app for _, kind, who in plan)]
            for version, number in ((1, ups), (2, ups + options.replicas + 1))
        }
        jobs = [cluster.place_job(n) for n in range(sum(kind == "cron job" for _, kind, _ in plan))]
        inventory = cluster.write(directory / "production.json")
        fleet = Fleet(layers, Client(cluster.client), options.pace)
        events = Events(cluster, fleet, iter(jobs), spare)
        targets = ("--namespace", options.namespace, "--inventory", inventory,
                   "--status", directory / "status.json")  # fmt: skip
        with closing(fleet), watching(baselines, directory, "watch", targets) as watch:
            for pod in placed:
                fleet.add(pod)
            replica_s, began = 0.0, time.monotonic()
            pause(3)
            states = _standing(directory / "status.json")
            with fleet.used():
                for due, kind, app in plan:
                    replica_s += _until(began + due, fleet)
                    events.do(kind, app)
                    _say(f"{time.monotonic() - began:.0f} s: {kind} {app}; {_told(watch)}")
                replica_s += _until(began + options.watch, fleet)
                watched_s = time.monotonic() - began
            pause(3)
    return Soak(
        learnt=_learnt(baselines),
        watched_s=watched_s,
        replicas=dict.fromkeys(SERVICES, options.replicas),
        replica_s=replica_s,
        uses=fleet.uses,
        events=events.done,
        lines=[told.finding for told in watch.told],
        losses=_losses(watch.messages),
        states=states,
        trouble=fleet.trouble + events.trouble,
        kernel=platform.release(),
        is_shared=options.shared_machine,
    )


def _learnt(baselines: Path) -> dict[str, float]:
    """Return for how many seconds each workload was learnt, all replicas together."""
    found = [load_baseline(file) for file in baselines.glob("*.baseline.yaml")]
    return {one.subject.name: one.observation.seconds for one in found}


def _standing(status: Path) -> dict[str, str]:
    """Return the state that each workload is in, and why, as the watch says."""
    listed = json.loads(status.read_text())["workloads"]
    return {one["workload"]["name"]: f"{one['state']}: {one['reason']}" for one in listed}


def _until(due: float, fleet: Fleet) -> float:
    """Wait until *due*; return how many seconds containers ran meanwhile, all together."""
    began = time.monotonic()
    pause(max(0.0, due - began))
    return (time.monotonic() - began) * sum(map(len, fleet.replicas.values()))


def _told(watch: Watch) -> str:
    """Say what is new since the last time; return how many there are of each severity."""
    for told in watch.told[_said[0] :]:
        one = told.finding
        _say(
            f"  {one.severity} {one.rule} {one.workload.name} {one.workload_state} {one.phase} "
            f"x{one.count}: {one.evidence.observed}"
        )
    _said[0] = len(watch.told)
    last = {told.finding.fingerprint: told.finding.severity for told in watch.told}
    return ", ".join(f"{number} {severity}" for severity, number in Counter(last.values()).items())


def _losses(messages: str) -> str:
    lost = [line.strip() for line in messages.splitlines() if "lost" in line]
    return f"The watch said of losses: {lost[-1] if lost else 'nothing'}."


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
