"""Real services in private directories, as an unprivileged user, and the clients that load them.

Each is a context that gives a function: load the service for so many seconds, and return how many
requests it answered a second. None of them is the system's own, and nothing of them is left.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import stat
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.timing import timed

__all__ = ["SERVICES", "Load", "Service", "own_directory"]

Load = Callable[[float], float]

_USER, _GROUP = "nobody", "nogroup"
_READY_S, _END_S = 30.0, 15.0
_SOURCES_A_SECOND = 40
_NGINX = """daemon off;
worker_processes 1;
pid {here}/nginx.pid;
error_log {here}/error.log;
events {{ worker_connections 512; }}
http {{
  access_log off;
  keepalive_requests 1000000000;
  client_body_temp_path {here}/body;
  proxy_temp_path {here}/proxy;
  fastcgi_temp_path {here}/fastcgi;
  uwsgi_temp_path {here}/uwsgi;
  scgi_temp_path {here}/scgi;
  server {{ listen 127.0.0.1:{port}; root {here}/www; }}
}}
"""
_SOURCE = """#include <stdio.h>
#include <stdlib.h>
#include <string.h>
int work_{number}(int value)
{{
	char text[64];
	snprintf(text, sizeof(text), "%d", value);
	return atoi(text) + (int)strlen(text);
}}
"""


@dataclass(frozen=True, slots=True)
class Service:
    """A service: what it *needs* on the path, and how it is run in a directory and a cgroup."""

    name: str
    unit: str
    needs: tuple[str, ...]
    run: Callable[[Path, Path], AbstractContextManager[Load]]

    def missing(self) -> list[str]:
        return [name for name in self.needs if _program(name) is None]


def _program(name: str) -> str | None:
    postgres = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    return shutil.which(name, path=":".join([os.environ["PATH"], "/usr/sbin", *map(str, postgres)]))


def _unprivileged(*words: str | Path) -> list[str]:
    program, *rest = map(str, words)
    ids = ("--reuid", _USER, "--regid", _GROUP, "--clear-groups")
    # A server must not outlive a benchmark that was killed.
    return ["setpriv", *ids, "--pdeathsig", "TERM", "--", _program(program) or program, *rest]


def own_directory(path: Path) -> Path:
    """Make the directory *path*, for the user that services run as; those above let it pass."""
    path.mkdir(mode=0o755)
    shutil.chown(path, _USER, _GROUP)
    path.parent.chmod(stat.S_IMODE(path.parent.stat().st_mode) | 0o011)
    return path


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _said(command: Sequence[str], cwd: Path, timeout_s: float) -> str:
    done = subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, check=False,
        stdin=subprocess.DEVNULL, timeout=timeout_s + 60,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"`{command[-1]}` failed: {(done.stderr or done.stdout)[-300:]}")
    return done.stdout


def _number(pattern: str, text: str) -> float:
    found = re.search(pattern, text)
    if not found:
        raise RuntimeError(f"no rate in what the client said: {text[-300:]}")
    return float(found[1])


@contextmanager
def _server(
    command: Sequence[str], here: Path, cgroup: Path, is_ready: Callable[[], bool]
) -> Iterator[None]:
    """Run *command* in *cgroup* while the block runs, which begins once it *is_ready*."""
    with (here / "log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=here, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            preexec_fn=lambda: (cgroup / "cgroup.procs").write_text("0") and None,  # noqa: PLW1509
        )  # fmt: skip
    try:
        deadline = time.monotonic() + _READY_S
        while not is_ready():
            if process.poll() is not None or time.monotonic() > deadline:
                text = (here / "log").read_text("utf-8", "replace")
                raise RuntimeError(f"a server did not start: {text[-300:]}")
            time.sleep(0.02)
        yield
    finally:
        process.terminate()
        try:
            process.wait(_END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


@contextmanager
def _nginx(here: Path, cgroup: Path) -> Iterator[Load]:
    port = _free_port()
    settings, errors = here / "nginx.conf", here / "error.log"
    settings.write_text(_NGINX.format(here=here, port=port))
    (here / "www").mkdir()
    (here / "www/index.html").write_text("x" * 1000)
    command = _unprivileged("nginx", "-p", here, "-e", errors, "-c", settings)

    def load(seconds: float) -> float:
        words = ["wrk", "-t1", "-c32", f"-d{max(round(seconds), 1)}s", f"http://127.0.0.1:{port}/"]
        text = _said(_unprivileged(*words), here, seconds)
        if "Non-2xx" in text:
            raise RuntimeError(f"nginx did not serve: {text[-200:]}")
        return _number(r"Requests/sec:\s+([\d.]+)", text)

    with _server(command, here, cgroup, lambda: _answers(port)):
        yield load


@contextmanager
def _redis(here: Path, cgroup: Path) -> Iterator[Load]:
    port = _free_port()
    options = {"port": port, "bind": "127.0.0.1", "save": "", "dir": here, "daemonize": "no"}
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]

    def run(count: int) -> float:
        client = ["redis-benchmark", "-p", str(port), "-t", "set", "-c", "50", "--csv"]
        text = _said(_unprivileged(*client, "-n", str(count)), here, 60)
        return _number(r'"SET","([\d.]+)"', text)

    with _server(_unprivileged("redis-server", *words), here, cgroup, lambda: _answers(port)):
        usual = run(10_000)
        yield lambda seconds: run(int(usual * seconds))


@contextmanager
def _postgres(here: Path, cgroup: Path) -> Iterator[Load]:
    data, where = here / "data", ["-h", str(here), "-p", "5432", "-U", "bench"]
    words = ["initdb", "-D", data, "-U", "bench", "-A", "trust", "-N", "--no-instructions"]
    _said(_unprivileged(*words), here, 60)
    command = _unprivileged("postgres", "-D", data, "-k", here, "-p", "5432", "-F",
                            "-c", "listen_addresses=", "-c", "autovacuum=off")  # fmt: skip

    def is_ready() -> bool:
        ask = _unprivileged("pg_isready", "-q", *where)
        return subprocess.run(ask, check=False, cwd=here).returncode == 0

    def load(seconds: float) -> float:
        words = ["pgbench", *where, "-n", "-S", "-c", "4", "-T", f"{max(round(seconds), 1)}"]
        text = _said(_unprivileged(*words, "postgres"), here, seconds)
        return _number(r"tps = ([\d.]+)", text)

    with _server(command, here, cgroup, is_ready):
        _said(_unprivileged("pgbench", *where, "-i", "-q", "-s", "2", "postgres"), here, 60)
        yield load


@contextmanager
def _make(here: Path, cgroup: Path) -> Iterator[Load]:
    """Compile; each time as many of the sources as it takes about so long for."""
    rules = "all: $(FILES)\n%.o: %.c\n\t$(CC) -O1 -c -o $@ $<\n"
    jobs = f"-j{os.cpu_count()}"

    def load(seconds: float) -> float:
        count = max(round(seconds * _SOURCES_A_SECOND), 4)
        names = [f"work_{number}" for number in range(count)]
        for number, name in enumerate(names):
            (here / f"{name}.c").write_text(_SOURCE.format(number=number))
        objects = " ".join(f"{name}.o" for name in names)
        # Not as an argument: one that is too long is recorded cut, which counts as a loss.
        (here / "Makefile").write_text(f"FILES := {objects}\n{rules}")
        command = _unprivileged("make", "-B", "-s", "-C", here, jobs)
        return count / timed(command, cgroup).elapsed

    yield load


SERVICES = (
    Service("nginx", "requests", ("nginx", "wrk"), _nginx),
    Service("redis", "requests", ("redis-server", "redis-benchmark"), _redis),
    Service("PostgreSQL", "transactions", ("postgres", "initdb", "pgbench"), _postgres),
    Service("make", "compiled files", ("make", "cc"), _make),
)
