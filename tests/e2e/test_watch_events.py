"""`ethogram watch --events`: processes and connections of a real command, everywhere they go."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from demo.containers import Container
from demo.oci import Spec
from ethogram.contracts.event import Event
from ethogram.contracts.finding import Finding
from ethogram.contracts.incident import Incident
from tests.e2e.command_line import ethogram, running
from tests.e2e.receivers import http_receiver
from tests.e2e.recorded import POD
from tests.e2e.sessions import enter

pytestmark = pytest.mark.e2e

_MODELS: dict[str, Any] = {
    "ethogram.event/1": Event, "ethogram.finding/1": Finding, "ethogram.incident/1": Incident,
}  # fmt: skip
# It execs 23 times, fails to exec once, leaves its parent by forking twice, and talks to itself.
_ACTS = """
mkfifo done
sh -c '(while kill -0 $$ 2>/dev/null; do :; done; exec /usr/bin/printf x >done) & exit 0'
read line <done
for i in $(seq 23); do /bin/true; done
/no/such/file
exec python3 -c '
import socket
server = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(server.getsockname())
server.accept()[0].sendall(b"x")
'
"""


def events_in(text: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in text.splitlines()]
    for line in lines:
        _MODELS[line["schema"]].model_validate(line)
    return [line for line in lines if line["schema"] == "ethogram.event/1"]


def execs(events: list[dict[str, Any]], exe: str) -> list[dict[str, Any]]:
    return [
        one for one in events
        if one["activity"] == "exec" and one["process"]["exe"].endswith(exe)
    ]  # fmt: skip


def test_23_execs_are_23_events_and_a_connection_has_both_ends(tmp_path: Path) -> None:
    done = ethogram("record", "-o", "r", "--window", "100ms", "--", "sh", "-c", "exec true",
                    cwd=tmp_path)  # fmt: skip
    assert done.returncode == 0, done.stderr
    done = ethogram("learn", "--allow", "thin,lossy", "--no-model", "r", "-o", "b", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    with http_receiver() as receiver:
        done = ethogram(
            "watch", "--baseline", "b", "--window", "200ms", "--events", "process,network",
            "--to", f"file:{tmp_path}/all.jsonl#events=process+network",
            "--to", f"ocsf+file:{tmp_path}/ocsf.jsonl#events=process",
            "--to", f"webhook+http://127.0.0.1:{receiver.port}/#events=network&severity=critical",
            "--spool", tmp_path / "spool", "--", "sh", "-c", _ACTS, cwd=tmp_path,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    printed = events_in(done.stdout)
    true = execs(printed, "/true")
    assert len(true) == 23
    assert len({one["process"]["exec_id"] for one in true}) == 23
    shells = execs(printed, "/dash")
    shell = next(one for one in shells if not one["process"]["ancestry"])
    for one in true:
        assert one["process"]["entry"] == {
            "type": "command", "exec_id": shell["process"]["exec_id"], "exe": "/usr/bin/dash",
            "pid": shell["process"]["pid"],
        }  # fmt: skip
        assert one["process"]["ancestry"][-1]["exec_id"] == shell["process"]["exec_id"]
    (daemon,) = execs(printed, "/printf")
    above = [one["exec_id"] for one in daemon["process"]["ancestry"]]
    assert above[-1] == shell["process"]["exec_id"]
    left = next(one for one in shells if one["process"]["exec_id"] == above[0])
    assert left["process"]["argv"][0] == "sh"  # it had ended, and process 1 was the parent
    assert daemon["process"]["fork_parent_exec_id"] == above[0]
    assert daemon["process"]["uid"] == 0
    ends = [one for one in printed if one["activity"] == "exit"
            and one["process"]["exe"].endswith("/true")]  # fmt: skip
    assert len(ends) == 23
    assert {one["process"]["exit_code"] for one in ends} == {0}
    (failed,) = [one for one in printed if one.get("file", {}).get("path") == "/no/such/file"]
    assert (failed["activity"], failed["errno"]) == ("exec_failed", 2)
    (connect,) = [one for one in printed if one["activity"] == "connect"
                  and one["peer"]["protocol"] == "tcp"]  # fmt: skip
    (accept,) = [one for one in printed if one["activity"] == "accept"]
    assert connect["peer"]["address"] == accept["peer"]["local_address"] == "127.0.0.1"
    # Both are told of the process; who comes second knows who came first.
    named = [one["peer"].get("exec_id") for one in (connect, accept)]
    assert accept["process"]["exec_id"] in named
    kept = events_in((tmp_path / "all.jsonl").read_text())
    assert {one["id"] for one in kept} == {one["id"] for one in printed}
    classes = [json.loads(line)["class_uid"]
               for line in (tmp_path / "ocsf.jsonl").read_text().splitlines()]  # fmt: skip
    assert classes.count(1007) == sum(one["kind"] == "process" for one in printed)
    assert 4001 not in classes
    posted = [one["kind"] for post in receiver.posts for one in post.json if "kind" in one]
    assert set(posted) == {"network"}


def test_events_are_lines_of_json_and_nothing_else(tmp_path: Path) -> None:
    for words, cause in (
        ("--events process --format text", "`--events` prints JSON lines"),
        ("--events files", "there is no kind `files`"),
    ):
        done = ethogram("watch", "--baseline", tmp_path, *words.split(), "--all", cwd=tmp_path)
        assert done.returncode in {2, 5}
        if done.returncode == 2:
            assert cause in done.stderr


def test_a_session_in_a_container_is_told_with_its_entry_user_and_container(
    busybox_image: Path, tmp_path: Path
) -> None:
    done = ethogram("record", "-o", "r", "--window", "100ms", "--", "true", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    done = ethogram("learn", "--allow", "thin,lossy", "--no-model", "r", "-o", "b", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    spec = Spec(["/bin/sleep", "60"], pod=POD)
    words = ("watch", "--baseline", tmp_path / "b", "--events", "process", "--namespace", "shop")
    with running(*words, ready=tmp_path / "ready") as process:
        with Container(busybox_image, spec) as container:
            container.start()
            assert enter(container, "sh", "-c", "/bin/sleep 0; true").returncode == 0
            container.stop(signal.SIGKILL)
        process.terminate()
        printed, _ = process.communicate(timeout=60)
    events = events_in(printed)
    (asked,) = [one for one in events if one["activity"] == "exec"
                and one["process"]["argv"] == ["sh", "-c", "/bin/sleep 0; true"]]  # fmt: skip
    assert asked["container_id"] == container.container_id
    assert asked["workload"]["namespace"] == POD.namespace
    assert asked["process"]["entry"]["type"] == "exec"
    assert asked["process"]["entry"]["exec_id"] == asked["process"]["exec_id"]
    assert asked["container_root"]["exec_id"] != asked["process"]["exec_id"]
    (root,) = [one for one in events if one["activity"] == "exec"
               and one["process"]["exec_id"] == asked["container_root"]["exec_id"]]  # fmt: skip
    assert root["process"]["argv"] == ["/bin/sleep", "60"]
    assert root["process"]["entry"]["type"] == "service"
    assert (root["process"]["ns_pid"], root["process"]["uid"]) == (1, asked["process"]["uid"])
