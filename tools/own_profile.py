"""Learns the seccomp profile of the agents: records them as their DaemonSets run them, and exports.

`make own-profile` runs it, as root, where runc is. A watch with all that it can be asked for (a
cluster, sinks, a model, a recording beside it, metrics) and a recorder run in the containers that
`deploy/` describes, and ethogram records them. What comes of it is written into `deploy/`, named by
its content, and the DaemonSets are made to name it.
"""

from __future__ import annotations

import hashlib
import json
import re
import signal
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from demo.containers import Container
from demo.oci import Pod, Spec, bind
from tests.api_server import ApiServer
from tests.deployment import DEPLOY, ROOT, agent, agent_spec
from tests.e2e.command_line import ETHOGRAM, ethogram, running
from tests.e2e.receivers import http_receiver

IDENTITY = Pod("ethogram", "ethogram-agent", "00000000-0000-4000-8000-00000000e706", "agent",
               "ethogram:own")  # fmt: skip
SERVICE_ID = "5e" * 32
SERVICE = """
import os, time
while True:
    for _ in range(10):
        fd = os.open("/etc/hostname", os.O_RDONLY); os.read(fd, 100); os.close(fd)
    os.getppid()
    time.sleep(0.01)
"""
RUNTIMES = "runc@1.1.5,crun@1.8.1"
PORT = 19464


def main() -> None:
    """Record, learn, export, and write what came of it into `deploy/`."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as directory:
        place = Path(directory)
        (place / "image").mkdir()
        recordings = [record(place, kind) for kind in ("watch", "record")]
        baselines = place / "own"
        _ethogram("learn", "--allow", "thin,lossy", *recordings, "-o", baselines)
        (own,) = baselines.glob("*ethogram-agent.agent.baseline.yaml")
        _ethogram(
            "export", own, "--to", "seccomp", "--enforce", "--allow", "thin,lossy,enforced",
            "--runtime", RUNTIMES, "-o", place / "policies",
        )  # fmt: skip
        (profile,) = (place / "policies").rglob("*.seccomp.json")
        install(profile.read_bytes())


def record(place: Path, kind: str) -> Path:
    """Record one agent from its start to its end; return the recording."""
    recording = place / f"recording-{kind}"
    with service(place), ApiServer(place) as server, http_receiver() as receiver:
        words = WORDS[kind](place, server, receiver.port)
        with running(
            "record",
            "--namespace",
            IDENTITY.namespace,
            "--window",
            "1s",
            "-o",
            recording,
            ready=place / f"ready-{kind}",
        ) as recorder:
            run_agent(place, kind, words)
            recorder.send_signal(signal.SIGINT)
            _, said = recorder.communicate(timeout=120)
            if recorder.returncode:
                raise SystemExit(said)
    return recording


def watch_words(place: Path, server: ApiServer, port: int) -> list[str]:
    baselines = learnt_service(place)
    return [
        "watch", "--all", "--window", "500ms", "--startup", "1s", "--format", "jsonl",
        f"--kubernetes=kubeconfig={inside(place, server.kubeconfig())}", "--node=node-1",
        f"--baseline={inside(place, baselines)}", "--unknown=alert", "--learn=/var/lib/ethogram/l",
        "--state=/var/lib/ethogram/watch", "--status=/tmp/status.json",
        f"--listen=127.0.0.1:{PORT}", "--events=process,network",
        "--to=file:/var/lib/ethogram/findings.jsonl", "--to=syslog+tcp://127.0.0.1:9",
        f"--to=webhook+http://127.0.0.1:{port}/in",
    ]  # fmt: skip


def record_words(place: Path, server: ApiServer, _: int) -> list[str]:
    return [
        "record", "--all", "--window", "500ms", "--startup", "1s", "--rotate-every", "2s",
        f"--kubernetes=kubeconfig={inside(place, server.kubeconfig())}", "--node=node-1",
        "--output=/var/lib/ethogram/r", f"--listen=127.0.0.1:{PORT}",
    ]  # fmt: skip


WORDS = {"watch": watch_words, "record": record_words}


def inside(place: Path, path: Path) -> str:
    """Return where the container of an agent sees *path*."""
    return f"/etc-ethogram/{path.relative_to(place)}"


def run_agent(place: Path, kind: str, words: list[str]) -> None:
    """Run an agent for some windows, ask for its metrics, and end it as a kubelet does."""
    places = {}
    for path in ("/tmp", "/var/lib/ethogram"):
        places[path] = place / f"{kind}{path.replace('/', '-')}"
        places[path].mkdir()
    spec = agent_spec(
        agent(kind), words, places, pod=IDENTITY, host_namespaces=("pid", "network"), seccomp=None,
        annotations={},
    )  # fmt: skip
    spec = Spec(**{**vars(spec), "mounts": [*spec.mounts, bind(place, "/etc-ethogram")]})
    with Container(place / "image", spec) as container:
        container.start()
        wait_for_metrics(container)
        wait(12)
        ask(f"http://127.0.0.1:{PORT}/metrics")
        container.stop(signal.SIGTERM, timeout_s=60)
        print(container.log.read_text()[-1500:], file=sys.stderr)


@contextmanager
def service(place: Path) -> Iterator[None]:
    """Run what the agents see, in a container of its own."""
    (place / "service.py").write_text(SERVICE)
    mounts = [bind(Path(path).resolve(), path) for path in
              ("/usr", "/bin", "/lib", "/lib64", "/etc")]  # fmt: skip
    spec = Spec(["/usr/bin/python3", "-S", "/srv/service.py"],
                mounts=[*mounts, bind(place, "/srv")])  # fmt: skip
    with Container(place / "image", spec, container_id=SERVICE_ID) as container:
        container.start()
        yield


def learnt_service(place: Path) -> Path:
    """Return the baseline of the service, with a model."""
    words = ("--container", SERVICE_ID, "--window", "500ms", "--startup", "500ms")
    _ethogram("record", *words, "--duration", "9s", "-o", place / "service")
    _ethogram("learn", "--allow", "thin,lossy", "--budget", "20/min", place / "service",
              "-o", place / "baselines")  # fmt: skip
    return place / "baselines"


def install(content: bytes) -> None:
    """Write *content* beside the DaemonSets, named by its digest, and make them name it."""
    name = f"ethogram-agent-{hashlib.sha256(content).hexdigest()[:12]}.json"
    for kind in WORDS:
        directory = DEPLOY / "kubernetes" / kind
        for old in directory.glob("ethogram-agent*.json"):
            old.unlink()
        (directory / name).write_bytes(content)
        for file in ("daemonset.yaml", "kustomization.yaml"):
            path = directory / file
            path.write_text(re.sub(r"ethogram-agent(-[0-9a-f]{12})?\.json", name, path.read_text()))
    calls = sum(len(rule["names"]) for rule in json.loads(content)["syscalls"])
    print(f"`{name}`: {calls} names of calls, {len(content)} bytes", file=sys.stderr)


def wait(seconds: float) -> None:
    subprocess.run(["/bin/sleep", str(seconds)], check=True)


def wait_for_metrics(container: Container) -> None:
    for _ in range(120):
        try:
            ask(f"http://127.0.0.1:{PORT}/metrics")
            return
        except OSError:
            wait(0.25)
    raise SystemExit(container.log.read_text())


def ask(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=5) as answer:
        content: bytes = answer.read()
        return content


def _ethogram(*words: str | Path) -> None:
    done = ethogram(*words, timeout_s=300, cwd=ROOT)
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, (*ETHOGRAM[:1], *words)))}\n{done.stderr}")


if __name__ == "__main__":
    main()
