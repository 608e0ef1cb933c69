"""The whole way: findings of a watch, its spool, the sender process, and a receiver."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import pytest

from detector.sinks.outbox import Outbox
from detector.sinks.process import WAKE
from ethogram.errors import UsageError
from profiler import privileges
from tests.e2e.receivers import Receiver, http_receiver, until
from tests.sinks import SENDER, make_finding

pytestmark = pytest.mark.e2e

# A watch of its own, which adds findings and then waits to be killed.
_WATCH = """
import sys
from pathlib import Path
from detector.sinks.outbox import Outbox
from tests.sinks import SENDER, make_finding
outbox = Outbox([sys.argv[1]], sender=SENDER, root=Path(sys.argv[2]), patience_s=1)
for number in range(int(sys.argv[3]), int(sys.argv[4])):
    outbox.take(make_finding(number))
print(outbox._process.pid, flush=True)
sys.stdin.read()
"""


@contextmanager
def outbox(url: str, root: Path, patience_s: float = 20) -> Iterator[Outbox]:
    one = Outbox([url], sender=SENDER, root=root, patience_s=patience_s)
    try:
        yield one
    finally:
        one.close()


def is_over(status: Path) -> bool:
    try:
        return "Z (zombie)" in status.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True


def numbers(receiver: Receiver) -> list[int]:
    return [
        int(finding["process"]["argv"][-1].split()[-1])
        for post in receiver.posts
        for finding in post.json
    ]


def test_a_sink_that_is_down_loses_nothing_and_the_watch_does_not_wait(tmp_path: Path) -> None:
    with http_receiver() as receiver:
        port = receiver.port
    url = f"webhook+http://127.0.0.1:{port}/"
    with outbox(url, tmp_path) as sending:
        until(lambda: sending.take(make_finding(0)) or sending.standing()[0].state == "retrying")
        assert sending.standing()[0].error == "connection refused"
        first = sending.standing()[0].waiting_bytes
        began = time.process_time()
        for number in range(1, 2000):
            sending.take(make_finding(number))
        took_s = time.process_time() - began
        assert sending.standing()[0].waiting_bytes > first
        with http_receiver(port=port) as receiver:
            last = sending.close()[0]
    got = numbers(receiver)
    assert sorted(set(got)) == list(range(2000))
    assert got[got.index(1) :] == list(range(1, 2000))
    assert (last.dropped, last.waiting_bytes) == (0, 0)
    assert took_s < 5  # of this process' own time; nothing in it waits


def test_a_watch_that_is_killed_leaves_what_waits_to_the_next(tmp_path: Path) -> None:
    with http_receiver() as receiver:
        url = f"webhook+http://127.0.0.1:{receiver.port}/"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    for first in (0, 100):
        words = [
            sys.executable,
            "-P",
            "-c",
            _WATCH,
            url,
            str(tmp_path),
            str(first),
            str(first + 100),
        ]
        with subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
        ) as watch:
            assert watch.stdout is not None
            sender = int(watch.stdout.readline())
            watch.kill()
        until(partial(is_over, Path(f"/proc/{sender}/status")))
    with http_receiver(port=receiver.port) as again, outbox(url, tmp_path) as sending:
        sending.take(make_finding(200))
        again.wait_for(3)
        sending.close()
    assert numbers(again) == list(range(201))


def test_a_sender_that_is_killed_is_started_again(tmp_path: Path) -> None:
    with http_receiver() as receiver:
        url = f"webhook+http://127.0.0.1:{receiver.port}/"
        with outbox(url, tmp_path) as sending:
            sending.take(make_finding(1))
            receiver.wait_for(1)
            assert sending._process is not None
            os.kill(sending._process.pid, signal.SIGKILL)
            sending._process.wait()
            sending.take(make_finding(2))
            assert sending.standing()[0].state == "ok"
            receiver.wait_for(2)
            sending.close()
    assert sorted(set(numbers(receiver))) == [1, 2]


def test_a_sender_that_was_stopped_is_not_waited_for_without_end(tmp_path: Path) -> None:
    with outbox(f"file:{tmp_path}/findings.jsonl", tmp_path / "spool", patience_s=-4.9) as sending:
        process = sending._process
        assert process is not None
        assert process.stdin is not None
        os.kill(process.pid, signal.SIGSTOP)
        with suppress(BlockingIOError):
            while True:
                os.write(process.stdin.fileno(), WAKE * 4096)
        sending.close()
        assert process.poll() == -signal.SIGKILL


def test_a_file_that_a_sink_needs_may_come_later(tmp_path: Path) -> None:
    place = tmp_path / "later"
    place.mkdir()
    url = f"file:{place}/findings.jsonl"
    with outbox(url, tmp_path / "spool") as sending:
        assert sending._process is not None
        sending._process.kill()
        sending._process.wait()
        place.rmdir()
        sending.take(make_finding(1))
        until(lambda: sending.standing()[0].state == "retrying")
        assert "there is no directory" in str(sending.standing()[0].error)
        place.mkdir()
        sending.close()
    assert len((place / "findings.jsonl").read_text().splitlines()) == 1


def test_one_sink_that_hangs_does_not_hold_up_another(tmp_path: Path) -> None:
    with socket.socket() as silent, http_receiver() as receiver:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        urls = [
            f"webhook+http://127.0.0.1:{silent.getsockname()[1]}/",
            f"webhook+http://127.0.0.1:{receiver.port}/",
        ]
        sending = Outbox(urls, sender=SENDER, root=tmp_path, patience_s=0.2)
        sending.take(make_finding(1))
        receiver.wait_for(1)
        hung, served = sending.close()
    assert hung.waiting_bytes > 0
    assert (served.sent, served.waiting_bytes) == (1, 0)


def test_a_sink_gets_only_what_is_grave_enough(tmp_path: Path) -> None:
    with http_receiver() as receiver:
        url = f"webhook+http://127.0.0.1:{receiver.port}/#severity=high"
        with outbox(url, tmp_path) as sending:
            for severity in ("low", "medium", "high", "critical"):
                sending.take(make_finding(severity=severity))
    assert [one["severity"] for post in receiver.posts for one in post.json] == ["high", "critical"]


def test_the_sender_has_no_capability_and_no_secret_on_its_command_line(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("s3cr3t")
    with http_receiver() as receiver:
        url = f"webhook+http://127.0.0.1:{receiver.port}/#token-file={tmp_path}/token"
        with outbox(url, tmp_path / "spool") as sending:
            sending.take(make_finding(1))
            receiver.wait_for(1)
            assert sending._process is not None
            process = Path(f"/proc/{sending._process.pid}")
            status = (process / "status").read_text()
            assert "CapPrm:\t0000000000000000" in status
            assert "NoNewPrivs:\t1" in status
            assert "s3cr3t" not in (process / "cmdline").read_text()
    assert receiver.posts[0].headers["Authorization"] == "Bearer s3cr3t"
    kept = [path for path in (tmp_path / "spool").rglob("*") if path.is_file()]
    assert kept
    assert not any(b"s3cr3t" in path.read_bytes() for path in kept)
    assert privileges.missing(["CAP_SYS_ADMIN"]) == []  # of the watch, before it attaches


def test_two_watches_do_not_share_a_spool(tmp_path: Path) -> None:
    url = f"file:{tmp_path}/f"
    with outbox(url, tmp_path / "spool"):
        with pytest.raises(UsageError, match="another watch writes to the spool"):
            Outbox([url], sender=SENDER, root=tmp_path / "spool", patience_s=1)
        with pytest.raises(UsageError, match="one sink is named twice"):
            Outbox([url, f"{url}#keep=2"], sender=SENDER, root=tmp_path / "other", patience_s=1)
