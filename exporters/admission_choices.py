"""How an admission policy is wanted: the exporter's settings, read and checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, TypeVar

from ethogram.errors import UsageError
from exporters import seccomp_choices
from exporters.admission_model import Mode
from exporters.kubernetes import is_dns_label
from exporters.protocol import Options

__all__ = ["ACTIONS", "SETTINGS", "Choices", "one_of", "read_choices"]

Profile = Literal["log", "enforce", "none"]
_T = TypeVar("_T")

_OWN = MappingProxyType(
    {
        "mode": "what happens to a pod that the policy refuses: `audit` (default) notes it in the"
        " audit log, `warn` also tells who asked, `deny` (default with `--enforce`) refuses it",
        "bind-digest": "`true` refuses images that are not pinned to a learnt digest; `false`"
        " (default) notes them in the audit log",
        "seccomp": "which learnt profile pods have to name: the one that only logs (`log`), the"
        " one that denies (`enforce`, default with `--enforce`), or `none`",
        "privileged": "names, separated by commas, of containers of the pod that may be privileged",
    }
)
# The name of a profile follows from its bytes, so what shapes them is asked for here too.
SETTINGS: Mapping[str, str] = MappingProxyType(
    dict(_OWN)
    | {name: f"as for `seccomp`: {text}" for name, text in seccomp_choices.SETTINGS.items()}
)
# An API server refuses `Deny` and `Warn` together.
ACTIONS: Mapping[Mode, tuple[str, ...]] = MappingProxyType(
    {"audit": ("Audit",), "warn": ("Warn", "Audit"), "deny": ("Deny", "Audit")}
)
_MODES: Mapping[str, Mode] = MappingProxyType({"audit": "audit", "warn": "warn", "deny": "deny"})
_PROFILES: Mapping[str, Profile] = MappingProxyType(
    {"log": "log", "enforce": "enforce", "none": "none"}
)
_TRUE_FALSE = MappingProxyType({"true": True, "false": False})
_NO_NEW_PRIVS = MappingProxyType({"yes": True, "no": False, "both": None})


@dataclass(frozen=True, slots=True)
class Choices:
    """The options of one export, read and checked.

    *seccomp* are the options for the exporter of the profiles that pods have to name, None where
    they need not. *no_new_privs* is what these profiles are made for; None is either.
    """

    mode: Mode
    bind_digest: bool
    privileged: frozenset[str]
    seccomp: Options | None
    no_new_privs: bool | None


def read_choices(options: Options) -> Choices:
    """Return what *options* ask for.

    Raises `UsageError` for a value that means nothing and for two that contradict each other.
    What is the seccomp exporter's own is left to it to check.
    """
    settings = options.settings
    mode = one_of(settings, "mode", _MODES, "deny" if options.enforce else "audit")
    if options.enforce and mode != "deny":
        raise UsageError(
            f"`--enforce` denies, and setting `mode` is `{mode}`",
            hint="leave one of them out; `--set seccomp=enforce` alone asks for profiles that deny",
        )
    profile = one_of(settings, "seccomp", _PROFILES, "enforce" if options.enforce else "log")
    own = {name: settings[name] for name in seccomp_choices.SETTINGS if name in settings}
    return Choices(
        mode=mode,
        bind_digest=one_of(settings, "bind-digest", _TRUE_FALSE, "false"),
        privileged=_containers(settings.get("privileged", "")),
        seccomp=None if profile == "none" else Options(profile == "enforce", MappingProxyType(own)),
        no_new_privs=one_of(settings, "no-new-privs", _NO_NEW_PRIVS, "both"),
    )


def _containers(text: str) -> frozenset[str]:
    names = frozenset(name for name in text.split(",") if name)
    if refused := sorted(name for name in names if not is_dns_label(name)):
        raise UsageError(
            f"setting `privileged`: `{refused[0]}` is no name of a container",
            hint="separate the names by commas: `privileged=istio-init,node-agent`",
        )
    return names


def one_of(settings: Mapping[str, str], name: str, values: Mapping[str, _T], default: str) -> _T:
    word = settings.get(name, default)
    if word not in values:
        known = ", ".join(f"`{value}`" for value in values)
        raise UsageError(f"setting `{name}` is `{word}`", hint=f"it is one of {known}")
    return values[word]
