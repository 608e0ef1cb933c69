"""Recordings that go to an S3-compatible server: whole, cut off, refused, and sent later."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from ethogram.contracts.manifest import Manifest
from ethogram.contracts.recording import Recording
from ethogram.contracts.remote import RecordingUrl, Remote
from tests.e2e.command_line import ethogram, running
from tests.e2e.s3_server import Gate, s3_gate

pytestmark = pytest.mark.e2e

# It ends when nobody reads what it writes, also after a killed recorder.
LOOP = ("sh", "-c", "while cat /etc/hostname; do :; done")
QUICK = ("--window", "100ms", "--rotate-every", "1s", "--send-wait", "2s")


@pytest.fixture(scope="module")
def server() -> Iterator[Gate]:
    with s3_gate() as gate:
        yield gate


@pytest.fixture
def gate(server: Gate, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    server.refusing, server.is_down = None, False
    server.refused.clear()
    server.puts.clear()
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
    yield server
    server.refusing, server.is_down = None, False


@pytest.fixture
def url(request: pytest.FixtureRequest) -> str:
    return f"s3://shelf/{request.node.name.partition('[')[0]}{abs(hash(request.node.name))}"


def manifest_of(spool: Path) -> Manifest:
    return Manifest.model_validate(json.loads((spool / "manifest.json").read_text()))


def assert_whole(url: str) -> Recording:
    """Check that what is at *url* is a recording without a hole."""
    recording = Recording.open(url)
    recording.verify()
    windows = sorted(recording.table("windows").column("window").to_pylist())
    assert windows == list(range(len(windows)))
    assert recording.manifest.windows == len(windows)
    return recording


def test_a_recording_goes_to_a_url_and_is_read_from_there(
    gate: Gate, url: str, tmp_path: Path
) -> None:
    spool = tmp_path / "spool"
    done = ethogram(
        "record", *QUICK, "-o", url, "--spool", spool, "--", "sh", "-c", "cat /dev/null"
    )
    assert done.returncode == 0, done.stderr
    assert f"recorded `{url}`" in done.stderr
    assert not spool.exists()
    recording = assert_whole(url)
    assert recording.manifest.clean_end
    assert recording.manifest.sent is None
    assert "test-secret-key" not in recording.manifest.to_json().decode()
    assert "cat" in ethogram("show", url).stdout
    assert ethogram("learn", "--allow", "thin", url, "-o", tmp_path / "b").returncode == 0
    summary = tmp_path / "s.summary.parquet"
    assert ethogram("summarize", url, "-o", summary).returncode == 0

    refused = ethogram("record", "-o", url, "--spool", spool, "--", "true")
    assert refused.returncode == 2
    assert f"`{url}` holds a recording" in refused.stderr
    assert not spool.exists()
    again = ethogram("record", "--force", "-o", url, "--spool", spool, "--", "true")
    assert again.returncode == 0, again.stderr
    assert assert_whole(url).manifest.recording_id != recording.manifest.recording_id


def test_a_killed_recorder_leaves_what_was_uploaded_and_a_spool_with_the_rest(
    gate: Gate, url: str, tmp_path: Path
) -> None:
    spool = tmp_path / "spool"
    words = ["record", *QUICK, "-o", url, "--spool", str(spool), "--", *LOOP]
    with running(*words, ready=tmp_path / "ready") as process:
        gate.wait_for_put(r"windows-00001\.parquet")
        process.kill()
        process.wait()
    before = assert_whole(url)
    assert (before.manifest.ended, before.manifest.clean_end) == (None, False)
    assert ethogram("show", url).returncode == 0
    sent = ethogram("send", spool)
    assert sent.returncode == 0, sent.stderr
    assert not spool.exists()
    after = assert_whole(url)
    assert after.manifest.windows >= before.manifest.windows
    assert (after.manifest.ended, after.manifest.clean_end) == (None, False)


@pytest.mark.parametrize("status", [403, 503])
def test_a_store_that_refuses_to_the_end_leaves_the_spool(
    gate: Gate, url: str, status: int, tmp_path: Path
) -> None:
    spool = tmp_path / "spool"
    words = ["record", *QUICK, "-o", url, "--spool", str(spool), "--", *LOOP]
    with running(*words, ready=tmp_path / "ready") as process:
        gate.wait_for_put("manifest.json$")
        gate.refusing = status
        assert gate.refused.wait(60)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 4, said
    assert re.search(rf"error: `{url}` did not take all: \d+ files? waits? in `{spool}`", said)
    assert f"hint: `ethogram send {spool}` uploads the rest" in said
    assert manifest_of(spool).clean_end
    assert Recording.open(spool).table("windows").num_rows

    again = ethogram("send", "--send-wait", "1s", spool)
    assert again.returncode in (1, 4), again.stderr
    assert spool.exists()
    gate.refusing = None
    sent = ethogram("send", spool)
    assert sent.returncode == 0, sent.stderr
    assert f"`{spool}` is deleted" in sent.stderr
    assert not spool.exists()
    assert assert_whole(url).manifest.clean_end


def test_a_store_that_comes_back_gets_everything(gate: Gate, url: str, tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    words = ["record", *QUICK, "-o", url, "--spool", str(spool), "--", *LOOP]
    with running(*words, ready=tmp_path / "ready") as process:
        gate.wait_for_put(r"windows-00000\.parquet")
        gate.is_down = True
        gate.refused.clear()
        assert gate.refused.wait(60)
        windows = manifest_of(spool).windows
        while manifest_of(spool).windows < windows + 5:  # it goes on recording
            assert process.stdout is not None
            assert process.stdout.readline()
        gate.is_down = False
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=90)
    assert (process.returncode, "nothing lost" in said) == (0, True), said
    assert not spool.exists()
    assert assert_whole(url).manifest.clean_end


def test_old_windows_are_deleted_at_the_url_too(gate: Gate, url: str, tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    words = ["record", *QUICK, "--retain", "2s", "-o", url, "--spool", str(spool), "--", *LOOP]
    with running(*words, ready=tmp_path / "ready") as process:
        assert process.stdout is not None
        while manifest_of(spool).dropped is None:
            assert process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=90)
    assert process.returncode == 0, said
    recording = Recording.open(url)
    recording.verify()
    assert recording.manifest.dropped is not None
    listed = {file.path for file in recording.manifest.files} | {"manifest.json"}
    assert set(Remote(RecordingUrl(url)).sizes()) == listed


@pytest.mark.parametrize(
    ("place", "cause"),
    [
        ("s3://no-such-bucket/rec", "no-such-bucket"),
        ("moon://x/rec", "nothing here reads or writes `moon` URLs"),
        ("gs://x/rec", "the library for `gs` URLs is not installed"),
    ],
)
def test_a_url_that_cannot_be_written_is_refused_before_recording(
    gate: Gate, place: str, cause: str, tmp_path: Path
) -> None:
    done = ethogram("record", "-o", place, "--spool", tmp_path / "s", "--", "touch", tmp_path / "x")
    assert done.returncode in (2, 3), done.stderr
    assert cause in done.stderr
    assert "internal error" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_store_without_credentials_or_network_is_said(gate: Gate, tmp_path: Path) -> None:
    environment = {**os.environ, "AWS_ENDPOINT_URL": "http://127.0.0.1:9"}
    done = ethogram("show", "s3://shelf/rec", env=environment)
    assert (done.returncode, "cannot be used" in done.stderr) == (1, True), done.stderr
    bare = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}
    bare |= {"AWS_EC2_METADATA_DISABLED": "true", "HOME": str(tmp_path)}
    bare["AWS_ENDPOINT_URL"] = gate.url
    done = ethogram("show", "s3://shelf/rec", env=bare)
    assert done.returncode == 1
    assert "internal error" not in done.stderr
