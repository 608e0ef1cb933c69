"""How a securityContext is wanted: the exporter's settings, read and checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, TypeVar

from ethogram.errors import UsageError
from exporters import seccomp_choices
from exporters.protocol import Options

__all__ = ["SETTINGS", "Choices", "Form", "read_choices"]

Form = Literal["strategic", "kustomize"]
Profile = Literal["log", "enforce", "runtime-default", "none"]
_T = TypeVar("_T")

_OWN = MappingProxyType(
    {
        "form": "`strategic` (default) is a patch for `kubectl patch --patch-file`; `kustomize` is"
        " one for `patches` of a kustomization, without the namespace",
        "seccomp": "which profile it names: the learnt one that only logs (`log`), the one that"
        " denies (`enforce`, default with `--enforce`), `runtime-default`, or `none`",
    }
)
# The name of a profile follows from its bytes, so what shapes them is asked for here too.
SETTINGS: Mapping[str, str] = MappingProxyType(
    dict(_OWN)
    | {name: f"as for `seccomp`: {text}" for name, text in seccomp_choices.SETTINGS.items()}
)
_FORMS: Mapping[str, Form] = MappingProxyType({"strategic": "strategic", "kustomize": "kustomize"})
_PROFILES: Mapping[str, Profile] = MappingProxyType(
    {"log": "log", "enforce": "enforce", "runtime-default": "runtime-default", "none": "none"}
)
_NO_NEW_PRIVS = MappingProxyType({"yes": True, "no": False, "both": None})


@dataclass(frozen=True, slots=True)
class Choices:
    """The options of one export, read and checked.

    *seccomp* are the options for the exporter of the profile to name, None where *profile* is none
    of its. *no_new_privs* is what that profile is made for; None is either.
    """

    form: Form
    profile: Profile
    seccomp: Options | None
    no_new_privs: bool | None


def read_choices(options: Options) -> Choices:
    """Return what *options* ask for; `UsageError` for a value that means nothing.

    What is the seccomp exporter's own is left to it to check.
    """
    settings = options.settings
    profile = _one_of(settings, "seccomp", _PROFILES, "enforce" if options.enforce else "log")
    own = {name: settings[name] for name in seccomp_choices.SETTINGS if name in settings}
    is_learnt = profile in ("log", "enforce")
    return Choices(
        form=_one_of(settings, "form", _FORMS, "strategic"),
        profile=profile,
        seccomp=Options(profile == "enforce", MappingProxyType(own)) if is_learnt else None,
        no_new_privs=_one_of(settings, "no-new-privs", _NO_NEW_PRIVS, "both"),
    )


def _one_of(settings: Mapping[str, str], name: str, values: Mapping[str, _T], default: str) -> _T:
    word = settings.get(name, default)
    if word not in values:
        known = ", ".join(f"`{value}`" for value in values)
        raise UsageError(f"setting `{name}` is `{word}`", hint=f"it is one of {known}")
    return values[word]
