"""The floor: programs that do nothing, at every place where the recorder has one.

The places are read from the recorder's own object, so that the floor follows what it hooks.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import ModuleType

from ethogram.errors import CaptureError
from profiler.identity.hierarchy import unified_mount
from profiler.libbpf import Btf, Link, Object
from profiler.loaders.core import object_path

__all__ = ["ENTER", "attached", "places"]

_TYPEDEF = 8  # a kind of BTF
ENTER = "tp_btf/sys_enter"
# What runs when user space asks for it is no hook.
_NO_HOOKS = ("iter/", "iter.s/", "syscall")
# These programs say whether something may happen: 1 lets it.
_VERDICTS = ("cgroup/", "cgroup_skb/")


@cache
def places() -> tuple[str, ...]:
    """Return the section names of the recorder's hooks, each as often as it has programs there.

    Tracepoints that this kernel does not have are left out, as the recorder leaves them out.
    """
    kernel = Btf.of_kernel()
    opened = Object(object_path())
    try:
        sections = [program.section.lstrip("?") for program in opened.programs.values()]
        return tuple(section for section in sections if _is_hook(section, kernel))
    finally:
        opened.close()
        kernel.close()


def _is_hook(section: str, kernel: Btf) -> bool:
    tracepoint = section.removeprefix("tp_btf/")
    if tracepoint != section:
        return kernel.has(f"btf_trace_{tracepoint}", _TYPEDEF)
    return not section.startswith(_NO_HOOKS)


def source(sections: tuple[str, ...]) -> str:
    """Return C for one program for each of *sections* that does nothing."""
    lines = ["#include <linux/bpf.h>", "#include <bpf/bpf_helpers.h>", ""]
    for number, section in enumerate(sections):
        verdict = int(section.startswith(_VERDICTS))
        lines += [
            f'SEC("{section}")',
            f"int empty_{number}(void *context) {{ return {verdict}; }}",
            "",
        ]
    return "\n".join([*lines, 'char LICENSE[] SEC("license") = "GPL";', ""])


@contextmanager
def attached(sections: tuple[str, ...]) -> Iterator[list[str]]:
    """Attach an empty program to each of *sections*; give those that this kernel took."""
    with _compiled(sections) as path:
        wanted = _loadable(path)
        loaded = _loaded(path, wanted)
        links: list[Link] = []
        taken = []
        cgroup = os.open(unified_mount(), os.O_RDONLY | os.O_DIRECTORY)
        try:
            for name in wanted:
                program = loaded.programs[name]
                is_cgroup = program.section.startswith(_VERDICTS)
                try:
                    links.append(program.attach_cgroup(cgroup) if is_cgroup else program.attach())
                except CaptureError:  # the recorder's own was refused here as well
                    continue
                taken.append(program.section)
            yield taken
        finally:
            for link in links:
                link.close()
            os.close(cgroup)
            loaded.close()


def _loaded(path: Path, names: list[str]) -> Object:
    opened = Object(path)
    for name, program in opened.programs.items():
        program.set_autoload(name in names)
    try:
        opened.load()
    except CaptureError:
        opened.close()
        raise
    return opened


def _loadable(path: Path) -> list[str]:
    """Return the programs that this kernel has a place for."""
    opened = Object(path)
    names = list(opened.programs)
    opened.close()
    try:
        _loaded(path, names).close()
        return names
    except CaptureError:
        return [name for name in names if _loads(path, name)]


def _loads(path: Path, name: str) -> bool:
    try:
        _loaded(path, [name]).close()
        return True
    except CaptureError:
        return False


@contextmanager
def _compiled(sections: tuple[str, ...]) -> Iterator[Path]:
    """Compile *sections* as the recorder is; the object is gone when the block ends."""
    with tempfile.TemporaryDirectory(prefix="ethogram-empty-") as directory:
        path = Path(directory) / "empty.bpf.c"
        path.write_text(source(sections))
        yield _builder().compile_object(path, path.with_suffix(".o"), platform.machine())


@cache
def _builder() -> ModuleType:
    """Return the script that builds the recorder's objects; it is no part of a package."""
    path = Path(__file__).parents[1] / "bpf" / "build.py"
    spec = importlib.util.spec_from_file_location("_bpf_build", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
