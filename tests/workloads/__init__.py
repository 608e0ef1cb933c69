"""The known workload: a program that makes exactly the system calls its command line names.

`build_known()` compiles it; `actions()` writes its command line. `known --help` lists the actions
and the calls that each one makes.
"""

import hashlib
import os
import subprocess
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path

__all__ = ["Word", "actions", "build_known", "known"]

Word = str | int | Path
Action = Sequence["Word | Sequence[Action]"]

SOURCES = Path(__file__).resolve().parent
CACHE = SOURCES.parent.parent / "build" / "known"
FLAGS = (
    *("-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror"),
    *("-static", "-nostdlib", "-nostartfiles", "-ffreestanding", "-fno-pie", "-no-pie"),
    *("-fno-stack-protector", "-fcf-protection=none", "-fno-tree-loop-distribute-patterns"),
)


@cache
def build_known() -> Path:
    """Return the compiled program; gcc runs only when the sources changed since the last time."""
    sources = [SOURCES / name for name in ("known.c", "raw.h", "network.h", "watched.h", "help.h")]
    digest = hashlib.sha256(
        b"\0".join([" ".join(FLAGS).encode()] + [s.read_bytes() for s in sources])
    )
    target = CACHE / f"known-{digest.hexdigest()[:16]}"
    if target.exists():
        return target
    CACHE.mkdir(parents=True, exist_ok=True)
    # Two builders at once each rename a whole program into place.
    descriptor, name = tempfile.mkstemp(dir=CACHE, prefix=".building-")
    os.close(descriptor)
    subprocess.run(["gcc", *FLAGS, "-o", name, str(sources[0])], check=True)
    Path(name).chmod(0o755)
    Path(name).replace(target)
    return target


def actions(*wanted: "Action") -> list[str]:
    """Return the words of *wanted*, each an action and its arguments.

    A list among the arguments is a group of actions: `actions(["fork", 2, [["call", 110, 23]]])`.
    Raises ValueError for an argument that is one of the language's own signs.
    """
    words: list[str] = []
    for action in wanted:
        words += [","] * bool(words)
        for word in action:
            if isinstance(word, str | int | Path):
                words.append(_plain(word))
            else:
                words += ["[", *actions(*word), "]"]
    return words


def _plain(word: Word) -> str:
    text = str(word)
    if text in {",", "[", "]"}:
        raise ValueError(f"known has no way to say {text!r} as an argument")
    return text


def known(*wanted: "Action") -> list[str]:
    """Return the command, program first, that does the actions *wanted*."""
    return [str(build_known()), *actions(*wanted)]
