"""`ethogram tree`: what is drawn of whom, and what is only counted."""

import json

import pytest

from ethogram.cli.run import run
from tests.recordings import START_NS, make_recording

pytestmark = pytest.mark.unit

SECOND = 10**9
HOST = "5f2d0c9a"


def process(name, parent=None, *, at=0, **columns):
    """A process; the names of all begin with what stands for host and boot."""
    return {
        "exec_id": HOST + name,
        "parent_exec_id": parent and HOST + parent,
        "argv": [name.encode()],
        "start": START_NS + at * SECOND,
        "exe": 1,
        **columns,
    }


def opened_file(path, *, at=0, **columns):
    time = START_NS + at * SECOND
    return {"path": path, "access": 1, "exe": 1, "calls": 1, "first": time, "last": time, **columns}


@pytest.fixture
def draw(tmp_path, capsys):
    """Record *tables*, run `tree --format json` with *words*; return its processes."""

    def drawn(*words, **tables):
        rec = make_recording(
            tmp_path / "r.rec",
            workloads=[{"workload": 0, "namespace": "shop", "kind": "Deployment", "name": "web",
                        "container": "nginx"}],
            instances=[{"instance": 0, "workload": 0, "runtime_id": "66860a39"}],
            executables=[{"exe": 1, "path": b"/bin/x"}, {"exe": 2, "path": b"/bin/y"}],
            **tables,
        )  # fmt: skip
        assert run(["tree", *words, str(rec), "--format", "json"]) == 0
        return json.loads(capsys.readouterr().out)

    return drawn


def outline(document):
    return [(one["depth"], one["exec_id"].removeprefix(HOST)) for one in document["processes"]]


def test_a_process_is_drawn_with_all_below_and_the_way_up(draw):
    rows = [process("a"), process("b", "a", at=1), process("c", "b", at=2), process("d", "b", at=3),
            process("aside", "a", at=4)]  # fmt: skip
    document = draw("b", processes=rows)
    assert outline(document) == [(0, "a"), (1, "b"), (2, "c"), (2, "d")]
    assert [one["is_asked"] for one in document["processes"]] == [False, True, False, False]


@pytest.mark.parametrize(
    "words",
    [["--container", "6686"], ["--workload", "web"], ["--workload", "shop/Deployment/web"]],
)
def test_a_container_is_drawn_whole(draw, words):
    assert outline(draw(*words, processes=[process("a", "runc"), process("b", "a", at=1)])) == [
        (0, "a"), (1, "b"),
    ]  # fmt: skip


def test_a_cycle_is_drawn_once(draw):
    rows = [process("a", "c"), process("b", "a", at=1), process("c", "b", at=2)]
    assert outline(draw("--workload", "web", processes=rows)) == [(0, "a"), (1, "b"), (2, "c")]


def test_an_exec_of_the_same_process_is_told_from_another_with_its_pid(draw):
    rows = [
        process("p"),
        process("a", "p", at=1, tgid=7),
        process("b", "p", at=2, tgid=7, exit_code=0, end=START_NS + 3 * SECOND),
        process("c", "q", at=4, tgid=9, exit_code=0, end=START_NS + 5 * SECOND),
        process("d", "q", at=6, tgid=9),
    ]
    document = draw("--workload", "web", processes=rows)
    again = {one["exec_id"][-1]: one["executed_again"] for one in document["processes"]}
    assert again == {"p": False, "a": False, "b": True, "c": False, "d": False}


def test_files_are_those_of_its_executable_in_its_time(draw):
    end = START_NS + 5 * SECOND
    rows = [process("a", end=end), process("b", "a", at=4, end=end), process("c", "a", at=1, exe=2)]
    files = [
        opened_file(b"/early", at=1),
        opened_file(b"/both", at=4),
        opened_file(b"/late", at=6),
        opened_file(b"/other", at=2, exe=2),
    ]
    document = draw("--workload", "web", processes=rows, files=files)
    told = {
        one["exec_id"][-1]: [(file["path"], file["shared"]) for file in one["files"]]
        for one in document["processes"]
    }
    assert told == {"a": [("/early", 1), ("/both", 2)], "b": [("/both", 2)], "c": [("/other", 1)]}


def test_what_is_beyond_the_bounds_is_counted(draw):
    rows = [process("a"), process("b", "a", at=1), process("c", "a", at=2)]
    files = [opened_file(f"/{number}".encode()) for number in range(23)]
    document = draw("--workload", "web", "--files", "3", "--processes", "2", processes=rows,
                    files=files)  # fmt: skip
    assert (len(document["processes"]), document["more_processes"]) == (2, 1)
    first = document["processes"][0]
    assert (len(first["files"]), first["more_files"]) == (3, 20)


def test_a_deep_chain_is_drawn(draw):
    rows = [process("n000"), *(process(f"n{n:03}", f"n{n - 1:03}", at=n) for n in range(1, 150))]
    assert outline(draw("n149", processes=rows))[-1] == (149, "n149")


def test_text_of_workloads_cannot_draw(tmp_path, capsys):
    rec = make_recording(
        tmp_path / "h.rec",
        processes=[process("a", argv=[b"\x1b[2J\n\xff"], exit_code=3)],
        files=[opened_file(b"/\x1b]0;x\x07\xe2\x80\xae")],
        executables=[{"exe": 1, "path": b"/\x1bq"}],
    )
    assert run(["tree", "a", str(rec)]) == 0
    out = capsys.readouterr().out
    assert all(character.isprintable() or character == "\n" for character in out)
    assert r"\x1b[2J\x0a\xff" in out
    assert "exit 3" in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nothing"], "no process `nothing` was recorded"),
        (["5f2d"], "may be any of several"),
        (["--container", "x"], "no container `x` was recorded"),
        (["--pod", "shop/x"], "no pod `shop/x` was recorded"),
        (["--workload", "x", "--pod", "y"], "exclude each other"),
        ([], "needs a process and a recording"),
    ],
)
def test_what_is_not_there_or_not_clear_is_said(tmp_path, capsys, words, said):
    rec = make_recording(tmp_path / "r.rec", processes=[process("a"), process("b")])
    assert run(["tree", *words, str(rec)]) == 2
    assert said in capsys.readouterr().err
