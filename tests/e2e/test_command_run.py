"""`record -- COMMAND`: a real process in a real cgroup, as the user who asked."""

import json
import os
import pwd
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ethogram.errors import UsageError
from profiler.command import CommandRun
from profiler.identity.hierarchy import Hierarchy
from tests.passable import passable

pytestmark = pytest.mark.e2e

NOBODY = pwd.getpwnam("nobody")
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
LOOK = """
import json, os, signal, sys
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
json.dump({
    "cgroup": open("/proc/self/cgroup").read(), "uids": os.getresuid(), "gids": os.getresgid(),
    "groups": os.getgroups(), "environ": dict(os.environ), "pgid": os.getpgid(0),
    "fds": sorted(int(fd) for fd in os.listdir("/proc/self/fd") if os.path.exists(f"/dev/fd/{fd}")),
    "ignored": status["SigIgn"].strip(), "blocked": status["SigBlk"].strip(),
    "caps": status["CapEff"].strip(),
}, open(sys.argv[1], "w"))
"""


@pytest.fixture
def hierarchy() -> Iterator[Hierarchy]:
    """The host's cgroups; whatever a test does, none of ours is left."""
    hierarchy = Hierarchy()
    if hierarchy.mount is None:
        pytest.skip("no cgroup v2 hierarchy is mounted")
    before = set(hierarchy.mount.glob("ethogram/*/"))
    yield hierarchy
    assert set(hierarchy.mount.glob("ethogram/*/")) <= before


def looked(tmp_path: Path, hierarchy: Hierarchy, environ: dict[str, str]) -> dict[str, object]:
    """Run something that says what it is, and return what it says."""
    passable(tmp_path).chmod(0o777)
    said = tmp_path / "said.json"
    with CommandRun.prepare(
        ["/usr/bin/python3", "-I", "-c", LOOK, str(said)], hierarchy=hierarchy, environ=environ
    ) as run:
        run.release()
        assert run.wait(30) == 0
        said_: dict[str, object] = json.loads(said.read_text())
        assert f"0::{run.cgroup_path}\n" in str(said_["cgroup"])
    return said_


def fifo(directory: Path) -> str:
    """Return a FIFO in *directory*: opening it waits for the other side."""
    path = directory / "fifo"
    if not path.exists():
        os.mkfifo(path)
    return str(path)


def is_inherited(descriptor: int) -> bool:
    try:
        return os.get_inheritable(descriptor)
    except OSError:
        return False


def test_a_command_runs_in_its_cgroup_as_root_where_root_asked(tmp_path, hierarchy):
    said = looked(tmp_path, hierarchy, {"PATH": PATH})
    assert said["uids"] == [0, 0, 0]
    assert said["pgid"] == os.getpgid(0)


def test_a_command_runs_as_the_user_of_sudo(tmp_path, hierarchy):
    sudo = {"SUDO_UID": str(NOBODY.pw_uid), "SUDO_GID": str(NOBODY.pw_gid), "SUDO_USER": "nobody"}
    said = looked(tmp_path, hierarchy, {"PATH": PATH, "HOME": "/root", "LANG": "C", **sudo})
    assert said["uids"] == [NOBODY.pw_uid] * 3
    assert said["gids"] == [NOBODY.pw_gid] * 3
    assert said["groups"] == [NOBODY.pw_gid]
    assert said["caps"] == "0" * 16
    environ = said["environ"]
    assert isinstance(environ, dict)
    assert environ["HOME"] == NOBODY.pw_dir
    assert (environ["USER"], environ["LOGNAME"]) == ("nobody", "nobody")
    assert environ["SHELL"] == NOBODY.pw_shell
    assert not [name for name in environ if name.startswith("SUDO_")]


def test_a_command_inherits_no_signal_and_only_the_descriptors_that_others_would(
    tmp_path, hierarchy
):
    said = looked(tmp_path, hierarchy, {"PATH": PATH})
    ours = {fd for fd in range(1024) if is_inherited(fd)}
    assert said["fds"] == sorted({0, 1, 2} | ours)
    # What whoever started this ignores, as `nohup` does, is inherited; nothing else may be ignored.
    status = Path("/proc/self/status").read_text()
    ignored = next(line.split()[1] for line in status.splitlines() if line.startswith("SigIgn"))
    assert int(str(said["ignored"]), 16) & ~int(ignored, 16) == 0
    assert int(str(said["blocked"]), 16) == 0


def test_what_a_command_prints_can_be_kept_from_standard_output(hierarchy, capfd):
    words = ["sh", "-c", "echo told; echo complained >&2"]
    with CommandRun.prepare(words, hierarchy=hierarchy, spares_stdout=True) as run:
        run.release()
        assert run.wait(10) == 0
    printed, complained = capfd.readouterr()
    assert (printed, complained) == ("", "told\ncomplained\n")


def test_a_command_joins_its_cgroup_only_when_it_is_released(hierarchy):
    with CommandRun.prepare(["cat"], hierarchy=hierarchy) as run:
        procs = hierarchy.mount / run.cgroup_path.lstrip("/") / "cgroup.procs"
        assert hierarchy.id_of(run.cgroup_path) == run.cgroup_id
        assert procs.read_text() == ""
        assert run.poll() is None
        assert Path(f"/proc/{run.pid}/comm").read_text() != "cat\n"


def test_a_command_that_is_not_released_never_runs(tmp_path, hierarchy):
    made = tmp_path / "made"
    run = CommandRun.prepare(["touch", str(made)], hierarchy=hierarchy)
    assert run.close()
    assert run.poll() == 0
    assert not made.exists()


def test_the_exec_is_done_when_release_returns(hierarchy):
    with CommandRun.prepare(["sleep", "60"], hierarchy=hierarchy) as run:
        run.release()
        assert Path(f"/proc/{run.pid}/comm").read_text() == "sleep\n"
        assert not run.remove()
        os.kill(run.pid, signal.SIGKILL)
        assert run.wait(10) == -signal.SIGKILL


@pytest.mark.parametrize(
    ("script", "status"), [("exit 0", 0), ("exit 42", 42), ("kill -TERM $$", -15)]
)
def test_the_exit_status_is_the_commands(hierarchy, script, status):
    with CommandRun.prepare(["sh", "-c", script], hierarchy=hierarchy) as run:
        run.release()
        assert run.wait(10) == status
        assert run.poll() == status


def test_a_file_that_cannot_be_executed_is_named(tmp_path, hierarchy):
    script = tmp_path / "script"
    script.write_text("#!/nonexistent/interpreter\n")
    script.chmod(0o755)
    run = CommandRun.prepare([str(script)], hierarchy=hierarchy)
    with pytest.raises(UsageError) as caught:
        run.release()
    assert caught.value.message == f"`{script}` cannot be run: No such file or directory"
    assert "interpreter" in (caught.value.hint or "")
    assert run.poll() == 127


def test_a_command_that_does_not_exist_leaves_no_cgroup(hierarchy):
    with pytest.raises(UsageError, match="there is no command `no-such-command`"):
        CommandRun.prepare(["no-such-command"], hierarchy=hierarchy)


def test_a_sudo_variable_that_is_no_user_is_refused(hierarchy):
    with pytest.raises(UsageError, match="`SUDO_UID` is no user"):
        CommandRun.prepare(["true"], hierarchy=hierarchy, environ={"SUDO_UID": "x", "PATH": PATH})


def test_an_interrupt_becomes_firmer(tmp_path, hierarchy):
    script = "trap '' INT TERM; echo ready > \"$1\"; exec sleep 60"
    with CommandRun.prepare(["sh", "-c", script, "sh", fifo(tmp_path)], hierarchy=hierarchy) as run:
        run.release()
        assert Path(fifo(tmp_path)).read_text() == "ready\n"
        assert run.interrupt(grace_s=60) == signal.SIGINT
        assert run.interrupt(grace_s=60) is None
        assert run.interrupt(grace_s=0) == signal.SIGTERM
        assert run.wait(0.2) is None
        assert run.interrupt(grace_s=0) == signal.SIGKILL
        assert run.wait(10) == -signal.SIGKILL
        assert run.interrupt() is None


def test_a_command_that_was_ended_while_it_waited_is_no_error(hierarchy):
    with CommandRun.prepare(["sleep", "60"], hierarchy=hierarchy) as run:
        assert run.interrupt() == signal.SIGINT
        assert run.wait(10) == -signal.SIGINT
        run.release()
        assert run.poll() == -signal.SIGINT


def test_what_the_command_leaves_behind_is_not_ended_and_keeps_the_cgroup(tmp_path, hierarchy):
    script = 'sleep 60 & echo $! > "$1"'
    run = CommandRun.prepare(["sh", "-c", script, "sh", fifo(tmp_path)], hierarchy=hierarchy)
    run.release()
    left = int(Path(fifo(tmp_path)).read_text())
    pidfd = os.pidfd_open(left)
    try:
        assert run.wait(10) == 0
        assert not run.close()
    finally:
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        select.select([pidfd], [], [], 10)
        os.close(pidfd)
    assert run.close()


def test_cgroups_that_the_command_made_are_removed_too(hierarchy):
    with CommandRun.prepare(["true"], hierarchy=hierarchy) as run:
        (hierarchy.mount / run.cgroup_path.lstrip("/") / "one" / "two").mkdir(parents=True)
        run.release()
        assert run.wait(10) == 0


def test_the_command_ends_by_itself_when_the_recorder_is_killed(hierarchy):
    source = (
        "import os, signal; from profiler.command import CommandRun;"
        "from profiler.identity.hierarchy import Hierarchy;"
        "run = CommandRun.prepare(['sleep', '60'], hierarchy=Hierarchy());"
        "print(run.pid, run.cgroup_path, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run(
        [sys.executable, "-c", source], cwd=Path(__file__).parents[2], text=True,
        stdout=subprocess.PIPE, check=False,
    )  # fmt: skip  # it ends when the last writer of the pipe has, the waiting child among them
    pid, cgroup = done.stdout.split()
    assert done.returncode == -signal.SIGKILL
    assert not Path(f"/proc/{pid}/root").exists() or "Z" in Path(f"/proc/{pid}/stat").read_text()
    # What it left is removed by the next one, and what lives is not.
    assert hierarchy.id_of(cgroup) is not None
    with CommandRun.prepare(["true"], hierarchy=hierarchy) as one:
        assert hierarchy.id_of(cgroup) is None
        with CommandRun.prepare(["true"], hierarchy=hierarchy):
            assert hierarchy.id_of(one.cgroup_path) == one.cgroup_id


def test_the_cgroup_can_be_removed_without_privileges():
    source = (
        "from profiler import privileges; from profiler.command import CommandRun;"
        "from profiler.identity.hierarchy import Hierarchy;"
        "run = CommandRun.prepare(['true'], hierarchy=Hierarchy());"
        "privileges.drop(frozenset({'CAP_KILL'})); run.release();"
        "print(run.wait(10), run.close())"
    )
    done = subprocess.run(
        [sys.executable, "-c", source], cwd=Path(__file__).parents[2], text=True,
        stdout=subprocess.PIPE, check=True,
    )  # fmt: skip
    assert done.stdout == "0 True\n"
