"""What a decision that people take by a command has: who, why, and until when."""

from __future__ import annotations

import subprocess
from datetime import UTC, date, datetime

from ethogram.errors import UsageError

__all__ = ["author_of", "day_of_option", "text_of"]

_LONGEST = 1024


def day_of_option(text: str) -> date:
    """Return the last day that something holds, which `--expires` names: today or later."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        day = None
    if day is None or day.isoformat() != text:
        raise UsageError(f"`--expires {text}` is no day", hint="write it like `2027-06-30`")
    if day < datetime.now(UTC).date():
        raise UsageError(f"`--expires {text}` is over", hint="name the last day that it holds")
    return day


def text_of(text: str, option: str) -> str:
    """Return *text* of *option* as it goes into a file: something, on one line, bounded."""
    words = " ".join(text.split())
    if not words or not words.isprintable() or len(words) > _LONGEST:
        raise UsageError(
            f"`{option}` is empty, holds odd characters or more than {_LONGEST:,} of them",
            hint="write a sentence that tells the next reader enough",
        )
    return words


def author_of(given: str | None, option: str = "--author") -> str:
    """Return who decides: *given* by *option*, else as git knows it."""
    if given is not None:
        return text_of(given, option)
    names = []
    for key in ("user.name", "user.email"):
        try:
            done = subprocess.run(  # noqa: S603  fixed words
                ["git", "config", "--get", key],  # noqa: S607  as people have it
                capture_output=True, text=True, errors="replace", check=False, timeout=10,
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired):
            break
        names.append(done.stdout.strip() if done.returncode == 0 else "")
    words = " ".join(f"<{one}>" if "@" in one else one for one in names if one)
    if not words:
        raise UsageError(
            "nobody is named who decides", hint=f"pass `{option} NAME`, or set git's `user.name`"
        )
    return text_of(words, option)
