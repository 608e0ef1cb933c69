"""`ethogram watch` beside the cases: every finding, and when it came."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from ethogram.contracts.finding import Finding
from tests.cases.scoring import Told
from tests.cases.staging import HarnessError
from tests.e2e.command_line import running

__all__ = ["Watch", "watching"]

WINDOW = "1s"
STOP_SECONDS = 90


class Watch:
    """What one `ethogram watch` told; whole once its block has ended.

    *messages* is what it said to people. Lines of another schema than a finding's are in *others*.
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.told: list[Told] = []
        self.others: list[dict[str, Any]] = []
        self.messages = ""
        self._process = process
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self._malformed: list[str] = []

    def stop(self) -> None:
        """End it as Ctrl-C does, and read what it still has to say."""
        self._process.send_signal(signal.SIGINT)
        self._process.wait(STOP_SECONDS)
        self._reader.join(STOP_SECONDS)

    def check(self) -> None:
        """Raise HarnessError where it ended in failure, or told what is no finding."""
        if self._process.returncode or self._malformed:
            raise HarnessError(
                f"`ethogram watch` ended with {self._process.returncode}: "
                f"{self.messages}{self._malformed[:3]}"
            )

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            arrived_ns = time.time_ns()
            try:
                document = json.loads(line)
                if document.get("schema") == "ethogram.finding/1":
                    self.told.append(Told(arrived_ns, Finding.model_validate_json(line)))
                else:
                    self.others.append(document)
            except ValueError as error:
                self._malformed.append(f"{line!r}: {error}")


@contextmanager
def watching(
    baselines: Path, directory: Path, name: str, targets: Sequence[str | Path]
) -> Iterator[Watch]:
    """Watch *targets* while the block runs, which begins once it is ready."""
    words = ("watch", "--baseline", baselines, "--format", "jsonl", "--window", WINDOW, *targets)
    log = directory / f"{name}.log"
    with log.open("w") as messages:
        ready = directory / f"{name}.ready"
        ready.unlink(missing_ok=True)
        with ExitStack() as stack:
            try:
                process = stack.enter_context(
                    running(*words, ready=ready, stderr=messages.fileno())
                )
            except AssertionError as error:
                raise HarnessError(f"`ethogram watch` did not begin: {log.read_text()}") from error
            watch = Watch(process)
            yield watch
            watch.stop()
    watch.messages = log.read_text()
    with (directory / f"{name}.jsonl").open("w") as lines:
        for told in watch.told:
            lines.write(f"{told.finding.line()}\n")
    watch.check()
