"""How a seccomp profile is wanted: the exporter's settings, read and checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from ethogram.contracts.syscall_names import names_of
from ethogram.errors import ExportError, UsageError
from exporters.protocol import Options
from exporters.runtime_base import RuntimeBase, select_bases
from exporters.seccomp_calls import MACHINES

__all__ = ["SETTINGS", "Choices", "read_choices"]

SETTINGS = MappingProxyType(
    {
        "runtime": "which runtime's own calls to allow: `runc=1.1.5`, `runc`, `none`;"
        " without it, those of every measured runtime",
        "no-new-privs": "`yes` if containers run with it, `no` if without, `both` (default)",
        "tolerance": "`yes` also allows unseen calls that do what a seen one does (default `no`)",
        "eperm": "names, separated by commas, to refuse with EPERM instead of ENOSYS",
        "log-denied": "`yes` has the kernel log refusals; runc takes it from 1.2 on",
        "libseccomp": "package version of libseccomp to check names for, or `any`",
    }
)
_NO_NEW_PRIVS = MappingProxyType({"yes": True, "no": False, "both": None})
_YES_NO = MappingProxyType({"yes": True, "no": False})


@dataclass(frozen=True, slots=True)
class Choices:
    """The options of one export, read and checked."""

    enforce: bool
    bases: tuple[RuntimeBase, ...]
    runtime: str | None
    no_new_privs: bool | None
    tolerance: bool
    eperm: tuple[str, ...]
    log_denied: bool
    libseccomp: Mapping[str, frozenset[str]]


def read_choices(
    options: Options, bases: Sequence[RuntimeBase], known_names: Mapping[str, frozenset[str]]
) -> Choices:
    """Return what *options* ask for, *bases* and *known_names* being what there is to choose from.

    Raises `UsageError` for a value that means nothing, `ExportError` for a combination that no
    container would start under.
    """
    settings = options.settings
    runtime = settings.get("runtime")
    chosen = select_bases(bases, runtime)
    log_denied = bool(_one_of(settings, "log-denied", _YES_NO, "no"))
    if log_denied and (refusing := [base.label for base in chosen if _refuses_flags(base)]):
        raise ExportError(
            f"`{refusing[0]}` does not start a container whose profile has flags",
            hint="leave out `log-denied`, or name the runtime: `runtime=crun`",
        )
    return Choices(
        enforce=options.enforce,
        bases=chosen,
        runtime=runtime,
        no_new_privs=_one_of(settings, "no-new-privs", _NO_NEW_PRIVS, "both"),
        tolerance=bool(_one_of(settings, "tolerance", _YES_NO, "no")),
        eperm=_names(settings.get("eperm", "")),
        log_denied=log_denied,
        libseccomp=_libseccomp(settings.get("libseccomp"), chosen, known_names),
    )


def _libseccomp(
    wanted: str | None, bases: Sequence[RuntimeBase], known_names: Mapping[str, frozenset[str]]
) -> Mapping[str, frozenset[str]]:
    if wanted == "any":
        return {}
    if wanted is not None and wanted not in known_names:
        known = ", ".join(f"`{version}`" for version in sorted(known_names))
        raise UsageError(
            f"the names that libseccomp `{wanted}` knows are not recorded",
            hint=f"known: {known}, `any`; measure another with `tools/measure_libseccomp.py`",
        )
    versions = {wanted} if wanted else {base.libseccomp for base in bases}
    return {version: names for version, names in known_names.items() if version in versions}


def _names(text: str) -> tuple[str, ...]:
    names = {name for name in text.split(",") if name}
    known = frozenset[str]().union(
        *(names_of(arch) for archs in MACHINES.values() for arch in archs)
    )
    if unknown := sorted(names - known):
        raise UsageError(
            f"setting `eperm`: `{unknown[0]}` is no system call",
            hint="separate the names by commas: `eperm=mount,ptrace`",
        )
    return tuple(sorted(names))


def _refuses_flags(base: RuntimeBase) -> bool:
    major, minor, *_ = (int(part) for part in base.version.split("."))
    return base.runtime == "runc" and (major, minor) < (1, 2)


def _one_of(
    settings: Mapping[str, str], name: str, values: Mapping[str, bool | None], default: str
) -> bool | None:
    word = settings.get(name, default)
    if word not in values:
        known = ", ".join(f"`{value}`" for value in values)
        raise UsageError(f"setting `{name}` is `{word}`", hint=f"it is one of {known}")
    return values[word]
