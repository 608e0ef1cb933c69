"""`ethogram profiles`: seccomp profiles on a node, where its kubelet looks for them."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import click

from ethogram.cli.kubernetes_option import KubernetesChoice, Where
from ethogram.cli.options import Duration, examples
from ethogram.cli.record import stop_on_signals
from ethogram.cli.screen import count, say
from ethogram.contracts.escape import printable
from ethogram.errors import EthogramError, UsageError

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
    "--kubernetes",
    metavar="WHERE",
    type=KubernetesChoice(),
    help="Who is asked for the node's pods: `in-cluster` or `kubeconfig[=FILE][#CONTEXT]`.",
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
    if values["every"] is None:
        _once(values)
        return
    with stop_on_signals() as stop:
        while not stop.is_set():
            try:
                _once(values)
            except EthogramError as error:
                say(f"warning: {error}")
            stop.wait(values["every"] / 1000)


def _once(values: dict[str, Any]) -> None:
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
    if trouble is not None:
        raise trouble
    if held.damaged:
        names = ", ".join(printable(name) for name in held.damaged)
        raise EthogramError(
            f"not what their names say: {names}", hint="delete them, and run it again"
        )


def _merge(values: dict[str, Any]) -> None:
    """Print what standard input says of all nodes; of one that is there twice, the later."""
    from ethogram.webhook.seccomp_patch import merged

    if values["directories"] or values["prune"] or values["report"] or values["every"]:
        raise UsageError("`--merge` reads standard input and does nothing else")
    document = merged(sys.stdin.read())
    print(json.dumps(document, indent=1))
    say(count(len(document["nodes"]), "node"))


def _pruned(
    root: Path, wanted: dict[str, Any], values: dict[str, Any]
) -> tuple[list[str], EthogramError | None]:
    """Return what was deleted, and why nothing was: what the node holds is told all the same."""
    from profiler.seccomp_files import profiles_of_pods, remove_unused

    try:
        pods = _pods(values["kubernetes"], values["node"])
    except EthogramError as error:
        return [], error
    return remove_unused(root, {*wanted, *profiles_of_pods(pods)}), None


def _pods(where: Where, node: str) -> list[dict[str, Any]]:
    """Return the pods of *node*; where they cannot all be had, nothing may be deleted."""
    from profiler.cluster.access import in_cluster
    from profiler.cluster.client import ClusterError, ReadOnlyClient
    from profiler.cluster.kubeconfig import from_kubeconfig

    match where.kind:
        case "in-cluster":
            access = in_cluster()
        case "kubeconfig":
            access = from_kubeconfig(where.file, where.context)
        case _:
            raise UsageError("`--prune` asks the API server: `in-cluster` or `kubeconfig`")
    client = ReadOnlyClient(access)
    query = {"fieldSelector": f"spec.nodeName={node}"}
    try:
        parts = list(client.list("/api/v1/pods", query))
        return [pod for part in parts for pod in part.get("items") or [] if isinstance(pod, dict)]
    except ClusterError as error:
        raise EthogramError(
            f"the API server does not tell which pods run on `{node}`: {error}",
            hint="nothing was deleted; run it again",
        ) from error
    finally:
        client.close()
