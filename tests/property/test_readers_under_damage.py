"""Bytes that were damaged, swapped or never written: each reader refuses them by name or reads.

The targets are those of `make fuzz`; here each gets some dozens of damaged seeds.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ethogram.contracts.recording import Recording
from ethogram.errors import RecordingError
from tests.fuzz.targets import SEEDS, TARGETS
from tests.recordings import make_recording

pytestmark = pytest.mark.property

_PLACES = st.floats(0, 1, exclude_max=True)
DAMAGE = st.lists(
    st.one_of(
        st.tuples(st.just("flip"), _PLACES, st.integers(0, 7)),
        st.tuples(st.just("set"), _PLACES, st.sampled_from([0, 1, 0x7F, 0x80, 0xFF])),
        st.tuples(st.just("cut"), _PLACES, st.just(0)),
        st.tuples(st.just("drop"), _PLACES, st.integers(1, 64)),
        st.tuples(st.just("repeat"), _PLACES, st.integers(1, 64)),
    ),
    max_size=8,
)


def damaged(data: bytes, damage: list[tuple[str, float, int]]) -> bytes:
    for kind, place, what in damage:
        at = int(len(data) * place)
        match kind:
            case "flip" if data:
                data = data[:at] + bytes([data[at] ^ 1 << what]) + data[at + 1 :]
            case "set" if data:
                data = data[:at] + bytes([what]) * 4 + data[at + 4 :]
            case "cut":
                data = data[:at]
            case "drop":
                data = data[:at] + data[at + what :]
            case "repeat":
                data = data[:at] + data[at : at + what] * 2 + data[at + what :]
    return data


@pytest.mark.parametrize("name", TARGETS)
def test_a_damaged_seed_is_refused_or_read(name: str) -> None:
    seed = SEEDS[name]()

    @given(DAMAGE)
    def check(damage: list[tuple[str, float, int]]) -> None:
        TARGETS[name](damaged(seed, damage))

    TARGETS[name](seed)
    check()


@pytest.mark.parametrize("name", TARGETS)
def test_a_file_of_another_kind_is_refused_or_read(name: str) -> None:
    for other in SEEDS.values():
        TARGETS[name](other())


@pytest.mark.parametrize("name", ["journal", "parquet"])
def test_a_file_that_ends_anywhere_is_refused_or_gives_whole_batches(name: str) -> None:
    seed = SEEDS[name]()
    for length in range(0, len(seed), 1 if len(seed) < 4096 else 3):
        TARGETS[name](seed[:length])


def test_no_bit_of_a_listed_file_turns_unseen() -> None:
    seed = SEEDS["damaged"]()
    for at in range(0, len(seed), 7):
        TARGETS["damaged"](seed[:at] + bytes([seed[at] ^ 1 << at % 8]) + seed[at + 1 :])


@pytest.mark.parametrize(
    "text",
    [
        b'{"schema": "ethogram.recording/1", "windows": ' + b"9" * 5000 + b"}",
        b'{"schema": "ethogram.recording/1", "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"schema": "ethogram.recording/1", "started": "99999-01-01T00:00:00Z"}',
        b'{"schema": "ethogram.recording/1", "window_ms": 1e400}',
        b'{"schema": "ethogram.recording/1", "host_id": "\\ud800"}',
    ],
)
def test_a_manifest_that_is_deep_or_enormous_is_refused(text: bytes) -> None:
    TARGETS["manifest"](text)


@pytest.mark.parametrize("kind", ["pipe", "socket", "directory", "link to nothing", "device"])
@pytest.mark.parametrize(
    "name", ["manifest.json", "files-00000.parquet", "journal/dns-00000.arrows"]
)
def test_what_is_no_file_is_neither_waited_for_nor_read(
    tmp_path: Path, kind: str, name: str
) -> None:
    recording = make_recording(tmp_path / "r", files=[{"path": b"/a"}])
    (recording / "journal").mkdir(exist_ok=True)
    path = recording / name
    path.unlink(missing_ok=True)
    match kind:
        case "pipe":
            os.mkfifo(path)
        case "socket":
            with socket.socket(socket.AF_UNIX) as bound:
                bound.bind(str(path))
        case "directory":
            path.mkdir()
        case "device":
            path.symlink_to("/dev/zero")
        case _:
            path.symlink_to(tmp_path / "nothing")
    with pytest.raises(RecordingError, match=r"manifest|files-00000|dns-00000"):
        Recording.open(recording).table("files")
