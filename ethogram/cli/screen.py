"""What people read: consoles for both streams, the last line of every command, units.

Standard output carries data, standard error carries what is said about it. Text that a workload
chose goes through `ethogram.contracts.escape.escape` before it comes here.
"""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ethogram.contracts.escape import escape, printable

if TYPE_CHECKING:
    from rich.console import Console

    from ethogram.contracts.baseline import Subject
    from ethogram.contracts.remote import RecordingUrl

__all__ = [
    "count",
    "errors",
    "next_command",
    "output",
    "say",
    "seconds",
    "shell",
    "subject_words",
]

# Wide enough for a table that goes to a file or into a pipe.
WIDTH = 100


def output() -> Console:
    """Return the console on standard output; nothing in what it prints is read as markup."""
    return _console(is_stderr=False)


def errors() -> Console:
    """Return the console on standard error."""
    return _console(is_stderr=True)


def _console(*, is_stderr: bool) -> Console:
    from rich.console import Console

    class PipeConsole(Console):
        """A console that leaves a reader who left to `ethogram.cli.run`."""

        def on_broken_pipe(self) -> None:
            raise BrokenPipeError

        def print(self, *objects: Any, **options: Any) -> None:
            """Print *objects*; into a pipe or file without the spaces that fill a column."""
            if self.is_terminal:
                super().print(*objects, **options)
                return
            with self.capture() as captured:
                super().print(*objects, **options)
            lines = captured.get().split("\n")
            stream.write("\n".join(line.rstrip() for line in lines))

    stream = sys.stderr if is_stderr else sys.stdout
    return PipeConsole(
        stderr=is_stderr,
        markup=False,
        emoji=False,
        highlight=False,
        soft_wrap=False,
        width=None if stream.isatty() else WIDTH,
    )


def say(text: str = "") -> None:
    """Print *text* for people, on standard error."""
    print(printable(text), file=sys.stderr)


def next_command(command: str, *, why: str | None = None) -> None:
    """Print the exact next *command*, the last line of a screen."""
    print(f"\nnext: `{command}`" + (f" ({why})" if why else ""), file=sys.stderr)


def shell(*words: str | Path | RecordingUrl) -> str:
    """Return *words* as one command, printable, that Bash reads back as the same words."""
    return " ".join(_quoted(str(word)) for word in words)


def _quoted(word: str) -> str:
    if word.isprintable():
        return shlex.quote(word)
    return "$'" + escape(word).replace("'", r"\'") + "'"


def count(number: int, noun: str, plural: str | None = None) -> str:
    """Return *number* with its *noun*: `1 call`, `1,234 calls`."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def subject_words(subject: Subject) -> str:
    """Return how people call a workload: `shop/Deployment/checkout (nginx)`."""
    parts = (subject.cluster, subject.namespace, subject.kind, subject.name)
    title = "/".join(part for part in parts if part is not None)
    return printable(f"{title} ({subject.container})" if subject.container else title)


def seconds(value: float) -> str:
    """Return a duration as people say it: `23 ms`, `5.0 s`, `2 min 10 s`, `3 h 5 min`."""
    if 0 < value < 0.1:
        return f"{max(1, round(value * 1000))} ms"
    if value < 60:
        return f"{value:.1f} s"
    whole = round(value)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
