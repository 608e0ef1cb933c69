"""Real services, recorded whole, under the profiles exported from that: they work, and no more.

Each runs under each runtime, with and without no_new_privs. All of them are recorded at once; every
one is a workload of its own, so that no profile owes a call to what another runtime did.
"""

from __future__ import annotations

import json
import secrets
import shutil
import uuid
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from benchmarks.tightness import calls_of
from demo.containers import Container
from demo.inventory import PlacedPod, inventory
from demo.network import Attachment, Network
from demo.oci import Pod, Spec, bind
from ethogram.contracts.syscall_names import number_of
from exporters.registry import exporters
from tests.cases.waiting import wait_for_text
from tests.e2e.command_line import ethogram, running
from tests.e2e.real_services import SERVICES, Client, debian_layers, missing_programs
from tests.e2e.sessions import enter
from tests.soundness import is_asked_of_pods
from tests.workloads import known
from tools.measure_runtime_base import release

pytestmark = pytest.mark.e2e

NAMESPACE = "real"
RUNTIMES = {"runc": "1.1.5", "crun": "1.8.1"}
KNOWN = "/known"
ENOSYS, EPERM = 38, 1
# What none of the services does, and how it is answered: the call, and its arguments.
REFUSED = "ptrace"
AF_VSOCK, SOCK_STREAM = 40, 1
UNLISTED = ((-ENOSYS, "keyctl"), (-EPERM, REFUSED), (-ENOSYS, "socket", AF_VSOCK, SOCK_STREAM))
TMP = {
    "destination": "/tmp",
    "type": "tmpfs",
    "source": "tmpfs",
    "options": ["nosuid", "nodev", "mode=1777"],
}
AT_ONCE = 4
# What pods in containers have policies of, and what is judged by their recordings.
JUDGED = ("admission", "cilium", "gatekeeper", "kyverno", "networkpolicy", "seccomp")


@dataclass(frozen=True, slots=True)
class Case:
    """One service under one runtime, with no_new_privs or without."""

    service: str
    runtime: str
    no_new_privs: bool

    @property
    def name(self) -> str:
        return f"{self.service}-{self.runtime}-{'nnp' if self.no_new_privs else 'all'}"


CASES = [
    Case(service, runtime, no_new_privs)
    for service in SERVICES
    for runtime in RUNTIMES
    for no_new_privs in (True, False)
]


@dataclass(frozen=True, slots=True)
class Site:
    """Where the services run: an image, and a network with a client in it."""

    image: Path
    client: Client
    places: Mapping[Case, Attachment]

    def spec(self, case: Case, *, seccomp: Path | None = None) -> Spec:
        service = SERVICES[case.service]
        uid, gid = service.ids
        (program, *_) = known(["call", 0, 0])
        return Spec(
            service.words, netns=self.places[case].path, hostname=case.name, uid=uid, gid=gid,
            no_new_privileges=case.no_new_privs, seccomp=seccomp,
            mounts=[TMP, bind(Path(program), KNOWN)],
        )  # fmt: skip

    def live(self, case: Case, container: Container) -> None:
        """Start it, use it, enter it: all is answered as it should be."""
        service = SERVICES[case.service]
        container.start(port=service.port)
        _wait_for(container, service.ready)
        service.use(self.client, self.places[case].address)
        _wait_for(container, service.done)
        session = enter(container, *service.session)
        told = (session.returncode, session.stdout.decode())
        assert told == (0, service.answer), (case.name, session.stderr)


def _wait_for(container: Container, text: str) -> None:
    """Return once the log of *container* has *text*."""
    if text:
        wait_for_text(
            container.log, text, alive=Path(f"/proc/{container.pid}").exists, timeout_s=30
        )


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was recorded, what was learnt of it, and the profiles of each case."""

    recording: Path
    baselines: Path
    policies: Path

    def profile(self, case: Case) -> Path:
        folder = self.policies / _folder(case.runtime, case.no_new_privs)
        return folder / NAMESPACE / f"Deployment-{case.name}" / "main.seccomp.json"


def _folder(runtime: str, no_new_privs: bool) -> str:
    return f"{runtime}-{no_new_privs}"


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    if missing := missing_programs():
        pytest.skip(f"not installed: {', '.join(missing)}")
    for runtime, version in RUNTIMES.items():
        if not shutil.which(runtime):
            pytest.skip(f"not installed: {runtime}")
        if (here := release(runtime)[0]) != version:
            pytest.skip(f"{runtime} here is {here}, the data is of {version}")
    with debian_layers() as image, Network() as network:
        client = Client(network.attach("client"))
        places = {case: network.attach(str(number)) for number, case in enumerate(CASES)}
        yield Site(image, client, places)


@pytest.fixture(scope="module")
def evidence(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    directory = tmp_path_factory.mktemp("services")
    found = Evidence(directory / "rec", directory / "baselines", directory / "policies")
    _record(site, found.recording, directory)
    _do("learn", "--allow", "thin", "--no-model", found.recording, "-o", found.baselines)
    for runtime, version in RUNTIMES.items():
        for no_new_privs in (True, False):
            case = Case("*", runtime, no_new_privs)
            chosen = directory / "chosen" / _folder(runtime, no_new_privs)
            chosen.mkdir(parents=True)
            for file in found.baselines.glob(f"*.Deployment-{case.name}.*.yaml"):
                shutil.copy2(file, chosen)
            _do(
                *("export", chosen, "--to", "seccomp", "--enforce", "--allow", "thin"),
                *("--runtime", f"{runtime}@{version}", "--set", f"eperm={REFUSED}"),
                *("--set", "arguments=all"),
                *("--set", f"no-new-privs={'yes' if no_new_privs else 'no'}"),
                *("-o", found.policies / _folder(runtime, no_new_privs)),
            )
    return found


def _record(site: Site, target: Path, directory: Path) -> None:
    """Record a whole life of every case."""
    pods = {case: _placed(case.name, at) for case, at in site.places.items()}
    listed = [*pods.values(), _placed("client", site.client.at)]
    (directory / "inventory.json").write_text(json.dumps(inventory(NAMESPACE, listed)))
    choice = ("--namespace", NAMESPACE, "--inventory", directory / "inventory.json")
    with ExitStack() as stack:
        containers = {
            case: stack.enter_context(_container(site, case, placed))
            for case, placed in pods.items()
        }

        def live(case: Case) -> None:
            site.live(case, containers[case])
            containers[case].stop(SERVICES[case.service].stop)

        with running(
            "record", "-o", target, *choice, "--window", "1s", ready=directory / "ready"
        ) as recorder:
            with ThreadPoolExecutor(AT_ONCE) as pool:
                list(pool.map(live, containers))
            recorder.terminate()
            _, messages = recorder.communicate(timeout=60)
        assert recorder.returncode == 0, messages
        assert "nothing lost" in messages, messages


def _container(site: Site, case: Case, placed: PlacedPod) -> Container:
    spec = replace(site.spec(case), pod=placed.pod)
    return Container(site.image, spec, runtime=case.runtime, container_id=placed.container_id)


def _placed(app: str, at: Attachment) -> PlacedPod:
    replica_set = f"{app}-5d8f6c7b9"
    pod = Pod(NAMESPACE, f"{replica_set}-x7k2p", str(uuid.uuid4()), "main", f"example.test/{app}:1")
    return PlacedPod(pod, app, replica_set, at.address, secrets.token_hex(32))


def _do(*words: str | Path) -> str:
    done = ethogram(*words)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_it_starts_serves_is_entered_and_stops_and_a_call_not_seen_fails(
    case: Case, site: Site, evidence: Evidence
) -> None:
    spec = site.spec(case, seccomp=evidence.profile(case))
    with Container(site.image, spec, runtime=case.runtime) as container:
        site.live(case, container)
        for answer, name, *words in UNLISTED:
            call = known(["expect", answer, "call", number_of("x86_64", name), 1, *words])
            inside = enter(container, KNOWN, *call[1:])
            assert (inside.returncode, inside.stderr) == (0, b""), name
        container.stop(SERVICES[case.service].stop)


def test_nothing_that_was_recorded_is_denied_by_what_was_exported_for_its_runtime(
    evidence: Evidence,
) -> None:
    folders = sorted(evidence.policies.iterdir())
    assert len(folders) == len(RUNTIMES) * 2
    document = json.loads(_do("verify", *folders, *_against(evidence)))
    assert (document["denied"], document["not_judged"]) == ([], [])
    assert len(document["judged"]) == len(CASES)
    assert document["without_policy"] == []


def test_nothing_that_was_recorded_is_denied_by_a_policy_of_any_kind(
    evidence: Evidence, tmp_path: Path
) -> None:
    targets = [word for target in exporters() for word in ("--to", target)]
    _do("export", evidence.baselines, *targets, "--enforce", "--allow", "thin", "-o", tmp_path)
    done = ethogram("verify", tmp_path, *_against(evidence))
    document = json.loads(done.stdout)
    assert {one["target"] for one in document["judged"]} >= set(JUDGED)
    denied = {(one["target"], one["rule"]) for one in document["denied"]}
    assert not [one for one in denied if not is_asked_of_pods(*one)]
    # Fields of pods that a recording does not tell, and nothing of what they did.
    causes = {one["reason"].rpartition(": ")[2] for one in document["not_judged"]}
    assert all(cause.startswith("a recording does not tell `") for cause in causes), causes


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_it_allows_far_less_than_a_default_profile(case: Case, evidence: Evidence) -> None:
    allowed, known, by_argument, by_default = calls_of(
        json.loads(evidence.profile(case).read_text())
    )
    assert 40 < allowed < by_default / 2 < known
    assert by_argument > 0


def _against(evidence: Evidence) -> tuple[str | Path, ...]:
    return ("--against", evidence.recording, "--format", "json")
