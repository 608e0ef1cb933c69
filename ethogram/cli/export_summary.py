"""What an export lets in and shuts out, in plain words: a comment for a pull request.

It reads the policies themselves, those that stand and those that would: no baseline of before has
to be there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ethogram.cli.markdown import code, comment, plain
from ethogram.cli.screen import count, say
from ethogram.contracts.finding import SEVERITIES
from ethogram.contracts.plain_file import open_plain
from ethogram.errors import ExportError, UsageError

if TYPE_CHECKING:
    from ethogram.contracts.export_stale import Stale
    from ethogram.contracts.exports import Plan
    from exporters.review.protocol import Grant, Told

__all__ = ["summary_of", "write_summary"]

_LARGEST_BYTES = 16 << 20
# A profile's name ends in a digest of its bytes: whenever it changes, pods are asked for another.
_PROFILE = re.compile(r"[\w./-]*\b[0-9a-f]{12}\.json\b")


@dataclass(frozen=True, slots=True)
class _Policy:
    """One policy beside what stands in its place; *problem* where one of them cannot be told."""

    path: str
    target: str
    workload: str
    old: Told | None = None
    new: Told | None = None
    problem: str | None = None

    @property
    def lets_in(self) -> list[Grant]:
        """Return what is allowed now, and what is not asked any more."""
        asked = {new for _, new in self.renamed}
        return [
            *(one for one in _more(self.new, self.old) if not one.is_demand),
            *(
                one
                for one in _more(self.old, self.new)
                if one.is_demand and self.new and _nameless(one) not in map(_nameless, asked)
            ),
        ]

    @property
    def shuts_out(self) -> list[Grant]:
        """Return what is not allowed any more, and what is asked now."""
        asked = {new for _, new in self.renamed}
        return [
            *(one for one in _more(self.old, self.new) if not one.is_demand and self.new),
            *(one for one in _more(self.new, self.old) if one.is_demand and one not in asked),
        ]

    @property
    def renamed(self) -> list[tuple[Grant, Grant]]:
        """Return what is asked as before but for the name of the profile, the old and the new."""
        before = {_nameless(one): one for one in _more(self.old, self.new) if one.is_demand}
        return [
            (before[_nameless(one)], one)
            for one in _more(self.new, self.old)
            if one.is_demand and _nameless(one) in before and _PROFILE.search(one.words)
        ]

    @property
    def is_changed(self) -> bool:
        """Whether the two say different things."""
        old, new = self.old, self.new
        return (old and (old.mode, set(old.grants))) != (new and (new.mode, set(new.grants)))


def write_summary(text: str, place: str) -> None:
    """Write *text* to the file *place*, or to standard output for `-`."""
    if place == "-":
        print(text, end="")
        return
    try:
        Path(place).write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"`{place}` cannot be written: {error.strerror}") from error
    say(f"wrote `{place}`")


def summary_of(planned: Plan, stale: Sequence[Stale]) -> str:
    """Return the summary of *planned*, with the policies of *stale* that are gone."""
    policies = list(_policies(planned))
    changed = [one for one in policies if one.is_changed or one.problem]
    gone = [one for one in stale if ".provenance" not in one.entry.target]
    wider = any(one.lets_in and one.old for one in changed)
    narrower = any(one.shuts_out and one.old for one in changed)
    words = [word for word, holds in (("wider", wider), ("narrower", narrower)) if holds]
    if any(one.old is None and one.new for one in changed):
        words.append("new policies")
    verdict = " and ".join(words) or ("changed" if changed else "nothing changes")
    head = f"### Policy: {verdict}\n\n"
    lines = [*_table(changed), *(line for one in changed for line in _section(one))]
    if gone:
        lines.append("\n#### Left over from earlier exports\n")
        lines += [f"- {code(one.entry.path)}: {one.why}" for one in gone]
    same = len(policies) - len(changed)
    return comment(head, lines, f"\n{_policies_words(same)} the same.\n" if same else "")


def _policies_words(number: int) -> str:
    return count(number, "policy says", "policies say")


def _policies(planned: Plan) -> Iterator[_Policy]:
    for change in planned.changes:
        artifact = change.artifact
        if ".provenance" in artifact.target:
            continue
        old: bytes | None = None
        if change.state != "new":
            with open_plain(planned.directory / artifact.path) as file:
                old = file.read(_LARGEST_BYTES)
        yield _policy(artifact.path, artifact.target, artifact.workload_key, old, artifact.content)


def _policy(path: str, target: str, key: str, old: bytes | None, new: bytes) -> _Policy:
    told: dict[str, Told | None] = {}
    problem = None
    for name, content in (("old", old), ("new", new)):
        try:
            told[name] = None if content is None else _told(content, path, target)
        except ExportError as error:
            problem = f"the {name} policy is not told: {error.message}"
    return _Policy(path, target, _workload(key), told.get("old"), told.get("new"), problem)


def _told(content: bytes, path: str, target: str) -> Told:
    from exporters.review.documents import load
    from exporters.review.protocol import Tellable
    from exporters.review.registry import reviewer_of

    documents = load(content, path)
    reviewer = reviewer_of(documents, target=target)
    if not isinstance(reviewer, Tellable):
        raise ExportError(f"nobody tells policies of `{target}` in words")
    return reviewer.tell(documents)


def _workload(key: str) -> str:
    from ethogram.contracts.keys import parse_workload_key

    try:
        parsed = parse_workload_key(key)
    except ValueError:
        return key
    place = "/".join(part for part in (parsed.namespace, parsed.kind, parsed.name) if part)
    return f"{place} ({parsed.container})" if parsed.container else place


def _more(one: Told | None, other: Told | None) -> list[Grant]:
    """Return the grants of *one* that nothing in *other* covers, the gravest first."""
    from exporters.review.covering import Covering

    mine = dict.fromkeys(one.grants if one else ())
    is_covered = Covering(other.grants if other else (), len(mine))
    more = [grant for grant in mine if not is_covered(grant)]
    return sorted(more, key=_order)


def _nameless(grant: Grant) -> tuple[str, str]:
    return (grant.kind, _PROFILE.sub("*", grant.words))


def _order(grant: Grant) -> tuple[int, str, str]:
    return (-SEVERITIES.index(_severity(grant)), grant.kind, grant.words)


def _severity(grant: Grant) -> str:
    from detector.grading import grade

    return "info" if grant.value is None else grade(grant.value).severity


def _table(changed: Sequence[_Policy]) -> Iterator[str]:
    if not changed:
        return
    yield "| workload | policy | before | now |"
    yield "|---|---|---|---|"
    for one in changed:
        cells = (_cell(one.workload), _cell(one.target), _numbers(one.old), _numbers(one.new))
        yield f"| {' | '.join(cells)} |"


def _cell(text: str) -> str:
    return code(text).replace("|", "\\|")


def _numbers(told: Told | None) -> str:
    return "none" if told is None else plain(f"{told.mode}: {told.tightness}")


def _section(one: _Policy) -> Iterator[str]:
    yield f"\n#### {code(one.workload)}: {plain(one.target)}\n"
    if one.problem:
        yield f"> {plain(one.problem)}"
    if one.old and one.new and one.old.mode != one.new.mode:
        yield f"> It {plain(one.new.mode)} now; before, it {plain(one.old.mode)}."
    is_new = one.old is None
    if is_new and one.new is not None:
        yield "A new policy: before, nothing was restricted by it."
    for old, new in one.renamed:
        names = [code(found[0]) for each in (old, new) if (found := _PROFILE.search(each.words))]
        yield f"- the {new.kind} asks for another profile: {names[1]} in place of {names[0]}"
    titles = ("It allows", "It asks") if is_new else ("Lets in", "Shuts out")
    for title, grants in zip(titles, (one.lets_in, one.shuts_out), strict=True):
        if not grants:
            continue
        is_folded = is_new or title == "Shuts out"
        yield (
            f"\n<details><summary>{title}: {len(grants):,}</summary>\n"
            if is_folded
            else f"\n**{title}**\n"
        )
        yield from _lines(grants, is_graded=title == "Lets in")
        if is_folded:
            yield "\n</details>"


def _lines(grants: Sequence[Grant], *, is_graded: bool) -> Iterator[str]:
    """Yield a line for each grant that has a reason to be read, and one for others of a kind."""
    alike: dict[str, list[Grant]] = {}
    for grant in grants:
        mark = f"**{_severity(grant)}** " if is_graded and grant.value else ""
        if is_graded and (reason := _reason(grant)):
            yield f"- {mark}{grant.kind} {code(grant.words)}: {plain(reason)}"
        elif grant.is_demand:
            words = "not asked any more: " if is_graded else ""
            yield f"- {words}{grant.kind} {code(grant.words)}"
        else:
            alike.setdefault(f"{mark}{grant.kind}", []).append(grant)
    for title, members in alike.items():
        yield f"- {title} {', '.join(code(grant.words) for grant in members)}"


def _reason(grant: Grant) -> str | None:
    """Return why *grant* is graded as it is; None where it is only that no baseline has it."""
    from detector.grading import grade

    reason = None if grant.value is None else grade(grant.value).reason
    if reason is None or reason.startswith("the baseline never"):
        return None
    return reason
