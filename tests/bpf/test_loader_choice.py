"""Which loader `auto` takes, and what it says of it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ethogram.errors import CaptureError
from profiler import doctor
from profiler.doctor import Check
from profiler.loaders import attach_loader, core
from profiler.loaders.base import KernelConfig, Loader

pytestmark = pytest.mark.bpf

TRACEFS = Path("/sys/kernel/tracing")


@pytest.fixture(scope="module", autouse=True)
def _tracefs() -> Iterator[None]:
    if (TRACEFS / "events").is_dir():
        yield
        return
    subprocess.run(["mount", "-t", "tracefs", "tracefs", str(TRACEFS)], check=True)
    yield
    subprocess.run(["umount", str(TRACEFS)], check=True)


@pytest.fixture
def broken_object(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An object that no verifier takes: it calls helpers that do not exist."""
    data = bytearray(core.object_path().read_bytes())
    call = bytes.fromhex("8500000005000000")  # of helper 5
    for helper in range(1, 215):
        wanted = call[:4] + helper.to_bytes(4, "little")
        at = data.find(wanted)
        while at >= 0:
            if at % 8 == 0:
                data[at + 4 : at + 8] = (60000).to_bytes(4, "little")
            at = data.find(wanted, at + 8)
    target = tmp_path / "recorder.bpf.o"
    target.write_bytes(data)
    monkeypatch.setattr(core, "object_path", lambda machine=None, *, is_plain=False: target)
    return target


def attach(choice: str) -> tuple[Loader, str | None]:
    opened: list[Loader] = []

    def keep(loader: Loader) -> Callable[[], None]:
        opened.append(loader)
        return lambda: None

    config = KernelConfig(record_by_default=False, recorder_tgid=os.getpid())
    reason = attach_loader(choice, config, keep)  # type: ignore[arg-type]
    opened[-1].close()
    return opened[-1], reason


def test_auto_takes_core_where_it_loads() -> None:
    loader, reason = attach("auto")
    assert (loader.name, reason) == ("core", None)


def test_auto_takes_bcc_where_the_programs_do_not_load_and_says_why(broken_object: Path) -> None:
    loader, reason = attach("auto")
    assert loader.name == "bcc"
    assert reason is not None
    assert "did not load" in reason


def test_core_alone_is_refused_where_the_programs_do_not_load(broken_object: Path) -> None:
    with pytest.raises(CaptureError, match="did not load"):
        attach("core")


def test_without_headers_the_refusal_says_that_bcc_cannot_help(
    broken_object: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("BCC_KERNEL_SOURCE", str(tmp_path))
    with pytest.raises(CaptureError, match="did not load, and BCC cannot take its place") as told:
        attach("auto")
    assert "BCC_KERNEL_SOURCE" in (told.value.hint or "") or "include/linux" in str(told.value.hint)


@pytest.mark.parametrize(
    ("core_works", "bcc_works", "detail", "ok"),
    [
        (True, True, "`auto` takes `core`: nothing that it needs is missing", True),
        (True, None, "`auto` takes `core`: nothing that it needs is missing", True),
        (False, True, "`auto` takes `bcc`: program syscall_exit: EACCES", None),
        (False, None, "`auto` takes none: program syscall_exit: EACCES; BCC: no headers", False),
    ],
)
def test_the_doctor_says_which_loader_auto_takes(
    core_works: bool, bcc_works: bool | None, detail: str, ok: bool | None
) -> None:
    program = Check("program syscall_exit", core_works, "EACCES")
    bcc = Check("BCC", bcc_works, "no headers", "install them")
    found = doctor._loader([Check("BTF", True, ""), program], bcc)
    assert (found.detail, found.ok) == (detail, ok)
