"""Options of the commands that load programs into the kernel, and what they come to."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ethogram.cli.kubernetes_option import KubernetesChoice, Where
from ethogram.cli.options import Duration
from ethogram.cli.screen import say, shell
from ethogram.errors import UsageError

if TYPE_CHECKING:
    from ethogram.cli.targets import Chosen
    from profiler.options import ClusterOptions

__all__ = ["require_place", "session_fields", "session_options"]

# What `--ready-file` and `--status` leave behind: a process id, or a state.
_OURS = re.compile(rb'[0-9]*\n?\Z|\{"schema": "ethogram\.watch-status/')
_HEAD_BYTES = 64


def session_options(*, window: str, window_help: str) -> Callable[[Any], Any]:
    """Return what adds the options of a session; *window* is how long one is by default."""
    options = (
        click.option(
            "--duration",
            type=Duration(least_ms=10),
            metavar="TIME",
            help="Stop after TIME, such as `30s`; without it on Ctrl-C or the command's end.",
        ),
        click.option(
            "--window",
            type=Duration(least_ms=100),
            metavar="TIME",
            default=window,
            show_default=True,
            help=window_help,
        ),
        click.option(
            "--startup",
            type=Duration(least_ms=1),
            metavar="TIME",
            default="60s",
            show_default=True,
            help="How long the phase `startup` takes at most; it ends when the workload first "
            "listens or waits for work.",
        ),
        click.option(
            "--inventory",
            metavar="FILE",
            type=click.Path(exists=True, dir_okay=False, path_type=Path),
            help="Owners, selectors and addresses of the cluster, as `kubectl` prints them "
            "(see below).",
        ),
        click.option(
            "--kubernetes",
            type=KubernetesChoice(),
            metavar="WHERE",
            help="Ask the cluster itself, all the while: `in-cluster` as a pod's service account, "
            "`kubeconfig[=FILE][#CONTEXT]`, or `kubelet[=URL]` for this node's pods alone.",
        ),
        click.option(
            "--node",
            metavar="NAME",
            help="With `--kubernetes`: what this node is called; its pods alone are asked for, and "
            "peers on others stay addresses.",
        ),
        click.option(
            "--cluster", metavar="NAME", help="Name of the cluster that this host belongs to."
        ),
        click.option(
            "--ready-file",
            metavar="PATH",
            type=click.Path(dir_okay=False, path_type=Path),
            help="File to create once the programs are attached.",
        ),
        click.option(
            "--max-loss",
            metavar="N",
            type=click.IntRange(min=0),
            help="Fail with exit code 4 when more than N events were lost.",
        ),
        click.option(
            "--loader",
            type=click.Choice(["auto", "core", "bcc"]),
            default="auto",
            show_default=True,
            help="How the kernel programs are loaded.",
        ),
        click.option(
            "--tier",
            type=click.Choice(["full", "calls", "light"]),
            default="full",
            show_default=True,
            help="`calls` sees system calls begin and no result of any; `light` leaves out the "
            "hooks on every system call.",
        ),
        click.option(
            "--keep-args",
            is_flag=True,
            help="Keep arguments as they are; without it what looks like a secret is redacted.",
        ),
        click.option(
            "--redact-rules",
            metavar="FILE",
            type=click.Path(readable=False, path_type=Path),
            help="Withhold what this file names of paths, DNS names and UNIX sockets, too.",
        ),
    )

    def add(command: Any) -> Any:
        for option in reversed(options):
            command = option(command)
        return command

    return add


def session_fields(values: dict[str, Any], target: Chosen) -> dict[str, Any]:
    """Return the fields of `SessionOptions` that the option *values* and the *target* stand for."""
    from ethogram.contracts.redaction_file import load_redaction
    from profiler.targets import Targets

    if values["kubernetes"] and values["inventory"]:
        raise UsageError(
            "`--kubernetes` and `--inventory` exclude each other: both say who the pods are",
            hint="without `--inventory` names come from the cluster as it is",
        )
    if values["node"] and not values["kubernetes"]:
        raise UsageError("`--node` says whose pods to ask for: it needs `--kubernetes`")
    duration_ms = values["duration"]
    return {
        "targets": Targets(kind=target.kind, values=target.values),
        "window_ms": values["window"],
        "startup_ms": values["startup"],
        "duration_s": None if duration_ms is None else duration_ms / 1000,
        "tell": lambda line: say(f"warning: {line}"),
        "redaction": load_redaction(rules) if (rules := values["redact_rules"]) else (),
        "kubernetes": _cluster(values["kubernetes"], values["node"]),
        **{
            name: values[name]
            for name in ("inventory", "loader", "tier", "keep_args", "ready_file", "cluster")
        },
    }


def _cluster(where: Where | None, node: str | None) -> ClusterOptions | None:
    from profiler.options import ClusterOptions

    if where is None:
        return None
    return ClusterOptions(
        kind=where.kind,
        kubeconfig=where.file,
        context=where.context,
        kubelet=where.url,
        node=node,
    )


def require_place(option: str, path: Path | None) -> None:
    """Raise `UsageError` where the *path* of *option* has no directory, or is somebody's file.

    Asked before anything is attached. What an earlier run wrote there may be written again.
    """
    if path is None:
        return
    if not path.name:
        raise UsageError(f"`{option}` names no file", hint="name a file to write")
    if not path.absolute().parent.is_dir():
        parent = path.absolute().parent
        raise UsageError(
            f"`{option}`: there is no directory `{parent}`",
            hint=f"`{shell('mkdir', '-p', parent)}` makes it",
        )
    if path.is_file() and not _OURS.match(_head(path)):
        raise UsageError(
            f"`{option}`: `{path}` holds something else, which would be lost",
            hint="name a file that is not there yet",
        )


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_HEAD_BYTES)
