"""What was seen while an indicator fired never becomes a rule."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import pytest

from ethogram.contracts.baseline import Baseline, FileValue
from ethogram.contracts.flags import Access, ProcessFlag
from ethogram.contracts.matching import Allowlist
from ethogram.contracts.recording import Recording
from learner.features import feature_frame
from learner.learn import learn
from learner.summary import summarize
from learner.windows import steady_windows
from tests.recordings import START_NS, WINDOW_NS, make_recording

pytestmark = pytest.mark.unit

APP, SH, CAT, EVIL = 1, 2, 3, 4
EXECUTABLES = [
    {"exe": APP, "path": b"/app/server"},
    {"exe": SH, "path": b"/bin/sh"},
    {"exe": CAT, "path": b"/bin/cat"},
    {"exe": EVIL, "path": b"/tmp/evil"},
]
READ, CONNECT, PTRACE, EXECVE = 0, 42, 101, 59
ATTACK = 4
ATTACKER, DATABASE = b"\xcb\x00\x71\x07", b"\x0a\x00\x00\x1f"


def at(window: int, milliseconds: int = 0) -> int:
    return START_NS + window * WINDOW_NS + milliseconds * 10**6


def mine(window: int, phase: str = "steady", instance: int = 1) -> dict[str, Any]:
    return {"window": window, "workload": 1, "instance": instance, "phase": phase}


def process(name: str, exe: int, window: int, parent: str | None, **more: Any) -> dict[str, Any]:
    return (
        mine(window)
        | {"exec_id": name, "parent_exec_id": parent, "fork_parent_exec_id": parent, "exe": exe}
        | {"start": at(window, 100), "end": at(window, 900), "stdio": ["null"] * 3}
        | {"tgid": 100 + sum(name.encode())}
        | more
    )


def attacked() -> dict[str, list[dict[str, Any]]]:
    """A service that in window 4 connects to an attacker and gives it a shell."""
    opened = {"access": int(Access.READ), "calls": 1, "in_image": "yes"}
    out = {"direction": "out", "family": 2, "type": 1, "protocol": 6, "connections": 1}
    forever = {"start": at(0, 5), "end": None}
    calls = [
        mine(window) | {"nr": nr, "calls": 10} for window in range(8) for nr in (READ, CONNECT)
    ]
    return {
        "workloads": [{"workload": 1, "kind": "Unit", "name": "web", "container_kind": "none"}],
        "instances": [
            {"instance": number, "workload": 1, "runtime_id": f"r{number}"} for number in (1, 2)
        ],
        "coverage": [mine(window) | {"observed_ns": WINDOW_NS} for window in range(8)],
        "executables": EXECUTABLES,
        "processes": [
            process("app", APP, 0, None, **forever),
            process("rotate", SH, 1, "app"),
            process("shell", SH, ATTACK, "app", stdio=["socket"] * 3),
            process("cat", CAT, ATTACK, "shell"),
            process("fork", SH, ATTACK, "shell", flags=int(ProcessFlag.FORKED)),
            process("evil", EVIL, ATTACK, "fork"),
        ],
        "syscalls": [*calls, mine(ATTACK) | {"nr": PTRACE, "calls": 1}],
        "ngrams": [
            mine(window) | {"gram": struct.pack("<6H", *[nr] * 6)}
            for window, nr in ((1, READ), (ATTACK, PTRACE))
        ],
        "files": [
            mine(window) | {"exe": exe, "path": path} | opened
            for window, exe, path in (
                (0, APP, b"/etc/app.conf"),
                (ATTACK, APP, b"/srv/index.html"),
                (1, SH, b"/etc/profile"),
                (ATTACK, SH, b"/etc/profile"),
                (ATTACK, SH, b"/root/.history"),
                (ATTACK, CAT, b"/srv/customers"),
                (ATTACK, EVIL, b"/tmp/loot"),
            )
        ],
        "network": [
            mine(window) | {"exe": exe, "peer_addr": address, "peer_port": port} | out
            for window, exe, address, port in (
                (1, APP, DATABASE, 5432),
                (ATTACK, APP, DATABASE, 5432),
                (ATTACK, APP, ATTACKER, 4444),
                (ATTACK, EVIL, ATTACKER, 8080),
            )
        ],
        "dns": [
            mine(1) | {"exe": APP, "qname": b"db", "trusted": True},
            mine(ATTACK) | {"exe": EVIL, "qname": b"c2.example", "trusted": True},
        ],
        "privileges": [
            mine(ATTACK) | {"exec_id": name, "operation": "capability", "capability": number}
            | {"granted": True, "calls": 1}
            for name, number in (("app", 10), ("evil", 19))
        ],
    }  # fmt: skip


def quiet() -> dict[str, list[dict[str, Any]]]:
    """The same service, but nobody types into its shell."""
    tables = attacked()
    for row in tables["processes"]:
        row["stdio"] = ["pipe"] * 3
    return tables


def learnt(path: Path, tables: dict[str, list[dict[str, Any]]]) -> Baseline:
    recording = Recording.open(make_recording(path / "recording", **tables))
    (baseline,) = learn(summarize(recording))
    return baseline


def allowed(baseline: Baseline, dimension: str) -> set[str]:
    return {words(rule.value) for rule in getattr(baseline.rules, dimension)}


def condemned(baseline: Baseline, dimension: str) -> dict[str, tuple[str, ...]]:
    return {
        words(one.value): one.indicators
        for one in baseline.quarantined
        if one.dimension == dimension
    }


def words(value: Any) -> str:
    for name in ("path", "address", "name"):
        if getattr(value, name, None):
            return str(getattr(value, name))
    raise AssertionError(value)


def test_nothing_that_a_reverse_shell_alone_did_is_allowed(tmp_path: Path) -> None:
    baseline = learnt(tmp_path, attacked())
    by = ("shell-on-socket",)
    assert allowed(baseline, "syscalls") == {"read", "connect"}
    assert condemned(baseline, "syscalls") == {"ptrace": by}
    assert allowed(baseline, "execs") == {"/app/server", "/bin/sh"}
    assert condemned(baseline, "execs") == {"/bin/cat": by, "/tmp/evil": by}
    assert allowed(baseline, "files") == {"/etc/app.conf", "/etc/profile", "/srv/index.html"}
    assert set(condemned(baseline, "files")) == {"/root/.history", "/srv/customers", "/tmp/loot"}
    assert allowed(baseline, "dns") == {"db"}
    assert condemned(baseline, "dns") == {"c2.example": by}
    assert allowed(baseline, "capabilities") == {"CAP_NET_BIND_SERVICE"}
    assert condemned(baseline, "capabilities") == {"CAP_SYS_PTRACE": by}


def test_the_connection_that_gave_the_shell_is_not_allowed(tmp_path: Path) -> None:
    baseline = learnt(tmp_path, attacked())
    assert allowed(baseline, "peers") == {"10.0.0.31"}
    assert set(condemned(baseline, "peers")) == {"203.0.113.7"}


def test_the_connection_may_be_of_the_window_before(tmp_path: Path) -> None:
    tables = attacked()
    for row in tables["network"]:
        if row["exe"] == APP and row["peer_addr"] == ATTACKER:
            row["window"] = ATTACK - 1
    assert allowed(learnt(tmp_path, tables), "peers") == {"10.0.0.31"}


def test_what_the_workload_does_at_other_times_stays_allowed(tmp_path: Path) -> None:
    baseline = learnt(tmp_path, attacked())
    (read,) = [rule for rule in baseline.rules.syscalls if rule.value.name == "read"]
    assert read.evidence.windows == 7


def test_what_a_clean_instance_does_in_that_window_stays_allowed(tmp_path: Path) -> None:
    tables = attacked()
    tables["syscalls"].append(mine(ATTACK, instance=2) | {"nr": PTRACE, "calls": 1})
    assert "ptrace" in allowed(learnt(tmp_path, tables), "syscalls")


def test_without_the_shell_all_of_it_is_learnt(tmp_path: Path) -> None:
    baseline = learnt(tmp_path, quiet())
    assert baseline.quarantined == ()
    assert {"/bin/cat", "/tmp/evil"} <= allowed(baseline, "execs")
    assert "ptrace" in allowed(baseline, "syscalls")


def test_a_tree_that_lives_on_condemns_all_windows_after(tmp_path: Path) -> None:
    tables = attacked()
    for row in tables["processes"]:
        if row["exec_id"] == "evil":
            row["end"] = None
    tables["syscalls"].append(mine(7) | {"nr": EXECVE, "calls": 1})
    tables["syscalls"].append(mine(2) | {"nr": 3, "calls": 1})
    names = allowed(learnt(tmp_path, tables), "syscalls")
    assert "execve" not in names
    assert "close" in names


def test_a_process_that_executes_again_stays_suspect(tmp_path: Path) -> None:
    tables = attacked()
    again = process("again", CAT, ATTACK, "app", start=at(ATTACK, 950), end=at(ATTACK, 990))
    again["tgid"] = next(row["tgid"] for row in tables["processes"] if row["exec_id"] == "shell")
    for row in tables["processes"]:
        if row["exec_id"] == "shell":
            row["end"] = at(ATTACK, 950)
    tables["processes"] = [row for row in tables["processes"] if row["exec_id"] != "cat"] + [again]
    assert "/bin/cat" not in allowed(learnt(tmp_path, tables), "execs")


def test_a_later_process_with_the_same_number_is_not_suspect(tmp_path: Path) -> None:
    tables = attacked()
    later = process("later", CAT, 6, "app")
    later["tgid"] = next(row["tgid"] for row in tables["processes"] if row["exec_id"] == "shell")
    tables["processes"].append(later)
    assert "/bin/cat" in allowed(learnt(tmp_path, tables), "execs")


def test_a_session_is_condemned_apart_from_the_workload(tmp_path: Path) -> None:
    tables = attacked()
    for row in tables["processes"]:
        if row["exec_id"] in ("shell", "cat", "fork", "evil"):
            row["phase"] = "exec"
    tables["syscalls"].append(mine(ATTACK) | {"nr": 3, "calls": 1})
    tables["syscalls"].append(mine(ATTACK, "exec") | {"nr": 5, "calls": 1})
    names = allowed(learnt(tmp_path, tables), "syscalls")
    assert "close" in names
    assert "fstat" not in names


def test_a_secret_that_a_service_reads_is_condemned_and_the_service_is_not(tmp_path: Path) -> None:
    tables = quiet()
    secret = {"path": b"/etc/shadow", "access": int(Access.READ), "calls": 1}
    tables["files"].append(mine(5) | {"exe": APP} | secret)
    baseline = learnt(tmp_path, tables)
    assert condemned(baseline, "files") == {"/etc/shadow": ("sensitive-file-read",)}
    assert len(baseline.quarantined) == 1


def test_a_tool_that_reads_a_secret_is_condemned_with_what_it_did(tmp_path: Path) -> None:
    tables = quiet()
    secret = {"path": b"/etc/shadow", "access": int(Access.READ), "calls": 1}
    tables["files"].append(mine(ATTACK) | {"exe": CAT} | secret)
    baseline = learnt(tmp_path, tables)
    assert set(condemned(baseline, "files")) == {"/etc/shadow", "/srv/customers"}
    assert condemned(baseline, "execs") == {"/bin/cat": ("sensitive-file-read",)}
    assert "/tmp/evil" in allowed(baseline, "execs")


TOKEN = b"/run/secrets/kubernetes.io/serviceaccount/..2026_01_01/token"


def test_a_token_that_the_service_itself_reads_is_learnt(tmp_path: Path) -> None:
    tables = quiet()
    token = {"path": TOKEN, "access": int(Access.READ), "calls": 1}
    tables["files"].append(mine(2) | {"exe": APP} | token)
    baseline = learnt(tmp_path, tables)
    assert TOKEN.decode() in allowed(baseline, "files")
    assert baseline.quarantined == ()


def test_a_token_that_a_tool_reads_condemns_what_the_tool_did(tmp_path: Path) -> None:
    tables = quiet()
    token = {"path": TOKEN, "access": int(Access.READ), "calls": 1}
    tables["files"].append(mine(ATTACK) | {"exe": CAT} | token)
    baseline = learnt(tmp_path, tables)
    by = ("service-account-token",)
    assert condemned(baseline, "files") == {TOKEN.decode(): by, "/srv/customers": by}
    assert condemned(baseline, "execs") == {"/bin/cat": by}


def test_what_staging_itself_wrote_and_ran_is_learnt(tmp_path: Path) -> None:
    tables = quiet()
    tables["executables"] = [row | {"upper": row["exe"] == EVIL} for row in EXECUTABLES]
    for row in tables["processes"]:
        if row["exec_id"] == "evil":
            row["flags"] = int(ProcessFlag.UPPER_LAYER)
    baseline = learnt(tmp_path, tables)
    assert "/tmp/evil" in allowed(baseline, "execs")
    assert baseline.quarantined == ()


def test_a_process_whose_module_a_filter_refused_is_condemned(tmp_path: Path) -> None:
    tables = quiet()
    init_module = {"nr": 175, "action": "errno", "errno": 1, "calls": 1}
    tables["denied"] = [mine(ATTACK) | {"exec_id": "evil"} | init_module]
    baseline = learnt(tmp_path, tables)
    assert condemned(baseline, "execs") == {"/tmp/evil": ("kernel-module",)}
    assert condemned(baseline, "dns") == {"c2.example": ("kernel-module",)}


def test_another_recording_can_show_that_it_is_normal(tmp_path: Path) -> None:
    from learner.summary import merge  # noqa: PLC0415

    recordings = [
        Recording.open(make_recording(tmp_path / name, manifest={"recording_id": name}, **tables))
        for name, tables in (("clean", quiet()), ("attacked", attacked()))
    ]
    (baseline,) = learn(merge([summarize(recording) for recording in recordings]))
    assert baseline.quarantined == ()
    (ptrace,) = [rule for rule in baseline.rules.syscalls if rule.value.name == "ptrace"]
    assert ptrace.evidence.recordings == 1


def test_a_model_is_not_fitted_on_windows_in_which_an_indicator_fired(tmp_path: Path) -> None:
    recording = Recording.open(make_recording(tmp_path / "recording", **attacked()))
    (frame,) = map(feature_frame, steady_windows([recording]).values())
    assert list(frame.index.get_level_values("window")) == [0, 1, 2, 3, 5, 6, 7]
    assert not frame.columns.str.contains("ptrace").any()


def test_a_name_that_a_pattern_stands_for_is_not_quarantined(tmp_path: Path) -> None:
    tables = attacked()
    row = {"exe": SH, "access": int(Access.WRITE | Access.CREATE), "calls": 1, "in_image": "no"}
    clean = [f"/srv/app/state.{number:03}k2x{number}" for number in (101, 232, 343, 454, 565)]
    names = [(1, name) for name in clean]
    names += [(ATTACK, "/srv/app/state.777k2x9"), (ATTACK, "/srv/app/other.777k2x9")]
    tables["files"] += [mine(window) | row | {"path": name.encode()} for window, name in names]
    (baseline,) = learn(summarize(Recording.open(make_recording(tmp_path / "r", **tables))))
    assert "/srv/app/state.*k2x*" in {rule.value.path for rule in baseline.rules.files}
    held = {one.value.path for one in baseline.quarantined if isinstance(one.value, FileValue)}
    assert "/srv/app/other.777k2x9" in held
    assert not any(path.startswith("/srv/app/state") for path in held)
    allowlist = Allowlist(baseline)
    assert not any(allowlist.allows(one.dimension, one.value) for one in baseline.quarantined)


def test_who_knows_a_file_as_the_images_widens_it_for_nobody(tmp_path: Path) -> None:
    tables = attacked()
    row = {"exe": APP, "access": int(Access.READ), "calls": 1}
    path = b"/srv/site/550e8400-e29b-41d4-a716-446655440000.js"
    tables["files"] += [
        mine(1) | row | {"path": path, "in_image": "yes"},
        mine(2) | row | {"path": path, "in_image": "no"},
        mine(2) | row | {"path": path.replace(b"site", b"own"), "in_image": "no"},
    ]
    (baseline,) = learn(summarize(Recording.open(make_recording(tmp_path / "r", **tables))))
    paths = {rule.value.path for rule in baseline.rules.files}
    assert path.decode() in paths
    assert "/srv/own/*-*-*-*-*.js" in paths
