"""Widens what was seen to what it stands for.

A widening never allows less than what was observed, and the rule says what it was widened from.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from ethogram.contracts.baseline import AnyValue, Dimension, FileValue
from learner.variable_names import variable_names

__all__ = ["widened"]

# What an engine calls a container, and an image by its content: of the host's own files, such as
# `/run/containerd/runc/k8s.io/*/state.json`, no two runs have the same.
_ID = re.compile(r"(?<![0-9a-zA-Z])[0-9a-f]{64}(?![0-9a-zA-Z])")
_ENGINES = re.compile(r"^/(?:run|var|sys|proc)/")
_PROCESS = re.compile(r"^(/proc/)[0-9]+(?=/|$)(?:(/task/)[0-9]+(?=/|$))?")


def widened(seen: Sequence[tuple[Dimension, AnyValue]]) -> Iterable[AnyValue]:
    """Return for each value that one workload showed what stands for it: itself, or a wider one."""
    files = [value for _, value in seen if isinstance(value, FileValue)]
    patterns = variable_names(
        dict.fromkeys(value.path for value in files),
        created=dict.fromkeys(value.path for value in files if set("cn") & set(value.access)),
    )
    return [_file(value, patterns) if isinstance(value, FileValue) else value for _, value in seen]


def _file(value: FileValue, patterns: dict[str, str]) -> FileValue:
    """Return a file by its pattern, and one of procfs for any process.

    Numbers of processes say nothing about the next run: `/proc/1234/task/1240/comm` becomes
    `/proc/*/task/*/comm`. Nor do ids of containers, where engines and the kernel keep them.
    """
    path = patterns.get(value.path) or _PROCESS.sub(
        lambda hit: f"{hit[1]}*" + (f"{hit[2]}*" if hit[2] else ""), value.path
    )
    if _ENGINES.match(path):
        path = _ID.sub("*", path)
    return value if path == value.path else value.model_copy(update={"path": path})
