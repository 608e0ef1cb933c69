"""The demonstration tells the truth, and leaves nothing behind however it ends."""

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

DEMO = Path(__file__).parent.parent.parent / "demo" / "run"


def start_demo(directory: Path) -> subprocess.Popen[bytes]:
    """Run it with every file that it makes in *directory*."""
    return subprocess.Popen(
        [DEMO],
        env={**os.environ, "TMPDIR": str(directory)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def read_until(process: subprocess.Popen[bytes], text: bytes) -> None:
    lines = []
    for line in process.stdout:
        lines.append(line)
        if text in line:
            return
    pytest.fail(f"{text!r} was not told:\n{b''.join(lines).decode()}\n{process.stderr.read()}")


def containers_of(directory: Path) -> list[str]:
    """The ids of the containers that the inventories in *directory* name."""
    statuses = [
        status
        for name in ("inventory.json", "production.json")
        for file in directory.glob(f"ethogram-demo-*/{name}")
        for item in json.loads(file.read_text())["items"]
        if item["kind"] == "Pod"
        for status in item["status"]["containerStatuses"]
    ]
    return [status["containerID"].removeprefix("containerd://") for status in statuses]


def left_behind(process: subprocess.Popen[bytes], directory: Path, ids: list[str]) -> list[str]:
    """Mounts, processes, files, network namespaces, containers and cgroups that still stand."""
    found = [
        line for line in Path("/proc/mounts").read_text().splitlines() if str(directory) in line
    ]
    found += [str(path) for path in directory.iterdir()]
    found += [str(path) for path in Path("/run/netns").glob(f"eth{process.pid}-*")]
    for link in Path("/proc").glob("[0-9]*/cwd"):
        try:
            inside = link.readlink().is_relative_to(directory)
        except OSError:  # it ended meanwhile
            continue
        found += [str(link)] if inside else []
    found += [str(path) for path in Path("/run/runc").glob("*") if path.name in ids]
    for path, _, _ in os.walk("/sys/fs/cgroup"):
        found += [path] if Path(path).name in ids else []
    return found


@pytest.mark.parametrize(
    ("moment", "number", "containers"),
    [
        (b"$ ethogram record", signal.SIGINT, 3),
        (b"checkout started", signal.SIGINT, 3),
        (b"checkout started", signal.SIGTERM, 3),
        (b"exec session", signal.SIGHUP, 3),
        (b"bash -c", signal.SIGINT, 6),
    ],
    ids=["recorder-int", "shop-int", "shop-term", "session-hup", "intruder-int"],
)
def test_an_interrupted_demo_leaves_nothing_behind(tmp_path, moment, number, containers):
    with start_demo(tmp_path) as process:
        read_until(process, moment)
        ids = containers_of(tmp_path)
        process.send_signal(number)
        _, errors = process.communicate(timeout=120)
    assert (process.returncode, b"interrupted" in errors) == (130, True)
    assert len(ids) == containers
    assert left_behind(process, tmp_path, ids) == []


def test_everything_that_the_demo_claims_is_so(tmp_path):
    with start_demo(tmp_path) as process:
        output, errors = process.communicate(timeout=280)
    assert (process.returncode, errors) == (0, b""), output.decode()
    text = output.decode()
    assert "refused with errno 38 (ENOSYS)" in text
    assert "the ordinary life of the shop raised no finding" in text
    for act in (
        "the shell",
        "reading /etc/shadow",
        "the connection to port 4444",
        "the dropped program",
    ):
        assert f"{act} was reported, with workload, process tree, reason and technique" in text
    assert "All of it was so" in text
    assert left_behind(process, tmp_path, []) == []
