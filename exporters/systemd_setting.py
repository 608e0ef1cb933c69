"""One setting of a drop-in, and the words for those that are left out."""

from __future__ import annotations

from dataclasses import dataclass

from ethogram.contracts.escape import printable
from exporters.protocol import Reason, Why
from exporters.systemd_seen import Path

__all__ = ["LeftOut", "Setting", "because_of", "unused"]


@dataclass(frozen=True, slots=True)
class Setting:
    """The lines `NAME=VALUE` of one setting, and the evidence for it in words.

    An empty value takes away what the unit's file and earlier drop-ins say. What *logs* does not
    refuse anything.
    """

    name: str
    values: tuple[str, ...]
    why: Why
    evidence: str
    rules: tuple[str, ...] = ()
    logs: bool = False

    def reason(self) -> Reason:
        """Return why the setting is there."""
        return Reason(f"Service.{self.name}", self.why, self.rules, self.evidence)


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A setting that would refuse what was done, or of which nobody knows whether it would."""

    name: str
    evidence: str
    rules: tuple[str, ...] = ()

    def reason(self) -> Reason:
        """Return why the setting is not there."""
        return Reason(f"Service.{self.name}", "observed", self.rules, self.evidence)


def unused(name: str, value: str, evidence: str) -> Setting:
    """Return a setting that refuses what nothing did."""
    return Setting(name, (value,), "unused", evidence)


def because_of(name: str, path: Path) -> LeftOut:
    """Return that setting *name* is left out, as it would refuse what was done at *path*."""
    did = "wrote" if path.is_written else "used"
    return LeftOut(name, f"it {did} {printable(path.path)}", (path.rule,))
