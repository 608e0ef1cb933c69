"""What requests are judged by: the configuration, ready to be asked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from types import MappingProxyType

from ethogram.contracts.baseline import Baseline
from ethogram.contracts.suppression_file import fits
from ethogram.errors import EthogramError
from ethogram.posture.standards import Level, Version, version_of
from ethogram.webhook.breaches import MODES, Breach, Mode
from ethogram.webhook.config import DEFAULT_MODES, Config, Exemption, Learnt
from exporters.admission import exporter
from exporters.admission_model import PodPolicy
from exporters.registry import parse_options

__all__ = ["Policy", "Whose", "policies_of", "policy_of"]


@dataclass(frozen=True, slots=True)
class Whose:
    """Whose pod it is, as the request says: its owner at the top, and who asks."""

    namespace: str
    kind: str
    name: str
    user: str


@dataclass(frozen=True, slots=True)
class Policy:
    """Levels, modes, exemptions and the rules of baselines, which are by namespace."""

    config: Config
    version: Version
    learnt: Mapping[str, Sequence[PodPolicy]] = field(default_factory=lambda: MappingProxyType({}))

    def is_excluded(self, namespace: str) -> bool:
        """Return whether pods of *namespace* are left alone."""
        return any(fits(pattern, namespace) for pattern in self.config.excluded)

    def level(self, namespace: str) -> Level:
        """Return the level that is asked of pods in *namespace*."""
        for rule in self.config.namespaces:
            if rule.level is not None and fits(rule.match, namespace):
                return rule.level
        return self.config.pod_security.level

    def mode(self, namespace: str, asked: Mode | None) -> Mode:
        """Return what happens in *namespace* at most; *asked* is by the namespace's label."""
        if asked is not None:
            return asked
        for rule in self.config.namespaces:
            if rule.mode is not None and fits(rule.match, namespace):
                return rule.mode
        return self.config.mode

    def mode_of(self, rule: str, mode: Mode) -> Mode:
        """Return what a breach of *rule* does where *mode* holds: the milder of the two."""
        own = self.config.rules.get(rule, DEFAULT_MODES.get(rule, "enforce"))
        return MODES[min(MODES.index(own), MODES.index(mode))]

    def exemption(self, breach: Breach, whose: Whose, today: date) -> Exemption | None:
        """Return what exempts *breach* on day *today*, None where nothing does."""
        container = breach.container.name if breach.container else None
        for one in self.config.exemptions:
            if (
                today <= one.expires
                and fits(one.namespace, whose.namespace)
                and fits(one.kind, whose.kind)
                and fits(one.name, whose.name)
                and fits(one.user, whose.user)
                and (one.container is None or fits(one.container, container))
                and any(fits(pattern, breach.rule) for pattern in one.rules)
            ):
                return one
        return None

    def expired(self, today: date) -> list[Exemption]:
        """Return the exemptions that are over."""
        return [one for one in self.config.exemptions if one.expires < today]


def policy_of(config: Config, baselines: Iterable[Baseline] = ()) -> tuple[Policy, list[str]]:
    """Return what *config* asks with *baselines*, and what there is to know about that."""
    learnt: Mapping[str, Sequence[PodPolicy]] = {}
    notes: list[str] = []
    if config.learnt is not None:
        learnt, notes = policies_of(config.learnt, baselines)
    return Policy(config, version_of(config.pod_security.version), learnt), notes


def policies_of(
    learnt: Learnt, baselines: Iterable[Baseline]
) -> tuple[dict[str, list[PodPolicy]], list[str]]:
    """Return the rules of *baselines* by namespace, and why some have none."""
    made = exporter()
    settings = [f"{name}={value}" for name, value in learnt.settings.items()]
    settings += [f"seccomp={learnt.seccomp}", "bind-digest=true"]
    if learnt.privileged:
        settings.append(f"privileged={','.join(learnt.privileged)}")
    options = parse_options(made, settings, enforce=False)
    by_namespace: dict[str, list[PodPolicy]] = {}
    notes: list[str] = []
    for baseline in baselines:
        try:
            policy, findings = made.rules.policy(baseline, options)
        except EthogramError as error:
            notes.append(f"no rules: {error.message}")
            continue
        # An image without a known digest is no news of the webhook: its rule is left out.
        notes += [one.message for one in findings if one.severity == "warning"]
        if policy is None:
            notes += [one.message for one in findings if one.severity == "loss"]
            continue
        by_namespace.setdefault(policy.namespace, []).append(policy)
    return by_namespace, notes
