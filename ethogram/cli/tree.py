"""`ethogram tree`: the processes of a container, or those around one, and what they touched."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from ethogram.cli.options import examples, format_option
from ethogram.errors import UsageError

if TYPE_CHECKING:
    from detector.hunting.trees import Asked, Node, Tree

__all__ = ["command"]

TREE_SCHEMA = "ethogram.tree/1"


@click.command(
    "tree",
    short_help="Draw a process tree with files, connections and ends.",
    epilog=examples(
        "ethogram tree 5b823ccc shop.rec",
        "ethogram tree --container 66860a39 shop.rec",
        "ethogram tree --workload corner-shop/checkout shop.rec --files 20",
        "ethogram tree --pod shop/checkout-7c9d6b5f8d-b75xk recordings/ --format json",
    ),
)
@click.argument("words", metavar="[EXEC_ID] REC...", nargs=-1, required=True)
@click.option("--container", metavar="ID", help="The container whose id begins so.")
@click.option("--pod", metavar="NS/NAME", help="The pod of this name or uid.")
@click.option("--workload", metavar="NAME", help="All of a workload: `[NAMESPACE/[KIND/]]NAME`.")
@click.option("--files", metavar="N", type=click.IntRange(min=0), default=5, show_default=True,
              help="Files, and connections, of each process; others are counted.")  # fmt: skip
@click.option("--processes", metavar="N", type=click.IntRange(min=1), default=500,
              show_default=True, help="Processes, the oldest; others are counted.")  # fmt: skip
@format_option("text", "json")
def command(
    *,
    words: tuple[str, ...],
    container: str | None,
    pod: str | None,
    workload: str | None,
    files: int,
    processes: int,
    output_format: str,
) -> None:
    """Draw who started whom, with files, connections and how each ended.

    EXEC_ID is a process, in full or as much of it as tells it from others, with or without the
    eight digits that all of a recording begin with: it is drawn with all below it and the way up
    from it. Files and connections are recorded by executable: where several processes ran the same
    one at the time, they are told of each.
    """
    from detector.hunting.engine import hunting
    from detector.hunting.trees import TABLES_OF_TREES, tree_of
    from ethogram.cli.query import opened

    asked, places = _asked(words, container, pod, workload)
    sources, findings = opened(places)
    with hunting(sources, findings, sql=f"{TABLES_OF_TREES} addresses instances") as hunt:
        tree = tree_of(hunt, asked, processes=processes, files=files)
    if output_format == "json":
        print(json.dumps(_document(tree), indent=2))
        return
    from ethogram.cli.tree_screen import print_tree

    print_tree(tree)


def _asked(
    words: Sequence[str], container: str | None, pod: str | None, workload: str | None
) -> tuple[Asked, Sequence[str]]:
    from detector.hunting.trees import Asked

    given = [name for name in (container, pod, workload) if name is not None]
    if len(given) > 1:
        raise UsageError("`--container`, `--pod` and `--workload` exclude each other")
    if given:
        return Asked(container=container, pod=pod, workload=workload), words
    if len(words) < 2:
        raise UsageError(
            "`ethogram tree` needs a process and a recording",
            hint="name an exec id first, or pass `--container`, `--pod` or `--workload`",
        )
    return Asked(exec_id=words[0]), words[1:]


def _document(tree: Tree) -> dict[str, Any]:
    return {
        "schema": TREE_SCHEMA,
        "processes": [_of_node(node) for node in tree.nodes],
        "more_processes": tree.left_out,
    }


def _of_node(node: Node) -> dict[str, Any]:
    return {
        "depth": node.depth,
        "is_asked": node.is_asked,
        "executed_again": node.again,
        "parent_is_known": node.parent_is_known,
        **_plain(node.process),
        "files": [_plain(one) for one in node.files],
        "more_files": node.more_files,
        "connections": [_plain(one) for one in node.connections],
        "more_connections": node.more_connections,
    }


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    from ethogram.cli.query_output import plain

    return {name: plain(value) for name, value in values.items()}
