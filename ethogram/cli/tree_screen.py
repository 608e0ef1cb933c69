"""A process tree as lines of text."""

from __future__ import annotations

import errno
import signal
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ethogram.cli.screen import count, next_command, say, seconds
from ethogram.contracts.escape import printable

if TYPE_CHECKING:
    from detector.hunting.trees import Node, Tree

__all__ = ["print_tree"]

_INDENTED = 40  # levels; deeper ones say their number
_COMMAND = 120


def print_tree(tree: Tree) -> None:
    """Print *tree*, and on standard error what is not in it."""
    open_levels: list[bool] = []
    whose = None
    for node in tree.nodes:
        del open_levels[node.depth :]
        title = (node.process["recording"], node.process["subject"], node.process["container_id"])
        if node.depth == 0 and title != whose:
            whose = title
            print(printable(_title(node.process)))
        lead = "".join("   " if is_last else "│  " for is_last in open_levels[:_INDENTED])
        deep = f"[level {node.depth}] " if node.depth > _INDENTED else ""
        branch = "└─ " if node.is_last else "├─ "
        print(printable(f"{lead}{branch}{deep}{_words(node)}"))
        open_levels.append(node.is_last)
        below = lead + ("   " if node.is_last else "│  ")
        for line in _touched(node):
            print(printable(f"{below}  {line}"))
    if tree.left_out:
        more = count(tree.left_out, "process", "processes")
        say(f"{more} more: `--processes` shows them, from the oldest on")
    first = next((node for node in tree.nodes if node.is_asked), tree.nodes[0])
    identity = first.process["exec_id"]
    next_command(f"ethogram query \"FROM ancestry WHERE exec_id = '{printable(identity)}'\" REC")


def _title(process: Mapping[str, Any]) -> str:
    container = process["container_id"]
    return f"{process['subject']}" + (f", container {container[:12]}" if container else "")


def _words(node: Node) -> str:
    process = node.process
    command = process["command"] or process["exe_path"] or "?"
    if process["errno"] is not None:
        command = process["script"] or command
    if len(command) > _COMMAND:
        command = f"{command[:_COMMAND]}... ({len(command):,} characters)"
    parts = [
        f"{'* ' if node.is_asked else ''}{command}",
        f"[{process['exe_path']}]" if process["exe_path"] else "",
        f"pid {process['pid']}" + (", executed again" if node.again else ""),
        process["phase"],
        "forked" if process["is_fork"] else "",
        f"uid {process['uid']}" if process["uid"] else "",
        _end(process),
        process["exec_id"],
        _missing(node),
    ]
    return "  ".join(part for part in parts if part)


def _end(process: Mapping[str, Any]) -> str:
    if process["errno"] is not None:
        return f"failed: {errno.errorcode.get(process['errno'], process['errno'])}"
    lasted = f" after {seconds(process['seconds'])}" if process["seconds"] is not None else ""
    if process["signal"]:
        try:
            return f"{signal.Signals(process['signal']).name}{lasted}"
        except ValueError:
            return f"signal {process['signal']}{lasted}"
    if process["exit_code"] is not None:
        return f"exit {process['exit_code']}{lasted}"
    return f"ended{lasted}" if process["ended"] is not None else "no end seen"


def _missing(node: Node) -> str:
    if node.depth or not node.process["parent"]:
        return ""
    known = "drawn elsewhere" if node.parent_is_known else "not recorded"
    return f"(parent {node.process['parent']}: {known})"


def _touched(node: Node) -> Iterator[str]:
    for one in node.files:
        failed = f"  {errno.errorcode.get(one['errno'], one['errno'])}" if one["errno"] else ""
        yield f"{one['access']}  {one['path']}{failed}{_times(one)}"
    if node.more_files:
        yield f"... {count(node.more_files, 'file')} more"
    for one in node.connections:
        yield f"{one['direction']} {one['transport']}  {_peer(one)}{_times(one)}"
    if node.more_connections:
        yield f"... {count(node.more_connections, 'connection')} more"


def _times(one: Mapping[str, Any]) -> str:
    shared = f", by one of {one['shared']:,}" if one["shared"] > 1 else ""
    times = f"{int(one['times']):,} times" if one["times"] > 1 else ""
    words = f"{times}{shared}".removeprefix(", ")
    return f"  ({words})" if words else ""


def _peer(one: Mapping[str, Any]) -> str:
    if one["unix_path"] is not None:
        return str(one["unix_path"])
    ends = [_socket(one[f"{end}_addr"], one[f"{end}_port"]) for end in ("local", "peer")]
    names = [one[name] for name in ("name", "peer", "peer_subject") if one[name]]
    arrow = " <- " if one["direction"] == "in" else " -> "
    return arrow.join(end for end in ends if end) + (f"  {names[0]}" if names else "")


def _socket(address: str | None, port: int | None) -> str:
    if address is None:
        return "" if port is None else f":{port}"
    host = f"[{address}]" if ":" in address and port is not None else address
    return host if port is None else f"{host}:{port}"
