"""The rules about what several rows say together."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ethogram.contracts.finding import Confidence, Severity
from ethogram.indicators.compliance import NETWORK, Tags
from ethogram.indicators.predicates import SHELLS
from ethogram.indicators.protocol import Technique

__all__ = ["PORT_SCAN", "RELAYED_SHELL", "Relation", "is_go_between", "is_shell"]


@dataclass(frozen=True, slots=True)
class Relation:
    """What such a rule says of itself, in the words of an indicator's metadata."""

    id: str
    title: str
    reason: str
    severity: Severity
    attack: tuple[Technique, ...]
    confidence: Confidence
    compliance: tuple[Tags, ...]


RELAYED_SHELL = Relation(
    id="relayed-shell",
    title="Shell that a process beside it may feed from the network",
    reason="it takes its commands from a pipe or a terminal, and what is behind that has a "
    "connection which the baseline does not have",
    severity="high",
    attack=(Technique("T1059.004"), Technique("T1059.006"), Technique("T1095")),
    confidence="medium",
    compliance=NETWORK,
)
PORT_SCAN = Relation(
    id="port-scan",
    title="Many ports of one address tried",
    reason="it looks for what listens there: none of these connections is in the baseline",
    severity="high",
    attack=(Technique("T1046"), Technique("T1595")),
    confidence="high",
    compliance=NETWORK,
)

# What gives shells to people who log in, at its own place.
_LOGINS = re.compile(
    rb"^/(?:usr/)?(?:local/)?(?:s?bin|lib(?:exec)?(?:/[a-z-]+)?)/"
    rb"(?:sshd(?:-session|-auth)?|dropbear|login|agetty|su|sudo|systemd|runc|crun|conmon)$"
)
_SHELL = re.compile(rf"(?:^|/)(?:{SHELLS})$".encode())
# What fetches goes one way: `downloaded-script` is about a shell behind it.
_FETCHES = re.compile(rb"(?:^|/)(?:curl|wget|fetch|aria2c|git|apt-get|pip[0-9.]*)$")


def is_shell(exe: bytes) -> bool:
    """Return whether *exe* is a shell by its name."""
    return bool(_SHELL.search(exe))


def is_go_between(exe: bytes, *, is_beside: bool) -> bool:
    """Return whether *exe* may feed a shell: from above it, or *is_beside* it in a pipe."""
    return not (_LOGINS.search(exe) or (is_beside and _FETCHES.search(exe)))
