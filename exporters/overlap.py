"""Whose pods a workload's labels pick besides its own: a policy by labels is theirs as well."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from ethogram.contracts.baseline import Baseline
from ethogram.contracts.escape import printable
from exporters.kubernetes import stable_selector
from exporters.protocol import Finding, shown

__all__ = ["overlap"]


def overlap(baseline: Baseline, others: Iterable[Baseline]) -> Iterator[Finding]:
    """Yield a warning where the selector of *baseline* picks pods of other workloads.

    Known are those of *others*, and the peers of them all.
    """
    subject = baseline.subject
    own = stable_selector(subject.selector)
    if not own:
        return
    found = sorted(
        f"{kind} `{printable(name)}`"
        for kind, name, selector in set(_workloads(subject.namespace, [baseline, *others]))
        if (kind, name) != (subject.kind, subject.name) and own.items() <= dict(selector).items()
    )
    if found:
        labels = ", ".join(f"{key}={value}" for key, value in own.items())
        yield Finding(
            "warning",
            f"its labels ({printable(labels)}) pick the pods of {shown(found)} as well: the policy"
            " is theirs too",
            hint="give its selector a label that the others' pods do not have",
        )


def _workloads(
    namespace: str | None, baselines: Iterable[Baseline]
) -> Iterator[tuple[str, str, tuple[tuple[str, str], ...]]]:
    """Yield kind, name and selector of the workloads of *namespace* that *baselines* name."""
    for baseline in baselines:
        subject = baseline.subject
        if subject.namespace == namespace:
            yield subject.kind, subject.name, _pairs(subject.selector)
        for rule in baseline.rules.peers:
            who = rule.value.identity
            if who and who.kind == "pod" and who.owner and who.namespace == namespace:
                yield who.owner, who.name, _pairs(who.selector)


def _pairs(selector: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(selector.items()))
