"""`ethogram show` tells what it was given apart, and says what is in it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ethogram.cli.behaviour import behaviours, losses_of, title_of, words_of
from ethogram.cli.completeness import Completeness
from ethogram.cli.run import run
from ethogram.contracts.keys import workload_key
from ethogram.contracts.recording import Recording
from learner.summary import summarize
from tests.recordings import make_recording, shop_recording

pytestmark = pytest.mark.unit


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shop_recording(tmp_path_factory.mktemp("shop") / "shop")


def test_a_recording_is_shown_by_workload(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["show", str(shop)]) == 0
    captured = capsys.readouterr()
    assert "staging/shop-staging/Deployment/checkout (nginx)\n  2 instances;" in captured.out
    assert "/usr/sbin/nginx" in captured.out
    words = " ".join(captured.out.split())
    assert "tcp from Deployment shop-staging/loadgen to :80" in words
    assert "tcp to StatefulSet shop-staging/redis:6379" in words
    assert captured.out.endswith("nothing lost\n")
    assert captured.err == f"\nnext: `ethogram learn {shop} -o baselines --allow thin`\n"


def test_what_the_runtime_alone_did_is_counted_and_not_named(
    shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["show", str(shop)]) == 0
    printed = capsys.readouterr().out
    assert "operations     1  1 by the runtime alone\n" in printed
    assert "mount" not in printed


def test_no_line_ends_in_spaces(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["show", str(shop)]) == 0
    printed = capsys.readouterr().out
    assert [line for line in printed.splitlines() if line != line.rstrip()] == []


def test_json_names_its_schema_and_has_everything(
    shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["show", str(shop), "--format", "json"]) == 0
    captured = capsys.readouterr()
    document = json.loads(captured.out)
    assert (document["schema"], document["kind"]) == ("ethogram.show/1", "recording")
    found = behaviours(summarize(Recording.open(shop)))
    assert document["workloads"] == json.loads(json.dumps([b.document() for b in found]))
    assert document["losses"] == []
    assert captured.err == ""


def test_a_summary_shows_the_workloads_of_its_recordings(
    shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    summary = tmp_path / "shop.summary.parquet"
    assert run(["summarize", str(shop), "-o", str(summary)]) == 0
    assert run(["show", str(shop), "--format", "json"]) == 0
    of_recording = json.loads(capsys.readouterr().out)["workloads"]
    assert run(["show", str(summary), "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["workloads"] == of_recording


def test_merging_a_summary_with_itself_changes_nothing(shop: Path, tmp_path: Path) -> None:
    one, two = tmp_path / "one.summary.parquet", tmp_path / "two.summary.parquet"
    assert run(["summarize", str(shop), "-o", str(one)]) == 0
    assert run(["merge", str(one), str(one), "-o", str(two)]) == 0
    assert one.read_bytes() == two.read_bytes()


def test_a_summary_is_not_replaced_unasked(
    shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    summary = tmp_path / "x.summary.parquet"
    summary.write_text("mine")
    assert run(["summarize", str(shop), "-o", str(summary)]) == 2
    assert summary.read_text() == "mine"
    assert "pass `--force`" in capsys.readouterr().err
    assert run(["summarize", str(shop), "-o", str(summary), "--force"]) == 0


def test_losses_and_a_missing_end_are_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = make_recording(
        tmp_path / "r",
        is_closed=False,
        losses=[{"window": 0, "kind": "ring_full", "place": "events\x1b", "count": 23}],
    )
    assert run(["show", str(path)]) == 0
    printed = capsys.readouterr().out
    assert "lost: 23 events, ring_full in events\\x1b\n" in printed
    assert "nothing lost" not in printed
    assert "the recording has no end yet" in printed
    assert losses_of(summarize(Recording.open(path))) == {("ring_full", "events\x1b"): 23}


def test_a_loss_says_whose_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    losses = [
        {"window": 0, "workload": whose, "kind": "quota", "place": "files", "count": number}
        for whose, number in ((1, 20), (1, 3), (None, 7))
    ]
    workloads = [{"workload": 1, "namespace": "shop", "kind": "Pod", "name": "cart-0",
                  "container": "cart", "container_kind": "main"}]  # fmt: skip
    path = make_recording(tmp_path / "r", losses=losses, workloads=workloads)
    assert run(["show", str(path)]) == 0
    printed = capsys.readouterr().out
    assert "lost: 23 events, quota in files, of `shop/Pod/cart-0 (cart)`\n" in printed
    assert "lost: 7 events, quota in files\n" in printed
    assert run(["show", str(path), "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)["losses"]
    assert [(loss["workload"], loss["count"]) for loss in found] == [
        ("shop/Pod/cart-0 (cart)", 23), (None, 7),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("dimension", "arch", "key", "words"),
    [
        ("syscalls", "x86_64", b"257", "openat"),
        ("syscalls", "i386", b"5", "open (i386)"),
        ("syscalls", "x86_64", b"9999", "9999"),
        ("syscalls", "x86_64", b"not a number", "not a number"),
        ("syscalls", "nonsense", b"9999", "9999"),
        ("execs", None, b'["/bin/\\\\x1b[2J",false]', "/bin/\\x1b[2J"),
        ("execs", None, b'["/bin/\\u001b[2J",false]', "/bin/\\x1b[2J"),
        ("execs", None, b'["/tmp/x",true]', "/tmp/x (not from the image)"),
        ("execs", None, b"/bin/of-old\x1b", "/bin/of-old\\x1b"),
        ("files", None, b'["/a\\\\xff","rw"]', "/a\\xff rw"),
        ("files", None, b'["/a\\u001b","r"]', "/a\\x1b r"),
        ("files", None, b"[1,2,3]", "[1,2,3]"),
        ("files", None, b"[" * 10_000, "[" * 10_000),
        (
            "peers",
            None,
            b'["out","tcp","10.0.0.2",6379,"redis",null]',
            "tcp to 10.0.0.2:6379 (redis)",
        ),
        ("peers", None, b'["out","udp","fd00::1",53,null,null]', "udp to [fd00::1]:53"),
        ("peers", None, b'["in","tcp","10.0.0.2",null,null,null]', "tcp from 10.0.0.2"),
        ("peers", None, b'["in","tcp","10.0.0.2",80,null,null]', "tcp from 10.0.0.2 to :80"),
        ("peers", None, b'["out","unix","/run/a:b",null,null,null]', "unix to /run/a:b"),
        (
            "peers",
            None,
            b'["out","tcp","10.0.0.2",6379,null]',
            '["out","tcp","10.0.0.2",6379,null]',
        ),
        ("listens", None, b'["tcp","0.0.0.0",80]', "tcp 0.0.0.0:80"),
        ("operations", None, b'["mount","/proc"]', "mount /proc"),
        ("operations", None, b'["unshare",null]', "unshare"),
        ("errors", "x86_64", b"[257,2]", "openat: ENOENT"),
        ("denied", "x86_64", b'[257,"errno",1]', "openat: errno EPERM"),
        ("denied", "x86_64", b'[257,"kill",null]', "openat: kill"),
        (
            "quarantine",
            None,
            b'["files","[\\"/etc/shadow\\",\\"r\\"]",["sensitive_file"]]',
            "/etc/shadow r (sensitive_file)",
        ),
        ("quarantine", None, b"{}", "{}"),
    ],
)
def test_a_key_is_said_in_words(dimension: str, arch: str | None, key: bytes, words: str) -> None:
    assert words_of(dimension, arch, key) == words


@pytest.mark.parametrize(
    ("direction", "address", "port", "who", "words"),
    [
        ("out", "", 6379, {"kind": "pod", "owner": "Deployment"}, "to Deployment shop/it:6379"),
        ("in", "", 80, {"kind": "pod", "owner": "Pod"}, "from Pod shop/it to :80"),
        ("out", "", 6379, {"kind": "service"}, "to service shop/it:6379"),
        ("out", "", 53, {"kind": "dns"}, "to resolver shop/it:53"),
        ("out", "10.96.0.1", 443, {"kind": "apiserver"}, "to the API server:443"),
        ("in", "192.0.2.1", 80, {"kind": "node", "namespace": None}, "from node it to :80"),
        ("out", "fd00::9", 5432, {"kind": "external"}, "to shop/it at [fd00::9]:5432"),
    ],
)
def test_a_peer_is_said_by_what_it_is(
    direction: str, address: str, port: int, who: dict[str, str | None], words: str
) -> None:
    identity = {"namespace": "shop", "name": "it"} | who
    key = json.dumps([direction, "tcp", address, port, None, identity]).encode()
    assert words_of("peers", None, key) == f"tcp {words}"


def test_a_workload_is_named_as_people_say_it() -> None:
    def key(container: str | None, kind: str | None = None) -> str:
        return workload_key(
            None, "shop", "Deployment", "checkout", container, None, container_kind=kind
        )

    assert title_of(key("nginx")) == "shop/Deployment/checkout (nginx)"
    assert title_of(key("wait", "init")) == "shop/Deployment/checkout (wait, init)"
    assert title_of(key(None)) == "shop/Deployment/checkout"
    assert title_of("not a key\x1b") == "not a key\\x1b"


@pytest.mark.parametrize(
    ("name", "content", "code", "cause"),
    [
        ("missing", None, 2, "there is no `"),
        ("notes.txt", b"hello", 1, "is no recording, summary or baseline"),
        ("x.summary.parquet", b"PAR1 cut short", 1, "x.summary.parquet"),
        ("x.baseline.yaml", b"schema: other/1\n", 5, "is not a baseline"),
    ],
)
def test_what_is_foreign_is_refused_by_name(
    name: str,
    content: bytes | None,
    code: int,
    cause: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    assert run(["show", str(path)]) == code
    printed = capsys.readouterr().err
    assert printed.startswith("error: ")
    assert cause in printed
    assert "internal error" not in printed


def test_an_empty_directory_is_neither(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["show", str(tmp_path)]) == 1
    assert "neither a recording nor a directory of baselines" in capsys.readouterr().err


def test_a_manifest_of_a_newer_version_is_refused(
    shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "manifest.json").write_text('{"schema": "ethogram.recording/2"}')
    assert run(["show", str(tmp_path)]) == 1
    assert "newer" in capsys.readouterr().err


def test_a_recording_of_nothing_is_nothing_to_learn_from(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["show", str(make_recording(tmp_path / "idle"))]) == 0
    captured = capsys.readouterr()
    assert "no workload was seen" in captured.out
    assert captured.err == ""


def test_the_screen_says_which_windows_are_incomplete() -> None:
    found = Completeness(
        states={"complete": 3, "incomplete": 1}, losses={}, missing=(), is_truncated=False,
        ended=True,
    )  # fmt: skip
    assert (
        next(found.lines()) == "coverage: 3 complete, 1 incomplete, by window, instance and phase"
    )


def test_what_was_left_out_of_a_baseline_is_shown(
    shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "baselines"
    words = [
        "learn",
        "--allow",
        "thin",
        "--no-model",
        str(shop),
        "-o",
        str(place),
        "--without",
        "execs:/usr/bin/ls",
    ]
    assert run(words) == 0
    capsys.readouterr()
    assert run(["show", str(place / "shop-staging.Deployment-checkout.nginx.baseline.yaml")]) == 0
    assert "withheld: 1 rule, `--without` 1\n    execs: /usr/bin/ls\n" in capsys.readouterr().out
