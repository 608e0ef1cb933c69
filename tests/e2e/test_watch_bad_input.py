"""A watch that cannot work, or that somebody ends: said in time, with the right exit code."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from ethogram.contracts.baseline import (
    PeerIdentity,
    PeerValue,
    Rule,
    dump_baseline,
    load_baseline,
    rule_id,
)
from profiler.identity.hierarchy import unified_mount
from tests.e2e.command_line import ETHOGRAM, ethogram, findings_in, running

pytestmark = pytest.mark.e2e

COMMAND = ("sh", "-c", "cat /etc/hostname")
STRAYS = ("sh", "-c", "cat /etc/hostname; id")
FILE = "_.Command-sh._.baseline.yaml"


@pytest.fixture(scope="module")
def learnt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording `r` of commands `sh` and `sleep`, their baselines `b`, and `sh`'s alone `one`."""
    place = tmp_path_factory.mktemp("learnt")
    for name, words in (("r", COMMAND), ("s", ("sleep", "0.3"))):
        done = ethogram("record", "-o", place / name, "--window", "100ms", "--", *words)
        assert done.returncode == 0, done.stderr
    done = ethogram("learn", "--allow", "thin", "--no-model", "r", "s", "-o", "b", cwd=place)
    assert done.returncode == 0, done.stderr
    (place / "one").mkdir()
    (place / "one" / FILE).write_bytes((place / "b" / FILE).read_bytes())
    return place


def refused(learnt: Path, *words: str | Path) -> tuple[int, str, str]:
    """Return exit code, cause and hint of a watch that says nothing else."""
    done = ethogram("watch", *words, cwd=learnt)
    found = re.fullmatch(r"error: (.+)\n\nhint: (.+)\n", done.stderr)
    assert found, done.stderr
    assert done.stdout == ""
    return done.returncode, found[1], found[2]


# --- refused before it begins ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "code", "cause"),
    [
        ("--baseline nowhere --all", 5, "there is no baseline `nowhere`"),
        ("--baseline r --all", 5, "`r` is a recording, not baselines"),
        ("--baseline r/manifest.json --all", 5, "`r/manifest.json` is not a baseline"),
        ("--baseline one", 2, "no target given"),
        ("--baseline one --all --unit x", 2, "are different kinds of target"),
        ("--baseline one --container 0123456789abcdef", 2, "there is no container"),
        ("--baseline one --unit no-such-unit", 2, "there is no unit `no-such-unit`"),
        ("--baseline one -- no-such-command", 2, "no-such-command"),
        (
            "--baseline one --map nowhere.yaml --all",
            2,
            "there is no map of environments `nowhere.yaml`",
        ),
        ("--baseline one --map one/" + FILE + " --all", 2, "is a baseline, not a map"),
        ("--baseline one --inventory r/manifest.json --all", 2, "inventory"),
        ("--baseline one --status no/such --all", 2, "`--status`: there is no directory"),
        ("--baseline one --status /proc/status.json -- true", 2, "cannot be written"),
        ("--baseline one --ready-file /proc/ready -- true", 2, "`/proc/ready` cannot be written"),
        ("--baseline one --status= -- true", 2, "`--status` names no file"),
        ("--baseline one --status one/" + FILE + " -- true", 2, "holds something else"),
        ("--baseline one --ready-file one/" + FILE + " -- true", 2, "holds something else"),
        ("--baseline one --status one/s --ready-file one/s -- true", 2, "are one file"),
        ("--baseline one --fail-on grave --all", 2, "`--fail-on`"),
    ],
)
def test_it_is_refused_by_name(words: str, code: int, cause: str, learnt: Path) -> None:
    found = refused(learnt, *words.split())
    assert found[0] == code, found
    assert cause in found[1]


def test_baselines_that_overlap_are_refused(learnt: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.baseline.yaml").write_bytes((learnt / "one" / FILE).read_bytes())
    code, cause, hint = refused(learnt, "--baseline", tmp_path, "--all")
    assert (code, "neither more specifically" in cause) == (5, True)
    assert "match.namespace" in hint


def test_too_few_files_is_said_with_what_to_do(learnt: Path) -> None:
    few = 'ulimit -n "$1"; shift; exec "$@"'
    for limit in ("20", "64"):
        words = ["bash", "-c", few, "bash", limit, *ETHOGRAM, "watch", "--baseline", "one", "--all"]
        done = subprocess.run(words, capture_output=True, text=True, timeout=60, cwd=learnt,
                              check=False)  # fmt: skip
        assert done.returncode == 3, done.stderr
        assert "too many files are open\n\nhint: raise the limit" in done.stderr


# --- no baseline for what runs --------------------------------------------------------------------


def test_no_match_is_an_error_that_names_both_sides(learnt: Path) -> None:
    done = ethogram("watch", "--baseline", "one", "--", "true", cwd=learnt)
    assert done.returncode == 5, done.stderr
    assert "no baseline is for Command/true\n" in done.stderr
    assert "error: no baseline is for what ran here: Command/true\n" in done.stderr
    assert "hint: they are for Command/sh;" in done.stderr
    assert done.stdout == ""


def test_a_baseline_that_was_for_nothing_is_said_and_no_error(learnt: Path) -> None:
    done = ethogram("watch", "--baseline", "b", "--", *COMMAND, cwd=learnt)
    assert done.returncode == 0, done.stderr
    assert "sleep._.baseline.yaml` was for nothing that ran here: it is for" in done.stderr


# --- how it ends ----------------------------------------------------------------------------------


def test_a_finding_as_grave_as_asked_exits_with_12(learnt: Path) -> None:
    words = ["--baseline", "one", "--status", "status.json", "--format", "jsonl"]
    done = ethogram("watch", *words, "--fail-on", "low", "--", *STRAYS, cwd=learnt)
    assert done.returncode == 12, done.stderr
    found = list(findings_in(done.stdout.splitlines()))
    assert any("/usr/bin/id" in one.evidence.observed for one in found)
    assert "the command exited with status 0\nfailed: a finding of severity" in done.stderr
    status = json.loads((learnt / "status.json").read_text())
    assert (status["state"], status["findings"]) == (
        "ended",
        len({one.fingerprint for one in found}),
    )
    assert ethogram("watch", *words, "--", *STRAYS, cwd=learnt).returncode == 0


def test_a_reader_that_leaves_early_is_no_error(learnt: Path) -> None:
    words = [*ETHOGRAM, "watch", "--baseline", "one", "--", *STRAYS]
    done = subprocess.run(
        ["bash", "-c", '"$@" | true; exit ${PIPESTATUS[0]}', "bash", *words],
        capture_output=True, text=True, check=False, timeout=60, cwd=learnt,
    )  # fmt: skip
    assert done.returncode in (0, 141)
    assert "error" not in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_the_summary(
    number: signal.Signals, learnt: Path, tmp_path: Path
) -> None:
    words = ["--baseline", learnt / "b", "--window", "200ms", "--", "sleep", "1000"]
    with running("watch", *words, ready=tmp_path / "ready") as process:
        process.send_signal(number)
        _, said = process.communicate(timeout=60)
        assert process.returncode == 0, said
    assert "watching Command/sleep by `" in said
    assert "watched 1 workload for " in said


# --- what it warns of -----------------------------------------------------------------------------


def test_what_the_options_leave_out_of_sight_is_said(learnt: Path, tmp_path: Path) -> None:
    one = load_baseline(learnt / "one" / FILE)
    redis = PeerIdentity(kind="pod", namespace="shop", owner="Deployment", name="redis")
    value = PeerValue(direction="out", protocol="tcp", address="", port=6379, identity=redis)
    evidence = one.rules.syscalls[0].evidence
    rule = Rule[PeerValue](id=rule_id("peers", value), value=value, evidence=evidence)
    rules = one.rules.model_copy(update={"peers": (rule,)})
    (tmp_path / FILE).write_text(dump_baseline(one.model_copy(update={"rules": rules})))
    words = ["--baseline", tmp_path / FILE, "--tier", "light", "--", *COMMAND]
    done = ethogram("watch", *words, cwd=learnt)
    assert done.returncode == 0, done.stderr
    assert "warning: 1 baseline knows peers as pods, services or nodes" in done.stderr
    assert "warning: with `--tier light`" in done.stderr


# --- targets that come back -----------------------------------------------------------------------


def test_a_cgroup_that_is_made_again_is_watched_again(learnt: Path, tmp_path: Path) -> None:
    name = f"ethogram-test-{os.getpid()}"
    cgroup = unified_mount() / name
    one = load_baseline(learnt / "one" / FILE)
    match = one.match.model_copy(update={"kind": "Cgroup", "name": f"/{name}"})
    (tmp_path / FILE).write_text(dump_baseline(one.model_copy(update={"match": match})))
    cgroup.mkdir()
    try:
        words = ["--baseline", tmp_path / FILE, "--window", "200ms", "--cgroup", f"/{name}"]
        with running("watch", *words, ready=tmp_path / "ready") as process:
            cgroup.rmdir()
            cgroup.mkdir()
            inside = 'read go; echo $$ > "$1"/cgroup.procs; for i in 1 2 3 4 5 6 7; do id; id; done'
            with subprocess.Popen(["sh", "-c", inside, "sh", str(cgroup)], stdin=subprocess.PIPE,
                                  stdout=subprocess.DEVNULL) as job:  # fmt: skip
                job.communicate(b"\n")
            process.send_signal(signal.SIGINT)
            out, said = process.communicate(timeout=60)
        assert process.returncode == 0, said
        observed = [one.evidence.observed for one in findings_in(out.splitlines())]
        assert any("/usr/bin/id" in one for one in observed), said
    finally:
        cgroup.rmdir()
