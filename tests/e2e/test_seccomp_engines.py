"""Exported profiles enforced by real runtimes: enough to live, and no more."""

import json
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
import yaml

from demo.containers import Container, ContainerError
from demo.oci import Spec, bind
from ethogram.contracts.baseline import ArgumentValue, CallArguments
from ethogram.contracts.policy_seccomp import read_profile
from ethogram.contracts.syscall_names import names_of
from exporters.protocol import Artifact
from exporters.registry import find_exporter, parse_options
from exporters.runtime_base import load_runtime_bases
from tests.baselines import make_baseline, syscall_rule
from tests.e2e.engines import Podman
from tests.e2e.sessions import enter
from tests.workloads import known
from tools.measure_runtime_base import Measurement, release

pytestmark = pytest.mark.e2e

KNOWN = "/known"
PAUSE, GETUID, GETTID = 34, 102, 186
IOCTL, SOCKET, CLONE, PERSONALITY = 16, 41, 56, 135
UNIX, INET, NETLINK = 1, 2, 16
CLONE_THREAD, CLONE_NEWUSER = 0x00010000, 0x10000000
# i386's own number of getpid.
I386_GETPID = 20
KILLED_BY_SECCOMP = 128 + signal.SIGSYS
RUNTIMES = {"runc": "1.1.5", "crun": "1.8.1"}

runtimes = pytest.mark.parametrize("runtime", RUNTIMES)
privileges = pytest.mark.parametrize("no_new_privs", [True, False], ids=["nnp", "no-nnp"])


@pytest.fixture(autouse=True)
def _measured_runtime(request: pytest.FixtureRequest) -> None:
    """Skip where the installed runtime is not the one that the data is of."""
    runtime = "crun"
    if "runtime" in request.fixturenames:
        runtime = request.getfixturevalue("runtime")
    if not shutil.which(runtime):
        pytest.skip(f"not installed: {runtime}")
    if (version := release(runtime)[0]) != RUNTIMES[runtime]:
        pytest.skip(f"{runtime} here is {version}, the data is of {RUNTIMES[runtime]}")


def profile_of(*calls, runtime, no_new_privs, enforce=True, settings=(), arguments=None):
    """Return the profile of a workload that was seen to make just *calls*."""
    pairs = [f"runtime={runtime}", f"no-new-privs={'yes' if no_new_privs else 'no'}", *settings]
    exporter = find_exporter("seccomp")
    options = parse_options(exporter, pairs, enforce=enforce)
    items = exporter.export(make_baseline(*calls, arguments=arguments), options)
    return next(yaml.safe_load(i.content) for i in items if isinstance(i, Artifact))


def without(profile, name):
    rules = [
        rule | {"names": [n for n in rule["names"] if n != name]} for rule in profile["syscalls"]
    ]
    return profile | {"syscalls": rules}


def known_spec(*actions, **options):
    program, *words = known(*actions)
    return Spec([KNOWN, *words], mounts=[bind(Path(program), KNOWN)], **options)


def known_words(*actions):
    return [KNOWN, *known(*actions)[1:]]


def calls_of(directory, *commands):
    """Return the names of the calls that *commands* make, as strace sees them."""
    traces = []
    for number, words in enumerate(commands):
        trace = directory / f"trace-{number}"
        subprocess.run(["strace", "-f", "-o", trace, *words], check=True, capture_output=True)
        traces.append(trace.read_text())
    return sorted(set(re.findall(r"^\d+ +(\w+)\(", "".join(traces), re.MULTILINE)))


@runtimes
@privileges
def test_it_starts_is_entered_and_ends_under_its_own_profile(
    busybox_image, tmp_path, runtime, no_new_privs
):
    calls = calls_of(tmp_path, ["busybox", "sleep", "0"], ["busybox", "id"])
    profile = profile_of(*calls, runtime=runtime, no_new_privs=no_new_privs)
    spec = Spec(["sleep", "600"], seccomp=profile, no_new_privileges=no_new_privs)
    with Container(busybox_image, spec, runtime=runtime) as container:
        container.start()
        inside = enter(container, "id", "-u")
        assert (inside.returncode, inside.stdout) == (0, b"0\n")
        container.stop(signal.SIGKILL)
        assert container.state()["status"] == "stopped"


@runtimes
@privileges
def test_a_call_outside_of_the_baseline_is_not_implemented(busybox_image, runtime, no_new_privs):
    profile = profile_of("gettid", runtime=runtime, no_new_privs=no_new_privs)
    spec = known_spec(
        ["call", GETTID, 23],
        ["expect", -38, "call", GETUID, 1],
        seccomp=profile,
        no_new_privileges=no_new_privs,
    )
    with Container(busybox_image, spec, runtime=runtime) as container:
        result = container.run()
        assert (result.returncode, result.stderr) == (0, b"")


@runtimes
def test_an_exec_session_is_under_the_profile_too(busybox_image, runtime):
    profile = profile_of("pause", runtime=runtime, no_new_privs=False)
    spec = known_spec(["call", PAUSE, 1], seccomp=profile, no_new_privileges=False)
    with Container(busybox_image, spec, runtime=runtime) as container:
        container.start()
        result = container.exec(*known_words(["expect", -38, "call", GETUID, 1]))
        assert (result.returncode, result.stderr) == (0, b"")


@runtimes
def test_until_it_enforces_a_profile_refuses_nothing(busybox_image, runtime):
    profile = profile_of("pause", runtime=runtime, no_new_privs=True, enforce=False)
    spec = known_spec(["expect", 0, "call", GETUID, 1], ["int80", I386_GETPID, 1], seccomp=profile)
    with Container(busybox_image, spec, runtime=runtime) as container:
        result = container.run()
        assert (result.returncode, result.stderr) == (0, b"")


@runtimes
@pytest.mark.parametrize("is_seen", [True, False], ids=["seen", "unseen"])
def test_a_32_bit_call_lives_where_one_was_seen_and_dies_elsewhere(busybox_image, runtime, is_seen):
    seen = [syscall_rule("getpid", arch="i386")] if is_seen else []
    profile = profile_of("pause", *seen, runtime=runtime, no_new_privs=True)
    spec = known_spec(["int80", I386_GETPID, 1], seccomp=profile)
    with Container(busybox_image, spec, runtime=runtime) as container:
        assert container.run().returncode == (0 if is_seen else KILLED_BY_SECCOMP)


def told(name, *values, index=0):
    """Return what a baseline says of an argument of which it knows every value."""
    given = tuple(ArgumentValue(value=value, calls=1, phases=("steady",)) for value in values)
    return CallArguments(arch="x86_64", name=name, index=index, values=given)


@runtimes
def test_arguments_are_allowed_as_they_were_seen_and_no_others(busybox_image, runtime):
    """The upper half of a register is not the kernel's business, and not the filter's."""
    arguments = (
        told("clone", 0),
        told("ioctl", 0x5413, index=1),
        told("personality", 0xFFFFFFFF),
        told("socket", UNIX, INET),
    )
    profile = profile_of(
        *("clone", "ioctl", "personality", "socket"),
        runtime=runtime,
        no_new_privs=True,
        settings=["arguments=all"],
        arguments=arguments,
    )
    spec = known_spec(
        ["expect", 3, "call", SOCKET, 1, INET, 1, 0],
        ["expect", 4, "call", SOCKET, 1, UNIX | 1 << 32, 1, 0],
        ["expect", -38, "call", SOCKET, 1, NETLINK, 3, 0],
        ["expect", 0, "call", PERSONALITY, 1, 0xFFFFFFFF],
        ["expect", -38, "call", PERSONALITY, 1, 0x0040000],
        # ENOTTY: the filter lets it through, and a socket is no terminal.
        ["expect", -25, "call", IOCTL, 1, 3, 0x5413, 0],
        ["expect", -38, "call", IOCTL, 1, 3, 0x5401, 0],
        # CLONE_THREAD without CLONE_SIGHAND: what the filter lets through, the kernel refuses.
        ["expect", -22, "call", CLONE, 1, CLONE_THREAD, 0, 0, 0, 0],
        ["expect", -38, "call", CLONE, 1, CLONE_NEWUSER | CLONE_THREAD, 0, 0, 0, 0],
        seccomp=profile,
    )
    with Container(busybox_image, spec, runtime=runtime) as container:
        result = container.run()
        assert (result.returncode, result.stderr) == (0, b"")


@runtimes
@pytest.mark.parametrize(("dialect", "errno"), [("spo", -38), ("spo-v1beta1", -1)])
def test_what_the_operator_writes_to_a_node_is_enforced(busybox_image, runtime, dialect, errno):
    """The operator's file is the object's `spec`."""
    profile = profile_of(
        "gettid", runtime=runtime, no_new_privs=True, settings=[f"dialect={dialect}"]
    )
    spec = known_spec(
        ["call", GETTID, 1], ["expect", errno, "call", GETUID, 1], seccomp=profile["spec"]
    )
    with Container(busybox_image, spec, runtime=runtime) as container:
        result = container.run()
        assert (result.returncode, result.stderr) == (0, b"")


def test_podman_enforces_the_docker_dialect(busybox_image, tmp_path):
    if not shutil.which("podman"):
        pytest.skip("not installed: podman")
    profile = profile_of(
        *calls_of(tmp_path, ["busybox", "sleep", "0"]),
        *("socket", "uname"),
        runtime="runc",
        no_new_privs=False,
        settings=["dialect=docker", "eperm=mkdir", "tolerance=yes"],
        arguments=(told("socket", UNIX),),
    )
    assert all(entry["comment"] for entry in profile["syscalls"])
    file = tmp_path / "profile.json"
    file.write_text(json.dumps(profile))
    with Podman(tmp_path, "runc").with_image(busybox_image) as podman:
        option = f"--security-opt=seccomp={file}"
        with podman.container(option, command=["/bin/sleep", "1000"]) as (container_id, _):
            applied = json.loads(podman("inspect", container_id))[0]["OCIConfigPath"]
            seccomp = json.loads(Path(applied).read_text())["linux"]["seccomp"]
            assert {name for rule in seccomp["syscalls"] for name in rule["names"]} == {
                name for rule in profile["syscalls"] for name in rule["names"]
            }
            ours, theirs = read_profile(profile), read_profile(seccomp)
            for name in names_of("x86_64"):
                for family in (UNIX, NETLINK):
                    given = ("x86_64", name, {0: family})
                    assert theirs.verdict(*given) == ours.verdict(*given)
            podman("exec", container_id, "/bin/true")
            with pytest.raises(AssertionError, match="Operation not permitted"):
                podman("exec", container_id, "/bin/mkdir", "/new")


@pytest.mark.parametrize(
    ("runtime", "no_new_privs", "name"),
    [
        ("runc", False, "getcwd"),
        ("runc", False, "capset"),
        ("runc", True, "openat"),
        ("crun", False, "capset"),
        ("crun", False, "setresuid"),
        ("crun", True, "execve"),
    ],
)
def test_without_a_call_of_the_base_set_it_does_not_start(
    busybox_image, runtime, no_new_privs, name
):
    whole = profile_of("gettid", runtime=runtime, no_new_privs=no_new_privs)
    for profile, lives in ((whole, True), (without(whole, name), False)):
        spec = known_spec(["call", GETTID, 1], seccomp=profile, no_new_privileges=no_new_privs)
        with Container(busybox_image, spec, runtime=runtime) as container:
            assert (container.run().returncode == 0) == lives


def test_a_session_that_crun_gives_more_privileges_needs_the_larger_base_set(busybox_image):
    for no_new_privs, status in ((True, 255), (False, 0)):
        profile = profile_of("pause", "gettid", runtime="crun", no_new_privs=no_new_privs)
        spec = known_spec(["call", PAUSE, 1], seccomp=profile, no_new_privileges=True)
        with Container(busybox_image, spec, runtime="crun") as container:
            container.start()
            assert container.exec(*known_words(["call", GETTID, 1])).returncode == status


@runtimes
def test_the_base_set_for_no_new_privs_does_not_start_another_container(busybox_image, runtime):
    profile = profile_of("pause", runtime=runtime, no_new_privs=True)
    spec = known_spec(["call", PAUSE, 1], seccomp=profile, no_new_privileges=False)
    container = Container(busybox_image, spec, runtime=runtime)
    with container, pytest.raises(ContainerError, match="could not start"):
        container.start()


@runtimes
def test_no_start_out_of_23_meets_a_call_that_was_not_measured(busybox_image, runtime):
    """What a language runtime calls is a matter of timing: a rare call fails a start at times."""
    profile = profile_of("gettid", runtime=runtime, no_new_privs=False)
    spec = known_spec(["call", GETTID, 1], seccomp=profile, no_new_privileges=False)
    for _ in range(23):
        with Container(busybox_image, spec, runtime=runtime) as container:
            result = container.run()
            assert (result.returncode, result.stderr) == (0, b"")


@runtimes
def test_the_shipped_base_set_is_what_the_runtime_does(runtime, tmp_path):
    assert os.geteuid() == 0
    (base,) = (b for b in load_runtime_bases() if (b.runtime, b.measured) == (runtime, True))
    measurement = Measurement(runtime, tmp_path)
    measurement.measure(rounds=1)
    for no_new_privs, seen in measurement.seen.items():
        assert set(seen) <= set(base.calls(no_new_privs))
        (shipped,) = (entry for entry in base.sets if entry.no_new_privs == no_new_privs)
        assert set(shipped.calls) - set(base.occasional) <= set(seen)
