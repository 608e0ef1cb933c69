"""The file that says how the webhook answers: schema `ethogram.webhook/1`, checked when read."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from ethogram.contracts.baseline_values import Frozen, Text
from ethogram.contracts.overlay_file import day_of
from ethogram.contracts.suppression_file import fits
from ethogram.contracts.written_file import WrittenFile
from ethogram.errors import EthogramError
from ethogram.posture.standards import CHECKS, Level, version_of
from ethogram.webhook.breaches import SHAPE, Mode
from ethogram.webhook.learnt import RULES, rule_name

__all__ = [
    "DEFAULT_MODES",
    "WEBHOOK_SCHEMA",
    "Config",
    "Exemption",
    "Learnt",
    "Mutation",
    "NamespaceRule",
    "PodSecurity",
    "TlsFiles",
    "load_config",
    "parse_config",
    "rule_names",
]

WEBHOOK_SCHEMA: Literal["ethogram.webhook/1"] = "ethogram.webhook/1"
# What a rule does where the file does not say: an image by tag would be refused everywhere.
DEFAULT_MODES: Mapping[str, Mode] = MappingProxyType({rule_name("image"): "audit"})
_EXAMPLES: Mapping[str, str] = {
    "tls": "tls: {certificate: FILE, key: FILE}",
    "pod_security": "pod_security: {level: baseline, version: latest}",
    "namespaces": "namespaces: [{match: shop-*, level: restricted, mode: enforce}]",
    "rules": "rules: {privileged: enforce}",
    "exemptions": "exemptions: [{namespace: shop, rules: [privileged], owner: alice, "
    'reason: ..., expires: "2027-01-31"}]',
    "learnt": "learnt: {baselines: [DIRECTORY], map: FILE}",
    "mutate": "mutate: {seccomp: true, confirmed: FILE}",
}


def _valid(check: Any) -> None:
    try:
        check()
    except EthogramError as error:
        raise ValueError(error.message) from error


class TlsFiles(Frozen):
    """Certificate and key as PEM; both are read again when they change."""

    certificate: Text
    key: Text


class PodSecurity(Frozen):
    """What is asked of every pod: a level of the Pod Security Standards, of a version."""

    level: Level = "baseline"
    version: Annotated[str, BeforeValidator(str)] = "latest"

    @model_validator(mode="after")
    def _version_is_one(self) -> Self:
        _valid(lambda: version_of(self.version))
        return self


class NamespaceRule(Frozen):
    """What differs in namespaces whose name *match* fits; the first that fits decides."""

    match: Text
    level: Level | None = None
    mode: Mode | None = None


class Exemption(Frozen):
    """Pods that rules do not hold for, to the end of day *expires* in UTC, and who answers for it.

    All but *rules* are patterns, in which `*` is any characters. Kind and name are of whoever owns
    the pod, as the pod says it: whoever may create pods in that namespace can say the same.
    """

    namespace: Text
    rules: Annotated[tuple[Text, ...], Field(min_length=1)]
    kind: Text | None = None
    name: Text | None = None
    container: Text | None = None
    user: Text | None = None
    owner: Text
    reason: Text
    expires: Annotated[date, BeforeValidator(day_of)]

    @model_validator(mode="after")
    def _is_narrow_enough(self) -> Self:
        if not self.namespace.strip("*"):
            raise ValueError("it names no namespace, and would hold everywhere")
        for pattern in self.rules:
            if not any(fits(pattern, name) for name in rule_names()):
                raise ValueError(f"there is no rule `{pattern}`{_guess(pattern)}")
        return self


class Learnt(Frozen):
    """Baselines that pods are held against, and how: as the settings of `export --to admission`.

    *map* carries them to where this runs; *privileged* are containers that may be.
    """

    baselines: Annotated[tuple[Text, ...], Field(min_length=1)]
    map: Text | None = None
    seccomp: Literal["log", "enforce", "none"] = "log"
    privileged: tuple[Text, ...] = ()
    settings: dict[str, str] = Field(default_factory=dict)


class Mutation(Frozen):
    """What is added to pods that say nothing themselves: seccomp profiles, or nothing.

    *confirmed* is the file that says which profiles every node holds; without it, or where a
    profile is not in it for all of them, pods get RuntimeDefault.
    """

    seccomp: bool = False
    confirmed: Text | None = None


class Config(Frozen):
    """The whole file; paths in it are relative to where it stands."""

    schema_name: Literal["ethogram.webhook/1"] = Field(WEBHOOK_SCHEMA, alias="schema")
    tls: TlsFiles
    listen: Text = "0.0.0.0:8443"
    metrics: Text | None = None
    mode: Mode = "audit"
    pod_security: PodSecurity = PodSecurity()
    namespaces: tuple[NamespaceRule, ...] = ()
    excluded: tuple[Text, ...] = ("kube-system", "kube-node-lease", "ethogram")
    rules: dict[str, Mode] = Field(default_factory=dict)
    exemptions: tuple[Exemption, ...] = ()
    learnt: Learnt | None = None
    mutate: Mutation = Mutation()
    sinks: tuple[Text, ...] = ()
    spool: Text | None = None
    cluster: Text | None = None

    @model_validator(mode="after")
    def _rules_are_known(self) -> Self:
        for name in self.rules:
            if name not in rule_names():
                raise ValueError(f"there is no rule `{name}`{_guess(name)}")
        return self


def rule_names() -> tuple[str, ...]:
    """Return the names of all rules: of the standards, and of baselines."""
    return (SHAPE, *CHECKS, *map(rule_name, RULES))


_FILE = WrittenFile(
    name="a configuration of the webhook",
    schema=WEBHOOK_SCHEMA,
    model=Config,
    then=_EXAMPLES["tls"],
    examples=_EXAMPLES,
)


def load_config(path: Path) -> Config:
    """Return what file *path* says, its paths made absolute; every failure is a `UsageError`."""
    return _placed(_FILE.load(path), path.absolute().parent)


def parse_config(text: str, *, source: str) -> Config:
    """Return what *text* says; `UsageError` names *source*, the field and the cause."""
    return _FILE.parse(text, source=source)


def _placed(config: Config, where: Path) -> Config:
    def at(name: str) -> str:
        return name if "://" in name else str(where / name)

    tls = TlsFiles(certificate=at(config.tls.certificate), key=at(config.tls.key))
    update: dict[str, Any] = {"tls": tls}
    if config.spool is not None:
        update["spool"] = at(config.spool)
    if config.mutate.confirmed is not None:
        update["mutate"] = config.mutate.model_copy(
            update={"confirmed": at(config.mutate.confirmed)}
        )
    if config.learnt is not None:
        update["learnt"] = config.learnt.model_copy(
            update={
                "baselines": tuple(map(at, config.learnt.baselines)),
                "map": None if config.learnt.map is None else at(config.learnt.map),
            }
        )
    return config.model_copy(update=update)


def _guess(name: str) -> str:
    guess = get_close_matches(name, rule_names(), n=1)
    return f": did you mean `{guess[0]}`?" if guess else ""
