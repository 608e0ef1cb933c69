"""Measure which system calls a container runtime makes under the container's own filter.

The runtime installs the seccomp filter in the container's first process before it executes the
entrypoint, so a profile must also allow what the runtime still does in between. This runs the
runtime under `strace` in every combination that changes those calls, cuts each thread's trace
between the moment the filter is installed and the `execve` of the entrypoint, and writes the
union as data that `exporters` ships:

    python -m tools.measure_runtime_base runc exporters/data/runtime_base

Root is needed. Nothing is measured by guessing: a call stands in `run` or `exec` because a
trace showed it there.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import pty
import re
import subprocess
import sys
import tempfile
import threading
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, product
from pathlib import Path
from typing import Any

from demo.containers import COMMANDS
from demo.oci import Spec
from demo.rootfs import busybox_root

_NULL = subprocess.DEVNULL
_CALL = re.compile(r"^(\w+)\(")
_FILTER = re.compile(
    r"^(?:prctl\(PR_SET_SECCOMP, SECCOMP_MODE_FILTER"
    r"|seccomp\(SECCOMP_SET_MODE_FILTER, [^)]*\{).* = \d+$"
)
_ENTRYPOINT = re.compile(r"^execve\(.* = 0$")
# What Go's scheduler, collector and signal handling may call on the filtered thread. Which of them
# a start shows depends on timing; an absent one stops a start now and then.
_OCCASIONAL = {
    "runc": (
        "epoll_pwait",
        "futex",
        "getpid",
        "madvise",
        "mmap",
        "munmap",
        "nanosleep",
        "rt_sigprocmask",
        "rt_sigreturn",
        "sched_yield",
        "sigaltstack",
        "tgkill",
    ),
    "crun": (),
}
# A filter is installed, and nothing is refused: what is measured is what would be asked.
_HARMLESS = {
    "defaultAction": "SCMP_ACT_ALLOW",
    "architectures": ["SCMP_ARCH_X86_64"],
    "syscalls": [{"names": ["swapon"], "action": "SCMP_ACT_ERRNO"}],
}


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to start a process that makes the runtime behave differently."""

    name: str
    arguments: tuple[str, ...] = ("/bin/true",)
    terminal: bool = False
    process: dict[str, Any] = field(default_factory=dict)
    status: int = 0


VARIANTS = (
    Variant("plain"),
    Variant("terminal", terminal=True),
    Variant(
        "user",
        process={"user": {"uid": 1000, "gid": 1000, "additionalGids": [100], "umask": 0o27}},
    ),
    Variant("no capabilities", process={"capabilities": {}}),
    Variant("directory", process={"cwd": "/dev"}),
    Variant("looked up", arguments=("true",)),
    Variant("missing", arguments=("/bin/absent",), status=1),
)


def filtered_calls(trace: Sequence[str]) -> list[str]:
    """Return the calls of one thread between its filter and its entrypoint, or its end.

    The `execve` itself is among them: the filter judges it too.
    """
    calls: list[str] = []
    is_filtered = False
    for line in trace:
        if is_filtered and (match := _CALL.match(line)):
            calls.append(match[1])
            if _ENTRYPOINT.match(line):
                break
        is_filtered = is_filtered or bool(_FILTER.match(line))
    return calls


def threads(directory: Path) -> Iterator[list[str]]:
    """Yield the lines of every thread that `strace -ff` wrote into *directory*."""
    for path in sorted(directory.iterdir()):
        yield path.read_text(errors="replace").splitlines()


class Measurement:
    """Runs one runtime in every variant and keeps who showed which call."""

    def __init__(self, runtime: str, workspace: Path) -> None:
        self.runtime = runtime
        self.workspace = workspace
        self.root = busybox_root(workspace / "rootfs")
        self.seen: dict[bool, dict[str, set[str]]] = {
            True: defaultdict(set),
            False: defaultdict(set),
        }
        self.starts = 0

    def measure(self, *, rounds: int) -> None:
        """Fill `seen` from *rounds* passes over every variant."""
        for number, no_new_privileges in product(range(rounds), (True, False)):
            for variant in VARIANTS:
                self._run(variant, no_new_privileges, f"base-run-{number}")
            self._exec_all(no_new_privileges, f"base-exec-{number}")

    def _run(self, variant: Variant, no_new_privileges: bool, name: str) -> None:
        self._write_bundle(variant, no_new_privileges, name)
        try:
            words = ["run", "--bundle", str(self.workspace), name]
            self._trace(words, "run", variant, no_new_privileges)
        finally:
            self._remove(name)

    def _exec_all(self, no_new_privileges: bool, name: str) -> None:
        waiting = Variant("waiting", arguments=("/bin/sleep", "600"))
        process = self._write_bundle(waiting, no_new_privileges, name)["process"]
        start = self._command("run", "--detach", "--bundle", str(self.workspace), name)
        # A pipe would be held open by the container, and this would wait for its end.
        subprocess.run(start, stdin=_NULL, stdout=_NULL, stderr=_NULL, check=True)
        try:
            for variant in VARIANTS:
                file = self.workspace / "process.json"
                file.write_text(json.dumps(process | _process_of(variant)))
                words = ["exec", "--process", str(file), name]
                self._trace(words, "exec", variant, no_new_privileges)
        finally:
            self._remove(name)

    def _write_bundle(self, variant: Variant, no_new_privileges: bool, name: str) -> dict[str, Any]:
        spec = Spec(
            variant.arguments,
            no_new_privileges=no_new_privileges,
            seccomp=_HARMLESS,
            read_only=True,
        )
        config = spec.config(self.root, container_id=name, has_cgroups=self.runtime == "runc")
        config["process"] |= _process_of(variant)
        (self.workspace / "config.json").write_text(json.dumps(config))
        return config

    def _trace(
        self, arguments: list[str], place: str, variant: Variant, no_new_privileges: bool
    ) -> None:
        with tempfile.TemporaryDirectory(dir=self.workspace) as directory:
            tracer = ["strace", "-ff", "-qq", "-s", "16", "-o", f"{directory}/thread"]
            command = [*tracer, *self._command(*arguments)]
            status = (run_on_terminal if variant.terminal else run_without_input)(command)
            if (status == 0) != (variant.status == 0):
                raise SystemExit(f"{' '.join(command)} ({variant.name}) exited {status}")
            cuts = [cut for cut in map(filtered_calls, threads(Path(directory))) if cut]
        # A runtime that looks the entrypoint up before it filters finds it missing without one.
        if not cuts and variant.status == 0:
            raise SystemExit(f"{' '.join(command)}: no thread installed a filter")
        self.starts += 1
        for call in chain.from_iterable(cuts):
            self.seen[no_new_privileges][call].add(place)

    def _remove(self, name: str) -> None:
        subprocess.run(self._command("delete", "--force", name), capture_output=True, check=False)

    def _command(self, *arguments: str) -> list[str]:
        return [*COMMANDS[self.runtime], "--root", str(self.workspace / "state"), *arguments]


def _process_of(variant: Variant) -> dict[str, Any]:
    chosen = {"args": list(variant.arguments), "terminal": variant.terminal}
    return chosen | variant.process


def run_without_input(command: Sequence[str]) -> int:
    """Run *command*, throw its output away and return its status."""
    return subprocess.run(command, stdin=_NULL, capture_output=True, check=False).returncode


def run_on_terminal(command: Sequence[str]) -> int:
    """Run *command* with a pseudo-terminal as its three standard streams; return its status."""
    controller, terminal = pty.openpty()
    process = subprocess.Popen(command, stdin=terminal, stdout=terminal, stderr=terminal)
    os.close(terminal)
    reader = threading.Thread(target=_drain, args=(controller,), daemon=True)
    reader.start()
    try:
        return process.wait(timeout=30)
    finally:
        process.kill()
        reader.join(timeout=5)
        os.close(controller)


def _drain(descriptor: int) -> None:
    try:
        while os.read(descriptor, 4096):
            pass
    except OSError:  # the last writer is gone
        return


def release(runtime: str) -> tuple[str, str]:
    """Return the release (`1.1.5`) and the whole first line that *runtime* prints of itself."""
    line = subprocess.run(
        [runtime, "--version"], capture_output=True, text=True, check=True
    ).stdout.splitlines()[0]
    return line.split()[-1].partition("+")[0], line


def libseccomp_package() -> str:
    """Return the version of the package of the libseccomp that both runtimes are linked with."""
    return subprocess.run(
        ["dpkg-query", "-W", "-f", "${Version}", "libseccomp2"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def document(measurement: Measurement) -> dict[str, Any]:
    """Return the data file of *measurement*."""
    version, line = release(measurement.runtime)
    return {
        "schema": "ethogram.runtime-base/1",
        "runtime": measurement.runtime,
        "version": version,
        "arch": platform.machine(),
        "libseccomp": libseccomp_package(),
        "measured": True,
        "how": (
            f"strace of {measurement.starts} starts of `{line}` by tools/measure_runtime_base.py:"
            f" {', '.join(variant.name for variant in VARIANTS)}; run and exec"
        ),
        "sets": [
            {
                "no_new_privs": no_new_privileges,
                "calls": {
                    name: sorted(places)
                    for name, places in sorted(measurement.seen[no_new_privileges].items())
                },
            }
            for no_new_privileges in (True, False)
        ],
        "occasional": list(_OCCASIONAL[measurement.runtime]),
    }


def main() -> None:
    """Measure one runtime and write its data file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runtime", choices=("runc", "crun"))
    parser.add_argument("output", type=Path, help="directory of the data files")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ethogram-base-") as directory:
        measurement = Measurement(arguments.runtime, Path(directory))
        measurement.measure(rounds=arguments.rounds)
    data = document(measurement)
    path = arguments.output / f"{data['runtime']}-{data['version']}-{data['arch']}.json"
    path.write_text(json.dumps(data, indent=2) + "\n")
    for entry in data["sets"]:
        sys.stderr.write(f"no_new_privs {entry['no_new_privs']}: {len(entry['calls'])} calls\n")


if __name__ == "__main__":
    main()
