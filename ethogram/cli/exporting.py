"""Runs exporters over baselines: which settings each gets, what they give, what they say."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ethogram.cli.export_base import Bases
from ethogram.cli.export_findings import Found, say_findings
from ethogram.cli.group import closest
from ethogram.cli.refusals import INEXPRESSIBLE
from ethogram.cli.runtimes import settled
from ethogram.cli.screen import count
from ethogram.errors import ExportError, UsageError

if TYPE_CHECKING:
    from ethogram.contracts.baseline import Baseline, OverlayInput
    from ethogram.contracts.exports import Artifact
    from ethogram.contracts.provenance import Provenance
    from exporters.protocol import Exporter, Finding, Options

__all__ = ["artifacts", "chosen_exporters", "words_about_enforcing"]

# Settings that have an option of their own.
FLAGS = {
    "runtime": "--runtime",
    "dialect": "--dialect",
    "mode": "--mode",
    "bind-digest": "--bind-digest",
}


def chosen_exporters(
    targets: Sequence[str], pairs: Sequence[str], *, enforce: bool
) -> list[tuple[Exporter, Options]]:
    """Return each target's exporter with its options; a setting goes to all that know it.

    *pairs* are `NAME=VALUE`. Raises `UsageError` for a setting that none of them has, and for a
    value that means nothing where that can be told before a baseline is seen.
    """
    from exporters.protocol import Checking
    from exporters.registry import find_exporter, parse_options

    found = [find_exporter(name) for name in dict.fromkeys(targets)]
    known = {setting for exporter in found for setting in exporter.settings}
    for pair in pairs:
        name, is_pair, _ = pair.partition("=")
        if is_pair and name not in known:
            raise _unknown(name, found)
    chosen = [
        (
            exporter,
            parse_options(
                exporter,
                [
                    pair
                    for pair in pairs
                    if "=" not in pair or pair.partition("=")[0] in exporter.settings
                ],
                enforce=enforce,
            ),
        )
        for exporter in found
    ]
    for exporter, options in chosen:
        if isinstance(exporter, Checking):
            exporter.check(options)
    return chosen


def _unknown(name: str, found: Sequence[Exporter]) -> UsageError:
    """Return that none of the exporters *found* has setting *name*, and who has."""
    from exporters.registry import exporters

    targets = " or ".join(f"`{exporter.name}`" for exporter in found)
    others = [other.name for other in exporters().values() if name in other.settings]
    option = FLAGS.get(name)
    known = sorted({setting for exporter in found for setting in exporter.settings})
    if others:
        hint = "it is for " + ", ".join(f"`--to {other}`" for other in others)
    elif guess := closest(name, known):
        hint = f"did you mean `{guess}`?"
    else:
        hint = "known: " + (", ".join(f"`{setting}`" for setting in known) or "none")
    if option:
        return UsageError(f"`{option}` says nothing to {targets}", hint=hint)
    return UsageError(f"{targets} has no setting `{name}`", hint=hint)


def artifacts(
    loaded: Sequence[tuple[Path, Baseline]],
    exporters: Sequence[tuple[Exporter, Options]],
    *,
    allowed: Sequence[str],
    map_file: Path | None = None,
    base: Path | None = None,
) -> Iterator[tuple[Artifact, str]]:
    """Yield every policy, and why it says what it does, with the digest of its baseline's file.

    What was found is said then. *allowed* is what `--allow` names, *map_file* what carried the
    baselines; the policies in *base* are refined.

    A baseline that has no policy of a kind is a finding; `ExportError` where none has any, and for
    losses that nobody allowed.
    """
    from ethogram.cli.baseline_screen import subject_of
    from ethogram.contracts.exports import Artifact
    from ethogram.contracts.quality import needed_allowances
    from exporters.protocol import Comparing
    from exporters.provenance import provenance_of
    from exporters.withheld import overlaid_findings, withheld_findings

    bases = None if base is None else Bases(base)
    found: list[Found] = []
    with_policy: Counter[str] = Counter()
    carried_by = None if map_file is None else _input(map_file)
    for file, baseline in loaded:
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        needed = needed_allowances(baseline.observation)
        made = provenance_of(
            baseline,
            digest,
            allowed=[one for one in needed if one in allowed],
            map_input=carried_by,
        )
        items = [
            (exporter, item)
            for exporter, asked in exporters
            for item in _exported(
                baseline, exporter, replace(asked, provenance=made), len(loaded) * len(exporters)
            )
        ]
        if bases is not None:
            items = bases.refined(items, baseline)
        for exporter, _ in exporters:
            ours = [item for of, item in items if of is exporter]
            files = [item for item in ours if isinstance(item, Artifact)]
            findings = [item for item in ours if not isinstance(item, Artifact)]
            yield from ((one, digest) for one in _with_provenance(files, baseline, made))
            if files:
                with_policy[exporter.name] += 1
                findings += withheld_findings(baseline, exporter.dimensions)
                findings += overlaid_findings(baseline, exporter.dimensions)
                if isinstance(exporter, Comparing):
                    findings += exporter.compare(baseline, [other for _, other in loaded])
            found += [Found(exporter.name, subject_of(baseline), each) for each in findings]
    if bases is not None:
        bases.refuse_unused()
    say_findings(found, baselines=len(loaded), with_policy=with_policy)
    _refuse_losses(found, allowed)
    if not with_policy:
        targets = " or ".join(f"`{exporter.name}`" for exporter, _ in exporters)
        raise ExportError(
            f"no baseline has a policy for {targets}: nothing was written",
            hint="see above why" if found else None,
        )


def _refuse_losses(found: Sequence[Found], allowed: Sequence[str]) -> None:
    losses = sum(each.finding.severity == "loss" for each in found)
    if losses and INEXPRESSIBLE not in allowed:
        option = ",".join((*allowed, INEXPRESSIBLE))
        raise ExportError(
            f"{count(losses, 'loss', 'losses')} that nobody allowed, and nothing was written",
            hint=f"see `loss:` above; pass `--allow {option}` to write the rest",
        )


def _input(file: Path) -> OverlayInput:
    from ethogram.contracts.baseline import OverlayInput
    from ethogram.contracts.escape import escape

    return OverlayInput(
        name=escape(file.name), sha256=hashlib.sha256(file.read_bytes()).hexdigest()
    )


def _with_provenance(
    artifacts: Sequence[Artifact], baseline: Baseline, made: Provenance
) -> Iterator[Artifact]:
    from exporters.provenance import provenance_artifact

    for artifact in artifacts:
        yield artifact
        if (beside := provenance_artifact(artifact, baseline, made)) is not None:
            yield beside


def _exported(
    baseline: Baseline, exporter: Exporter, options: Options, jobs: int
) -> list[Artifact | Finding]:
    """Return what *exporter* gives; its refusal of one of several *jobs* is a loss like others."""
    from exporters.protocol import Finding

    options, decided = settled(options, baseline)
    try:
        return [*exporter.export(baseline, options), *decided]
    except ExportError as error:
        if jobs == 1:
            raise
        return [Finding("loss", error.message, hint=error.hint)]


def words_about_enforcing(
    baselines: Sequence[Baseline],
    exporters: Sequence[tuple[Exporter, Options]],
    denying: Sequence[tuple[Exporter, Options]],
) -> str | None:
    """Return what the policies of *exporters* do until they are enforced; None if that is nothing.

    *denying* are the same with what contradicts `--enforce` left out. Not every kind can log.
    """
    from ethogram.contracts.exports import Artifact
    from exporters.protocol import Observing

    def policies(baseline: Baseline, exporter: Exporter, options: Options) -> list[bytes]:
        found = _exported(baseline, exporter, options, jobs=2)
        return [item.content for item in found if isinstance(item, Artifact)]

    changed = {
        exporter.name: exporter.unenforced(options)
        if isinstance(exporter, Observing)
        else "let it deny"
        for (exporter, options), (_, asked) in zip(exporters, denying, strict=True)
        if any(
            policies(baseline, exporter, replace(asked, enforce=False))
            != policies(baseline, exporter, replace(asked, enforce=True))
            for baseline in baselines
        )
    }
    if len(exporters) == 1:
        return next(iter(changed.values()), None)
    alike: dict[str, list[str]] = {}
    for name, words in changed.items():
        alike.setdefault(words, []).append(name)
    return "; ".join(f"{', '.join(names)}: {words}" for words, names in alike.items()) or None
