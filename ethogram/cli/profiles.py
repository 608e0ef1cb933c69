"""`ethogram profiles`: seccomp profiles on a node, where its kubelet looks for them."""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ethogram.cli.kubernetes_option import KubernetesChoice
from ethogram.cli.options import Duration, examples
from ethogram.cli.record import stop_on_signals
from ethogram.cli.screen import count, say
from ethogram.contracts.escape import printable
from ethogram.errors import EthogramError, UsageError

if TYPE_CHECKING:
    from ethogram.cli.profiles_cluster import NodeReport
    from profiler.seccomp_files import Held

__all__ = ["command"]

_CONFIRMED = "ethogram.confirmed/1"


@click.command(
    "profiles",
    short_help="Put seccomp profiles where a node's kubelet finds them; say which it holds.",
    epilog=examples(
        "ethogram profiles policies",
        "ethogram profiles --report /run/ethogram/profiles.json --node node-1",
        "ethogram profiles policies --prune --kubernetes in-cluster --node node-1",
        "ethogram profiles policies --every 5m",
        "ethogram profiles --annotate --kubernetes in-cluster --node node-1",
        "cat node-1.json node-2.json | ethogram profiles --merge",
    ),
)
@click.argument("directories", metavar="[DIR]...", nargs=-1,
                type=click.Path(exists=True, file_okay=False, path_type=Path))  # fmt: skip
@click.option(
    "--root",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("/var/lib/kubelet/seccomp"),
    show_default=True,
    help="The kubelet's directory of seccomp profiles.",
)
@click.option("--node", metavar="NAME", help="What the node is called; else the host's name.")
@click.option(
    "--report",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to write with what the node holds, as the webhook's `confirmed` reads it.",
)
@click.option(
    "--prune",
    is_flag=True,
    help="Delete profiles of ours that are in no DIR and that no pod of the node names; needs"
    " `--kubernetes` and `--node`.",
)
@click.option(
    "--annotate",
    is_flag=True,
    help="Say in annotation `ethogram.dev/seccomp-profiles` of the Node what it holds; needs"
    " `--kubernetes`, `--node` and the right to patch it.",
)
@click.option(
    "--kubernetes",
    metavar="WHERE",
    type=KubernetesChoice(),
    help="Which API server has the node and its pods: `in-cluster` or"
    " `kubeconfig[=FILE][#CONTEXT]`.",
)
@click.option(
    "--every",
    metavar="TIME",
    type=Duration(least_ms=100),
    help="Do it again every TIME until stopped, one line each; what fails is tried again.",
)
@click.option(
    "--merge",
    is_flag=True,
    help="Do nothing but make one document of those, of several nodes, on standard input.",
)
def command(**values: Any) -> None:
    """Copy the seccomp profiles of DIR below the kubelet's directory, and print what is there.

    DIR is what `export --to seccomp -o DIR` wrote, or holds files that are called by their digest.
    A file that is there is never changed: what differs has another name. Standard output has one
    JSON document: the names that the node holds, whole.
    """
    if values["merge"]:
        _merge(values)
        return
    if values["prune"] and (values["kubernetes"] is None or values["node"] is None):
        raise UsageError(
            "`--prune` asks which profiles the node's pods name: it needs `--kubernetes`, `--node`",
            hint="without it nothing is deleted",
        )
    if values["annotate"] and (values["kubernetes"] is None or values["node"] is None):
        raise UsageError("`--annotate` writes to a Node: it needs `--kubernetes`, `--node`")
    if values["every"] is None:
        _once(values, _report(values, threading.Event()))
        return
    with stop_on_signals() as stop:
        report = _report(values, stop)
        while not stop.is_set():
            try:
                _once(values, report)
            except EthogramError as error:
                _warn(error)
            stop.wait(values["every"] / 1000)


def _report(values: dict[str, Any], stop: threading.Event) -> NodeReport | None:
    if not values["annotate"]:
        return None
    from ethogram.cli.profiles_cluster import NodeReport

    return NodeReport(values["kubernetes"], values["node"], stop)


def _once(values: dict[str, Any], report: NodeReport | None) -> None:
    """Put the profiles there, delete what nobody needs, and tell what the node holds."""
    from profiler.seccomp_files import held_profiles, install_profile, profiles_in

    root, is_repeated = values["root"], values["every"] is not None
    wanted = {}
    for directory in values["directories"]:
        wanted.update(profiles_in(directory, may_be_empty=is_repeated))
    try:
        new = [name for name, content in wanted.items() if install_profile(root, name, content)]
        gone, trouble = _pruned(root, wanted, values) if values["prune"] else ([], None)
        held = held_profiles(root)
        node = values["node"] or os.uname().nodename
        document = {"schema": _CONFIRMED, "nodes": {node: held.names}}
        text = json.dumps(document, indent=None if is_repeated else 1) + "\n"
        if values["report"] is not None:
            from ethogram.contracts.durable import replace_file

            replace_file(values["report"], text.encode(), mode=0o644)
    except OSError as error:
        raise EthogramError(
            f"`{error.filename or root}` cannot be written: {(error.strerror or '').lower()}",
            hint="run it as root on the node, or name another `--root`",
        ) from error
    print(text, end="", flush=True)
    if new or gone or not is_repeated:
        say(f"{count(len(new), 'profile')} new, {len(wanted) - len(new)} there already, "
            f"{len(gone)} deleted; the node holds {len(held.names)}")  # fmt: skip
    untold = report.tell(held.names) if report is not None else None
    troubles = [one for one in (trouble, untold, _damage(held)) if one is not None]
    for other in troubles[1:]:
        _warn(other)
    if troubles:
        raise troubles[0]


def _damage(held: Held) -> EthogramError | None:
    if not held.damaged:
        return None
    names = ", ".join(printable(name) for name in held.damaged)
    return EthogramError(f"not what their names say: {names}", hint="delete them, and run it again")


def _warn(error: EthogramError) -> None:
    say(f"warning: {error}" + (f"; {error.hint}" if error.hint else ""))


def _merge(values: dict[str, Any]) -> None:
    """Print what standard input says of all nodes; of one that is there twice, the later."""
    from ethogram.webhook.seccomp_patch import merged

    if any(values[name] for name in ("directories", "prune", "report", "every", "annotate")):
        raise UsageError(
            "`--merge` reads standard input and does nothing else",
            hint="`cat node-1.json node-2.json | ethogram profiles --merge`",
        )
    document = merged(sys.stdin.buffer.read())
    print(json.dumps(document, indent=1))
    say(count(len(document["nodes"]), "node"))


def _pruned(
    root: Path, wanted: dict[str, Any], values: dict[str, Any]
) -> tuple[list[str], EthogramError | None]:
    """Return what was deleted, and why nothing was: what the node holds is told all the same."""
    from ethogram.cli.profiles_cluster import pods_of
    from profiler.seccomp_files import profiles_of_pods, remove_unused

    try:
        pods = pods_of(values["kubernetes"], values["node"])
    except EthogramError as error:
        return [], error
    return remove_unused(root, {*wanted, *profiles_of_pods(pods)}), None
