"""What the BCC loader finds on a host, and what it says where something is missing."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ethogram.contracts.events import STRUCTS
from ethogram.errors import PreflightError
from profiler.loaders.bcc_host import bcc_module, kernel_source, require_tracefs
from profiler.loaders.bcc_source import wire_text

pytestmark = pytest.mark.unit


def headers(root: Path, version: str, *, flavour: str = "cloud-amd64") -> None:
    """Lay out an installed pair of Debian's header packages."""
    sources = root / "usr/src"
    common = f"linux-headers-{version}-common" + ("-rt" if flavour.startswith("rt") else "")
    for place in (
        f"{common}/include/linux/bpf.h",
        f"{common}/arch/x86/include/asm/ptrace.h",
        f"linux-headers-{version}-{flavour}/include/generated/autoconf.h",
        f"linux-headers-{version}-{flavour}/arch/x86/include/generated/asm/made.h",
    ):
        path = sources / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{version} {flavour}")


def _loaded() -> list[str]:
    return [name for name in sys.modules if name.startswith("_distribution_bcc")]


@pytest.fixture
def _no_module() -> Iterator[None]:
    """Forget what was imported before, and afterwards what the test has imported."""
    before = {name: sys.modules.pop(name) for name in _loaded()}
    yield
    for name in _loaded():
        del sys.modules[name]
    sys.modules.update(before)


@pytest.mark.usefixtures("_no_module")
def test_a_host_without_bcc_is_told_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(PreflightError) as failure:
        bcc_module(tmp_path)
    assert "python3-bpfcc" in (failure.value.hint or "")


@pytest.mark.usefixtures("_no_module")
def test_a_bcc_that_does_not_load_says_why_and_leaves_nothing(tmp_path: Path) -> None:
    package = tmp_path / "usr/lib/python3/dist-packages/bcc"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("from .libbcc import lib\n")
    (package / "libbcc.py").write_text("raise OSError('libbcc.so.0: cannot open')\n")
    with pytest.raises(PreflightError, match="cannot open"):
        bcc_module(tmp_path)
    assert _loaded() == []
    assert str(package.parent) not in sys.path


@pytest.mark.usefixtures("_no_module")
def test_bcc_is_imported_from_where_it_is(tmp_path: Path) -> None:
    package = tmp_path / "usr/lib/python3/dist-packages/bcc"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("from .libbcc import lib\n")
    (package / "libbcc.py").write_text("lib = 'the library'\n")
    (package.parent / "another.py").write_text("")
    assert bcc_module(tmp_path).lib == "the library"
    assert "bcc" not in sys.modules
    assert str(package.parent) not in sys.path


def test_both_halves_of_debian_s_headers_are_one_tree_while_it_is_needed(tmp_path: Path) -> None:
    headers(tmp_path, "6.1.0-9")
    headers(tmp_path, "6.1.0-56")
    with kernel_source({}, tmp_path) as tree:
        assert tree is not None
        asm = "arch/x86/include"
        for place in (
            *("include/linux/bpf.h", "include/generated/autoconf.h"),
            *(f"{asm}/asm/ptrace.h", f"{asm}/generated/asm/made.h"),
        ):
            assert (tree / place).read_text().startswith("6.1.0-56")
    assert not tree.exists()
    assert (tmp_path / "usr/src/linux-headers-6.1.0-56-common/include/linux/bpf.h").exists()


@pytest.mark.parametrize("flavour", ["amd64", "cloud-amd64", "rt-amd64"])
def test_every_flavour_finds_its_common_half(flavour: str, tmp_path: Path) -> None:
    headers(tmp_path, "6.1.0-56", flavour=flavour)
    with kernel_source({}, tmp_path) as tree:
        assert tree is not None
        assert (tree / "include/linux/bpf.h").exists()


def test_a_package_that_is_whole_needs_no_other(tmp_path: Path) -> None:
    whole = tmp_path / "usr/src/linux-headers-6.8.0-45-generic"
    for name in ("include/linux", "include/generated", "arch/x86/include/asm"):
        (whole / name).mkdir(parents=True)
    with kernel_source({}, tmp_path) as tree:
        assert tree is not None
        assert (tree / "include/linux").is_dir()


def test_one_half_alone_is_none(tmp_path: Path) -> None:
    (tmp_path / "usr/src/linux-headers-6.1.0-56-common/include/linux").mkdir(parents=True)
    with pytest.raises(PreflightError, match="no kernel headers"), kernel_source({}, tmp_path):
        pass


def test_a_tree_that_is_named_is_taken_and_one_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tree/include/linux").mkdir(parents=True)
    with kernel_source({"BCC_KERNEL_SOURCE": str(tmp_path / "tree")}, tmp_path) as tree:
        assert tree == tmp_path / "tree"
    empty = {"BCC_KERNEL_SOURCE": str(tmp_path)}
    with pytest.raises(PreflightError, match="BCC_KERNEL_SOURCE"), kernel_source(empty, tmp_path):
        pass


def test_tracefs_that_is_not_mounted_is_told(tmp_path: Path) -> None:
    with pytest.raises(PreflightError) as failure:
        require_tracefs(tmp_path)
    assert "mount -t tracefs" in (failure.value.hint or "")
    (tmp_path / "sys/kernel/tracing/events/sched").mkdir(parents=True)
    require_tracefs(tmp_path)


def test_the_program_s_structs_are_the_contract_s() -> None:
    text = wire_text()
    size = STRUCTS["process_record"].dtype.itemsize
    assert f'_Static_assert(sizeof(struct process_record) == {size}, "process_record");' in text
    assert "\t__u8 stdio[3];" in text
    assert "\t__s32 exit_code;" in text
    assert "#define RECORD_EXEC 3" in text
    assert "#define LOSS_MAP_FULL 1" in text
