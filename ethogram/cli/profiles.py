"""`ethogram profiles`: seccomp profiles on a node, where its kubelet looks for them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import click

from ethogram.cli.kubernetes_option import KubernetesChoice, Where
from ethogram.cli.options import examples
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
def command(
    *,
    directories: tuple[Path, ...],
    root: Path,
    node: str | None,
    report: Path | None,
    prune: bool,
    kubernetes: Where | None,
) -> None:
    """Copy the seccomp profiles of DIR below the kubelet's directory, and print what is there.

    DIR is what `export --to seccomp -o DIR` wrote, or holds files that are called by their digest.
    A file that is there is never changed: what differs has another name. Standard output has one
    JSON document: the names that the node holds, whole.
    """
    from profiler.seccomp_files import held_profiles, install_profile, profiles_in

    if prune and (kubernetes is None or node is None):
        raise UsageError(
            "`--prune` asks which profiles the node's pods name: it needs `--kubernetes`, `--node`",
            hint="without it nothing is deleted",
        )
    wanted = {}
    for directory in directories:
        wanted.update(profiles_in(directory))
    try:
        new = [name for name, content in wanted.items() if install_profile(root, name, content)]
        gone = _pruned(root, wanted, kubernetes, node) if prune and kubernetes and node else []
        held = held_profiles(root)
        document = {"schema": _CONFIRMED, "nodes": {node or os.uname().nodename: held.names}}
        text = json.dumps(document, indent=1) + "\n"
        if report is not None:
            from ethogram.contracts.durable import replace_file

            replace_file(report, text.encode(), mode=0o644)
    except OSError as error:
        raise EthogramError(
            f"`{error.filename or root}` cannot be written: {(error.strerror or '').lower()}",
            hint="run it as root on the node, or name another `--root`",
        ) from error
    print(text, end="")
    say(f"{count(len(new), 'profile')} new, {len(wanted) - len(new)} there already, "
        f"{len(gone)} deleted; the node holds {len(held.names)}")  # fmt: skip
    if held.damaged:
        names = ", ".join(printable(name) for name in held.damaged)
        raise EthogramError(
            f"not what their names say: {names}", hint="delete them, and run it again"
        )


def _pruned(root: Path, wanted: dict[str, Any], where: Where, node: str) -> list[str]:
    from profiler.seccomp_files import profiles_of_pods, remove_unused

    return remove_unused(root, {*wanted, *profiles_of_pods(_pods(where, node))})


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
