"""How a rule leaves a baseline, and how it comes into one: commands to paste."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ethogram.cli.screen import shell

if TYPE_CHECKING:
    from learner.story import Story

__all__ = ["allowing", "drop_command"]


def drop_command(file: Path, story: Story) -> str | None:
    """Return the command that takes the rule out of its baseline; None where none allows it."""
    if story.status != "allowed":
        return None
    return shell("ethogram", "learn", file, "--without", story.id, "-o", file, "--force")


def allowing(story: Story) -> str:
    """Return how what is not allowed becomes allowed."""
    match story.by:
        case "without":
            return "learn the recordings again without that `--without`"
        case "overlay":
            return "learn the recordings again without that entry of the overlay"
    return f"`allow: {story.id}` in an overlay, then `ethogram learn --overlay`"
