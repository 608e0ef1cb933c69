"""Exports everything from what a recording taught, and replays the recording through all of it."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from ethogram.contracts.recording import Recording
from ethogram.errors import ExportError
from exporters.protocol import Artifact, Finding
from exporters.registry import exporters, parse_options
from exporters.replay.observations import Observations
from exporters.replay.protocol import Policy
from exporters.replay.registry import replayer_of
from exporters.replay.verdicts import Refusal, Report, replayed
from learner.learn import learn
from learner.summary import summarize

__all__ = ["Exported", "export_all", "is_asked_of_pods", "unfounded"]

# What an admission policy asks pods to say from now on, and pods did not say while they were
# recorded: nothing that they did is refused by it.
_ASKED = ("allowPrivilegeEscalation: false", "runs under the seccomp profile learnt from it")
_OF_PODS = ("admission", "gatekeeper", "kyverno")


def is_asked_of_pods(target: str, rule: str) -> bool:
    """Return whether *rule* of *target* is about what pods say, and not about what they did."""
    return target in _OF_PODS and any(words in rule for words in _ASKED)


@dataclass
class Exported:
    """All policies of the workloads of a recording, and the losses that their exporters told.

    *unread* are the targets whose policies nobody replays.
    """

    by_target: dict[str, list[Policy]] = field(default_factory=lambda: defaultdict(list))
    losses: dict[str, list[Finding]] = field(default_factory=lambda: defaultdict(list))
    unread: set[str] = field(default_factory=set)

    def against(self, path: Path) -> Report:
        """Replay the recording at *path*."""
        known = {
            target: (replayer, policies)
            for target, policies in self.by_target.items()
            if (replayer := replayer_of(policies[0].path, policies[0].document))
        }
        return replayed([Observations(Recording.open(path), path.name)], known)


def export_all(path: Path, *, enforce: bool) -> Exported:
    """Return what every exporter makes of what the recording at *path* teaches."""
    made = Exported()
    for baseline in learn(summarize(Recording.open(path))):
        for name, exporter in exporters().items():
            try:
                items = list(
                    exporter.export(baseline, parse_options(exporter, [], enforce=enforce))
                )
            except ExportError:
                continue  # of this workload there is nothing that the target could say
            for item in items:
                if isinstance(item, Artifact):
                    _add(made, name, item)
                elif item.severity == "loss":
                    made.losses[name].append(item)
    return made


def _add(made: Exported, target: str, artifact: Artifact) -> None:
    for document in _documents(artifact):
        if replayer_of(artifact.path, document) is None:
            made.unread.add(target)
            continue
        policy = Policy(artifact.path, document, artifact.workload_key, artifact.installs_as)
        made.by_target[target].append(policy)


def _documents(artifact: Artifact) -> Iterator[dict[str, object]]:
    if artifact.path.endswith(".json"):
        yield json.loads(artifact.content)
    elif artifact.path.endswith(".yaml"):
        yield from yaml.safe_load_all(artifact.content)


def unfounded(made: Exported, report: Report) -> list[Refusal]:
    """Return what would be denied although the export told no loss of that target."""
    return [
        one
        for one in report.of("denied")
        if not made.losses[one.target] and not is_asked_of_pods(one.target, one.rule)
    ]
