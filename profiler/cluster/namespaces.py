"""The labels of namespaces, which policies and admission pick them by."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["Namespaces"]


class Namespaces:
    """Labels by the name of the namespace, and whose changed."""

    def __init__(self) -> None:
        self._labels: dict[str, Mapping[str, str]] = {}
        self._changed: set[str] = set()

    def put(self, name: str, labels: Mapping[str, str]) -> None:
        """Take *labels* as those of a namespace."""
        if self._labels.get(name) != labels:
            self._labels[name] = labels
            self._changed.add(name)

    def delete(self, name: str) -> None:
        """Forget a namespace; what was written of its workloads stays."""
        self._labels.pop(name, None)
        self._changed.discard(name)

    def labels(self, name: str) -> Mapping[str, str] | None:
        """Return the labels of a namespace; None where nothing was told of it."""
        return self._labels.get(name)

    def take(self) -> set[str]:
        """Return whose labels are new or changed since the last time."""
        names, self._changed = self._changed, set()
        return names
