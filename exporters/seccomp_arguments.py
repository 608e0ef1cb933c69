"""Which arguments a profile asks for: those of a few calls, where every one that was made is known.

A profile has one list for all its architectures, and libseccomp says nothing of rules with
different actions for one call. So a call has either one entry without conditions, or an entry that
allows for each value.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from ethogram.contracts.baseline import Baseline, CallArguments
from ethogram.contracts.call_arguments import VETTED
from exporters.protocol import Finding
from exporters.seccomp_calls import Call
from exporters.seccomp_choices import Choices
from exporters.seccomp_content import EXECUTABLE, ArgumentFilter, Content

__all__ = ["argument_filters", "argument_findings"]

_PROT_EXEC = 4


def argument_filters(
    baseline: Baseline, calls: Mapping[str, Call], archs: Sequence[str], choices: Choices
) -> dict[str, ArgumentFilter]:
    """Return the filters for those of *calls* that are asked for and that were told whole."""
    if baseline.observation.losses:  # what was lost may have been a call with another argument
        return {}
    by_runtime = {name for base in choices.bases for name in base.calls(choices.no_new_privs)}
    found = {
        name: _filter(baseline.arguments or (), calls[name], archs)
        for name in sorted(choices.with_arguments & set(calls) - by_runtime)
    }
    return {name: one for name, one in found.items() if one is not None}


def _filter(
    arguments: Sequence[CallArguments], call: Call, archs: Sequence[str]
) -> ArgumentFilter | None:
    """Return the filter of *call*, or None where what it asked for is not known whole.

    An overlay allows the call itself, so nothing that a person said allows fewer of its arguments.
    """
    vetted = VETTED[call.name]
    if call.why != "observed" or any(rule.overlay is not None for rule in call.rules):
        return None
    told = {
        one.arch: one
        for one in arguments
        if (one.name, one.index) == (call.name, vetted.index) and one.arch in archs
    }
    seen = {rule.value.arch for rule in call.rules}
    if not told or seen - set(told):
        return None
    if any(one.others or not one.values for one in told.values()):
        return None
    values = {value.value & vetted.mask for one in told.values() for value in one.values}
    if call.name in EXECUTABLE:
        # Which of the other protections is asked for depends on the loader and the allocator.
        is_used = any(value & _PROT_EXEC for value in values)
        return None if is_used else ArgumentFilter(call.name, vetted.index, _PROT_EXEC, (0,))
    return ArgumentFilter(call.name, vetted.index, vetted.mask, tuple(sorted(values)))


def argument_findings(baseline: Baseline, choices: Choices, content: Content) -> Iterator[Finding]:
    """Yield which calls are allowed by their arguments, and which are not although it was asked."""
    calls, filters = content.calls, content.filters
    if filters:
        yield Finding(
            "info",
            "allowed with the arguments that were seen, and no others:"
            f" {'; '.join(one.words for one in filters.values())}",
            hint="`--set arguments=none` allows them with any",
            of_whole=True,
        )
    whole = sorted(choices.with_arguments & set(calls) - set(filters))
    if baseline.arguments is not None and whole:
        yield Finding(
            "info",
            f"allowed with any arguments, as not all of them are known: {', '.join(whole)}",
            hint="the runtime makes them too, more values were seen than a recording tells, or"
            " events were lost",
            of_whole=True,
        )
    if "clone" in filters and "clone3" in calls:
        yield Finding(
            "warning",
            "clone is allowed for the namespaces that were seen, and clone3 for any: it has its"
            " flags in memory, which no filter sees",
            hint="the C library does without clone3 where it is refused",
        )
    if "socket" in filters and "i386" in content.archs and choices.enforce:
        yield Finding(
            "warning",
            "socket is allowed for the families that were seen, and through socketcall of i386 for"
            " any: it has its arguments in memory, which no filter sees",
        )
