"""How a seccomp profile is wanted: the exporter's settings, read and checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from ethogram.contracts.baseline import Baseline
from ethogram.contracts.call_arguments import VETTED
from ethogram.contracts.escape import printable
from ethogram.contracts.syscall_names import names_of
from ethogram.errors import ExportError, UsageError
from exporters.protocol import Options
from exporters.runtime_base import AUTO, RuntimeBase, StandIn, select_bases
from exporters.seccomp_calls import MACHINES

__all__ = ["SETTINGS", "Choices", "read_choices"]

SETTINGS = MappingProxyType(
    {
        "runtime": "which runtime's own calls to allow: `runc@1.1.5`, `runc`, `none`, `auto` (those"
        " that the baseline was observed under), several with commas between them; without it,"
        " those of every measured runtime",
        "dialect": "`oci` (default), `docker` with a comment for each group, or the object of the"
        " Security Profiles Operator: `spo` (v1), `spo-v1beta1`",
        "arguments": "`safe` (default) tells families of sockets and personalities apart where"
        " every one seen is known, `all` also flags of clone, requests of ioctl, options of prctl"
        " and executable memory, `none` nothing",
        "no-new-privs": "`yes` if containers run with it, `no` if without, `both` (default)",
        "tolerance": "`yes` also allows unseen calls that do what a seen one does (default `no`)",
        "eperm": "names, separated by commas, to refuse with EPERM instead of ENOSYS",
        "log-denied": "`yes` has the kernel log refusals; runc takes it from 1.2 on",
        "libseccomp": "package version of libseccomp to check names for, or `any`",
    }
)
_NO_NEW_PRIVS = MappingProxyType({"yes": True, "no": False, "both": None})
DIALECTS = ("oci", "docker", "spo", "spo-v1beta1")
ARGUMENTS: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "none": frozenset(),
        "safe": frozenset({"socket", "personality"}),
        "all": frozenset(VETTED),
    }
)
_YES_NO = MappingProxyType({"yes": True, "no": False})


@dataclass(frozen=True, slots=True)
class Choices:
    """The options of one export, read and checked.

    *runtime* is the setting as it was given, *observed* what of it the baseline tells.
    """

    enforce: bool
    bases: tuple[RuntimeBase, ...]
    runtime: str | None
    observed: tuple[str, ...] | None
    no_new_privs: bool | None
    tolerance: bool
    eperm: tuple[str, ...]
    log_denied: bool
    libseccomp: Mapping[str, frozenset[str]]
    dialect: str = "oci"
    stand_ins: tuple[StandIn, ...] = ()
    with_arguments: frozenset[str] = frozenset()


def read_choices(
    options: Options,
    bases: Sequence[RuntimeBase],
    known_names: Mapping[str, frozenset[str]],
    *,
    baseline: Baseline | None = None,
) -> Choices:
    """Return what *options* ask for, *bases* and *known_names* being what there is to choose from.

    *baseline* None: what `auto` stands for is not asked. Raises `UsageError` for a value that means
    nothing, `ExportError` for a combination that no container would start under.
    """
    settings = options.settings
    runtime = settings.get("runtime")
    observed = baseline.observation.runtimes if baseline else None
    chosen, stand_ins = _bases(bases, runtime, baseline)
    log_denied = bool(_one_of(settings, "log-denied", _YES_NO, "no"))
    labels = [base.label for base in chosen if base not in [one.base for one in stand_ins]]
    labels += [one.wanted for one in stand_ins]
    if log_denied and (refusing := list(filter(_refuses_flags, labels))):
        raise ExportError(
            f"`{refusing[0]}` does not start a container whose profile has flags",
            hint="leave out `log-denied`, or name the runtime: `--runtime crun`",
        )
    return Choices(
        enforce=options.enforce,
        bases=chosen,
        runtime=runtime,
        observed=observed,
        no_new_privs=_one_of(settings, "no-new-privs", _NO_NEW_PRIVS, "both"),
        tolerance=bool(_one_of(settings, "tolerance", _YES_NO, "no")),
        eperm=_names(settings.get("eperm", "")),
        log_denied=log_denied,
        libseccomp=_libseccomp(settings.get("libseccomp"), chosen, known_names),
        dialect=_word(settings, "dialect", DIALECTS),
        stand_ins=stand_ins,
        with_arguments=ARGUMENTS[_word(settings, "arguments", ("safe", "none", "all"))],
    )


def _bases(
    bases: Sequence[RuntimeBase], wanted: str | None, baseline: Baseline | None
) -> tuple[tuple[RuntimeBase, ...], tuple[StandIn, ...]]:
    words = None if wanted is None else wanted.split(",")
    if words is None or AUTO not in words:
        return select_bases(bases, words)
    named = [word for word in words if word != AUTO]
    if baseline is None:
        return select_bases(bases, named)
    if not baseline.observation.runtimes:
        raise ExportError(
            "`runtime=auto`: the baseline does not say which runtime it was observed under",
            hint="name the runtime that will apply the policy: `--runtime runc@1.1.5`",
        )
    select_bases(bases, named)
    seen = [runtime.replace(" ", "@", 1) for runtime in baseline.observation.runtimes]
    try:
        return select_bases(bases, list(dict.fromkeys([*named, *seen])))
    except UsageError as error:
        raise ExportError(f"`runtime=auto`: {error.message}", hint=error.hint) from error


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


def _refuses_flags(label: str) -> bool:
    runtime, _, version = label.partition(" ")
    major, minor, *_ = (int(part) for part in version.split("."))
    return runtime == "runc" and (major, minor) < (1, 2)


def _word(settings: Mapping[str, str], name: str, words: Sequence[str]) -> str:
    """Return the value of setting *name*, one of *words*; the first is the default."""
    word = settings.get(name, words[0])
    if word not in words:
        known = ", ".join(f"`{value}`" for value in words)
        raise UsageError(f"setting `{name}` is `{printable(word)}`", hint=f"it is one of {known}")
    return word


def _one_of(
    settings: Mapping[str, str], name: str, values: Mapping[str, bool | None], default: str
) -> bool | None:
    word = settings.get(name, default)
    if word not in values:
        known = ", ".join(f"`{value}`" for value in values)
        raise UsageError(f"setting `{name}` is `{word}`", hint=f"it is one of {known}")
    return values[word]
