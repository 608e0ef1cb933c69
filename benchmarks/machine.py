"""The machine that was measured, and what else ran on it."""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
from pathlib import Path

from ethogram import __version__
from profiler.libbpf import possible_cpus, version

__all__ = ["facts", "tracing_programs"]

# Tool -> the words that make it say its version.
_TOOLS = {
    "bpftrace": ("--version",),
    "perf": ("--version",),
    "strace": ("--version",),
    "clang": ("--version",),
}


def facts() -> dict[str, str]:
    """Return what a reader needs to judge the numbers of this run."""
    load = " ".join(f"{value:.1f}" for value in os.getloadavg())
    return {
        "kernel": f"{platform.system()} {platform.release()}, {platform.machine()}",
        "processors": f"{os.cpu_count()} of {possible_cpus()} possible, {_model()}",
        "memory": f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30:.0f} GiB",
        "software": f"ethogram {__version__}, Python {platform.python_version()}, "
        f"libbpf {version()}, " + ", ".join(_tool_versions()),
        "load before": f"{load} (1, 5, 15 minutes)",
    }


def _model() -> str:
    found = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1] if found else "of unknown make"


def _tool_versions() -> list[str]:
    found = []
    for tool, words in _TOOLS.items():
        if not shutil.which(tool):
            continue
        done = subprocess.run([tool, *words], capture_output=True, text=True, check=False)
        if number := re.search(r"\d+(\.\d+)+", done.stdout):
            found.append(f"{tool} {number[0]}")
    return found


def tracing_programs() -> int:
    """Return how many tracing programs are loaded now; 0 where bpftool cannot say."""
    if not (bpftool := shutil.which("bpftool", path="/usr/sbin:/sbin:/usr/bin")):
        return 0
    result = subprocess.run([bpftool, "-j", "prog"], capture_output=True, check=False)
    programs = json.loads(result.stdout) if result.returncode == 0 else []
    return sum(program["type"] in {"tracing", "raw_tracepoint"} for program in programs)
