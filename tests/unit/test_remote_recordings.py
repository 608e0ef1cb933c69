"""Recordings below a URL: what is read is what is on disk, and what is wrong is said by name."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from ethogram.cli.run import run
from ethogram.contracts.recording import Recording
from ethogram.contracts.remote import RecordingUrl, Remote, location_of
from ethogram.contracts.tables import TABLES
from ethogram.errors import EthogramError, RecordingError, UsageError
from tests.recordings import shop_recording

pytestmark = pytest.mark.unit

URL = "memory://shelf/shop"


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shop_recording(tmp_path_factory.mktemp("shop") / "rec")


@pytest.fixture
def memory(local: Path) -> Iterator[fsspec.AbstractFileSystem]:
    filesystem = fsspec.filesystem("memory")
    filesystem.store.clear()
    for path in local.iterdir():
        filesystem.pipe(f"/shelf/shop/{path.name}", path.read_bytes())
    yield filesystem
    filesystem.store.clear()


def test_a_remote_recording_is_the_same_as_the_one_on_disk(local, memory):
    remote, disk = Recording.open(URL), Recording.open(local)
    assert remote.manifest == disk.manifest
    for name in TABLES:
        assert remote.table(name).equals(disk.table(name))
    remote.verify()


@pytest.mark.parametrize("command", ["show", "summarize", "learn"])
def test_commands_give_the_same_for_a_url_as_for_a_directory(
    local, memory, command, tmp_path, capsys
):
    printed, written = [], []
    for place in (str(local), URL, f"file://{local}"):
        out = tmp_path / f"out{len(printed)}"
        out.mkdir()
        file = {"show": [], "summarize": ["-o", str(out / "s.summary.parquet")],
                "learn": ["--allow", "thin", "-o", str(out)]}[command]  # fmt: skip
        assert run([command, place, *file]) == 0
        printed.append(capsys.readouterr().out.replace(str(out), "OUT"))
        written.append({path.name: path.read_bytes() for path in out.iterdir()})
    assert printed[0] == printed[1] == printed[2]
    assert written[0] == written[1] == written[2]


def refusal(url: str) -> EthogramError:
    with pytest.raises(EthogramError) as raised:
        Recording.open(url).verify()
    return raised.value


def test_what_is_not_there_is_no_recording(memory):
    assert "`memory://shelf/other` is no recording" in refusal("memory://shelf/other").message


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        (lambda fs: fs.rm("/shelf/shop/files-00000.parquet"), "is missing: the manifest lists it"),
        (lambda fs: fs.pipe("/shelf/shop/files-00000.parquet", b"PAR1"), "has 4 bytes"),
        (lambda fs: fs.pipe("/shelf/shop/manifest.json", b"{"), "is no JSON"),
        (lambda fs: fs.pipe("/shelf/shop/manifest.json", b"x" * (17 << 20)), "is longer than"),
        (lambda fs: fs.pipe("/shelf/shop/manifest.json", b"{}"), "is no manifest of a recording"),
    ],
)
def test_damage_is_refused_by_name(memory, change, cause):
    change(memory)
    error = refusal(URL)
    assert isinstance(error, RecordingError)
    assert cause in error.message
    assert URL in error.message


def test_bytes_that_changed_are_found(memory):
    data = bytearray(memory.cat("/shelf/shop/files-00000.parquet"))
    data[len(data) // 2] ^= 1
    memory.pipe("/shelf/shop/files-00000.parquet", bytes(data))
    assert "its sha256 differs" in refusal(URL).message


def test_a_manifest_that_points_elsewhere_is_refused(memory):
    document = json.loads(memory.cat("/shelf/shop/manifest.json"))
    document["files"][0]["path"] = "../secret.parquet"
    memory.pipe("/shelf/shop/manifest.json", json.dumps(document).encode())
    assert "field `files.0.path`" in refusal(URL).message


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("moon://bucket/rec", "nothing here reads or writes `moon` URLs"),
        ("gs://bucket/rec", "the library for `gs` URLs is not installed"),
        ("s3://", "names no place"),
        ("s3:///", "names no place"),
        ("file://relative", "is no absolute path"),
        ("simplecache::s3://bucket/rec", "is chained"),
        ("s3://bucket/a\x1bb", "odd characters"),
        ("s3://" + "x" * 2000, "odd characters"),
    ],
)
def test_a_url_that_cannot_be_is_refused_by_every_command(text, said, tmp_path, capsys):
    for words in (["show", text], ["summarize", text, "-o", str(tmp_path / "x.summary.parquet")],
                  ["learn", "--allow", "thin", text, "-o", str(tmp_path / "b")]):  # fmt: skip
        assert run(words) in (1, 2)
        captured = capsys.readouterr().err
        assert said in captured
        assert "\x1b" not in captured
    assert list(tmp_path.iterdir()) == []


def test_a_missing_backend_is_named_with_what_adds_it(monkeypatch):
    def missing(*_: object, **__: object) -> None:
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr("fsspec.core.url_to_fs", missing)
    error = refusal("s3://bucket/rec")
    assert "the library for `s3` URLs is not installed" in error.message
    assert error.hint == "`pip install 'ethogram[s3]'` adds it"


def test_what_may_be_a_secret_is_not_shown():
    url = location_of("https://key:secret@host:8443/rec?token=secret#secret")
    assert isinstance(url, RecordingUrl)
    assert str(url) == "https://host:8443/rec"
    error = Remote(url).failure(OSError("GET https://host/rec?token=secret#secret as key:secret"))
    assert "secret" not in error.message + str(error.hint)


@pytest.mark.parametrize(
    "text",
    [
        "s3://AKIA:secret@bucket/rec",
        "s3://AKIA:sec/ret@bucket/rec",
        "s3://bucket/rec?token=secret",
        "sftp://user:sec/ret@host/rec",
        "simplecache::s3://AKIA:secret@bucket/rec",
        "s3://[secret/\x1b",
    ],
)
def test_a_url_that_would_show_a_secret_is_refused_without_it(text):
    with pytest.raises(UsageError) as raised:
        location_of(text)
    assert not {"AKIA", "ret@", "secret"} & set(re.findall(r"AKIA|ret@|secret", str(raised.value)))


def test_an_at_sign_in_a_path_belongs_to_it():
    assert str(location_of("s3://bucket/team@host/rec/")) == "s3://bucket/team@host/rec"
    assert str(location_of("S3://bucket/rec")) == "s3://bucket/rec"


def test_whatever_a_backend_raises_at_once_is_an_error_of_ours():
    for url in ("ftp://127.0.0.1:9/rec", "reference://rec", "zip://rec", "s3://[bad/rec"):
        assert refusal(url).hint


def test_a_store_that_tells_no_sizes_is_read(local, memory, monkeypatch):
    monkeypatch.setattr(Remote, "sizes", lambda _: {path.name: None for path in local.iterdir()})
    Recording.open(URL).verify()


def test_a_file_url_is_a_path():
    assert location_of("file:///srv/rec") == Path("/srv/rec")
    assert location_of("rec:1") == Path("rec:1")
