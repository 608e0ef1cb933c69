"""The pods of `deploy/` start with the very words, rights and profiles that they have there."""

from __future__ import annotations

import base64
import json
import re
import signal
import ssl
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
import yaml

from demo.containers import Container
from demo.network import Network
from demo.oci import Spec, bind
from ethogram.cli.run import run
from tests.api_server import ApiServer
from tests.deployment import DEPLOY, agent, container_of, rendered
from tests.e2e.pods import image_of, pod_spec, status_of, within
from tests.e2e.receivers import until
from tests.e2e.s3_server import s3_server
from tests.reviews import make_review, simple_pod
from tests.unit.test_seccomp_files import content_of, file_of

pytestmark = pytest.mark.e2e

USER = 65532
METRICS = 9464


@pytest.fixture
def netns() -> Iterator[Path]:
    with Network() as network:
        yield network.attach("pod").path


def directories(tmp_path: Path, *names: str) -> dict[str, Path]:
    made = {name: tmp_path / name for name in names}
    for path in made.values():
        path.mkdir()
    return made


def said(container: Container) -> str:
    return container.log.read_text()


def wait(container: Container, holds: Callable[[], bool]) -> None:
    """Wait until *holds*; fail with what the container said where it ended, or takes too long."""
    try:
        until(lambda: holds() or container.state()["status"] != "running")
    except AssertionError as error:
        raise AssertionError(said(container)) from error
    assert holds(), said(container)


def stopped(container: Container) -> str:
    """Return what it said until it ended as a kubelet asks it to."""
    container.stop(signal.SIGTERM, timeout_s=90)
    return said(container)


# --- the agents -----------------------------------------------------------------------------------


def cluster_env(server: ApiServer, **more: str) -> dict[str, str]:
    return {
        "KUBERNETES_SERVICE_HOST": "127.0.0.1",
        "KUBERNETES_SERVICE_PORT": str(server.port),
        "NODE_NAME": "node-1",
        **more,
    }


def agent_places(tmp_path: Path) -> dict[str, Path]:
    names = ("state", "tmp", "baselines", "account", "containerd-tasks", "containerd-runc")
    return directories(tmp_path, *names)


def asks_of_its_node(server: ApiServer) -> bool:
    return any(
        one["path"] == "/api/v1/pods" and one.get("fieldSelector") == "spec.nodeName=node-1"
        for one in server.queries
    )


def test_the_watch_of_a_node_is_ready_and_tells(tmp_path: Path, netns: Path) -> None:
    places = agent_places(tmp_path)
    with within(netns, lambda: ApiServer(places["account"])) as server:
        server.account()
        spec = pod_spec(agent("watch"), places, cluster_env(server), netns)
        with Container(image_of(tmp_path), spec) as container:
            container.start()
            wait(container, lambda: status_of(netns, METRICS, "/readyz")[0] == 200)
            assert asks_of_its_node(server), said(container)
            with stranger(tmp_path / "image") as other:
                wait(container, lambda: f'"name": "{other.container_id}"' in said(container))
            metrics = status_of(netns, METRICS, "/metrics")[1]
            text = stopped(container)
    lines = text.splitlines()
    told = [json.loads(line) for line in lines if line.startswith("{")]
    assert "unknown-workload" in {one["rule"] for one in told}
    assert not [line for line in lines if "refused" in line and not line.startswith("{")]
    assert 'ethogram_programs{state="attached"}' in metrics
    assert (places["state"] / "watch").is_dir()
    assert_removed(places, tmp_path / "node")


def assert_removed(places: Mapping[str, Path], node: Path) -> None:
    """Take off a *node* what an agent left in its *places*, and find nothing of it."""
    (node / "var/lib").mkdir(parents=True)
    places["state"].rename(node / "var/lib/ethogram")
    done = subprocess.run(
        [DEPLOY / "kubernetes/remove-node", node], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert not list(node.rglob("*ethogram*"))


@contextmanager
def stranger(image: Path) -> Iterator[Container]:
    """Run a container that no baseline is for, and that is never idle."""
    mounts = [bind(Path(path).resolve(), path) for path in ("/usr", "/bin", "/lib", "/lib64")]
    spec = Spec(("/bin/sh", "-c", "while read -r _ < /etc/passwd; do /bin/true; done"),
                mounts=mounts)  # fmt: skip
    with Container(image, spec) as container:
        container.start()
        yield container


def test_the_recorder_of_a_node_sends_to_a_store(tmp_path: Path, netns: Path) -> None:
    places = agent_places(tmp_path)
    with (
        within(netns, lambda: ApiServer(places["account"])) as server,
        s3_server(lambda start: within(netns, start)) as store,
    ):
        server.account()
        env = cluster_env(
            server,
            ETHOGRAM_RECORDINGS="s3://shelf/recordings",
            AWS_ENDPOINT_URL=f"http://127.0.0.1:{store}",
            AWS_ACCESS_KEY_ID="test",
            AWS_SECRET_ACCESS_KEY="test-secret-key",
            AWS_DEFAULT_REGION="us-east-1",
        )
        spec = pod_spec(agent("record"), places, env, netns)
        with Container(image_of(tmp_path), spec) as container:
            container.start()
            wait(container, lambda: status_of(netns, METRICS, "/readyz")[0] == 200)
            assert asks_of_its_node(server), said(container)
            text = stopped(container)
        listed = status_of(netns, store, "/shelf?list-type=2")[1]
        # The CronJob learns from `RECORDINGS/*/*`.
        found = re.search(r"recordings/node-1/[0-9TZ.-]+/manifest\.json", listed)
        assert found is not None, text
        manifest = json.loads(status_of(netns, store, f"/shelf/{found[0]}")[1])
    assert list((places["state"] / "spool").iterdir()) == [], text
    assert manifest["clean_end"] is True
    refused = {one["name"] for one in manifest["programs"] if one["state"] == "refused"}
    assert refused <= {"file_opened", "capability_returned", "capability_checked"}
    assert "CAP_BPF" in manifest["privileges_dropped"]
    assert "CAP_SYS_PTRACE" not in manifest["privileges_dropped"]
    assert_removed(places, tmp_path / "node")


def test_the_profiles_of_a_node_come_and_go(tmp_path: Path, netns: Path) -> None:
    places = directories(tmp_path, "profiles", "seccomp", "account")
    wanted = file_of(places["profiles"], content_of("read"))
    unused = file_of(places["seccomp"] / "ethogram", content_of("mount"))
    with within(netns, lambda: ApiServer(places["account"])) as server:
        server.account()
        spec = pod_spec(agent("profiles"), places, cluster_env(server), netns)
        with Container(image_of(tmp_path), spec) as container:
            container.start()
            wait(container, lambda: "1 profile new, 0 there already, 1 deleted" in said(container))
            text = stopped(container)
        assert asks_of_its_node(server)
    assert not (places["seccomp"] / unused).exists()
    (line,) = (line for line in text.splitlines() if line.startswith("{"))
    assert json.loads(line)["nodes"] == {"node-1": [wanted]}


# --- the webhook ----------------------------------------------------------------------------------


def of_kind(documents: tuple[dict[str, Any], ...], kind: str, name: str = "") -> dict[str, Any]:
    (found,) = (
        one for one in documents
        if one["kind"] == kind and one["metadata"]["name"].startswith(name)
    )  # fmt: skip
    return found


def test_the_webhook_answers_as_its_configurations_ask(
    tmp_path: Path, netns: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["webhook", "manifests", "--form", "asking", "--certificates", "self"]) == 0
    asking = tuple(yaml.safe_load_all(capsys.readouterr().out))
    places = directories(tmp_path, "config", "tls", "baselines", "spool")
    server = rendered("webhook")
    for name, text in of_kind(server, "ConfigMap")["data"].items():
        (places["config"] / name).write_text(text)
    for name, text in of_kind(asking, "Secret")["data"].items():
        (places["tls"] / name).write_bytes(base64.b64decode(text))
    for place in places["spool"].parent, places["spool"]:
        place.chmod(0o777)
    deployment = of_kind(server, "Deployment")
    with Container(image_of(tmp_path), pod_spec(deployment, places, {}, netns)) as container:
        container.start()
        (webhook,) = (
            one for one in of_kind(asking, "ValidatingWebhookConfiguration")["webhooks"]
            if one["name"].startswith("enforce.")
        )  # fmt: skip
        probe = container_of(deployment)["readinessProbe"]["httpGet"]["path"]
        wait(container, lambda: ask(netns, webhook, "GET", probe)[0] == 200)
        for privileged in (True, False):
            pod = simple_pod(context={"privileged": privileged})
            _, text = ask(netns, webhook, "POST", None, json.dumps(make_review(pod)))
            assert json.loads(text)["response"]["allowed"] is not privileged
        assert "ethogram_admission_reviews_total" in status_of(netns, METRICS, "/metrics")[1]
        status = Path(f"/proc/{container.pid}/status").read_text()
        assert f"Uid:\t{USER}\t{USER}" in status
        assert "CapBnd:\t0000000000000000" in status
        assert "Seccomp:\t2" in status
        assert "2 reviews answered, 1 denied" in stopped(container)


def ask(
    netns: Path, webhook: dict[str, Any], method: str, path: str | None, body: str | None = None
) -> tuple[int, str]:
    """Return the answer to what an API server with *webhook* asks: its name, trust and path."""
    client = webhook["clientConfig"]
    service = client["service"]
    trust = ssl.create_default_context(cadata=base64.b64decode(client["caBundle"]).decode())

    def asked() -> tuple[int, str]:
        connection = HTTPConnection("127.0.0.1", 8443, timeout=20)
        with closing(connection):
            try:
                connection.connect()
            except ConnectionRefusedError:  # nobody listens yet
                return 0, ""
            connection.sock = trust.wrap_socket(
                connection.sock, server_hostname=f"{service['name']}.{service['namespace']}.svc"
            )
            headers = {"Content-Type": "application/json"}
            connection.request(method, path or service["path"], body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()

    return within(netns, asked)
