"""Debian's Prometheus on loopback, which scrapes one target every second."""

from __future__ import annotations

import json
import os
import re
import select
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode
from urllib.request import urlopen

import yaml

__all__ = ["Prometheus", "prometheus"]

SECONDS = 20
_LISTENING = re.compile(
    r'msg="Listening on" address=(\S+).*Server is ready to receive web requests', re.DOTALL
)
Found = TypeVar("Found")


@dataclass(frozen=True)
class Prometheus:
    """A server at *address*; `get` asks its API, `until` waits for what is to come."""

    address: str
    process: subprocess.Popen[bytes]

    def get(self, path: str, **parameters: str) -> Any:
        """Return the data at *path* of the API."""
        url = f"http://{self.address}/api/v1/{path}?{urlencode(parameters)}"
        with urlopen(url, timeout=10) as answer:
            return json.load(answer)["data"]

    def query(self, expression: str) -> list[Any]:
        """Return what *expression* comes to now."""
        found = self.get("query", query=expression)["result"]
        assert isinstance(found, list)
        return found

    def until(self, ask: Callable[[], Found]) -> Found:
        """Return what *ask* returns once that is something."""
        return _until(self.process, ask)


def _until(process: subprocess.Popen[bytes], ask: Callable[[], Found]) -> Found:
    descriptor = os.pidfd_open(process.pid)
    try:
        ended = select.poll()
        ended.register(descriptor, select.POLLIN)
        for _ in range(SECONDS * 10):
            if found := ask():
                return found
            assert not ended.poll(100), "Prometheus has ended"
        raise AssertionError(f"nothing after {SECONDS} s")
    finally:
        os.close(descriptor)


@contextmanager
def prometheus(place: Path, *, target: str, rules: Path) -> Iterator[Prometheus]:
    """Run a server that keeps everything in *place* while the block runs."""
    place.mkdir()
    (place / "prometheus.yml").write_text(
        yaml.safe_dump(
            {
                "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
                "rule_files": [str(rules)],
                "scrape_configs": [
                    {"job_name": "ethogram", "static_configs": [{"targets": [target]}]}
                ],
            }
        )
    )
    log = place / "log"
    with log.open("wb") as stderr:
        process = subprocess.Popen(
            ["prometheus", f"--config.file={place}/prometheus.yml",
             f"--storage.tsdb.path={place}/data", "--web.listen-address=127.0.0.1:0"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=stderr,
        )  # fmt: skip
    try:
        found = _until(process, lambda: _LISTENING.search(log.read_text()))
        yield Prometheus(found[1], process)
    finally:
        process.kill()
        process.wait()
