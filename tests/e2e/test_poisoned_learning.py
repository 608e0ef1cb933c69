"""Real attacks while a service is recorded: what the baseline allows, and what is exported."""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap
from contextlib import ExitStack
from pathlib import Path

import pytest

from ethogram.contracts.baseline import Baseline, load_baselines
from ethogram.contracts.wording import in_words
from tests.e2e.command_line import ethogram, running

pytestmark = pytest.mark.e2e

# 90 windows of 200 ms, each with some work in it.
SERVICE = """
import ctypes, os, select, socket, subprocess, sys
home, attack = sys.argv[1:]
libc, server = ctypes.CDLL(None), socket.create_server(("127.0.0.1", 0))
for turn in range(180):
    select.select([server], [], [], 0.1)
    with open(home + "/state", "w") as file:
        file.write(str(turn))
    with open(home + "/state") as file:
        file.read()
    if turn == 100 and attack == "yes":
{attack}
"""
ATTACK = """
for number in (100, 111, 140, 157, 186):  # times, getpgrp, getpriority, prctl, gettid
    libc.syscall(number, 0, 0, 0, 0, 0)
for number in range(2000):
    open(f"{home}/st{number:06d}", "w").close()
with open(home + "/.dropped", "wb") as file:
    file.write(open("/bin/true", "rb").read())
os.chmod(home + "/.dropped", 0o755)
subprocess.run([home + "/.dropped"])
handler = socket.create_connection(server.getsockname())
end = server.accept()[0]
shell = subprocess.Popen(["/bin/sh"], stdin=end, stdout=end, stderr=end)
handler.sendall(b"cat /etc/hostname\\nexit\\n")
handler.recv(100)
shell.wait()
handler.close()
end.close()
"""


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Three replicas at the same time, and a fourth in which an attacker was."""
    place = tmp_path_factory.mktemp("poisoned")
    home = place / "home"
    home.mkdir()
    program = place / "service.py"
    program.write_text(SERVICE.format(attack=textwrap.indent(ATTACK, " " * 8)))
    found: dict[str, Path] = {}
    names = ("one", "two", "three", "attacked")
    processes: list[subprocess.Popen[str]] = []
    with ExitStack() as stack:
        for name in names:
            own = home / name
            own.mkdir()
            found[name] = place / name
            processes.append(
                stack.enter_context(
                    running(
                        "record", "-o", found[name], "--window", "200ms", "--", sys.executable,
                        "-S", program, home / name, "yes" if name == "attacked" else "no",
                        ready=place / f"{name}.ready",
                    )
                )
            )  # fmt: skip
        for process in processes:
            _, messages = process.communicate(timeout=90)
            assert process.returncode == 0, messages
    return found


def learnt(place: Path, *recordings: Path) -> Baseline:
    done = ethogram("learn", *recordings, "-o", place, "--no-model", "--allow", "thin,lossy")
    assert done.returncode == 0, done.stderr
    ((_, baseline),) = load_baselines(place)
    return baseline


def code(baseline: Baseline) -> set[str]:
    return {
        in_words(rule.value)
        for name in ("syscalls", "execs", "capabilities", "operations")
        for rule in getattr(baseline.rules, name)
    }


def junk(baseline: Baseline) -> list[tuple[str, ...]]:
    """The marks of the rules that the names of the flood left behind.

    On a busy machine the flood is slow, and what comes after a fifth of the time is not of it.
    """
    left = [rule for rule in baseline.rules.files if re.search(r"/st0|\*", rule.value.path)]
    return [rule.marked or () for rule in left]


def profile(place: Path, baselines: Path) -> bytes:
    words = ("--to", "seccomp", "--enforce", "--allow", "thin,lossy", "-o", place)
    done = ethogram("export", baselines, *words)
    assert done.returncode == 0, done.stderr
    (file,) = place.rglob("*.seccomp.json")
    return file.read_bytes()


def test_an_attack_on_one_of_four_replicas_widens_no_profile(
    tmp_path: Path, recordings: dict[str, Path]
) -> None:
    attacked = learnt(tmp_path / "attacked", *recordings.values())
    clean = learnt(tmp_path / "clean", *list(recordings.values())[:3])
    assert code(attacked) == code(clean)
    assert profile(tmp_path / "p", tmp_path / "attacked") == profile(
        tmp_path / "q", tmp_path / "clean"
    )
    held = {in_words(one.value): (one.indicators, one.reasons) for one in attacked.quarantined}
    assert "shell-on-socket" in held["/usr/bin/dash"][0]
    assert {"times", "getpgrp", "getpriority"} <= held.keys()
    assert any("flood" in (one.reasons or ()) for one in attacked.quarantined)
    assert set(junk(attacked)) <= {("one-instance",)}
    assert len(junk(attacked)) < 5
    assert not any("/.dropped" in in_words(rule.value) for rule in attacked.rules.execs)


def test_alone_its_shell_and_its_junk_are_held_back_and_the_rest_is_marked(
    tmp_path: Path, recordings: dict[str, Path]
) -> None:
    baseline = learnt(tmp_path / "b", recordings["attacked"])
    held = {in_words(one.value) for one in baseline.quarantined}
    assert "/usr/bin/dash" in held
    assert "/usr/bin/cat" in held
    assert set(junk(baseline)) <= {("once",)}
    assert len(junk(baseline)) < 5
    calls = {rule.value.name: rule.marked for rule in baseline.rules.syscalls}
    assert "times" in held or calls["times"] == ("once",)  # by whether the shell shared its window
    done = ethogram("show", tmp_path / "b")
    assert "shell-on-socket" in done.stdout
    assert "flood" in done.stdout
