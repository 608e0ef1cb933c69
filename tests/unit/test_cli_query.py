"""`ethogram query`: what it answers, what it refuses, and what it never reaches."""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from detector.hunting.views import VIEWS
from ethogram.cli.run import run
from ethogram.contracts.escape import escape
from ethogram.contracts.tables import TABLES
from tests.events import every_event
from tests.recordings import START_NS, make_recording, shop_recording

pytestmark = pytest.mark.unit

HOSTILE = b"/tmp/\x1b[31m\xff\xe2\x80\xaeq"


@pytest.fixture
def ask(tmp_path, monkeypatch, capsys):
    """Run `query --format json`; return the exit code and the rows, or what was said."""
    monkeypatch.chdir(tmp_path)

    def asked(sql, *words):
        code = run(["query", sql, *map(str, words), "--format", "json"])
        out, err = capsys.readouterr()
        return code, (json.loads(out)["rows"] if code == 0 else err)

    return asked


@pytest.fixture
def shop(tmp_path):
    return shop_recording(tmp_path / "shop.rec")


def process(exec_id, parent=None, **columns):
    return {"exec_id": exec_id, "parent_exec_id": parent, "argv": [b"x"], **columns}


def finding(fingerprint="0" * 32, **fields):
    times = dict.fromkeys(("time", "first_seen", "last_seen"), "2026-01-02T03:04:05.678901Z")
    return {
        "schema": "ethogram.finding/1",
        "fingerprint": fingerprint,
        "layer": "indicator",
        "rule": "miner",
        "title": "a miner",
        "reason": "it mines",
        "severity": "high",
        "attack": [{"technique": "T1496", "version": "17.1"}],
        "workload": {"namespace": "shop", "kind": "Pod", "name": "a"},
        "process": {"exec_id": "e1", "pid": 7, "exe": "/tmp/m", "argv": ["/tmp/m", "-o"]},
        "evidence": {"dimension": "execs", "observed": "/tmp/m"},
        "state": "ok",
        "count": 2,
        **times,
        **fields,
    }


def write_lines(path: Path, *documents) -> Path:
    path.write_text("".join(json.dumps(one) + "\n" for one in documents))
    return path


def test_every_table_and_view_can_be_read_whole(ask, shop):
    findings = write_lines(Path("findings.jsonl"), finding())
    names = ("recordings", "findings", "events", *VIEWS, *(f"raw.{table}" for table in TABLES))
    each = ", ".join(f'(SELECT count(one) FROM {name} one) AS "{name}"' for name in names)
    code, said = ask(f"SELECT {each}", shop, findings)
    assert code == 0, said
    assert all(said[0][f"raw.{table}"] == said[0][table] for table in TABLES)


def test_views_have_the_columns_that_are_documented(ask, shop):
    sql = "SELECT table_name t, list(column_name ORDER BY ordinal_position) c"
    code, rows = ask(
        f"{sql} FROM information_schema.columns WHERE table_schema = 'main' GROUP BY 1", shop
    )
    assert code == 0
    found = {row["t"]: row["c"] for row in rows}
    for name, view in VIEWS.items():
        assert found[name] == [column.name for column in view.columns]


def test_counts_are_those_of_the_reader(ask, shop):
    for table in ("files", "network", "processes", "syscalls"):
        rows = pq.read_table(shop / f"{table}-00000.parquet").num_rows
        assert ask(f"SELECT count(*) n FROM {table}", shop) == (0, [{"n": rows}])


def test_the_last_row_of_a_process_stands(ask, tmp_path):
    rec = make_recording(
        tmp_path / "one.rec",
        processes=[process("a", start=START_NS), process("a", start=START_NS, exit_code=3,
                   end=START_NS + 10**9)],
    )  # fmt: skip
    assert ask("SELECT exec_id, exit_code, seconds FROM processes", rec) == (
        0, [{"exec_id": "a", "exit_code": 3, "seconds": 1.0}],
    )  # fmt: skip


def test_a_recording_that_goes_on_is_read_from_its_journal(ask, tmp_path):
    rows = [process("a", start=START_NS), process("a", start=START_NS, exit_code=3)]
    rec = make_recording(tmp_path / "on.rec", is_closed=False, processes=rows)
    assert ask("SELECT exit_code FROM processes", rec) == (0, [{"exit_code": 3}])
    sql = "SELECT count(*) n FROM processes a JOIN processes b USING (exec_id)"
    assert ask(sql, rec) == (0, [{"n": 1}])


def test_a_name_that_is_a_pattern_to_duckdb_is_read_all_the_same(ask, tmp_path):
    rec = make_recording(tmp_path / "a[1].rec", processes=[process("a")])
    assert ask("SELECT exec_id FROM processes", rec) == (0, [{"exec_id": "a"}])


def test_recordings_keep_their_numbers_apart(ask, tmp_path):
    for name in ("a", "b"):
        make_recording(
            tmp_path / f"{name}.rec",
            manifest={"recording_id": f"01J{name}"},
            executables=[{"exe": 1, "path": f"/{name}".encode()}],
            processes=[process(name, exe=1)],
        )
    sql = "SELECT recording, exec_id, exe_path FROM processes ORDER BY 1"
    assert ask(sql, "*.rec") == (
        0,
        [
            {"recording": 1, "exec_id": "a", "exe_path": "/a"},
            {"recording": 2, "exec_id": "b", "exe_path": "/b"},
        ],
    )


def test_a_cycle_of_parents_ends(ask, tmp_path):
    rows = [process("a", "c"), process("b", "a"), process("c", "b"), process("d", "d")]
    rec = make_recording(tmp_path / "cycle.rec", processes=rows)
    code, found = ask("SELECT exec_id, ancestor_exec_id a, depth FROM ancestry ORDER BY ALL", rec)
    assert code == 0
    assert [(one["exec_id"], one["a"], one["depth"]) for one in found] == [
        ("a", "b", 2), ("a", "c", 1), ("b", "a", 1), ("b", "c", 2), ("c", "a", 2), ("c", "b", 1),
    ]  # fmt: skip


def test_an_address_is_whose_it_was_at_the_time(ask, tmp_path):
    addr, second = b"\x0a\x00\x00\x01", 10**9
    rec = make_recording(
        tmp_path / "moved.rec",
        addresses=[
            {"addr": addr, "kind": "pod", "name": "shop/old", "valid_from": START_NS,
             "valid_to": START_NS + 5 * second, "source": "inventory"},
            {"addr": addr, "kind": "pod", "name": "shop/new", "owner_kind": "Pod",
             "owner_name": "new", "namespace": "shop", "valid_from": START_NS + 7 * second,
             "source": "inventory"},
        ],
        network=[
            {"direction": "out", "family": 2, "type": 1, "protocol": 6, "peer_addr": addr,
             "peer_port": port, "first": at, "last": at}
            for port, at in ((1, START_NS + second), (2, START_NS + 6 * second),
                             (3, START_NS + 8 * second))
        ],
    )  # fmt: skip
    sql = "SELECT peer_port, peer_addr, peer, peer_subject FROM flows ORDER BY 1"
    code, rows = ask(sql, rec)
    assert code == 0
    assert [list(row.values()) for row in rows] == [
        [1, "10.0.0.1", "shop/old", None],
        [2, "10.0.0.1", None, None],
        [3, "10.0.0.1", "shop/new", "shop/Pod/new"],
    ]


def test_two_sockets_that_talk_are_both_ends(ask, tmp_path):
    tcp = {"family": 2, "type": 1, "protocol": 6}
    rec = make_recording(
        tmp_path / "ends.rec",
        executables=[{"exe": 1, "path": b"/curl"}, {"exe": 2, "path": b"/nginx"}],
        network=[
            {"exe": 1, "direction": "out", "peer_port": 80, "cookie": 7, **tcp},
            {"exe": 2, "direction": "in", "local_port": 8080, "cookie": 8, "peer_cookie": 7, **tcp},
        ],
    )
    sql = "SELECT client_exe_path c, server_exe_path s, asked_port, server_port, matched_by m"
    assert ask(f"{sql} FROM both_ends", rec) == (
        0, [{"c": "/curl", "s": "/nginx", "asked_port": 80, "server_port": 8080, "m": "cookie"}],
    )  # fmt: skip


@pytest.fixture
def hostile(tmp_path):
    rows = [{"path": HOSTILE, "access": 3, "calls": 1}]
    return make_recording(tmp_path / "hostile.rec", files=rows)


def test_text_of_workloads_is_escaped_as_everywhere(ask, hostile):
    assert ask("SELECT path FROM files", hostile) == (0, [{"path": escape(HOSTILE)}])
    assert ask("SELECT path FROM raw.files", hostile) == (0, [{"path": escape(HOSTILE)}])


@pytest.mark.parametrize("kind", ["table", "csv"])
def test_no_control_reaches_a_screen(hostile, capsys, kind):
    sql = "SELECT path, path AS \"\x1b[1m\", chr(27) || 'x' AS made, ['\x1b'] AS l FROM raw.files"
    assert run(["query", sql, str(hostile), "--format", kind]) == 0
    out = capsys.readouterr().out
    assert all(character.isprintable() or character == "\n" for character in out)
    assert escape(HOSTILE) in out


@pytest.mark.parametrize(
    "sql",
    [
        "COPY (SELECT 1) TO 'out.csv'",
        "EXPLAIN ANALYZE COPY (SELECT 1) TO '{file}'",
        "COPY (SELECT 1) TO '{file}'",
        "WITH x AS (COPY (SELECT 1) TO '{file}' (USE_TMP_FILE false)) FROM x",
        "WITH x AS (/* */ cOpY/**/(SELECT 1) TO '{file}' (USE_TMP_FILE false)) FROM x",
        "FROM query($$WITH x AS (COPY (SELECT 1) TO '{file}' (USE_TMP_FILE false)) FROM x$$)",
        "FROM \"Query\"('SELECT 1')",
        "FROM query($$COPY (SELECT 1) TO '{file}' (USE_TMP_FILE false)$$)",
        "PIVOT (FROM query($$COPY (SELECT 1) TO '{file}'$$)) ON a",
        "WITH x AS (INSERT INTO recordings FROM recordings RETURNING 1) FROM x",
        "ATTACH 'new.db'",
        "INSTALL httpfs",
        "SET memory_limit = '100GB'",
        "CREATE TABLE a AS SELECT 1",
        "DELETE FROM findings",
        "PRAGMA enable_external_access",
        "CALL enable_logging()",
        "SELECT 1; SELECT 2",
        "",
        "FROM read_text('/etc/hostname')",
        "FROM read_csv('/etc/passwd')",
        "FROM glob('/*')",
        "FROM 'https://example.com/x.parquet'",
        "FROM read_text('{other}')",
        "FROM sources",
        "SELECT getenv('HOME')",
    ],
)
def test_sql_neither_writes_nor_reaches_anything(ask, shop, sql):
    before = {path: path.read_bytes() for path in shop.iterdir()}
    file, other = shop / "files-00000.parquet", shop / "manifest.json"
    code, said = ask(sql.format(file=file, other=other) + " -- files", shop)
    assert code in (1, 2)
    assert said.startswith("error: ")
    assert "internal error" not in said
    assert {path: path.read_bytes() for path in shop.iterdir()} == before
    assert sorted(path.name for path in Path.cwd().iterdir()) == ["shop.rec"]


def test_words_that_write_may_stand_in_text_and_names(ask, shop):
    sql = "SELECT 'copy' AS \"update\", $$drop$$ AS b -- delete"
    assert ask(sql, shop) == (0, [{"update": "copy", "b": "drop"}])
    assert ask("PIVOT (SELECT 1 AS a, 2 AS b) ON a USING sum(b)", shop) == (0, [{"1": 2}])


def test_an_error_names_line_and_column(ask, shop):
    code, said = ask("SELECT 'é',\n  nothing FROM files", shop)
    assert code == 2
    assert said.startswith('error: line 2, column 3: referenced column "nothing" not found')
    code, said = ask("SELEC 1", shop)
    assert (code, said.splitlines()[0]) == (
        2, 'error: line 1, column 1: syntax error at or near "SELEC"',
    )  # fmt: skip


def test_a_terminal_sees_the_place(shop, capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert run(["query", "SELECT é, nothing FROM files", str(shop)]) == 2
    assert "  SELECT é, nothing FROM files\n         ^\n" in capsys.readouterr().err


def test_a_query_that_takes_too_long_ends(ask, shop):
    sql = "SELECT count(*) FROM range(10000000000) a WHERE a.range % 7 = 3"
    code = run(["query", sql, str(shop), "--timeout", "50ms"])
    assert code == 1


def test_interrupting_it_ends_it(shop, capsys):
    sql = "SELECT count(*) FROM range(100000000000) a WHERE a.range % 7 = 3"
    timer = threading.Timer(0.5, lambda: os.kill(os.getpid(), signal.SIGINT))
    timer.start()
    try:
        assert run(["query", sql, str(shop)]) == 130
    finally:
        timer.cancel()
    assert capsys.readouterr().err.endswith("interrupted\n")


def test_memory_and_temporary_files_are_bounded(shop, capsys):
    sql = "SELECT max(l[1]) FROM (SELECT list(range ORDER BY hash(range)) l FROM range(20000000))"
    assert run(["query", sql, str(shop), "--memory", "64MB", "--temporary", "1MB"]) == 1
    assert "needs more than 61 MiB of memory" in capsys.readouterr().err


def test_findings_are_rows(ask, tmp_path):
    lines = [finding(), finding(count=5), finding("1" * 32, process=None)]
    path = write_lines(tmp_path / "findings.jsonl", *lines)
    code, rows = ask("SELECT * EXCLUDE (document) FROM findings WHERE is_last", path)
    assert code == 0
    assert [(row["fingerprint"][0], row["count"], row["exec_id"]) for row in rows] == [
        ("0", 5, "e1"), ("1", 2, None),
    ]  # fmt: skip
    assert rows[0]["subject"] == "shop/Pod/a"
    assert rows[0]["techniques"] == ["T1496"]
    assert rows[0]["time"] == "2026-01-02T03:04:05.678901Z"
    sql = "SELECT document->>'$.attack[0].version' v FROM findings LIMIT 1"
    assert ask(sql, path) == (0, [{"v": "17.1"}])


def test_what_is_no_finding_is_counted_or_refused_by_line(tmp_path, capsys):
    path = write_lines(tmp_path / "f.jsonl", finding(), {"schema": "ethogram.other/1"})
    with path.open("a") as file:
        file.write('{"schema": "ethogram.fin')  # it is being written
    assert run(["query", "SELECT count(*) FROM findings", str(path)]) == 0
    assert "note: 1 line of " in capsys.readouterr().err
    write_lines(path, finding(), finding(count="many"))
    assert run(["query", "SELECT count(*) FROM findings", str(path)]) == 1
    assert "line 2 is no finding" in capsys.readouterr().err


def test_events_are_rows_beside_findings_and_no_noise(ask, tmp_path, capsys):
    told = [record.body for record in every_event(tmp_path / "told")]
    path = write_lines(tmp_path / "watch.jsonl", finding(), *told)
    code, rows = ask("SELECT * EXCLUDE (document) FROM events ORDER BY ALL", path)
    assert (code, len(rows)) == (0, len(told))
    sql = "SELECT exe_path, peer_addr, peer_port, peer_subject, count FROM events"
    code, rows = ask(f"{sql} WHERE activity = 'accept'", path)
    assert rows == [{
        "exe_path": "/usr/sbin/nginx", "peer_addr": "10.0.0.21", "peer_port": None,
        "peer_subject": "Unit/client.service", "count": 1,
    }]  # fmt: skip
    code, rows = ask("SELECT asked_path IS NOT NULL AS asked, errno FROM events"
                     " WHERE activity = 'exec_failed'", path)  # fmt: skip
    assert rows == [{"asked": True, "errno": 13}]
    assert run(["query", "SELECT count(*) FROM findings", str(path)]) == 0
    assert "are no findings" not in capsys.readouterr().err


def test_findings_join_with_processes(ask, tmp_path):
    rec = make_recording(tmp_path / "a.rec", processes=[process("e1", exit_code=9)])
    path = write_lines(tmp_path / "f.jsonl", finding())
    sql = "SELECT title, p.exit_code FROM findings f JOIN processes p USING (exec_id)"
    assert ask(sql, rec, path) == (0, [{"title": "a miner", "exit_code": 9}])


def test_a_file_is_whole_private_and_replaced_on_request_alone(shop, tmp_path, capsys):
    out = tmp_path / "out.parquet"
    words = ["query", "SELECT path, calls, calls FROM files", str(shop), "-o", str(out)]
    assert run(words) == 0
    assert pq.read_table(out).column_names == ["path", "calls", "calls_2"]
    assert out.stat().st_mode & 0o777 == 0o600
    assert run(words) == 2
    assert run([*words, "--force"]) == 0
    before = out.read_bytes()
    sql = "SELECT CASE WHEN calls > 0 THEN error('no') END FROM files"
    assert run(["query", sql, str(shop), "-o", str(out), "--force"]) == 1
    assert out.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.parquet", "shop.rec"]


def test_sql_comes_from_a_file_or_standard_input(shop, tmp_path, capsys, monkeypatch):
    file = tmp_path / "q.sql"
    file.write_text("SELECT 23 AS n")
    assert run(["query", "--file", str(file), str(shop), "--format", "csv"]) == 0
    assert capsys.readouterr().out == "n\n23\n"
    with file.open() as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        assert run(["query", "-", str(shop), "--format", "csv"]) == 0
    assert capsys.readouterr().out == "n\n23\n"


def test_rows_beyond_the_limit_are_counted(shop, capsys):
    assert run(["query", "FROM range(23)", str(shop), "--rows", "5"]) == 0
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 7
    assert "23 rows, of which 5 are shown: `--rows 0` shows all" in err


def test_losses_are_told_beside_the_answer(ask, tmp_path, capsys):
    losses = [{"kind": "ring_full", "place": "events", "count": 23}]
    rec = make_recording(tmp_path / "lossy.rec", losses=losses)
    assert run(["query", "FROM files", str(rec)]) == 0
    assert "lost 23 events" in capsys.readouterr().err


def test_damage_is_found_before_it_is_read(ask, shop):
    file = shop / "files-00000.parquet"
    data = bytearray(file.read_bytes())
    data[100] ^= 1
    file.write_bytes(data)
    code, said = ask("SELECT count(*) FROM files", shop)
    assert (code, "sha256 differs" in said) == (1, True)
    assert ask("SELECT count(*) > 0 AS y FROM network", shop) == (0, [{"y": True}])


def test_without_duckdb_it_says_what_to_install(ask, shop, monkeypatch):
    monkeypatch.setitem(sys.modules, "duckdb", None)
    code, said = ask("SELECT 1", shop)
    assert (code, "ethogram[query]" in said) == (3, True)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "there is no query"),
        (["SELECT 1"], "names no recording"),
        (["SELECT 1", "missing.rec"], "there is no `missing.rec`"),
    ],
)
def test_what_is_missing_is_said(ask, capsys, words, said):
    assert run(["query", *words]) == 2
    assert said in capsys.readouterr().err


def test_views_are_listed_with_their_columns(capsys):
    assert run(["query", "--views", "--format", "json"]) == 0
    views = {one["name"] for one in json.loads(capsys.readouterr().out)["views"]}
    assert views == {"recordings", "findings", "events", *VIEWS}
    assert run(["query", "--views"]) == 0
    assert "ancestor_exec_id" in capsys.readouterr().out


def test_a_reader_who_leaves_is_no_error_of_the_query(shop):
    reader, writer = os.pipe()
    os.close(reader)
    command = "from ethogram.cli import main; main()"
    words = [sys.executable, "-c", command, "query", "FROM range(100000)", str(shop)]
    with os.fdopen(writer, "wb") as gone:
        done = subprocess.run(
            [*words, "--format", "json"], stdout=gone, stderr=subprocess.PIPE, check=False
        )
    assert (done.returncode, done.stderr) == (141, b"")
