"""Whom to record, from the options of `record`: exactly one kind of target."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from ethogram.contracts.escape import escape
from ethogram.errors import UsageError

if TYPE_CHECKING:
    from profiler.targets import TargetKind

__all__ = ["Chosen", "chosen", "target_options"]

_HINT = (
    "name one: `--all`, `--container ID`, `--pod NS/NAME`, `--namespace NS`, `--unit NAME`, "
    "`--cgroup PATH`, or `-- COMMAND...`"
)
_TARGETS: tuple[tuple[TargetKind, str, str], ...] = (
    ("container", "ID", "A container, by id or an unambiguous beginning of it."),
    ("pod", "NS/NAME", "A pod."),
    ("namespace", "NS", "Every pod of a Kubernetes namespace."),
    ("unit", "NAME", "A systemd unit."),
    ("cgroup", "PATH", "A cgroup and those below it."),
)


@dataclass(frozen=True, slots=True)
class Chosen:
    """The kind of target and its names; the words of the command for kind `command`."""

    kind: TargetKind
    values: tuple[str, ...]


def target_options(command: Any) -> Any:
    """Add the options that say whom to record, and the argument COMMAND."""
    decorators: list[Callable[[Any], Any]] = [
        click.option("--all", "target_all", is_flag=True, help="Every workload of this host."),
        *(
            click.option(
                f"--{kind}", f"target_{kind}", metavar=metavar, multiple=True,
                help=f"{text} May be repeated.",
            )
            for kind, metavar, text in _TARGETS
        ),
        click.argument("command", metavar="[-- COMMAND...]", nargs=-1, type=click.UNPROCESSED),
    ]  # fmt: skip
    for decorator in reversed(decorators):
        command = decorator(command)
    return command


def chosen(values: dict[str, Any]) -> Chosen:
    """Return the one target among the option *values*; `UsageError` where it is not one."""
    found = [
        Chosen(kind, tuple(values[f"target_{kind}"]))
        for kind, _, _ in _TARGETS
        if values[f"target_{kind}"]
    ]
    if values["target_all"]:
        found.append(Chosen("all", ()))
    if values["command"]:
        from profiler.command import resolve_command

        resolve_command(values["command"])
        found.append(Chosen("command", tuple(values["command"])))
    match found:
        case [one]:
            _check(one)
            return one
        case []:
            raise UsageError("no target given", hint=_HINT)
    kinds = " and ".join(
        "`-- COMMAND`" if one.kind == "command" else f"`--{one.kind}`" for one in found
    )
    raise UsageError(f"{kinds} are different kinds of target", hint=_HINT)


def _check(target: Chosen) -> None:
    for value in target.values:
        if not value:
            raise UsageError(f"`--{target.kind}` is empty", hint=_HINT)
        if target.kind == "pod":
            namespace, slash, name = value.partition("/")
            if not (slash and namespace and name) or "/" in name:
                raise UsageError(
                    f"`--pod`: `{escape(value)}` is not of the form NS/NAME",
                    hint="such as `--pod shop-staging/checkout-6d5f`",
                )
        if target.kind == "cgroup" and not value.startswith("/"):
            raise UsageError(
                f"`--cgroup`: `{escape(value)}` does not begin with `/`",
                hint="give its path from the root of the cgroup file system",
            )
