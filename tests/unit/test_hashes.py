"""Digests of executables: of the file that was executed and of no other, and nobody waits."""

import hashlib
import os
import weakref
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ethogram.contracts.events import STRUCTS
from profiler.clock import BootClock
from profiler.executables import Executables
from profiler.executed_files import Executed, kind_in
from profiler.hashes import Found, Hashes

pytestmark = pytest.mark.unit

CONTENT = b"\x7fELF and more"
DIGEST = hashlib.sha256(CONTENT).hexdigest()
LONG_S = 60.0


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path.resolve() / "program"
    path.write_bytes(CONTENT)
    return path


@pytest.fixture
def hashes() -> Iterator[Hashes]:
    hashes = Hashes(largest=64, waiting=3)
    yield hashes
    hashes.close()


def _executed(path: Path, *, process: int | None = None) -> Executed:
    status = path.stat()
    return Executed(
        path=os.fsencode(path),
        dev=os.major(status.st_dev) << 20 | os.minor(status.st_dev),
        ino=status.st_ino,
        ctime_ns=status.st_ctime_ns,
        is_memory=False,
        processes=(os.getpid() if process is None else process,),
    )


def _found(hashes: Hashes, *asked: Executed) -> list[Found]:
    for number, one in enumerate(asked, 1):
        hashes.ask(number, one, is_urgent=False)
    hashes.start()
    hashes.settle(LONG_S)
    return hashes.take()


def test_the_digest_is_of_the_content(hashes: Hashes, program: Path) -> None:
    one = _executed(program)
    assert _found(hashes, one, one) == [Found(1, DIGEST, None), Found(2, DIGEST, None)]


def test_what_changed_since_has_no_digest(hashes: Hashes, program: Path) -> None:
    before = _executed(program)
    program.chmod(0o755)
    assert _found(hashes, before) == [Found(1, None, "changed")]


def test_what_is_gone_has_no_digest(hashes: Hashes, program: Path) -> None:
    before = _executed(program)
    program.unlink()
    assert _found(hashes, before) == [Found(1, None, "gone")]


def test_no_link_is_followed_and_nothing_but_a_file_is_opened(
    hashes: Hashes, program: Path, tmp_path: Path
) -> None:
    link, pipe = tmp_path / "link", tmp_path / "pipe"
    link.symlink_to(program)
    os.mkfifo(pipe)
    by_link = Executed(
        path=os.fsencode(link), dev=0, ino=0, ctime_ns=0, is_memory=False, processes=()
    )
    linked = _executed(program)
    linked = Executed(
        path=by_link.path, dev=linked.dev, ino=linked.ino, ctime_ns=linked.ctime_ns,
        is_memory=False, processes=linked.processes,
    )  # fmt: skip
    found = _found(hashes, linked, _executed(pipe))
    assert found == [Found(1, None, "changed"), Found(2, None, "changed")]


def test_what_nobody_has_mounted_is_not_looked_for(hashes: Hashes, program: Path) -> None:
    other = _executed(program)
    nowhere = Executed(
        path=other.path, dev=1 << 31, ino=other.ino, ctime_ns=other.ctime_ns,
        is_memory=False, processes=other.processes,
    )  # fmt: skip
    assert _found(hashes, nowhere) == [Found(1, None, "gone")]


def test_what_is_not_served_by_this_kernel_is_not_read(hashes: Hashes) -> None:
    assert _found(hashes, _executed(Path("/proc/version"))) == [Found(1, None, "not local")]


def test_what_nobody_thought_of_is_no_end(hashes: Hashes, program: Path) -> None:
    one = _executed(program)
    odd = replace(one, path=one.path + b"\0", ino=0)
    found = _found(hashes, odd, one)
    assert found == [Found(1, None, "unreadable"), Found(2, DIGEST, None)]


def test_names_of_mounts_forge_no_lines() -> None:
    forged = "/a\x0c1\u30001\u30000:9\u3000/\u3000/\u3000rw\u3000-\u3000ext4\u2028".encode()
    mounts = (
        b"30 1 0:8 / %b rw - tmpfs none rw\n" % forged
        + b"31 1 0:9 / /b rw,relatime shared:4 - fuse.it it rw\n"
    )
    assert kind_in(mounts, 9) == "fuse.it"
    assert kind_in(mounts, 8) == "tmpfs"
    assert kind_in(mounts, 7) is None


def test_a_program_that_waits_for_its_digest_keeps_nothing_else(program: Path) -> None:
    executables = Executables(BootClock.now(), Hashes())
    heads = np.zeros(2, STRUCTS["process_record"].dtype)
    heads["ino"], heads["tgid"] = program.stat().st_ino, os.getpid()
    freed = weakref.ref(heads)
    executables.add(heads[0], os.fsencode(program), 7)
    del heads
    assert freed() is None


def test_what_is_large_is_left_out(hashes: Hashes, program: Path) -> None:
    program.write_bytes(bytes(65))
    assert _found(hashes, _executed(program)) == [Found(1, None, "too large")]


def test_of_more_than_can_wait_it_is_said(hashes: Hashes, program: Path) -> None:
    found = _found(hashes, *[_executed(program)] * 4)
    assert sorted(found) == sorted(
        [*(Found(number, DIGEST, None) for number in (1, 2, 3)), Found(4, None, "queue full")],
        key=lambda one: one.exe,
    )


def test_what_no_image_brought_comes_first(hashes: Hashes, program: Path) -> None:
    hashes.ask(1, _executed(program), is_urgent=False)
    hashes.ask(2, _executed(program), is_urgent=True)
    hashes.start()
    hashes.settle(LONG_S)
    assert [one.exe for one in hashes.take()] == [2, 1]


def test_a_row_comes_again_with_its_digest(hashes: Hashes, program: Path) -> None:
    executables = Executables(BootClock.now(), hashes)
    one = _executed(program)
    head = np.zeros(1, STRUCTS["process_record"].dtype)[0]
    head["dev"], head["ino"], head["ctime_ns"] = one.dev, one.ino, one.ctime_ns
    head["tgid"] = os.getpid()
    number = executables.add(head, one.path, 7)
    first = executables.take_rows({number})
    assert (first["exe"], first["sha256"]) == ([number], [None])
    hashes.start()
    hashes.settle(LONG_S)
    assert hashes.peek(number) == DIGEST
    again = executables.take_rows({number})
    assert (again["exe"], again["sha256"], again["sha256_missing"]) == ([number], [DIGEST], [None])
    assert not executables.take_rows({number})["exe"]
