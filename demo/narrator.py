"""How the demonstration speaks: what and why, the real command, its real output, what is true."""

import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

__all__ = ["FalseClaimError", "Narrator"]


class FalseClaimError(Exception):
    """Something that the demonstration says about the product was not so."""


class Narrator:
    """Tells *steps* numbered steps to standard output; commands run in *directory*.

    *ethogram* is the program that a command line's word `ethogram` stands for.
    """

    def __init__(self, directory: Path, *, ethogram: Path, steps: int) -> None:
        self.directory = directory
        self.ethogram = ethogram
        self._steps = steps
        self._step = 0
        self._is_terminal = sys.stdout.isatty()

    def step(self, title: str, why: str) -> None:
        """Begin the next step."""
        self._step += 1
        self._line("")
        self._line(self._strong(f"{self._step}/{self._steps}  {title}"))
        self.say(why)

    def say(self, text: str) -> None:
        """Tell *text*, a paragraph whose lines are already broken."""
        for line in text.splitlines():
            self._line(f"    {line}")

    def output(self, text: str | bytes) -> None:
        """Show what a command printed."""
        if isinstance(text, bytes):
            text = text.decode(errors="replace")
        for line in text.rstrip().splitlines():
            self._line(f"    | {line}")

    def prompt(self, words: Sequence[str]) -> list[str]:
        """Show the command *words*; return what to execute for it."""
        self._line(self._strong(f"    $ {shlex.join(words)}"))
        return [str(self.ethogram) if word == "ethogram" else word for word in words]

    def run(self, *words: str) -> str:
        """Show and run a command that must succeed; return what it printed.

        Raises FalseClaimError for any other exit code than 0.
        """
        with subprocess.Popen(
            self.prompt(words),
            cwd=self.directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            # The terminal's Ctrl-C is the narrator's to answer.
            start_new_session=True,
        ) as process:
            assert process.stdout is not None
            text = process.stdout.read().decode(errors="replace")
        self.output(text)
        if process.returncode:
            raise FalseClaimError(f"`{words[0]} {words[1]}` ended with {process.returncode}")
        return text

    def ask(self, *words: str) -> bytes:
        """Run a command without showing it, for a check; return its standard output."""
        command = [str(self.ethogram) if word == "ethogram" else word for word in words]
        result = subprocess.run(
            command, cwd=self.directory, capture_output=True, check=False, start_new_session=True
        )
        if result.returncode:
            error = result.stderr.decode(errors="replace").strip()
            raise FalseClaimError(f"`{shlex.join(words)}` ended with {result.returncode}: {error}")
        return result.stdout

    def claim(self, text: str, *, is_true: bool, but: object = "") -> None:
        """Tell that *text* is so. Raises FalseClaimError, with *but* as what was seen, if not."""
        if not is_true:
            raise FalseClaimError(f"{text}: not so" + (f", but {but}" if but != "" else ""))
        self._line(f"    {self._strong('ok')}  {text}")

    def _strong(self, text: str) -> str:
        return f"\033[1m{text}\033[0m" if self._is_terminal else text

    def _line(self, text: str) -> None:
        # Written at once: what is told must not come after what a container prints.
        os.write(sys.stdout.fileno(), f"{text}\n".encode())
