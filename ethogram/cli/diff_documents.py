"""The differences between baselines as documents: JSON, markdown for a pull request, SARIF."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ethogram import __version__
from ethogram.cli.diff_ranking import Ranked, evidence_words, ranked, verdict
from ethogram.cli.diff_screen import state_words
from ethogram.cli.markdown import code, comment, plain
from ethogram.cli.screen import count, subject_words
from ethogram.contracts.baseline import DIMENSIONS
from ethogram.contracts.escape import printable
from ethogram.contracts.finding import SEVERITIES

if TYPE_CHECKING:
    from learner.difference import Difference, Named

__all__ = ["DIFF_SCHEMA", "document_of"]

DIFF_SCHEMA = "ethogram.diff/1"
_SARIF = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)
_LEVELS = {"critical": "error", "high": "error", "medium": "warning", "low": "note", "info": "none"}


def document_of(found: Sequence[Difference], kind: str, *, old: str, new: str) -> str:
    """Return the document of *kind* about the differences from *old* to *new*."""
    makers: Mapping[str, Callable[[], str]] = {
        "json": lambda: _json(found, old, new),
        "markdown": lambda: _markdown(found, old, new),
        "sarif": lambda: _sarif(found),
    }
    return makers[kind]()


# --- JSON ----------------------------------------------------------------------------------------


def _json(found: Sequence[Difference], old: str, new: str) -> str:
    document = {
        "schema": DIFF_SCHEMA,
        "old": old,
        "new": new,
        "verdict": verdict(found),
        "workloads": [_workload(difference) for difference in found],
    }
    return json.dumps(document, indent=2) + "\n"


def _workload(difference: Difference) -> dict[str, Any]:
    subject = difference.baseline.subject
    return {
        "workload": subject.model_dump(mode="json", exclude_none=True, exclude={"selector"}),
        "state": state_words(difference),
        "old": _place(difference.old),
        "new": _place(difference.new),
        "notes": list(difference.notes),
        "match": [{"way": way, "words": words} for way, words in difference.match],
        "changes": [_change(one) for one in ranked(difference)],
    }


def _place(named: Named | None) -> str | None:
    return str(named[0]) if named else None


def _change(one: Ranked) -> dict[str, Any]:
    change = one.change
    return {
        "way": change.way,
        "severity": one.severity,
        "dimension": change.dimension,
        "rule": change.rule,
        "value": change.value.model_dump(mode="json", exclude_none=True),
        "words": one.title,
        "reason": one.why,
        "attack": [
            {"technique": technique.technique, "version": technique.version}
            for technique in one.grade.attack
        ],
        "indicators": list(change.indicators),
        "evidence": change.evidence.model_dump(mode="json", exclude_none=True),
        "overlay": change.overlay.model_dump(mode="json", exclude_none=True)
        if change.overlay
        else None,
    }


# --- Markdown ------------------------------------------------------------------------------------


def _markdown(found: Sequence[Difference], old: str, new: str) -> str:
    """Return a comment for a pull request, cut where it would be too long for one."""
    head = f"### Behaviour: {verdict(found)}\n\n{code(old)} → {code(new)}\n"
    lines = [line for difference in found for line in _section(difference)]
    same = sum(not (one.changes or one.match) for one in found)
    tail = f"\n{count(same, 'workload')} the same.\n" if same else ""
    return comment(head, lines, tail)


def _section(difference: Difference) -> Iterator[str]:
    changes = ranked(difference)
    if not changes and not difference.match:
        return
    yield f"\n#### {code(subject_words(difference.baseline.subject))}: {state_words(difference)}\n"
    for note in difference.notes:
        yield f"> {code(note)}  "
    for title, way in (("Allowed now", "wider"), ("In quarantine now", "apart")):
        some = [one for one in changes if one.change.way == way]
        matches = [words for of, words in difference.match if of == way]
        if some or matches:
            yield f"\n**{title}**\n"
        yield from (f"- {code(words)}" for words in matches)
        for one in some:
            yield (
                f"- **{one.severity}** {one.change.dimension} {code(one.title)}: {plain(one.why)}"
                f" ({plain(evidence_words(one.change.evidence))})"
            )
    gone = [one for one in changes if one.change.way == "narrower"]
    matches = [words for of, words in difference.match if of == "narrower"]
    if gone or matches:
        yield f"\n<details><summary>Not allowed any more: {len(gone) + len(matches):,}</summary>\n"
        yield from (f"- {code(words)}" for words in matches)
        yield from (f"- {one.change.dimension} {code(one.title)}" for one in gone)
        yield "\n</details>"


# --- SARIF ---------------------------------------------------------------------------------------


def _sarif(found: Sequence[Difference]) -> str:
    """Return SARIF 2.1.0: what is allowed now, and what is in quarantine, at its line of the file.

    What is no longer allowed has no line left, and no level: it is in no result.
    """
    places: dict[str, list[str]] = {}
    results = [
        _result(one, difference.new, places)
        for difference in found
        if difference.new
        for one in ranked(difference)
        if one.change.way != "narrower"
    ]
    driver = {
        "name": "ethogram",
        "version": __version__,
        "rules": [
            {
                "id": f"allowed-now-{dimension}",
                "shortDescription": {"text": f"A baseline allows {dimension} that it did not"},
                "defaultConfiguration": {"level": "warning"},
            }
            for dimension in DIMENSIONS
        ],
    }
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}
    return json.dumps({"$schema": _SARIF, "version": "2.1.0", "runs": [run]}, indent=2) + "\n"


def _result(one: Ranked, new: Named, places: dict[str, list[str]]) -> dict[str, Any]:
    file, baseline = new
    change = one.change
    lines = places.get(str(file))
    if lines is None:
        lines = file.read_text("utf-8", "replace").splitlines() if file.is_file() else []
        places[str(file)] = lines
    line = next((number for number, text in enumerate(lines, 1) if change.rule in text), 1)
    subject = subject_words(baseline.subject)
    apart = " is in quarantine" if change.way == "apart" else " is allowed now"
    return {
        "ruleId": f"allowed-now-{change.dimension}",
        "level": _LEVELS[one.severity],
        "message": {
            "text": f"{subject}: {change.dimension} {printable(one.title)}{apart}: "
            f"{printable(one.why)} ({printable(evidence_words(change.evidence))})"
        },
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": _uri(str(file))},
                    "region": {"startLine": line},
                }
            }
        ],
        "partialFingerprints": {"ethogramRule/v1": f"{subject} {change.rule}"},
        "rank": 100.0 * SEVERITIES.index(one.severity) / (len(SEVERITIES) - 1),
        "properties": {"severity": one.severity, "rule": change.rule},
    }


def _uri(path: str) -> str:
    """Return *path* as a URI reference, relative where it is relative."""
    from urllib.parse import quote

    return quote(path.removeprefix("./").replace("\\", "/"))
