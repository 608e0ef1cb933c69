"""`ethogram explain POLICY RULE`: from a line of a policy to the evidence behind it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from ethogram.cli.explain_words import drop_command
from ethogram.cli.screen import count, next_command, output, say, shell
from ethogram.contracts.artifacts import THERE_BEFORE
from ethogram.contracts.escape import printable
from ethogram.errors import UsageError

if TYPE_CHECKING:
    from ethogram.contracts.artifacts import Reason, Why
    from ethogram.contracts.baseline import Baseline
    from ethogram.contracts.provenance import RuleTold
    from ethogram.contracts.provenance_files import Standing, ToldPolicy
    from learner.story import Story

__all__ = ["POLICY_EXPLANATION_SCHEMA", "explain_policy"]

POLICY_EXPLANATION_SCHEMA = "ethogram.policy-explanation/1"
_SHOWN = 40
_RULES = 5

_WHY: Mapping[Why, str] = MappingProxyType(
    {
        "observed": "the workload was seen to need it",
        "runtime": "the container runtime needs it",
        "always": "whatever the workload does, it is needed",
        "tolerance": "nobody saw it; it does what something seen does",
        "default": "a setting, or this kind of policy, asks for it",
        "unused": "forbidden, as nothing used it",
        "kept": "a person wrote it",
    }
)
_TO_CHANGE: Mapping[Why, str] = MappingProxyType(
    {
        "observed": "learn and export again: what is no rule of the baseline leaves the policy",
        "runtime": "`export --runtime` names the one runtime whose needs are allowed, or `none`",
        "always": "it stays: no setting leaves it out",
        "tolerance": "export again without the setting that asks for it",
        "default": "export again with other settings: docs/exporters says which there are",
        "unused": "record the workload doing it, or allow it by an overlay, then export again",
        "kept": "change it where it was written",
    }
)
# Of a policy that was refined: nobody took it out.
_UNUSED_BEFORE = "allowed, as it was before, and nothing was seen to use it"
_TO_TAKE_OUT = "take it out of the file, where nothing else needs it"
_STANDING: Mapping[Standing, str] = MappingProxyType(
    {
        "relaxed": "it is relaxed at present: the reasons are those of the policy before",
        "changed": "the file was changed after it was exported: the reasons are those of before",
        "unknown": "no `index.json` tells whether the file was changed after it was exported",
    }
)


@dataclass(frozen=True, slots=True)
class _Evidence:
    """The baseline that a policy was made from; *is_same* where not a byte of it changed."""

    file: Path
    baseline: Baseline
    is_same: bool


def explain_policy(path: Path, name: str, baselines: Path | None, output_format: str) -> None:
    """Print why policy *path* says what *name* means, by the baseline among *baselines*."""
    from ethogram.contracts.provenance_files import read_told_policy
    from ethogram.contracts.reason_names import closest_reasons, find_reasons

    policy = read_told_policy(path)
    found = find_reasons(policy.told, name)
    if not found:
        guesses = ", ".join(f"`{printable(one)}`" for one in closest_reasons(policy.told, name))
        raise UsageError(
            f"nothing in `{path}` is `{printable(name)}`",
            hint=f"did you mean {guesses}?" if guesses else _places(policy),
        )
    evidence = None if baselines is None else _evidence(baselines, policy)
    if output_format == "json":
        _print_json(policy, found, evidence)
        return
    _print_made_from(policy, evidence)
    for reason in found[:_SHOWN]:
        _print_reason(policy, reason, evidence)
    if len(found) > _SHOWN:
        output().print(f"and {len(found) - _SHOWN:,} more")
    _say_next(policy, found, evidence)


def _places(policy: ToldPolicy) -> str:
    """Return which places of *policy* have a reason: the first of them."""
    from exporters.protocol import shown

    return f"it has reasons for {printable(shown([one.place for one in policy.told.reasons]))}"


def _evidence(place: Path, policy: ToldPolicy) -> _Evidence:
    """Return the baseline in *place* that *policy* was made from, or that of its workload now."""
    from ethogram.contracts.baseline import load_baselines
    from exporters.provenance import provenance_of

    made, of_workload = policy.told.made_from, []
    for file, baseline in load_baselines(place):
        if hashlib.sha256(file.read_bytes()).hexdigest() == made.baseline_sha256:
            return _Evidence(file, baseline, is_same=True)
        if provenance_of(baseline).workload_key == made.workload_key:
            of_workload.append(_Evidence(file, baseline, is_same=False))
    if not of_workload:
        raise UsageError(
            f"`{_path_words(policy)}` was made from no baseline in `{place}`",
            hint=f"it is of `{printable(made.workload_key)}`: name the baseline of that",
        )
    return of_workload[0]


def _path_words(policy: ToldPolicy) -> str:
    """Return the path of *policy* for a message."""
    return printable(str(policy.path))


def _print_made_from(policy: ToldPolicy, evidence: _Evidence | None) -> None:
    console, made = output(), policy.told.made_from
    seen = made.observation
    console.print(f"{_path_words(policy)}, of {printable(made.workload_key)}", soft_wrap=True)
    lost = sum(seen.losses.values())
    console.print(
        f"  made from {count(made.recordings.count, 'recording')},"
        f" {count(seen.windows, 'window')} of {count(seen.instances, 'instance')}: {seen.state},"
        f" {f'{lost:,} events lost' if lost else 'nothing lost'}"
    )
    if made.allowed:
        console.print(f"  exported with `--allow {','.join(made.allowed)}`")
    if policy.standing in _STANDING:
        say(f"warning: {_STANDING[policy.standing]}")
    if evidence is not None and not evidence.is_same:
        say(f"warning: `{evidence.file}` is not what it was made from: it has changed since")


def _print_reason(policy: ToldPolicy, reason: Reason, evidence: _Evidence | None) -> None:
    console = output()
    is_left_out = reason in policy.told.left_out
    console.print()
    said = "left out" if is_left_out else reason.why
    is_unused_before = reason.why == "unused" and reason.source == THERE_BEFORE
    why = "only the container runtime did it" if is_left_out else _WHY[reason.why]
    why = _UNUSED_BEFORE if is_unused_before else why
    console.print(f"{printable(reason.place)}: {said}: {why}", soft_wrap=True)
    # For what the rules say themselves there is no other source.
    if reason.source not in (None, "baseline"):
        console.print(f"  {printable(str(reason.source))}", soft_wrap=True)
    for identity in reason.rules[:_RULES]:
        story = _story(policy, identity, evidence)
        console.print(f"  {story.id}")
        for line in story.lines():
            console.print(f"    {printable(line)}", soft_wrap=True)
        if evidence is not None and not _has(evidence.baseline, identity):
            # The same baseline has it by another id where a map carried it.
            what = "names it otherwise" if evidence.is_same else "has no such rule now"
            console.print(f"    the baseline {what}: this is as it was exported")
    if len(reason.rules) > _RULES:
        console.print(f"  and {count(len(reason.rules) - _RULES, 'rule')} more")
    if not is_left_out:
        change = _TO_TAKE_OUT if is_unused_before else _TO_CHANGE[reason.why]
        console.print(f"  to change it: {change}", soft_wrap=True)


def _story(policy: ToldPolicy, identity: str, evidence: _Evidence | None) -> Story:
    """Return the story of a rule: by the baseline as it is, else as it was exported."""
    from datetime import UTC, datetime

    from learner.story import Story, stories

    if evidence is not None and (
        found := stories(evidence.baseline, identity, today=datetime.now(UTC).date())
    ):
        return found[0]
    rule: RuleTold = next(one for one in policy.told.rules if one.id == identity)
    made = policy.told.made_from
    return Story(
        rule.id,
        rule.dimension,
        rule.value,
        "allowed",
        rule.evidence,
        made.observation.instances,
        made.recordings.count,
        widened_from=rule.widened_from,
        indicators=rule.indicators or (),
        marked=rule.marked or (),
        overlay=rule.overlay,
    )


def _has(baseline: Baseline, identity: str) -> bool:
    return any(rule.id == identity for _, rule in baseline.rules.all())


def _say_next(policy: ToldPolicy, found: Sequence[Reason], evidence: _Evidence | None) -> None:
    rules = [identity for reason in found for identity in reason.rules]
    if evidence is None:
        say("`--baseline BASELINE` tells what the baseline says today, and how to drop it")
    elif rules and len(set(rules)) == 1 and _has(evidence.baseline, rules[0]):
        drop = drop_command(evidence.file, _story(policy, rules[0], evidence))
        next_command(str(drop), why="drops it; then export again")
    else:
        next_command(shell("ethogram", "show", evidence.file))


def _print_json(policy: ToldPolicy, found: Sequence[Reason], evidence: _Evidence | None) -> None:
    places: list[dict[str, Any]] = []
    for reason in found:
        stories = [_story(policy, identity, evidence) for identity in reason.rules]
        drops = [
            drop_command(evidence.file, story) if evidence and _has(evidence.baseline, story.id)
            else None
            for story in stories
        ]  # fmt: skip
        places.append(
            {
                "place": reason.place,
                "why": reason.why,
                "is_left_out": reason in policy.told.left_out,
                **({"source": reason.source} if reason.source else {}),
                "rules": [
                    story.document() | ({"drop": drop} if drop else {})
                    for story, drop in zip(stories, drops, strict=True)
                ],
            }
        )
    document = {
        "schema": POLICY_EXPLANATION_SCHEMA,
        "path": str(policy.path),
        "target": policy.told.target,
        "standing": policy.standing,
        "made_from": policy.told.made_from.model_dump(mode="json", exclude_none=True),
        **({"baseline": {"path": str(evidence.file), "is_same": evidence.is_same}}
           if evidence else {}),
        "places": places,
    }  # fmt: skip
    print(json.dumps(document, indent=2, ensure_ascii=True))
