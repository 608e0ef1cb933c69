"""The containers that the other tests and the demo stand on: real, and gone afterwards."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from demo.commands import shielded
from demo.containers import Container, ContainerError
from demo.network import Network, wait_until_listening
from demo.oci import Pod, Spec, bind
from tests.workloads import known

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parent.parent.parent
NGINX = ["nginx", "-g", "daemon off;"]
PAUSE = 34
# A call that no runtime makes between its filter and the program.
GETPGRP = 111
KNOWN = "/known"


def known_spec(*actions, **options) -> Spec:
    program, *words = known(*actions)
    return Spec([KNOWN, *words], mounts=[bind(Path(program), KNOWN)], **options)


def refuse(number_of_errno: int, name: str) -> dict:
    rule = {"names": [name], "action": "SCMP_ACT_ERRNO", "errnoRet": number_of_errno}
    return {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}


def traces_of(word: str) -> list[str]:
    """Where *word* still stands on this host: mounts, namespaces, cgroups, runtimes, files."""
    found = [line for line in Path("/proc/mounts").read_text().splitlines() if word in line]
    for pattern in ("run/netns", "run/runc", "run/crun", "tmp"):
        found += [str(path) for path in Path("/").glob(f"{pattern}/*{word}*")]
    for directory, _, _ in os.walk("/sys/fs/cgroup"):
        found += [directory] if word in directory else []
    return found


@pytest.mark.parametrize("runtime", ["runc", "crun"])
def test_nginx_answers_a_client_in_another_network_namespace(web_image, network, runtime):
    server, client = network.attach("server"), network.attach("client")
    fetch = ["curl", "-s", f"http://{server.address}/"]
    with (
        Container(web_image, Spec(NGINX, netns=server.path), runtime=runtime) as nginx,
        Container(web_image, Spec(fetch, netns=client.path), runtime=runtime) as curl,
    ):
        nginx.start(port=80)
        result = curl.run()
        assert (result.returncode, result.stdout) == (0, b"<h1>checkout</h1>\n")
        nginx.stop(signal.SIGQUIT)
        assert nginx.state()["status"] == "stopped"


def test_redis_serves_a_client_in_another_network_namespace(redis_image, network):
    server, client = network.attach("server"), network.attach("client")
    serve = ["redis-server", "--bind", "0.0.0.0", "--protected-mode", "no", "--save", ""]
    ask = ["redis-cli", "-h", server.address, "set", "cart", "3"]
    with (
        Container(redis_image, Spec(serve, netns=server.path, uid=100, gid=100)) as redis,
        Container(redis_image, Spec(ask, netns=client.path)) as cli,
    ):
        redis.start(port=6379)
        assert cli.run().stdout == b"OK\n"
        redis.stop()


def test_the_known_workload_serves_as_many_connections_as_it_was_told(busybox_image, network):
    server, client = network.attach("server"), network.attach("client")
    serve = known_spec(["listen", 80], ["accept", 23], netns=server.path)
    ask = known_spec(
        ["repeat", 23, [["expect", 0, "connect", server.address, 80]]], netns=client.path
    )
    with Container(busybox_image, serve) as listener, Container(busybox_image, ask) as caller:
        listener.start(port=80)
        assert caller.run().returncode == 0
        listener.wait()


def test_what_a_container_writes_is_in_the_upper_layer_and_not_in_the_image(busybox_image):
    with Container(busybox_image, Spec(["sh", "-c", "echo new > /written"])) as container:
        assert container.run().returncode == 0
        assert (container.upper / "written").read_text() == "new\n"
    assert not (busybox_image / "written").exists()


def test_an_exec_session_has_its_own_exit_code_and_output(busybox_image):
    with Container(busybox_image, known_spec(["call", PAUSE, 1])) as container:
        container.start()
        result = container.exec("sh", "-c", 'echo "$WHO"; exit 23', env={"WHO": "operator"})
        assert (result.returncode, result.stdout) == (23, b"operator\n")


@pytest.mark.parametrize("runtime", ["runc", "crun"])
@pytest.mark.parametrize("no_new_privileges", [True, False], ids=["nnp", "no-nnp"])
def test_a_profile_answers_a_call_with_its_errno(busybox_image, runtime, no_new_privileges):
    spec = known_spec(
        ["expect", -38, "call", GETPGRP, 1],
        seccomp=refuse(38, "getpgrp"),
        no_new_privileges=no_new_privileges,
    )
    with Container(busybox_image, spec, runtime=runtime) as container:
        result = container.run()
        assert (result.returncode, result.stderr) == (0, b"")


def test_a_pod_is_named_by_the_annotations_of_the_runtime_interface(busybox_image):
    pod = Pod("shop-staging", "checkout-5d8f9-x7k2p", "0b0c", "nginx", "nginx:1.22")
    with Container(busybox_image, known_spec(["call", PAUSE, 1], pod=pod)) as container:
        container.start()
        annotations = container.state()["annotations"]
        assert annotations["io.kubernetes.cri.sandbox-namespace"] == "shop-staging"
        assert annotations["io.kubernetes.cri.container-name"] == "nginx"


def test_a_container_that_cannot_start_says_what_the_runtime_said(busybox_image):
    with (
        Container(busybox_image, Spec(["/nonexistent"])) as container,
        pytest.raises(ContainerError, match="no such file"),
    ):
        container.start()


def test_waiting_for_a_service_that_ended_is_an_error(busybox_image):
    with (
        Container(busybox_image, Spec(["true"])) as container,
        pytest.raises(ContainerError, match="ended before it listened"),
    ):
        container.start(port=80)


def test_waiting_for_a_service_that_never_listens_ends():
    with pytest.raises(TimeoutError, match="nothing listens on port 1 "):
        wait_until_listening(os.getpid(), 1, timeout_s=0.1)


def test_nothing_is_left_when_a_block_ends(busybox_image):
    with Network() as network:
        spec = known_spec(
            ["call", PAUSE, 1],
            netns=network.attach("one").path,
            cgroups_path=f"/{network.prefix}/pod/one",
        )
        with Container(busybox_image, spec) as container:
            container.start()
            assert traces_of(container.container_id)
            directory = container.log.parent.name
            assert traces_of(directory)
        assert traces_of(container.container_id) == []
        assert traces_of(directory) == []
        assert traces_of(network.prefix)
    assert traces_of(network.prefix) == []


def test_nothing_is_left_when_a_block_fails(busybox_image):
    def fail_inside(network: Network, container: Container) -> None:
        with network, container:
            container.start()
            raise ZeroDivisionError

    network = Network()
    container = Container(busybox_image, known_spec(["call", PAUSE, 1]))
    with pytest.raises(ZeroDivisionError):
        fail_inside(network, container)
    assert traces_of(container.container_id) + traces_of(network.prefix) == []


INTERRUPTED = """
import sys
from pathlib import Path
from demo.containers import Container
from demo.network import Network
from demo.oci import Spec
with Network(prefix=sys.argv[2]) as network:
    spec = Spec(["sleep", "1000"], netns=network.attach("one").path)
    with Container(Path(sys.argv[1]), spec, container_id=sys.argv[2]) as container:
        container.start()
        print(flush=True)
        container.wait(timeout_s=1000)
"""


def test_nothing_is_left_after_an_interrupt(busybox_image):
    prefix = f"interrupted-{os.getpid()}"
    command = [sys.executable, "-c", INTERRUPTED, str(busybox_image), prefix]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, cwd=ROOT, **pipes) as process:
        assert process.stdout.readline() == b"\n"
        assert traces_of(prefix)
        process.send_signal(signal.SIGINT)
        assert b"KeyboardInterrupt" in process.communicate(timeout=30)[1]
    assert traces_of(prefix) == []


def test_a_signal_waits_until_what_was_begun_is_done():
    done = []

    def be_interrupted() -> None:
        with shielded():
            os.kill(os.getpid(), signal.SIGINT)
            done.append("work")

    with pytest.raises(KeyboardInterrupt):
        be_interrupted()
    assert done == ["work"]
