"""What a policy was made from: in full for the file beside it, in short for the policy itself."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from ethogram.contracts.artifacts import Artifact
from ethogram.contracts.baseline import Baseline, OverlayInput, Quarantined, Withheld
from ethogram.contracts.baseline_values import ALLOWANCES, Allowance
from ethogram.contracts.escape import printable
from ethogram.contracts.keys import workload_key
from ethogram.contracts.provenance import (
    PROVENANCE_SCHEMA,
    Provenance,
    ProvenanceFile,
    Recordings,
    RuleTold,
    Unseen,
    Watched,
    provenance_path,
)
from ethogram.contracts.quality import grounds_of, reason_words, states_of
from ethogram.errors import ExportError
from exporters.protocol import Options

__all__ = ["facts_about", "provenance_artifact", "provenance_of"]

# A policy's annotations are 256 KiB at most, all of them together.
_FACT_LENGTH = 1024
_ITEM_LENGTH = 128
_MOST_RECORDINGS = 20
_MOST_SHOWN = 8


def provenance_of(
    baseline: Baseline,
    baseline_sha256: str | None = None,
    *,
    allowed: Iterable[Allowance] = (),
    map_input: OverlayInput | None = None,
) -> Provenance:
    """Return what policies of *baseline* are made from.

    *allowed* is what `export` was told, and *map_input* the file that carried it elsewhere.
    """
    subject, seen = baseline.subject, baseline.observation
    ids = sorted({each.recording_id for each in baseline.inputs})
    return Provenance(
        workload_key=workload_key(
            subject.cluster,
            subject.namespace,
            subject.kind,
            subject.name,
            subject.container,
            subject.image_digest,
            container_kind=subject.container_kind,
        ),
        baseline_sha256=baseline_sha256,
        recordings=Recordings(count=len(ids), ids=tuple(ids[:_MOST_RECORDINGS])),
        observation=Watched(
            state=seen.state,
            windows=seen.windows,
            instances=seen.instances,
            seconds=seen.seconds,
            losses=dict(sorted(seen.losses.items())),
            reasons=seen.reasons,
            allowed=seen.allowed,
        ),
        settled=baseline.settled,
        coverage={
            name: Unseen(unseen=one.unseen, low=one.low, high=one.high, settled=one.settled)
            for name, one in sorted(baseline.coverage.items())
        },
        allowed=tuple(name for name in ALLOWANCES if name in set(allowed)),
        choices=baseline.choices,
        overlaid=sum(rule.overlay is not None for _, rule in baseline.rules.all()),
        map=map_input,
    )


def provenance_artifact(
    artifact: Artifact, baseline: Baseline, provenance: Provenance
) -> Artifact | None:
    """Return the file that says what *artifact* was made from; None where it gives no reasons.

    Raises `ExportError` where a reason names a rule that *baseline* does not know.
    """
    if not artifact.reasons:
        return None
    known = _known(baseline)
    named = {name for one in (*artifact.reasons, *artifact.left_out) for name in one.rules}
    if unknown := sorted(named - set(known)):
        raise ExportError(f"exporter `{artifact.target}` gives a reason that is none: {unknown[0]}")
    file = ProvenanceFile(
        schema=PROVENANCE_SCHEMA,
        path=artifact.path,
        target=artifact.target,
        made_from=provenance,
        reasons=artifact.reasons,
        left_out=artifact.left_out,
        rules=tuple(known[name] for name in sorted(named)),
        tightness=dict(artifact.tightness) or None,
    )
    return Artifact(
        provenance_path(artifact.path),
        f"{artifact.target}.provenance",
        artifact.workload_key,
        file.dump(),
    )


def _known(baseline: Baseline) -> dict[str, RuleTold]:
    found = {
        rule.id: RuleTold(
            id=rule.id,
            dimension=dimension,
            value=rule.value,
            evidence=rule.evidence,
            widened_from=rule.widened_from,
            marked=rule.marked,
            indicators=rule.indicators,
            overlay=rule.overlay,
        )
        for dimension, rule in baseline.rules.all()
    }
    apart: list[Quarantined | Withheld] = [*baseline.quarantined, *(baseline.withheld or ())]
    for one in apart:
        told = RuleTold(id=one.id, dimension=one.dimension, value=one.value, evidence=one.evidence)
        found.setdefault(one.id, told)
    return found


def facts_about(baseline: Baseline, options: Options) -> dict[str, str]:
    """Return what a policy of *baseline* says of itself in annotations or comments, by name.

    Each is one short line without controls, however long and hostile the names in it are.
    """
    made = options.provenance or provenance_of(baseline)
    facts = {name: text for name, text in _facts(made, baseline) if text}
    return {name: _cut(printable(text), _FACT_LENGTH) for name, text in facts.items()}


def _facts(made: Provenance, baseline: Baseline) -> Iterator[tuple[str, str]]:
    seen = made.observation
    yield "workload", made.workload_key
    yield "baseline", f"sha256:{made.baseline_sha256}" if made.baseline_sha256 else ""
    ids = _listed(made.recordings.ids, made.recordings.count)
    yield "recordings", f"{made.recordings.count}: {ids}" if ids else ""
    yield "state", ", ".join(states_of(baseline.observation))
    yield (
        "observed",
        f"{_count(seen.instances, 'instance')}, {_count(seen.windows, 'window')}",
    )
    lost = [f"{kind} {number}" for kind, number in seen.losses.items() if number]
    yield "losses", _listed(lost, len(lost)) or "none"
    yield "settled", "" if made.settled is None else f"{made.settled:.4f}"
    yield (
        "unseen",
        ", ".join(
            f"{name} {one.unseen:.4g} ({one.low:.4g} to {one.high:.4g})"
            for name, one in made.coverage.items()
        ),
    )
    yield "allowed", "; ".join(_allowed(made, baseline))
    yield "map", "" if made.map is None else f"{made.map.name} sha256:{made.map.sha256}"
    yield "choices", "; ".join(_choices(made))


def _allowed(made: Provenance, baseline: Baseline) -> Iterator[str]:
    """Yield each shortcoming that had to be allowed, by `learn` or `export`, with its cause."""
    grounds = grounds_of(baseline.observation)
    told = {*(made.observation.allowed or ()), *made.allowed}
    for name in ALLOWANCES:
        if name in told:
            words = [reason_words(baseline.observation, one) for one in grounds.get(name, ())]
            yield f"{name} ({', '.join(words)})" if words else name


def _choices(made: Provenance) -> Iterator[str]:
    """Yield what people decided about the baseline."""
    chosen = made.choices
    if chosen is not None:
        if chosen.without:
            yield f"without {_listed(chosen.without, len(chosen.without))}"
        if chosen.only_phases:
            yield f"only phases {', '.join(chosen.only_phases)}"
        if chosen.min_replicas:
            yield f"at least {_count(chosen.min_replicas, 'replica')}"
        if chosen.overlays:
            names = [f"{one.name} sha256:{one.sha256}" for one in chosen.overlays]
            yield f"overlays {_listed(names, len(names))}"
    if made.overlaid:
        yield f"{_count(made.overlaid, 'rule')} by overlay"


def _listed(names: Collection[str], count: int) -> str:
    shown = [_cut(printable(name), _ITEM_LENGTH) for name in list(names)[:_MOST_SHOWN]]
    more = count - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more > 0 and shown else "")


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 3] + "..."


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
